//! How a filter speaks the ABI: its version, the shape of its callbacks, its allocator, its start function.

use std::borrow::Cow;

use proxy_wasm_abi::bridge::{ALLOCATORS, AbiVersion};
use proxy_wasm_abi::callbacks::{CALLBACKS, Callback};
use proxy_wasm_abi::higress;
use proxy_wasm_abi::settings::{Plugin, Profile};

use crate::facts::{Facts, Signature};

/// How a filter speaks the ABI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Abi {
    /// The exports that mark an ABI, in the filter's order: `proxy_abi_version_…`.
    pub(crate) markers: Vec<String>,
    /// The version that the first known marker stands for.
    pub(crate) version: Option<AbiVersion>,
    /// For each entry of [`CALLBACKS`]: how the filter exports it, if it does.
    pub(crate) callbacks: Vec<Option<Shape>>,
    /// The function that allocates in the filter's memory.
    pub(crate) allocator: Option<&'static str>,
    /// Whether it imports what reads properties.
    pub(crate) reads_properties: bool,
    /// The foreign functions that it names.
    pub(crate) foreign_functions: Vec<&'static str>,
    /// What runs before the first callback.
    pub(crate) start: Start,
}

/// With which parameters a filter exports a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Those of ABI 0.2.x, or of all versions alike.
    Current,
    /// Those of ABI 0.1.0, where they are fewer. A filter of any version may have it: the signature decides, not the
    /// marker.
    Old,
}

/// What runs before the first callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Nothing.
    None,
    /// `_start`.
    Command,
    /// `_initialize`, then this.
    Reactor(Main),
}

/// What follows `_initialize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Main {
    None,
    /// `main(argc, argv)`.
    WithArguments,
    /// `__main_void()`.
    Void,
}

impl Start {
    /// The functions in the order of their calls.
    pub(crate) fn functions(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Command => &["_start"],
            Self::Reactor(Main::None) => &["_initialize"],
            Self::Reactor(Main::WithArguments) => &["_initialize", "main"],
            Self::Reactor(Main::Void) => &["_initialize", "__main_void"],
        }
    }
}

impl Abi {
    pub(crate) fn of(facts: &Facts, profile: Profile) -> Self {
        let exports = |name: &str| facts.exported_function(name).is_some();
        let markers: Vec<String> =
            facts.exports.iter().map(|export| &export.name).filter(|name| is_marker(name)).cloned().collect();
        let version = markers.iter().find_map(|name| higress::version(name, profile));
        Self {
            version,
            markers,
            foreign_functions: Vec::new(),
            reads_properties: facts.imports.iter().any(|import| import.name == "proxy_get_property"),
            callbacks: CALLBACKS.iter().map(|callback| shape(facts, callback)).collect(),
            allocator: ALLOCATORS.iter().copied().find(|name| exports(name)),
            start: match (exports("_initialize"), exports("main"), exports("__main_void"), exports("_start")) {
                (true, true, _, _) => Start::Reactor(Main::WithArguments),
                (true, false, true, _) => Start::Reactor(Main::Void),
                (true, false, false, _) => Start::Reactor(Main::None),
                (false, _, _, true) => Start::Command,
                (false, _, _, false) => Start::None,
            },
        }
    }

    /// This, without the callbacks that the plugin does not allow: to the shim it is as if the filter had none of them.
    pub(crate) fn allowed(&self, plugin: &Plugin) -> Cow<'_, Self> {
        if plugin.allowed_capabilities.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut allowed = self.clone();
        for (shape, callback) in allowed.callbacks.iter_mut().zip(CALLBACKS) {
            shape.take_if(|_| !plugin.allows(callback.name));
        }
        Cow::Owned(allowed)
    }

    /// Whether it is Higress's, and of no proxy-wasm.
    pub(crate) fn is_higress(&self) -> bool {
        let is_released = |name: &String| higress::version(name, Profile::Envoy).is_some();
        !self.markers.iter().any(is_released) && self.markers.iter().any(|name| name == higress::MARKER)
    }

    /// The version as far as signatures and host calls tell, for a filter without a marker.
    pub(crate) fn inferred(&self, facts: &Facts) -> Option<AbiVersion> {
        let imports = |name: &str| facts.imports.iter().any(|import| import.module == "env" && import.name == name);
        if self.callbacks.contains(&Some(Shape::Old)) || imports("proxy_continue_request") {
            Some(AbiVersion::V0_1_0)
        } else if imports("proxy_get_log_level") {
            Some(AbiVersion::V0_2_1)
        } else if self.callbacks.iter().any(Option::is_some) {
            Some(AbiVersion::V0_2_0)
        } else {
            None
        }
    }
}

/// The signatures that the ABI gives a callback.
pub(crate) fn signatures(callback: &Callback) -> Vec<Signature> {
    let result = usize::from(callback.result);
    std::iter::once(callback.params)
        .chain(callback.params_0_1_0)
        .map(|params| Signature::i32s(params, result))
        .collect()
}

/// Whether an export's name marks an ABI, known or not: Envoy's, or that of a fork such as MOSN's.
fn is_marker(name: &str) -> bool {
    name.starts_with("proxy_abi_version_") || name.starts_with("proxy_abi_mosn_version_")
}

fn shape(facts: &Facts, callback: &Callback) -> Option<Shape> {
    let found = facts.exported_function(callback.name)?;
    let old = callback.params_0_1_0.is_some_and(|params| params == found.params.len());
    Some(if old { Shape::Old } else { Shape::Current })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abi(exports: &str) -> Abi {
        let module = wat::parse_str(format!("(module {exports})")).unwrap();
        Abi::of(&Facts::read(&module).unwrap(), Profile::Envoy)
    }

    #[test]
    fn start_functions() {
        let export = |name: &str| format!("(func (export \"{name}\"))");
        for (exports, functions) in [
            (&["_start"][..], &["_start"][..]),
            (&["_initialize"], &["_initialize"]),
            (&["_start", "_initialize"], &["_initialize"]),
            (&["main", "__main_void", "_initialize"], &["_initialize", "main"]),
            (&["__main_void", "_initialize"], &["_initialize", "__main_void"]),
            (&["main"], &[]),
        ] {
            let text: String = exports.iter().copied().map(export).collect();
            assert_eq!(abi(&text).start.functions(), functions, "{exports:?}");
        }
    }

    #[test]
    fn callbacks_that_are_not_allowed_are_as_if_not_there() {
        let both = abi(r#"(func (export "proxy_on_log") (param i32)) (func (export "proxy_on_tick") (param i32))"#);
        let of = |names: &[&str]| {
            let allowed_capabilities = names.iter().map(|name| (*name).to_owned()).collect();
            let allowed = both.allowed(&Plugin { allowed_capabilities, ..Plugin::default() }).into_owned();
            let named = CALLBACKS.iter().zip(allowed.callbacks).filter(|(_, shape)| shape.is_some());
            named.map(|(callback, _)| callback.name).collect::<Vec<_>>()
        };
        assert_eq!(of(&[]).len(), 2);
        assert_eq!(of(&["proxy_on_tick", "proxy_on_done"]), ["proxy_on_tick"]);
        assert_eq!(of(&["proxy_log"]), [""; 0]);
    }

    #[test]
    fn malloc_comes_before_the_abi_s_own_allocator() {
        let both = abi(r#"(func (export "proxy_on_memory_allocate")) (func (export "malloc"))"#);
        assert_eq!(both.allocator, Some("malloc"));
        assert_eq!(abi(r#"(memory (export "malloc") 1)"#).allocator, None, "a memory is no function");
    }

    #[test]
    fn the_first_known_marker_counts() {
        let markers = ["proxy_abi_version_9", "proxy_abi_version_0_2_0", "proxy_abi_version_0_1_0"];
        let text: String = markers.iter().map(|name| format!("(func (export \"{name}\"))")).collect();
        assert_eq!(abi(&text).version, Some(AbiVersion::V0_2_0));
    }

    #[test]
    fn shapes_are_of_the_signature_not_of_the_marker() {
        let found = abi(r#"(func (export "proxy_abi_version_0_2_1"))
               (func (export "proxy_on_request_headers") (param i32 i32) (result i32) i32.const 0)
               (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) i32.const 0)"#);
        let shape = |name: &str| {
            let at = CALLBACKS.iter().position(|callback| callback.name == name).unwrap();
            found.callbacks[at]
        };
        assert_eq!(shape("proxy_on_request_headers"), Some(Shape::Old));
        assert_eq!(shape("proxy_on_response_headers"), Some(Shape::Current));
        assert_eq!(shape("proxy_on_log"), None);
    }
}
