//! The packages: what each needs, and that it can be published.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use proxy_wasm_adapter_tests::fixtures;
use serde_json::Value;

/// Those that are published, each behind what it needs.
const PUBLISHED: [&str; 11] = [
    "proxy-wasm-abi",
    "proxy-wasm-shared",
    "proxy-wasm-adapter-peers",
    "proxy-wasm-adapter-library",
    "proxy-wasm-adapter-compose",
    "proxy-wasm-adapter-embed",
    "proxy-wasm-adapter-migrate",
    "proxy-wasm-adapter-compare",
    "proxy-wasm-adapter-preinit",
    "proxy-wasm-adapter-serve",
    "proxy-wasm-adapter",
];

/// Cargo with these arguments; what it prints.
fn cargo(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).args(["--offline", "--locked"]).current_dir(fixtures::root());
    fixtures::forget_package(&mut command);
    command.env_remove("RUSTC_WORKSPACE_WRAPPER");
    let output = command.output().context("runs cargo")?;
    ensure!(output.status.success(), "cargo {arguments:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// The names of all that a package needs to be built.
fn needs(package: &str) -> Result<BTreeSet<String>> {
    let tree =
        cargo(&["tree", "--package", package, "--edges", "normal,build", "--prefix", "none", "--format", "{p}"])?;
    Ok(tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_string).collect())
}

/// Whoever calls `adapt` compiles no engine, no server and no command line.
#[test]
fn the_library_needs_no_engine_and_no_server() -> Result<()> {
    let needs = needs("proxy-wasm-adapter-library")?;
    ensure!(needs.contains("wasmparser"), "the tree is read otherwise than it is written: {needs:?}");
    for heavy in ["wasmtime", "cranelift", "hyper", "tokio", "rustls", "clap", "tracing"] {
        let found: Vec<_> = needs.iter().filter(|name| name.starts_with(heavy)).collect();
        ensure!(found.is_empty(), "the library needs {found:?}");
    }
    Ok(())
}

/// It runs the embedded host as a program, so it needs none of what that is made of.
#[test]
fn comparing_needs_no_engine() -> Result<()> {
    let needs = needs("proxy-wasm-adapter-compare")?;
    let found: Vec<_> = needs.iter().filter(|name| name.starts_with("wasmtime")).collect();
    ensure!(found.is_empty(), "it needs {found:?}");
    Ok(())
}

/// A registry asks for no more, and what the sources include goes along.
#[test]
fn packages_can_be_published() -> Result<()> {
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])?)?;
    let packages = metadata["packages"].as_array().context("packages")?;
    let published = packages.iter().filter(|package| package["publish"].is_null());
    let names: BTreeSet<&str> = published.filter_map(|package| package["name"].as_str()).collect();
    ensure!(names == BTreeSet::from(PUBLISHED), "`publish = false` stands in all but {PUBLISHED:?}: {names:?}");

    let target = tempfile::tempdir()?;
    let directory = target.path().to_str().context("a path")?;
    let mut arguments = vec!["package", "--no-verify", "--allow-dirty", "--quiet", "--target-dir", directory];
    arguments.extend(PUBLISHED.iter().flat_map(|name| ["--package", name]));
    cargo(&arguments)?;
    for package in packages.iter().filter(|package| package["publish"].is_null()) {
        let field = |name: &str| package[name].as_str().unwrap_or_default();
        let (name, version) = (field("name"), field("version"));
        for required in ["description", "license", "readme", "repository"] {
            ensure!(!field(required).is_empty(), "`{name}` has no {required}");
        }
        for list in ["keywords", "categories"] {
            let length = package[list].as_array().map_or(0, Vec::len);
            ensure!((1..=5).contains(&length), "`{name}` has {length} {list}: a registry takes 1 to 5");
        }
        let archive = target.path().join(format!("package/{name}-{version}.crate"));
        let status = Command::new("tar").arg("-xzf").arg(&archive).current_dir(&target).status().context("runs tar")?;
        ensure!(status.success(), "tar: {status}");
        let unpacked = target.path().join(format!("{name}-{version}"));
        for file in ["LICENSE", "README.md"] {
            let text = std::fs::read_to_string(unpacked.join(file)).with_context(|| format!("{file} of `{name}`"))?;
            ensure!(text.lines().count() > 3, "{file} of `{name}` is a name instead of its text");
        }
        includes(&unpacked.join("src"))?;
    }
    Ok(())
}

/// What the sources below this directory include is there.
fn includes(directory: &Path) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            includes(&path)?;
            continue;
        }
        let source = std::fs::read_to_string(&path)?;
        for part in ["include_bytes!(\"", "include_str!(\""].iter().flat_map(|begin| source.split(begin).skip(1)) {
            let file = part.split('"').next().unwrap_or_default();
            let included = directory.join(file);
            ensure!(included.exists(), "{} includes {file}, which is not in the package", path.display());
        }
    }
    Ok(())
}
