//! `proxy-wasm-adapter adapt`

use std::collections::HashSet;
use std::path::PathBuf;

use proxy_wasm_abi::settings::Profile;
use proxy_wasm_adapter::inspect::InspectedFilter;
use proxy_wasm_adapter::provenance::Provenance;
use proxy_wasm_adapter::settings::Input;

use super::exit::Code;
use super::failure::{Failure, Message};
use super::help::{QUANTITIES, SETTINGS_FILE};
use super::input::{Given, Module};
use super::plugin::AdaptOptions;
use super::preinit::PreinitOptions;
use super::report::Reporter;
use super::{compose, input, output};

/// Turn a filter, or a chain of filters, into a component
#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub(super) struct Args {
    /// The filter: a core module in WebAssembly's binary or text format; `-` is stdin. Several are a chain: requests pass them
    /// in this order, responses in reverse
    #[arg(required_unless_present = "settings", value_name = "FILTER")]
    filters: Vec<PathBuf>,

    /// The component; `-` is stdout
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,

    #[command(flatten)]
    plugin: AdaptOptions,

    #[command(flatten)]
    preinit: PreinitOptions,
}

fn help() -> String {
    format!(
        "{SETTINGS_FILE}
{QUANTITIES}
Examples:
  proxy-wasm-adapter adapt filter.wasm -o out.wasm --upstream http://10.0.0.7:80
  proxy-wasm-adapter adapt filter.wat -o - --direct-response 200:hi > hi.wasm
  proxy-wasm-adapter adapt filter.wasm -o out.wasm --settings plugin.toml
  proxy-wasm-adapter adapt auth.wasm limit.wasm -o o.wasm --settings chain.toml
  proxy-wasm-adapter adapt filter.wasm -o app.wasm --next service.wasm
  proxy-wasm-adapter adapt filter.wat -o o.wasm --direct-response 204 --preinit"
    )
}

pub(super) fn run(args: Args, reporter: &Reporter) -> Result<Code, Failure> {
    output::check(args.filters.iter().map(PathBuf::as_path), &args.output, "-o")?;
    let given = Given::read(args.filters, args.plugin)?;
    given.warn(reporter);
    // Those that the settings name.
    output::check(given.modules.iter().map(|module| module.path.as_path()), &args.output, "-o")?;
    let next = given.next().map(|file| input::read(&file).map(|bytes| (file, bytes)));
    if let Some(Ok((file, _))) = &next {
        output::check([file.as_path()], &args.output, "-o")?;
    }
    let (modules, options) = given.options(Input::default())?;
    let next = next.transpose()?;
    let files = input::names(&modules);
    let adapted = proxy_wasm_adapter::adapt(&modules, &options)
        .map_err(|error| Failure::Library { files: files.clone(), error })?;
    for warning in &adapted.warnings {
        reporter.message(&Message::of(&files, warning));
    }
    let component = args.preinit.apply(adapted.component, &files, reporter)?;
    let component = match next {
        None => component,
        Some(next) => compose::with_next(component, next)?,
    };
    output::write(&args.output, &component, "-o")?;
    reporter.verbose(|| {
        let Provenance { filters, plugins, .. } = &adapted.provenance;
        let told = plugins.iter().zip(&files).filter_map(|(plugin, file)| {
            let filter = filters.get(plugin.filter)?;
            Some(format!("`{file}` ({} bytes, sha256 {})", filter.size, filter.sha256))
        });
        format!("adapted {} into {} bytes", told.collect::<Vec<_>>().join(", "), component.len())
    });
    reporter.verbose(|| unimplemented(&modules, options.settings.upkeep.profile));
    Ok(Code::Done)
}

/// Which of the filters' host calls do nothing.
fn unimplemented(modules: &[Module], profile: Profile) -> String {
    let mut names = Vec::new();
    for module in modules {
        let facts = proxy_wasm_adapter::inspect_as(&module.bytes, profile).filters;
        let calls = facts.iter().flat_map(InspectedFilter::unimplemented).map(|call| format!("`{}`", call.name));
        names.extend(calls);
    }
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let names = if names.is_empty() { "none".into() } else { names.join(", ") };
    format!("host calls that return UNIMPLEMENTED: {names}")
}
