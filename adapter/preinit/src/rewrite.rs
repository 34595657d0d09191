//! A module as it was, but that its memories and variables begin as they were written down.
//!
//! ```wat
//! ;; before                                ;; after
//! (memory 1)                               (memory 3)
//! (global (mut i32) (i32.const 0))         (global (mut i32) (i32.const 4711))
//! (start $init)
//! (code …)                                 (code …)    the same, byte for byte, as is all that is not here
//! (data (i32.const 1024) "…")              (data (i32.const 1024) "…") (data (i32.const 70000) "…")
//! ```
//!
//! Tables are filled anew by the module, as no function of it changes them.

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{ConstExpr, DataCountSection, DataSection, GlobalSection, MemorySection};
use wasmparser::{DataKind, ValType};

use crate::instrument::{PAGE, number, write_section};
use crate::module::{Module, id};
use crate::refusal::Internal;
use crate::segments::{Segment, segments};

/// The state of a module's instance.
#[derive(Default)]
pub(crate) struct State {
    /// The bytes of each memory that it defines.
    pub(crate) memories: Vec<Vec<u8>>,
    /// The variables, by their number among the globals that it defines, each with the bytes of its value.
    pub(crate) globals: Vec<(usize, Vec<u8>)>,
}

/// A module that begins with a state, and how it was before.
pub(crate) struct Rewritten {
    pub(crate) bytes: Vec<u8>,
    /// What it was, in pieces of what it is.
    pub(crate) original: Vec<proxy_wasm_adapter::preinit::Piece>,
}

/// Lets a module begin with a state.
pub(crate) fn rewrite(module: &Module<'_>, state: &State) -> Result<Rewritten, Internal> {
    let mut out = Output { bytes: module.bytes.get(..8).unwrap_or_default().to_vec(), original: Vec::new() };
    out.kept(0);
    let segments = data(module, state)?;
    let count = segments.len();
    let mut segments = Some(segments).filter(|segments| !segments.is_empty());
    for section in &module.sections {
        let whole = module.whole(section)?;
        match section.id {
            id::MEMORY => out.replaced(whole, Some(memories(module, state)?)),
            id::GLOBAL => out.replaced(whole, Some(globals(module, state)?)),
            id::START => out.replaced(whole, None::<MemorySection>),
            id::DATA_COUNT => out.replaced(whole, Some(DataCountSection { count })),
            id::DATA => out.replaced(whole, segments.take()),
            _ => {
                let at = out.bytes.len();
                out.bytes.extend_from_slice(whole);
                out.kept(at);
            }
        }
    }
    write_section(&mut out.bytes, segments);
    Ok(Rewritten { bytes: out.bytes, original: out.original })
}

struct Output {
    bytes: Vec<u8>,
    original: Vec<proxy_wasm_adapter::preinit::Piece>,
}

impl Output {
    /// What was written since then is as it was.
    fn kept(&mut self, at: usize) {
        use proxy_wasm_adapter::preinit::Piece;
        let to = self.bytes.len();
        match self.original.last_mut() {
            Some(Piece::Kept(range)) if range.end == at => range.end = to,
            _ => self.original.push(Piece::Kept(at..to)),
        }
    }

    /// In this place stands a section, or nothing, where the other was.
    fn replaced(&mut self, whole: &[u8], section: Option<impl wasm_encoder::Section>) {
        write_section(&mut self.bytes, section);
        self.original.push(proxy_wasm_adapter::preinit::Piece::Other(whole.to_vec()));
    }
}

fn memories(module: &Module<'_>, state: &State) -> Result<MemorySection, Internal> {
    let mut section = MemorySection::new();
    for (ty, bytes) in module.memories.iter().zip(&state.memories) {
        let mut ty = RoundtripReencoder.memory_type(*ty).map_err(Internal::encodes)?;
        ty.minimum = bytes.len() as u64 / PAGE;
        section.memory(ty);
    }
    Ok(section)
}

fn globals(module: &Module<'_>, state: &State) -> Result<GlobalSection, Internal> {
    let mut section = GlobalSection::new();
    for (index, (ty, init)) in module.globals.iter().enumerate() {
        let written = state.globals.iter().find(|(global, _)| *global == index);
        let init = match written {
            Some((_, bytes)) => value(ty.content_type, bytes)?,
            None => RoundtripReencoder.const_expr(init.clone()).map_err(Internal::encodes)?,
        };
        section.global(RoundtripReencoder.global_type(*ty).map_err(Internal::encodes)?, &init);
    }
    Ok(section)
}

fn value(ty: ValType, bytes: &[u8]) -> Result<ConstExpr, Internal> {
    fn of<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Internal> {
        bytes.try_into().map_err(|_| Internal::new("a value of another size"))
    }
    Ok(match ty {
        ValType::I32 => ConstExpr::i32_const(i32::from_le_bytes(of(bytes)?)),
        ValType::I64 => ConstExpr::i64_const(i64::from_le_bytes(of(bytes)?)),
        ValType::F32 => ConstExpr::f32_const(wasm_encoder::Ieee32::new(u32::from_le_bytes(of(bytes)?))),
        ValType::F64 => ConstExpr::f64_const(wasm_encoder::Ieee64::new(u64::from_le_bytes(of(bytes)?))),
        ValType::V128 => ConstExpr::v128_const(i128::from_le_bytes(of(bytes)?)),
        ValType::Ref(_) => return Err(Internal::new("a value that is a reference")),
    })
}

/// What the memories hold. Data that functions copy from later keep their number; what was put into memory at the beginning
/// is there, and functions find it empty, as before.
fn data(module: &Module<'_>, state: &State) -> Result<DataSection, Internal> {
    let mut section = DataSection::new();
    if module.uses_data {
        for data in &module.data {
            match data.kind {
                DataKind::Passive => section.passive(data.data.iter().copied()),
                DataKind::Active { .. } => section.passive([]),
            };
        }
    }
    for (memory, (ty, bytes)) in module.memories.iter().zip(&state.memories).enumerate() {
        let memory = module.imported_memories + number(memory)?;
        for Segment { at, bytes } in segments(bytes) {
            let offset =
                if ty.memory64 { ConstExpr::i64_const(at as i64) } else { ConstExpr::i32_const(at as u32 as i32) };
            section.active(memory, &offset, bytes.iter().copied());
        }
    }
    Ok(section)
}
