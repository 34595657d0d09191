//! Envoy's log.
//!
//! A record may hold any bytes that a filter wrote, line breaks too, so each stands between two marks that nobody can
//! guess: `MARK[level][component][thread]textMARK`.

use proxy_wasm_abi::settings::Plugin;

use super::{Line, Trace, escaped, prefixes, split, strip};

/// Makes lines of what Envoy writes.
///
/// It starts a plugin three times: to check the configuration, for the main thread, and for its worker. The two on the
/// main thread are left out where the worker's comes, which is the one that serves.
pub(crate) struct EnvoyLines {
    mark: String,
    prefixes: Vec<String>,
    rest: Vec<u8>,
    /// What comes next stands between marks.
    inside: bool,
    main: Option<String>,
}

impl EnvoyLines {
    pub(crate) fn new(plugins: &[Plugin], mark: String) -> Self {
        Self { mark, prefixes: prefixes(plugins), rest: Vec::new(), inside: false, main: None }
    }

    /// The value of `--log-format`.
    pub(crate) fn format(mark: &str) -> String {
        format!("{mark}[%l][%n][%t]%v{mark}")
    }

    /// The lines that these bytes complete: those of the main thread, and those of workers.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> (Vec<Line>, Vec<Line>) {
        self.rest.extend_from_slice(bytes);
        let (mut main, mut workers) = (Vec::new(), Vec::new());
        let mark = self.mark.clone();
        let mut rest = std::mem::take(&mut self.rest);
        split(&mut rest, mark.as_bytes(), |text| {
            let record = if self.inside { self.record(text) } else { outside(text).map(|line| (true, line)) };
            self.inside = !self.inside;
            if let Some((is_main, line)) = record {
                if is_main { &mut main } else { &mut workers }.push(line);
            }
        });
        self.rest = rest;
        (main, workers)
    }

    /// What stands behind the last mark: an error that is not logged.
    pub(crate) fn rest(&self) -> Option<Line> {
        outside(&String::from_utf8_lossy(&self.rest)).filter(|_| !self.inside)
    }

    fn record(&mut self, record: &str) -> Option<(bool, Line)> {
        let (level, rest) = record.strip_prefix('[')?.split_once("][")?;
        let (component, rest) = rest.split_once("][")?;
        let (thread, text) = rest.split_once(']')?;
        let is_main = self.main.get_or_insert_with(|| thread.to_owned()) == thread;
        let level = if level == "warning" { "warn" } else { level };
        Some((is_main, line(level, component, text, &self.prefixes)))
    }
}

fn outside(text: &str) -> Option<Line> {
    let text = text.trim();
    (!text.is_empty()).then(|| Line::Own { level: String::new(), text: text.into() })
}

fn line(level: &str, component: &str, text: &str, prefixes: &[String]) -> Line {
    if component == "wasm" {
        if let Some(trace) = Trace::parse(text).filter(|_| level == "trace") {
            return Line::Trace(trace);
        }
        if let Some(text) =
            text.strip_prefix("wasm log").and_then(|text| strip(text, prefixes, |text| text.strip_prefix(": ")))
        {
            return Line::Log { level: level.into(), text: escaped(text) };
        }
        if let Some((name, _)) = text.strip_prefix("Function: ").and_then(|text| text.split_once(" failed: ")) {
            return Line::Trap { name: name.into() };
        }
    }
    Line::Own { level: level.into(), text: text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Step;

    #[test]
    fn reads_records_whatever_they_hold() {
        let plugin = Plugin { name: "p".into(), ..Plugin::default() };
        let mut lines = EnvoyLines::new(&[plugin], "MARK".into());
        let text = "MARK[info][main][7]starting workersMARK\nMARK[trace][wasm][8][host->vm] malloc(2)MARK\n\
                    MARK[warning][wasm][8]wasm log p: two\nlinesMARK\nMARK[error][wasm][8]Function: f failed: UncaughtMARK\n\
                    MARK[info][wasm][8]wasm log: rootMARK\nUnable to create";
        let (first, second) = text.split_at(70);
        let (mut main, mut worker) = lines.read(first.as_bytes());
        let (more_main, more_worker) = lines.read(second.as_bytes());
        main.extend(more_main);
        worker.extend(more_worker);
        assert_eq!(main, [Line::Own { level: "info".into(), text: "starting workers".into() }]);
        assert_eq!(
            worker,
            [
                Line::Trace(Trace { step: Step::CallFilter, name: "malloc".into(), values: "2".into() }),
                Line::Log { level: "warn".into(), text: "two\\nlines".into() },
                Line::Trap { name: "f".into() },
                Line::Log { level: "info".into(), text: "root".into() },
            ]
        );
        assert_eq!(lines.rest(), Some(Line::Own { level: String::new(), text: "Unable to create".into() }));
    }
}
