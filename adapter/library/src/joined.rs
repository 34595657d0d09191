//! Makes one core module of the shim and the parts, for hosts where each request has a new instance.
//!
//! Such an instance costs what it takes to hand each module the functions that it imports: for a small filter, a hundred of
//! them, which take a third of the time. In one module they are calls within it; what is left to hand over is the host's.
//!
//! ```wat
//! ;; before                                           ;; after
//! (module $main (import "bridge" "call" …)            (module
//!   (memory 2) (func $proxy_log …))                     (memory $main 2) (memory $filter 17)
//! (module $filter (import "env" "proxy_log" …)          (func $proxy_log …)
//!   (memory 17) (func $proxy_on_log …))                 (func $proxy_on_log …)
//! (module $bridge (import "filter" "proxy_on_log" …)    (func $call …))
//!   (func $call …))
//! ```
//!
//! Only the numbers by which code refers to functions, types, memories, tables, variables and segments change. So a filter is as
//! far from the shim as before: its code has no number for the shim's memory, table or functions, but for its imports.
//!
//! Restrictions:
//! - the filters' own bytes are in it no more, so [`extract`](crate::extract()) finds none: it is for what is run at once;
//! - what has a start section, or tags, stays apart: a start section runs when the modules after its own are not there yet;
//! - hosts are to take several memories in a module: a pool has to be told so.

mod module;
mod name;
mod renumber;

use proxy_wasm_abi::bridge::{MODULE, filter_module};
use wasm_encoder::reencode::Reencode;
use wasm_encoder::{
    CodeSection, CustomSection, DataCountSection, DataSection, ElementSection, ExportSection, FunctionSection,
    GlobalSection, ImportSection, MemorySection, NameMap, NameSection, TableSection, TypeSection,
};
use wasmparser::{KnownCustom, Parser, Payload};

use crate::error::Internal;
use crate::part::{Part, Source};
use module::{Module, Modules, Space};
use renumber::Renumber;

pub use name::FunctionName;

/// What backtraces call the module.
pub const NAME: &str = "proxy-wasm joined";

fn failed(message: impl std::fmt::Display) -> Internal {
    Internal::new("joins the modules", message)
}

/// One module of the shim and these parts. `None`: they have to stay apart.
pub(crate) fn join(shim: &[u8], parts: &[Part<'_>]) -> Result<Option<Vec<u8>>, Internal> {
    let place = |name: &str| {
        let at = parts.iter().position(|part| part.name == name);
        at.map(|at| at + 1).ok_or_else(|| failed(format!("there is no `{name}`")))
    };
    let mut modules = vec![Module::read(shim, vec![(MODULE, place(MODULE)?)])?];
    for part in parts {
        let source = |(module, source): &'_ (String, Source)| match source {
            Source::Shim => Ok((module.clone(), 0)),
            Source::Part(name) => Ok((module.clone(), place(name)?)),
        };
        let sources = part.imports.iter().map(source).collect::<Result<Vec<_>, Internal>>()?;
        let sources = part.imports.iter().zip(sources).map(|((module, _), (_, at))| (module.as_str(), at));
        modules.push(Module::read(&part.bytes, sources.collect())?);
    }
    if modules.iter().any(|module| module.stays_apart) {
        return Ok(None);
    }
    let is_filter = |name: &str| (0..parts.len()).any(|vm| filter_module(vm) == name);
    let filters = std::iter::once(false).chain(parts.iter().map(|part| is_filter(&part.name)));
    let modules = Modules::new(modules);
    let mut joined = Joined::default();
    for (index, of_filter) in filters.enumerate() {
        joined.add(&modules, index, of_filter)?;
    }
    Ok(Some(joined.finish()))
}

/// The sections of the module in the making.
#[derive(Default)]
struct Joined<'a> {
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    tables: TableSection,
    memories: MemorySection,
    globals: GlobalSection,
    exports: ExportSection,
    elements: ElementSection,
    code: CodeSection,
    data: DataSection,
    names: NameMap,
    /// The shim's, which say what it is to wit-component.
    custom: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Joined<'a> {
    /// Adds a module behind those before it. What is left of imports and exports is the first one's, the shim's.
    fn add(&mut self, modules: &Modules<'a>, index: usize, of_filter: bool) -> Result<(), Internal> {
        let mut renumber = Renumber::new(modules, index)?;
        let module = modules.get(index)?;
        for import in modules.outside(index)? {
            let ty = renumber.entity_type(import.ty).map_err(failed)?;
            self.imports.import(import.module, import.name, ty);
        }
        for payload in Parser::new(0).parse_all(module.bytes) {
            match payload.map_err(failed)? {
                Payload::TypeSection(types) => renumber.parse_type_section(&mut self.types, types),
                Payload::FunctionSection(types) => renumber.parse_function_section(&mut self.functions, types),
                Payload::TableSection(tables) => renumber.parse_table_section(&mut self.tables, tables),
                Payload::MemorySection(memories) => renumber.parse_memory_section(&mut self.memories, memories),
                Payload::GlobalSection(globals) => renumber.parse_global_section(&mut self.globals, globals),
                Payload::ExportSection(exports) if index == 0 => {
                    renumber.parse_export_section(&mut self.exports, exports)
                }
                Payload::ElementSection(elements) => renumber.parse_element_section(&mut self.elements, elements),
                Payload::CodeSectionEntry(body) => renumber.parse_function_body(&mut self.code, body),
                Payload::DataSection(data) => renumber.parse_data_section(&mut self.data, data),
                Payload::CustomSection(section)
                    if index == 0 && !matches!(section.as_known(), KnownCustom::Name(_)) =>
                {
                    self.custom.push((section.name(), section.data()));
                    Ok(())
                }
                _ => Ok(()),
            }
            .map_err(failed)?;
        }
        let imported = module.imports_of(Space::Function).len();
        for (own, number) in renumber.functions().iter().enumerate().skip(imported) {
            if let Some(name) = module.name_of(own, of_filter) {
                self.names.append(*number, &name.to_string());
            }
        }
        Ok(())
    }

    fn finish(self) -> Vec<u8> {
        let mut module = wasm_encoder::Module::new();
        module.section(&self.types).section(&self.imports).section(&self.functions).section(&self.tables);
        module.section(&self.memories).section(&self.globals).section(&self.exports).section(&self.elements);
        module.section(&DataCountSection { count: self.data.len() }).section(&self.code).section(&self.data);
        for (name, data) in self.custom {
            module.section(&CustomSection { name: name.into(), data: data.into() });
        }
        let mut names = NameSection::new();
        names.module(NAME);
        names.functions(&self.names);
        module.section(&names);
        module.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIM: &str = r#"(module
        (import "bridge" "call" (func $call (param i32) (result i32)))
        (import "wasi" "now" (func $now (result i64)))
        (type $unused (func (param f32)))
        (memory (export "memory") 1)
        (table 2 funcref)
        (global $g (mut i32) (i32.const 7))
        (elem (i32.const 0) $now $log)
        (data (i32.const 8) "shim")
        (func $log (export "proxy_log") (param i32) (result i32) (i32.load (local.get 0)))
        (func (export "run") (result i32) (call $call (global.get $g))))"#;

    /// `$kept` is in no name section, as in a filter that was stripped.
    const FILTER: &str = r#"(module $my
        (import "env" "proxy_log" (func $log (param i32) (result i32)))
        (memory (export "memory") 3)
        (table 1 funcref)
        (global $g (mut i64) (i64.const 1))
        (elem (i32.const 0) $on_log)
        (data $d "filter")
        (func $on_log (export "proxy_on_log") (param i32)
          (memory.init $d (i32.const 0) (i32.const 0) (i32.const 6))
          (global.set $g (i64.const 2))
          (i32.store (local.get 0) (call $log (i32.const 8)))
          (call_indirect (param i32) (local.get 0) (i32.const 0))))"#;

    const BRIDGE: &str = r#"(module
        (import "shim" "memory" (memory $shim 0))
        (import "filter" "memory" (memory $filter 0))
        (import "filter" "proxy_on_log" (func $on_log (param i32)))
        (func (export "call") (param i32) (result i32)
          (call $on_log (local.get 0))
          (memory.copy $shim $filter (i32.const 0) (i32.const 4) (local.get 0))
          (i32.const 1)))"#;

    fn parts(filter: &str) -> Vec<Part<'static>> {
        let filter = (filter_module(0), filter, vec![("env".to_owned(), Source::Shim)]);
        let sources = vec![("shim".to_owned(), Source::Shim), ("filter".to_owned(), Source::Part(filter_module(0)))];
        let part = |(name, text, imports)| Part { name, bytes: wat::parse_str(text).unwrap().into(), imports };
        [filter, (MODULE.to_owned(), BRIDGE, sources)].map(part).into()
    }

    #[test]
    fn modules_become_one() {
        let joined = join(&wat::parse_str(SHIM).unwrap(), &parts(FILTER)).unwrap().unwrap();
        wasmparser::validate(&joined).unwrap();
        let text = wasmprinter::print_bytes(&joined).unwrap();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/joined.wat");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(file, &text).unwrap();
        }
        assert!(std::fs::read_to_string(file).unwrap() == text, "{file} is otherwise:\n{text}");
    }

    #[test]
    fn what_runs_before_the_others_are_there_stays_apart() {
        let filter = FILTER.replacen("(memory", "(start $s) (func $s) (memory", 1);
        assert_eq!(join(&wat::parse_str(SHIM).unwrap(), &parts(&filter)).unwrap(), None);
        let filter = FILTER.replacen("(memory", "(tag) (memory", 1);
        assert_eq!(join(&wat::parse_str(SHIM).unwrap(), &parts(&filter)).unwrap(), None);
    }
}
