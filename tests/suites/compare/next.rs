//! Filters for WASI 0.3, and a service that is linked behind them.

use anyhow::Result;
use proxy_wasm_adapter_tests::fixtures;

use crate::command::{Files, Outcome, example, run};

const TWO: &str = "requests: [{path: /1}, {method: POST, path: /2, body: abc, expect: {status: 201, body: made}}]";

/// A service that does not read a body answers before all of it came, or after, as it happens.
const NONE: &str = "requests: [{path: /1, expect: {status: 201}}, {method: HEAD, path: /2}]";

/// Files with a service that answers by itself.
fn with_service() -> Result<(Files, String)> {
    let files = Files::new(&[("requests.yaml", TWO), ("none.yaml", NONE)])?;
    let filter = example("wat-minimal")?;
    let arguments = ["adapt", &filter, "--wasi", "0.3", "--direct-response", "201:made", "-o", "service.wasm"];
    command(&files, &arguments)?.check(0, &[])?;
    Ok((files, filter))
}

fn command(files: &Files, arguments: &[&str]) -> Result<Outcome> {
    let mut command = std::process::Command::new(fixtures::binary("proxy-wasm-adapter")?);
    command.args(arguments).current_dir(files.path(""));
    run(command)
}

/// What answers behind Envoy is linked here.
pub(crate) fn a_service_behind() -> Result<()> {
    let (files, _) = with_service()?;
    let filter = example("rust-headers")?;
    let arguments = [filter.as_str(), "--requests", "none.yaml", "--next", "service.wasm"];
    let seen = ["\nsame: 3 parts, ", "Note: What the next component gets can't be seen"];
    files.compare(&arguments)?.check(0, &seen)?;
    let program = fixtures::binary("wasmtime-serve")?;
    let host = format!("{} --addr {{address}} {{component}}", program.display());
    files.compare(&[&arguments[..], &["--host", &host]].concat())?.check(0, &["\n+ wasmtime-serve\n", "\nsame: "])
}

/// `test` runs them without Envoy.
pub(crate) fn a_service_behind_alone() -> Result<()> {
    let (files, filter) = with_service()?;
    let arguments = ["test", &filter, "--requests", "requests.yaml", "--next", "service.wasm"];
    command(&files, &arguments)?.check(0, &["\nok: 2 requests, 2 expectations"])?;
    std::fs::write(files.path("requests.yaml"), TWO.replace("201", "200"))?;
    command(&files, &arguments)?.check(1, &["status"])
}

/// A composed component says itself what its filters are, how they were adapted, and what is behind them.
pub(crate) fn what_is_composed() -> Result<()> {
    let (files, filter) = with_service()?;
    let example = example("rust-headers")?;
    let adapt = ["adapt", &example, "--next", "service.wasm", "-o", "app.wasm"];
    command(&files, &adapt)?.check(0, &[])?;
    for arguments in [
        ["adapt", &filter, "--next", "service.wasm", "-o", "behind.wasm"],
        ["adapt", &example, "--next", "behind.wasm", "-o", "three.wasm"],
    ] {
        command(&files, &arguments)?.check(0, &[])?;
    }
    for app in ["app.wasm", "three.wasm"] {
        files.compare(&[app, "--requests", "none.yaml"])?.check(0, &["\nsame: 3 parts, "])?;
        let test = ["test", app, "--requests", "requests.yaml"];
        command(&files, &test)?.check(0, &["\nok: 2 requests, 2 expectations"])?;
    }
    let marked = "requests: [{path: /, expect: {headers: {x-mark: seen}}}]";
    std::fs::write(files.path("requests.yaml"), marked)?;
    command(&files, &[&adapt[..], &["--config-text", "mark = seen"]].concat())?.check(0, &[])?;
    command(&files, &["test", "app.wasm", "--requests", "requests.yaml"])?.check(0, &["\nok: 1 request, 1 expectation"])
}

/// What refuses to start does so before there is a request.
pub(crate) fn a_start_that_is_refused() -> Result<()> {
    let refused = "start: {refused: true}";
    let files = Files::new(&[("requests.yaml", refused), ("plugin.toml", "configuration = \"nonsense\"")])?;
    let filter = example("rust-headers")?;
    let arguments = [&filter, "--requests", "requests.yaml", "--settings", "plugin.toml", "--wasi", "0.3"];
    files.compare(&arguments)?.check(0, &["neither side runs the plugin"])
}

pub(crate) fn what_can_not_be_linked() -> Result<()> {
    let (files, filter) = with_service()?;
    let requests = ["--requests", "requests.yaml"];
    let refuses = |arguments: &[&str], parts: &[&str]| -> Result<()> {
        files.compare(&[&[filter.as_str()], &requests[..], arguments].concat())?.check(2, parts)
    };
    let has_none = "these filters are middleware: they need a next handler, and `compare` has none for them";
    refuses(&["--next", "handler"], &[has_none])?;
    refuses(&["--next", &filter], &["is a core module, not a component"])?;
    refuses(&["--next", "missing.wasm"], &["cannot read `missing.wasm`"])?;
    let middleware = ["adapt", &filter, "--next", "handler", "-o", "middleware.wasm"];
    command(&files, &middleware)?.check(0, &[])?;
    refuses(&["--next", "middleware.wasm"], &["`middleware.wasm` is middleware: it needs a next handler"])?;
    Ok(())
}
