//! The limits, as SUPPORT.md lists them: read from their source, `host-shim/abi/src/limits.rs`.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};

const SOURCE: &str = include_str!("../../../host-shim/abi/src/limits.rs");

const BEGIN: &str = "
## Limits

What a filter, a client or an upstream can't exceed. `serve --help` has those of that host.

| limit | of what | source or reason |
|---|---|---|
";

/// The section.
pub(crate) fn section() -> Result<String> {
    let mut text = BEGIN.to_string();
    let mut comment = String::new();
    let mut rows = 0;
    for line in SOURCE.lines() {
        if let Some(more) = line.strip_prefix("/// ") {
            comment.push_str(more);
            comment.push(' ');
        } else if let Some((name, value)) = constant(line) {
            // A list of several is no limit.
            if let Some(number) = product(value) {
                let (of, why) = parts(&comment).with_context(|| format!("the comment of {name}"))?;
                writeln!(text, "| {} | {of} | {why} |", shown(number, of))?;
                rows += 1;
            }
            comment.clear();
        }
    }
    ensure!(rows > 10, "{rows} limits: limits.rs is read no more");
    Ok(text)
}

/// The name and the value that a line gives a constant.
fn constant(line: &str) -> Option<(&str, &str)> {
    let (declaration, value) = line.strip_prefix("pub const ")?.split_once('=')?;
    Some((declaration.split(':').next()?, value.trim().strip_suffix(';').unwrap_or(value)))
}

/// What `64 * 1024` comes to.
fn product(value: &str) -> Option<u64> {
    value.split('*').map(|factor| factor.trim().replace('_', "").parse::<u64>().ok()).product()
}

/// What a comment says of a limit, and where that is from.
fn parts(comment: &str) -> Option<(&str, String)> {
    let (of, why) = match (comment.split_once(" Source: "), comment.split_once(" Reason: ")) {
        (Some((of, why)), _) => (of, format!("source: {}", why.trim())),
        (None, Some((of, why))) => (of, format!("reason: {}", why.trim())),
        (None, None) => (comment, String::new()),
    };
    let of = of.trim().trim_end_matches('.');
    (!of.is_empty()).then(|| (of, why.trim_end_matches('.').replace("[`", "`").replace("`]", "`")))
}

/// A number as people read it.
fn shown(number: u64, of: &str) -> String {
    match number {
        _ if of.starts_with("Bytes") && number > 0 && number.is_multiple_of(1 << 20) => format!("{} MiB", number >> 20),
        _ if of.starts_with("Bytes") && number > 0 && number.is_multiple_of(1 << 10) => format!("{} KiB", number >> 10),
        _ => number.to_string(),
    }
}
