//! Configuration and status.

use crate::{running::Phase, state::ChainState};

impl ChainState {
    /// `proxy_get_configuration` (ABI 0.1.0): the plugin's while it is configured, else the VM's.
    pub fn get_configuration(&self) -> &[u8] {
        match self.running.phase() {
            Phase::Configuring => &self.plugin().configuration,
            _ => &self.plugin().vm_configuration,
        }
    }

    /// `proxy_get_status`: the code and message of the latest callout's failure; the code stays when its callback is
    /// over.
    pub fn get_status(&self) -> (u32, &[u8]) {
        let (code, message) = &self.vm().callouts.status;
        (*code, message)
    }

    /// WASI's environment: `KEY=VALUE`, each.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        let vm = self.vm_index();
        let first = self.settings.plugins.iter().find(move |plugin| plugin.vm as usize == vm);
        first.into_iter().flat_map(|plugin| &plugin.environment).map(|(key, value)| (key.as_str(), value.as_str()))
    }
}
