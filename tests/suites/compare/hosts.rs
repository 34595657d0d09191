//! Other hosts than the embedded one.

use std::net::TcpListener;

use anyhow::{Context, Result, ensure};
use proxy_wasm_adapter_tests::fixtures;
use proxy_wasm_adapter_tests::hosts::Child;

use crate::command::{Files, example};

const TWO: &str = "requests: [{path: /1}, {path: /2}]";

pub(crate) fn a_new_instance_for_each_request() -> Result<()> {
    let files = Files::new(&[("requests.yaml", TWO)])?;
    let program = fixtures::binary("wasmtime-serve")?;
    let host = format!("{} --addr {{address}} {{component}}", program.display());
    let outcome = files.compare(&[&example("rust-headers")?, "--requests", "requests.yaml", "--host", &host])?;
    outcome.check(0, &["\n+ wasmtime-serve\n", "\n  contexts: ", "\n  starts: ", "\nsame: 3 parts, "])
}

pub(crate) fn an_endpoint() -> Result<()> {
    let files = Files::new(&[("requests.yaml", TWO)])?;
    let filter = example("wat-minimal")?;
    let mut command = std::process::Command::new(fixtures::binary("proxy-wasm-adapter")?);
    let mut child =
        Child::start(command.args(["serve", &filter, "--listen", "127.0.0.1:0", "--direct-response", "200:hello"]))?;
    let url = child.wait_for("address", |line| Some(line.strip_prefix("listening on ")?.to_owned()))?;
    let arguments = [&filter, "--requests", "requests.yaml", "--direct-response", "200:hello", "--endpoint", &url];
    files.compare(&arguments)?.check(
        0,
        &[
            "Note: The log and the trace of an endpoint can't be seen",
            "Note: What the endpoint sends upstream can't be seen",
            "\nsame: 3 parts, ",
        ],
    )?;
    drop(child);
    files.compare(&arguments)?.check(2, &["nothing answers there"])
}

pub(crate) fn hosts_that_end() -> Result<()> {
    let files = Files::new(&[("requests.yaml", TWO)])?;
    let filter = example("wat-minimal")?;
    let compare = |host: &str| files.compare(&[&filter, "--requests", "requests.yaml", "--host", host]);
    compare("sh -c 'echo oh no >&2; exit 3' {component} {address}")?
        .check(2, &["ended before it listened (exit status: 3)\n  | oh no\n", "help: Run the command by itself"])?;
    compare("no-such-program {component} {address}")?
        .check(2, &["error: `no-such-program` can't be started: No such file"])
}

pub(crate) fn a_host_that_never_listens() -> Result<()> {
    let files = Files::new(&[("requests.yaml", TWO)])?;
    let arguments = ["--requests", "requests.yaml", "--start-timeout", "3s", "--host"];
    let host = "sh -c 'echo thinking; exec sleep 1000' {component} {port}";
    let outcome = files.compare(&[&[example("wat-minimal")?.as_str()], &arguments[..], &[host]].concat())?;
    outcome
        .check(2, &["does not listen on 127.0.0.1:", "after 3 s\n  | thinking\n", "help: Check that it listens where"])
}

pub(crate) fn a_port_that_is_taken() -> Result<()> {
    let files = Files::new(&[("requests.yaml", TWO)])?;
    let filter = example("wat-minimal")?;
    let listener = TcpListener::bind("127.0.0.1:0").context("listens")?;
    let address = listener.local_addr()?.to_string();
    let taken = format!("error: another program listens on {address} already");
    for host in ["x --listen={address} {component}", "x --addr {address} {component}"] {
        let host = host.replace("{address}", &address);
        files
            .compare(&[&filter, "--requests", "requests.yaml", "--host", &host])?
            .check(2, &[&taken, "help: End that"])?;
    }
    let outcome = files.compare(&[&filter, "--requests", "requests.yaml", "--upstream-listen", &address])?;
    outcome.check(2, &[&format!("error: {address} can't be listened on: Address already in use")])?;
    ensure!(!outcome.stdout.contains("same"), "{}", outcome.stdout);
    Ok(())
}

pub(crate) fn mistakes_in_commands() -> Result<()> {
    let files = Files::new(&[("requests.yaml", TWO)])?;
    let filter = example("wat-minimal")?;
    for (host, message) in [
        ("wasmtime serve {component}", "does not say where it listens: there is neither `{address}` nor `{port}`"),
        ("wasmtime serve --addr {address}", "does not say where the component goes: there is no `{component}`"),
        ("wasmtime 'serve", "has a quote that does not end"),
    ] {
        let outcome = files.compare(&[&filter, "--requests", "requests.yaml", "--host", host])?;
        outcome.check(2, &[message, "help: Write it like `--host 'wasmtime serve --addr {address} {component}'`."])?;
    }
    for (url, message) in [("a b", "it is no URL"), ("https://a", "its scheme is not"), ("http://a/b", "it has a path")]
    {
        let outcome = files.compare(&[&filter, "--requests", "requests.yaml", "--endpoint", url])?;
        outcome.check(2, &[message, "help: Write it like `--endpoint http://127.0.0.1:8080`."])?;
    }
    Ok(())
}
