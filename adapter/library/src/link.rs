//! Puts shim, filters and bridge together into a component.
//!
//! wit-component encodes the shim, with an empty placeholder for each other module. Only the placeholder named `bridge` has
//! exports, because the shim imports those; wit-component routes these calls through the table of a module of its own, and
//! that is what lets the shim be instantiated before the filter. Then the placeholders' bytes are exchanged for the real
//! modules and their instances get their arguments.
//!
//! ```wat
//! ;; before: what wit-component encodes                 ;; after
//! (core module $main …the shim…)                        (core module $main …the shim…)
//! (core module $filter)                                 (core module $filter …the input, byte for byte…)
//! (core module $bridge (func (export "start")           (core module $bridge …as generated…)
//!                            unreachable) …)
//! (core module $wit-component-shim-module …)            (core module $wit-component-shim-module …)
//! …                                                     …
//! (core instance $main (instantiate $main               (core instance $main (instantiate $main
//!   (with "bridge" …table…) …))                           (with "bridge" …table…) …))
//! (core instance $filter (instantiate $filter))         (core instance $filter (instantiate $filter
//!                                                         (with "env" (instance $main))
//!                                                         (with "wasi_snapshot_preview1" (instance $main))))
//! (core instance $bridge (instantiate $bridge))         (core instance $bridge (instantiate $bridge
//!                                                         (with "shim" (instance $main))
//!                                                         (with "filter" (instance $filter))))
//! (core instance $fixup (instantiate                    (core instance $fixup (instantiate
//!   $wit-component-fixup …fills the table…))              $wit-component-fixup …fills the table…))
//! ```
//!
//! Restrictions, each checked:
//! - no index moves: modules and instances stay as many and in their order;
//! - a part imports only from the shim and from parts before it;
//! - a placeholder is recognised by its bytes, which wit-component passes through;
//! - each part is instantiated once.
//!
//! Parts of the same bytes are one module that is instantiated several times: the placeholders of the others stay, empty.

use proxy_wasm_abi::bridge::MODULE;
use wasm_encoder::{Component, ExportKind, InstanceSection, ModuleArg, RawSection};
use wasm_metadata::Producers;
use wasmparser::{Instance, Parser, Payload};
use wit_component::{ComponentEncoder, LibraryInfo};

use crate::builder::Builder;
use crate::error::Internal;
use crate::facts::{Facts, Item};
use crate::part::{Part, Source};

/// A component, and what its `producers` section is to say so far.
pub(crate) struct Linked {
    pub(crate) component: Component,
    pub(crate) producers: Producers,
}

/// A component of the shim and these parts, which are instantiated in their order after it.
pub(crate) fn link(shim: &[u8], parts: &[Part<'_>]) -> Result<Linked, Internal> {
    let placeholders = parts.iter().map(|part| placeholder(shim, part)).collect::<Result<Vec<_>, _>>()?;
    let template = encode(shim, parts, &placeholders)?;
    fill(&template, parts, &placeholders)
}

fn failed(message: impl std::fmt::Display) -> Internal {
    Internal::new("links the component", message)
}

fn placeholder(shim: &[u8], part: &Part<'_>) -> Result<Vec<u8>, Internal> {
    // The module's name makes the bytes of each placeholder its own.
    let mut builder = Builder::new(format!("placeholder for {}", part.name));
    if part.name == MODULE {
        let facts = Facts::read(shim).map_err(failed)?;
        for import in facts.imports.iter().filter(|import| import.module == MODULE) {
            let Item::Function(signature) = &import.item else { continue };
            builder.function(&import.name, signature, |code| {
                code.unreachable();
            });
        }
    }
    Ok(builder.finish())
}

fn encode(shim: &[u8], parts: &[Part<'_>], placeholders: &[Vec<u8>]) -> Result<Vec<u8>, Internal> {
    // With the causes, which wit-component keeps apart.
    let failed = |error| failed(format!("{error:#}"));
    let mut encoder = ComponentEncoder::default();
    encoder.module(shim).map_err(failed)?;
    for (part, placeholder) in parts.iter().zip(placeholders) {
        encoder.library(&part.name, placeholder, LibraryInfo { arguments: Vec::new() }).map_err(failed)?;
    }
    encoder.encode().map_err(failed)
}

/// Puts the parts in place of their placeholders.
fn fill(template: &[u8], parts: &[Part<'_>], placeholders: &[Vec<u8>]) -> Result<Linked, Internal> {
    let mut component = Component::new();
    let mut producers = Producers::empty();
    let mut filled =
        Filled { first: firsts(parts), modules: Vec::new(), instances: 0, shim: None, parts: vec![None; parts.len()] };
    // Sections of the component itself have depth 1.
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(template) {
        let payload = payload.map_err(failed)?;
        let outer = depth == 1;
        match &payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            _ => {}
        }
        let Some((id, range)) = payload.as_section().filter(|_| outer) else { continue };
        let data = range.start.try_into().ok().zip(range.end.try_into().ok());
        let data = data.and_then(|(start, end): (usize, usize)| template.get(start..end));
        let data = data.ok_or_else(|| failed("a section past the end"))?;
        match payload {
            Payload::ModuleSection { .. } => {
                let part = placeholders.iter().position(|placeholder| placeholder == data);
                filled.modules.push(part);
                // One whose bytes came before stays as it is.
                let filling = part.filter(|part| filled.first.get(*part) == Some(part));
                let data = filling.and_then(|part| parts.get(part)).map_or(data, |part| part.bytes.as_ref());
                component.section(&RawSection { id, data });
            }
            Payload::InstanceSection(section) => {
                let mut instances = InstanceSection::new();
                for instance in section {
                    filled.instance(&instance.map_err(failed)?, parts, &mut instances)?;
                }
                component.section(&instances);
            }
            // Left out here, because the provenance adds to it. (wasm-metadata could do that in place, but it writes
            // the sections of the modules within anew, and then the filter's bytes are not its own.)
            Payload::CustomSection(section) if section.name() == "producers" => {
                producers.merge(&Producers::from_bytes(section.data(), 0).map_err(failed)?);
            }
            _ => {
                component.section(&RawSection { id, data });
            }
        }
    }
    if filled.parts.contains(&None) {
        return Err(failed("a placeholder is lost"));
    }
    Ok(Linked { component, producers })
}

/// For each part: the first with the same bytes.
fn firsts(parts: &[Part<'_>]) -> Vec<usize> {
    let first = |part: &Part<'_>| parts.iter().position(|other| other.bytes == part.bytes).unwrap_or_default();
    parts.iter().map(first).collect()
}

/// What stands in the component so far.
struct Filled {
    /// For each part: the first with the same bytes, in whose module it is found.
    first: Vec<usize>,
    /// For each core module: which part it is, if it is one.
    modules: Vec<Option<usize>>,
    /// The number of core instances.
    instances: u32,
    /// The instance of the first core module.
    shim: Option<u32>,
    /// The instance of each part.
    parts: Vec<Option<u32>>,
}

impl Filled {
    /// Writes an instance as it was, or with the arguments that its part needs.
    fn instance(
        &mut self,
        instance: &Instance<'_>,
        parts: &[Part<'_>],
        out: &mut InstanceSection,
    ) -> Result<(), Internal> {
        let index = self.instances;
        self.instances += 1;
        match instance {
            Instance::FromExports(exports) => {
                let exports: Vec<(&str, ExportKind, u32)> = exports
                    .iter()
                    .map(|export| Ok((export.name, kind(export.kind)?, export.index)))
                    .collect::<Result<_, _>>()?;
                out.export_items(exports);
            }
            Instance::Instantiate { module_index, args } => {
                let module = self.modules.get(*module_index as usize).ok_or_else(|| failed("no such module"))?;
                let Some(part) = *module else {
                    if *module_index == 0 {
                        self.shim = Some(index);
                    }
                    out.instantiate(*module_index, args.iter().map(|arg| (arg.name, ModuleArg::Instance(arg.index))));
                    return Ok(());
                };
                let first = self.first.get(part).copied();
                let module = self.modules.iter().position(|module| module.is_some() && *module == first);
                let module = module.and_then(|module| u32::try_from(module).ok());
                let module = module.ok_or_else(|| failed("a module comes too late"))?;
                let args = self.arguments(parts.get(part).ok_or_else(|| failed("no such part"))?, parts)?;
                match self.parts.get_mut(part) {
                    Some(slot @ None) => *slot = Some(index),
                    _ => return Err(failed("a placeholder is instantiated twice")),
                }
                out.instantiate(module, args);
            }
        }
        Ok(())
    }

    fn arguments<'a>(&self, part: &'a Part<'_>, parts: &[Part<'_>]) -> Result<Vec<(&'a str, ModuleArg)>, Internal> {
        part.imports
            .iter()
            .map(|(module, source)| {
                let instance = match source {
                    Source::Shim => self.shim,
                    Source::Part(name) => parts
                        .iter()
                        .position(|part| part.name == *name)
                        .and_then(|part| self.parts.get(part).copied().flatten()),
                };
                let instance = instance.ok_or_else(|| failed(format!("`{}` needs `{module}` too early", part.name)))?;
                Ok((module.as_str(), ModuleArg::Instance(instance)))
            })
            .collect()
    }
}

fn kind(kind: wasmparser::ExternalKind) -> Result<ExportKind, Internal> {
    use wasmparser::ExternalKind;
    match kind {
        ExternalKind::Func => Ok(ExportKind::Func),
        ExternalKind::Table => Ok(ExportKind::Table),
        ExternalKind::Memory => Ok(ExportKind::Memory),
        ExternalKind::Global => Ok(ExportKind::Global),
        ExternalKind::Tag => Ok(ExportKind::Tag),
        ExternalKind::FuncExact => Err(failed("an export of exact type")),
    }
}
