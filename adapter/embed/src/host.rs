//! What an instance has of its host: clocks, randomness, the log, and what instances share. Everything else that a component
//! imports is never called by the driver of exchanges, and traps.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::Rng;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower, Resource, ResourceType};

use crate::log::{Level, Log};
use crate::memory::MemoryLimit;
use crate::shared::Member;

/// The monotonic clock's first value: 0 is for Go's runtime a clock that does not work.
const CLOCK_START: u64 = 1_000_000;

/// What one call for random bytes may ask for.
const RANDOM_MAX: u64 = 1 << 20;

/// The longest line that is held back for its end.
const LINE_MAX: usize = 256 * 1024;

/// The data of a store.
pub(crate) struct Host {
    pub(crate) memory: MemoryLimit,
    pub(crate) clock: Clock,
    pub(crate) shared: Member,
    log: Arc<dyn Log>,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
}

/// The monotonic clock of all instances of a filter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    fn now(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX).saturating_add(CLOCK_START)
    }

    /// When it shows this time.
    pub(crate) fn at(self, time: u64) -> Instant {
        // What is further away never comes.
        const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        let after = Duration::from_nanos(time.saturating_sub(CLOCK_START));
        self.0.checked_add(after.min(FAR)).unwrap_or(self.0)
    }
}

impl Host {
    pub(crate) fn new(memory: MemoryLimit, clock: Clock, shared: Member, log: Arc<dyn Log>) -> Self {
        Self { memory, clock, shared, log, partial: Vec::new() }
    }

    /// A line of this crate's own.
    pub(crate) fn line(&self, level: Level, text: &str) {
        self.log.line(level, text);
    }

    /// Warns of a field that is left out: it is none.
    pub(crate) fn refused(&self, name: &[u8]) {
        self.line(Level::Warn, &format!("header `{}` is left out: it is none", name.escape_ascii()));
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, more) = rest.split_at(end);
            rest = &more[1..];
            if self.partial.is_empty() {
                self.whole(line);
            } else {
                self.partial.extend_from_slice(line);
                let line = std::mem::take(&mut self.partial);
                self.whole(&line);
            }
        }
        self.partial.extend_from_slice(rest);
        if self.partial.len() > LINE_MAX {
            let line = std::mem::take(&mut self.partial);
            self.whole(&line);
        }
    }

    fn whole(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let (level, text) = Level::split(&line);
        self.log.line(level, text);
    }
}

/// Every resource: the log's stream is the only one that there ever is. Wasmtime gives those that it only names this type, and
/// interfaces name each other's.
type Any = ();

#[derive(ComponentType, Lower, Lift)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    Failed(Resource<Any>),
    #[component(name = "closed")]
    Closed,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct WallTime {
    seconds: u64,
    nanoseconds: u32,
}

/// Offers what the driver of exchanges calls.
pub(crate) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut monotonic = linker.instance("wasi:clocks/monotonic-clock@0.2.0")?;
    monotonic.func_wrap("now", |store: StoreContextMut<'_, Host>, (): ()| Ok((store.data().clock.now(),)))?;
    let mut wall = linker.instance("wasi:clocks/wall-clock@0.2.0")?;
    wall.func_wrap("now", |_: StoreContextMut<'_, Host>, (): ()| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok((WallTime { seconds: now.as_secs(), nanoseconds: now.subsec_nanos() },))
    })?;
    let mut random = linker.instance("wasi:random/random@0.2.0")?;
    random.func_wrap("get-random-bytes", |_: StoreContextMut<'_, Host>, (len,): (u64,)| {
        if len > RANDOM_MAX {
            return Err(wasmtime::Error::msg("more random bytes at once than there are"));
        }
        let mut bytes = vec![0; usize::try_from(len)?];
        // Not the system's, which is a call of it for each new instance.
        rand::rng().fill_bytes(&mut bytes);
        Ok((bytes,))
    })?;
    let mut streams = linker.instance("wasi:io/streams@0.2.0")?;
    streams.resource("output-stream", ResourceType::host::<Any>(), |_, _| Ok(()))?;
    streams.func_wrap(
        "[method]output-stream.blocking-write-and-flush",
        |mut store: StoreContextMut<'_, Host>, (_, bytes): (Resource<Any>, Vec<u8>)| {
            store.data_mut().write(&bytes);
            Ok((Ok::<(), StreamError>(()),))
        },
    )?;
    let mut stderr = linker.instance("wasi:cli/stderr@0.2.0")?;
    stderr.func_wrap("get-stderr", |_: StoreContextMut<'_, Host>, (): ()| Ok((Resource::<Any>::new_own(0),)))?;
    crate::shared::add_to_linker(linker, |host| &host.shared)
}
