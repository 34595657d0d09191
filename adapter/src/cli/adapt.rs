//! `proxy-wasm-adapter adapt`

use std::path::PathBuf;

use proxy_wasm_adapter::inspect::Filter;

use super::exit::Code;
use super::failure::{Failure, Message};
use super::plugin::{Plugin, SETTINGS_FILE};
use super::report::Reporter;
use super::{input, output};

/// Turn a filter into a component
#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub(super) struct Args {
    /// The filter: a core module in WebAssembly's binary or text format; `-` is stdin
    filter: PathBuf,

    /// The component; `-` is stdout
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,

    #[command(flatten)]
    plugin: Plugin,
}

fn help() -> String {
    format!(
        "{SETTINGS_FILE}
Examples:
  proxy-wasm-adapter adapt filter.wasm -o filter.component.wasm --upstream http://127.0.0.1:9000
  proxy-wasm-adapter adapt filter.wat -o - --direct-response 200:hello > hello.wasm
  proxy-wasm-adapter adapt filter.wasm -o out.wasm --settings plugin.toml --bridge portable"
    )
}

pub(super) fn run(args: Args, reporter: &Reporter) -> Result<Code, Failure> {
    output::check(&args.filter, &args.output)?;
    let file = input::shown(&args.filter);
    let (filter, options) = input::read_both(&args.filter, args.plugin)?;
    let adapted =
        proxy_wasm_adapter::adapt(&filter, &options).map_err(|error| Failure::Library { file: file.clone(), error })?;
    for warning in &adapted.warnings {
        reporter.message(&Message::of(&file, warning));
    }
    output::write(&args.output, &adapted.component)?;
    reporter.verbose(|| {
        let (size, filter) = (adapted.component.len(), &adapted.provenance.filter);
        format!("adapted `{file}` ({} bytes, sha256 {}) into {size} bytes", filter.size, filter.sha256)
    });
    reporter.verbose(|| unimplemented(&filter));
    Ok(Code::Done)
}

/// Which of the filter's host calls do nothing.
fn unimplemented(filter: &[u8]) -> String {
    let facts = proxy_wasm_adapter::inspect(filter).filter;
    let names: Vec<String> =
        facts.iter().flat_map(Filter::unimplemented).map(|call| format!("`{}`", call.name)).collect();
    let names = if names.is_empty() { "none".into() } else { names.join(", ") };
    format!("host calls that return UNIMPLEMENTED: {names}")
}
