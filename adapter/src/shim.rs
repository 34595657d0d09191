//! The host side of the ABI: a core module, built from `host-shim/` and committed.

use std::borrow::Cow;

/// A core module with the host side of the ABI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shim(Cow<'static, [u8]>);

impl Shim {
    /// The committed build for WASI 0.2.
    pub fn built_in() -> Self {
        Self(Cow::Borrowed(include_bytes!("../shim/wasi02.wasm")))
    }

    /// Another build, for tests of a fresh one.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(Cow::Owned(bytes))
    }

    /// The core module.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Default for Shim {
    fn default() -> Self {
        Self::built_in()
    }
}

/// What the committed build was made from, as TOML.
pub const PROVENANCE: &str = include_str!("../shim/wasi02.toml");
