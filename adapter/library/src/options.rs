//! How filters are to be adapted.

use proxy_wasm_abi::settings::Settings;

use crate::bridge::kind::Kind;
use crate::exports::Exports;
use crate::shim::Shim;
use crate::wasi::Wasi;

/// How to adapt filters.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// What the plugins and the shim are told. The numbers of virtual machines in it are made anew.
    pub settings: Settings,
    /// The hosts that it is for. Its shim is one of theirs.
    pub wasi: Wasi,
    /// By which interfaces requests come, on WASI 0.2.
    pub exports: Exports,
    /// How bytes get between the memories.
    pub bridge: Kind,
    /// Let imports that are no host calls become functions that trap.
    pub stub_unknown_imports: bool,
    /// Foreign functions that the component has besides those whose names stand in a filter.
    pub foreign_functions: Vec<String>,
    /// The host side of the ABI.
    pub shim: Shim,
    /// Make one core module of shim and filters, where each request is to have a new instance: that is made in two thirds of
    /// the time. For what is run at once, as [`extract`](crate::extract()) finds no filter in it. The host is to take several
    /// memories in a module. What can't be in one module with others stays apart.
    pub joined: bool,
}

impl Options {
    /// These settings, and the default of everything else.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            wasi: Wasi::default(),
            exports: Exports::default(),
            bridge: Kind::default(),
            stub_unknown_imports: false,
            foreign_functions: Vec::new(),
            shim: Shim::default(),
            joined: false,
        }
    }
}
