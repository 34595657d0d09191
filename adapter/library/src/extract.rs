//! Takes a filter out of an adapted component: the very bytes that went in, or an error.

use std::borrow::Cow;

use crate::check::{damage, is_component};
use crate::composition;
use crate::digest::sha256;
use crate::error::{Error, NotExtractable};
use crate::filter;
use crate::originals::{self, modules};
use crate::provenance::{FilterRecord, PluginRecord, Provenance};

/// A filter in a component that this program made, byte for byte as it went in: the one that this plugin runs, by its number
/// in the chain or its name. Where all plugins run the same, none needs to be named.
///
/// # Errors
/// [`Error::Extract`] for every other file, for a component in which a filter is no longer the same, and where the plugin is
/// not there or several may be meant. Of a component that was composed, the plugins of its parts count as one chain.
pub fn extract(component: &[u8], plugin: Option<&str>) -> Result<Vec<u8>, Error> {
    let parts = composition::parts(component);
    if !parts.is_empty() {
        return extract_of_parts(&parts, plugin);
    }
    let (provenance, mut filters) = open(component).map_err(Error::Extract)?;
    let index = choose(&provenance.plugins, plugin).map_err(Error::Extract)?;
    if index < filters.len() { Ok(filters.swap_remove(index)) } else { Err(Error::Extract(NotExtractable::NotAdapted)) }
}

/// The same of the parts of a composed component, whose plugins are numbered through.
fn extract_of_parts(parts: &[&[u8]], plugin: Option<&str>) -> Result<Vec<u8>, Error> {
    let mut plugins = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let Some(provenance) = Provenance::read(part) else { continue };
        for record in provenance.plugins {
            let filter = provenance.filters.get(record.filter).map(|filter| filter.sha256.clone());
            plugins.push((index, filter, record));
        }
    }
    // Which part and filter a plugin's is, as one number: equal for those that run the same.
    let mut distinct: Vec<&Option<String>> = Vec::new();
    let records = plugins.iter().map(|(_, sha256, record)| {
        let filter = distinct.iter().position(|known| *known == sha256).unwrap_or_else(|| {
            distinct.push(sha256);
            distinct.len() - 1
        });
        PluginRecord { filter, ..record.clone() }
    });
    let records: Vec<_> = records.collect();
    if records.is_empty() {
        return Err(Error::Extract(NotExtractable::NotAdapted));
    }
    let wanted = choose(&records, plugin).map_err(Error::Extract)?;
    let chosen = records.iter().position(|record| record.filter == wanted).and_then(|at| plugins.get(at));
    let Some((part, _, record)) = chosen else { return Err(Error::Extract(NotExtractable::NotAdapted)) };
    let (_, filters) = open(parts[*part]).map_err(Error::Extract)?;
    filters.into_iter().nth(record.filter).ok_or(Error::Extract(NotExtractable::NotAdapted))
}

/// Which filter that plugin runs.
fn choose(plugins: &[PluginRecord], wanted: Option<&str>) -> Result<usize, NotExtractable> {
    let all = || plugins.iter().enumerate();
    let chosen: Vec<_> = match wanted {
        None => all().collect(),
        Some(wanted) => match wanted.parse::<usize>().ok().and_then(|number| all().nth(number.checked_sub(1)?)) {
            Some(numbered) => vec![numbered],
            None => all().filter(|(_, plugin)| plugin.settings.name == wanted).collect(),
        },
    };
    let titles = |of: &[(usize, &PluginRecord)]| of.iter().map(|(index, plugin)| plugin.title(*index)).collect();
    match chosen.as_slice() {
        [] => {
            let wanted = wanted.unwrap_or_default().to_owned();
            Err(NotExtractable::NoSuchPlugin { wanted, plugins: titles(&all().collect::<Vec<_>>()) })
        }
        [(_, first), others @ ..] if others.iter().all(|(_, other)| other.filter == first.filter) => Ok(first.filter),
        several => Err(NotExtractable::Several { plugins: titles(several) }),
    }
}

/// The provenance and the filters, in its order.
pub(crate) fn open(component: &[u8]) -> Result<(Provenance, Vec<Vec<u8>>), NotExtractable> {
    if !is_component(component) {
        let is_module = component.starts_with(b"\0asm");
        return Err(if is_module { NotExtractable::CoreModule } else { NotExtractable::NotAdapted });
    }
    if let Some(problem) = damage(component) {
        return Err(NotExtractable::Damaged(problem));
    }
    let provenance = match Provenance::find(component) {
        Ok(Some(provenance)) => provenance,
        Ok(None) => return Err(NotExtractable::NotAdapted),
        Err(unreadable) => {
            return Err(unreadable
                .version
                .map_or(NotExtractable::NotAdapted, |version| NotExtractable::Newer { version }));
        }
    };
    if provenance.joined {
        return Err(NotExtractable::Joined);
    }
    let originals = if provenance.preinit.is_some() { originals::of(component) } else { Vec::new() };
    let filter = |record: &FilterRecord| {
        let modules = modules(component).map(Cow::Borrowed).chain(originals.iter().map(Cow::from));
        let found = modules.filter_map(|module| restored(&module, record)).next();
        found.ok_or_else(|| NotExtractable::Changed { sha256: record.sha256.clone() })
    };
    let filters = provenance.filters.iter().map(filter).collect::<Result<_, _>>()?;
    Ok((provenance, filters))
}

/// The filter of this record, if this is its module.
pub(crate) fn restored(module: &[u8], record: &FilterRecord) -> Option<Vec<u8>> {
    if module.len() != record.size {
        return None;
    }
    let mut module = module.to_vec();
    filter::restore(&mut module, &record.changed)?;
    (sha256(&module) == record.sha256).then_some(module)
}
