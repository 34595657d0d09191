//! Header maps, with the order and the joining rules of Envoy's.

use std::rc::Rc;

use proxy_wasm_abi::pairs;

use crate::inline_headers;

/// A header map: an ordered list of lower-case names and values, pseudo-headers first. Values are any bytes.
///
/// A clone shares the entries until one of the two changes: a head is kept for the log while it is sent on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMap {
    kind: Kind,
    entries: Rc<Vec<Entry>>,
}

/// A header: name and value in one piece, as most are small and live together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    text: Vec<u8>,
    name_len: usize,
}

impl Entry {
    /// The name in lower case, and the value.
    fn new(name: &[u8], value: &[u8]) -> Self {
        let mut text = Vec::with_capacity(name.len() + value.len());
        text.extend_from_slice(name);
        text.make_ascii_lowercase();
        text.extend_from_slice(value);
        Self { text, name_len: name.len() }
    }

    fn name(&self) -> &[u8] {
        &self.text[..self.name_len]
    }

    fn value(&self) -> &[u8] {
        &self.text[self.name_len..]
    }

    /// Whether its name is this one, in whatever case. In a request `host` is `:authority`.
    fn is(&self, kind: Kind, name: &[u8]) -> bool {
        self.name().eq_ignore_ascii_case(canonical(kind, name))
    }
}

fn canonical(kind: Kind, name: &[u8]) -> &[u8] {
    if kind == Kind::Request && name.eq_ignore_ascii_case(b"host") { b":authority" } else { name }
}

/// What a map belongs to: that decides which headers hold one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request's head.
    Request,
    /// A response's head.
    Response,
    /// Trailers: each value stays by itself.
    Trailers,
}

impl HeaderMap {
    /// An empty map.
    pub fn new(kind: Kind) -> Self {
        Self { kind, entries: Rc::default() }
    }

    /// The map with these entries, each added in turn.
    pub fn from_pairs<N, V>(kind: Kind, pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let pairs = pairs.into_iter();
        // Room for what the connection manager adds.
        let mut map = Self { kind, entries: Rc::new(Vec::with_capacity(pairs.size_hint().0 + 8)) };
        for (name, value) in pairs {
            map.add(name.as_ref(), value);
        }
        map
    }

    /// The first value of this header.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.entries.iter().find(|entry| entry.is(self.kind, name)).map(Entry::value)
    }

    /// All values of this header, joined by commas.
    pub fn get_joined(&self, name: &[u8]) -> Option<Vec<u8>> {
        let mut values = self.entries.iter().filter(|entry| entry.is(self.kind, name)).map(Entry::value);
        let mut joined = values.next()?.to_vec();
        for value in values {
            joined.push(b',');
            joined.extend_from_slice(value);
        }
        Some(joined)
    }

    /// Whether there is such a header.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.get(name).is_some()
    }

    /// Adds a value: joined to the one that is there for a header that holds one, else as one more entry.
    pub fn add(&mut self, name: &[u8], value: impl AsRef<[u8]>) {
        let (kind, value) = (self.kind, value.as_ref());
        let entries = Rc::make_mut(&mut self.entries);
        let name = canonical(kind, name);
        if let Some(present) = entries.iter_mut().find(|entry| entry.is(kind, name))
            && inline_headers::holds_one_value(kind, present.name())
        {
            if !present.value().is_empty() && !value.is_empty() {
                present.text.push(b',');
            }
            present.text.extend_from_slice(value);
            return;
        }
        let entry = Entry::new(name, value);
        if name.starts_with(b":") {
            let end = entries.iter().take_while(|entry| entry.name().starts_with(b":")).count();
            entries.insert(end, entry);
        } else {
            entries.push(entry);
        }
    }

    /// Removes this header's entries and adds this one.
    pub fn replace(&mut self, name: &[u8], value: impl AsRef<[u8]>) {
        self.remove(name);
        self.add(name, value);
    }

    /// Gives the first entry of this header this value, where it stands, or adds one.
    pub(crate) fn set(&mut self, name: &[u8], value: impl AsRef<[u8]>) {
        let (kind, value) = (self.kind, value.as_ref());
        match Rc::make_mut(&mut self.entries).iter_mut().find(|entry| entry.is(kind, name)) {
            Some(present) => {
                present.text.truncate(present.name_len);
                present.text.extend_from_slice(value);
            }
            None => self.add(name, value),
        }
    }

    /// Removes all entries of this header.
    pub fn remove(&mut self, name: &[u8]) {
        if self.contains(name) {
            let kind = self.kind;
            Rc::make_mut(&mut self.entries).retain(|entry| !entry.is(kind, name));
        }
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.entries = Rc::default();
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.entries.iter().map(|entry| (entry.name(), entry.value()))
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of all names and values: what Envoy calls the map's size.
    pub fn byte_size(&self) -> usize {
        self.entries.iter().map(|entry| entry.text.len()).sum()
    }

    /// The map in the ABI's wire format; empty for an empty map, as Envoy has it.
    pub fn serialize(&self) -> Vec<u8> {
        if self.is_empty() { Vec::new() } else { pairs::encode(self.iter()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(map: &HeaderMap) -> Vec<&str> {
        map.iter().map(|(name, _)| std::str::from_utf8(name).unwrap()).collect()
    }

    #[test]
    fn pseudo_headers_stay_in_front() {
        let mut map = HeaderMap::from_pairs(Kind::Request, [(":path", "/"), ("a", "1")]);
        map.add(b":method", "GET");
        assert_eq!(names(&map), [":path", ":method", "a"]);
        map.replace(b":path", "/x");
        assert_eq!(names(&map), [":method", ":path", "a"]);
    }

    #[test]
    fn single_value_headers_are_joined_and_others_are_not() {
        let mut map = HeaderMap::from_pairs(Kind::Request, [("Accept", "a"), ("X", "1")]);
        map.add(b"accept", "b");
        map.add(b"x", "2");
        assert_eq!(map.get(b"ACCEPT").unwrap(), b"a,b");
        assert_eq!(map.get(b"x").unwrap(), b"1");
        assert_eq!(map.get_joined(b"x").unwrap(), b"1,2");
        assert_eq!(map.len(), 3);
    }

    #[test]
    fn host_is_authority() {
        let mut map = HeaderMap::from_pairs(Kind::Request, [(":authority", "a")]);
        map.replace(b"Host", "b");
        assert_eq!(map.get(b":authority").unwrap(), b"b");
        assert_eq!(map.len(), 1);
    }

    #[test]
    fn values_are_any_bytes() {
        let map = HeaderMap::from_pairs(Kind::Request, [("x", b"\xff\x00".to_vec())]);
        assert_eq!(map.get(b"x").unwrap(), b"\xff\x00");
        assert_eq!(map.byte_size(), 3);
    }
}
