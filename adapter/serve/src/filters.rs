//! The filters of a component and their virtual machines, for what is said of them.

use std::collections::HashMap;

use proxy_wasm_abi::callbacks::CALLBACKS;
use wasmparser::{ExternalKind, Parser, Payload};
use wasmtime::Module;

use super::trap;
use proxy_wasm_adapter::provenance::{PluginRecord, Provenance};

/// What a plugin without a name is called, where there is no other.
const NAMELESS: &str = "plugin";

/// The filters of a component. There is none in a component that was not adapted.
#[derive(Debug, Default)]
pub(super) struct Filters {
    /// For each filter: the functions that it exports as callbacks, by their indices.
    callbacks: Vec<HashMap<u32, &'static str>>,
    /// By their numbers.
    vms: Vec<Vm>,
}

/// A virtual machine.
#[derive(Debug)]
struct Vm {
    filter: usize,
    /// What its plugins are called.
    plugins: Vec<String>,
}

impl Filters {
    /// Finds them in a component.
    pub(super) fn of(component: &[u8]) -> Self {
        let mut callbacks = Vec::new();
        for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
            if let Payload::ExportSection(section) = payload {
                let functions = section.into_iter().filter_map(Result::ok);
                let functions = functions.filter(|export| export.kind == ExternalKind::Func);
                let functions: Vec<_> = functions.map(|export| (export.name, export.index)).collect();
                if functions.iter().any(|(name, _)| is_of_filter(name)) {
                    let named = functions.into_iter();
                    callbacks.push(named.filter_map(|(name, index)| Some((index, trap::callback(name)?))).collect());
                }
            }
        }
        Self { callbacks, vms: Provenance::read(component).map(|provenance| vms(&provenance)).unwrap_or_default() }
    }

    /// Whether a module is a filter.
    pub(super) fn include(&self, module: &Module) -> bool {
        let is = |callbacks: &HashMap<_, &str>| callbacks.values().all(|name| module.get_export(name).is_some());
        self.callbacks.iter().any(|callbacks| !callbacks.is_empty() && is(callbacks))
    }

    /// The callback that this function is, of the filter that a virtual machine runs.
    pub(super) fn callback(&self, vm: u32, function: u32) -> Option<&'static str> {
        let filter = self.vms.get(vm as usize).map_or(0, |vm| vm.filter);
        self.callbacks.get(filter)?.get(&function).copied()
    }

    /// The one virtual machine that there is.
    pub(super) fn only_vm(&self) -> Option<u32> {
        (self.vms.len() <= 1).then_some(0)
    }

    /// The names of the plugins of a virtual machine, or all.
    pub(super) fn names(&self, vm: Option<u32>) -> impl Iterator<Item = &str> {
        let all = (0..).zip(&self.vms).filter(move |(number, _)| vm.is_none_or(|vm| vm == *number));
        all.flat_map(|(_, vm)| &vm.plugins).map(String::as_str)
    }

    /// What messages call the plugins of a virtual machine, or all.
    pub(super) fn plugins(&self, vm: Option<u32>) -> String {
        let names: Vec<&str> = self.names(vm).collect();
        if names.is_empty() { format!("`{NAMELESS}`") } else { format!("`{}`", names.join("` or `")) }
    }
}

fn vms(provenance: &Provenance) -> Vec<Vm> {
    let mut vms: Vec<Vm> = Vec::new();
    let several = provenance.plugins.len() > 1;
    for (index, plugin) in provenance.plugins.iter().enumerate() {
        let title = match plugin.settings.name.as_str() {
            "" if several => format!("{NAMELESS} {}", index + 1),
            "" => NAMELESS.into(),
            name => name.into(),
        };
        // They are numbered in the order of the plugins.
        match vms.get_mut(plugin.vm as usize) {
            Some(vm) => vm.plugins.push(title),
            None => vms.push(Vm { filter: module(provenance, plugin), plugins: vec![title] }),
        }
    }
    vms
}

/// Which of the modules that are filters a plugin runs. Where they were pre-initialised, each virtual machine has its own.
fn module(provenance: &Provenance, plugin: &PluginRecord) -> usize {
    if provenance.preinit.is_some() { plugin.vm as usize } else { plugin.filter }
}

/// Whether only a filter exports this.
fn is_of_filter(name: &str) -> bool {
    CALLBACKS.iter().any(|callback| callback.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_found_in_a_component() {
        let component = wat::parse_str(
            r#"(component
              (core module (func $f) (export "call" (func $f)) (export "settings_read" (func $f)))
              (core module (func $i) (export "_initialize" (func $i)))
              (core module (func) (func $g) (export "proxy_on_log" (func $g)) (export "x" (func 0)))
              (core module (func $h) (export "proxy_on_done" (func $h))))"#,
        );
        let filters = Filters::of(&component.unwrap());
        assert_eq!(filters.callbacks, [HashMap::from([(1, "proxy_on_log")]), HashMap::from([(0, "proxy_on_done")])]);
        assert_eq!((filters.callback(0, 1), filters.callback(0, 0)), (Some("proxy_on_log"), None));
        assert_eq!(filters.plugins(None), "`plugin`");
        assert!(Filters::of(b"no component").callbacks.is_empty());
    }

    #[test]
    fn plugins_are_told_by_their_vm() {
        let vm = |filter, plugins: &[&str]| Vm { filter, plugins: plugins.iter().map(|&name| name.into()).collect() };
        let filters = Filters { callbacks: Vec::new(), vms: vec![vm(0, &["auth", "plugin 3"]), vm(1, &["limit"])] };
        assert_eq!(filters.plugins(Some(0)), "`auth` or `plugin 3`");
        assert_eq!(filters.plugins(Some(1)), "`limit`");
        assert_eq!(filters.plugins(None), "`auth` or `plugin 3` or `limit`");
        assert_eq!(filters.only_vm(), None);
    }
}
