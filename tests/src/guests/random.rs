//! Numbers that a seed decides.

use sha2::{Digest, Sha256};

/// The digests of a seed and a counter, byte by byte.
#[derive(Debug)]
pub struct Random {
    seed: String,
    block: u64,
    bytes: Vec<u8>,
}

impl Random {
    /// The numbers of this seed.
    pub fn new(seed: impl Into<String>) -> Self {
        Self { seed: seed.into(), block: 0, bytes: Vec::new() }
    }

    fn byte(&mut self) -> u8 {
        loop {
            if let Some(byte) = self.bytes.pop() {
                return byte;
            }
            self.block += 1;
            self.bytes = Sha256::digest(format!("{} {}", self.seed, self.block)).to_vec();
        }
    }

    /// One below this, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::from(u16::from_le_bytes([self.byte(), self.byte()])) % limit
    }

    /// Whether one of so many cases is this one.
    pub fn one_in(&mut self, cases: usize) -> bool {
        self.below(cases) == 0
    }

    /// One of these.
    pub fn choose<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }
}
