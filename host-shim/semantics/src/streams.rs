//! The streams that are alive.

use proxy_wasm_abi::limits::HELD_MAX_BYTES;

use crate::{
    state::PluginInStream,
    stream::{Stream, StreamContext},
    vm::VM_CONTEXT,
};

/// Few at a time, most often one: a list is smaller and faster than a tree.
#[derive(Debug)]
pub(crate) struct Streams {
    list: Vec<(u32, Box<Stream>)>,
    last: u32,
    /// Bytes of bodies that are held at the most: those that were when it was looked at, and all that came since.
    held_at_most: usize,
}

impl Default for Streams {
    fn default() -> Self {
        // So that in a chain of one plugin a stream has the number of its context, behind that of the root context.
        Self { list: Vec::new(), last: 1, held_at_most: 0 }
    }
}

impl Streams {
    pub(crate) fn get(&self, id: u32) -> Option<&Stream> {
        self.list.iter().find(|(key, _)| *key == id).map(|(_, stream)| &**stream)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut Stream> {
        self.list.iter_mut().find(|(key, _)| *key == id).map(|(_, stream)| &mut **stream)
    }

    /// The stream and the plugin that this context of a virtual machine belongs to.
    pub(crate) fn find(&self, vm: usize, context: u32) -> Option<PluginInStream> {
        self.list.iter().find_map(|(id, stream)| {
            let is_it = |its: &StreamContext| its.id() == (vm, context) && context != VM_CONTEXT;
            Some(PluginInStream { stream: *id, plugin: stream.contexts().iter().position(is_it)? })
        })
    }

    /// Takes a stream in; returns its id.
    pub(crate) fn insert(&mut self, stream: Stream) -> u32 {
        loop {
            self.last = self.last.wrapping_add(1);
            if self.get(self.last).is_none() {
                self.list.push((self.last, Box::new(stream)));
                return self.last;
            }
        }
    }

    pub(crate) fn remove(&mut self, id: u32) {
        self.list.retain(|(key, _)| *key != id);
    }

    /// So many bytes of a body came.
    pub(crate) fn note_body(&mut self, bytes: usize) {
        self.held_at_most = self.held_at_most.saturating_add(bytes);
    }

    /// Whether all bodies together have as much that is held as they may.
    pub(crate) fn hold_all_they_may(&mut self) -> bool {
        if self.held_at_most <= HELD_MAX_BYTES {
            return false;
        }
        self.held_at_most = self.list.iter().map(|(_, stream)| stream.held_bytes()).sum();
        self.held_at_most > HELD_MAX_BYTES
    }
}
