//! How much of the processor's time a process took.

use std::time::Duration;

use anyhow::{Context, Result};

/// What a process and those of its children that ended have used, in hundredths of a second.
///
/// # Errors
/// There is no such process, or no `/proc`.
pub fn time(process: u32) -> Result<Duration> {
    /// `sysconf(_SC_CLK_TCK)` of every Linux is 100.
    const TICK: Duration = Duration::from_millis(10);
    let path = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reads {path}"))?;
    // The name before may have blanks in it.
    let (_, rest) = text.rsplit_once(')').context("no name of a process")?;
    // Source: proc(5): utime and stime are the fields 14 and 15.
    let fields = rest.split_whitespace().skip(11).take(2);
    let ticks = fields.map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(TICK * ticks)
}
