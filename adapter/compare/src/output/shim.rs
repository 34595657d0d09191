//! What an adapted component writes to stderr, between lines of its host.

use proxy_wasm_abi::enums::LogLevel;
use proxy_wasm_abi::settings::Plugin;

use super::{Line, Trace, escaped, prefixes, split, strip};

/// Makes lines of what a host of an adapted component writes.
pub(crate) struct ShimLines {
    prefixes: Vec<String>,
    rest: Vec<u8>,
}

impl ShimLines {
    pub(crate) fn new(plugins: &[Plugin]) -> Self {
        let mut prefixes: Vec<String> = prefixes(plugins).iter().map(|prefix| escaped(prefix)).collect();
        // The shim's name for a plugin without one, in records of no stream.
        prefixes.push(" plugin".into());
        Self { prefixes, rest: Vec::new() }
    }

    /// The lines that these bytes complete.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Vec<Line> {
        self.rest.extend_from_slice(bytes);
        let mut lines = Vec::new();
        split(&mut self.rest, b"\n", |text| lines.push(line(text, &self.prefixes)));
        lines
    }
}

fn line(text: &str, prefixes: &[String]) -> Line {
    let own = || Line::Own { level: String::new(), text: text.into() };
    let Some((level, rest)) = without_host_prefix(text).strip_prefix('[').and_then(|text| text.split_once(']')) else {
        return own();
    };
    if !(0..).map_while(LogLevel::from_u32).any(|known| known.name() == level) {
        return own();
    }
    if let Some(trace) = rest.strip_prefix(' ').and_then(Trace::parse).filter(|_| level == "trace") {
        return Line::Trace(trace);
    }
    match strip(rest, prefixes, |rest| without_number(rest).strip_prefix(": ")) {
        Some(text) => Line::Log { level: level.into(), text: text.into() },
        None => own(),
    }
}

/// What stands behind the number of a stream context, if there is one.
fn without_number(text: &str) -> &str {
    text.strip_prefix(" #").map_or(text, |text| text.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// `wasmtime serve` writes `stderr [0] :: ` before each line of a component.
fn without_host_prefix(text: &str) -> &str {
    let rest = text.strip_prefix("stderr [").or_else(|| text.strip_prefix("stdout ["));
    match rest.and_then(|rest| rest.split_once("] :: ")) {
        Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Step;

    #[test]
    fn reads_lines_of_the_shim() {
        let plugin = Plugin { name: "p".into(), root_id: "r".into(), ..Plugin::default() };
        let mut lines = ShimLines::new(&[Plugin::default(), plugin]);
        let text = "listening on http://127.0.0.1:1\n[trace] [vm<-host] env.proxy_log return: 0\n[info] p r #2: a: b\n\
                    stderr [0] :: [warn] p r: root\n[info] q: other\n[tra";
        assert_eq!(
            lines.read(text.as_bytes()),
            [
                Line::Own { level: String::new(), text: "listening on http://127.0.0.1:1".into() },
                Line::Trace(Trace { step: Step::HostReturns, name: "env.proxy_log".into(), values: "0".into() }),
                Line::Log { level: "info".into(), text: "a: b".into() },
                Line::Log { level: "warn".into(), text: "root".into() },
                Line::Own { level: String::new(), text: "[info] q: other".into() },
            ]
        );
        assert_eq!(lines.read(b"ce] q: x\n"), [Line::Own { level: String::new(), text: "[trace] q: x".into() }]);
        let mut lines = ShimLines::new(&[Plugin::default()]);
        assert_eq!(
            lines.read(b"[trace] #3: x\n[info] plugin: y\n"),
            [
                Line::Log { level: "trace".into(), text: "x".into() },
                Line::Log { level: "info".into(), text: "y".into() }
            ]
        );
    }
}
