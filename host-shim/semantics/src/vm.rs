//! A virtual machine: one filter with its memory, and what Envoy keeps for it. Several plugins may share one.
//!
//! ```text
//!   Fresh ── the module's start functions run ──► Started
//!     │                                             │ in a memory that was written down
//!     │                                             ▼
//!     └──── the host asks for it ───────────────► Bypassed    requests pass by its plugins
//! ```

use proxy_wasm_abi::bridge::AbiVersion;

use crate::{callouts::Callouts, dns::Dns, grpc::GrpcCallouts, metrics::MetricIds};

/// The context id of the virtual machine itself.
pub(crate) const VM_CONTEXT: u32 = 0;

/// How far a virtual machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Fresh,
    Started,
    Bypassed,
}

/// A virtual machine, besides its contexts.
#[derive(Debug)]
pub(crate) struct Vm {
    version: AbiVersion,
    stage: Stage,
    next_context: u32,
    pub(crate) callouts: Callouts,
    pub(crate) grpc: GrpcCallouts,
    pub(crate) dns: Dns,
    pub(crate) metrics: MetricIds,
}

impl Vm {
    pub(crate) fn new(version: AbiVersion) -> Self {
        Self {
            version,
            stage: Stage::Fresh,
            next_context: VM_CONTEXT + 1,
            callouts: Callouts::default(),
            grpc: GrpcCallouts::default(),
            dns: Dns::default(),
            metrics: MetricIds::default(),
        }
    }

    /// The version of the ABI that the filter speaks.
    pub(crate) fn version(&self) -> AbiVersion {
        self.version
    }

    /// Its module's start functions are about to run.
    pub(crate) fn start(&mut self) {
        self.stage = Stage::Started;
    }

    pub(crate) fn is_started(&self) -> bool {
        self.stage == Stage::Started
    }

    /// Requests pass by its plugins from now on.
    pub(crate) fn bypass(&mut self) {
        self.stage = Stage::Bypassed;
    }

    pub(crate) fn is_bypassed(&self) -> bool {
        self.stage == Stage::Bypassed
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
