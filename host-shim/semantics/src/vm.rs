//! A virtual machine: one filter with its memory, and what Envoy keeps for it. Several plugins may share one.

use proxy_wasm_abi::bridge::AbiVersion;

use crate::{callouts::Callouts, dns::Dns, grpc::GrpcCallouts, metrics::MetricIds};

/// The context id of the virtual machine itself.
pub(crate) const VM_CONTEXT: u32 = 0;

/// What is known of a virtual machine besides its contexts.
#[derive(Debug)]
pub(crate) struct Vm {
    pub(crate) version: AbiVersion,
    pub(crate) callouts: Callouts,
    pub(crate) grpc: GrpcCallouts,
    pub(crate) dns: Dns,
    pub(crate) metrics: MetricIds,
    /// Its module's start functions ran.
    pub(crate) started: bool,
    /// Requests pass by its plugins.
    pub(crate) bypassed: bool,
    next_context: u32,
}

impl Vm {
    pub(crate) fn new(version: AbiVersion) -> Self {
        Self {
            version,
            callouts: Callouts::default(),
            grpc: GrpcCallouts::default(),
            dns: Dns::default(),
            metrics: MetricIds::default(),
            started: false,
            bypassed: false,
            next_context: VM_CONTEXT + 1,
        }
    }

    /// Whether something that the filter asked for has not come back.
    pub(crate) fn has_work(&self) -> bool {
        self.callouts.outstanding > 0 || self.dns.is_busy() || self.grpc.is_busy()
    }

    /// The same without the gRPC streams that the filter keeps open.
    pub(crate) fn awaits_work(&self) -> bool {
        self.callouts.outstanding > 0 || self.dns.is_busy() || self.grpc.awaits()
    }

    /// A context id, unless it is taken: after four thousand million streams the ids start over.
    pub(crate) fn next_context_id(&mut self) -> u32 {
        let id = self.next_context;
        self.next_context = id.checked_add(1).unwrap_or(VM_CONTEXT + 1);
        id
    }
}
