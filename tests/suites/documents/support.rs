//! SUPPORT.md.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use libtest_mimic::Trial;
use proxy_wasm_abi::bridge::AbiVersion;
use proxy_wasm_abi::callbacks::{self, CALLBACKS, TCP_CALLBACKS};
use proxy_wasm_abi::enums::Errno;
use proxy_wasm_abi::foreign_functions::FOREIGN_FUNCTIONS;
use proxy_wasm_abi::higress;
use proxy_wasm_abi::host_calls::{Family, HOST_CALLS, HostCall, Support};
use proxy_wasm_adapter_tests::hosts::Host;

use crate::{asked, limits, says};

const BEGIN: &str = "\
# Support

<!-- Generated from the tables in host-shim/abi/src/ and what a filter gets that calls all
of WASI: `BLESS=1 cargo test -p proxy-wasm-adapter-tests --test documents` writes it. -->

What a filter can import and export, and what becomes of it. `proxy-wasm-adapter inspect FILE` says the same of one
filter. Full support means: what Envoy 1.40 does, but for [DIFFERENCES.md](DIFFERENCES.md).

## Host calls

Imported from `env`. Every one links, whatever the filter's ABI version; the versions are those in which Envoy offers it.

| about | host call | ABI versions | support |
|---|---|---|---|
";

const FOREIGN: &str = "
## Foreign functions

Called by name through `proxy_call_foreign_function`. A component has `clear_route_cache`, and of the
others those whose names stand in its filter; for a filter that puts a name together at run time, `--foreign-function NAME`
adds it. Names that Envoy doesn't know are `NOT_FOUND` (1).
Signatures, expressions and Envoy's filter state come with a larger build of the shim: see [what it costs](README.md#cost).

| function | support |
|---|---|
";

const WASI: &str = "
## WASI preview 1

Imported from `wasi_snapshot_preview1` or `wasi_unstable`. There are no files and no sockets: two descriptors exist, 1 and
2, and what is written to them goes to the log.

| function | result | on other descriptors | notes |
|---|---|---|---|
";

const CALLBACKS_BEGIN: &str = "
## Callbacks

All are optional.

| about | callback | called |
|---|---|---|
";

/// Paths that a filter gets an answer to, at the latest when it logs: what they are about, and what is to be said.
pub(crate) const ANSWERED: &[(&str, &[&str], &str)] = &[
    (
        "the request",
        &[
            "request.path",
            "request.url_path",
            "request.query",
            "request.host",
            "request.scheme",
            "request.method",
            "request.referer",
            "request.useragent",
            "request.id",
            "request.headers",
            "request.headers.host",
        ],
        "as the filter left it, while its headers can be read: in their callback, while they are held, and in `proxy_on_log`",
    ),
    (
        "",
        &[
            "request.headers_bytes",
            "request.size",
            "request.total_size",
            "request.time",
            "request.duration",
            "request.protocol",
        ],
        "`duration` in `proxy_on_log` only; `protocol` is always `HTTP/1.1`",
    ),
    (
        "the response",
        &[
            "response.code",
            "response.code_details",
            "response.flags",
            "response.grpc_status",
            "response.headers",
            "response.headers.content-type",
            "response.trailers",
            "response.headers_bytes",
            "response.size",
            "response.total_size",
        ],
        "from the response's headers on; `backend_latency` too, once an upstream has answered",
    ),
    ("the plugin", &["plugin_name", "plugin_root_id", "plugin_vm_id"], "as configured; in the root context too"),
    ("the connection", &["connection.mtls", "connection.requested_server_name"], "false, and empty"),
    ("the upstream", &["upstream.num_endpoints", "upstream.request_attempt_count"], "0 or 1"),
    (
        "xDS",
        &[
            "xds.node",
            "xds.node.id",
            "xds.node.cluster",
            "xds.node.metadata",
            "xds.cluster_name",
            "xds.cluster_metadata",
            "xds.route_name",
            "xds.route_metadata",
            "xds.virtual_host_name",
            "xds.filter_chain_name",
            "xds.listener_direction",
            "xds.listener_metadata",
        ],
        "`cluster_name` is `upstream` or empty, `listener_direction` 0, the others empty; a table of routes tells its own names, and \
         the metadata of its routes, virtual hosts and clusters by each path",
    ),
    ("metadata", &["metadata", "metadata.filter_metadata"], "empty"),
];

/// Paths that no `wasi:http` world knows anything of.
pub(crate) const NOT_FOUND: &[&str] = &[
    "source.address",
    "source.port",
    "destination.address",
    "destination.port",
    "connection.id",
    "connection.tls_version",
    "upstream.address",
    "upstream.port",
    "upstream.local_address",
];

const PROPERTIES: &str = "
## Properties

`proxy_get_property` answers these paths, written with `.` between their segments. What the filter stored with
`proxy_set_property` it finds under its own name.

| about | paths | notes |
|---|---|---|
";

const HIGRESS: &str = "
## Beyond Envoy

With `--profile permissive` filters that were made for Higress are taken too: those with the marker
`proxy_abi_version_0_2_100`, which then stands for ABI 0.2.1, but `StopIteration` from a headers callback holds the headers
alone. What Higress adds links, and does nothing. Without it such filters are refused, as by Envoy.

| about | host call | parameters | support |
|---|---|---|---|
";

pub(crate) fn trial() -> Trial {
    proxy_wasm_adapter_tests::trial::trial("support", || says("SUPPORT.md", &document()?))
}

fn document() -> Result<String> {
    let mut text = BEGIN.to_string();
    let mut about = None;
    for call in HOST_CALLS.iter().filter(|call| call.family != Family::Wasi) {
        let title = if about.replace(call.family) == Some(call.family) { "" } else { title(call.family) };
        writeln!(text, "| {title} | `{}` | {} | {} |", call.name, versions(call.versions), support(call.support))?;
    }
    text.push_str(FOREIGN);
    for function in FOREIGN_FUNCTIONS {
        writeln!(text, "| `{}` | {} |", function.name, support(function.support))?;
    }
    text.push_str(WASI);
    wasi(&mut text)?;
    text.push_str(CALLBACKS_BEGIN);
    let mut about = None;
    for callback in CALLBACKS {
        let (title, called) = called(callback)?;
        let title = if about.replace(callback.family) == Some(callback.family) { "" } else { title };
        writeln!(text, "| {title} | `{}` | {called} |", callback.name)?;
    }
    let tcp: Vec<String> = TCP_CALLBACKS.iter().map(|name| format!("`{name}`")).collect();
    writeln!(text, "| TCP | {} | never: there is no such world |", tcp.join(", "))?;
    text.push_str(PROPERTIES);
    for (about, paths, notes) in ANSWERED {
        let paths: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
        writeln!(text, "| {about} | {} | {notes} |", paths.join(", "))?;
    }
    let unknown: Vec<String> = NOT_FOUND.iter().map(|path| format!("`{path}`")).collect();
    let configured = "unless `--property` gives a value, or `--property-header` a request header to read it from; both work for \
                      every path, in every phase";
    writeln!(text, "| not found | {} and all others | {configured} |", unknown.join(", "))?;
    higress(&mut text)?;
    text.push_str(&limits::sections()?);
    Ok(text)
}

/// What Higress adds.
fn higress(text: &mut String) -> Result<()> {
    text.push_str(HIGRESS);
    for call in higress::HOST_CALLS {
        let parameters = call.params;
        writeln!(text, "| {} | `{}` | {parameters} | returns `UNIMPLEMENTED` (12) |", call.about, call.name)?;
    }
    let callbacks: Vec<String> = higress::CALLBACKS.iter().map(|name| format!("`{name}`")).collect();
    writeln!(text, "\nIts callback {} is never called.", callbacks.join(", "))?;
    Ok(())
}

fn title(family: Family) -> &'static str {
    match family {
        Family::Logging => "the log",
        Family::Clocks => "clocks",
        Family::Timers => "timers",
        Family::Lifecycle => "contexts",
        Family::Properties => "properties",
        Family::Configuration => "configuration",
        Family::Maps => "header maps",
        Family::Buffers => "bodies and other buffers",
        Family::Streams => "streams",
        Family::LocalResponses => "local responses",
        Family::HttpCallouts => "HTTP callouts",
        Family::GrpcCallouts => "gRPC callouts",
        Family::SharedData => "shared data",
        Family::SharedQueues => "shared queues",
        Family::Metrics => "metrics",
        Family::ForeignFunctions => "foreign functions",
        Family::Toolchain => "toolchains",
        Family::Wasi => "WASI",
    }
}

fn versions(versions: &[AbiVersion]) -> String {
    if versions == AbiVersion::ALL {
        return "all".into();
    }
    versions.iter().map(|version| version.name()).collect::<Vec<_>>().join(", ")
}

fn support(support: Support) -> String {
    match support {
        Support::Full => "full".into(),
        Support::Partial(note) => format!("partial: {note}"),
        Support::Unimplemented => "returns `UNIMPLEMENTED` (12)".into(),
    }
}

/// What a number of WASI's doesn't say.
fn note(name: &str) -> &'static str {
    match name {
        "args_sizes_get" => "there are none",
        "clock_time_get" => "clocks 0 and 1; others `NOTSUP`",
        "environ_get" => "what `--env` gives",
        "fd_write" | "fd_pwrite" => "one log record a call: `info` from 1, `error` from 2",
        "poll_oneoff" => "at once, with no event",
        "random_get" => "64 KiB at most; more `INVAL`",
        _ => "",
    }
}

fn wasi(text: &mut String) -> Result<()> {
    let answers = asked::wasi(Host::Serve)?;
    for call in HOST_CALLS.iter().filter(|call| call.family == Family::Wasi) {
        if !call.result {
            writeln!(text, "| `{}` | returns to the filter | | |", call.name)?;
            continue;
        }
        let answer = |descriptor: Option<u32>| {
            let (_, errno) = answers.iter().find(|(of, _)| of.name == call.name && of.descriptor == descriptor)?;
            Some(errno_name(*errno))
        };
        let (on_log, on_others) = (answer(Some(1)), answer(Some(3)));
        // One is enough where both are the same, or there can be no other.
        let others = on_others.clone().filter(|others| on_log.as_ref().is_some_and(|on_log| on_log != others));
        let result = on_log.or(on_others).or(answer(None)).context("each was asked")?;
        writeln!(text, "| `{}` | {result} | {} | {} |", call.name, others.unwrap_or_default(), note(call.name))?;
    }
    Ok(())
}

fn errno_name(number: u8) -> String {
    use Errno::{Badf, Fault, Inval, Noent, Nosys, Notdir, Notsup, Success};
    let known = [Success, Badf, Fault, Inval, Noent, Nosys, Notdir, Notsup];
    match known.into_iter().find(|errno| *errno as u32 == u32::from(number)) {
        Some(Success) => "success".into(),
        Some(errno) => format!("`{}`", format!("{errno:?}").to_uppercase()),
        None => number.to_string(),
    }
}

/// Which host call brings callbacks of this family about.
fn cause(family: callbacks::Family) -> Option<&'static str> {
    match family {
        callbacks::Family::Lifecycle | callbacks::Family::Http => None,
        callbacks::Family::Timer => Some("proxy_set_tick_period_milliseconds"),
        callbacks::Family::HttpCallout => Some("proxy_http_call"),
        callbacks::Family::GrpcCallout => Some("proxy_grpc_call"),
        callbacks::Family::Queue => Some("proxy_register_shared_queue"),
        callbacks::Family::Foreign => Some("proxy_call_foreign_function"),
        callbacks::Family::Dns => Some("envoy_resolve_dns"),
    }
}

fn called(callback: &callbacks::Callback) -> Result<(&'static str, String)> {
    let title = match callback.family {
        callbacks::Family::Lifecycle => "plugin and contexts",
        callbacks::Family::Http => "HTTP",
        callbacks::Family::Timer => "timers",
        callbacks::Family::HttpCallout => "HTTP callouts",
        callbacks::Family::GrpcCallout => "gRPC callouts",
        callbacks::Family::Queue => "shared queues",
        callbacks::Family::Foreign | callbacks::Family::Dns => "foreign functions",
    };
    if let Some(cause) = cause(callback.family) {
        let call = HostCall::find("env", cause).with_context(|| format!("the host call `{cause}`"))?;
        if call.support == Support::Unimplemented {
            return Ok((title, format!("not now: `{cause}` is unimplemented")));
        }
    }
    let mut called = match callback.name {
        "proxy_validate_configuration" => "never, as in Envoy".to_string(),
        name if name.ends_with("_metadata") && callback.family == callbacks::Family::Http => {
            "never: `wasi:http` has no METADATA frames".into()
        }
        _ => "yes".into(),
    };
    if let Some(params) = callback.params_0_1_0 {
        let _ = write!(called, "; in ABI 0.1.0 with {params} parameters");
    }
    Ok((title, called))
}
