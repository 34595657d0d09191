//! The access log: a line for each request that is over, in Envoy's formats.
//!
//! | file | idea |
//! |---|---|
//! | `format` | what a user writes: text, or JSON with text in it |
//! | `operators` | what stands between two `%`, and its value |
//! | `times` | the formats of times |
//! | `values` | the parts of an exchange that need some finding |
//! | `writer` | the file, which nobody waits for |

mod format;
mod operators;
#[cfg(test)]
mod tests;
mod times;
mod values;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::format::Format;
use self::writer::Writer;
use super::counters::Counters;
use super::record::Exchange;

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// To stdout.
    Stdout,
    /// To a file, at its end.
    File(PathBuf),
}

impl Place {
    /// What `FILE|-` says.
    pub(super) fn parse(text: &str) -> Self {
        if text == "-" { Self::Stdout } else { Self::File(Path::new(text).into()) }
    }
}

/// The form of a line.
#[derive(Clone, Debug)]
pub struct AccessFormat(Format);

impl AccessFormat {
    /// Reads a text with Envoy's operators.
    ///
    /// # Errors
    /// It is none; says why.
    pub fn text(text: &str) -> Result<Self, String> {
        Format::text(text).map(Self)
    }

    /// Reads an object of JSON whose texts have Envoy's operators.
    ///
    /// # Errors
    /// It is none; says why.
    pub fn json(text: &str) -> Result<Self, String> {
        Format::json(text).map(Self)
    }
}

impl Default for AccessFormat {
    /// Envoy's own.
    fn default() -> Self {
        Self(Format::default())
    }
}

/// A log.
pub(super) struct AccessLog {
    format: Format,
    writer: Writer,
    /// The route's cluster, where the route leads to one.
    route: Option<String>,
}

impl AccessLog {
    /// Opens it.
    pub(super) fn open(
        place: &Place,
        format: Option<AccessFormat>,
        route: Option<String>,
        counters: &Arc<Counters>,
    ) -> std::io::Result<Self> {
        let AccessFormat(format) = format.unwrap_or_default();
        Ok(Self { format, writer: Writer::open(place, counters)?, route })
    }

    /// Writes what is known of an exchange.
    pub(super) fn write(&self, exchange: &Exchange) {
        let mut line = Vec::with_capacity(256);
        self.format.write(&mut line, &operators::Known { exchange, route: self.route.as_deref() });
        line.push(b'\n');
        self.writer.write(&line);
    }

    /// Writes to a new file under the same name from now on.
    pub(super) fn reopen(&self) {
        self.writer.reopen();
    }
}
