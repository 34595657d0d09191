//! Leaves out of the shim what it would import for what the settings don't ask for: state that the host keeps, on WASI 0.3 a
//! next handler, and `wasi:http` where requests come otherwise.
//!
//! Each function that is imported for it becomes one that traps, defined before all others, so that these keep
//! their indices; wit-component then finds nothing to import.

use std::collections::BTreeMap;

use proxy_wasm_abi::settings::{Action, Settings, SharedStateIn};
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{
    CodeSection, CustomSection, Function, FunctionSection, ImportSection, Module, NameMap, NameSection,
};
use wasmparser::{
    CodeSectionReader, CustomSectionReader, FunctionSectionReader, ImportSectionReader, KnownCustom, Name, Parser,
    Payload, TypeRef,
};

use crate::error::Internal;
use crate::exports::Exports;

/// What the shim imports for state that the host keeps.
const SHARED_STATE: &str = "proxy-wasm:adapter/shared@0.1.0";
/// What it imports for the component that is linked behind it.
const NEXT_HANDLER: &str = "wasi:http/handler@0.3.0";

/// The shim without these imports, unless the settings ask for them.
pub(crate) fn remove(shim: Vec<u8>, settings: &Settings, exports: Exports) -> Result<Vec<u8>, Internal> {
    let mut unused = exports.unused_imports().to_vec();
    if settings.upkeep.state != SharedStateIn::Host {
        unused.push(SHARED_STATE);
    }
    if !settings.routes.iter().any(|route| matches!(route.action, Action::Next { .. })) {
        unused.push(NEXT_HANDLER);
    }
    without(&shim, &unused)
}

fn without(shim: &[u8], unused: &[&str]) -> Result<Vec<u8>, Internal> {
    let failed = |error: &dyn std::fmt::Display| Internal::new("takes imports out of the shim", error.to_string());
    let mut remover = Remover::read(shim, unused).map_err(|error| failed(&error))?;
    let mut module = Module::new();
    remover.parse_core_module(&mut module, Parser::new(0), shim).map_err(|error| failed(&error))?;
    Ok(module.finish())
}

/// The imported functions.
struct Remover<'a> {
    /// The interfaces that are left out.
    unused: &'a [&'a str],
    /// For each: where it goes.
    indices: Vec<u32>,
    /// The types of those that are removed.
    removed: Vec<u32>,
}

impl<'a> Remover<'a> {
    fn read(shim: &[u8], unused: &'a [&'a str]) -> wasmparser::Result<Self> {
        let mut functions = Vec::new();
        for payload in Parser::new(0).parse_all(shim) {
            if let Payload::ImportSection(section) = payload? {
                for import in section.into_imports() {
                    let import = import?;
                    if let TypeRef::Func(of_type) = import.ty {
                        functions.push((unused.contains(&import.module), of_type));
                    }
                }
            }
        }
        let removed: Vec<u32> = functions.iter().filter(|(is_removed, _)| *is_removed).map(|(_, of)| *of).collect();
        let (mut kept, mut stubs) = (0.., functions.len().saturating_sub(removed.len()) as u32..);
        let next = |(is_removed, _): &(bool, u32)| if *is_removed { stubs.next() } else { kept.next() };
        Ok(Self { unused, indices: functions.iter().filter_map(next).collect(), removed })
    }
}

impl Reencode for Remover<'_> {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, reencode::Error<Self::Error>> {
        Ok(self.indices.get(function as usize).copied().unwrap_or(function))
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: ImportSectionReader<'_>,
    ) -> Result<(), reencode::Error<Self::Error>> {
        for import in section.into_imports() {
            let import = import?;
            if !self.unused.contains(&import.module) {
                self.parse_import(imports, import)?;
            }
        }
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), reencode::Error<Self::Error>> {
        for of_type in &self.removed {
            functions.function(*of_type);
        }
        reencode::utils::parse_function_section(self, functions, section)
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), reencode::Error<Self::Error>> {
        for _ in &self.removed {
            let mut function = Function::new([]);
            function.instructions().unreachable().end();
            code.function(&function);
        }
        reencode::utils::parse_code_section(self, code, section)
    }

    /// Names stand in the order of the functions. There are no names of anything else, as the shim was pruned.
    fn parse_custom_section(
        &mut self,
        module: &mut Module,
        section: CustomSectionReader<'_>,
    ) -> Result<(), reencode::Error<Self::Error>> {
        let KnownCustom::Name(names) = section.as_known() else {
            module.section(&CustomSection { name: section.name().into(), data: section.data().into() });
            return Ok(());
        };
        let mut functions = BTreeMap::new();
        let mut section = NameSection::new();
        for subsection in names {
            match subsection? {
                Name::Module { name, .. } => section.module(name),
                Name::Function(names) => {
                    for naming in names {
                        let naming = naming?;
                        functions.insert(self.function_index(naming.index)?, naming.name);
                    }
                }
                _ => {}
            }
        }
        let mut kept = NameMap::new();
        functions.iter().for_each(|(function, name)| kept.append(*function, name));
        section.functions(&kept);
        module.section(&section);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_become_traps() {
        let module = wat::parse_str(
            r#"(module $m
                 (import "a" "first" (func $first (param i64)))
                 (import "proxy-wasm:adapter/shared@0.1.0" "get" (func $get (param i32)))
                 (import "a" "last" (func $last))
                 (func $inner)
                 (func (export "f")
                   (call $first (i64.const 1)) (call $get (i32.const 2)) (call $last) (call $inner)))"#,
        );
        let without = without(&module.unwrap(), &[SHARED_STATE]).unwrap();
        wasmparser::validate(&without).unwrap();
        let text = wasmprinter::print_bytes(&without).unwrap();
        assert!(!text.contains("adapter/shared"), "{text}");
        for call in ["call $first", "call $get", "call $last", "call $inner", "(func $get (;2;)", "(func $inner (;3;)"]
        {
            assert!(text.contains(call), "no `{call}` in {text}");
        }
    }
}
