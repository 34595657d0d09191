//! `proxy-wasm-adapter serve`

use std::path::PathBuf;

use proxy_wasm_adapter::provenance::Provenance;
use proxy_wasm_adapter::{adapt, is_component, serve};

use super::exit::Code;
use super::failure::{Failure, Message};
use super::input;
use super::plugin::{Plugin, SETTINGS_FILE};
use super::report::Reporter;

/// Serve a filter, or a component that `adapt` made: for development and small deployments
#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub(super) struct Args {
    /// A filter, or a component that `adapt` made; `-` is stdin
    file: PathBuf,

    #[command(flatten)]
    plugin: Plugin,

    #[command(flatten)]
    host: serve::Options,
}

fn help() -> String {
    format!(
        "{SETTINGS_FILE}
Examples:
  proxy-wasm-adapter serve filter.wasm --upstream http://127.0.0.1:9000
  proxy-wasm-adapter serve filter.component.wasm --listen 127.0.0.1:0"
    )
}

pub(super) fn run(args: Args, reporter: &Reporter) -> Result<Code, Failure> {
    let file = input::shown(&args.file);
    let bytes = input::read_module(&args.file)?;
    let mut host = args.host;
    let (component, provenance) = if is_component(&bytes) {
        if args.plugin.is_given() {
            return Err(Failure::Usage {
                message: format!("`{file}` is a component, so the options for adapting a filter come too late"),
                help: "Leave them out, or serve the filter itself.".into(),
            });
        }
        let provenance = Provenance::read(&bytes);
        (bytes, provenance)
    } else {
        let options = input::options(&args.file, &bytes, args.plugin)?;
        let adapted = adapt(&bytes, &options).map_err(|error| Failure::Library { file: file.clone(), error })?;
        for warning in &adapted.warnings {
            reporter.message(&Message::of(&file, warning));
        }
        (adapted.component, Some(adapted.provenance))
    };
    let name = provenance.map(|provenance| provenance.settings.plugin_name).filter(|name| !name.is_empty());
    if let Some(name) = name {
        host.plugin_name = name;
    }
    serve::run(component, host).map_err(Failure::Serve)?;
    Ok(Code::Done)
}
