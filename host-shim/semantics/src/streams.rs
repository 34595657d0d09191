//! The streams that are alive, by context id.

use crate::stream::Stream;

/// Few at a time, most often one: a list is smaller and faster than a tree.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    list: Vec<(u32, Box<Stream>)>,
}

impl Streams {
    pub(crate) fn contains(&self, id: u32) -> bool {
        self.get(id).is_some()
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Stream> {
        self.list.iter().find(|(key, _)| *key == id).map(|(_, stream)| &**stream)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut Stream> {
        self.list.iter_mut().find(|(key, _)| *key == id).map(|(_, stream)| &mut **stream)
    }

    pub(crate) fn insert(&mut self, id: u32, stream: Stream) {
        self.list.push((id, Box::new(stream)));
    }

    pub(crate) fn remove(&mut self, id: u32) {
        self.list.retain(|(key, _)| *key != id);
    }
}
