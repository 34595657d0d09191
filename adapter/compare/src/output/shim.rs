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
    let own = |level: &str, text: &str| Line::Own { level: level.into(), text: text.into() };
    let Some((level, rest)) = without_host_prefix(text).strip_prefix('[').and_then(|text| text.split_once(']')) else {
        return own("", text);
    };
    if !(0..).map_while(LogLevel::from_u32).any(|known| known.name() == level) {
        return own("", text);
    }
    let rest = without_request(rest);
    if let Some(trace) = rest.strip_prefix(' ').and_then(Trace::parse).filter(|_| level == "trace") {
        return Line::Trace(trace);
    }
    match strip(rest, prefixes, |rest| without_number(rest).strip_prefix(": ")) {
        Some(text) => Line::Log { level: level.into(), text: text.into() },
        None => own(level, rest.trim_start()),
    }
}

/// What stands behind the number of a stream context, if there is one.
fn without_number(text: &str) -> &str {
    text.strip_prefix(" #").map_or(text, |text| text.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// What stands behind the request that `serve` says a line belongs to: ` request 7:`.
fn without_request(text: &str) -> &str {
    let rest = text.strip_prefix(" request ").and_then(|rest| rest.split_once(':'));
    match rest {
        Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => text,
    }
}

/// `serve` writes the time before each line, `wasmtime serve` `stderr [0] :: ` before those of a component.
fn without_host_prefix(text: &str) -> &str {
    match text.split_once("Z [") {
        Some((time, _)) if time.bytes().all(|byte| byte.is_ascii_digit() || b"-:.T".contains(&byte)) => {
            return text.get(time.len() + 2..).unwrap_or(text);
        }
        _ => {}
    }
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
                    stderr [0] :: [warn] p r: root\n[info] q: other\n\
                    2026-11-26T17:06:06.391671Z [info] request 7: p r #2: a: b\n\
                    2026-11-26T17:06:06.391671Z [warn] request 7: 503: why\n2026Z [error] p r: root\n[tra";
        assert_eq!(
            lines.read(text.as_bytes()),
            [
                Line::Own { level: String::new(), text: "listening on http://127.0.0.1:1".into() },
                Line::Trace(Trace { step: Step::HostReturns, name: "env.proxy_log".into(), values: "0".into() }),
                Line::Log { level: "info".into(), text: "a: b".into() },
                Line::Log { level: "warn".into(), text: "root".into() },
                Line::Own { level: "info".into(), text: "q: other".into() },
                Line::Log { level: "info".into(), text: "a: b".into() },
                Line::Own { level: "warn".into(), text: "503: why".into() },
                Line::Log { level: "error".into(), text: "root".into() },
            ]
        );
        assert_eq!(lines.read(b"ce] q: x\n"), [Line::Own { level: "trace".into(), text: "q: x".into() }]);
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
