//! What is said of a component where filters are wanted: what it is made of, and how to get at its filters.

use proxy_wasm_adapter::composition::{Hop, parts};
use proxy_wasm_adapter::provenance::Provenance;

use super::failure::Failure;

/// A component was given to the command of this name.
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
        help: remedy(command, file, &parts),
    }
}

fn remedy(command: &str, file: &str, parts: &[Part]) -> String {
    let Some(adapted) = parts.iter().position(|part| part.plugins > 0) else {
        return "None of them was made of filters, so there is nothing that Envoy could run.".into();
    };
    let extract = match parts.iter().map(|part| part.plugins).sum() {
        1 => format!("extract {file} -o FILTER"),
        _ => format!("extract {file} --plugin NUMBER -o FILTER"),
    };
    let number = adapted + 1;
    let settings = "with the settings that it was adapted with";
    if adapted > 0 {
        let before = if adapted == 1 { "1".into() } else { format!("1 to {adapted}") };
        return format!(
            "Take the filter of {number} out, and give that, {settings}: `{extract}`. Nothing runs {before} in front of Envoy."
        );
    }
    match parts.len() {
        1 => format!("Take its filter out, and give that, {settings}: `{extract}`."),
        2 => format!(
            "Take the filter of 1 out, and give that, {settings}, in front of 2: `{extract}`, then `{command} FILTER --next \
             SERVICE`."
        ),
        count => format!(
            "Take the filter of 1 out, and give that, {settings}, in front of those from 2 to {count}, joined by `compose`: `{extract}`, \
             then `{command} FILTER --next SERVICE`."
        ),
    }
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
