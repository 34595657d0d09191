//! Metrics.

use proxy_wasm_abi::enums::{MetricType, Status};

use super::CallResult;
use crate::vm::Vm;

impl Vm {
    /// `proxy_define_metric`: the metric's id.
    pub fn define_metric(&mut self, kind: u32, name: &[u8]) -> CallResult<u32> {
        self.metrics.define(MetricType::from_u32(kind).ok_or(Status::BadArgument)?, name)
    }

    /// `proxy_increment_metric`
    pub fn increment_metric(&mut self, id: u32, by: i64) -> CallResult {
        self.metrics.increment(id, by)
    }

    /// `proxy_record_metric`
    pub fn record_metric(&mut self, id: u32, value: u64) -> CallResult {
        self.metrics.record(id, value)
    }

    /// `proxy_get_metric`
    pub fn get_metric(&mut self, id: u32) -> CallResult<u64> {
        self.metrics.get(id)
    }
}
