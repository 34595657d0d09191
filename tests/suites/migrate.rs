//! Configurations of Envoy below `tests/migrations`, on Envoy as they are and migrated on `serve`: the same answers, requests
//! to clusters, logs and traces.
//!
//! A directory has the configuration as `envoy.yaml` or `envoy.json`, and `requests.yaml`, a request file. What differs and
//! is known to stands in `known.toml`, as `compare --known` reads it; one listener of several is named by a file `listener`.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use proxy_wasm_adapter::bundle::{self, Named};
use proxy_wasm_adapter::settings::Input;
use proxy_wasm_adapter::shim::Flavour;
use proxy_wasm_adapter::{Options, assemble};
use proxy_wasm_adapter_compare::known::{self, Known};
use proxy_wasm_adapter_compare::original::{Code, Original};
use proxy_wasm_adapter_compare::report::{Report, Style, terminal};
use proxy_wasm_adapter_compare::{self as compare, Comparison, Host, NamedFilter, requests};
use proxy_wasm_adapter_migrate::{self as migrate, File, Outcome, Wanted};
use proxy_wasm_adapter_tests::client;
use proxy_wasm_adapter_tests::examples::Example;
use proxy_wasm_adapter_tests::fixtures;
use proxy_wasm_adapter_tests::hosts::{Child, shim};
use proxy_wasm_adapter_tests::trial::{arguments_of_waiting_trials, trial};
use serde_json::{Value, json};

/// How many configurations there are to be, and how many requests are to be sent to each.
const CONFIGURATIONS: usize = 15;
const REQUESTS: usize = 20;

fn main() -> Result<()> {
    let arguments = arguments_of_waiting_trials();
    let mut trials = Vec::new();
    let mut many = 0;
    for directory in directories()? {
        let name = directory.file_name().context("a name")?.to_string_lossy().into_owned();
        let requests = requests_of(&directory)?.requests.len();
        many += usize::from(requests >= REQUESTS);
        let dumped = directory.clone();
        trials.push(trial(format!("{name} is the same"), move || is_the_same(&directory)));
        trials.push(trial(format!("{name} is the same by its dump"), move || is_the_same_by_its_dump(&dumped)));
    }
    trials.push(trial("the README's configuration is the same", the_readme_is_the_same));
    trials.push(trial("there are many configurations with many requests", move || {
        ensure!(many >= CONFIGURATIONS, "{many} of {CONFIGURATIONS} have {REQUESTS} requests");
        Ok(())
    }));
    libtest_mimic::run(&arguments, trials).exit()
}

fn directories() -> Result<Vec<PathBuf>> {
    let all = fixtures::root().join("tests/migrations");
    let entries = std::fs::read_dir(&all).with_context(|| format!("reads {}", all.display()))?;
    let mut directories: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    directories.retain(|directory| directory.join("requests.yaml").exists());
    directories.sort();
    Ok(directories)
}

fn requests_of(directory: &Path) -> Result<requests::Requests> {
    let file = directory.join("requests.yaml");
    let text = std::fs::read_to_string(&file).with_context(|| format!("reads {}", file.display()))?;
    requests::parse(&text).map_err(|problems| anyhow::anyhow!("{}: {problems:#?}", file.display()))
}

/// The configuration.
fn read(directory: &Path) -> Result<File> {
    let file = ["envoy.yaml", "envoy.json"].map(|name| directory.join(name)).into_iter().find(|file| file.exists());
    let file = file.with_context(|| format!("{} has no configuration", directory.display()))?;
    let name = file.file_name().context("a name")?.to_string_lossy().into_owned();
    Ok(File { name, bytes: std::fs::read(&file)? })
}

/// A filter by the last part of its path: an example, or one of the suite's own.
fn filter(from: &str) -> Result<Vec<u8>> {
    let name = from.rsplit('/').next().unwrap_or_default();
    let own = fixtures::root().join("tests/migrations/filters").join(name).with_extension("wat");
    if own.exists() {
        return Ok(assemble(&std::fs::read(&own)?)
            .map_err(|problem| anyhow::anyhow!("{}: {problem}", own.display()))?
            .into_owned());
    }
    let name = if name == "hello.wasm" { "wat-minimal.wasm" } else { name };
    let examples = Example::all()?;
    let example = examples.iter().find(|example| Some(example.name.as_str()) == name.strip_suffix(".wasm"));
    example.with_context(|| format!("there is no filter `{name}`"))?.filter()
}

/// What a configuration came to.
struct Migrated {
    filters: Vec<Named>,
    options: Options,
    original: Original,
    /// Its settings file.
    settings: String,
}

fn migrated(file: &File, listener: Option<&str>) -> Result<Migrated> {
    let code = RefCell::new(Vec::new());
    let find = |wanted: Wanted<'_>| {
        let bytes = filter(wanted.from).ok()?;
        let (plugin, from) = (wanted.plugin.to_owned(), wanted.from.to_owned());
        code.borrow_mut().push(Code { plugin, from, bytes: bytes.clone() });
        Some(bytes)
    };
    let files = std::slice::from_ref(file);
    let migration = migrate::migrate(files, &migrate::Options { find: &find, upstream: None, listener, from: None });
    let wrong: Vec<String> = migration
        .findings
        .iter()
        .filter(|finding| finding.outcome == Outcome::Wrong)
        .map(ToString::to_string)
        .collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    let [component] = migration.components.as_slice() else {
        bail!("it comes to {} components", migration.components.len())
    };
    let text = String::from_utf8(component.settings.bytes.clone())?;
    let read = |path: &Path| {
        let file = component.files.iter().find(|file| Path::new(&file.name) == path);
        file.map(|file| file.bytes.clone()).ok_or_else(|| "it is missing".to_owned())
    };
    let whole = bundle::read(&component.settings.name, &text, Input::default(), &read);
    let (filters, mut options) = whole.map_err(|error| anyhow::anyhow!("{error}\n{text}"))?;
    options.shim = shim(options.wasi, Flavour::Tracing)?;
    let bootstrap = migrate::bootstrap(files, None).context("it is no configuration of Envoy's")?;
    let original = Original { bootstrap, listener: component.listener.clone(), code: code.into_inner() };
    Ok(Migrated { filters, options, original, settings: text })
}

fn listener(directory: &Path) -> Option<String> {
    std::fs::read_to_string(directory.join("listener")).ok().map(|name| name.trim().to_owned())
}

fn is_the_same(directory: &Path) -> Result<()> {
    let mut report = compared(directory)?;
    let list = directory.join("known.toml");
    let known = match std::fs::read_to_string(&list) {
        Ok(text) => Known::parse(&text).map_err(|error| anyhow::anyhow!("{}: {error}", list.display()))?,
        Err(_) => Known::default(),
    };
    known::leave_out(&mut report, &known);
    ensure!(report.same, "{}", terminal(&report, Style::default()));
    for listed in &known.differences {
        let found = report.known.iter().any(|known| known.reason == listed.reason);
        ensure!(found, "{} lists what does not differ: {}", list.display(), listed.reason);
    }
    Ok(())
}

fn compared(directory: &Path) -> Result<Report> {
    let Migrated { filters, options, original, settings } =
        migrated(&read(directory)?, listener(directory).as_deref())?;
    let named = |filter: Named| NamedFilter { file: filter.file.display().to_string(), bytes: filter.bytes };
    let comparison = Comparison {
        filters: filters.into_iter().map(named).collect(),
        options,
        next: None,
        original: Some(original),
        requests: requests_of(directory)?,
        envoy: Some(fixtures::tool("envoy", "ENVOY")?),
        host: Host::Embedded { program: fixtures::binary("proxy-wasm-adapter")?, cache: Some(fixtures::cache()?) },
        timeout: Duration::from_secs(20),
        start_timeout: Duration::from_secs(120),
        upstream: None,
        keep: None,
    };
    compare::run(&comparison, std::future::pending()).with_context(|| settings)
}

/// What the README's first page serves, answers as on Envoy.
fn the_readme_is_the_same() -> Result<()> {
    let run = tempfile::tempdir()?;
    std::fs::copy(fixtures::root().join("examples/wat-minimal/envoy.yaml"), run.path().join("envoy.yaml"))?;
    let requests = "{requests: [{path: /old/page, expect: {status: 301, headers: {x-hello: from wat}}}, {path: /}, {path: /v1/x}]}";
    std::fs::write(run.path().join("requests.yaml"), requests)?;
    is_the_same(run.path())
}

/// The running Envoy's `/config_dump` comes to the same component.
fn is_the_same_by_its_dump(directory: &Path) -> Result<()> {
    let listener = listener(directory);
    let run = tempfile::tempdir()?;
    let given = migrated(&read(directory)?, listener.as_deref())?;
    let bootstrap = runnable(&given.original, run.path())?;
    let dump = dump(&bootstrap, run.path())?;
    let by_file = migrated(&File { name: "file.json".into(), bytes: bootstrap.into() }, listener.as_deref())?;
    let by_dump = migrated(&File { name: "dump.json".into(), bytes: dump }, listener.as_deref())?;
    let plain = |text: &str| text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let (file, dump) = (plain(&by_file.settings), plain(&by_dump.settings));
    ensure!(file == dump, "the bootstrap comes to\n{file}\nand the dump to\n{dump}");
    let component = |migrated: &Migrated| {
        let adapted = proxy_wasm_adapter::adapt(&migrated.filters, &migrated.options);
        adapted.map(|adapted| adapted.component).map_err(|error| anyhow::anyhow!("{error}"))
    };
    ensure!(component(&by_file)? == component(&by_dump)?, "the components differ");
    Ok(())
}

/// The configuration with free ports and with code that is there.
fn runnable(original: &Original, directory: &Path) -> Result<String> {
    let mut bootstrap = original.bootstrap.clone();
    bootstrap["admin"] = json!({"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}});
    let listeners = bootstrap["static_resources"]["listeners"].as_array_mut().context("listeners")?;
    for listener in listeners {
        listener["address"] = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
    }
    place(&mut bootstrap, directory)?;
    Ok(bootstrap.to_string())
}

/// Puts the filters that are named below this into the directory: each is found again by the last part of its path.
fn place(value: &mut Value, directory: &Path) -> Result<()> {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str() {
                    Some(from) if key == "filename" && from.ends_with(".wasm") => {
                        let file = directory.join(from.rsplit('/').next().unwrap_or_default());
                        std::fs::write(&file, filter(from)?)?;
                        *value = file.display().to_string().into();
                    }
                    _ => place(value, directory)?,
                }
            }
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| place(item, directory))?,
        _ => {}
    }
    Ok(())
}

/// What the admin of an Envoy with this configuration answers.
fn dump(bootstrap: &str, directory: &Path) -> Result<Vec<u8>> {
    let file = |name: &str| directory.join(name);
    std::fs::write(file("envoy.json"), bootstrap)?;
    let mut command = Command::new(fixtures::tool("envoy", "ENVOY")?);
    command.arg("-c").arg(file("envoy.json")).arg("--admin-address-path").arg(file("admin"));
    command.args(["--concurrency", "1", "--disable-hot-restart", "-l", "info"]);
    let mut child = Child::start(&mut command)?;
    child.wait_for("workers", |line| line.contains("starting workers").then_some(()))?;
    let admin: SocketAddr = std::fs::read_to_string(file("admin"))?.trim().parse()?;
    let request = b"GET /config_dump HTTP/1.1\r\nhost: admin\r\n\r\n";
    Ok(client::send(admin, request, Duration::from_secs(10))?.body)
}
