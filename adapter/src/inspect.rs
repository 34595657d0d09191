//! `proxy-wasm-adapter inspect`

use std::collections::HashSet;
use std::fmt::Write;
use std::path::PathBuf;

use proxy_wasm_abi::settings::Profile;
use proxy_wasm_adapter::composition::Hop;
use proxy_wasm_adapter::error::Severity;
use proxy_wasm_adapter::inspect::{AbiFacts, InspectedFilter, Inspection};
use proxy_wasm_adapter::preinit::Preinit;
use proxy_wasm_adapter::provenance::Provenance;
use proxy_wasm_adapter::settings::ShownPlugin;

use super::exit::Code;
use super::failure::Failure;
use super::plugin::profiles;
use super::{input, output};

/// Say what a filter is and what would stop it from running; of a component, also how it was made
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  proxy-wasm-adapter inspect filter.wasm
  proxy-wasm-adapter inspect filter.component.wasm --json")]
pub(super) struct Args {
    /// A filter, or a component that `adapt` made; `-` is stdin
    file: PathBuf,

    /// Whose filters to take, as `adapt` has it; a component says so itself
    #[arg(long, value_name = "PROFILE", value_parser = profiles(), default_value = "envoy")]
    profile: Profile,

    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<Code, Failure> {
    let bytes = input::read_module(&args.file)?;
    let inspection = proxy_wasm_adapter::inspect_as(&bytes, args.profile);
    let text = if args.json {
        let mut text = serde_json::to_string_pretty(&inspection).expect("plain data serializes");
        text.push('\n');
        text
    } else {
        let mut text = String::new();
        describe(&mut text, &input::shown(&args.file), &inspection).expect("a string takes all text");
        text
    };
    output::stdout(text.as_bytes())?;
    Ok(if inspection.errors() > 0 { Code::Unusable } else { Code::Done })
}

fn describe(out: &mut String, file: &str, inspection: &Inspection) -> std::fmt::Result {
    writeln!(out, "{file}: {} bytes, sha256 {}", inspection.size, inspection.sha256)?;
    if !inspection.parts.is_empty() {
        return composed(out, inspection);
    }
    contents(out, inspection)?;
    verdict(out, inspection)
}

/// What is in a file that was not composed.
fn contents(out: &mut String, inspection: &Inspection) -> std::fmt::Result {
    if let Some(adapted) = &inspection.adapted {
        provenance(out, adapted)?;
    }
    for (index, facts) in inspection.filters.iter().enumerate() {
        let number = if inspection.filters.len() > 1 { format!(" {}", index + 1) } else { String::new() };
        filter(out, &number, facts)?;
    }
    for problem in &inspection.problems {
        let it = problem.filter.map_or_else(|| "it".into(), |filter| format!("filter {}", filter + 1));
        let severity = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(out, "\n{severity}: {it} {}\n  help: {}", problem.message, problem.remedy)?;
    }
    Ok(())
}

/// What was composed of others: each of them, in the order in which a request passes them.
fn composed(out: &mut String, inspection: &Inspection) -> std::fmt::Result {
    let count = inspection.parts.len();
    writeln!(out, "\ncomposed of {count} component{}", if count == 1 { "" } else { "s" })?;
    for (index, part) in inspection.parts.iter().enumerate() {
        let maker = if part.adapted.is_some() { "adapted" } else { "not made by this program" };
        let hop = part.hop.map_or("a component that handles no requests", Hop::name);
        writeln!(out, "\n== {}: {hop}, {maker}: {} bytes, sha256 {}", index + 1, part.size, part.sha256)?;
        contents(out, part)?;
    }
    writeln!(out, "\n{}", next_needed(inspection).unwrap_or("it is composed"))
}

/// What is said of a component that no host runs by itself.
fn next_needed(inspection: &Inspection) -> Option<&'static str> {
    inspection.hop.is_some_and(Hop::needs_next).then_some("it is middleware: it needs a next handler")
}

/// The last line: what it comes to.
fn verdict(out: &mut String, inspection: &Inspection) -> std::fmt::Result {
    let verdict = match (inspection.errors(), &inspection.adapted) {
        (0, None) => "it can be adapted".into(),
        (0, Some(_)) => next_needed(inspection).unwrap_or("it is adapted").into(),
        (1, _) => "it cannot be adapted: 1 error".into(),
        (errors, _) => format!("it cannot be adapted: {errors} errors"),
    };
    let calls = inspection.filters.iter().flat_map(InspectedFilter::unimplemented).map(|call| &call.name);
    let unimplemented = match calls.collect::<HashSet<_>>().len() {
        0 => String::new(),
        1 => "; 1 of the host calls that it imports returns UNIMPLEMENTED".into(),
        count => format!("; {count} of the host calls that it imports return UNIMPLEMENTED"),
    };
    writeln!(out, "\n{verdict}{unimplemented}")
}

/// The version of the ABI, and how it is known where no marker of proxy-wasm tells.
fn abi(abi: &AbiFacts) -> String {
    let marker = if abi.markers.is_empty() { "there is no marker" } else { "its marker is another ABI's" };
    match abi.version {
        Some(version) if abi.inferred => format!("probably {version}, by imports and exports: {marker}"),
        Some(version) => version.to_owned(),
        None => format!("unknown: {marker}"),
    }
}

/// One line of the report; further values stand below the first.
fn row(out: &mut String, name: &str, values: impl IntoIterator<Item = String>) -> std::fmt::Result {
    let mut name = name;
    for value in values {
        writeln!(out, "  {name:<18}{value}")?;
        name = "";
    }
    Ok(())
}

fn provenance(out: &mut String, adapted: &Provenance) -> std::fmt::Result {
    let settings = &adapted.settings;
    writeln!(out, "\ncomponent")?;
    row(out, "adapted by", [format!("proxy-wasm-adapter {}", adapted.version)])?;
    row(out, "shim", [format!("sha256 {}", adapted.shim_sha256)])?;
    row(out, "traces calls", adapted.trace.then(|| "yes".to_owned()))?;
    row(out, "pre-initialised", adapted.preinit.as_ref().map(preinit))?;
    row(out, "bridge", [adapted.bridge.name().to_owned()])?;
    let profile = settings.profile;
    row(out, "profile", (profile != Profile::default()).then(|| profile.name().to_owned()))?;
    if let [only] = adapted.plugins.as_slice() {
        plugin(out, "plugin name", &only.settings)?;
    }
    row(out, "properties", settings.properties.iter().map(|(path, value)| format!("{path} = {value}")))?;
    row(out, "from headers", settings.property_headers.iter().map(|(path, header)| format!("{path} = {header}")))?;
    row(out, "upstream", settings.upstream.clone())?;
    row(out, "route", settings.route_cluster.clone())?;
    row(out, "direct response", settings.direct_response.iter().map(|it| format!("{} {}", it.status, it.body)))?;
    for host in &settings.virtual_hosts {
        row(out, "virtual host", [format!("{}: {}", host.name, host.domains.join(", "))])?;
        row(out, "routes", host.routes.iter().cloned())?;
    }
    let clusters = settings.clusters.iter().chain(&settings.endpoints);
    row(out, "clusters", clusters.map(|(name, url)| format!("{name} = {url}")))?;
    if adapted.plugins.len() > 1 {
        for (index, record) in adapted.plugins.iter().enumerate() {
            writeln!(out, "\nplugin {}", index + 1)?;
            row(out, "filter", [(record.filter + 1).to_string()])?;
            row(out, "VM", [(record.vm + 1).to_string()])?;
            plugin(out, "name", &record.settings)?;
        }
    }
    Ok(())
}

/// What the start did that is the same in all instances.
fn preinit(preinit: &Preinit) -> String {
    let mut text = String::from("yes");
    if preinit.random_bytes > 0 {
        text.push_str(&format!(", all instances with the same {} random bytes", preinit.random_bytes));
    }
    if preinit.reads_wall_clock {
        text.push_str(", and they take the time of that start for their own");
    }
    text
}

/// `name` is what its name is called.
fn plugin(out: &mut String, name: &str, settings: &ShownPlugin) -> std::fmt::Result {
    row(out, name, [format!("{:?}", settings.name)])?;
    row(out, "root id", [format!("{:?}", settings.root_id)])?;
    row(out, "vm id", [format!("{:?}", settings.vm_id)])?;
    row(out, "configuration", [settings.configuration.to_string()])?;
    row(out, "vm configuration", [settings.vm_configuration.to_string()])?;
    row(out, "environment", settings.environment.iter().map(|(key, value)| format!("{key}={value}")))?;
    row(out, "log level", [settings.log_level.clone()])
}

/// `number` tells it from others.
fn filter(out: &mut String, number: &str, filter: &InspectedFilter) -> std::fmt::Result {
    writeln!(out, "\nfilter{number}")?;
    row(out, "size", [format!("{} bytes", filter.size)])?;
    row(out, "sha256", [filter.sha256.clone()])?;
    row(out, "ABI", [abi(&filter.abi)])?;
    row(out, "language", [filter.toolchain.language.unwrap_or("unknown").to_owned()])?;
    let version = filter.toolchain.sdk_version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    row(out, "SDK", [format!("{}{version}", filter.toolchain.sdk.unwrap_or("unknown"))])?;
    row(out, "compilers", filter.toolchain.compilers.clone())?;
    row(out, "start", [if filter.start.is_empty() { "none".into() } else { filter.start.join(", ") }])?;
    row(out, "allocator", [filter.allocator.unwrap_or("none").to_owned()])?;
    row(
        out,
        "memory",
        filter.memory.iter().map(|memory| {
            let most = memory.maximum_pages.map(|pages| format!(", at most {pages}")).unwrap_or_default();
            format!("{} pages of 64 KiB{most}", memory.initial_pages)
        }),
    )?;
    row(out, "table", [format!("{} entries", filter.table_elements)])?;
    row(out, "WASI", [if filter.wasi { "imported" } else { "not imported" }.to_owned()])?;
    row(
        out,
        "callbacks",
        filter.callbacks.iter().map(|callback| {
            let note = match (callback.old_signature, callback.never_called) {
                (true, _) => "  (with the parameters of ABI 0.1.0)",
                (_, true) => "  (never called: it is for TCP)",
                _ => "",
            };
            format!("{}{note}", callback.name)
        }),
    )?;
    row(
        out,
        "host calls",
        filter.imports.iter().map(|import| {
            let note = import.note.map(|note| format!(": {note}")).unwrap_or_default();
            format!("{:<52}{}{note}", format!("{}.{}", import.module, import.name), import.support)
        }),
    )
}
