//! Metrics.

use proxy_wasm_abi::enums::{LogLevel, MetricType, Status};
use proxy_wasm_abi::settings::MetricsTo;

use super::CallResult;
use crate::metrics::Change;
use crate::state::ChainState;

impl ChainState {
    /// `proxy_define_metric`: the metric's id.
    pub fn define_metric(&mut self, kind: u32, name: &[u8]) -> CallResult<u32> {
        let kind = MetricType::from_u32(kind).ok_or(Status::BadArgument)?;
        let vm = self.vm_index();
        self.metrics.define(&mut self.vms[vm].metrics, kind, name)
    }

    /// `proxy_increment_metric`
    pub fn increment_metric(&mut self, id: u32, by: i64) -> CallResult {
        let vm = self.vm_index();
        self.metrics.increment(&self.vms[vm].metrics, id, by)
    }

    /// `proxy_record_metric`
    pub fn record_metric(&mut self, id: u32, value: u64) -> CallResult {
        let vm = self.vm_index();
        self.metrics.record(&self.vms[vm].metrics, id, value)
    }

    /// The metrics that changed since this was called last, those included that were only defined.
    pub fn metric_changes(&mut self) -> Vec<Change> {
        self.metrics.changes()
    }

    /// Writes a log record for each metric that changed since this was called last, if the settings ask for it.
    pub fn log_metrics(&mut self) {
        if self.settings.upkeep.metrics == MetricsTo::Log {
            for line in self.metrics.lines() {
                self.write(LogLevel::Info, &line);
            }
        }
    }

    /// `proxy_get_metric`
    pub fn get_metric(&mut self, id: u32) -> CallResult<u64> {
        let vm = self.vm_index();
        self.metrics.get(&self.vms[vm].metrics, id)
    }
}
