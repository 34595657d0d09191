//! The command, as users run it.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use proxy_wasm_adapter::shim::{Flavour, Shim};
use proxy_wasm_adapter::wasi::Wasi;
use proxy_wasm_adapter_tests::examples::Example;
use proxy_wasm_adapter_tests::fixtures;
use serde_json::Value;

/// A directory with files for one test.
pub(crate) struct Files(tempfile::TempDir);

/// What the command came to.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Files {
    pub(crate) fn new(files: &[(&str, &str)]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text)?;
        }
        Ok(Self(directory))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `compare` with these arguments, in this directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(fixtures::binary("proxy-wasm-adapter")?);
        command.arg("compare").args(arguments).current_dir(self.0.path());
        command.env("ENVOY", fixtures::tool("envoy", "ENVOY")?).stdin(Stdio::null());
        Ok(command)
    }

    /// A command as one would type it there.
    pub(crate) fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("bash");
        command.args(["-c", line]).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn compare(&self, arguments: &[&str]) -> Result<Outcome> {
        run(self.command(arguments)?)
    }
}

pub(crate) fn run(mut command: Command) -> Result<Outcome> {
    let output = command.output().context("runs compare")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Outcome { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
}

impl Outcome {
    /// Fails unless it came to this, and these stand in what it wrote.
    pub(crate) fn check(&self, code: i32, parts: &[&str]) -> Result<()> {
        ensure!(self.code == Some(code), "it ended with {:?}, not {code}\n{}\n{}", self.code, self.stdout, self.stderr);
        let written = if code == 2 { &self.stderr } else { &self.stdout };
        for part in parts {
            ensure!(written.contains(part), "`{part}` is not in\n{written}");
        }
        Ok(())
    }
}

/// The path of an example's filter.
pub(crate) fn example(name: &str) -> Result<String> {
    let all = Example::all()?;
    let example = all.iter().find(|example| example.name == name).context("an example")?;
    example.filter()?;
    Ok(fixtures::root().join("target/examples").join(name).with_extension("wasm").display().to_string())
}

pub(crate) fn an_example_is_the_same() -> Result<()> {
    let files = Files::new(&[
        ("requests.yaml", "requests: [{method: GET, path: /x}, {path: /admin}]"),
        ("plugin.toml", "configuration = \"mark = seen\\nforbidden = /admin\""),
    ])?;
    let filter = example("rust-headers")?;
    let arguments = ["--requests", "requests.yaml", "--settings", "plugin.toml", "--html", "page.html", "--json"];
    let outcome = files.compare(&[&[filter.as_str()], &arguments[..]].concat())?;
    outcome.check(0, &[])?;
    let report: Value = serde_json::from_str(&outcome.stdout)?;
    ensure!(report["same"] == true && report["envoy"]["name"].as_str().is_some_and(|name| name.starts_with("Envoy ")));
    let names: Vec<_> = report["parts"].as_array().context("parts")?.iter().map(|part| &part["name"]).collect();
    ensure!(names == ["start", "GET /x", "GET /admin"], "{names:?}");
    let page = std::fs::read_to_string(files.path("page.html")).context("reads the page")?;
    ensure!(page.contains("proxy_on_request_headers"), "the page shows no trace");

    let outcome = files.compare(&[&[filter.as_str()], &arguments[..4], &["--all"]].concat())?;
    outcome.check(0, &["same       GET /x", "[vm->host] env.proxy_get_header_map_value(0, ", "\nsame: 3 parts, "])
}

/// The tracing shim with a host call that does what it did and answers `NOT_FOUND`.
fn shim_with_another_status(host_call: &str) -> Result<Vec<u8>> {
    let text = wasmprinter::print_bytes(Shim::built_in(Wasi::V0_2, Flavour::Tracing).bytes())?;
    let begin = text.find(&format!("(func ${host_call} ")).context("the host call")?;
    let end = begin + text[begin..].find("\n  (func ").context("the function behind it")?;
    let mut changed = String::new();
    let mut calls = 0;
    for line in text[begin..end].lines() {
        changed.push_str(line);
        // What the call proper returns is the status that is traced, and returned.
        if line.trim().starts_with("call $") && line.contains("exports5proxy") {
            changed.push_str("\n drop\n i32.const 1");
            calls += 1;
        }
        changed.push('\n');
    }
    ensure!(calls > 0, "`{host_call}` calls nothing of that name any more:\n{}", &text[begin..end]);
    Ok(wat::parse_str([&text[..begin], &changed, &text[end..]].concat())?)
}

pub(crate) fn one_other_status_is_told() -> Result<()> {
    let files = Files::new(&[("requests.yaml", "requests: [{path: /x}]")])?;
    std::fs::write(files.path("shim.wasm"), shim_with_another_status("proxy_add_header_map_value")?)?;
    let filter = example("wat-minimal")?;
    let arguments = [filter.as_str(), "--requests", "requests.yaml", "--shim", "shim.wasm"];
    files.compare(&arguments)?.check(
        1,
        &[
            "same       start\ndifferent  GET /x\n  trace\n",
            "\n    -   [vm<-host] env.proxy_add_header_map_value return: 0\n",
            "\n    +   [vm<-host] env.proxy_add_header_map_value return: 1\n",
            "\ndifferent: 1 difference in 1 of 2 parts, 1 of ",
        ],
    )
}

pub(crate) fn unmet_expectations_are_told() -> Result<()> {
    let requests = "requests: [{path: /, expect: {status: 404, headers: {x-hello: no}, body: no, log: [no]}}]";
    let files = Files::new(&[("requests.yaml", requests)])?;
    files.compare(&[&example("wat-minimal")?, "--requests", "requests.yaml"])?.check(
        1,
        &[
            "different  GET /\n",
            "expected: Envoy: the status is 200, expected 404\n",
            "expected: Envoy: the response has the header `x-hello` as \"from wat\", expected \"no\"\n",
            "expected: the other side: the response has the body \"ok\\n\", expected \"no\"\n",
            "expected: the other side: no line of the log is as expected: \"no\"\n",
            "different: 8 expectations not met in 1 of 2 parts, ",
        ],
    )
}

/// A filter with this code behind its start and in its request headers.
fn filter(configure: &str, request: &str) -> String {
    format!(
        "(module (memory (export \"memory\") 1) (func (export \"proxy_abi_version_0_2_1\"))
         (func (export \"malloc\") (param i32) (result i32) (i32.const 1024))
         (func (export \"proxy_on_configure\") (param i32 i32) (result i32) {configure} (i32.const 1))
         {request})"
    )
}

const LOOP: &str = "(loop $forever (br $forever))";

pub(crate) fn refused_by_envoy() -> Result<()> {
    // The signature of ABI 0.1.0.
    let filter = filter("", r#"(func (export "proxy_on_request_headers") (param i32 i32) (result i32) (i32.const 0))"#);
    let files = Files::new(&[("filter.wat", &filter), ("requests.yaml", "requests: [{}]")])?;
    files.compare(&["filter.wat", "--requests", "requests.yaml"])?.check(
        1,
        &[
            "different  start",
            "    - did not start: ",
            "Bad function signature for: proxy_on_request_headers",
            "    + started\n",
            "Note: No request was sent: not Envoy runs the plugin.",
        ],
    )
}

pub(crate) fn a_filter_that_hangs() -> Result<()> {
    let request =
        format!(r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {LOOP} (i32.const 0))"#);
    let files =
        Files::new(&[("filter.wat", &filter("", &request)), ("requests.yaml", "requests: [{path: /1}, {path: /2}]")])?;
    let begin = Instant::now();
    files.compare(&["filter.wat", "--requests", "requests.yaml", "--timeout", "1s", "--all"])?.check(
        0,
        &[
            "end: not within 1s\n",
            "[host<-vm] proxy_on_request_headers has not returned\n",
            "Note: In `GET /1` the filter did not return; the request after it was not sent.\n",
        ],
    )?;
    ensure!(begin.elapsed() < Duration::from_secs(60), "it took {:?}", begin.elapsed());
    Ok(())
}

pub(crate) fn a_filter_that_writes_without_end() -> Result<()> {
    let request = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (loop $forever (drop (call $log (i32.const 2) (i32.const 0) (i32.const 60000))) (br $forever)) (i32.const 0))"#;
    let log = r#"(module (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))"#;
    let filter = filter("", request).replacen("(module", log, 1);
    let files = Files::new(&[("filter.wat", &filter), ("requests.yaml", "requests: [{path: /1}, {path: /2}]")])?;
    let outcome = files.compare(&["filter.wat", "--requests", "requests.yaml"])?;
    outcome
        .check(1, &["In `GET /1` Envoy 1.40.0 wrote too much and was ended", "serve wrote too much and was ended"])?;
    ensure!(outcome.stdout.len() < 1 << 20, "the report has {} bytes", outcome.stdout.len());
    Ok(())
}

pub(crate) fn a_filter_that_hangs_as_it_starts() -> Result<()> {
    let files = Files::new(&[("filter.wat", &filter(LOOP, "")), ("requests.yaml", "requests: [{}]")])?;
    files.compare(&["filter.wat", "--requests", "requests.yaml", "--start-timeout", "5s", "--all"])?.check(
        1,
        &["did not start: it has not started after 5 s", "Note: No request was sent: neither side runs the plugin."],
    )
}

/// Both refuse alike, and yet nothing was compared that was asked for.
pub(crate) fn refused_by_both() -> Result<()> {
    let refused = "start: {refused: true, log: [bad configuration]}";
    let files = Files::new(&[("requests.yaml", "requests: [{}]"), ("refused.yaml", refused)])?;
    let filter = example("rust-headers")?;
    let arguments = |requests| [&filter, "--requests", requests, "--config-text", "nonsense"];
    files.compare(&arguments("requests.yaml"))?.check(
        1,
        &[
            "different  start\n",
            "expected: Envoy: the plugin did not start: ",
            "expected: the other side: the plugin did not start: the plugin cannot start: `proxy_on_configure` returned false",
            "it logged: [warn] bad configuration: `nonsense` is no `key=value`\n",
            "different: 2 expectations not met in 1 of 1 part, ",
        ],
    )?;
    files.compare(&arguments("refused.yaml"))?.check(0, &["same       start\n"])
}

pub(crate) fn known_differences_are_left_out() -> Result<()> {
    let chunks = "requests: [{path: /, upstream: {body: [a, {text: b, after: 5ms}]}}]";
    let files = Files::new(&[("requests.yaml", chunks)])?;
    let filter = example("rust-headers")?;
    let compare = |more: &[&str]| files.compare(&[&[&filter, "--requests", "requests.yaml"], more].concat());
    compare(&["--write-known", "known.toml"])?.check(1, &["different: 1 difference in 1 of 2 parts, 1 of "])?;
    let reason = "Known, and left out of the verdict:\n  1 line: `transfer-encoding` is a forbidden header";
    compare(&["--known"])?.check(0, &[reason, "\nsame: 2 parts, "])?;

    compare(&["--known=known.toml"])?
        .check(2, &["is no list of known differences: there is no `reason` with `GET /, trace - "])?;
    let list = std::fs::read_to_string(files.path("known.toml"))?;
    ensure!(list.contains("GET /, trace - [host->vm] proxy_on_response_headers(2, 3, 0)"), "{list}");
    let list =
        list.replace("reason = \"\"", "reason = \"it is so\"").replace("lines = [", "lines = [\"GET /, log - gone\",");
    std::fs::write(files.path("known.toml"), list)?;
    let unused = "Note: A line that is listed as known differs no more: `GET /, log - gone`\n";
    compare(&["--known=known.toml"])?.check(0, &["  1 line: it is so\n", unused])
}

/// What a page lets its reader copy can be given as it is.
pub(crate) fn commands_of_reports_run() -> Result<()> {
    let files = Files::new(&[("requests.yaml", "requests: [{path: /a}]")])?;
    let filter = example("wat-minimal")?;
    let outcome = files.compare(&[&filter, "--requests", "requests.yaml", "--json"])?;
    let report: Value = serde_json::from_str(&outcome.stdout).with_context(|| outcome.stderr.clone())?;
    ensure!(report["envoy"].get("command").is_none(), "its files are gone");
    let again = report["command"].as_str().context("the command that compared")?;
    run(files.shell(again))?.check(0, &["\"same\": true"])?;

    let outcome = files.compare(&[&filter, "--requests", "requests.yaml", "--json", "--keep", "kept here"])?;
    let report: Value = serde_json::from_str(&outcome.stdout).with_context(|| outcome.stderr.clone())?;
    for (side, ready) in [("here", "listening on http://"), ("envoy", "starting workers")] {
        let command = report[side]["command"].as_str().context("a command")?;
        let mut command = files.shell(&format!("exec {command} 2>&1"));
        let mut child = command.process_group(0).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().context("a pipe")?);
        let is_ready = output.lines().map_while(Result::ok).any(|line| line.contains(ready));
        child.kill()?;
        child.wait()?;
        ensure!(is_ready, "`{command:?}` ended");
    }
    Ok(())
}

pub(crate) fn servers_of_its_own_are_told() -> Result<()> {
    let files = Files::new(&[("requests.yaml", "requests: [{}]"), ("plugin.toml", "upstream = 'http://backend:80'")])?;
    let filter = example("wat-minimal")?;
    for (option, value) in [("--upstream", "http://backend:80"), ("--cluster", "auth=http://auth:80")] {
        let message = format!("error: `{option}` is not used: `compare` answers in its place");
        let outcome = files.compare(&[&filter, "--requests", "requests.yaml", option, value])?;
        outcome.check(2, &[&message, "say in the request file what it answers"])?;
    }
    // The settings of a deployment can be compared as they are.
    files.compare(&[&filter, "--requests", "requests.yaml", "--settings", "plugin.toml"])?.check(0, &["\nsame: "])
}

pub(crate) fn nothing_is_left() -> Result<()> {
    let files = Files::new(&[("filter.wat", &filter(LOOP, "")), ("requests.yaml", "requests: [{}]")])?;
    let mut command = files.command(&["filter.wat", "--requests", "requests.yaml"])?;
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let deadline = Instant::now() + Duration::from_secs(30);
    let children = loop {
        let children = children(child.id())?;
        if children.len() == 2 {
            break children;
        }
        if Instant::now() > deadline {
            child.kill()?;
            anyhow::bail!("it has the children {children:?}, not Envoy and a host");
        }
        std::thread::yield_now();
    };
    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?;
    let status = child.wait()?;
    ensure!(told.success() && status.code() == Some(2), "it ended with {status}");
    for id in children {
        while Path::new("/proc").join(&id).join("exe").exists() {
            ensure!(Instant::now() < deadline, "process {id} is left");
            std::thread::yield_now();
        }
    }
    Ok(())
}

/// Calls `auth` and waits for its answer.
const CALLOUT: &str = r#"(module
    (import "env" "proxy_http_call"
        (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "auth")
    (data (i32.const 16) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\06\00\00\00\0a\00\00\00\04\00\00\00"
        ":method\00GET\00:path\00/check\00:authority\00auth\00")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) (i32.const 2048))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $call (i32.const 0) (i32.const 4) (i32.const 16) (i32.const 69) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 1000) (i32.const 1024))))"#;

pub(crate) fn clusters_are_asked() -> Result<()> {
    let requests = "requests: [{path: /}]\nclusters: {auth: {body: allowed}}";
    let files = Files::new(&[("filter.wat", CALLOUT), ("requests.yaml", requests)])?;
    let outcome = files.compare(&["filter.wat", "--requests", "requests.yaml", "--json"])?;
    let report: Value = serde_json::from_str(&outcome.stdout).with_context(|| outcome.stderr.clone())?;
    let sections = report["parts"][1]["sections"].as_array().context("sections")?;
    let callout = sections.iter().find(|section| section["kind"] == "callout").context("a section for the cluster")?;
    let rows = callout["rows"].as_array().context("rows")?;
    ensure!(callout["name"] == "auth" && rows.iter().any(|row| row["envoy"] == "GET /check"), "{callout}");
    Ok(())
}

/// The processes that this process started.
fn children(id: u32) -> Result<Vec<String>> {
    let mut children = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{id}/task"))? {
        // A thread may end meanwhile.
        let list = std::fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        children.extend(list.split_whitespace().map(str::to_owned));
    }
    Ok(children)
}
