//! DIFFERENCES.md.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use libtest_mimic::Trial;
use proxy_wasm_adapter_tests::difference::{Better, Difference, Differences};
use proxy_wasm_adapter_tests::fixtures;
use serde::Deserialize;

use crate::says;

const BEGIN: &str = "\
# Differences from Envoy

<!-- Generated from tests/known-differences.toml, tests/wire/differences.toml and tests/unchecked-differences.toml: change those, and run
`BLESS=1 cargo test -p proxy-wasm-adapter-tests --test documents`. -->

\"Right\" is what Envoy 1.40 does with HTTP/1.1 and its defaults. Here is where an adapted filter, its clients or its
upstream see something else, why, and which side is better off.

";

const IN_SHORT: &str = "\
## In short

";

const CHECKED: &str = "\
## Checked

Each of these is part of the outcome of a case in `tests/conformance/`, or in `tests/wire/` for odd requests, which runs on
Envoy and on hosts of components. An entry that no longer holds fails the run. Lines with `-` are Envoy's, lines with `+` ours.

";

const UNCHECKED: &str = "\
## Not checked against Envoy

These no case shows: they need something that a case can't ask for (a clock, another protocol, Envoy's own crash), or a
host can't do at all.

";

/// Lines of the examples that one reason has.
const EXAMPLE_LINES: usize = 14;

/// `tests/unchecked-differences.toml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    difference: Vec<Claim>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    /// What it is about, as a heading over several.
    about: String,
    envoy: String,
    here: String,
    reason: String,
    better: Better,
}

/// `tests/difference-themes.toml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Themes {
    theme: Vec<Theme>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Theme {
    title: String,
    what: String,
    /// Who notices it.
    notices: String,
    /// Beginnings of reasons, or what unchecked claims are about.
    entries: Vec<String>,
}

pub(crate) fn trial() -> Trial {
    proxy_wasm_adapter_tests::trial::trial("differences", || says("DIFFERENCES.md", &document()?))
}

fn document() -> Result<String> {
    let read = |name: &str| {
        std::fs::read_to_string(fixtures::root().join("tests").join(name)).with_context(|| format!("reads {name}"))
    };
    let mut known: Differences = toml::from_str(&read("known-differences.toml")?)?;
    let wire: Differences = toml::from_str(&read("wire/differences.toml")?)?;
    known.difference.extend(wire.difference.into_iter().map(of_wire));
    let unchecked: Unchecked = toml::from_str(&read("unchecked-differences.toml")?)?;
    let themes: Themes = toml::from_str(&read("difference-themes.toml")?)?;
    let mut text = BEGIN.to_string();
    text.push_str(IN_SHORT);
    for theme in &themes.theme {
        in_short(theme, &known, &unchecked, &mut text)?;
    }
    text.push('\n');
    text.push_str(CHECKED);
    // One part for each reason, in the order of the file.
    let mut parts: Vec<Vec<&Difference>> = Vec::new();
    for difference in &known.difference {
        match parts.iter_mut().find(|part| same(part[0], difference)) {
            Some(part) => part.push(difference),
            None => parts.push(vec![difference]),
        }
    }
    for part in parts {
        checked(&part, &mut text);
    }
    text.push_str(UNCHECKED);
    let mut about = "";
    for claim in &unchecked.difference {
        if claim.about != about {
            about = &claim.about;
            let break_before = if text.ends_with("|\n") { "\n" } else { "" };
            writeln!(text, "{break_before}### {about}\n\n| Envoy | here | why | better |\n|---|---|---|---|")?;
        }
        let Claim { envoy, here, reason, better, .. } = claim;
        writeln!(text, "| {envoy} | {here} | {reason} | {} |", side(*better))?;
    }
    Ok(text)
}

/// A theme in two sentences, with a link to the first of its entries.
fn in_short(theme: &Theme, known: &Differences, unchecked: &Unchecked, text: &mut String) -> Result<()> {
    let mut first = None;
    for entry in &theme.entries {
        let reasons = known.difference.iter().map(|difference| &difference.reason);
        let heading = reasons.chain(unchecked.difference.iter().map(|claim| &claim.about));
        let heading = heading.into_iter().find(|heading| heading.starts_with(entry.as_str()));
        let heading =
            heading.with_context(|| format!("difference-themes.toml: no difference begins with `{entry}`"))?;
        first.get_or_insert_with(|| anchor(heading));
    }
    let first = first.with_context(|| format!("difference-themes.toml: `{}` has no entries", theme.title))?;
    let Theme { title, what, notices, .. } = theme;
    writeln!(text, "- **[{title}](#{first})**: {what} *Who notices:* {notices}")?;
    Ok(())
}

/// What a heading is called in links.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// A difference that the suite `wire` shows, which only asks `serve`.
fn of_wire(mut difference: Difference) -> Difference {
    difference.cases = difference.cases.iter().map(|case| format!("wire/{case}")).collect();
    difference.hosts = vec!["serve".into()];
    difference
}

fn same(one: &Difference, other: &Difference) -> bool {
    (&one.reason, one.better, &one.hosts) == (&other.reason, other.better, &other.hosts)
}

fn checked(part: &[&Difference], text: &mut String) {
    let first = part[0];
    let _ = writeln!(text, "### {}\n", capitalized(&first.reason));
    let _ = write!(text, "Better: {}.", side(first.better));
    if !first.hosts.is_empty() {
        let _ = write!(text, " Only on: {}.", first.hosts.join(", "));
    }
    let everywhere = part.iter().any(|difference| difference.cases.is_empty());
    let cases: std::collections::BTreeSet<&String> = part.iter().flat_map(|difference| &difference.cases).collect();
    let cases: Vec<String> = cases.into_iter().map(|case| format!("`{case}`")).collect();
    let _ = match (everywhere, cases.as_slice()) {
        (true, _) => writeln!(text, " Cases: all in which it shows.\n"),
        (false, [case]) => writeln!(text, " Case: {case}.\n"),
        (false, cases) => writeln!(text, " Cases: {}.\n", cases.join(", ")),
    };
    let mut shown: Vec<String> = Vec::new();
    for difference in part {
        let lines = |mark: char, part: &str| -> String {
            let lines = part.trim_matches('\n').lines().filter(|line| !line.is_empty());
            lines.map(|line| format!("{mark} {}\n", line.trim_end())).collect()
        };
        let one = lines('-', &difference.envoy) + &lines('+', &difference.here);
        if !shown.contains(&one) {
            shown.push(one);
        }
    }
    // Examples, the short ones first.
    shown.sort_by_key(|one| one.lines().count());
    let mut lines = 0;
    shown.retain(|one| {
        let shorter = lines;
        lines += one.lines().count();
        shorter == 0 || lines <= EXAMPLE_LINES
    });
    let _ = writeln!(text, "```diff\n{}```\n", shown.join("\n"));
}

fn side(better: Better) -> &'static str {
    match better {
        Better::Envoy => "Envoy",
        Better::Here => "here",
        Better::Neither => "neither",
    }
}

fn capitalized(text: &str) -> String {
    // A name is written as it is.
    if text.split(' ').next().is_some_and(|word| word.contains(':')) {
        return text.to_string();
    }
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
