//! The streams that are alive.

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
}

impl Default for Streams {
    fn default() -> Self {
        // So that in a chain of one plugin a stream has the number of its context, behind that of the root context.
        Self { list: Vec::new(), last: 1 }
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
}
