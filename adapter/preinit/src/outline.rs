//! A component as a list of sections, with its core modules and who instantiates them.
//!
//! A snapshot belongs to an instance. So a module that has several instances becomes as many modules, which then differ.

use wasm_encoder::{Component, ComponentSectionId, ExportKind, InstanceSection, ModuleArg, RawSection};
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentOuterAliasKind, ComponentTypeRef, ExternalKind,
    Instance, Parser, Payload,
};

use crate::refusal::{Internal, Refusal};

/// A section of the component itself.
enum Section<'a> {
    /// A core module, by its number.
    Module(usize),
    /// Core instances.
    Instances(Vec<Instance<'a>>),
    /// Any other, as it is.
    Other(u8, &'a [u8]),
}

/// How many things of each sort a component has: the number of the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) core_instances: u32,
    pub(crate) core_functions: u32,
    pub(crate) core_memories: u32,
    pub(crate) types: u32,
    pub(crate) functions: u32,
}

/// A module in the place of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Which module it is, as the component had them.
    pub(crate) module: usize,
    /// The number of its instance; `None`: it has none.
    pub(crate) instance: Option<u32>,
}

/// A component, taken apart.
pub(crate) struct Outline<'a> {
    sections: Vec<Section<'a>>,
    /// The core modules.
    pub(crate) modules: Vec<&'a [u8]>,
    /// What the new component has in their places: one for each instance.
    pub(crate) copies: Vec<Copied>,
    pub(crate) counts: Counts,
}

impl<'a> Outline<'a> {
    /// Takes a component apart.
    ///
    /// # Errors
    /// [`Refusal::Composed`] where modules are in components within it.
    pub(crate) fn read(component: &'a [u8]) -> Result<Self, Refusal> {
        let mut outline =
            Self { sections: Vec::new(), modules: Vec::new(), copies: Vec::new(), counts: Counts::default() };
        // What is open within the component: whether it is a component.
        let mut within: Vec<bool> = Vec::new();
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload.map_err(Internal::reads)?;
            let is_own = within.len() == 1;
            match &payload {
                Payload::Version { encoding, .. } => within.push(*encoding == wasmparser::Encoding::Component),
                Payload::End(_) => {
                    within.pop();
                }
                Payload::ModuleSection { .. } if within.len() > 1 => return Err(Refusal::Composed),
                _ => {}
            }
            let Some((id, range)) = payload.as_section().filter(|_| is_own) else { continue };
            let data = slice(component, range.start, range.end)?;
            outline.section(payload, id, data)?;
        }
        outline.split()?;
        Ok(outline)
    }

    fn section(&mut self, payload: Payload<'a>, id: u8, data: &'a [u8]) -> Result<(), Internal> {
        match payload {
            Payload::ModuleSection { .. } => {
                self.sections.push(Section::Module(self.modules.len()));
                self.modules.push(data);
                return Ok(());
            }
            Payload::InstanceSection(section) => {
                let instances = section.into_iter().collect::<Result<Vec<_>, _>>().map_err(Internal::reads)?;
                self.sections.push(Section::Instances(instances));
                return Ok(());
            }
            payload => self.counts.add(payload)?,
        }
        self.sections.push(Section::Other(id, data));
        Ok(())
    }

    /// Gives each instance a module of its own: where several have one, the others get the places of modules that nobody
    /// instantiates. The linker has left one for each virtual machine.
    fn split(&mut self) -> Result<(), Refusal> {
        let sections = self.sections.iter().filter_map(|section| match section {
            Section::Instances(instances) => Some(instances),
            _ => None,
        });
        let mut modules = vec![None; self.modules.len()];
        let mut others = Vec::new();
        for instance in sections.flatten() {
            if let Instance::Instantiate { module_index, .. } = instance {
                let module = *module_index as usize;
                match modules.get_mut(module) {
                    Some(first @ None) => *first = Some(self.counts.core_instances),
                    _ => others.push(Copied { module, instance: Some(self.counts.core_instances) }),
                }
            }
            self.counts.core_instances += 1;
        }
        let mut others = others.into_iter();
        let place = |(module, instance): (usize, Option<u32>)| match instance {
            None => others.next().unwrap_or(Copied { module, instance }),
            Some(_) => Copied { module, instance },
        };
        self.copies = modules.into_iter().enumerate().map(place).collect();
        if others.next().is_some() {
            return Err(Refusal::Unsupported { what: "a module has several instances".into() });
        }
        Ok(())
    }

    /// The component with these modules in their places, to which more may be added.
    pub(crate) fn with(&self, modules: &[Vec<u8>]) -> Result<Component, Internal> {
        let mut component = Component::new();
        let mut instance = 0;
        for section in &self.sections {
            match section {
                Section::Module(module) => {
                    let bytes = modules.get(*module).ok_or_else(|| Internal::new("a module is missing"))?;
                    component.section(&RawSection { id: ComponentSectionId::CoreModule.into(), data: bytes });
                }
                Section::Instances(instances) => {
                    let mut section = InstanceSection::new();
                    for each in instances {
                        self.instance(each, instance, &mut section)?;
                        instance += 1;
                    }
                    component.section(&section);
                }
                Section::Other(id, data) => {
                    component.section(&RawSection { id: *id, data });
                }
            }
        }
        Ok(component)
    }

    fn instance(&self, instance: &Instance<'_>, index: u32, section: &mut InstanceSection) -> Result<(), Internal> {
        match instance {
            Instance::Instantiate { args, .. } => {
                let copy = self.copies.iter().position(|copy| copy.instance == Some(index));
                let copy = copy.and_then(|copy| u32::try_from(copy).ok());
                let copy = copy.ok_or_else(|| Internal::new("an instance of no module"))?;
                section.instantiate(copy, args.iter().map(|arg| (arg.name, ModuleArg::Instance(arg.index))));
            }
            Instance::FromExports(exports) => {
                let exports = exports.iter().map(|export| Ok((export.name, kind(export.kind)?, export.index)));
                section.export_items(exports.collect::<Result<Vec<_>, Internal>>()?);
            }
        }
        Ok(())
    }
}

impl Counts {
    fn add(&mut self, payload: Payload<'_>) -> Result<(), Internal> {
        match payload {
            Payload::ComponentTypeSection(section) => self.types += section.count(),
            Payload::ComponentImportSection(section) => {
                for import in section {
                    match import.map_err(Internal::reads)?.ty {
                        ComponentTypeRef::Func(_) => self.functions += 1,
                        ComponentTypeRef::Type(_) => self.types += 1,
                        _ => {}
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    self.item(export.map_err(Internal::reads)?.kind);
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    match alias.map_err(Internal::reads)? {
                        ComponentAlias::InstanceExport { kind, .. } => self.item(kind),
                        ComponentAlias::CoreInstanceExport { kind, .. } => match kind {
                            ExternalKind::Func | ExternalKind::FuncExact => self.core_functions += 1,
                            ExternalKind::Memory => self.core_memories += 1,
                            _ => {}
                        },
                        ComponentAlias::Outer { kind: ComponentOuterAliasKind::Type, .. } => self.types += 1,
                        ComponentAlias::Outer { .. } => {}
                    }
                }
            }
            Payload::ComponentCanonicalSection(section) => {
                for function in section {
                    match function.map_err(Internal::reads)? {
                        CanonicalFunction::Lift { .. } => self.functions += 1,
                        _ => self.core_functions += 1,
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn item(&mut self, kind: ComponentExternalKind) {
        match kind {
            ComponentExternalKind::Func => self.functions += 1,
            ComponentExternalKind::Type => self.types += 1,
            _ => {}
        }
    }
}

/// A part of bytes.
pub(crate) fn slice(bytes: &[u8], start: u64, end: u64) -> Result<&[u8], Internal> {
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let part = range.and_then(|(start, end)| bytes.get(start..end));
    part.ok_or_else(|| Internal::new("a section past the end"))
}

fn kind(kind: ExternalKind) -> Result<ExportKind, Internal> {
    match kind {
        ExternalKind::Func => Ok(ExportKind::Func),
        ExternalKind::Table => Ok(ExportKind::Table),
        ExternalKind::Memory => Ok(ExportKind::Memory),
        ExternalKind::Global => Ok(ExportKind::Global),
        ExternalKind::Tag => Ok(ExportKind::Tag),
        ExternalKind::FuncExact => Err(Internal::new("an export of exact type")),
    }
}
