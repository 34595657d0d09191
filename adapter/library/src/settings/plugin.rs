//! What was written for one plugin.

use std::path::{Path, PathBuf};

use super::{Source, join};

/// What was written for one plugin. Each part may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "each is what `proxy_wasm_abi::settings` says of that name")]
#[non_exhaustive]
pub struct PluginInput {
    /// The file of its filter.
    pub filter: Option<PathBuf>,
    pub name: Option<String>,
    pub root_id: Option<String>,
    pub vm_id: Option<String>,
    pub configuration: Option<Source>,
    pub vm_configuration: Option<Source>,
    pub environment: Vec<(String, String)>,
    pub allow_on_headers_stop_iteration: Option<bool>,
    pub log_level: Option<String>,
}

impl PluginInput {
    /// This input, and where it says nothing, that one.
    pub(super) fn over(mut self, below: Self) -> Self {
        Self {
            filter: self.filter.or(below.filter),
            name: self.name.or(below.name),
            root_id: self.root_id.or(below.root_id),
            vm_id: self.vm_id.or(below.vm_id),
            configuration: self.configuration.or(below.configuration),
            vm_configuration: self.vm_configuration.or(below.vm_configuration),
            environment: join(&mut self.environment, below.environment),
            allow_on_headers_stop_iteration: self
                .allow_on_headers_stop_iteration
                .or(below.allow_on_headers_stop_iteration),
            log_level: self.log_level.or(below.log_level),
        }
    }

    pub(super) fn relative_to(&mut self, directory: &Path) {
        let sources = [&mut self.configuration, &mut self.vm_configuration].into_iter().flatten();
        let files = sources.filter_map(|source| match source {
            Source::File(file) => Some(file),
            Source::Bytes(_) => None,
        });
        for file in files.chain(&mut self.filter) {
            *file = directory.join(&file);
        }
    }

    /// The keys that say something, as a settings file has them outside of `[[plugin]]`.
    pub(super) fn keys(&self) -> Vec<&'static str> {
        let keys = [
            (self.name.is_some(), "plugin_name"),
            (self.root_id.is_some(), "root_id"),
            (self.vm_id.is_some(), "vm_id"),
            (self.configuration.is_some(), "configuration"),
            (self.vm_configuration.is_some(), "vm_configuration"),
            (!self.environment.is_empty(), "environment"),
            (self.allow_on_headers_stop_iteration.is_some(), "allow_on_headers_stop_iteration"),
            (self.log_level.is_some(), "log_level"),
        ];
        keys.into_iter().filter_map(|(is_said, key)| is_said.then_some(key)).collect()
    }
}

/// What messages call a plugin, by its place in the chain: ``plugin 2 (`auth`)``.
pub(crate) fn title(index: usize, name: &str) -> String {
    let number = index + 1;
    if name.is_empty() { format!("plugin {number}") } else { format!("plugin {number} (`{name}`)") }
}
