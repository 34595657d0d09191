//! A core module as a list of sections, with what a snapshot of it has to hold.

use std::ops::Range;

use wasmparser::{
    CompositeInnerType, ConstExpr, Data, DataKind, ExternalKind, GlobalType, MemoryType, Operator, Parser, Payload,
    TypeRef, ValType,
};

use crate::refusal::{Internal, Refusal};

/// A section.
pub(crate) struct Section {
    pub(crate) id: u8,
    /// Where it is, its header with it.
    pub(crate) whole: Range<usize>,
}

/// A module, taken apart.
pub(crate) struct Module<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) sections: Vec<Section>,
    pub(crate) imported_memories: u32,
    pub(crate) imported_globals: u32,
    /// Those that it defines.
    pub(crate) memories: Vec<MemoryType>,
    /// Those that it defines, each with what it begins with.
    pub(crate) globals: Vec<(GlobalType, ConstExpr<'a>)>,
    pub(crate) data: Vec<Data<'a>>,
    /// A function of it copies from data that are not put into memory at the beginning.
    pub(crate) uses_data: bool,
}

/// The ids of sections, as the specification has them.
pub(crate) mod id {
    pub(crate) const MEMORY: u8 = 5;
    pub(crate) const GLOBAL: u8 = 6;
    pub(crate) const EXPORT: u8 = 7;
    pub(crate) const START: u8 = 8;
    pub(crate) const ELEMENT: u8 = 9;
    pub(crate) const CODE: u8 = 10;
    pub(crate) const DATA: u8 = 11;
    pub(crate) const DATA_COUNT: u8 = 12;
}

impl<'a> Module<'a> {
    /// Takes a module apart.
    ///
    /// # Errors
    /// [`Refusal::Unsupported`] where it can have state that a snapshot has no room for.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let mut module = Self {
            bytes,
            sections: Vec::new(),
            imported_memories: 0,
            imported_globals: 0,
            memories: Vec::new(),
            globals: Vec::new(),
            data: Vec::new(),
            uses_data: false,
        };
        // Behind the magic number and the version.
        let mut end = 8;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(Internal::reads)?;
            if let Some((id, range)) = payload.as_section() {
                let section_end = usize::try_from(range.end).map_err(Internal::new)?;
                module.sections.push(Section { id, whole: end..section_end });
                end = section_end;
            }
            module.section(payload)?;
        }
        Ok(module)
    }

    fn section(&mut self, payload: Payload<'a>) -> Result<(), Refusal> {
        match payload {
            Payload::TypeSection(section) => {
                for group in section {
                    for ty in group.map_err(Internal::reads)?.into_types() {
                        if !matches!(ty.composite_type.inner, CompositeInnerType::Func(_)) {
                            return Err(unsupported("a module has types of garbage-collected memory"));
                        }
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    match import.map_err(Internal::reads)?.ty {
                        TypeRef::Memory(_) => self.imported_memories += 1,
                        TypeRef::Global(_) => self.imported_globals += 1,
                        _ => {}
                    }
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory.map_err(Internal::reads)?;
                    if memory.shared || memory.page_size_log2.is_some() {
                        return Err(unsupported(
                            "a module has a memory that threads share, or with pages of another size",
                        ));
                    }
                    self.memories.push(memory);
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    let global = global.map_err(Internal::reads)?;
                    if global.ty.mutable && matches!(global.ty.content_type, ValType::Ref(_)) {
                        return Err(unsupported("a module has a variable that holds a reference"));
                    }
                    self.globals.push((global.ty, global.init_expr));
                }
            }
            Payload::DataSection(section) => {
                for data in section {
                    self.data.push(data.map_err(Internal::reads)?);
                }
            }
            Payload::CodeSectionEntry(body) => {
                let operators = body.get_operators_reader().map_err(Internal::reads)?;
                for operator in operators {
                    match operator.map_err(Internal::reads)? {
                        Operator::TableSet { .. }
                        | Operator::TableGrow { .. }
                        | Operator::TableFill { .. }
                        | Operator::TableCopy { .. }
                        | Operator::TableInit { .. }
                        | Operator::ElemDrop { .. } => return Err(unsupported("a module changes its tables")),
                        Operator::DataDrop { .. } => {
                            return Err(unsupported("a module gives up data that it came with"));
                        }
                        Operator::MemoryInit { .. } => self.uses_data = true,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The globals whose value may have changed, by their number among those that it defines.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (usize, GlobalType)> {
        let globals = self.globals.iter().enumerate();
        globals.filter(|(_, (ty, _))| ty.mutable).map(|(index, (ty, _))| (index, *ty))
    }

    /// Whether data is put into a memory at the beginning.
    pub(crate) fn has_active_data(&self) -> bool {
        self.data.iter().any(|data| matches!(data.kind, DataKind::Active { .. }))
    }

    /// Whether nothing of it can be in a snapshot: it has no state of its own, and changes none when it is instantiated.
    pub(crate) fn is_stateless(&self) -> bool {
        let has_start = self.sections.iter().any(|section| section.id == id::START);
        self.memories.is_empty() && self.variables().next().is_none() && !self.has_active_data() && !has_start
    }

    pub(crate) fn whole(&self, section: &Section) -> Result<&'a [u8], Internal> {
        self.bytes.get(section.whole.clone()).ok_or_else(|| Internal::new("a section past the end"))
    }

    /// Whether it exports a function of this name.
    pub(crate) fn exports(bytes: &[u8], name: &str) -> bool {
        Parser::new(0).parse_all(bytes).map_while(Result::ok).any(|payload| match payload {
            Payload::ExportSection(section) => section
                .into_iter()
                .map_while(Result::ok)
                .any(|export| export.name == name && export.kind == ExternalKind::Func),
            _ => false,
        })
    }
}

fn unsupported(what: &str) -> Refusal {
    Refusal::Unsupported { what: what.into() }
}
