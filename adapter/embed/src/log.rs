//! Where the lines go that filters log.

use std::fmt;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For who looks for a fault in the filter.
    Trace,
    /// The same.
    Debug,
    /// For the record.
    Info,
    /// Something may be wrong.
    Warn,
    /// Something is wrong.
    Error,
    /// The filter, or the adapter, is broken.
    Critical,
}

/// Takes the lines that filters log, and what the adapter has to say of them.
pub trait Log: Send + Sync + 'static {
    /// A line, without its end. `text` is the line without its level.
    fn line(&self, level: Level, text: &str);
}

impl<F: Fn(Level, &str) + Send + Sync + 'static> Log for F {
    fn line(&self, level: Level, text: &str) {
        self(level, text);
    }
}

/// As events of `tracing`, with the target `proxy_wasm`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tracing;

impl Log for Tracing {
    fn line(&self, level: Level, text: &str) {
        const TARGET: &str = "proxy_wasm";
        match level {
            Level::Trace => tracing::trace!(target: TARGET, "{text}"),
            Level::Debug => tracing::debug!(target: TARGET, "{text}"),
            Level::Info => tracing::info!(target: TARGET, "{text}"),
            Level::Warn => tracing::warn!(target: TARGET, "{text}"),
            Level::Error | Level::Critical => tracing::error!(target: TARGET, "{text}"),
        }
    }
}

impl Level {
    const ALL: [(Self, &str); 6] = [
        (Self::Trace, "trace"),
        (Self::Debug, "debug"),
        (Self::Info, "info"),
        (Self::Warn, "warn"),
        (Self::Error, "error"),
        (Self::Critical, "critical"),
    ];

    /// Splits a line of an instance, `[level] text`.
    pub(crate) fn split(line: &str) -> (Self, &str) {
        let split = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
        let known = split.and_then(|(name, text)| Some((Self::ALL.iter().find(|(_, known)| *known == name)?.0, text)));
        known.unwrap_or((Self::Info, line))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(level, _)| level == self).map_or("", |(_, name)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_how_much_they_matter() {
        for (line, split) in [
            ("[warn] a] b", (Level::Warn, "a] b")),
            ("[critical] a", (Level::Critical, "a")),
            ("[unknown] a", (Level::Info, "[unknown] a")),
            ("a", (Level::Info, "a")),
        ] {
            assert_eq!(Level::split(line), split);
        }
        assert_eq!(Level::Error.to_string(), "error");
    }
}
