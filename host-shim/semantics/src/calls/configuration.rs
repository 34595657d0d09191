//! Configuration and status.

use crate::vm::{Phase, Vm};

impl Vm {
    /// `proxy_get_configuration` (ABI 0.1.0): the plugin's while it is configured, else the VM's.
    pub fn get_configuration(&self) -> &[u8] {
        match self.phase {
            Phase::Configuring => &self.settings.plugin.configuration,
            _ => &self.settings.plugin.vm_configuration,
        }
    }

    /// `proxy_get_status`: the code and message of the latest callout's failure; the code stays when its callback is
    /// over.
    pub fn get_status(&self) -> (u32, &[u8]) {
        let (code, message) = &self.callouts.status;
        (*code, message)
    }

    /// WASI's environment: `KEY=VALUE`, each.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.plugin.environment.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}
