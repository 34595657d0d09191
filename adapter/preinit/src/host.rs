//! The host that a component is started on: everything it says is the same each time, and is written down.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand_core::TryRng;
use sha2::{Digest, Sha256};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// Bytes of the log that are kept.
const LOG_BYTES: usize = 1 << 20;

/// What the monotonic clock shows at first. Not 0: Go's runtime takes that for a clock that does not work.
const CLOCK_START: u64 = 1_000_000;

/// How much later it is each time it is looked at, in nanoseconds: about what a look takes.
const CLOCK_STEP: u64 = 100;

/// What was asked of the host.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    random_bytes: AtomicU64,
    wall_clock: AtomicU64,
}

impl Seen {
    pub(crate) fn random_bytes(&self) -> u64 {
        self.random_bytes.load(Relaxed)
    }

    /// How often it looked what day it is.
    pub(crate) fn wall_clock(&self) -> u64 {
        self.wall_clock.load(Relaxed)
    }
}

/// What an instance has of its host.
pub(crate) struct Host {
    table: ResourceTable,
    ctx: WasiCtx,
    pub(crate) memory: Memory,
}

impl Host {
    /// One whose random bytes follow from this seed.
    pub(crate) fn new(seed: [u8; 32], memory_max: usize, seen: &Arc<Seen>, log: &MemoryOutputPipe) -> Self {
        let random = || Random { seed, drawn: 0, stock: Vec::new(), seen: seen.clone() };
        let ctx = WasiCtxBuilder::new()
            .stderr(log.clone())
            .secure_random(random())
            .insecure_random(random())
            .wall_clock(WallClock(seen.clone()))
            .monotonic_clock(MonotonicClock(AtomicU64::new(CLOCK_START)))
            .build();
        Self { table: ResourceTable::new(), ctx, memory: Memory { most: memory_max, taken: 0, refused: false } }
    }

    /// Whether the instance has nothing of the host's.
    pub(crate) fn is_free(&self) -> bool {
        self.table.is_empty()
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }
}

/// Where the log goes.
pub(crate) fn log() -> MemoryOutputPipe {
    MemoryOutputPipe::new(LOG_BYTES)
}

/// The memory that all parts of the instance have taken.
pub(crate) struct Memory {
    most: usize,
    taken: usize,
    refused: bool,
}

impl Memory {
    /// Whether some was refused.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }
}

impl wasmtime::ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let taken = self.taken.saturating_add(desired.saturating_sub(current));
        if taken > self.most {
            self.refused = true;
            return Ok(false);
        }
        self.taken = taken;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // As many bytes as an element takes of the machine.
        Ok(desired.saturating_mul(size_of::<usize>()) <= self.most)
    }
}

/// Bytes that look random, and are the same for the same component.
struct Random {
    seed: [u8; 32],
    drawn: u64,
    stock: Vec<u8>,
    seen: Arc<Seen>,
}

impl Random {
    /// `asked`: for how many bytes of these.
    fn fill(&mut self, out: &mut [u8], asked: u64) {
        self.seen.random_bytes.fetch_add(asked, Relaxed);
        for byte in out {
            if self.stock.is_empty() {
                let block = Sha256::new().chain_update(self.seed).chain_update(self.drawn.to_le_bytes());
                self.stock = block.finalize().to_vec();
                self.drawn += 1;
            }
            *byte = self.stock.pop().unwrap_or_default();
        }
    }

    fn next<const N: usize>(&mut self, asked: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes, asked);
        bytes
    }
}

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        // That is how Wasmtime draws each byte of `get-random-bytes`.
        Ok(u32::from_le_bytes(self.next(1)))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.next(8)))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.fill(out, out.len() as u64);
        Ok(())
    }
}

/// The machine's.
struct WallClock(Arc<Seen>);

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.0.wall_clock.fetch_add(1, Relaxed);
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

/// It goes on by being looked at.
struct MonotonicClock(AtomicU64);

impl HostMonotonicClock for MonotonicClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        self.0.fetch_add(CLOCK_STEP, Relaxed)
    }
}
