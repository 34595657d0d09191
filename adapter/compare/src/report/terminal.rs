//! A report for a terminal: a line a part, and below those that differ what differs, with its surroundings.

use std::fmt::Write;

use super::{Kind, Report, Row, Section, Totals, count, grouped};

/// Equal lines that are shown around those that differ.
const AROUND: usize = 2;

/// Lines of a section that are shown, unless all are.
const MOST: usize = 200;

/// How to show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Style {
    /// With colors.
    pub color: bool,
    /// All lines, equal ones too.
    pub all: bool,
}

impl Style {
    /// This style.
    pub fn new(color: bool, all: bool) -> Self {
        Self { color, all }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The report as text.
pub fn terminal(report: &Report, style: Style) -> String {
    let mut out = String::new();
    write(&mut out, report, style).expect("a string takes all text");
    out
}

fn write(out: &mut String, report: &Report, style: Style) -> std::fmt::Result {
    for filter in &report.filters {
        writeln!(out, "{}: {} bytes, sha256 {}", filter.file, filter.bytes, filter.sha256)?;
    }
    for (sign, side) in [("-", &report.envoy), ("+", &report.here)] {
        writeln!(out, "{sign} {}", side.name)?;
    }
    writeln!(out)?;
    for part in &report.parts {
        let (code, verdict) = if part.same { ("32", "same     ") } else { ("1;31", "different") };
        writeln!(out, "{}  {}", style.paint(code, verdict), part.name)?;
        for section in part.sections.iter().filter(|section| style.all || !section.same) {
            self::section(out, section, style)?;
        }
        for unmet in &part.unmet {
            writeln!(out, "    {}", style.paint("31", &format!("expected: {unmet}")))?;
        }
    }
    writeln!(out)?;
    if !report.normalised.is_empty() {
        writeln!(out, "Made equal before comparing:")?;
        for sentence in &report.normalised {
            writeln!(out, "  {sentence}")?;
        }
    }
    if !report.known.is_empty() {
        writeln!(out, "Known, and left out of the verdict:")?;
        for known in &report.known {
            writeln!(out, "  {}: {}", count(known.lines, "line"), known.reason)?;
        }
    }
    for note in &report.notes {
        writeln!(out, "Note: {note}")?;
    }
    writeln!(out, "{}", totals(report))
}

/// The last line.
fn totals(report: &Report) -> String {
    let Totals { parts, different_parts, lines, different_lines, differences, lines_of_traces, unmet } =
        Totals::of(report);
    let of = format!("{}, {} of them of the trace", count(lines, "line"), grouped(lines_of_traces));
    if different_parts == 0 {
        return format!("same: {}, {of}", count(parts, "part"));
    }
    let parts = format!("{different_parts} of {}", count(parts, "part"));
    if differences == 0 {
        return format!("different: {} not met in {parts}, {of}, all the same", count(unmet, "expectation"));
    }
    let unmet = if unmet == 0 { String::new() } else { format!("; {} not met", count(unmet, "expectation")) };
    format!("different: {} in {parts}, {} of {of}{unmet}", count(differences, "difference"), grouped(different_lines))
}

fn section(out: &mut String, section: &Section, style: Style) -> std::fmt::Result {
    let title = match (section.kind, &section.name) {
        (Kind::Response, _) => "response to the client".into(),
        (Kind::Upstream, _) => "request to the upstream".into(),
        (Kind::Callout, name) => format!("request to the cluster `{}`", name.as_deref().unwrap_or("")),
        (Kind::Log, _) => "log".into(),
        (Kind::Trace, _) => "trace".into(),
    };
    writeln!(out, "  {}", style.paint("1", &title))?;
    let mut shown = shown(&section.rows, style.all);
    let more = if style.all { Vec::new() } else { shown.split_off(MOST.min(shown.len())) };
    let mut phase = None;
    let mut last = None;
    for index in shown {
        let row = &section.rows[index];
        if last.is_some_and(|last| index > last + 1) {
            writeln!(out, "    …")?;
        }
        // Inside of a callback whose begin is not shown.
        let begins = row.depth == 0;
        if row.phase.as_deref() != phase || last.is_some_and(|last| index > last + 1) {
            phase = row.phase.as_deref();
            if let Some(phase) = phase.filter(|_| !begins) {
                writeln!(out, "    {}", style.paint("36", &format!("in {phase}")))?;
            }
        }
        last = Some(index);
        self::row(out, row, style)?;
    }
    if more.is_empty() {
        return Ok(());
    }
    writeln!(out, "    … and {} more lines; `--all` shows them", more.len())
}

/// Which rows are shown.
fn shown(rows: &[Row], all: bool) -> Vec<usize> {
    let near = |index: usize| {
        let from = index.saturating_sub(AROUND);
        rows[from..(index + AROUND + 1).min(rows.len())].iter().any(|row| !row.same)
    };
    (0..rows.len()).filter(|index| all || near(*index)).collect()
}

fn row(out: &mut String, row: &Row, style: Style) -> std::fmt::Result {
    let indent = "  ".repeat(usize::try_from(row.depth).unwrap_or(0).min(8));
    let mut line = |code: &str, sign: &str, text: &str| {
        let line = format!("    {sign} {indent}{text}");
        writeln!(out, "{}", if code.is_empty() { line } else { style.paint(code, &line) })
    };
    match (&row.envoy, &row.here) {
        (Some(envoy), Some(here)) if row.same && envoy == here => line("", " ", envoy),
        (envoy, here) => {
            // What is as good as equal is no difference, though each side has words of its own.
            let codes = if row.same { ["", ""] } else { ["31", "32"] };
            envoy.iter().try_for_each(|text| line(codes[0], "-", text))?;
            here.iter().try_for_each(|text| line(codes[1], "+", text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{KnownDifference, Part, ReportedFilter, Side};
    use super::*;

    fn report() -> Report {
        let row = |envoy: Option<&str>, here: Option<&str>, depth| Row {
            phase: Some("proxy_on_log".into()),
            depth,
            envoy: envoy.map(Into::into),
            here: here.map(Into::into),
            same: envoy == here,
            known: None,
        };
        let same = |text, depth| row(Some(text), Some(text), depth);
        let rows = vec![
            same("[host->vm] proxy_on_log(2)", 0),
            same("[vm->host] env.a()", 1),
            same("[vm<-host] env.a return: 0", 1),
            same("[vm->host] env.b()", 1),
            row(Some("[vm<-host] env.b return: 0"), Some("[vm<-host] env.b return: 12"), 1),
            row(None, Some("[vm->host] env.c()"), 1),
            same("[host<-vm] proxy_on_log return: void", 0),
        ];
        let part = |name: &str, rows: Vec<Row>, unmet: &[&str]| {
            let same = rows.iter().all(|row| row.same);
            let unmet: Vec<String> = unmet.iter().map(|text| (*text).into()).collect();
            let sections = vec![Section { kind: Kind::Trace, name: None, same, rows }];
            Part { name: name.into(), same: same && unmet.is_empty(), sections, unmet }
        };
        let side = |name: &str| Side { name: name.into(), command: None };
        Report {
            version: 1,
            command: None,
            filters: vec![ReportedFilter { file: "f.wasm".into(), sha256: "00ff".into(), bytes: 5 }],
            envoy: side("Envoy 1.40.0"),
            here: side("serve"),
            same: false,
            parts: vec![part("start", vec![same("[host->vm] _start()", 0)], &[]), part("GET /", rows, &["Envoy: no"])],
            normalised: vec!["hosts: equal".into()],
            known: vec![KnownDifference { reason: "So it is.".into(), lines: 1 }],
            notes: vec!["Well.".into()],
        }
    }

    #[test]
    fn shows_what_differs_with_its_surroundings() {
        assert_eq!(
            terminal(&report(), Style::default()),
            "f.wasm: 5 bytes, sha256 00ff\n\
             - Envoy 1.40.0\n\
             + serve\n\
             \n\
             same       start\n\
             different  GET /\n\
             \x20 trace\n\
             \x20   in proxy_on_log\n\
             \x20       [vm<-host] env.a return: 0\n\
             \x20       [vm->host] env.b()\n\
             \x20   -   [vm<-host] env.b return: 0\n\
             \x20   +   [vm<-host] env.b return: 12\n\
             \x20   +   [vm->host] env.c()\n\
             \x20     [host<-vm] proxy_on_log return: void\n\
             \x20   expected: Envoy: no\n\
             \n\
             Made equal before comparing:\n\
             \x20 hosts: equal\n\
             Known, and left out of the verdict:\n\
             \x20 1 line: So it is.\n\
             Note: Well.\n\
             different: 1 difference in 1 of 2 parts, 2 of 8 lines, 8 of them of the trace; 1 expectation not met\n"
        );
    }

    #[test]
    fn shows_all() {
        let text = terminal(&report(), Style::new(true, true));
        assert!(text.contains("[vm->host] env.a()") && text.contains("_start()"), "{text}");
        assert!(text.contains("\x1b[31m    -   [vm<-host] env.b return: 0\x1b[0m"), "{text}");
    }
}
