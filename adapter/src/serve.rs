//! `proxy-wasm-adapter serve`

use std::path::PathBuf;

use proxy_wasm_adapter::settings::Input;
use proxy_wasm_adapter::{adapt, is_component};
use proxy_wasm_adapter_serve as serve;

use super::compose;
use super::exit::Code;
use super::failure::{Failure, Message};
use super::input::{self, Given};
use super::plugin::{self, AdaptOptions, QUANTITIES, SETTINGS_FILE};
use super::report::Reporter;

/// Serve filters, or a component that `adapt` made, or another service for WASI 0.3: for development and small deployments
#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub(super) struct Args {
    /// A filter, or several as a chain, or a component; `-` is stdin
    #[arg(required_unless_present = "settings", value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    plugin: AdaptOptions,

    #[command(flatten)]
    host: serve::Options,
}

fn help() -> String {
    format!(
        "{SETTINGS_FILE}
{QUANTITIES}
Examples:
  proxy-wasm-adapter serve filter.wasm --upstream http://127.0.0.1:9000
  proxy-wasm-adapter serve filter.component.wasm --listen 127.0.0.1:0
  proxy-wasm-adapter serve --settings chain.toml
  proxy-wasm-adapter serve filter.wasm --next service.wasm

Limits that no option sets:
  60 KiB   the head of a request: 431
  80 KiB   the head of an upstream's response: 502
  5 min    in which a client takes nothing of a response that is complete: its connection is closed
  5 s      for a filter to end a request whose client has left; then its instance is dropped
  1 s      in which a client that was answered early may send the rest of its request, or 16 MiB of it
  1 s      for connections without a request to end, when `serve` is told to
  15 s     for callouts that are on their way from an instance that has served enough
  60 s     after which an idle instance is dropped, save the last
  8 MiB    of log lines that wait for whoever reads them; further ones are lost, counted, and told of
  16       connections to `--admin`; the one that is idle for longest makes room"
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
            let next = given.next().map(|file| input::read(&file).map(|bytes| (file, bytes)));
            let (modules, options) = given.options(Input::default())?;
            let next = next.transpose()?;
            if next.is_none() {
                plugin::check_complete(&options)?;
            }
            let files = input::names(&modules);
            let adapted =
                adapt(&modules, &options).map_err(|error| Failure::Library { files: files.clone(), error })?;
            for warning in &adapted.warnings {
                reporter.message(&Message::of(&files, warning));
            }
            match next {
                None => adapted.component,
                Some(next) => compose::with_next(adapted.component, next)?,
            }
        }
    };
    serve::run(component, args.host).map_err(Failure::Serve)?;
    Ok(Code::Done)
}
