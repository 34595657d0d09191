//! The probe (`tests/fixtures/probe/`): built for an ABI version, with every host call that Envoy offers it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use proxy_wasm_abi::bridge::AbiVersion;
use proxy_wasm_abi::foreign_functions::FOREIGN_FUNCTIONS;
use proxy_wasm_abi::host_calls::{HOST_CALLS, HostCall, Type};

use crate::fixtures;

/// Not imported by any filter of the tests: Envoy refuses modules that import them with the signature of WASI.
pub const NOT_IN_ENVOY: [&str; 3] = ["path_link", "path_rename", "path_symlink"];

/// Whether the probe names Envoy's foreign functions. Its component has the large shim if it does, and the small one if
/// not, which compiles in a third of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ForeignFunctions {
    /// It can call none of them.
    #[default]
    Unnamed,
    /// It can call them all.
    Named,
}

/// The probe for this ABI version.
///
/// # Errors
/// There is no C compiler for WebAssembly.
pub fn probe(version: AbiVersion, foreign: ForeignFunctions) -> Result<Vec<u8>> {
    type Probes = Mutex<BTreeMap<(AbiVersion, ForeignFunctions), Vec<u8>>>;
    static PROBES: LazyLock<Probes> = LazyLock::new(Mutex::default);
    let mut probes = PROBES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(probe) = probes.get(&(version, foreign)) {
        return Ok(probe.clone());
    }
    let probe = compile(version, foreign)?;
    probes.insert((version, foreign), probe.clone());
    Ok(probe)
}

fn compile(version: AbiVersion, foreign: ForeignFunctions) -> Result<Vec<u8>> {
    let number = match version {
        AbiVersion::V0_1_0 => 10,
        AbiVersion::V0_2_0 => 20,
        AbiVersion::V0_2_1 => 21,
    };
    let directory = tempfile::tempdir()?;
    let filter = directory.path().join("probe.wasm");
    std::fs::write(directory.path().join("host_calls.h"), declarations(version, foreign))?;
    let mut command = Command::new(fixtures::tool("cxx", "WASM_CXX")?);
    command.args(["--target=wasm32", "-x", "c", "-O2", "-nostdlib", "-Wl,--no-entry"]);
    // The ABI's pointers are numbers in the declarations.
    command.args(["-Wno-int-conversion", &format!("-DABI={number}"), "-I"]).arg(directory.path());
    command.arg("-o").arg(&filter).arg(fixtures::root().join("tests/fixtures/probe/probe.c"));
    let output = command.output().with_context(|| format!("runs {command:?}"))?;
    ensure!(output.status.success(), "the probe does not compile:\n{}", String::from_utf8_lossy(&output.stderr));
    read(&filter)
}

fn read(filter: &Path) -> Result<Vec<u8>> {
    std::fs::read(filter).context("reads the probe")
}

/// The host calls that the probe for this version imports.
pub fn host_calls(version: AbiVersion) -> impl Iterator<Item = &'static HostCall> {
    HOST_CALLS.iter().filter(move |call| call.versions.contains(&version) && !NOT_IN_ENVOY.contains(&call.name))
}

/// C: a declaration for each host call, and a function that makes the one with a name.
fn declarations(version: AbiVersion, foreign: ForeignFunctions) -> String {
    let mut text = String::new();
    let mut by_name = String::new();
    for call in host_calls(version) {
        let (name, module) = (call.name, call.module.names()[0]);
        let types: Vec<&str> = call.params().map(|ty| if ty == Type::I64 { "i64" } else { "u32" }).collect();
        let parameters = if types.is_empty() { "void".to_string() } else { types.join(", ") };
        let values: Vec<String> = types.iter().enumerate().map(|(i, ty)| format!("({ty})value[{i}]")).collect();
        let result = if call.result { "u32" } else { "void" };
        let status = if call.result { "*status = " } else { "" };
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "__attribute__((import_module(\"{module}\"), import_name(\"{name}\"))) extern {result} {name}({parameters});"
        );
        let _ = writeln!(
            by_name,
            "  if (size == {} && !__builtin_memcmp(name, \"{name}\", size)) {{ {status}{name}({}); return 1; }}",
            name.len(),
            values.join(", ")
        );
    }
    if foreign == ForeignFunctions::Named {
        // A component has those that its filter names, and the scripts that name them come later.
        let names: Vec<String> = FOREIGN_FUNCTIONS.iter().map(|function| format!("\"{}\"", function.name)).collect();
        let names = names.join(", ");
        let _ = writeln!(text, "__attribute__((used)) static const char *const foreign_functions[] = {{{names}}};");
    }
    format!(
        "{text}\nstatic int host_call(const u8 *name, u32 size, const i64 *value, u32 *status) {{\n{by_name}  return 0;\n}}\n"
    )
}
