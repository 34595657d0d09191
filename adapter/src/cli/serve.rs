//! `proxy-wasm-adapter serve`

use std::path::PathBuf;

use proxy_wasm_adapter::settings::Input;
use proxy_wasm_adapter::{adapt, is_component, serve};

use super::exit::Code;
use super::failure::{Failure, Message};
use super::input::{self, Given};
use super::plugin::{Plugin, SETTINGS_FILE};
use super::report::Reporter;

/// Serve filters, or a component that `adapt` made: for development and small deployments
#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub(super) struct Args {
    /// A filter, or several as a chain, or a component that `adapt` made; `-` is stdin
    #[arg(required_unless_present = "settings", value_name = "FILE")]
    files: Vec<PathBuf>,

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
  proxy-wasm-adapter serve filter.component.wasm --listen 127.0.0.1:0
  proxy-wasm-adapter serve --settings chain.toml"
    )
}

pub(super) fn run(args: Args, reporter: &Reporter) -> Result<Code, Failure> {
    let given = Given::read(args.files, args.plugin)?;
    let component = match given.modules.as_slice() {
        [module] if is_component(&module.bytes) => {
            if given.has_options() {
                let file = input::shown(&module.path);
                return Err(Failure::Usage {
                    message: format!("`{file}` is a component, so the options for adapting a filter come too late"),
                    help: "Leave them out, or serve the filter itself.".into(),
                });
            }
            module.bytes.clone()
        }
        _ => {
            let (modules, options) = given.options(Input::default())?;
            let files = input::names(&modules);
            let adapted =
                adapt(&modules, &options).map_err(|error| Failure::Library { files: files.clone(), error })?;
            for warning in &adapted.warnings {
                reporter.message(&Message::of(&files, warning));
            }
            adapted.component
        }
    };
    serve::run(component, args.host).map_err(Failure::Serve)?;
    Ok(Code::Done)
}
