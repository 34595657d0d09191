//! Checks the filters and makes of each what the stages after this need.

use std::collections::HashSet;

use proxy_wasm_abi::foreign_functions::ForeignFunction;

use crate::abi::Abi;
use crate::chain::{self, Chain};
use crate::error::{Error, FilterProblem, Severity};
use crate::filter::{self, Embeddable};
use crate::options::Options;
use crate::part::{Part, Source};
use crate::{check, stubs};

/// The filters of a chain, all of which passed the checks.
pub(crate) struct Prepared<'a> {
    pub(crate) filters: Vec<Filter<'a>>,
    /// Modules that stand in for imports of theirs.
    pub(crate) stubs: Vec<Part<'a>>,
    pub(crate) warnings: Vec<FilterProblem>,
}

/// A filter that passed the checks.
pub(crate) struct Filter<'a> {
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
    fn add(&mut self, chain: &Chain<'a>, filter: &chain::Filter<'a>, options: &Options) -> Result<(), Error> {
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
        self.filters.push(Filter { abi, imported, foreign, embeddable, imports });
        Ok(())
    }
}
