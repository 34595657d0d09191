//! Why serving could not begin.

use std::net::SocketAddr;
use std::path::PathBuf;

use proxy_wasm_adapter::composition::Hop;

/// Why serving could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes do not compile as a component.
    #[error(
        "this is not a component that Wasmtime can compile: {reason}. Adapt the filter first, then serve the result"
    )]
    Compile {
        /// What the compiler said.
        reason: String,
    },
    /// The component imports what this host does not offer.
    #[error("the component asks for more than the `wasi:http/proxy` world: {reason}. Build it for that world")]
    Link {
        /// Which import.
        reason: String,
    },
    /// The component does not export a handler.
    #[error("the component has no handler: {reason}. Build it for the `wasi:http/proxy` world")]
    NoHandler {
        /// Which export.
        reason: String,
    },
    /// The component needs another one behind it.
    #[error("the component is {}: it needs a next handler. {}", hop.name(), next_help(*hop))]
    NeedsNext {
        /// What it is on a request's way.
        hop: Hop,
    },
    /// The component could not be instantiated.
    #[error("the component cannot be instantiated: {reason}")]
    Instantiate {
        /// Why, and for a trap where.
        reason: String,
    },
    /// The plugin refused to start.
    #[error("the plugin cannot start: {reason}. Look at its log and its configuration")]
    Refused {
        /// Which callback refused.
        reason: String,
    },
    /// The plugin trapped while it started.
    #[error("the plugin cannot start: {report}")]
    StartTrapped {
        /// Which callback and host call it was in, and why.
        report: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}. Choose another with `{option}`; port 0 takes any that is free")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The option that it is of.
        option: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Requests cannot pass the component without its filter.
    #[error("the component was made by an adapter that knows no `--failure-policy open`. Adapt the filter again")]
    NoBypass,
    /// Nothing is known of the plugins of a component for WASI 0.3, if there are any.
    #[error(
        "no requests can pass by the filters of this component: it was made by an adapter that knows no \
         `--failure-policy open` for WASI 0.3, or by a composer that leaves out what filters are asked by. Adapt the filter \
         again, and `compose` it; or choose `reload` or `closed`"
    )]
    NoBypassOn03,
    /// The component takes no exchanges.
    #[error(
        "the component takes requests by `wasi:http` alone. Adapt the filter with `--exports exchange`, or leave `--drive` out"
    )]
    NoExchange,
    /// Requests cannot pass by plugins where they come by exchanges.
    #[error(
        "no requests can pass by filters with `--drive exchange`: choose `--failure-policy reload` or `closed`, or leave `--drive` out"
    )]
    NoBypassByExchange,
    /// The directory for compiled code cannot be used.
    #[error("cannot keep compiled code in `{}`: {reason}. Give a directory with `--cache`, or leave it out", path.display())]
    Cache {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file of certificate authorities cannot be used.
    #[error("cannot use the certificates in `{}`: {reason}. Give a PEM file with `--upstream-ca`", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The access log cannot be opened.
    #[error("cannot open the access log: {0}. Choose another file with `--access-log`, or `-` for stdout")]
    AccessLog(std::io::Error),
    /// The runtime cannot be set up.
    #[error("cannot set up the runtime: {0}")]
    Runtime(std::io::Error),
}

/// How a component gets a next handler.
fn next_help(hop: Hop) -> &'static str {
    match hop {
        Hop::MiddlewareOf02 | Hop::ServiceOf02 => "Join it with a service, for example with `wac plug`",
        Hop::Middleware | Hop::Service | Hop::Both => "`compose` it with a service",
    }
}
