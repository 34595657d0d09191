//! What a process wrote, as lines of a trace and of the filter's log.

mod envoy;
mod shim;

use proxy_wasm_abi::settings::Plugin;

pub(super) use envoy::EnvoyLines;
pub(super) use shim::ShimLines;

/// A line that a process wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A call between host and filter, or its return.
    Trace(Trace),
    /// A record of the filter's log: its level as the ABI names it, and its text, control characters escaped.
    Log { level: String, text: String },
    /// A function of the filter trapped.
    Trap { name: String },
    /// A line of the process itself; of Envoy's, also the severity.
    Own { level: String, text: String },
}

/// A call, or its return, in the form of Envoy's `wasm:trace`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) step: Step,
    /// `proxy_on_log`, `env.proxy_log`
    pub(super) name: String,
    /// `2, 8, 1` of a call, `0` or `void` of a return.
    pub(super) values: String,
}

/// Where control goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The host calls the filter.
    CallFilter,
    /// The filter's function returns.
    FilterReturns,
    /// The filter calls the host.
    CallHost,
    /// The host call returns.
    HostReturns,
}

impl Step {
    const ALL: [(Self, &str); 4] = [
        (Self::CallFilter, "[host->vm] "),
        (Self::FilterReturns, "[host<-vm] "),
        (Self::CallHost, "[vm->host] "),
        (Self::HostReturns, "[vm<-host] "),
    ];

    /// As it stands before the name, with the space behind it.
    pub(super) fn text(self) -> &'static str {
        Self::ALL.into_iter().find(|(step, _)| *step == self).map_or("", |(_, text)| text)
    }

    fn is_call(self) -> bool {
        matches!(self, Self::CallFilter | Self::CallHost)
    }
}

impl Trace {
    fn parse(line: &str) -> Option<Self> {
        let (step, rest) = Step::ALL.into_iter().find_map(|(step, text)| Some((step, line.strip_prefix(text)?)))?;
        let (name, values) =
            if step.is_call() { rest.strip_suffix(')')?.split_once('(')? } else { rest.split_once(" return: ")? };
        Some(Self { step, name: name.into(), values: values.into() })
    }
}

impl std::fmt::Display for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { step, name, values } = self;
        if step.is_call() {
            write!(f, "{}{name}({values})", step.text())
        } else {
            write!(f, "{}{name} return: {values}", step.text())
        }
    }
}

/// What stands before the text of a log record of these plugins.
fn prefixes(plugins: &[Plugin]) -> Vec<String> {
    plugins.iter().flat_map(prefixes_of).collect()
}

/// These words, those that are not empty.
fn prefixes_of(plugin: &Plugin) -> [String; 4] {
    let join = |parts: &[&String]| -> String {
        parts.iter().filter(|part| !part.is_empty()).map(|part| format!(" {part}")).collect()
    };
    // Envoy has the plugin's name in records of streams, and not in others.
    [
        join(&[&plugin.name, &plugin.root_id, &plugin.vm_id]),
        join(&[&plugin.root_id, &plugin.vm_id]),
        join(&[&plugin.vm_id]),
        String::new(),
    ]
}

/// Control characters as the shim escapes them.
fn escaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\t' {
            result.extend(character.escape_default());
        } else {
            result.push(character);
        }
    }
    result
}

/// What of these bytes a pattern ends, piece by piece; the rest stays.
fn split(bytes: &mut Vec<u8>, end: &[u8], mut take: impl FnMut(&str)) {
    let mut from = 0;
    while let Some(at) = bytes[from..].windows(end.len()).position(|window| window == end) {
        take(&String::from_utf8_lossy(&bytes[from..from + at]));
        from += at + end.len();
    }
    bytes.drain(..from);
}

/// What stands behind one of these prefixes, as far as it goes on in the right way.
fn strip<'a>(record: &'a str, prefixes: &[String], goes_on: impl Fn(&'a str) -> Option<&'a str>) -> Option<&'a str> {
    prefixes.iter().find_map(|prefix| goes_on(record.strip_prefix(prefix.as_str())?))
}
