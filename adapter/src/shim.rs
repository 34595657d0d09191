//! The host side of the ABI: a core module, built from `host-shim/` and committed.

use std::borrow::Cow;

/// What a build of the shim can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavour {
    /// What production needs.
    #[default]
    Plain,
    /// Writes every call across the ABI to stderr besides, in the form of Envoy's `wasm:trace` log.
    Tracing,
}

/// A core module with the host side of the ABI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shim {
    flavour: Flavour,
    bytes: Cow<'static, [u8]>,
}

impl Shim {
    /// The committed build for WASI 0.2.
    pub fn built_in(flavour: Flavour) -> Self {
        let bytes: &[u8] = match flavour {
            Flavour::Plain => include_bytes!("../shim/wasi02.wasm"),
            Flavour::Tracing => include_bytes!("../shim/wasi02-trace.wasm"),
        };
        Self { flavour, bytes: Cow::Borrowed(bytes) }
    }

    /// Another build, for tests of a fresh one.
    pub fn from_bytes(flavour: Flavour, bytes: Vec<u8>) -> Self {
        Self { flavour, bytes: Cow::Owned(bytes) }
    }

    /// What it can do.
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// The core module.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Default for Shim {
    fn default() -> Self {
        Self::built_in(Flavour::default())
    }
}

#[cfg(test)]
mod tests {
    use proxy_wasm_abi::bridge::{FUNCTIONS, MODULE};
    use proxy_wasm_abi::host_calls::HOST_CALLS;

    use super::*;
    use crate::digest::sha256;
    use crate::facts::{Facts, Item, Signature};

    const FLAVOURS: [(Flavour, &str); 2] = [
        (Flavour::Plain, include_str!("../shim/wasi02.toml")),
        (Flavour::Tracing, include_str!("../shim/wasi02-trace.toml")),
    ];

    #[test]
    fn records_are_of_these_builds() {
        for (flavour, record) in FLAVOURS {
            let record: toml::Table = record.parse().unwrap();
            assert_eq!(record["artifact"].as_str(), Some(sha256(Shim::built_in(flavour).bytes()).as_str()));
        }
    }

    #[test]
    fn exports_every_host_call() {
        for (flavour, _) in FLAVOURS {
            let facts = Facts::read(Shim::built_in(flavour).bytes()).unwrap();
            for call in HOST_CALLS {
                assert_eq!(facts.exported_function(call.name), Some(&Signature::of_host_call(call)), "{}", call.name);
            }
        }
    }

    #[test]
    fn imports_of_the_bridge_what_the_bridge_has() {
        for (flavour, _) in FLAVOURS {
            imports_what_the_bridge_has(&Facts::read(Shim::built_in(flavour).bytes()).unwrap());
        }
    }

    /// Tracing costs nothing where it is not wanted: no trace of it is in the plain shim.
    #[test]
    fn plain_shim_knows_nothing_of_traces() {
        let holds = |flavour, text: &[u8]| Shim::built_in(flavour).bytes().windows(text.len()).any(|part| part == text);
        for text in [&b"[trace]"[..], b"vm->host"] {
            assert!(holds(Flavour::Tracing, text));
            assert!(!holds(Flavour::Plain, text));
        }
    }

    fn imports_what_the_bridge_has(facts: &Facts) {
        let own = FUNCTIONS
            .iter()
            .map(|(name, params, results)| (*name, Signature::of(params.iter().copied(), results.iter().copied())));
        let contract: Vec<(&str, Signature)> = own.collect();
        for import in facts.imports.iter().filter(|import| import.module == MODULE) {
            let Item::Function(signature) = &import.item else { panic!("`{}` is no function", import.name) };
            assert!(contract.contains(&(import.name.as_str(), signature.clone())), "{} {signature}", import.name);
        }
    }
}
