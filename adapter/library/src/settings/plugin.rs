//! What was written for one plugin.

use std::path::{Path, PathBuf};

use super::keys::{Entries, Keys, keys};
use super::written::Configuration;

keys! {
    /// What was written for one plugin: one of `[[plugin]]`.
    pub struct PluginInput {
        /// The file of its filter.
        pub filter: Option<PathBuf>,
        /// Its name.
        pub name: Option<String>,
        /// Which of the filter's root contexts to use.
        pub root_id: Option<String>,
        /// The property `plugin_vm_id`.
        pub vm_id: Option<String>,
        /// What the plugin is configured with.
        pub configuration: Option<Configuration>,
        /// The file that has this.
        pub configuration_file: Option<PathBuf>,
        /// What its virtual machine is configured with.
        pub vm_configuration: Option<Configuration>,
        /// The file that has this.
        pub vm_configuration_file: Option<PathBuf>,
        /// The environment variables that the filter sees.
        pub environment: Entries<String>,
        /// Let `StopIteration` on headers go on with the body.
        pub allow_on_headers_stop_iteration: Option<bool>,
        /// The least severe log record that is written.
        pub log_level: Option<String>,
        /// The host calls and callbacks that the filter may use; without any, all.
        pub allowed_capabilities: Vec<String>,
        /// Whether it runs only where a route says so.
        pub disabled: Option<bool>,
    }
}

impl PluginInput {
    /// This input, and where it says nothing, that one.
    pub(super) fn over(self, mut below: Self) -> Self {
        // Each is one question with two possible answers.
        if self.configuration.is_some() || self.configuration_file.is_some() {
            (below.configuration, below.configuration_file) = (None, None);
        }
        if self.vm_configuration.is_some() || self.vm_configuration_file.is_some() {
            (below.vm_configuration, below.vm_configuration_file) = (None, None);
        }
        self.merged(below)
    }

    /// The configuration that is said in both ways.
    pub(super) fn twice(&self) -> Option<&'static str> {
        if self.configuration.is_some() && self.configuration_file.is_some() {
            return Some("configuration");
        }
        (self.vm_configuration.is_some() && self.vm_configuration_file.is_some()).then_some("vm_configuration")
    }

    pub(super) fn relative_to(&mut self, directory: &Path) {
        let files = [&mut self.filter, &mut self.configuration_file, &mut self.vm_configuration_file];
        for file in files.into_iter().flatten() {
            *file = directory.join(&file);
        }
    }

    /// The keys that say something, as a settings file has them outside of `[[plugin]]`.
    pub(super) fn keys(&self) -> Vec<&'static str> {
        let outside = |key| if key == "name" { "plugin_name" } else { key };
        self.said().into_iter().map(outside).collect()
    }
}

/// What messages call a plugin, by its place in the chain: ``plugin 2 (`auth`)``.
pub(crate) fn title(index: usize, name: &str) -> String {
    let number = index + 1;
    if name.is_empty() { format!("plugin {number}") } else { format!("plugin {number} (`{name}`)") }
}
