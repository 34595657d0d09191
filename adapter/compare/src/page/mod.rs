//! A report as one HTML page that needs nothing else: no network, no other file.
//!
//! | file | idea |
//! |---|---|
//! | `page.html` | the page around the report: the filter's name and the verdict stand without JavaScript |
//! | `lines.js` | what a line is, where two differ, how one is painted |
//! | `page.js` | parts, sections, callbacks, lines; built when the reader comes near |
//! | `reader.js` | what the reader does: stepping, searching, copying, light and dark |
//! | `page.css` | light, dark, narrow, print |
//!
//! Lines are hostile: a filter's log or a header can hold any text. The report is JSON in which nothing can end the
//! element that holds it; the scripts make text nodes only; and the page's own policy forbids any script, style or
//! resource but its own, told by the report's digest, which no report can hold.

use super::report::{Report, Totals, count, grouped};
use proxy_wasm_adapter::digest::sha256;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = concat!(include_str!("lines.js"), include_str!("page.js"), include_str!("reader.js"));

/// The page that shows this report.
pub fn page(report: &Report) -> String {
    let json = serde_json::to_string(report).expect("a report is strings, numbers and lists of them");
    let verdict = Verdict::of(report);
    let nonce = sha256(json.as_bytes());
    fill(PAGE, |name| match name {
        "nonce" => nonce.clone(),
        "style" => STYLE.into(),
        "script" => SCRIPT.into(),
        "report" => escape_json(&json),
        "file" => escape_html(&files(report)),
        "state" => verdict.state.into(),
        "verdict" => verdict.text.clone(),
        "detail" => verdict.detail.clone(),
        _ => unreachable!("the page asks for `{name}`"),
    })
}

/// The names of the filters.
fn files(report: &Report) -> String {
    report.filters.iter().map(|filter| filter.file.as_str()).collect::<Vec<_>>().join(", ")
}

/// What the page says first.
struct Verdict {
    state: &'static str,
    text: String,
    detail: String,
}

impl Verdict {
    fn of(report: &Report) -> Self {
        let Totals { lines, different_lines, differences: places, unmet, .. } = Totals::of(report);
        let has_unmet = unmet > 0;
        let unmet = format!("{} not met", count(unmet, "expectation"));
        let lines_differ = format!("{} of {}", grouped(different_lines), count(lines, "line"));
        let (state, text, detail) = match (report.same, places, has_unmet) {
            (true, ..) if lines == 0 => ("nothing", "Nothing was compared".into(), String::new()),
            (true, ..) => ("same", "Same".into(), format!("{} on both sides", count(lines, "line"))),
            (false, 0, true) => ("different", unmet, format!("{} the same", count(lines, "line"))),
            (false, 0, false) => ("different", "Different".into(), format!("but none of {}", count(lines, "line"))),
            (false, places, false) => ("different", count(places, "difference"), lines_differ),
            (false, places, true) => ("different", count(places, "difference"), format!("{lines_differ}; {unmet}")),
        };
        Self { state, text, detail }
    }
}

/// Puts values in the place of `{{name}}`; what stands in a value stays as it is.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut pieces = template.split("{{");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or((piece, ""));
        text.push_str(&value(name));
        text.push_str(rest);
    }
    text
}

/// JSON without a character that means something to HTML. All of these can stand in JSON's strings only.
fn escape_json(json: &str) -> String {
    replace(json, |character| match character {
        '<' => Some("\\u003c"),
        '>' => Some("\\u003e"),
        '&' => Some("\\u0026"),
        '\u{2028}' => Some("\\u2028"),
        '\u{2029}' => Some("\\u2029"),
        _ => None,
    })
}

/// Text for an element or an attribute.
fn escape_html(text: &str) -> String {
    replace(text, |character| match character {
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '&' => Some("&amp;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        character if character.is_control() => Some("\u{fffd}"),
        _ => None,
    })
}

fn replace(text: &str, with: impl Fn(char) -> Option<&'static str>) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match with(character) {
            Some(other) => escaped.push_str(other),
            None => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Kind, KnownDifference, Part, ReportedFilter, Row, Section, Side};

    const HOSTILE: &str = "</script><!--<script>&'\"{{nonce}}\u{2028}\u{2029}\0\u{202e}]]>";

    fn side() -> Side {
        Side { name: HOSTILE.into(), command: Some(HOSTILE.into()) }
    }

    /// One section with a row for each of these: whether it is the same.
    fn report(rows: &[bool]) -> Report {
        let row = |same: &bool| Row {
            phase: Some(HOSTILE.into()),
            depth: 0,
            envoy: Some(HOSTILE.into()),
            here: None,
            same: *same,
            known: None,
        };
        let rows: Vec<_> = rows.iter().map(row).collect();
        let same = rows.iter().all(|row| row.same);
        let section = Section { kind: Kind::Callout, name: Some(HOSTILE.into()), same, rows };
        Report {
            version: 1,
            command: Some(HOSTILE.into()),
            filters: vec![ReportedFilter { file: HOSTILE.into(), sha256: HOSTILE.into(), bytes: 0 }],
            envoy: side(),
            here: side(),
            same,
            parts: vec![Part { name: HOSTILE.into(), same, sections: vec![section], unmet: Vec::new() }],
            normalised: vec![HOSTILE.into()],
            known: vec![KnownDifference { reason: HOSTILE.into(), lines: 1 }],
            notes: vec![HOSTILE.into()],
        }
    }

    fn verdict(report: &Report) -> String {
        let verdict = Verdict::of(report);
        format!("{}: {}, {}", verdict.state, verdict.text, verdict.detail)
    }

    #[test]
    fn nothing_breaks_out_of_the_report() {
        let report = report(&[true, false]);
        let page = page(&report);
        let (_, rest) = page.split_once(r#"<script type="application/json" id="report">"#).unwrap();
        let (json, after) = rest.split_once('<').unwrap();
        assert!(after.starts_with("/script>\n<script nonce="), "{}", &after[..40]);
        assert!(!json.contains(['<', '>', '&', '\u{2028}', '\u{2029}', '\0']));
        let read: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(read, serde_json::to_value(&report).unwrap());
    }

    #[test]
    fn nothing_breaks_out_of_the_head() {
        let page = page(&report(&[true]));
        let shown =
            "&lt;/script&gt;&lt;!--&lt;script&gt;&amp;&#39;&quot;{{nonce}}\u{2028}\u{2029}\u{fffd}\u{202e}]]&gt;";
        assert!(page.contains(&format!("<title>Same: {shown}</title>")));
        assert!(page.contains(&format!("<h1 id=\"file\">{shown}</h1>")));
    }

    #[test]
    fn the_page_is_all_there_is() {
        let page = page(&report(&[false]));
        let own = [PAGE, STYLE, SCRIPT].concat();
        for outside in ["http:", "https:", "src=", "url(", "@import", "import(", "fetch(", "innerHTML", "eval("] {
            assert!(!own.contains(outside), "`{outside}`");
        }
        let nonce = sha256(serde_json::to_string(&report(&[false])).unwrap().as_bytes());
        assert!(page.contains(&format!("default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'")));
        assert_eq!(page.matches("<script").count(), 2);
    }

    #[test]
    fn verdicts() {
        assert_eq!(verdict(&report(&[])), "nothing: Nothing was compared, ");
        assert_eq!(verdict(&report(&[true])), "same: Same, 1 line on both sides");
        assert_eq!(verdict(&report(&[true; 1234])), "same: Same, 1,234 lines on both sides");
        assert_eq!(verdict(&report(&[false])), "different: 1 difference, 1 of 1 line");
        assert_eq!(verdict(&report(&[false, false, true, false])), "different: 2 differences, 3 of 4 lines");
        assert_eq!(verdict(&Report { same: false, ..report(&[true]) }), "different: Different, but none of 1 line");
        let mut unmet = report(&[true, true]);
        unmet.same = false;
        unmet.parts[0].unmet = vec![HOSTILE.into()];
        assert_eq!(verdict(&unmet), "different: 1 expectation not met, 2 lines the same");
        unmet.parts[0].sections[0].rows[1].same = false;
        assert_eq!(verdict(&unmet), "different: 1 difference, 1 of 2 lines; 1 expectation not met");
    }
}
