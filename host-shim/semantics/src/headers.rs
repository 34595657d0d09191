//! Header maps, with the order and the joining rules of Envoy's.

use std::rc::Rc;

use proxy_wasm_abi::pairs;

use crate::{inline_headers, names};

/// A header map: an ordered list of lower-case names and values, pseudo-headers first. Values are any bytes.
///
/// A clone shares the entries until one of the two changes: a head is kept for the log while it is sent on.
#[derive(Clone, Debug)]
pub struct HeaderMap {
    kind: Kind,
    lines: Rc<Lines>,
}

/// Names and values in one piece of memory: a head is made, and often copied, for each exchange, and takes two allocations
/// instead of one for each of its headers.
#[derive(Clone, Debug, Default)]
struct Lines {
    /// Each entry's name and value, one behind the other; between them what changed entries have left.
    text: Vec<u8>,
    entries: Vec<Entry>,
    /// A bit for the key of each entry: most names that are looked for are not there, and need no search.
    bits: u64,
    /// Bytes of `text` that no entry has any more.
    dead: usize,
}

/// Where a header is: its name, and its value right behind it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    name_len: usize,
    len: usize,
    key: Key,
}

/// What most names differ in, for a head is searched dozens of times: their length, and the last bytes, whatever their case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key(u32);

impl Key {
    fn of(name: &[u8]) -> Self {
        /// The bit in which letters of two cases differ. That others differ in it too makes two keys one, and no more.
        const CASE: u32 = 0x20_2020;
        let last = match name {
            [.., a, b, c] => u32::from_le_bytes([*a, *b, *c, 0]),
            _ => name.iter().fold(0, |last, byte| last << 8 | u32::from(*byte)),
        };
        Self((name.len() as u32) << 24 | last | CASE)
    }

    /// One of 64 bits, which other keys may have, too.
    fn bit(self) -> u64 {
        /// 2³² by the golden ratio: keys that are alike come to lie apart.
        const SPREAD: u32 = 0x9e37_79b9;
        1 << (self.0.wrapping_mul(SPREAD) >> 26)
    }
}

/// Bytes that may be dead, however small the map is, before it is moved together.
const SLACK: usize = 1024;

impl Lines {
    fn name(&self, entry: Entry) -> &[u8] {
        &self.text[entry.start..entry.start + entry.name_len]
    }

    fn value(&self, entry: Entry) -> &[u8] {
        &self.text[entry.start + entry.name_len..entry.start + entry.len]
    }

    /// The place of the first entry of this name, which may be in any case.
    fn position(&self, name: &[u8]) -> Option<usize> {
        let key = Key::of(name);
        if self.bits & key.bit() == 0 {
            return None;
        }
        self.entries.iter().position(|entry| self.is(*entry, name, key))
    }

    /// Whether an entry has this name, which has this key.
    // Inlined: it is mostly the first comparison.
    #[inline(always)]
    fn is(&self, entry: Entry, name: &[u8], key: Key) -> bool {
        entry.key == key && names::are_same(self.name(entry), name)
    }

    /// Writes an entry behind all others, without listing it.
    fn write(&mut self, name: &[u8], value: &[u8]) -> Entry {
        self.tidy();
        let start = self.text.len();
        self.text.extend_from_slice(name);
        names::make_lowercase(&mut self.text[start..]);
        self.text.extend_from_slice(value);
        let key = Key::of(name);
        self.bits |= key.bit();
        Entry { start, name_len: name.len(), len: name.len() + value.len(), key }
    }

    /// Keeps this many bytes of an entry's value, and appends these. Only the last one can grow where it is.
    fn change_value(&mut self, index: usize, kept: usize, more: &[&[u8]]) {
        self.tidy();
        let Entry { mut start, name_len, len, key } = self.entries[index];
        let kept = start..start + name_len + kept;
        if start + len == self.text.len() {
            self.text.truncate(kept.end);
        } else {
            self.dead += len;
            start = self.text.len();
            self.text.extend_from_within(kept);
        }
        for part in more {
            self.text.extend_from_slice(part);
        }
        self.entries[index] = Entry { start, name_len, len: self.text.len() - start, key };
    }

    /// Removes the entries of this name.
    fn remove(&mut self, name: &[u8]) {
        let key = Key::of(name);
        let mut entries = std::mem::take(&mut self.entries);
        entries.retain(|entry| {
            let gone = self.is(*entry, name, key);
            self.dead += if gone { entry.len } else { 0 };
            !gone
        });
        self.entries = entries;
        self.bits = self.entries.iter().fold(0, |bits, entry| bits | entry.key.bit());
    }

    /// Moves the entries together, where too much lies between them.
    fn tidy(&mut self) {
        if self.dead <= self.text.len() / 2 + SLACK {
            return;
        }
        let mut text = Vec::with_capacity(self.text.len() - self.dead + SLACK);
        for entry in &mut self.entries {
            let start = text.len();
            text.extend_from_slice(&self.text[entry.start..entry.start + entry.len]);
            entry.start = start;
        }
        (self.text, self.dead) = (text, 0);
    }

    fn byte_size(&self) -> usize {
        self.entries.iter().map(|entry| entry.len).sum()
    }
}

fn canonical(kind: Kind, name: &[u8]) -> &[u8] {
    if kind == Kind::Request && name.eq_ignore_ascii_case(b"host") { b":authority" } else { name }
}

/// The message that a map is part of: it decides which headers hold one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request's head.
    Request,
    /// A response's head.
    Response,
    /// Trailers: each value stays by itself.
    Trailers,
}

impl PartialEq for HeaderMap {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.iter().eq(other.iter())
    }
}

impl Eq for HeaderMap {}

impl HeaderMap {
    /// An empty map.
    pub fn new(kind: Kind) -> Self {
        Self { kind, lines: Rc::default() }
    }

    /// The map with these entries, each added in turn.
    pub fn from_pairs<N, V>(kind: Kind, pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let pairs = pairs.into_iter();
        let mut map = Self::with_room(kind, pairs.size_hint().0);
        for (name, value) in pairs {
            map.add(name.as_ref(), value);
        }
        map
    }

    /// An empty map with room for so many headers, and what the connection manager adds.
    pub(crate) fn with_room(kind: Kind, count: usize) -> Self {
        /// Bytes of a common header.
        const COMMON: usize = 40;
        let count = count + 8;
        let (text, entries) = (Vec::with_capacity(count * COMMON), Vec::with_capacity(count));
        Self { kind, lines: Rc::new(Lines { text, entries, bits: 0, dead: 0 }) }
    }

    /// The first value of this header.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let index = self.lines.position(canonical(self.kind, name))?;
        Some(self.lines.value(self.lines.entries[index]))
    }

    /// All values of this header, joined by commas.
    pub fn get_joined(&self, name: &[u8]) -> Option<Vec<u8>> {
        let name = canonical(self.kind, name);
        let key = Key::of(name);
        let mut values = self.lines.entries.iter().filter(|entry| self.lines.is(**entry, name, key));
        let mut joined = self.lines.value(*values.next()?).to_vec();
        for entry in values {
            joined.push(b',');
            joined.extend_from_slice(self.lines.value(*entry));
        }
        Some(joined)
    }

    /// Whether there is such a header.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.lines.position(canonical(self.kind, name)).is_some()
    }

    /// Adds a value: joined to the one that is there for a header that holds one, else as one more entry.
    pub fn add(&mut self, name: &[u8], value: impl AsRef<[u8]>) {
        self.add_bytes(name, value.as_ref());
    }

    fn add_bytes(&mut self, name: &[u8], value: &[u8]) {
        let name = canonical(self.kind, name);
        let lines = Rc::make_mut(&mut self.lines);
        if let Some(index) = lines.position(name) {
            let present = lines.entries[index];
            if inline_headers::holds_one_value(self.kind, lines.name(present)) {
                let len = present.len - present.name_len;
                let comma: &[u8] = if len == 0 || value.is_empty() { b"" } else { b"," };
                lines.change_value(index, len, &[comma, value]);
                return;
            }
        }
        let entry = lines.write(name, value);
        if name.starts_with(b":") {
            let end = lines.entries.iter().take_while(|entry| lines.name(**entry).starts_with(b":")).count();
            lines.entries.insert(end, entry);
        } else {
            lines.entries.push(entry);
        }
    }

    /// Removes this header's entries and adds this one.
    pub fn replace(&mut self, name: &[u8], value: impl AsRef<[u8]>) {
        self.remove(name);
        self.add(name, value);
    }

    /// Sets the value of this header's first entry, which keeps its position, or adds an entry.
    pub fn set(&mut self, name: &[u8], value: impl AsRef<[u8]>) {
        self.set_bytes(name, value.as_ref());
    }

    fn set_bytes(&mut self, name: &[u8], value: &[u8]) {
        match self.lines.position(canonical(self.kind, name)) {
            Some(index) => Rc::make_mut(&mut self.lines).change_value(index, 0, &[value]),
            None => self.add_bytes(name, value),
        }
    }

    /// Removes all entries of this header.
    pub fn remove(&mut self, name: &[u8]) {
        let name = canonical(self.kind, name);
        if self.lines.position(name).is_some() {
            Rc::make_mut(&mut self.lines).remove(name);
        }
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.lines = Rc::default();
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.lines.entries.iter().map(|entry| (self.lines.name(*entry), self.lines.value(*entry)))
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.lines.entries.len()
    }

    /// Whether there is no header.
    pub fn is_empty(&self) -> bool {
        self.lines.entries.is_empty()
    }

    /// The bytes of all names and values: what Envoy calls the map's size.
    pub fn byte_size(&self) -> usize {
        self.lines.byte_size()
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
    fn values_change_where_they_stand() {
        let mut map = HeaderMap::from_pairs(Kind::Request, [("Accept", "A"), ("Via", "V"), ("x", "1")]);
        let before = map.clone();
        map.add(b"accept", "B");
        map.add(b"via", "");
        map.add(b"via", "W");
        map.set(b"X", "");
        map.set(b"new", "N");
        let entries: Vec<_> =
            map.iter().map(|(name, value)| [name, value].map(String::from_utf8_lossy).join("=")).collect();
        assert_eq!(entries, ["accept=A,B", "via=V,W", "x=", "new=N"]);
        assert_eq!(map.byte_size(), 9 + 6 + 1 + 4);
        assert_eq!(before, HeaderMap::from_pairs(Kind::Request, [("accept", "A"), ("via", "V"), ("x", "1")]));
        assert_ne!(before, map);
    }

    #[test]
    fn what_was_changed_takes_no_memory() {
        let mut map = HeaderMap::from_pairs(Kind::Request, [("a", "stays"), ("accept", "*/*")]);
        for round in 0..10_000 {
            map.set(b"b", format!("value {round}"));
            map.replace(b"c", "removed and added");
            map.set(b"accept", "*/*");
        }
        map.add(b"accept", "b/c");
        assert_eq!(map.get(b"b"), Some(&b"value 9999"[..]));
        assert_eq!(map.get(b"accept"), Some(&b"*/*,b/c"[..]));
        assert_eq!(names(&map), ["a", "accept", "b", "c"]);
        assert!(map.lines.text.len() < 4 * SLACK, "{}", map.lines.text.len());
    }

    #[test]
    fn values_are_any_bytes() {
        let map = HeaderMap::from_pairs(Kind::Request, [("x", b"\xff\x00".to_vec())]);
        assert_eq!(map.get(b"x").unwrap(), b"\xff\x00");
        assert_eq!(map.byte_size(), 3);
    }
}
