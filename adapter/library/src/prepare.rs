//! Checks the filters and makes of each what the stages after this need.

use std::borrow::Cow;
use std::collections::HashSet;

use proxy_wasm_abi::bridge::filter_module;
use proxy_wasm_abi::foreign_functions::ForeignFunction;
use proxy_wasm_abi::settings::Plugin;

use crate::abi::Abi;
use crate::bridge::{BridgedVm, names};
use crate::chain::{self, Chain, DistinctFilter, VmPlan};
use crate::error::{Error, FilterProblem, Severity};
use crate::filter::{self, ChangedByte, Embeddable};
use crate::options::Options;
use crate::part::{Part, Source};
use crate::{check, stubs};

/// The filters of a chain, all of which passed the checks.
pub(crate) struct Prepared<'a> {
    pub(crate) filters: Vec<PreparedFilter<'a>>,
    /// Modules that stand in for imports of theirs.
    pub(crate) stubs: Vec<Part<'a>>,
    pub(crate) warnings: Vec<FilterProblem>,
}

/// A filter that passed the checks.
pub(crate) struct PreparedFilter<'a> {
    pub(crate) abi: Abi,
    /// The names of its imports.
    pub(crate) imported: HashSet<String>,
    pub(crate) foreign: Vec<&'static ForeignFunction>,
    pub(crate) embeddable: Embeddable<'a>,
    /// For each module name that it imports from: whose instance it gets.
    pub(crate) imports: Vec<(String, Source)>,
}

/// Checks the filters of a chain, in their order, up to the first that is wrong.
pub(crate) fn prepare<'a>(chain: &Chain<'a>, options: &Options) -> Result<Prepared<'a>, Error> {
    let warnings = chain::same_names(&options.settings.plugins);
    let mut prepared = Prepared { filters: Vec::new(), stubs: Vec::new(), warnings };
    for filter in &chain.filters {
        prepared.add(chain, filter, options)?;
    }
    Ok(prepared)
}

impl<'a> Prepared<'a> {
    fn add(&mut self, chain: &Chain<'a>, filter: &DistinctFilter<'a>, options: &Options) -> Result<(), Error> {
        let profile = options.settings.upkeep.profile;
        let named = |problem| chain.problem(filter, problem);
        let facts = check::open(filter.bytes).map_err(|problem| Error::Filter(vec![named(problem)]))?;
        let mut abi = Abi::of(&facts, profile);
        let foreign = facts.foreign_functions(filter.bytes, &options.foreign_functions);
        abi.foreign_functions = foreign.iter().map(|function| function.name).collect();
        let problems = check::check(&facts, &abi, options.stub_unknown_imports, profile).into_iter().map(named);
        let (errors, warnings): (Vec<_>, Vec<_>) =
            problems.partition(|named| named.problem.severity() == Severity::Error);
        if !errors.is_empty() {
            return Err(Error::Filter(errors));
        }
        self.warnings.extend(warnings);
        let imported = facts.imports.iter().map(|import| import.name.clone()).collect();
        let embeddable = filter::embeddable(filter.bytes)?;
        let imports = stubs::wire(&embeddable.facts(facts)?, &embeddable.aliases, profile, &mut self.stubs);
        self.filters.push(PreparedFilter { abi, imported, foreign, embeddable, imports });
        Ok(())
    }

    /// For each filter, the bytes of it that had to change.
    pub(crate) fn changed(&self) -> Vec<Vec<ChangedByte>> {
        self.filters.iter().map(|filter| filter.embeddable.changed.clone()).collect()
    }

    /// The foreign functions that the filters name.
    pub(crate) fn foreign_functions(&self) -> impl Iterator<Item = &'static ForeignFunction> {
        self.filters.iter().flat_map(|filter| filter.foreign.iter().copied())
    }

    /// The virtual machines, as the bridge sees them.
    pub(crate) fn vms(&self, chain: &Chain<'_>, plugins: &[Plugin]) -> Vec<BridgedVm<'_>> {
        let several = chain.vms.len() > 1;
        let vm = |(number, vm): (usize, &VmPlan)| {
            let of_vm = vm.plugins.iter().map(|plugin| &plugins[*plugin]);
            let abi = of_vm.clone().next().map_or(Cow::Borrowed(&self.filters[vm.filter].abi), |first| {
                self.filters[vm.filter].abi.allowed(first)
            });
            let names = of_vm.map(|plugin| plugin.name.as_str());
            BridgedVm { abi, label: several.then(|| names::label(number, names)) }
        };
        chain.vms.iter().enumerate().map(vm).collect()
    }

    /// The core modules besides the shim, in the order of their instantiation: stubs, the filters, one for each virtual
    /// machine, and the bridge.
    pub(crate) fn parts<'b>(&'b self, chain: &Chain<'_>, bridge: Vec<Part<'b>>) -> Vec<Part<'b>> {
        let module = |(number, vm): (usize, &VmPlan)| {
            let filter = &self.filters[vm.filter];
            let bytes = filter.embeddable.bytes.as_ref().into();
            Part { name: filter_module(number), bytes, imports: filter.imports.clone() }
        };
        self.stubs.iter().cloned().chain(chain.vms.iter().enumerate().map(module)).chain(bridge).collect()
    }
}
