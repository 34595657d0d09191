//! WASI preview 1 as Envoy has it: the log, clocks, randomness and the environment; no files, no sockets.

use proxy_wasm_abi::{
    enums::{Errno, LogLevel, Status},
    limits::{IOVECS_MAX_COUNT, LOG_MAX_BYTES, RANDOM_MAX_BYTES},
};
use proxy_wasm_semantics::Guest;

use crate::caller::{Caller, Memory};

pub(crate) type Done = Result<(), Errno>;

const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// `fs_rights_base` of an `fdstat` that can only be written to.
const RIGHTS_FD_WRITE: u64 = 64;

/// An `iovec`: a pointer and a size.
const IOVEC_BYTES: u32 = 8;

/// Any access out of bounds.
fn fault<T>(outcome: Result<T, Status>) -> Result<T, Errno> {
    outcome.map_err(|_| Errno::Fault)
}

/// Only the log's two descriptors exist.
fn log_level(fd: u32) -> Result<LogLevel, Errno> {
    match fd {
        STDOUT => Ok(LogLevel::Info),
        STDERR => Ok(LogLevel::Error),
        _ => Err(Errno::Badf),
    }
}

/// Succeeds on the log's descriptors, doing nothing, and fails on any other.
pub(crate) fn on_log_only(fd: u32) -> Done {
    log_level(fd).map(|_| ())
}

impl<G: Guest + Memory> Caller<'_, G> {
    /// `fd_write`, `fd_pwrite`: all vectors are one log record, without the line break at its end.
    pub(crate) fn fd_write(&self, fd: u32, vectors: u32, count: u32, written: u32) -> Done {
        let level = log_level(fd)?;
        let size = count.checked_mul(IOVEC_BYTES).ok_or(Errno::Fault)?;
        // As in Envoy, no vectors may be at any address.
        if count > 0 {
            fault(self.check(vectors, size))?;
        }
        if count > IOVECS_MAX_COUNT {
            return Err(Errno::Inval);
        }
        let mut text = Vec::new();
        let mut total: u32 = 0;
        for i in 0..count {
            let entry = vectors + i * IOVEC_BYTES;
            let (at, len) = (fault(self.u32_at(entry))?, fault(self.u32_at(entry + 4))?);
            if len == 0 {
                continue;
            }
            fault(self.check(at, len))?;
            total = total.saturating_add(len);
            let room = LOG_MAX_BYTES.saturating_sub(text.len() as u32);
            text.extend_from_slice(&fault(self.bytes(at, len.min(room)))?);
        }
        if total > 0 {
            let line = text.strip_suffix(b"\n").unwrap_or(&text);
            self.state().log(level as u32, line).map_err(|_| Errno::Badf)?;
        }
        fault(self.put_u32(written, total))
    }

    pub(crate) fn fd_fdstat_get(&self, fd: u32, stat: u32) -> Done {
        log_level(fd)?;
        let mut bytes = [0; 24];
        bytes[8..16].copy_from_slice(&RIGHTS_FD_WRITE.to_le_bytes());
        // Envoy does not report a bad pointer.
        let _ = self.put(stat, &bytes);
        Ok(())
    }

    /// `fd_tell`: 0
    pub(crate) fn fd_tell(&self, fd: u32, offset: u32) -> Done {
        log_level(fd)?;
        fault(self.put_u64(offset, 0))
    }

    /// Writes a zero count and fails with this number.
    pub(crate) fn zero_and(&self, count: u32, error: Errno) -> Done {
        fault(self.put_u32(count, 0))?;
        Err(error)
    }

    /// `sock_recv`
    pub(crate) fn sock_recv(&self, count: u32, flags: u32) -> Done {
        fault(self.put_u32(count, 0))?;
        fault(self.put(flags, &[0; 2]))?;
        Err(Errno::Notsup)
    }

    /// `sock_accept`: Envoy writes eight bytes there.
    pub(crate) fn sock_accept(&self, fd: u32) -> Done {
        fault(self.put_u64(fd, 0))?;
        Err(Errno::Notsup)
    }

    pub(crate) fn args_sizes_get(&self, count: u32, size: u32) -> Done {
        fault(self.put_u32(count, 0))?;
        fault(self.put_u32(size, 0))
    }

    pub(crate) fn environ_sizes_get(&self, count: u32, size: u32) -> Done {
        let (number, bytes) = self
            .state()
            .environment()
            .fold((0, 0), |(n, bytes), (key, value)| (n + 1, bytes + key.len() + value.len() + 2));
        fault(self.put_u32(count, number))?;
        fault(self.put_u32(size, bytes as u32))
    }

    pub(crate) fn environ_get(&self, pointers: u32, text: u32) -> Done {
        let variables: Vec<String> =
            self.state().environment().map(|(key, value)| format!("{key}={value}\0")).collect();
        let (mut pointer, mut at) = (pointers, text);
        for variable in variables {
            fault(self.put_u32(pointer, at))?;
            fault(self.put(at, variable.as_bytes()))?;
            at = at.checked_add(variable.len() as u32).ok_or(Errno::Fault)?;
            pointer = pointer.checked_add(4).ok_or(Errno::Fault)?;
        }
        Ok(())
    }

    pub(crate) fn clock_time_get(&self, clock: u32, time: u32) -> Done {
        let now = match clock {
            0 => self.state().wall_clock(),
            1 => self.state().monotonic_clock(),
            _ => return Err(Errno::Notsup),
        };
        fault(self.put_u64(time, now))
    }

    pub(crate) fn clock_res_get(&self, clock: u32, resolution: u32) -> Done {
        if clock > 1 {
            return Err(Errno::Notsup);
        }
        fault(self.put_u64(resolution, 1))
    }

    pub(crate) fn random_get(&self, at: u32, len: u32) -> Done {
        if len > RANDOM_MAX_BYTES {
            return Err(Errno::Inval);
        }
        // As in Envoy, nothing may be asked for at any address.
        if len == 0 {
            return Ok(());
        }
        fault(self.check(at, len))?;
        let mut bytes = vec![0; len as usize];
        self.state().random(&mut bytes);
        fault(self.put(at, &bytes))
    }

    /// `poll_oneoff`: no event, at once. Go's runtime needs it to succeed.
    pub(crate) fn poll_oneoff(&self, events: u32) -> Done {
        fault(self.put_u32(events, 0))
    }
}
