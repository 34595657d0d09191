//! The host side of the ABI: a core module, built from `host-shim/` and committed.

use std::borrow::Cow;

use proxy_wasm_abi::foreign_functions::{ForeignFunction, Presence};

use crate::wasi::Wasi;

/// What a build of the shim can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavour {
    /// What production needs.
    #[default]
    Plain,
    /// Writes every call across the ABI to stderr besides, in the form of Envoy's `wasm:trace` log.
    Tracing,
}

/// A core module with the host side of the ABI, in two builds: the foreign functions and the table of routes that
/// only some components need weigh as much as all the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shim {
    flavour: Flavour,
    /// What most filters need.
    lean: Cow<'static, [u8]>,
    /// All of it.
    full: Cow<'static, [u8]>,
}

impl Shim {
    /// The committed builds for a version of WASI.
    pub fn built_in(wasi: Wasi, flavour: Flavour) -> Self {
        let (lean, full): (&[u8], &[u8]) = match (wasi, flavour) {
            (Wasi::V0_2, Flavour::Plain) => {
                (include_bytes!("../shim/wasi02.wasm"), include_bytes!("../shim/wasi02-extra.wasm"))
            }
            (Wasi::V0_2, Flavour::Tracing) => {
                (include_bytes!("../shim/wasi02-trace.wasm"), include_bytes!("../shim/wasi02-extra-trace.wasm"))
            }
            (Wasi::V0_3, Flavour::Plain) => {
                (include_bytes!("../shim/wasi03.wasm"), include_bytes!("../shim/wasi03-extra.wasm"))
            }
            (Wasi::V0_3, Flavour::Tracing) => {
                (include_bytes!("../shim/wasi03-trace.wasm"), include_bytes!("../shim/wasi03-extra-trace.wasm"))
            }
        };
        Self { flavour, lean: Cow::Borrowed(lean), full: Cow::Borrowed(full) }
    }

    /// Another build, for every filter.
    pub fn from_bytes(flavour: Flavour, bytes: Vec<u8>) -> Self {
        Self::from_builds(flavour, bytes.clone(), bytes)
    }

    /// Other builds, for tests of fresh ones.
    pub fn from_builds(flavour: Flavour, lean: Vec<u8>, full: Vec<u8>) -> Self {
        Self { flavour, lean: Cow::Owned(lean), full: Cow::Owned(full) }
    }

    /// What it can do.
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// The core module with these foreign functions, and one that reads a table of routes where there is one.
    pub(crate) fn with<'a>(&self, functions: impl IntoIterator<Item = &'a ForeignFunction>, routes: bool) -> &[u8] {
        let is_extra = |function: &ForeignFunction| function.presence == Presence::Extra;
        if routes || functions.into_iter().any(is_extra) { &self.full } else { &self.lean }
    }

    /// The core module with all of it.
    pub fn bytes(&self) -> &[u8] {
        &self.full
    }
}

impl Default for Shim {
    fn default() -> Self {
        Self::built_in(Wasi::default(), Flavour::default())
    }
}

#[cfg(test)]
mod tests {
    use proxy_wasm_abi::bridge::{FUNCTIONS, MODULE};
    use proxy_wasm_abi::foreign_functions::FOREIGN_FUNCTIONS;
    use proxy_wasm_abi::host_calls::HOST_CALLS;

    use super::*;
    use crate::digest::sha256;
    use crate::facts::{Facts, Item, Signature};

    /// The builds for both versions of WASI, each with its description.
    fn builds() -> [(Flavour, Cow<'static, [u8]>, &'static str); 8] {
        let of = |wasi| [Flavour::Plain, Flavour::Tracing].map(|flavour| Shim::built_in(wasi, flavour));
        let ([plain2, tracing2], [plain3, tracing3]) = (of(Wasi::V0_2), of(Wasi::V0_3));
        [
            (Flavour::Plain, plain2.lean, include_str!("../shim/wasi02.toml")),
            (Flavour::Plain, plain2.full, include_str!("../shim/wasi02-extra.toml")),
            (Flavour::Tracing, tracing2.lean, include_str!("../shim/wasi02-trace.toml")),
            (Flavour::Tracing, tracing2.full, include_str!("../shim/wasi02-extra-trace.toml")),
            (Flavour::Plain, plain3.lean, include_str!("../shim/wasi03.toml")),
            (Flavour::Plain, plain3.full, include_str!("../shim/wasi03-extra.toml")),
            (Flavour::Tracing, tracing3.lean, include_str!("../shim/wasi03-trace.toml")),
            (Flavour::Tracing, tracing3.full, include_str!("../shim/wasi03-extra-trace.toml")),
        ]
    }

    #[test]
    fn records_are_of_these_builds() {
        for (_, bytes, record) in builds() {
            let record: toml::Table = record.parse().unwrap();
            assert_eq!(record["artifact"].as_str(), Some(sha256(&bytes).as_str()));
        }
    }

    #[test]
    fn exports_every_host_call() {
        for (_, bytes, _) in builds() {
            let facts = Facts::read(&bytes).unwrap();
            for call in HOST_CALLS {
                assert_eq!(facts.exported_function(call.name), Some(&Signature::of_host_call(call)), "{}", call.name);
            }
        }
    }

    #[test]
    fn exports_every_foreign_function_that_it_is_to_have() {
        for wasi in Wasi::ALL {
            for flavour in [Flavour::Plain, Flavour::Tracing] {
                for function in FOREIGN_FUNCTIONS {
                    let shim = Shim::built_in(wasi, flavour);
                    let facts = Facts::read(shim.with([function], false)).unwrap();
                    assert!(facts.exported_function(function.export).is_some(), "{}", function.name);
                }
            }
        }
    }

    #[test]
    fn the_larger_build_is_for_filters_that_need_it() {
        let shim = Shim::built_in(Wasi::V0_2, Flavour::Plain);
        let with = |names: &[&str]| {
            let bytes = shim.with(FOREIGN_FUNCTIONS.iter().filter(|function| names.contains(&function.name)), false);
            bytes == &*shim.full
        };
        assert!(!with(&[]));
        assert!(!with(&["compress", "declare_property"]));
        assert!(with(&["compress", "verify_signature"]));
        assert_eq!(shim.with([], true), &*shim.full);
        assert!(shim.full.len() < 1024 * 1024, "{}", shim.full.len());
    }

    #[test]
    fn imports_of_the_bridge_what_the_bridge_has() {
        for (_, bytes, _) in builds() {
            imports_what_the_bridge_has(&Facts::read(&bytes).unwrap());
        }
    }

    /// Tracing costs nothing where it is not wanted: no trace of it is in the plain shim.
    #[test]
    fn plain_shim_knows_nothing_of_traces() {
        for (flavour, bytes, _) in builds() {
            for text in [&b"[trace]"[..], b"vm->host"] {
                let holds = bytes.windows(text.len()).any(|part| part == text);
                assert_eq!(holds, flavour == Flavour::Tracing);
            }
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
