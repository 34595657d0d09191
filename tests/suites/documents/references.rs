//! What the documents name exists: files, headings, options, packages, tests.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use proxy_wasm_adapter_tests::fixtures;
use proxy_wasm_adapter_tests::trial::trial;

use crate::Document;
use crate::markdown::files;

/// What looks like a path and is none.
const NO_PATHS: &[&str] = &["HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/3", "application/grpc"];

/// Options of programs that are neither ours nor found by name.
const FOREIGN_OPTIONS: &[(&str, &str)] =
    &[("--package", "cargo"), ("--bin", "cargo"), ("--retry", "curl"), ("--retry-connrefused", "curl")];

/// The scripts that documents tell to run.
const SCRIPTS: &[&str] = &["examples/build.sh", "examples/try.sh", "host-shim/build.sh", "tests/run", "tests/tools.sh"];

type Check = fn(&Document) -> Result<()>;

static FILES: LazyLock<Vec<String>> = LazyLock::new(files);

pub(crate) fn trials(documents: &[Document]) -> Vec<Trial> {
    let mut trials = vec![trial("references::suites", suites)];
    for document in documents {
        let checks: [(&str, Check); 3] = [("links", links), ("files", named_files), ("options", options)];
        for (name, check) in checks {
            let document = document.clone();
            trials.push(trial(format!("references::{}::{name}", document.name), move || check(&document)));
        }
    }
    trials
}

/// The list on top of the test package has all suites.
fn suites() -> Result<()> {
    let list = std::fs::read_to_string(fixtures::root().join("tests/src/lib.rs"))?;
    for suite in FILES.iter().filter_map(|file| file.strip_prefix("tests/suites/")) {
        let name = suite.split_once('/').map_or(suite.to_string(), |(folder, _)| format!("{folder}/"));
        ensure!(list.contains(&format!("//! suites/{name} ")), "tests/src/lib.rs lists no `suites/{name}`");
    }
    Ok(())
}

/// Links within the repository lead somewhere.
fn links(document: &Document) -> Result<()> {
    for link in document.links().iter().filter(|link| !link.contains("://")) {
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target =
            if path.is_empty() { fixtures::root().join(&document.name) } else { document.directory().join(path) };
        ensure!(target.exists(), "the link `{link}` leads nowhere");
        if !anchor.is_empty() {
            let linked = crate::markdown::documents()?
                .into_iter()
                .find(|other| fixtures::root().join(&other.name).canonicalize().ok() == target.canonicalize().ok());
            let anchors = linked.map(|linked| linked.anchors()).unwrap_or_default();
            ensure!(anchors.iter().any(|other| other == anchor), "the link `{link}` leads to no heading");
        }
    }
    Ok(())
}

/// Each path between backticks is that of a file or directory here, or the end of one.
fn named_files(document: &Document) -> Result<()> {
    for code in document.code() {
        for path in expand(&code).iter().filter(|path| is_path(path)) {
            ensure!(exists(path, &document.directory()), "there is no `{path}`");
        }
    }
    Ok(())
}

fn is_path(code: &str) -> bool {
    let all_of_a_path = code.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    let source = [".rs", ".sh", ".md", ".c", ".wat"].iter().any(|end| code.len() > end.len() && code.ends_with(end));
    // Users' files, what is built, absolute paths and placeholders.
    let elsewhere = code.starts_with("filter.")
        || code.starts_with("target")
        || code.starts_with(['/', '.', '-'])
        || code.split(['/', '.']).any(|part| part == "NAME");
    all_of_a_path && (code.contains('/') || source) && !elsewhere && !NO_PATHS.contains(&code)
}

fn exists(path: &str, directory: &Path) -> bool {
    let path = path.trim_end_matches('/');
    let as_file = format!("/{path}");
    let as_directory = format!("/{path}/");
    let case = format!("tests/conformance/{path}.toml");
    directory.join(path).exists()
        || FILES.contains(&case)
        || path.strip_prefix("wire/").is_some_and(is_wire_case)
        || FILES
            .iter()
            .map(|file| format!("/{file}"))
            .any(|file| file.ends_with(&as_file) || file.contains(&as_directory))
}

/// Whether the suite of odd requests has a case of this name.
fn is_wire_case(name: &str) -> bool {
    let cases = std::fs::read_to_string(fixtures::root().join("tests/wire/http1.toml")).unwrap_or_default();
    cases.lines().any(|line| line == format!("name = \"{name}\""))
}

/// `a/{b,c}` as `a/b` and `a/c`.
fn expand(code: &str) -> Vec<String> {
    match code.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
        Some((before, (choices, after))) => {
            choices.split(',').map(|choice| format!("{before}{}{after}", choice.trim())).collect()
        }
        None => vec![code.to_string()],
    }
}

/// Each command between backticks can be given, and each option anywhere is one of ours, or of a program named here.
fn options(document: &Document) -> Result<()> {
    let known = known_options()?;
    let blocks = document.blocks.iter().filter(|block| matches!(block.language.as_str(), "console" | "sh"));
    let commands =
        blocks.flat_map(|block| &block.lines).filter_map(|line| line.strip_prefix("$ ").or(line.strip_prefix("> ")));
    let code = document.code();
    for text in code.iter().map(String::as_str).chain(commands) {
        let program = text.split(' ').next().unwrap_or_default();
        if text.contains("cargo ") || SCRIPTS.contains(&program) {
            command(text)?;
            continue;
        }
        for option in text.split([' ', '|', '[', ']', '=']).filter(|word| word.starts_with("--") && word.len() > 2) {
            ensure!(known.contains(option), "`{text}`: there is no option `{option}`");
        }
    }
    Ok(())
}

/// Whether this command, of cargo or of a script here, can be given.
pub(crate) fn command(text: &str) -> Result<()> {
    let mut words = text.split_whitespace().skip_while(|word| word.contains('=')).peekable();
    let program = words.next().context("a command")?;
    if program != "cargo" {
        let script = fixtures::root().join(program);
        ensure!(SCRIPTS.contains(&program), "`{text}`: is `{program}` a script? If so, add it to the test");
        let usage = usage(&script)?;
        for option in words.filter(|word| word.starts_with("--")) {
            ensure!(usage.contains(option), "`{text}`: `{program}` takes no `{option}`:\n{usage}");
        }
        return Ok(());
    }
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("`{text}`: `{word}` needs a value"));
        match word {
            "-p" | "--package" => {
                let package = value()?;
                ensure!(packages()?.contains(package), "`{text}`: there is no package `{package}`");
            }
            "--bin" => {
                let name = value()?;
                let ends = [format!("src/bin/{name}.rs"), format!("src/bin/{name}/main.rs")];
                let is_its = |file: &String| ends.iter().any(|end| file.ends_with(end));
                ensure!(FILES.iter().any(is_its), "`{text}`: there is no program `{name}`");
            }
            "--test" => {
                let name = value()?;
                let manifest = std::fs::read_to_string(fixtures::root().join("tests/Cargo.toml"))?;
                ensure!(manifest.contains(&format!("name = \"{name}\"")), "`{text}`: there is no test `{name}`");
            }
            "--path" => {
                let package = fixtures::root().join(value()?).join("src/main.rs");
                ensure!(package.exists(), "`{text}`: there is no `{}`", package.display());
            }
            // Options of cargo without a value, its commands, and what a placeholder stands for.
            "--release" | "--locked" | "--workspace" | "build" | "test" | "run" | "install" | "NAME" => {}
            // The program's own.
            "--" => break,
            // What the test program is to run.
            _ if word.starts_with("::") => {}
            _ => anyhow::bail!("`{text}`: does cargo take `{word}`? If so, add it to the test"),
        }
    }
    Ok(())
}

/// What a script of ours says of a wrong option.
fn usage(script: &Path) -> Result<String> {
    let output = Command::new(script).arg("--no-such-option").output().with_context(|| format!("runs {script:?}"))?;
    ensure!(!output.status.success(), "{script:?} takes any option");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn packages() -> Result<BTreeSet<String>> {
    let manifests = FILES.iter().filter(|file| file.ends_with("Cargo.toml") && !file.starts_with("examples/"));
    let mut packages = BTreeSet::new();
    for manifest in manifests {
        let manifest: toml::Table = toml::from_str(&std::fs::read_to_string(fixtures::root().join(manifest))?)?;
        let name = manifest.get("package").and_then(|package| package.get("name")?.as_str());
        packages.extend(name.map(str::to_string));
    }
    Ok(packages)
}

/// The options of the adapter, of `wasmtime serve` and of the scripts that the documents speak of by themselves.
fn known_options() -> Result<BTreeSet<String>> {
    let mut known: BTreeSet<String> = FOREIGN_OPTIONS.iter().map(|(option, _)| option.to_string()).collect();
    let mut take = |text: &str| {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        known.extend(words.filter(|word| word.starts_with("--")).map(str::to_string));
    };
    for (program, commands) in [
        ("proxy-wasm-adapter", &["adapt", "inspect", "extract", "serve", "test", "compare"][..]),
        ("wasmtime-serve", &[""]),
    ] {
        for name in commands {
            let mut command = Command::new(fixtures::binary(program)?);
            let output = command.args([*name, "--help"].iter().filter(|word| !word.is_empty())).output()?;
            take(&String::from_utf8_lossy(&output.stdout));
        }
    }
    for script in SCRIPTS {
        take(&usage(&fixtures::root().join(script))?);
    }
    Ok(known)
}
