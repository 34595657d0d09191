//! A component where filters are wanted: what it is made of, and how to get at its filters.

use proxy_wasm_adapter::composition::{Hop, parts};
use proxy_wasm_adapter::provenance::Provenance;
use proxy_wasm_adapter::{Reopened, reopen};

use super::compose;
use super::failure::Failure;

/// The filters of the first part of a composed component, and all that is behind it as one component. Nothing, where the
/// component was not composed, its first part not adapted by this version, or another part handles no requests: it would be
/// missing then.
pub(super) fn filters(component: &[u8]) -> Result<Option<(Reopened, Vec<u8>)>, Failure> {
    let parts = parts(component);
    let Some((first, [second, more @ ..])) = parts.split_first() else { return Ok(None) };
    if parts.iter().any(|part| is_beside(part)) {
        return Ok(None);
    }
    let Ok(Some(reopened)) = reopen(first) else { return Ok(None) };
    let next = if more.is_empty() {
        second.to_vec()
    } else {
        let named = parts.iter().enumerate().skip(1);
        let named = named.map(|(index, part)| (format!("part {}", index + 1), part.to_vec()));
        compose::join(&named.collect::<Vec<_>>())?
    };
    Ok(Some((reopened, next)))
}

/// Whether a part is there for others, and handles no requests.
fn is_beside(part: &[u8]) -> bool {
    Hop::of(part).is_none()
}

/// What is said where such a component is of no use to the command of this name.
pub(super) fn no_filter(command: &str, file: &str, component: &[u8]) -> Failure {
    let parts: Vec<Part> = parts(component).into_iter().map(Part::of).collect();
    if parts.is_empty() {
        return Failure::Usage {
            message: format!("`{file}` is a component, and `{command}` takes filters"),
            help: "Give the filter that it was made from; `extract` gives it back.".into(),
        };
    }
    let list = parts.iter().enumerate().map(|(index, part)| format!("{} is {}", index + 1, part.text()));
    let list = list.collect::<Vec<_>>().join(", ");
    let count = parts.len();
    let components = if count == 1 { "1 component" } else { &format!("{count} components") };
    Failure::Usage {
        message: format!("`{file}` is composed of {components}, and `{command}` takes filters: {list}"),
        help: remedy(file, &parts),
    }
}

fn remedy(file: &str, parts: &[Part]) -> String {
    let Some(adapted) = parts.iter().position(|part| part.plugins > 0) else {
        return "None of them was made of filters, so there is nothing that Envoy could run.".into();
    };
    let extract = match parts.iter().map(|part| part.plugins).sum() {
        1 => format!("extract {file} -o FILTER"),
        _ => format!("extract {file} --plugin NUMBER -o FILTER"),
    };
    let why = match adapted {
        0 if parts.iter().any(|part| part.hop.is_none()) => {
            " A component is not taken apart where some of its parts handle no requests: filters would miss them."
                .into()
        }
        0 if parts.len() > 1 => {
            " Given alone, a component is taken apart where this version of the program adapted its first part.".into()
        }
        0 => String::new(),
        1 => " Nothing runs 1 in front of Envoy.".into(),
        last => format!(" Nothing runs 1 to {last} in front of Envoy."),
    };
    format!(
        "Take the filter of {} out, and give that, with the settings that it was adapted with: `{extract}`.{why}",
        adapted + 1
    )
}

/// A component of which another one is composed.
struct Part {
    hop: Option<Hop>,
    /// How many plugins are in it; none, where others made it.
    plugins: usize,
}

impl Part {
    fn of(component: &[u8]) -> Self {
        let plugins = Provenance::read(component).map_or(0, |provenance| provenance.plugins.len());
        Self { hop: Hop::of(component), plugins }
    }

    fn text(&self) -> String {
        let hop = self.hop.map_or("a component that handles no requests", Hop::name);
        match self.plugins {
            0 => format!("{hop} that others made"),
            1 => format!("{hop}, adapted"),
            count => format!("{hop}, adapted, with {count} plugins"),
        }
    }
}
