//! A plugin's root context.

use crate::{timers::Tick, vm::VM_CONTEXT};

/// A plugin's root context, and what belongs to the plugin as a whole.
#[derive(Debug)]
pub(crate) struct RootContext {
    vm: usize,
    /// That of the virtual machine until the plugin is started.
    id: u32,
    pub(crate) tick: Option<Tick>,
    /// The property names that the root context declared.
    pub(crate) declared_properties: Vec<Vec<u8>>,
    /// The expressions that the root context and its streams made.
    #[cfg(feature = "extra")]
    pub(crate) expressions: proxy_wasm_foreign::cel::Expressions,
}

impl RootContext {
    /// That of a plugin of this virtual machine.
    pub(crate) fn new(vm: usize) -> Self {
        Self {
            vm,
            id: VM_CONTEXT,
            tick: None,
            declared_properties: Vec::new(),
            #[cfg(feature = "extra")]
            expressions: proxy_wasm_foreign::cel::Expressions::default(),
        }
    }

    /// The plugin's virtual machine.
    pub(crate) fn vm(&self) -> usize {
        self.vm
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// The plugin is started, with this root context.
    pub(crate) fn create(&mut self, id: u32) {
        self.id = id;
    }
}
