//! The callback that runs: its plugin and context, its phase, and the actions that its host calls ask for.
//!
//! ```text
//!   enter ──► host calls: choose a context, ask for actions ──► leave ──► the chain carries the actions out
//! ```
//!
//! Only one callback runs at a time, and none from within another. So an action on a stream (continue, close, local
//! response) is done when the callback has returned, before its return value is applied. Envoy does the same, in
//! `WasmBase::doAfterVmCallActions`.

use crate::{
    local_reply::LocalReply,
    state::{CallId, PluginInStream},
    stream::Direction,
    vm::VM_CONTEXT,
};

/// The filter's phase, which decides what it may call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The module's start functions run: only a few host calls work.
    Starting,
    /// `proxy_on_configure` runs: the plugin configuration can be read.
    Configuring,
    /// Anything else.
    #[default]
    Running,
}

/// Something that a host call asked for, done when the callback has returned.
#[derive(Debug)]
pub(crate) enum Action {
    Continue(PluginInStream, Direction),
    Close(PluginInStream),
    LocalReply(PluginInStream, LocalReply),
    /// A gRPC callout came to nothing before it was made.
    GrpcRefused(CallId, Option<LocalReply>),
}

/// The callback that runs.
#[derive(Debug, Default)]
pub(crate) struct Running {
    phase: Phase,
    /// Stays when the callback has returned: lines logged until the next one are this plugin's.
    plugin: usize,
    context: u32,
    /// The context that `proxy_set_effective_context` chose; 0 is none.
    effective: u32,
    actions: Vec<Action>,
    /// A local response was asked for, so the message stops, whatever the callback returns.
    stop: bool,
    /// Why the plugin can't start, where a host call found out.
    start_failure: Option<String>,
}

impl Running {
    /// A callback of this context is about to run.
    pub(crate) fn enter(&mut self, plugin: usize, context: u32) {
        self.plugin = plugin;
        self.context = context;
        self.effective = VM_CONTEXT;
        self.stop = false;
    }

    /// It has returned. Returns whether the message stops whatever the return value, and the actions that were asked for.
    pub(crate) fn leave(&mut self) -> (bool, Vec<Action>) {
        self.context = VM_CONTEXT;
        self.effective = VM_CONTEXT;
        (std::mem::take(&mut self.stop), std::mem::take(&mut self.actions))
    }

    pub(crate) fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// The plugin whose callback runs, or ran last.
    pub(crate) fn plugin(&self) -> usize {
        self.plugin
    }

    /// The context whose callback runs.
    pub(crate) fn context(&self) -> u32 {
        self.context
    }

    /// The context that the filter chose instead, if it did.
    pub(crate) fn effective(&self) -> Option<u32> {
        (self.effective != VM_CONTEXT).then_some(self.effective)
    }

    /// The filter chooses another context.
    pub(crate) fn choose(&mut self, context: u32) {
        self.effective = context;
    }

    /// A host call asks for something.
    pub(crate) fn ask(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// A host call asks for a local response: the message stops, whatever the callback returns.
    pub(crate) fn stop(&mut self) {
        self.stop = true;
    }

    /// A host call asks for this local response, which wins over continuing the stream, whichever was asked for first.
    pub(crate) fn reply(&mut self, at: PluginInStream, reply: LocalReply) {
        self.actions.retain(|action| !matches!(action, Action::Continue(other, _) if *other == at));
        self.ask(Action::LocalReply(at, reply));
    }

    /// Whether this callback asked for a local response on this stream.
    pub(crate) fn replies_to(&self, at: PluginInStream) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::LocalReply(other, _) if *other == at))
    }

    /// The plugin can't start, for this reason. The first reason is kept.
    pub(crate) fn fail_start(&mut self, reason: impl FnOnce() -> String) {
        self.start_failure.get_or_insert_with(reason);
    }

    pub(crate) fn take_start_failure(&mut self) -> Option<String> {
        self.start_failure.take()
    }
}
