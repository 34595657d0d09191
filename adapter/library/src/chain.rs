//! The chain: which of its plugins run the same filter, and which share a virtual machine.
//!
//! Source: measured on Envoy, which tells virtual machines apart by id, configuration, environment, code, and what they may
//! use.

use proxy_wasm_abi::settings::Plugin;

use crate::error::FilterProblem;
use crate::settings::Problem;

/// The filters and the virtual machines of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain<'a> {
    /// Each filter once, in the order of the plugins that come first with one.
    pub(crate) filters: Vec<DistinctFilter<'a>>,
    /// By their numbers.
    pub(crate) vms: Vec<VmPlan>,
    plugins: usize,
}

/// A filter that some of the plugins run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DistinctFilter<'a> {
    pub(crate) bytes: &'a [u8],
    /// The first plugin that runs it.
    pub(crate) plugin: usize,
}

/// An instance of a filter, for one plugin or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VmPlan {
    /// Which filter it is of.
    pub(crate) filter: usize,
    /// The plugins that it runs.
    pub(crate) plugins: Vec<usize>,
}

impl<'a> Chain<'a> {
    /// The chain of these plugins, each with the filter of its place. Writes the numbers of the virtual machines into them.
    pub(crate) fn of(filters: &'a [impl AsRef<[u8]>], plugins: &mut [Plugin]) -> Result<Self, Problem> {
        if filters.is_empty() || filters.len() != plugins.len() {
            return Err(Problem::FilterCount { filters: filters.len(), plugins: plugins.len() });
        }
        let mut chain = Self { filters: Vec::new(), vms: Vec::new(), plugins: plugins.len() };
        for (index, filter) in filters.iter().enumerate() {
            let filter = chain.filter(filter.as_ref(), index);
            let Some((plugin, before)) = plugins.get_mut(..=index).and_then(<[Plugin]>::split_last_mut) else { break };
            let shares = |vm: &VmPlan| {
                let first = vm.plugins.first().and_then(|first| before.get(*first));
                vm.filter == filter && first.is_some_and(|first| key(first) == key(plugin))
            };
            let number = chain.vms.iter().position(shares).unwrap_or_else(|| {
                chain.vms.push(VmPlan { filter, plugins: Vec::new() });
                chain.vms.len() - 1
            });
            chain.vms[number].plugins.push(index);
            plugin.vm = u32::try_from(number).expect("far fewer plugins than 2^32");
        }
        Ok(chain)
    }

    fn filter(&mut self, bytes: &'a [u8], plugin: usize) -> usize {
        self.filters.iter().position(|known| known.bytes == bytes).unwrap_or_else(|| {
            self.filters.push(DistinctFilter { bytes, plugin });
            self.filters.len() - 1
        })
    }

    /// A problem with a filter of this chain.
    pub(crate) fn problem(&self, filter: &DistinctFilter<'_>, problem: crate::error::Problem) -> FilterProblem {
        FilterProblem { plugin: (self.plugins > 1).then_some(filter.plugin), problem }
    }
}

/// Id, configuration, environment, and what may be used.
type Key<'a> = (&'a str, &'a [u8], &'a [(String, String)], &'a [String]);

/// What tells virtual machines of one filter apart.
fn key(plugin: &Plugin) -> Key<'_> {
    (&plugin.vm_id, &plugin.vm_configuration, &plugin.environment, &plugin.allowed_capabilities)
}

/// Plugins that have the name of one before them.
pub(crate) fn same_names(plugins: &[Plugin]) -> Vec<FilterProblem> {
    let same =
        plugins.iter().enumerate().filter(|(_, plugin)| !plugin.name.is_empty()).filter_map(|(index, plugin)| {
            let first = plugins.iter().take(index).position(|before| before.name == plugin.name)?;
            let problem = crate::error::Problem::SameName { name: plugin.name.clone(), first: first + 1 };
            Some(FilterProblem { plugin: Some(index), problem })
        });
    same.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(vm_id: &str, vm_configuration: &str, variable: &str) -> Plugin {
        Plugin {
            vm: 9,
            vm_id: vm_id.into(),
            vm_configuration: vm_configuration.into(),
            environment: vec![("A".into(), variable.into())],
            ..Plugin::default()
        }
    }

    #[test]
    fn virtual_machines_are_told_apart_as_in_envoy() {
        let filters = ["a", "b", "a", "a", "a", "b", "a"];
        let mut plugins = [
            plugin("", "", "1"),
            plugin("", "", "1"),
            plugin("", "", "2"),
            plugin("id", "", "1"),
            plugin("", "configuration", "1"),
            plugin("", "", "1"),
            plugin("", "", "1"),
        ];
        let chain = Chain::of(&filters, &mut plugins).unwrap();
        assert_eq!(plugins.map(|plugin| plugin.vm), [0, 1, 2, 3, 4, 1, 0]);
        assert_eq!(
            chain.filters.iter().map(|filter| (filter.bytes, filter.plugin)).collect::<Vec<_>>(),
            [(b"a".as_slice(), 0), (b"b".as_slice(), 1)]
        );
        assert_eq!(chain.vms.iter().map(|vm| vm.filter).collect::<Vec<_>>(), [0, 1, 0, 0, 0]);
        assert_eq!(chain.vms[1].plugins, [1, 5]);
    }

    #[test]
    fn plugins_that_may_use_different_things_share_no_virtual_machine() {
        let mut plugins = ["a", "a", "a"].map(|vm_id| plugin(vm_id, "", ""));
        plugins[1].allowed_capabilities = vec!["proxy_log".into()];
        Chain::of(&["a", "a", "a"], &mut plugins).unwrap();
        assert_eq!(plugins.map(|plugin| plugin.vm), [0, 1, 0]);
    }

    #[test]
    fn each_plugin_has_a_filter() {
        let count = |filters: &[&str], plugins| Chain::of(filters, &mut vec![Plugin::default(); plugins]).err();
        assert_eq!(count(&[], 0), Some(Problem::FilterCount { filters: 0, plugins: 0 }));
        assert_eq!(count(&["a", "b", "c"], 2), Some(Problem::FilterCount { filters: 3, plugins: 2 }));
    }

    #[test]
    fn names_that_come_again_are_told() {
        let named = |name: &str| Plugin { name: name.into(), ..Plugin::default() };
        let told = same_names(&["", "a", "b", "", "a", "a"].map(named));
        assert_eq!(told.iter().map(|told| told.plugin).collect::<Vec<_>>(), [Some(4), Some(5)]);
        assert_eq!(told[1].problem, crate::error::Problem::SameName { name: "a".into(), first: 2 });
    }
}
