//! The modules that become one, and which number each thing of them gets.

use std::collections::HashMap;

use proxy_wasm_abi::bridge::START_FUNCTIONS;
use proxy_wasm_abi::callbacks::CALLBACKS;
use wasmparser::{ExternalKind, Import, KnownCustom, Name, Parser, Payload, TypeRef};

use super::failed;
use super::name::FunctionName;
use crate::error::Internal;

/// What a module numbers, each sort from 0, the imported ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    Function,
    Table,
    Memory,
    Global,
}

impl Space {
    pub(super) const ALL: [Self; 4] = [Self::Function, Self::Table, Self::Memory, Self::Global];
}

/// Something for each sort.
pub(super) type OfEach<T> = [T; Space::ALL.len()];

/// A module that becomes a part of one.
pub(super) struct Module<'a> {
    pub(super) bytes: &'a [u8],
    /// It can't be a part of one.
    pub(super) stays_apart: bool,
    pub(super) types: u32,
    pub(super) elements: u32,
    pub(super) data: u32,
    /// For each module name that it imports from: which module that is. The host has the others.
    sources: Vec<(&'a str, usize)>,
    imports: OfEach<Vec<Import<'a>>>,
    defined: OfEach<u32>,
    exports: HashMap<&'a str, u32>,
    name: Option<&'a str>,
    function_names: HashMap<u32, &'a str>,
    /// Functions that it exports as callbacks, or to be started.
    callbacks: HashMap<u32, &'a str>,
}

impl<'a> Module<'a> {
    /// Reads a module that is known to be valid.
    pub(super) fn read(bytes: &'a [u8], sources: Vec<(&'a str, usize)>) -> Result<Self, Internal> {
        let mut module = Self {
            bytes,
            stays_apart: false,
            types: 0,
            elements: 0,
            data: 0,
            sources,
            imports: Default::default(),
            defined: [0; 4],
            exports: HashMap::new(),
            name: None,
            function_names: HashMap::new(),
            callbacks: HashMap::new(),
        };
        for payload in Parser::new(0).parse_all(bytes) {
            module.section(payload.map_err(failed)?).map_err(failed)?;
        }
        Ok(module)
    }

    fn section(&mut self, payload: Payload<'a>) -> wasmparser::Result<()> {
        match payload {
            Payload::TypeSection(section) => {
                for group in section {
                    self.types += group?.types().len() as u32;
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    match import.ty {
                        TypeRef::Func(_) => self.imports[Space::Function as usize].push(import),
                        TypeRef::Table(_) => self.imports[Space::Table as usize].push(import),
                        TypeRef::Memory(_) => self.imports[Space::Memory as usize].push(import),
                        TypeRef::Global(_) => self.imports[Space::Global as usize].push(import),
                        TypeRef::Tag(_) | TypeRef::FuncExact(_) => self.stays_apart = true,
                    }
                }
            }
            Payload::FunctionSection(section) => self.defined[Space::Function as usize] = section.count(),
            Payload::TableSection(section) => self.defined[Space::Table as usize] = section.count(),
            Payload::MemorySection(section) => self.defined[Space::Memory as usize] = section.count(),
            Payload::GlobalSection(section) => self.defined[Space::Global as usize] = section.count(),
            Payload::TagSection(_) | Payload::StartSection { .. } => self.stays_apart = true,
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    self.exports.insert(export.name, export.index);
                    if export.kind == ExternalKind::Func && is_callback(export.name) {
                        self.callbacks.insert(export.index, export.name);
                    }
                }
            }
            Payload::ElementSection(section) => self.elements = section.count(),
            Payload::DataSection(section) => self.data = section.count(),
            Payload::CustomSection(section) => {
                if let KnownCustom::Name(names) = section.as_known() {
                    // A courtesy of its maker: what can't be read is no name.
                    names.into_iter().map_while(Result::ok).for_each(|name| self.names(name));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn names(&mut self, names: Name<'a>) {
        match names {
            Name::Module { name, .. } => self.name = Some(name),
            Name::Function(map) => {
                self.function_names.extend(map.into_iter().map_while(Result::ok).map(|name| (name.index, name.name)));
            }
            _ => {}
        }
    }

    pub(super) fn imports_of(&self, space: Space) -> &[Import<'a>] {
        &self.imports[space as usize]
    }

    fn source(&self, import: &Import<'_>) -> Option<usize> {
        self.sources.iter().find(|(module, _)| *module == import.module).map(|(_, source)| *source)
    }

    /// What backtraces call its function of this number. One of a filter has a name always, which says whose it is.
    pub(super) fn name_of(&self, function: usize, of_filter: bool) -> Option<FunctionName<'a>> {
        let function = u32::try_from(function).ok()?;
        let own = self.function_names.get(&function).copied();
        let callback = self.callbacks.get(&function).copied().filter(|_| of_filter);
        (of_filter || own.is_some()).then_some(FunctionName { of_filter, module: self.name, callback, own })
    }
}

fn is_callback(name: &str) -> bool {
    CALLBACKS.iter().any(|callback| callback.name == name) || START_FUNCTIONS.iter().any(|(start, ..)| *start == name)
}

/// The modules, in the order in which what they define is numbered.
pub(super) struct Modules<'a> {
    modules: Vec<Module<'a>>,
    /// For each: how many of each sort are before what it defines.
    before: Vec<OfEach<u32>>,
}

impl<'a> Modules<'a> {
    pub(super) fn new(modules: Vec<Module<'a>>) -> Self {
        let mut before = Vec::new();
        // The joined module imports what the host has, and functions only.
        let mut next = [0; 4];
        for module in &modules {
            let imports = module.imports.iter().zip(&mut next);
            imports.for_each(|(imports, next)| *next += outside(module, imports).count() as u32);
        }
        for module in &modules {
            before.push(next);
            next.iter_mut().zip(module.defined).for_each(|(next, defined)| *next += defined);
        }
        Self { modules, before }
    }

    pub(super) fn get(&self, index: usize) -> Result<&Module<'a>, Internal> {
        self.modules.get(index).ok_or_else(|| failed("there is no such module"))
    }

    /// The modules before this one.
    pub(super) fn before(&self, index: usize) -> &[Module<'a>] {
        self.modules.get(..index).unwrap_or_default()
    }

    /// What a module imports from the host: functions, of the shim alone.
    pub(super) fn outside(&self, index: usize) -> Result<Vec<Import<'a>>, Internal> {
        let module = self.get(index)?;
        let all: Vec<_> = module.imports.iter().flat_map(|imports| outside(module, imports)).copied().collect();
        let are_functions = all.iter().all(|import| matches!(import.ty, TypeRef::Func(_)));
        if all.is_empty() || index == 0 && are_functions { Ok(all) } else { Err(failed("an import is nobody's")) }
    }

    /// The number that something of a module has in all.
    pub(super) fn number(&self, index: usize, space: Space, number: u32) -> Result<u32, Internal> {
        let (mut index, mut number) = (index, number);
        // A module may hand on what it imports; none does so to one that it is from.
        for _ in 0..=self.modules.len() {
            let module = self.get(index)?;
            let imports = module.imports_of(space);
            let Some(import) = imports.get(number as usize) else {
                let before = self.before.get(index).map_or(0, |before| before[space as usize]);
                return Ok(before + number - imports.len() as u32);
            };
            let Some(source) = module.source(import) else {
                let before = imports.iter().take(number as usize);
                return Ok(before.filter(|import| module.source(import).is_none()).count() as u32);
            };
            let export = self.get(source)?.exports.get(import.name).copied();
            (index, number) = (source, export.ok_or_else(|| failed(format!("nobody exports `{}`", import.name)))?);
        }
        Err(failed("an import is its own export"))
    }

    /// The numbers that all of a sort in a module have in all.
    pub(super) fn numbers(&self, index: usize, space: Space) -> Result<Vec<u32>, Internal> {
        let module = self.get(index)?;
        let count = module.imports_of(space).len() as u32 + module.defined[space as usize];
        (0..count).map(|number| self.number(index, space, number)).collect()
    }
}

fn outside<'m, 'a>(module: &'m Module<'a>, imports: &'m [Import<'a>]) -> impl Iterator<Item = &'m Import<'a>> {
    imports.iter().filter(|import| module.source(import).is_none())
}
