//! The limits, as SUPPORT.md lists them: read from their source, `host-shim/abi/src/limits.rs`, and for `serve` from its
//! options and from the constants in `adapter/serve/src/` and of its core, `adapter/embed/src/`.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::{Args, Command};
use proxy_wasm_adapter_serve::Options;
use proxy_wasm_adapter_tests::fixtures;

const SOURCE: &str = include_str!("../../../host-shim/abi/src/limits.rs");

const BEGIN: &str = "
## Limits

What a filter, a client or an upstream can't exceed on any host.

| limit | of what | source or reason |
|---|---|---|
";

const SERVE: &str = "
### Of `serve`

Options of `serve` set these.

| option | by default | of what |
|---|---|---|
";

const FIXED: &str = "
These are fixed.

| limit | of what |
|---|---|
";

/// Numbers of `serve` that limit nothing that anybody outside could see.
const NO_LIMITS: &[&str] =
    &["DIGITS", "PIECE", "PSEUDO_HEADERS", "READ_BYTES", "SHOWN_FRAMES", "TICK", "TRIM", "WRITE_BYTES"];

/// The sections.
pub(crate) fn sections() -> Result<String> {
    let mut text = section()?;
    text.push_str(SERVE);
    for option in Options::augment_args(Command::new("serve")).get_arguments() {
        let (Some(long), Some(value)) = (option.get_long(), option.get_value_names().and_then(<[_]>::first)) else {
            continue;
        };
        if !matches!(value.as_str(), "N" | "TIME" | "BYTES" | "RATE") {
            continue;
        }
        let defaults = option.get_default_values();
        let default = defaults.first().map_or("", |default| default.to_str().unwrap_or_default());
        let help = option.get_help().with_context(|| format!("`--{long}` says nothing"))?.to_string();
        writeln!(text, "| `--{long}` | {default} | {help} |")?;
    }
    text.push_str(FIXED);
    let mut rows = Vec::new();
    for place in ["adapter/serve/src", "adapter/embed/src"] {
        rows.extend(fixed(&fixtures::root().join(place))?);
    }
    rows.sort();
    // Both have an epoch.
    rows.dedup();
    ensure!(rows.len() > 5, "{} limits: the sources of `serve` are read no more", rows.len());
    rows.iter().for_each(|(of, limit)| text.push_str(&format!("| {limit} | {of} |\n")));
    Ok(text)
}

/// Of each constant in the sources below this directory what it limits, and the number.
fn fixed(directory: &Path) -> Result<Vec<(String, String)>> {
    let mut rows = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            rows.extend(fixed(&path)?);
            continue;
        }
        let mut comment = String::new();
        for line in std::fs::read_to_string(&path)?.lines() {
            if let Some(more) = line.strip_prefix("/// ") {
                comment.push_str(more);
                comment.push(' ');
                continue;
            }
            let value = line.split_once("const ").filter(|(before, _)| before.is_empty() || before.starts_with("pub"));
            let value = value.and_then(|(_, rest)| rest.split_once(": ")).filter(|(name, _)| !NO_LIMITS.contains(name));
            let value = value.and_then(|(_, rest)| rest.strip_suffix(';')?.split_once(" = "));
            if let Some(limit) = value.and_then(|(kind, value)| measure(kind, value, &comment)) {
                let of = comment.trim().trim_end_matches('.').replace("[`", "`").replace("`]", "`");
                ensure!(!of.is_empty(), "{}: `{line}` says nothing", path.display());
                rows.push((of, limit));
            }
            comment.clear();
        }
    }
    Ok(rows)
}

/// A constant of this type and value as people read it, if it is a number.
fn measure(kind: &str, value: &str, comment: &str) -> Option<String> {
    let time = |before: &str, unit: &str| {
        let number = value.strip_prefix(before)?.strip_suffix(')')?;
        Some(format!("{number} {unit}"))
    };
    if kind == "Duration" {
        return time("Duration::from_secs(", "s").or_else(|| time("Duration::from_millis(", "ms"));
    }
    if !matches!(kind, "usize" | "u32" | "u64") {
        return None;
    }
    let number = match value.split_once(" << ") {
        Some((number, shift)) => number.parse::<u64>().ok()?.checked_shl(shift.parse().ok()?)?,
        None => product(value)?,
    };
    let is_bytes = comment.to_ascii_lowercase().contains("byte") || number.is_multiple_of(1024);
    Some(shown(number, if is_bytes { "Bytes" } else { "" }))
}

/// The section of all hosts.
fn section() -> Result<String> {
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
