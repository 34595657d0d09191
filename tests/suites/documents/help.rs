//! The examples of `--help`, run.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use proxy_wasm_adapter_tests::fixtures;
use proxy_wasm_adapter_tests::trial::trial;

use crate::commands::{self, adapters, path};

const COMMANDS: [&str; 9] =
    ["adapt", "compose", "inspect", "extract", "migrate", "serve", "test", "completions", "man"];

/// A policy of Istio's, for `migrate`.
const WASM_PLUGIN: &str = "\
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: auth, namespace: default}
spec: {url: oci://registry.example/auth:1.0, pluginName: auth}
";

pub(crate) fn trials() -> Vec<Trial> {
    COMMANDS.into_iter().map(|command| trial(format!("help::{command}"), move || examples(command))).collect()
}

fn examples(command: &str) -> Result<()> {
    let directory = tempfile::tempdir()?;
    prepare(directory.path())?;
    let help = run(directory.path(), &format!("proxy-wasm-adapter {command} --help"))?;
    let (_, examples) = help.split_once("Examples:\n").context("there are no examples")?;
    let examples = examples.replace("\\\n", "");
    // What comes behind them has a heading of its own, at the margin.
    let examples = examples.lines().take_while(|line| line.is_empty() || line.starts_with(' '));
    let examples: Vec<&str> = examples.map(str::trim).filter(|line| !line.is_empty()).collect();
    ensure!(!examples.is_empty(), "there are no examples");
    for example in examples {
        if command == "serve" {
            // The default port may be taken.
            let listen = if example.contains(" --listen ") { "" } else { " --listen 127.0.0.1:0" };
            commands::serve(directory.path(), &path(Some(adapters()?))?, &format!("{example}{listen}"))?;
        } else {
            // Examples write below the home directory, and ask an admin that does not run.
            let home = directory.path().display();
            run(directory.path(), &format!("export HOME='{home}' PATH=\"{home}/bin:$PATH\"; {example}"))?;
        }
    }
    Ok(())
}

fn run(directory: &Path, command: &str) -> Result<String> {
    commands::run(directory, &path(Some(adapters()?))?, command)
}

/// The files that the examples name.
fn prepare(directory: &Path) -> Result<()> {
    let filter = fixtures::root().join("examples/wat-minimal/filter.wat");
    std::fs::copy(&filter, directory.join("filter.wat"))?;
    std::fs::write(directory.join("filter.wasm"), wat::parse_file(&filter)?)?;
    std::fs::write(directory.join("requests.yaml"), "requests: [{expect: {status: 200}}]\n")?;
    for place in [".zfunc", ".config/fish/completions"] {
        std::fs::create_dir_all(directory.join(place))?;
    }
    std::fs::write(directory.join("plugin.toml"), "direct_response = \"200:hello\"\n")?;
    run(directory, "proxy-wasm-adapter adapt filter.wasm -o filter.component.wasm --settings plugin.toml")?;
    run(directory, "proxy-wasm-adapter adapt filter.wasm -o middleware.wasm --next handler")?;
    run(directory, "proxy-wasm-adapter adapt filter.wasm -o service.wasm --wasi 0.3 --settings plugin.toml")?;
    for name in ["auth", "limit"] {
        std::fs::copy(directory.join("filter.wasm"), directory.join(format!("{name}.wasm")))?;
    }
    let configuration = fixtures::root().join("examples/wat-minimal/envoy.yaml");
    std::fs::copy(configuration, directory.join("envoy.yaml"))?;
    std::fs::write(directory.join("wasmplugin.yaml"), WASM_PLUGIN)?;
    for place in ["filters", "bin"] {
        std::fs::create_dir_all(directory.join(place))?;
    }
    std::fs::copy(directory.join("filter.wasm"), directory.join("filters/hello.wasm"))?;
    std::fs::write(directory.join("bin/curl"), "#!/bin/sh\ncat envoy.yaml\n")?;
    run(directory, "chmod +x bin/curl")?;
    run(directory, "proxy-wasm-adapter migrate envoy.yaml -o migrated --code-dir filters")?;
    let plugin = |name: &str| format!("[[plugin]]\nfilter = \"{name}.wasm\"\nname = \"{name}\"\n");
    let chain = format!("direct_response = \"200:hello\"\n{}{}", plugin("auth"), plugin("limit"));
    std::fs::write(directory.join("chain.toml"), chain)?;
    run(directory, "proxy-wasm-adapter adapt --settings chain.toml -o chain.wasm")?;
    Ok(())
}
