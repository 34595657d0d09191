//! Differences that are known and stay, each with its reason: they can be left out of the verdict.
//!
//! Those of every filter are here; DIFFERENCES.md has them too. Those of one filter its user lists, line by line.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::report::{Kind, KnownDifference, Part, Report, Row, Section};

/// A kind of difference that any filter may show.
struct Rule {
    /// As DIFFERENCES.md gives it, or `tests/scenarios/differences.toml`.
    reason: &'static str,
    /// Whether it is why this row of the section differs.
    is_why: fn(&Part, &Section, &Row) -> bool,
}

const RULES: [Rule; 4] = [
    Rule {
        reason: "`transfer-encoding` is a forbidden header in wasi:http: hosts keep it to themselves",
        is_why: counts_one_header_less,
    },
    Rule { reason: "hosts keep the lines of one name together", is_why: stands_elsewhere },
    Rule {
        reason: "a client that goes away is noticed with the next write or read: wasi:http has no event for it",
        is_why: last_callbacks_of_a_client_that_left,
    },
    Rule {
        reason: "that the chunks of a request hold nothing is seen before its headers are handed over: it has no body",
        is_why: empty_chunks,
    },
];

/// Differences that a user knows of.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Known {
    /// Each reason with its lines.
    #[serde(default, rename = "difference")]
    pub differences: Vec<Listed>,
}

/// Lines that differ for one reason.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Listed {
    /// Why.
    pub reason: String,
    /// As [`line`] writes them.
    pub lines: Vec<String>,
}

impl Known {
    /// What a file in TOML lists.
    ///
    /// # Errors
    /// It is no such list; says where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let known: Self = toml::from_str(text).map_err(|error| {
            let message = error.to_string();
            message.strip_prefix("TOML parse error ").unwrap_or(&message).trim_end().to_owned()
        })?;
        match known.differences.iter().find(|of| of.reason.trim().is_empty()) {
            Some(of) => {
                let line = of.lines.first().map_or("", String::as_str);
                Err(format!("there is no `reason` with `{line}`: say why the two sides differ there"))
            }
            None => Ok(known),
        }
    }

    /// The lines of a report that differ, as such a file.
    pub fn of(report: &Report) -> String {
        let mut text = String::from("# Differences that `compare --known=FILE` leaves out of its verdict.\n");
        for part in &report.parts {
            let lines: Vec<String> = part
                .sections
                .iter()
                .flat_map(|section| section.rows.iter().filter(|row| !row.same).map(move |row| (section, row)))
                .flat_map(|(section, row)| lines_of(part, section, row))
                .collect();
            if !lines.is_empty() {
                text.push_str("\n[[difference]]\nreason = \"\"\nlines = [\n");
                lines.iter().for_each(|line| text.push_str(&format!("    {},\n", toml::Value::from(line.as_str()))));
                text.push_str("]\n");
            }
        }
        text
    }
}

/// A line of one side, `-` for Envoy's, as lists have it: `PART, SECTION SIGN LINE`.
fn line(part: &Part, section: &Section, sign: char, text: &str) -> String {
    format!("{}, {} {sign} {text}", part.name, section.kind.name())
}

fn lines_of(part: &Part, section: &Section, row: &Row) -> Vec<String> {
    let of_side = |sign, text: &Option<String>| text.as_ref().map(|text| line(part, section, sign, text));
    [of_side('-', &row.envoy), of_side('+', &row.here)].into_iter().flatten().collect()
}

/// Leaves out of the verdict what is known, of any filter and of these lists.
pub fn leave_out(report: &mut Report, known: &Known) {
    let listed =
        known.differences.iter().flat_map(|of| of.lines.iter().map(|line| (line.as_str(), of.reason.as_str())));
    let listed: BTreeMap<&str, &str> = listed.collect();
    let mut used: BTreeMap<&str, bool> = listed.keys().map(|line| (*line, false)).collect();
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for part in &mut report.parts {
        let mut reasons = Vec::new();
        for (index, section) in part.sections.iter().enumerate() {
            for (at, row) in section.rows.iter().enumerate().filter(|(_, row)| !row.same) {
                let lines = lines_of(part, section, row);
                let by_list = lines.iter().map(|line| listed.get_key_value(line.as_str())).collect::<Option<Vec<_>>>();
                let by_rule = RULES.iter().find(|rule| (rule.is_why)(part, section, row)).map(|rule| rule.reason);
                let reason = match by_list.as_deref() {
                    Some(lines @ [(_, reason), ..]) => {
                        used.extend(lines.iter().map(|(line, _)| (**line, true)));
                        Some(**reason)
                    }
                    _ => by_rule,
                };
                reasons.extend(reason.map(|reason| (index, at, reason.to_owned())));
            }
        }
        for (index, at, reason) in reasons {
            *found.entry(reason.clone()).or_default() += 1;
            let row = &mut part.sections[index].rows[at];
            row.same = true;
            row.known = Some(reason);
        }
        part.sections.iter_mut().for_each(|section| section.same = section.rows.iter().all(|row| row.same));
        part.same = part.unmet.is_empty() && part.sections.iter().all(|section| section.same);
    }
    report.same = report.parts.iter().all(|part| part.same);
    report.known = found.into_iter().map(|(reason, lines)| KnownDifference { reason, lines }).collect();
    let unused = used.iter().filter(|(_, used)| !**used);
    report.notes.extend(unused.map(|(line, _)| format!("A line that is listed as known differs no more: `{line}`")));
}

/// The name of a call and its arguments, of a line of the trace such as `[host->vm] proxy_on_done(2)`.
fn call(line: &str) -> Option<(&str, Vec<&str>)> {
    let (name, arguments) = line.strip_prefix("[host->vm] ")?.strip_suffix(')')?.split_once('(')?;
    Some((name, arguments.split(", ").collect()))
}

/// The calls of a row that has one on each side.
fn calls(row: &Row) -> Option<[(&str, Vec<&str>); 2]> {
    Some([call(row.envoy.as_ref()?)?, call(row.here.as_ref()?)?])
}

fn counts_one_header_less(_: &Part, section: &Section, row: &Row) -> bool {
    let number = |text: &str| text.parse::<u32>().ok();
    let is_one_less = || {
        let [(of_envoy, envoy), (of_here, here)] = calls(row)?;
        let is_it = of_envoy == "proxy_on_response_headers" && of_here == of_envoy;
        let ([context, all, end], [same_context, less, same_end]) = (envoy.as_slice(), here.as_slice()) else {
            return None;
        };
        Some(is_it && context == same_context && end == same_end && number(all)? == number(less)? + 1)
    };
    section.kind == Kind::Trace && is_one_less().unwrap_or(false)
}

/// Whether the lines that differ of this header are the same on both sides, at other places.
fn stands_elsewhere(_: &Part, section: &Section, row: &Row) -> bool {
    let name = |line: &str| line.split_once(": ").map(|(name, _)| name.to_owned());
    let is_of_messages = matches!(section.kind, Kind::Response | Kind::Upstream | Kind::Callout);
    let mut names = [&row.envoy, &row.here].into_iter().flatten().map(|line| name(line));
    let Some(Some(header)) = names.next().filter(|_| is_of_messages) else { return false };
    if matches!(header.as_str(), "status" | "body" | "end") || names.any(|other| other.as_ref() != Some(&header)) {
        return false;
    }
    let lines = |side: fn(&Row) -> &Option<String>, differing: bool| {
        let lines = section.rows.iter().filter(|row| !(differing && row.same)).filter_map(side_of(side));
        let mut lines: Vec<&str> = lines.filter(|line| name(line).as_ref() == Some(&header)).collect();
        lines.sort_unstable();
        lines
    };
    let (envoy, here) = (lines(|row| &row.envoy, true), lines(|row| &row.here, true));
    envoy == here && lines(|row| &row.envoy, false).len() > 1
}

fn side_of(side: fn(&Row) -> &Option<String>) -> impl Fn(&Row) -> Option<&str> {
    move |row| side(row).as_deref()
}

fn has_line(part: &Part, kind: Kind, side: fn(&Row) -> &Option<String>, line: &str) -> bool {
    let sections = part.sections.iter().filter(|section| section.kind == kind);
    sections.flat_map(|section| &section.rows).any(|row| side(row).as_deref() == Some(line))
}

fn last_callbacks_of_a_client_that_left(part: &Part, section: &Section, row: &Row) -> bool {
    let is_last = matches!(row.phase.as_deref(), Some("proxy_on_log" | "proxy_on_done" | "proxy_on_delete"));
    let left = || has_line(part, Kind::Response, |row| &row.envoy, "end: the client went away");
    section.kind == Kind::Trace && is_last && row.here.is_none() && left()
}

fn empty_chunks(part: &Part, section: &Section, row: &Row) -> bool {
    const CHUNKED: &str = "transfer-encoding: chunked";
    const NONE: &str = "content-length: 0";
    let is_empty = has_line(part, Kind::Upstream, |row| &row.envoy, CHUNKED)
        && has_line(part, Kind::Upstream, |row| &row.here, NONE);
    let is_it = match section.kind {
        Kind::Upstream => [&row.envoy, &row.here].into_iter().flatten().all(|line| line == CHUNKED || line == NONE),
        Kind::Trace if row.phase.as_deref() == Some("proxy_on_request_body") => row.here.is_none(),
        Kind::Trace => calls(row).is_some_and(|[(of_envoy, envoy), (of_here, here)]| {
            let ends = |arguments: &[&str], end| arguments.last() == Some(&end);
            of_envoy == "proxy_on_request_headers" && of_here == of_envoy && ends(&envoy, "0") && ends(&here, "1")
        }),
        _ => false,
    };
    is_empty && is_it
}

#[cfg(test)]
mod tests {
    use super::super::report::{ReportedFilter, Side};
    use super::*;

    fn row(envoy: &str, here: &str, phase: Option<&str>) -> Row {
        let side = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let phase = phase.map(str::to_owned);
        Row { phase, depth: 0, envoy: side(envoy), here: side(here), same: envoy == here, known: None }
    }

    /// A report of one part with these sections.
    fn report(sections: Vec<(Kind, Vec<Row>)>) -> Report {
        let section =
            |(kind, rows): (Kind, Vec<Row>)| Section { kind, name: None, same: rows.iter().all(|row| row.same), rows };
        let sections: Vec<Section> = sections.into_iter().map(section).collect();
        let same = sections.iter().all(|section| section.same);
        let side = || Side { name: String::new(), command: None };
        Report {
            version: 1,
            command: None,
            filters: vec![ReportedFilter { file: "f".into(), sha256: String::new(), bytes: 0 }],
            envoy: side(),
            here: side(),
            same,
            parts: vec![Part { name: "GET /".into(), same, sections, unmet: Vec::new() }],
            normalised: Vec::new(),
            known: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn is_known(sections: Vec<(Kind, Vec<Row>)>) -> bool {
        let mut report = report(sections);
        leave_out(&mut report, &Known::default());
        report.same
    }

    #[test]
    fn a_header_that_hosts_keep_is_known_and_two_are_not() {
        let headers =
            |count| row("[host->vm] proxy_on_response_headers(2, 3, 0)", &format!("[host->vm] {count}"), None);
        assert!(is_known(vec![(Kind::Trace, vec![headers("proxy_on_response_headers(2, 2, 0)")])]));
        for other in [
            "proxy_on_response_headers(2, 1, 0)",
            "proxy_on_response_headers(2, 2, 1)",
            "proxy_on_request_headers(2, 2, 0)",
        ] {
            assert!(!is_known(vec![(Kind::Trace, vec![headers(other)])]), "{other}");
        }
    }

    #[test]
    fn lines_at_other_places_are_known() {
        let moved =
            || vec![row("a: 1", "", None), row("b: 1", "b: 1", None), row("a: 2", "a: 2", None), row("", "a: 1", None)];
        assert!(is_known(vec![(Kind::Response, moved())]));
        assert!(!is_known(vec![(Kind::Trace, moved())]));
        let mut other = moved();
        other[3] = row("", "a: 3", None);
        assert!(!is_known(vec![(Kind::Response, other)]));
        // One line alone that moved is none of several.
        assert!(!is_known(vec![(Kind::Response, vec![row("a: 1", "", None), row("", "a: 1", None)])]));
    }

    #[test]
    fn the_end_of_a_client_that_left() {
        let left = (Kind::Response, vec![row("end: the client went away", "end: the client went away", None)]);
        let last = || (Kind::Trace, vec![row("[host->vm] proxy_on_log(2)", "", Some("proxy_on_log"))]);
        assert!(is_known(vec![left, last()]));
        assert!(!is_known(vec![last()]));
    }

    #[test]
    fn listed_lines_are_known_and_unused_ones_are_told() {
        let rows = vec![row("x: 1", "x: 2", None)];
        let mut found = report(vec![(Kind::Upstream, rows)]);
        let written = Known::of(&found);
        let known = written.replace("reason = \"\"", "reason = \"so it is\"").replace("lines = [", "lines = [\n'no',");
        leave_out(&mut found, &Known::parse(&known).unwrap());
        assert!(found.same);
        assert_eq!((found.known[0].reason.as_str(), found.known[0].lines), ("so it is", 1));
        assert_eq!(found.notes, ["A line that is listed as known differs no more: `no`"]);
        assert!(Known::parse(&written).unwrap_err().contains("there is no `reason` with `GET /, upstream - x: 1`"));
        assert!(Known::parse("[[difference]]\nlines = 5").unwrap_err().contains("line 2"));
    }
}
