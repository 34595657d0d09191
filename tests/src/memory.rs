//! How much memory a process takes.

use anyhow::{Context, Result};

/// The most that was in memory at once, in bytes.
///
/// # Errors
/// There is no such process, or no `/proc`.
pub fn peak(process: u32) -> Result<u64> {
    read(process, "VmHWM:")
}

/// What is in memory now, in bytes.
///
/// # Errors
/// There is no such process, or no `/proc`.
pub fn now(process: u32) -> Result<u64> {
    read(process, "VmRSS:")
}

/// What is in memory now and no other process shares: bytes that were written, and the process's part of all that is mapped.
///
/// # Errors
/// There is no such process, or no `/proc`.
pub fn own(process: u32) -> Result<(u64, u64)> {
    let path = format!("/proc/{process}/smaps_rollup");
    Ok((field(&path, "Private_Dirty:")?, field(&path, "Pss:")?))
}

fn read(process: u32, name: &str) -> Result<u64> {
    field(&format!("/proc/{process}/status"), name)
}

fn field(path: &str, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reads {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name} in {path}"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}
