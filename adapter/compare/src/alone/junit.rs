//! What became of request files, as the JUnit XML that CI servers read.

use std::fmt::Write;
use std::time::Duration;

use super::terminal::in_file;
use super::{Case, Tested, Verdict};

/// Request files by their names, and what became of each, as JUnit XML: a suite a file, a case a request.
pub fn junit(files: &[(String, Tested)]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    write(&mut out, files).expect("a string takes all text");
    out
}

fn write(out: &mut String, files: &[(String, Tested)]) -> std::fmt::Result {
    let all = || files.iter().flat_map(|(_, tested)| &tested.cases);
    writeln!(out, "<testsuites name=\"proxy-wasm-adapter test\"{}>", totals(all()))?;
    for (file, tested) in files {
        writeln!(out, "  <testsuite name=\"{}\"{}>", escaped(file), totals(tested.cases.iter()))?;
        for case in &tested.cases {
            self::case(out, file, case)?;
        }
        writeln!(out, "  </testsuite>")?;
    }
    writeln!(out, "</testsuites>")
}

fn totals<'a>(cases: impl Iterator<Item = &'a Case>) -> String {
    let (mut tests, mut failures, mut skipped, mut time) = (0, 0, 0, Duration::ZERO);
    for case in cases {
        tests += 1;
        failures += usize::from(matches!(case.verdict, Verdict::Unmet(_)));
        skipped += usize::from(matches!(case.verdict, Verdict::NotSent(_)));
        time += case.time;
    }
    format!(" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"{}\"", seconds(time))
}

fn case(out: &mut String, file: &str, case: &Case) -> std::fmt::Result {
    let (name, file_name) = (escaped(&case.name), escaped(file));
    writeln!(out, "    <testcase classname=\"{file_name}\" name=\"{name}\" time=\"{}\">", seconds(case.time))?;
    match &case.verdict {
        Verdict::Met | Verdict::Sent => {}
        Verdict::NotSent(why) => writeln!(out, "      <skipped message=\"{}\"/>", escaped(why))?,
        Verdict::Unmet(failing) => {
            let first = failing.first().map(|failing| escaped(&failing.text)).unwrap_or_default();
            let all: Vec<String> = failing.iter().map(|failing| escaped(&in_file(file, failing))).collect();
            writeln!(out, "      <failure message=\"{first}\" type=\"expectation\">{}</failure>", all.join("\n"))?;
        }
    }
    for (element, lines) in [("system-out", &case.log), ("system-err", &case.host)] {
        if !lines.is_empty() {
            writeln!(out, "      <{element}>{}</{element}>", escaped(&lines.join("\n")))?;
        }
    }
    writeln!(out, "    </testcase>")
}

fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

/// Text for an element or an attribute. XML has no place for most control characters, whatever is written for them.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            character if character.is_control() => out.push('\u{fffd}'),
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::Failing;
    use super::*;
    use crate::requests::Place;

    #[test]
    fn a_file_is_a_suite() {
        let case = |name: &str, verdict| Case {
            name: name.into(),
            verdict,
            log: vec!["[info] \"<&>\"\0".into()],
            host: Vec::new(),
            time: Duration::from_millis(1500),
        };
        let failing = Failing { place: Some(Place { line: 3, column: 9 }), text: "the body is \"<\"".into() };
        let cases = vec![
            case("start", Verdict::Met),
            case("GET /?a&b", Verdict::Unmet(vec![failing])),
            case("GET /", Verdict::NotSent("serve ended".into())),
        ];
        let tested = Tested { host: "serve".into(), cases, expectations: 1 };
        assert_eq!(
            junit(&[("a.yaml".into(), tested)]),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
<testsuites name=\"proxy-wasm-adapter test\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"4.500\">
  <testsuite name=\"a.yaml\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"4.500\">
    <testcase classname=\"a.yaml\" name=\"start\" time=\"1.500\">
      <system-out>[info] &quot;&lt;&amp;&gt;&quot;\u{fffd}</system-out>
    </testcase>
    <testcase classname=\"a.yaml\" name=\"GET /?a&amp;b\" time=\"1.500\">
      <failure message=\"the body is &quot;&lt;&quot;\" type=\"expectation\">a.yaml:3:9: the body is &quot;&lt;&quot;</failure>
      <system-out>[info] &quot;&lt;&amp;&gt;&quot;\u{fffd}</system-out>
    </testcase>
    <testcase classname=\"a.yaml\" name=\"GET /\" time=\"1.500\">
      <skipped message=\"serve ended\"/>
      <system-out>[info] &quot;&lt;&amp;&gt;&quot;\u{fffd}</system-out>
    </testcase>
  </testsuite>
</testsuites>
"
        );
    }
}
