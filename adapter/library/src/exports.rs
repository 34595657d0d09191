//! By which interfaces a component takes requests. What its shim exports besides, goes: its functions by `prune`, the
//! interface by `world`.

use serde::{Deserialize, Serialize};

/// The interfaces by which a component for WASI 0.2 takes requests, as options and settings name them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exports {
    /// `wasi:http/incoming-handler`, for any host.
    #[default]
    Handler,
    /// `proxy-wasm:adapter/exchange`, for hosts that carry the bytes themselves: `proxy-wasm-adapter-embed`.
    Exchange,
    /// Both: 29 KB more than the first.
    Both,
}

const HANDLER: &str = "wasi:http/incoming-handler@0.2.0";
/// The interface for hosts that carry the bytes themselves.
pub(crate) const EXCHANGE: &str = "proxy-wasm:adapter/exchange@0.1.0";

/// What the shim imports to take requests by the handler, and to send its own.
const FOR_HANDLER: [&str; 3] = ["wasi:http/types@0.2.0", "wasi:http/outgoing-handler@0.2.0", "wasi:io/poll@0.2.0"];

impl Exports {
    /// All of them, the default first.
    pub const ALL: [Self; 3] = [Self::Handler, Self::Exchange, Self::Both];

    /// Its name in options and settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Exchange => "exchange",
            Self::Both => "both",
        }
    }

    /// The interface that goes.
    pub(crate) fn unwanted(self) -> Option<&'static str> {
        match self {
            Self::Handler => Some(EXCHANGE),
            Self::Exchange => Some(HANDLER),
            Self::Both => None,
        }
    }

    /// Whether this export of the shim, a function, stays.
    pub(crate) fn include(self, export: &str) -> bool {
        let export = export.strip_prefix("cabi_post_").unwrap_or(export);
        !self
            .unwanted()
            .is_some_and(|interface| export.strip_prefix(interface).is_some_and(|rest| rest.starts_with('#')))
    }

    /// The imports that nothing is left to call.
    pub(crate) fn unused_imports(self) -> &'static [&'static str] {
        if self == Self::Exchange { &FOR_HANDLER } else { &[] }
    }
}
