//! The filter's memory as a host call sees it.

use std::ops::Deref;

use proxy_wasm_abi::enums::Status;
use proxy_wasm_semantics::{Blob, Borrowed, Chain, Guest};

/// The filter's memory and allocator.
pub trait Memory {
    /// Bytes of memory, at least: it only grows, so an older number may be returned where `needed` is within it.
    fn len(&self, needed: u64) -> u64;

    /// Copies out. The range is within [`len`](Self::len).
    fn read(&self, at: u32, into: &mut [u8]);

    /// Copies in. The range is within [`len`](Self::len).
    fn write(&self, at: u32, bytes: &[u8]);

    /// Calls the filter's allocator; 0 where it failed.
    fn allocate(&self, len: u32) -> u32;

    /// Runs this row of [`FOREIGN_FUNCTIONS`](proxy_wasm_abi::foreign_functions::FOREIGN_FUNCTIONS), if the component
    /// has it.
    fn foreign(&self, function: u32);
}

/// What memory is before the filter's bytes are in it.
static ZEROES: [u8; 4096] = [0; 4096];

/// A host call in progress.
pub struct Caller<'a, G> {
    chain: &'a Chain<G>,
}

pub(crate) type Outcome<T = ()> = Result<T, Status>;

/// Bytes of the filter's. Most names and values are short, and need no memory to be asked for.
pub(crate) enum Text {
    Short([u8; Text::SHORT], usize),
    Long(Vec<u8>),
}

impl Text {
    const SHORT: usize = 64;
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short(bytes, len) => bytes.get(..*len).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

impl<'a, G: Guest + Memory> Caller<'a, G> {
    /// A host call by the filter of this chain that runs.
    pub fn new(chain: &'a Chain<G>) -> Self {
        Self { chain }
    }

    pub(crate) fn state(&self) -> Borrowed<'a> {
        self.chain.state()
    }

    pub(crate) fn chain(&self) -> &'a Chain<G> {
        self.chain
    }

    pub(crate) fn memory(&self) -> &'a G {
        self.chain.guest()
    }

    /// Checks that `len` bytes at `at` are in the filter's memory.
    pub(crate) fn check(&self, at: u32, len: u32) -> Outcome {
        let end = u64::from(at) + u64::from(len);
        if end <= self.memory().len(end) { Ok(()) } else { Err(Status::InvalidMemoryAccess) }
    }

    /// The bytes at `at`. A length that the shim itself has no memory for is an internal failure.
    pub(crate) fn bytes(&self, at: u32, len: u32) -> Outcome<Vec<u8>> {
        self.check(at, len)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len as usize).map_err(|_| Status::InternalFailure)?;
        // Piece by piece: `resize` would be compiled as a loop over the bytes.
        while bytes.len() < len as usize {
            let more = ZEROES.len().min(len as usize - bytes.len());
            bytes.extend_from_slice(&ZEROES[..more]);
        }
        if len > 0 {
            self.memory().read(at, &mut bytes);
        }
        Ok(bytes)
    }

    /// The same, of bytes that are only looked at.
    pub(crate) fn text(&self, at: u32, len: u32) -> Outcome<Text> {
        let mut bytes = [0; Text::SHORT];
        let Some(into) = bytes.get_mut(..len as usize) else { return Ok(Text::Long(self.bytes(at, len)?)) };
        self.check(at, len)?;
        if len > 0 {
            self.memory().read(at, into);
        }
        Ok(Text::Short(bytes, len as usize))
    }

    pub(crate) fn u32_at(&self, at: u32) -> Outcome<u32> {
        self.check(at, 4)?;
        let mut bytes = [0; 4];
        self.memory().read(at, &mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    /// Writes bytes at `at`.
    pub(crate) fn put(&self, at: u32, bytes: &[u8]) -> Outcome {
        self.check(at, bytes.len() as u32)?;
        if !bytes.is_empty() {
            self.memory().write(at, bytes);
        }
        Ok(())
    }

    pub(crate) fn put_u32(&self, at: u32, number: u32) -> Outcome {
        self.put(at, &number.to_le_bytes())
    }

    pub(crate) fn put_u64(&self, at: u32, number: u64) -> Outcome {
        self.put(at, &number.to_le_bytes())
    }

    /// Memory of the filter's, from its allocator.
    fn allocate(&self, len: u32) -> Outcome<u32> {
        let at = self.memory().allocate(len);
        if at == 0 {
            return Err(Status::InvalidMemoryAccess);
        }
        self.check(at, len)?;
        Ok(at)
    }

    /// Hands bytes over: allocates, copies, and writes pointer and size. No bytes are pointer 0 and size 0.
    pub(crate) fn give(&self, bytes: &[u8], pointer: u32, size: u32) -> Outcome {
        let len = bytes.len() as u32;
        let at = if len == 0 { 0 } else { self.allocate(len)? };
        self.put(at, bytes)?;
        self.put_u32(pointer, at)?;
        self.put_u32(size, len)
    }

    /// Hands over what the semantics hold, without a copy in between.
    pub(crate) fn give_blob(&self, blob: Blob, pointer: u32, size: u32) -> Outcome {
        let at = if blob.len == 0 { 0 } else { self.allocate(blob.len)? };
        let mut state = self.state();
        let bytes = state.bytes(blob);
        self.put(at, bytes)?;
        let len = bytes.len() as u32;
        drop(state);
        self.put_u32(pointer, at)?;
        self.put_u32(size, len)
    }
}
