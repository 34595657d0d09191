//! What became of request files, for a terminal: a line a request, and below those that failed what was expected.

use std::fmt::Write;

use super::{Case, Failing, Tested, Verdict};

/// Lines of a log that are shown of a request.
const MOST: usize = 50;

/// Request files by their names, and what became of each, as text.
pub fn terminal(files: &[(String, Tested)], color: bool) -> String {
    let mut out = String::new();
    write(&mut out, files, color).expect("a string takes all text");
    out
}

fn write(out: &mut String, files: &[(String, Tested)], color: bool) -> std::fmt::Result {
    let paint = |code: &str, text: &str| if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() };
    for (file, tested) in files {
        writeln!(out, "{file}, on {}", tested.host)?;
        for case in &tested.cases {
            let (code, word) = match &case.verdict {
                Verdict::Met => ("32", "ok      "),
                Verdict::Sent => ("2", "sent    "),
                Verdict::Unmet(_) => ("1;31", "FAILED  "),
                Verdict::NotSent(_) => ("33", "not sent"),
            };
            writeln!(out, "{}  {}", paint(code, word), case.name)?;
            self::case(out, file, case)?;
        }
        writeln!(out)?;
    }
    let code = if files.iter().all(|(_, tested)| tested.holds()) { "32" } else { "1;31" };
    writeln!(out, "{}", paint(code, &totals(files)))
}

fn case(out: &mut String, file: &str, case: &Case) -> std::fmt::Result {
    match &case.verdict {
        Verdict::Met | Verdict::Sent => return Ok(()),
        Verdict::NotSent(why) => return writeln!(out, "    {why}"),
        Verdict::Unmet(failing) => {
            for failing in failing {
                writeln!(out, "    {}", in_file(file, failing))?;
            }
        }
    }
    for (title, lines) in [("the filter's log", &case.log), ("the host", &case.host)] {
        if lines.is_empty() {
            continue;
        }
        writeln!(out, "    {title}:")?;
        for line in lines.iter().take(MOST) {
            writeln!(out, "      {line}")?;
        }
        if let Some(more) = lines.len().checked_sub(MOST).filter(|more| *more > 0) {
            writeln!(out, "      … and {more} more lines")?;
        }
    }
    Ok(())
}

/// `FILE:LINE:COLUMN: text`
pub(super) fn in_file(file: &str, failing: &Failing) -> String {
    match failing.place {
        Some(place) => format!("{file}:{}:{}: {}", place.line, place.column, failing.text),
        None => format!("{file}: {}", failing.text),
    }
}

/// The last line.
fn totals(files: &[(String, Tested)]) -> String {
    let tested = || files.iter().map(|(_, tested)| tested);
    let cases = || tested().flat_map(|tested| &tested.cases);
    let expectations: usize = tested().map(|tested| tested.expectations).sum();
    let requests = count(cases().count() - files.len(), "request");
    let unmet = cases().map(|case| match &case.verdict {
        Verdict::Unmet(failing) => failing.len(),
        _ => 0,
    });
    let unmet: usize = unmet.sum();
    let not_sent = cases().filter(|case| matches!(case.verdict, Verdict::NotSent(_))).count();
    let expectations = count(expectations, "expectation");
    if unmet == 0 && not_sent == 0 {
        return format!("ok: {requests}, {expectations}");
    }
    let not_sent = if not_sent == 0 { String::new() } else { format!(", {} not sent", count(not_sent, "request")) };
    format!("failed: {unmet} not met{not_sent}, of {requests} and {expectations}")
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::requests::Place;

    fn tested() -> Tested {
        let case = |name: &str, verdict| Case {
            name: name.into(),
            verdict,
            log: vec!["[info] seen".into()],
            host: vec!["it trapped".into()],
            time: Duration::ZERO,
        };
        let failing = |place, text: &str| Failing { place, text: text.into() };
        let unmet = vec![
            failing(Some(Place { line: 3, column: 9 }), "the status is 200, expected 403"),
            failing(None, "the plugin did not start"),
        ];
        Tested {
            host: "serve".into(),
            cases: vec![
                case("start", Verdict::Met),
                case("GET /", Verdict::Sent),
                case("GET /x", Verdict::Unmet(unmet)),
                case("GET /y", Verdict::NotSent("serve ended".into())),
            ],
            expectations: 4,
        }
    }

    #[test]
    fn what_failed_is_told_in_its_place() {
        assert_eq!(
            terminal(&[("a.yaml".into(), tested())], false),
            "a.yaml, on serve\n\
             ok        start\n\
             sent      GET /\n\
             FAILED    GET /x\n\
             \x20   a.yaml:3:9: the status is 200, expected 403\n\
             \x20   a.yaml: the plugin did not start\n\
             \x20   the filter's log:\n\
             \x20     [info] seen\n\
             \x20   the host:\n\
             \x20     it trapped\n\
             not sent  GET /y\n\
             \x20   serve ended\n\
             \n\
             failed: 2 not met, 1 request not sent, of 3 requests and 4 expectations\n"
        );
    }

    #[test]
    fn what_holds_is_short() {
        let mut tested = tested();
        tested.cases.truncate(2);
        assert_eq!(
            terminal(&[("a.yaml".into(), tested.clone()), ("b.yaml".into(), tested)], false),
            "a.yaml, on serve\nok        start\nsent      GET /\n\n\
             b.yaml, on serve\nok        start\nsent      GET /\n\nok: 2 requests, 8 expectations\n"
        );
    }
}
