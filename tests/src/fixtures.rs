//! What the tests are made of: programs, tools and filters.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};

/// The top of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("`tests` stands in the repository")
}

/// A directory of the build, for what tests make.
pub fn target() -> PathBuf {
    // target/PROFILE/deps/TEST-HASH, or target/PROFILE/BINARY.
    let profile = profile();
    profile.parent().unwrap_or(&profile).to_path_buf()
}

/// Where hosts keep compiled code: most of a suite's time would go into compiling the same components.
///
/// # Errors
/// It can't be made.
pub fn cache() -> Result<PathBuf> {
    let directory = target().join("compiled");
    std::fs::create_dir_all(&directory).with_context(|| format!("makes {}", directory.display()))?;
    Ok(directory)
}

/// The directory of this profile's programs.
fn profile() -> PathBuf {
    let program = std::env::current_exe().expect("a program knows where it is");
    let directory = program.parent().expect("a program stands in a directory");
    if directory.ends_with("deps") { directory.parent().unwrap_or(directory).into() } else { directory.into() }
}

/// A program of this workspace, built now: Cargo builds the programs of the tested package only, and of a program that it
/// runs not even those. With `BUILT=1` it has been: cargo would wait here for any other build, and `tests/run` has one beside.
///
/// # Errors
/// It can't be built.
pub fn binary(name: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    if std::env::var_os("BUILT").is_some() {
        return Ok(profile().join(name));
    }
    if let Err(error) = BUILT.get_or_init(|| build_binaries().map_err(|error| format!("{error:#}"))) {
        bail!("{error}");
    }
    Ok(profile().join(name))
}

fn build_binaries() -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // All packages, as `tests/run` does: the same dependencies with the same features.
    command.args(["build", "--quiet", "--workspace", "--bins"]).current_dir(root());
    command.arg("--target-dir").arg(target());
    forget_package(&mut command);
    if profile().ends_with("release") {
        command.arg("--release");
    }
    let output = command.output().context("runs cargo")?;
    ensure!(output.status.success(), "cargo build:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The program of a gRPC fixture, built now: with the example's server, most of whose dependencies are the same.
///
/// # Errors
/// It can't be built.
pub fn grpc_program(name: &str) -> Result<PathBuf> {
    let target = root().join("target/examples/build/ext-authz/server");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--locked", "--target-dir"]).arg(&target).arg("--manifest-path");
    command.arg(root().join("tests/fixtures").join(name).join("Cargo.toml"));
    // What `tests/run` lints by is for this workspace.
    command.env_remove("RUSTC_WORKSPACE_WRAPPER");
    forget_package(&mut command);
    let output = command.output().context("runs cargo")?;
    ensure!(output.status.success(), "cargo build:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(target.join("debug").join(name))
}

/// Keeps from a command what cargo tells a test of its package: a cargo that sees it runs build scripts again that look
/// there (`ring`'s does), and builds again all that depends on them.
pub fn forget_package(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
}

/// A tool that `tests/tools.sh` knows, or the path in this environment variable.
///
/// # Errors
/// It is not installed: a test that needs it fails.
pub fn tool(name: &str, variable: &str) -> Result<PathBuf> {
    let install = format!("Run `tests/tools.sh --install {name}`.");
    if let Some(path) = std::env::var_os(variable) {
        let path = PathBuf::from(path);
        // A bare name is looked up as a shell does.
        let directories = std::env::var_os("PATH").unwrap_or_default();
        let is_there = match path.components().count() {
            1 => std::env::split_paths(&directories).any(|directory| directory.join(&path).is_file()),
            _ => path.is_file(),
        };
        ensure!(is_there, "`{variable}` is `{}`, where no program is. {install}", path.display());
        return Ok(path);
    }
    let output = Command::new(root().join("tests/tools.sh")).arg(name).output().context("runs tests/tools.sh")?;
    ensure!(output.status.success(), "`{name}` is missing. {install}\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().into())
}
