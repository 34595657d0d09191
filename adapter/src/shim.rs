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

#[cfg(test)]
mod tests {
    use proxy_wasm_abi::bridge::{FUNCTIONS, MODULE};
    use proxy_wasm_abi::callbacks::CALLBACKS;
    use proxy_wasm_abi::host_calls::HOST_CALLS;

    use super::*;
    use crate::abi::signatures;
    use crate::digest::sha256;
    use crate::facts::{Facts, Item, Signature};

    #[test]
    fn record_is_of_this_build() {
        let record: toml::Table = PROVENANCE.parse().unwrap();
        assert_eq!(record["artifact"].as_str(), Some(sha256(Shim::built_in().bytes()).as_str()));
    }

    #[test]
    fn exports_every_host_call() {
        let facts = Facts::read(Shim::built_in().bytes()).unwrap();
        for call in HOST_CALLS {
            assert_eq!(facts.exported_function(call.name), Some(&Signature::of_host_call(call)), "{}", call.name);
        }
    }

    #[test]
    fn imports_of_the_bridge_what_the_bridge_has() {
        let facts = Facts::read(Shim::built_in().bytes()).unwrap();
        let own = FUNCTIONS
            .iter()
            .map(|(name, params, results)| (*name, Signature::of(params.iter().copied(), results.iter().copied())));
        let callbacks = CALLBACKS.iter().map(|callback| (callback.name, signatures(callback).swap_remove(0)));
        let contract: Vec<(&str, Signature)> = own.chain(callbacks).collect();
        for import in facts.imports.iter().filter(|import| import.module == MODULE) {
            let Item::Function(signature) = &import.item else { panic!("`{}` is no function", import.name) };
            assert!(contract.contains(&(import.name.as_str(), signature.clone())), "{} {signature}", import.name);
        }
    }
}
