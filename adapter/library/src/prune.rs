//! Leaves out of the shim what a filter can't reach: the host calls that it does not import, and what only they need.
//!
//! Functions keep their indices: one that can't be called any more becomes a single `unreachable`. So everything that
//! refers to functions stays as it is. Whatever stands in a table counts as reachable.

use std::collections::HashSet;

use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{CodeSection, CustomSection, ExportSection, Function, Module, NameMap, NameSection};
use wasmparser::{
    CustomSectionReader, ElementItems, Export, ExternalKind, FunctionBody, KnownCustom, Name, Operator, Parser,
    Payload, TypeRef,
};

use crate::error::Internal;
use crate::reachable::Reachable;

/// Removes from the shim every export that no filter can reach, and all code that only they reach.
pub(crate) fn prune(shim: &[u8], reachable: &Reachable<'_>) -> Result<Vec<u8>, Internal> {
    keep(shim, |export| reachable.contains(export))
}

fn keep(shim: &[u8], is_wanted: impl Fn(&str) -> bool) -> Result<Vec<u8>, Internal> {
    let failed = |error: &dyn std::fmt::Display| Internal::new("prunes the shim", error.to_string());
    let graph = Graph::read(shim, &is_wanted).map_err(|error| failed(&error))?;
    let mut pruner = Pruner { live: graph.reachable(), imported: graph.imported, is_wanted };
    let mut module = Module::new();
    pruner.parse_core_module(&mut module, Parser::new(0), shim).map_err(|error| failed(&error))?;
    Ok(module.finish())
}

/// Which function calls which.
#[derive(Default)]
struct Graph {
    /// The number of imported functions, which come first.
    imported: u32,
    /// For each function that is defined: those that it names.
    callees: Vec<Vec<u32>>,
    /// What is called from outside, or through a table.
    roots: Vec<u32>,
}

impl Graph {
    fn read(shim: &[u8], is_wanted: &impl Fn(&str) -> bool) -> wasmparser::Result<Self> {
        let mut graph = Self::default();
        for payload in Parser::new(0).parse_all(shim) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        graph.imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        if export.kind == ExternalKind::Func && is_wanted(export.name) {
                            graph.roots.push(export.index);
                        }
                    }
                }
                Payload::StartSection { func, .. } => graph.roots.push(func),
                Payload::ElementSection(section) => {
                    for element in section {
                        if let ElementItems::Functions(functions) = element?.items {
                            for function in functions {
                                graph.roots.push(function?);
                            }
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => graph.callees.push(callees(&body)?),
                _ => {}
            }
        }
        Ok(graph)
    }

    /// Whether each defined function can be called.
    fn reachable(&self) -> Vec<bool> {
        let mut live = vec![false; self.callees.len()];
        let mut open = self.roots.clone();
        while let Some(function) = open.pop() {
            let Some(index) = function.checked_sub(self.imported) else { continue };
            let Some(seen) = live.get_mut(index as usize) else { continue };
            if !std::mem::replace(seen, true) {
                open.extend(&self.callees[index as usize]);
            }
        }
        live
    }
}

fn callees(body: &FunctionBody<'_>) -> wasmparser::Result<Vec<u32>> {
    let mut callees = HashSet::new();
    for operator in body.get_operators_reader()? {
        if let Operator::Call { function_index }
        | Operator::ReturnCall { function_index }
        | Operator::RefFunc { function_index } = operator?
        {
            callees.insert(function_index);
        }
    }
    let mut callees: Vec<u32> = callees.into_iter().collect();
    callees.sort_unstable();
    Ok(callees)
}

struct Pruner<F> {
    live: Vec<bool>,
    imported: u32,
    is_wanted: F,
}

impl<F> Pruner<F> {
    fn is_live(&self, function: u32) -> bool {
        function.checked_sub(self.imported).is_none_or(|index| self.live.get(index as usize) == Some(&true))
    }
}

impl<F: Fn(&str) -> bool> Reencode for Pruner<F> {
    type Error = std::convert::Infallible;

    fn parse_export(
        &mut self,
        exports: &mut ExportSection,
        export: Export<'_>,
    ) -> Result<(), reencode::Error<Self::Error>> {
        if (self.is_wanted)(export.name) { reencode::utils::parse_export(self, exports, export) } else { Ok(()) }
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<(), reencode::Error<Self::Error>> {
        if self.live.get(code.len() as usize) == Some(&true) {
            return reencode::utils::parse_function_body(self, code, body);
        }
        let mut function = Function::new([]);
        function.instructions().unreachable().end();
        code.function(&function);
        Ok(())
    }

    fn parse_custom_section(
        &mut self,
        module: &mut Module,
        section: CustomSectionReader<'_>,
    ) -> Result<(), reencode::Error<Self::Error>> {
        match section.as_known() {
            KnownCustom::Name(names) => {
                let mut kept = NameMap::new();
                for functions in names {
                    let Ok(Name::Function(functions)) = functions else { continue };
                    for naming in functions {
                        let naming = naming?;
                        if let Some(name) = shown(naming.name).filter(|_| self.is_live(naming.index)) {
                            kept.append(naming.index, &name);
                        }
                    }
                }
                let mut section = NameSection::new();
                section.module("proxy-wasm shim");
                section.functions(&kept);
                module.section(&section);
            }
            _ => {
                module.section(&CustomSection { name: section.name().into(), data: section.data().into() });
            }
        }
        Ok(())
    }
}

/// A function's name as backtraces show it: the last part of its path; none for those of libraries. All names whole would
/// be a tenth of the shim.
fn shown(symbol: &str) -> Option<String> {
    let name = format!("{:#}", rustc_demangle::demangle(symbol));
    if name.contains("::") && !name.contains("proxy_wasm") {
        return None;
    }
    let mut depth = 0_u32;
    let path: String = name
        .chars()
        .filter(|&character| {
            depth += u32::from(character == '<');
            let kept = depth == 0;
            depth = depth.saturating_sub(u32::from(character == '>'));
            kept
        })
        .collect();
    path.rsplit("::").find(|part| !part.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short() {
        for (symbol, name) in [
            ("proxy_log", "proxy_log"),
            ("_ZN22proxy_wasm_shim_wasi028exchange17Exchange$LT$G$GT$3run17h2ade9127571ff5cdE", "run"),
            ("wasi:http/incoming-handler@0.2.0#handle", "wasi:http/incoming-handler@0.2.0#handle"),
        ] {
            assert_eq!(shown(symbol).as_deref(), Some(name));
        }
        assert_eq!(shown("_ZN4core3str8converts9from_utf817h0123456789abcdefE"), None);
    }

    #[test]
    fn what_no_wanted_export_reaches_is_left_out() {
        let module = wat::parse_str(
            r#"(module
                 (import "host" "log" (func $log))
                 (table 1 funcref)
                 (elem (i32.const 0) $indirect)
                 (func $indirect (call $deep))
                 (func $deep (call $log))
                 (func $shared (call $log))
                 (func $alone (call $log) (call $shared))
                 (func (export "wanted") (call $shared))
                 (func (export "other") (call $alone)))"#,
        )
        .unwrap();
        let pruned = keep(&module, |name| name != "other").unwrap();
        wasmparser::validate(&pruned).unwrap();
        let text = wasmprinter::print_bytes(&pruned).unwrap();
        assert!(!text.contains("\"other\"") && !text.contains("$alone"), "{text}");
        assert_eq!(text.matches("unreachable").count(), 2, "{text}");
        assert_eq!(text.matches("call $log").count(), 2, "{text}");
    }
}
