//! What comments in the shim name as the source of a fact: a function or a name of Envoy's, or a conformance case that
//! exists.

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use proxy_wasm_adapter_tests::fixtures;
use proxy_wasm_adapter_tests::trial::trial;

const CASES: &str = "tests/conformance";

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("sources::are_named", named), trial("sources::bare_ones_are_refused", bare_ones_are_refused)]
}

fn named() -> Result<()> {
    let sources = crate::markdown::files().into_iter().filter(|file| file.starts_with("host-shim/"));
    let mut count = 0;
    for file in sources.filter(|file| file.ends_with(".rs")) {
        let text = std::fs::read_to_string(fixtures::root().join(&file))?;
        for comment in comments(&text) {
            count += check(&comment).with_context(|| format!("{file}: `{comment}`"))?;
        }
    }
    ensure!(count > 20, "{count} sources: how comments name them has changed");
    Ok(())
}

fn bare_ones_are_refused() -> Result<()> {
    for bare in
        ["Source: Envoy.", "Source: measured; `te` is not.", "Source: measured. See `http`.", "`chains/no-such-case`"]
    {
        ensure!(check(bare).is_err(), "`{bare}` counts as named");
    }
    ensure!(check("Six. Source: Envoy's `Wasm::x`, by `chains/a-trap-in-response-body`.")? == 1);
    ensure!(comments("/// a\n    /// b\n\nfn c() {} // d") == ["a b", "d"]);
    Ok(())
}

/// The comments of a Rust file, each as one line.
fn comments(text: &str) -> Vec<String> {
    let mut comments = vec![String::new()];
    for line in text.lines() {
        let (code, comment) = line.split_once("//").map_or((line, None), |(code, comment)| (code, Some(comment)));
        if comment.is_none() || !code.trim().is_empty() {
            comments.push(String::new());
        }
        let (Some(comment), Some(last)) = (comment, comments.last_mut()) else { continue };
        let comment = comment.trim_start_matches(['/', '!']).trim();
        if comment.is_empty() {
            comments.push(String::new());
        } else {
            *last = format!("{last} {comment}").trim().to_string();
        }
    }
    comments.retain(|comment| !comment.is_empty());
    comments
}

/// Checks the sources that a comment names, and the cases. Returns how many sources it names.
fn check(comment: &str) -> Result<usize> {
    for name in code(comment) {
        let folder = name.split_once('/').map_or("", |(folder, _)| folder);
        if !folder.is_empty() && fixtures::root().join(CASES).join(folder).is_dir() {
            let case = fixtures::root().join(CASES).join(format!("{name}.toml"));
            ensure!(case.exists(), "there is no case `{name}`");
        }
    }
    let sources = comment.split("Source: ").skip(1);
    for source in sources.clone() {
        let sentence = source.split_once(". ").map_or(source, |(sentence, _)| sentence);
        if code(sentence).next().is_none() || sentence.starts_with("measured") {
            bail!("the source is bare: name Envoy's function, or a case in {CASES}, between backticks");
        }
    }
    Ok(sources.count())
}

/// What stands between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}
