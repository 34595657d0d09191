//! The commands in the documents, with what they print.
//!
//! A `console` block is run command by command in an empty directory that has links to everything at the top of the
//! repository, so nothing is left behind. A command that ends in `&` is a server: it gets a free port in place of the one that
//! the document names. What a command prints to stdout has to be what stands below it; `...` is any lines.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use proxy_wasm_adapter::settings;
use proxy_wasm_adapter_peers::lines::difference;
use proxy_wasm_adapter_tests::fixtures;
use proxy_wasm_adapter_tests::hosts::Child;
use proxy_wasm_adapter_tests::trial::trial;

use crate::Document;
use crate::markdown::Block;
use crate::references;

/// What the addresses begin with that the documents name.
const HOST: &str = "127.0.0.1:";

pub(crate) fn trials(documents: &[Document]) -> Vec<Trial> {
    let mut trials = Vec::new();
    for document in documents {
        for (number, block) in document.in_language("console") {
            let block = block.clone();
            trials.push(trial(format!("commands::{}::console-{number}", document.name), move || console(&block)));
        }
        for (number, block) in document.in_language("sh") {
            let block = block.clone();
            trials.push(trial(format!("commands::{}::sh-{number}", document.name), move || shell(&block)));
        }
        for (number, block) in document.in_language("toml") {
            let (block, example) = (block.clone(), document.name == "examples/README.md");
            let run = move || if example { expectations(&block) } else { settings_file(&block) };
            trials.push(trial(format!("commands::{}::toml-{number}", document.name), run));
        }
    }
    trials
}

/// A command, and what it prints.
#[derive(Debug, Default)]
struct Step {
    command: String,
    output: Vec<String>,
}

fn steps(block: &Block) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in &block.lines {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.into(), output: Vec::new() });
        } else if let Some(step) = steps.last_mut() {
            match line.strip_prefix("> ") {
                Some(more) if step.output.is_empty() => step.command = format!("{}\n{more}", step.command),
                _ => step.output.push(line.clone()),
            }
        }
    }
    steps
}

fn console(block: &Block) -> Result<()> {
    let directory = directory()?;
    let mut session = Session::new(directory.path(), &path(Some(adapters()?))?);
    session.console(block)
}

/// A shell in which one command after another is given.
pub(crate) struct Session<'a> {
    directory: &'a Path,
    path: OsString,
    /// As they stand in the document, and as they are.
    addresses: Vec<(String, String)>,
    servers: Vec<Child>,
}

impl<'a> Session<'a> {
    /// One in this directory, with this `PATH`.
    pub(crate) fn new(directory: &'a Path, path: &OsStr) -> Self {
        Self { directory, path: path.to_owned(), addresses: Vec::new(), servers: Vec::new() }
    }

    /// From now on it has this `PATH`.
    pub(crate) fn set_path(&mut self, path: OsString) {
        self.path = path;
    }

    /// Gives all commands of a block; each has to print what stands below it.
    pub(crate) fn console(&mut self, block: &Block) -> Result<()> {
        steps(block).iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        let known =
            |text: &str| self.addresses.iter().fold(text.to_string(), |text, (from, to)| text.replace(from, to));
        if let Some(server) = step.command.strip_suffix('&') {
            let new = named(server).find(|address| self.addresses.iter().all(|(known, _)| known != address));
            let new = new.with_context(|| {
                format!("`{server}` has to listen on {HOST}PORT, which the test replaces, and no other server there")
            })?;
            let (child, bound) = serve(self.directory, &self.path, &known(&server.replace(&new, "127.0.0.1:0")))?;
            self.addresses.push((new, bound.to_string()));
            self.servers.push(child);
            return Ok(());
        }
        if step.command.contains(" --install") {
            nothing_to_install()?;
        }
        let printed = run(self.directory, &self.path, &known(&step.command))?;
        let printed: Vec<&str> = printed.lines().collect();
        if !fits(&step.output, &printed) {
            let difference = difference(&step.output.join("\n"), &printed.join("\n")).unwrap_or_default();
            bail!("$ {}\n{difference}", step.command);
        }
        Ok(())
    }
}

/// The addresses that a command names.
fn named(command: &str) -> impl Iterator<Item = String> {
    command.split(HOST).skip(1).map(|rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        format!("{HOST}{}", &rest[..digits])
    })
}

/// Commands whose output is not shown: what they name exists, and the quick ones are run.
fn shell(block: &Block) -> Result<()> {
    let directory = directory()?;
    for line in &block.lines {
        let command = line.split_once(" #").map_or(line.as_str(), |(command, _)| command).trim();
        if command.is_empty() {
            continue;
        }
        references::command(command)?;
        // `tests/run` runs this test, and `cargo install` builds all of the adapter once more.
        if command.starts_with("examples/build.sh") {
            nothing_to_install()?;
            run(directory.path(), &path(None)?, command)?;
        } else {
            ensure!(
                command.starts_with("tests/run") || command.starts_with("cargo install"),
                "`{command}` stands in a `sh` block and no test runs it: make it a `console` block"
            );
        }
    }
    Ok(())
}

/// A settings file is one that the adapter takes.
fn settings_file(block: &Block) -> Result<()> {
    let input =
        settings::parse("the document", &block.lines.join("\n")).map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let filters = input.plugin.len().max(1);
    let problems = input.resolve(filters, &|_| Ok(Vec::new())).err().unwrap_or_default();
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

/// The description of `expected.toml` has every key that one of them has.
fn expectations(block: &Block) -> Result<()> {
    let described: toml::Table = toml::from_str(&block.lines.join("\n")).context("the description")?;
    for entry in std::fs::read_dir(fixtures::root().join("examples"))? {
        let path = entry?.path().join("expected.toml");
        if path.exists() {
            let expected: toml::Table = toml::from_str(&std::fs::read_to_string(&path)?)?;
            within(&toml::Value::Table(expected), &toml::Value::Table(described.clone()))
                .with_context(|| format!("{} has a key that is not described", path.display()))?;
        }
    }
    Ok(())
}

fn within(value: &toml::Value, described: &toml::Value) -> Result<()> {
    match (value, described) {
        (toml::Value::Table(table), toml::Value::Table(described)) => {
            for (key, value) in table {
                // An environment's names are the example's own.
                if described.contains_key("KEY") {
                    break;
                }
                within(value, described.get(key).with_context(|| format!("`{key}`"))?).context(key.clone())?;
            }
            Ok(())
        }
        (toml::Value::Array(values), toml::Value::Array(described)) => values
            .iter()
            .filter_map(|value| Some((value, described.first()?)))
            .try_for_each(|(value, described)| within(value, described)),
        _ => Ok(()),
    }
}

/// A directory that looks like the top of the repository, and is thrown away.
fn directory() -> Result<tempfile::TempDir> {
    let directory = tempfile::tempdir()?;
    for entry in std::fs::read_dir(fixtures::root())? {
        let entry = entry?;
        if entry.file_name() != ".git" {
            symlink(entry.path(), directory.path().join(entry.file_name()))?;
        }
    }
    Ok(directory)
}

/// Where the adapter of this build is.
pub(crate) fn adapters() -> Result<PathBuf> {
    let adapter = fixtures::binary("proxy-wasm-adapter")?;
    Ok(adapter.parent().context("a program stands in a directory")?.to_path_buf())
}

/// A `PATH` with this directory before all others, of which none has an adapter.
pub(crate) fn path(programs: Option<PathBuf>) -> Result<OsString> {
    let others = std::env::var_os("PATH").unwrap_or_default();
    let others = std::env::split_paths(&others).filter(|directory| !directory.join("proxy-wasm-adapter").exists());
    Ok(std::env::join_paths(programs.into_iter().chain(others))?)
}

fn bash(directory: &Path, path: &OsStr, command: &str) -> Command {
    let mut bash = Command::new("bash");
    bash.args(["-o", "pipefail", "-c", command]).current_dir(directory).env("PATH", path);
    fixtures::forget_package(&mut bash);
    bash
}

/// Runs it to its end; what it printed.
pub(crate) fn run(directory: &Path, path: &OsStr, command: &str) -> Result<String> {
    let output = bash(directory, path, command).stdin(Stdio::null()).output().context("runs bash")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "$ {command}\n{}\n{stderr}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Starts a server; where it listens.
pub(crate) fn serve(directory: &Path, path: &OsStr, command: &str) -> Result<(Child, SocketAddr)> {
    let mut child = Child::start_group(bash(directory, path, command).process_group(0))?;
    let address = child.wait_for("address", |line| line.strip_prefix("listening on http://")?.parse().ok());
    let address = address.with_context(|| format!("$ {command}"))?;
    Ok((child, address))
}

/// Tests install nothing: what `--install` would get has to be there.
fn nothing_to_install() -> Result<()> {
    run(fixtures::root(), &path(None)?, "examples/build.sh").context("run `examples/build.sh --install`").map(|_| ())
}

/// Whether these lines were expected; `...` stands for any.
fn fits(expected: &[String], printed: &[&str]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line == "..." => (0..=printed.len()).any(|skipped| fits(rest, &printed[skipped..])),
        Some((line, rest)) => printed.split_first().is_some_and(|(first, others)| first == line && fits(rest, others)),
    }
}
