//! The copy of a component that is run: what is in its memories and globals can be read from outside, and its plugins can be
//! started.
//!
//! ```wat
//! ;; before                                 ;; after
//! (core module $filter                      (core module $filter
//!   (memory 1)                                (memory (export "state 0") 1)
//!   (global (mut i32) …))                     (global (export "state 1") (mut i32) …))
//! (core instance $filter …)                 (core instance $filter …)
//! …                                         …
//!                                           (core module $accessor (import "1" "state 0" (memory 1)) …)
//!                                           (core instance $accessor (instantiate $accessor (with "1" $filter)))
//!                                           (func $state (canon lift (core func $accessor "state") …))
//!                                           (func $freeze (canon lift (core func $shim "freeze")))
//!                                           (export "state" (func $state)) (export "freeze" (func $freeze))
//! ```
//!
//! A memory is copied out page by page through the accessor's own, so it need neither grow nor have room. Nothing of this is
//! in what is written: that is made of the component as it was.

use proxy_wasm_abi::freeze;
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{
    Alias, CanonicalFunctionSection, CanonicalOption, CodeSection, Component, ComponentAliasSection,
    ComponentExportKind, ComponentExportSection, ComponentSectionId, ComponentTypeSection, ComponentValType,
    EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection, InstanceSection, MemArg,
    MemArgTarget, MemorySection, MemoryType, ModuleArg, PrimitiveValType, RawSection, TypeSection, ValType,
};
use wasmparser::Payload;

use crate::module::{Module, id};
use crate::outline::Outline;
use crate::refusal::Internal;

/// The export of the copy that reads its state: `(item: u32, at: u64) -> list<u8>`. Of a global it gives the bytes of its
/// value; of a memory a page from there on, and nothing behind the end.
pub(crate) const STATE: &str = "proxy-wasm-state";

/// The export of the copy that starts its plugins: `() -> u32`.
pub(crate) const FREEZE: &str = "proxy-wasm-freeze";

/// Bytes of a page.
pub(crate) const PAGE: u64 = 64 * 1024;

/// Something that is read out of the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A memory that this module defines, by its number among those.
    Memory { copy: usize, memory: usize },
    /// The same of a global.
    Global { copy: usize, global: usize },
}

/// The component to run, and what its state consists of.
pub(crate) struct Instrumented {
    pub(crate) component: Vec<u8>,
    pub(crate) items: Vec<Item>,
}

/// Makes the copy of a component that is run. `modules`: one for each of its copies. The shim is the first of all.
pub(crate) fn instrument(outline: &Outline<'_>, modules: &[Module<'_>]) -> Result<Instrumented, Internal> {
    let mut items = Vec::new();
    let mut accessor = Accessor::default();
    let mut bytes = Vec::new();
    let mut arguments = Vec::new();
    for (copy, (copied, module)) in outline.copies.iter().zip(modules).enumerate() {
        let Some(instance) = copied.instance else {
            bytes.push(module.bytes.to_vec());
            continue;
        };
        let mut exports = Vec::new();
        for (memory, ty) in module.memories.iter().enumerate() {
            let name = format!("state {}", items.len());
            exports.push((name.clone(), ExportKind::Memory, module.imported_memories + number(memory)?));
            accessor.memory(copy, &name, *ty, number(items.len())?)?;
            items.push(Item::Memory { copy, memory });
        }
        for (global, ty) in module.variables() {
            let name = format!("state {}", items.len());
            exports.push((name.clone(), ExportKind::Global, module.imported_globals + number(global)?));
            accessor.global(copy, &name, ty, number(items.len())?)?;
            items.push(Item::Global { copy, global });
        }
        if !exports.is_empty() {
            arguments.push((copy.to_string(), ModuleArg::Instance(instance)));
        }
        bytes.push(with_exports(module, &exports)?);
    }
    let mut component = outline.with(&bytes)?;
    append(&mut component, outline, &accessor.finish(), arguments)?;
    Ok(Instrumented { component: component.finish(), items })
}

pub(crate) fn number(index: usize) -> Result<u32, Internal> {
    u32::try_from(index).map_err(Internal::new)
}

/// A module with more exports.
fn with_exports(module: &Module<'_>, added: &[(String, ExportKind, u32)]) -> Result<Vec<u8>, Internal> {
    let mut exports = ExportSection::new();
    for payload in wasmparser::Parser::new(0).parse_all(module.bytes) {
        if let Payload::ExportSection(section) = payload.map_err(Internal::reads)? {
            RoundtripReencoder.parse_export_section(&mut exports, section).map_err(Internal::encodes)?;
        }
    }
    for (name, kind, index) in added {
        exports.export(name, *kind, *index);
    }
    let mut out = wasm_encoder::Module::new().finish();
    let mut exports = Some(exports).filter(|exports| !exports.is_empty());
    for section in &module.sections {
        let is_behind = matches!(section.id, id::START | id::ELEMENT | id::CODE | id::DATA | id::DATA_COUNT);
        if section.id == id::EXPORT || is_behind {
            write_section(&mut out, exports.take());
        }
        if section.id != id::EXPORT {
            out.extend_from_slice(module.whole(section)?);
        }
    }
    write_section(&mut out, exports);
    Ok(out)
}

/// Writes a section with its header.
pub(crate) fn write_section(out: &mut Vec<u8>, section: Option<impl wasm_encoder::Section>) {
    if let Some(section) = section {
        section.append_to(out);
    }
}

/// The module that reads the state of the others.
#[derive(Default)]
struct Accessor {
    imports: ImportSection,
    memories: u32,
    globals: u32,
    /// For each item, what to do.
    readers: Vec<Reader>,
}

enum Reader {
    Memory { memory: u32, is_64: bool },
    Global { global: u32, ty: ValType },
}

/// Where the accessor puts what it returns: the address and length of the bytes, and behind them the bytes.
const RESULT_AT: i32 = 0;
const BYTES_AT: i32 = 64;

impl Accessor {
    fn memory(&mut self, copy: usize, name: &str, ty: wasmparser::MemoryType, item: u32) -> Result<(), Internal> {
        debug_assert_eq!(item as usize, self.readers.len(), "items have a reader each");
        let is_64 = ty.memory64;
        let ty = RoundtripReencoder.memory_type(ty).map_err(Internal::encodes)?;
        self.imports.import(&copy.to_string(), name, EntityType::Memory(ty));
        self.readers.push(Reader::Memory { memory: self.memories, is_64 });
        self.memories += 1;
        Ok(())
    }

    fn global(&mut self, copy: usize, name: &str, ty: wasmparser::GlobalType, item: u32) -> Result<(), Internal> {
        debug_assert_eq!(item as usize, self.readers.len(), "items have a reader each");
        let ty = RoundtripReencoder.global_type(ty).map_err(Internal::encodes)?;
        self.imports.import(&copy.to_string(), name, EntityType::Global(ty));
        self.readers.push(Reader::Global { global: self.globals, ty: ty.val_type });
        self.globals += 1;
        Ok(())
    }

    fn finish(self) -> Vec<u8> {
        // Behind the imported ones.
        let own = self.memories;
        let at =
            |offset: i32| MemArg { offset: offset as u64, align: 0, target: MemArgTarget::Memory(own), ordering: None };
        let mut function = Function::new([]);
        let mut code = function.instructions();
        for (item, reader) in (0..).zip(&self.readers) {
            code.local_get(0).i32_const(item).i32_eq().if_(wasm_encoder::BlockType::Empty);
            code.i32_const(RESULT_AT).i32_const(BYTES_AT).i32_store(at(0));
            match *reader {
                Reader::Memory { memory, is_64 } => {
                    // Within it?
                    code.local_get(1).memory_size(memory);
                    if !is_64 {
                        code.i64_extend_i32_u();
                    }
                    code.i64_const(16).i64_shl().i64_lt_u().if_(wasm_encoder::BlockType::Empty);
                    code.i32_const(BYTES_AT).local_get(1);
                    if !is_64 {
                        code.i32_wrap_i64();
                    }
                    code.i32_const(PAGE as i32).memory_copy(own, memory);
                    code.i32_const(RESULT_AT).i32_const(PAGE as i32).i32_store(at(4));
                    code.else_();
                    code.i32_const(RESULT_AT).i32_const(0).i32_store(at(4));
                    code.end();
                }
                Reader::Global { global, ty } => {
                    code.i32_const(BYTES_AT).global_get(global);
                    let size = match ty {
                        ValType::I32 => {
                            code.i32_store(at(0));
                            4
                        }
                        ValType::F32 => {
                            code.f32_store(at(0));
                            4
                        }
                        ValType::I64 => {
                            code.i64_store(at(0));
                            8
                        }
                        ValType::F64 => {
                            code.f64_store(at(0));
                            8
                        }
                        ValType::V128 => {
                            code.v128_store(at(0));
                            16
                        }
                        ValType::Ref(_) => {
                            code.unreachable();
                            0
                        }
                    };
                    code.i32_const(RESULT_AT).i32_const(size).i32_store(at(4));
                }
            }
            code.i32_const(RESULT_AT).return_().end();
        }
        code.unreachable().end();
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32, ValType::I64], [ValType::I32]);
        let mut functions = FunctionSection::new();
        functions.function(0);
        let mut memories = MemorySection::new();
        memories.memory(MemoryType { minimum: 2, maximum: None, memory64: false, shared: false, page_size_log2: None });
        let mut exports = ExportSection::new();
        exports.export("memory", ExportKind::Memory, own).export("state", ExportKind::Func, 0);
        let mut bodies = CodeSection::new();
        bodies.function(&function);
        let mut module = wasm_encoder::Module::new();
        module.section(&types).section(&self.imports).section(&functions).section(&memories);
        module.section(&exports).section(&bodies);
        module.finish()
    }
}

/// Adds the accessor and the functions that are called from outside.
fn append(
    component: &mut Component,
    outline: &Outline<'_>,
    accessor: &[u8],
    arguments: Vec<(String, ModuleArg)>,
) -> Result<(), Internal> {
    let shim = outline.copies.first().and_then(|shim| shim.instance);
    let shim = shim.ok_or_else(|| Internal::new("the shim has no instance"))?;
    let counts = outline.counts;
    component.section(&RawSection { id: ComponentSectionId::CoreModule.into(), data: accessor });
    let mut instances = InstanceSection::new();
    instances.instantiate(number(outline.copies.len())?, arguments);
    component.section(&instances);
    let mut aliases = ComponentAliasSection::new();
    let mut alias = |instance, kind, name| {
        aliases.alias(Alias::CoreInstanceExport { instance, kind, name });
    };
    alias(counts.core_instances, ExportKind::Memory, "memory");
    alias(counts.core_instances, ExportKind::Func, "state");
    alias(shim, ExportKind::Func, freeze::EXPORT);
    component.section(&aliases);
    let mut types = ComponentTypeSection::new();
    types.defined_type().list(ComponentValType::Primitive(PrimitiveValType::U8));
    types
        .function()
        .params([
            ("item", ComponentValType::Primitive(PrimitiveValType::U32)),
            ("at", ComponentValType::Primitive(PrimitiveValType::U64)),
        ])
        .result(Some(ComponentValType::Type(counts.types)));
    types
        .function()
        .params::<[(&str, ComponentValType); 0], ComponentValType>([])
        .result(Some(ComponentValType::Primitive(PrimitiveValType::U32)));
    component.section(&types);
    let mut lifted = CanonicalFunctionSection::new();
    lifted.lift(counts.core_functions, counts.types + 1, [CanonicalOption::Memory(counts.core_memories)]);
    lifted.lift(counts.core_functions + 1, counts.types + 2, []);
    component.section(&lifted);
    let mut exports = ComponentExportSection::new();
    exports.export(STATE, ComponentExportKind::Func, counts.functions, None);
    exports.export(FREEZE, ComponentExportKind::Func, counts.functions + 1, None);
    component.section(&exports);
    Ok(())
}
