//! Components for WASI 0.2 that others put together, by the calls of `wac plug` and by those of Spin: `inspect` names each
//! part, `extract` gives the filters back, and `compare` says what it can't do.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use libtest_mimic::{Arguments, Trial};
use proxy_wasm_abi::settings::{Plugin, Settings};
use proxy_wasm_adapter::bridge;
use proxy_wasm_adapter::composition::parts;
use proxy_wasm_adapter_tests::client;
use proxy_wasm_adapter_tests::fixtures::{binary, root};
use proxy_wasm_adapter_tests::hosts::{Chain, Host, adapt};
use proxy_wasm_adapter_tests::trial::trial;
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, NodeId, plug};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const HANDLER: &str = "wasi:http/incoming-handler@0.2.0";
const CLIENT: &str = "wasi:http/outgoing-handler@0.2.0";

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    let trials: Vec<Trial> = [
        ("middleware of others before an adapted component", plugged as fn() -> Result<()>),
        ("compositions within one another", nested),
        ("a dependency that Spin lets inherit nothing", as_spin_does),
        ("two adapted components in one file", two_adapted),
        ("a composition without a filter", none_is_ours),
        ("a composition without an end", without_an_end),
    ]
    .map(|(name, run)| trial(name, run))
    .into();
    libtest_mimic::run(&arguments, trials).exit()
}

/// A filter whose bytes this word is part of.
fn filter(mark: &str) -> Result<Vec<u8>> {
    Ok(wat::parse_str(format!(
        r#"(module
            (memory (export "memory") 1)
            (data (i32.const 16) "{mark}")
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024)))"#
    ))?)
}

/// The filter as a component that answers by itself.
fn adapted(mark: &str) -> Result<Vec<u8>> {
    let plugin = Plugin { name: mark.into(), ..Plugin::default() };
    let mut settings = Settings { plugins: vec![plugin], ..Settings::default() };
    settings.set_direct_response(200, mark);
    adapt(&Chain::one(filter(mark)?, settings), bridge::Kind::MemoryCopy)
}

/// A component of somebody else's, of this world with these functions.
fn by_hand(world: &str, functions: &str) -> Result<Vec<u8>> {
    let mut module = wat::parse_str(format!(
        r#"(module {functions} (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable))"#
    ))?;
    let mut resolve = Resolve::default();
    resolve.push_dir(root().join("wit"))?;
    let package = resolve.push_str("other.wit", &format!("package test:other; {world}"))?;
    let world = resolve.select_world(&[package], Some("it"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    ComponentEncoder::default().module(&module)?.validate(true).encode()
}

/// Hands each request on as it came.
fn middleware() -> Result<Vec<u8>> {
    by_hand(
        &format!("world it {{ import {HANDLER}; export {HANDLER}; }}"),
        &format!(
            r#"(import "{HANDLER}" "handle" (func $next (param i32 i32)))
               (func (export "{HANDLER}#handle") (param i32 i32) (call $next (local.get 0) (local.get 1)))"#
        ),
    )
}

/// Drops each request.
fn service() -> Result<Vec<u8>> {
    by_hand(
        &format!("world it {{ export {HANDLER}; }}"),
        &format!(r#"(func (export "{HANDLER}#handle") (param i32 i32))"#),
    )
}

/// Lets nobody send a request.
fn denies() -> Result<Vec<u8>> {
    by_hand(
        &format!("world it {{ export {CLIENT}; }}"),
        &format!(r#"(func (export "{CLIENT}#handle") (param i32 i32 i32) (result i32) unreachable)"#),
    )
}

/// Hands a request to one of two.
fn router() -> Result<Vec<u8>> {
    let interface = |name| {
        format!(
            "interface {name} {{ use wasi:http/types@0.2.0.{{incoming-request, response-outparam}};
                handle: func(request: incoming-request, response-out: response-outparam); }}"
        )
    };
    let world = format!("world it {{ import left; import right; export {HANDLER}; }}");
    by_hand(
        &[interface("left"), interface("right"), world].concat(),
        &format!(
            r#"(import "test:other/left" "handle" (func $left (param i32 i32)))
               (import "test:other/right" "handle" (func $right (param i32 i32)))
               (func (export "{HANDLER}#handle") (param i32 i32) (call $right (local.get 0) (local.get 1)))"#
        ),
    )
}

/// What is being put together.
#[derive(Default)]
struct Composition {
    graph: CompositionGraph,
    count: usize,
}

impl Composition {
    fn instantiate(&mut self, component: &[u8]) -> Result<NodeId> {
        self.count += 1;
        let name = format!("test:part{}", self.count);
        let package = Package::from_bytes(&name, None, component.to_vec(), self.graph.types_mut())?;
        let package = self.graph.register_package(package)?;
        Ok(self.graph.instantiate(package))
    }

    /// One gets by this name what another exports by that.
    fn give(&mut self, to: NodeId, import: &str, from: NodeId, export: &str) -> Result<()> {
        let given = self.graph.alias_instance_export(from, export)?;
        Ok(self.graph.set_instantiation_argument(to, import, given)?)
    }

    fn export(mut self, from: NodeId) -> Result<Vec<u8>> {
        let handler = self.graph.alias_instance_export(from, HANDLER)?;
        self.graph.export(handler, HANDLER)?;
        Ok(self.graph.encode(EncodeOptions::default())?)
    }
}

/// What `wac plug SOCKET --plug PLUG` makes.
fn plug_into(socket: &[u8], plugged: &[u8]) -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let mut register = |name: &str, bytes: &[u8]| -> Result<_> {
        let package = Package::from_bytes(name, None, bytes.to_vec(), graph.types_mut())?;
        Ok(graph.register_package(package)?)
    };
    let (plugged, socket) = (register("plug:0", plugged)?, register("socket", socket)?);
    plug(&mut graph, vec![plugged], socket)?;
    Ok(graph.encode(EncodeOptions::default())?)
}

/// What the command says of a component, by its exit code and its output.
fn run(component: &[u8], command: &str, options: &[&str]) -> Result<(Option<i32>, String, Vec<u8>)> {
    let directory = tempfile::tempdir()?;
    let requests = directory.path().join("requests.yaml");
    std::fs::write(directory.path().join("app.wasm"), component)?;
    std::fs::write(&requests, "requests: [{path: /}]")?;
    let mut program = Command::new(binary("proxy-wasm-adapter")?);
    program.args([command, "app.wasm"]).args(options).current_dir(directory.path());
    let output = program.output().context("runs the command")?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok((output.status.code(), text, std::fs::read(directory.path().join("out.wasm")).unwrap_or_default()))
}

/// Whether a command ends so, and says all of this.
fn says(component: &[u8], command: &str, options: &[&str], code: i32, all: &[&str]) -> Result<()> {
    let (status, text, _) = run(component, command, options)?;
    ensure!(status == Some(code), "{command} ends with {status:?}: {text}");
    for part in all {
        ensure!(text.contains(part), "{command} does not say `{part}`: {text}");
    }
    Ok(())
}

/// The filter of a plugin comes out as it went in.
fn extracts(component: &[u8], options: &[&str], mark: &str) -> Result<()> {
    let (status, text, out) = run(component, "extract", &[&["-o", "out.wasm"], options].concat())?;
    ensure!(status == Some(0) && out == filter(mark)?, "extract ends with {status:?}: {text}");
    Ok(())
}

/// The composed component answers, on our host and on the stock one.
fn answers(component: &[u8], body: &str) -> Result<()> {
    for host in [Host::ServeByWasiHttp, Host::WasmtimeServe] {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("composed.wasm");
        std::fs::write(&file, component)?;
        let running = host.start_component(&file, directory)?;
        let get = b"GET / HTTP/1.1\r\nhost: example.test\r\nconnection: close\r\n\r\n";
        let reply = client::send(running.address, get, std::time::Duration::from_secs(60))?;
        ensure!(reply.body == body.as_bytes(), "{} answers {reply:?}", host.name());
    }
    Ok(())
}

const OURS: &str = "a service for WASI 0.2, adapted:";
const OTHERS: &str = "middleware for WASI 0.2, not made by this program:";

fn plugged() -> Result<()> {
    let (first, last) = (middleware()?, adapted("one")?);
    let composed = plug_into(&first, &last)?;
    ensure!(parts(&composed) == [&first, &last], "its parts are not told apart");
    let named =
        [&format!("== 1: {OTHERS}"), &*format!("== 2: {OURS}"), "composed of 2 components", "\nit is composed\n"];
    says(&composed, "inspect", &[], 0, &named)?;
    extracts(&composed, &[], "one")?;
    let refused = ["composed of 2 components, and `compare` takes filters: 1 is", "Nothing runs 1 in front of Envoy."];
    says(&composed, "compare", &["--requests", "requests.yaml"], 2, &refused)?;
    answers(&composed, "one")
}

fn nested() -> Result<()> {
    let (first, last) = (middleware()?, adapted("one")?);
    let inner = plug_into(&first, &last)?;
    let composed = plug_into(&first, &plug_into(&first, &inner)?)?;
    ensure!(parts(&composed) == [&first, &first, &first, &last], "its parts are not told apart");
    says(&composed, "inspect", &[], 0, &["composed of 4 components", &format!("== 4: {OURS}")])?;
    extracts(&composed, &["--plugin", "one"], "one")?;
    answers(&composed, "one")
}

/// It composes a dependency with one that denies what is not inherited, and then with the component that depends on it.
fn as_spin_does() -> Result<()> {
    let (first, last, denies) = (middleware()?, adapted("one")?, denies()?);
    let mut isolated = Composition::default();
    let (dependency, adapter) = (isolated.instantiate(&last)?, isolated.instantiate(&denies)?);
    isolated.give(dependency, CLIENT, adapter, CLIENT)?;
    let isolated = isolated.export(dependency)?;
    let mut composition = Composition::default();
    let (primary, dependency) = (composition.instantiate(&first)?, composition.instantiate(&isolated)?);
    composition.give(primary, HANDLER, dependency, HANDLER)?;
    let composed = composition.export(primary)?;
    ensure!(parts(&composed) == [&first, &last, &denies], "its parts are not told apart");
    let beside = "== 3: a component that handles no requests, not made by this program:";
    says(&composed, "inspect", &[], 0, &["composed of 3 components", &format!("== 2: {OURS}"), beside])?;
    extracts(&composed, &[], "one")?;
    answers(&composed, "one")
}

fn two_adapted() -> Result<()> {
    let (first, left, right) = (router()?, adapted("left")?, adapted("right")?);
    let mut composition = Composition::default();
    let router = composition.instantiate(&first)?;
    for (name, component) in [("left", &left), ("right", &right)] {
        let instance = composition.instantiate(component)?;
        composition.give(router, &format!("test:other/{name}"), instance, HANDLER)?;
    }
    let composed = composition.export(router)?;
    // The composer has an order of its own.
    let found = parts(&composed);
    let marks = if found == [&first, &left, &right] { ["left", "right"] } else { ["right", "left"] };
    ensure!(marks[0] == "left" || found == [&first, &right, &left], "its parts are not told apart");
    says(&composed, "inspect", &[], 0, &[&format!("== 2: {OURS}"), &format!("== 3: {OURS}")])?;
    for (number, mark) in ["1", "2"].into_iter().zip(marks) {
        extracts(&composed, &["--plugin", number], mark)?;
        extracts(&composed, &["--plugin", mark], mark)?;
    }
    let (status, text, _) = run(&composed, "extract", &["-o", "out.wasm"])?;
    ensure!(status != Some(0) && text.contains("--plugin"), "one of two is taken: {text}");
    answers(&composed, "right")
}

fn none_is_ours() -> Result<()> {
    let (first, last) = (middleware()?, service()?);
    let composed = plug_into(&first, &last)?;
    ensure!(parts(&composed) == [&first, &last], "its parts are not told apart");
    let second = "== 2: a service for WASI 0.2, not made by this program:";
    says(&composed, "inspect", &[], 0, &[&format!("== 1: {OTHERS}"), second, "\nit is composed\n"])?;
    let (status, text, _) = run(&composed, "extract", &["-o", "out.wasm"])?;
    ensure!(status != Some(0), "something is extracted: {text}");
    let none = "None of them was made of filters, so there is nothing that Envoy could run.";
    says(&composed, "compare", &["--requests", "requests.yaml"], 2, &[none])
}

fn without_an_end() -> Result<()> {
    let first = middleware()?;
    let composed = plug_into(&first, &first)?;
    ensure!(parts(&composed) == [&first, &first], "its parts are not told apart");
    says(&composed, "inspect", &[], 0, &["\nit is middleware: it needs a next handler\n"])
}
