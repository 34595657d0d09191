//! What stands in a core module, as far as the stages after this one need it.

use std::fmt;

use proxy_wasm_abi::foreign_functions::{FOREIGN_FUNCTIONS, ForeignFunction, Presence};
use proxy_wasm_abi::higress;
use proxy_wasm_abi::host_calls::{HostCall, Type};
use wasmparser::{ExternalKind, MemoryType, Parser, Payload, TypeRef, ValType};

use crate::named::names;

/// A function's type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    /// The types of its parameters.
    pub params: Vec<ValType>,
    /// The types of its results.
    pub results: Vec<ValType>,
}

impl Signature {
    /// A function of `params` and `results` numbers of type `i32`.
    pub(crate) fn i32s(params: usize, results: usize) -> Self {
        Self { params: vec![ValType::I32; params], results: vec![ValType::I32; results] }
    }

    /// A function of these types.
    pub(crate) fn of(params: impl IntoIterator<Item = Type>, results: impl IntoIterator<Item = Type>) -> Self {
        let value = |number| match number {
            Type::I32 => ValType::I32,
            Type::I64 => ValType::I64,
        };
        Self { params: params.into_iter().map(value).collect(), results: results.into_iter().map(value).collect() }
    }

    /// Whether it has numbers and vectors only, so that it means the same in every module.
    pub(crate) fn is_numeric(&self) -> bool {
        self.params.iter().chain(&self.results).all(|ty| !matches!(ty, ValType::Ref(_)))
    }

    /// The host call's type.
    pub(crate) fn of_host_call(call: &HostCall) -> Self {
        Self::of(call.params(), call.result.then_some(Type::I32))
    }

    /// The type of a host call of Higress's.
    pub(crate) fn of_higress_call(call: &higress::HostCall) -> Self {
        Self::i32s(call.params, 1)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |types: &[ValType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "({})", list(&self.params))?;
        match self.results.as_slice() {
            [] => Ok(()),
            [one] => write!(f, " -> {one}"),
            more => write!(f, " -> ({})", list(more)),
        }
    }
}

/// An import, or an export's meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Function(Signature),
    /// A memory, a table, a global or a tag.
    Other(&'static str),
}

/// An import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) module: String,
    pub(crate) name: String,
    pub(crate) item: Item,
}

/// An export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Export {
    pub(crate) name: String,
    pub(crate) item: Item,
}

/// What stands in a core module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) imports: Vec<Import>,
    pub(crate) exports: Vec<Export>,
    /// Imported ones included.
    pub(crate) memories: Vec<MemoryType>,
    /// The entries of each table, imported ones included.
    pub(crate) tables: Vec<u64>,
    pub(crate) has_start_section: bool,
    /// Field, name and version.
    pub(crate) producers: Vec<(String, String, String)>,
    /// The names of the custom sections.
    pub(crate) custom_sections: Vec<String>,
}

impl Facts {
    /// Reads a module that is known to be valid.
    pub(crate) fn read(module: &[u8]) -> wasmparser::Result<Self> {
        let mut facts = Self::default();
        let mut types: Vec<Option<Signature>> = Vec::new();
        let mut functions: Vec<u32> = Vec::new();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        types.extend(group?.into_types().map(|ty| match ty.composite_type.inner {
                            wasmparser::CompositeInnerType::Func(ty) => {
                                Some(Signature { params: ty.params().to_vec(), results: ty.results().to_vec() })
                            }
                            _ => None,
                        }));
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        let item = match import.ty {
                            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                                functions.push(ty);
                                function(&types, ty)
                            }
                            TypeRef::Memory(ty) => {
                                facts.memories.push(ty);
                                Item::Other("memory")
                            }
                            TypeRef::Table(ty) => {
                                facts.tables.push(ty.initial);
                                Item::Other("table")
                            }
                            TypeRef::Global(_) => Item::Other("global"),
                            TypeRef::Tag(_) => Item::Other("tag"),
                        };
                        facts.imports.push(Import { module: import.module.into(), name: import.name.into(), item });
                    }
                }
                Payload::FunctionSection(section) => {
                    for ty in section {
                        functions.push(ty?);
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        facts.memories.push(memory?);
                    }
                }
                Payload::TableSection(section) => {
                    for table in section {
                        facts.tables.push(table?.ty.initial);
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        let item = match export.kind {
                            ExternalKind::Func | ExternalKind::FuncExact => {
                                let ty = functions.get(export.index as usize).copied().unwrap_or(u32::MAX);
                                function(&types, ty)
                            }
                            ExternalKind::Memory => Item::Other("memory"),
                            ExternalKind::Table => Item::Other("table"),
                            ExternalKind::Global => Item::Other("global"),
                            ExternalKind::Tag => Item::Other("tag"),
                        };
                        facts.exports.push(Export { name: export.name.into(), item });
                    }
                }
                Payload::StartSection { .. } => facts.has_start_section = true,
                Payload::CustomSection(section) => {
                    facts.custom_sections.push(section.name().into());
                    if let wasmparser::KnownCustom::Producers(fields) = section.as_known() {
                        // A producers section is a courtesy: one that does not parse is no reason to refuse.
                        facts.producers.extend(producers(fields).unwrap_or_default());
                    }
                }
                _ => {}
            }
        }
        Ok(facts)
    }

    /// The foreign functions that the module gets, where it can call any: those that are always there, those whose names
    /// stand in it, and these others.
    pub(crate) fn foreign_functions(&self, module: &[u8], others: &[String]) -> Vec<&'static ForeignFunction> {
        if self.imports.iter().all(|import| import.name != "proxy_call_foreign_function") {
            return Vec::new();
        }
        FOREIGN_FUNCTIONS
            .iter()
            .filter(|function| {
                function.presence == Presence::Always
                    || others.iter().any(|other| other == function.name)
                    || names(module, function.name)
            })
            .collect()
    }

    /// The type of the function exported under this name.
    pub(crate) fn exported_function(&self, name: &str) -> Option<&Signature> {
        self.exports.iter().find(|export| export.name == name).and_then(|export| match &export.item {
            Item::Function(signature) => Some(signature),
            Item::Other(_) => None,
        })
    }

    /// Whether a memory is exported under this name.
    pub(crate) fn exports_memory(&self, name: &str) -> bool {
        self.exports.iter().any(|export| export.name == name && export.item == Item::Other("memory"))
    }
}

fn function(types: &[Option<Signature>], index: u32) -> Item {
    let signature = types.get(index as usize).cloned().flatten();
    Item::Function(signature.unwrap_or(Signature { params: Vec::new(), results: Vec::new() }))
}

fn producers(section: wasmparser::ProducersSectionReader<'_>) -> wasmparser::Result<Vec<(String, String, String)>> {
    let mut all = Vec::new();
    for field in section {
        let field = field?;
        for value in field.values {
            let value = value?;
            all.push((field.name.into(), value.name.into(), value.version.into()));
        }
    }
    Ok(all)
}
