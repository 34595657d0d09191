//! `proxy-wasm-adapter extract`

use std::path::PathBuf;

use super::exit::Code;
use super::failure::Failure;
use super::report::Reporter;
use super::{input, output};

/// Take a filter out of a component, byte for byte as it went in
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  proxy-wasm-adapter extract filter.component.wasm -o filter.wasm
  proxy-wasm-adapter extract filter.component.wasm -o - | sha256sum
  proxy-wasm-adapter extract chain.wasm --plugin auth -o auth.wasm")]
pub(super) struct Args {
    /// A component that `adapt` made; `-` is stdin
    component: PathBuf,

    /// The filter; `-` is stdout
    #[arg(short, long, value_name = "FILTER")]
    output: PathBuf,

    /// Whose filter, where a component has several: the plugin's number in the chain, from 1, or its name
    #[arg(long, value_name = "PLUGIN")]
    plugin: Option<String>,
}

pub(super) fn run(args: &Args, reporter: &Reporter) -> Result<Code, Failure> {
    output::check([args.component.as_path()], &args.output, "-o")?;
    let component = input::read(&args.component)?;
    let file = input::shown(&args.component);
    let filter = proxy_wasm_adapter::extract(&component, args.plugin.as_deref())
        .map_err(|error| Failure::Library { files: vec![file.clone()], error })?;
    output::write(&args.output, &filter, "-o")?;
    reporter.verbose(|| format!("took a filter of {} bytes out of `{file}`", filter.len()));
    Ok(Code::Done)
}
