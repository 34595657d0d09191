//! What the command says of input that it cannot take: one file in `bad-input/` for each case, with the exit code, all of
//! stderr, and the files that are there afterwards.
//!
//! `BLESS=1 cargo test -p proxy-wasm-adapter --test bad_input` writes them.

mod chains;
mod compositions;
mod configurations;
mod files;
mod filters;
mod preinit;
mod settings;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use proxy_wasm_adapter_testing::{filter, filter_text, wat};

struct Case {
    name: &'static str,
    /// Files that are there at the start.
    files: Vec<(&'static str, Vec<u8>)>,
    args: Vec<&'static str>,
}

/// `adapt` of `filter.wasm`, with settings that are right.
fn adapt(name: &'static str, filter: Vec<u8>) -> Case {
    settings(name, filter, &["--direct-response", "200"])
}

/// `adapt` of `filter.wasm`, with these settings.
fn settings(name: &'static str, filter: Vec<u8>, more: &[&'static str]) -> Case {
    let args = ["adapt", "filter.wasm", "-o", "out.wasm"].iter().chain(more).copied().collect();
    Case { name, files: vec![("filter.wasm", filter)], args }
}

fn command(name: &'static str, filter: Vec<u8>, args: &[&'static str]) -> Case {
    Case { name, files: vec![("filter.wasm", filter)], args: args.to_vec() }
}

/// A settings file beside a filter that is right.
fn settings_file(name: &'static str, text: &str) -> Case {
    Case {
        name,
        files: vec![("filter.wasm", filter("")), ("plugin.toml", text.as_bytes().to_vec())],
        args: vec!["adapt", "filter.wasm", "-o", "out.wasm", "--settings", "plugin.toml"],
    }
}

fn adapted() -> Vec<u8> {
    proxy_wasm_adapter::adapt(&[filter("")], &proxy_wasm_adapter_testing::options()).unwrap().component
}

/// A component that ends within a section.
fn cut_off() -> Vec<u8> {
    let component = wat("(component (core module (func)))");
    component[..component.len() - 1].to_vec()
}

/// A filter without some line of [`filter_text`].
fn without(part: &str) -> Vec<u8> {
    let text = filter_text("");
    let kept: Vec<&str> = text.lines().filter(|line| !line.contains(part)).collect();
    // Each line closes what it opens, but the last closes the module too.
    let text = kept.join("\n");
    let closed = if text.matches('(').count() > text.matches(')').count() { text + ")" } else { text };
    wat(&closed)
}

/// Runs the command, and tells all that came of it.
fn run(case: &Case) -> String {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in &case.files {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_proxy-wasm-adapter"))
        .args(&case.args)
        .current_dir(&directory)
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "stdout is for the product");
    for (name, bytes) in &case.files {
        assert_eq!(&fs::read(directory.path().join(name)).unwrap(), bytes, "{name} is as it was");
    }
    format!(
        "$ proxy-wasm-adapter {}\n{}\nexit code: {}\nfiles: {}\n",
        case.args.join(" "),
        String::from_utf8_lossy(&output.stderr).trim_end(),
        output.status.code().map_or("none".into(), |code| code.to_string()),
        names(directory.path()).join(", "),
    )
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad-input").join(format!("{name}.txt"))
}

fn compare(name: &str, found: &str) -> Result<(), Failed> {
    let file = golden(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, found).map_err(|error| error.to_string())?;
        return Ok(());
    }
    let expected = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    if expected == found {
        return Ok(());
    }
    Err(format!("--- {}\n{expected}\n--- found\n{found}", file.display()).into())
}

fn main() {
    let cases = [
        filters::not_a_filter(),
        filters::unsupported(),
        settings::cases(),
        files::cases(),
        chains::cases(),
        compositions::cases(),
        preinit::cases(),
        configurations::cases(),
    ];
    let cases: Vec<Case> = cases.into_iter().flatten().collect();
    let expected: Vec<String> = names(golden("").parent().unwrap());
    let stale = expected.into_iter().filter(|file| !cases.iter().any(|case| format!("{}.txt", case.name) == *file));
    let stale: Vec<String> = stale.collect();
    let mut trials: Vec<Trial> =
        cases.into_iter().map(|case| Trial::test(case.name, move || compare(case.name, &run(&case)))).collect();
    trials.push(Trial::test("no-stale-files", move || {
        if stale.is_empty() { Ok(()) } else { Err(format!("without a case: {stale:?}").into()) }
    }));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
