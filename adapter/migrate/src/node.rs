//! What a file says, as a tree in which every value has its place, and which remembers what was read.
//!
//! Whatever nobody read is in the report: so nothing is dropped in silence.

use std::cell::Cell;

use crate::fields::Message;

/// Where a value stands. Lines and columns begin at 1; a column is counted in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which of the files.
    pub file: usize,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// Only in JSON: Envoy's YAML has none.
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) node: Node,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    place: Place,
    value: Value,
    /// Whether it is text without quotes, which others than Envoy may read as a number.
    is_plain: bool,
    /// Whether it was read, or left for a reason that is in the report.
    used: Cell<bool>,
    /// The message whose fields its keys are.
    message: Cell<Option<Message>>,
}

/// Where it stands makes no difference.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.node == other.node
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Node {
    pub(crate) fn new(place: Place, value: Value) -> Self {
        Self { place, value, is_plain: false, used: Cell::new(false), message: Cell::new(None) }
    }

    /// A scalar without quotes.
    pub(crate) fn plain(place: Place, value: Value) -> Self {
        Self { is_plain: true, ..Self::new(place, value) }
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    pub(crate) fn is_used(&self) -> bool {
        self.used.get()
    }

    pub(crate) fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// The message that this was read as.
    pub(crate) fn message(&self) -> Option<Message> {
        self.message.get()
    }

    /// Marks this as read.
    pub(crate) fn mark(&self) -> &Self {
        self.used.set(true);
        self
    }

    /// Marks this and all within as read.
    pub(crate) fn mark_all(&self) {
        self.mark();
        match &self.value {
            Value::List(items) => items.iter().for_each(Self::mark_all),
            Value::Map(entries) => entries.iter().for_each(|entry| entry.node.mark_all()),
            _ => {}
        }
    }

    /// Marks this and all within as read, except one of the values within.
    pub(crate) fn mark_all_but(&self, kept: &Self) {
        if std::ptr::eq(self, kept) {
            return;
        }
        self.mark();
        match &self.value {
            Value::List(items) => items.iter().for_each(|item| item.mark_all_but(kept)),
            Value::Map(entries) => entries.iter().for_each(|entry| entry.node.mark_all_but(kept)),
            _ => {}
        }
    }

    /// Moves this and all within down and to the right.
    pub(crate) fn shift(&mut self, lines: usize, columns: usize) {
        let shift = |place: &mut Place| {
            place.line += lines;
            place.column += columns;
        };
        shift(&mut self.place);
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.shift(lines, columns)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| {
                shift(&mut entry.place);
                entry.node.shift(lines, columns);
            }),
            _ => {}
        }
    }

    /// This, whose keys are the fields of that message.
    pub(crate) fn of(&self, message: Message) -> &Self {
        self.message.set(Some(message));
        self.mark()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The values of a repeated field: one that stands there without a list is a list of one (measured on Envoy 1.40).
    pub(crate) fn many(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => std::slice::from_ref(self),
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    /// The last value of a field, in `snake_case` or lowerCamelCase, marked as read; null is as if it were not there.
    pub(crate) fn get(&self, field: &str) -> Option<&Self> {
        let same = self.entries().iter().filter(|entry| is_field(&entry.key, field));
        same.fold(None, |_, entry| Some(entry.node.mark())).filter(|node| !node.is_null())
    }

    /// As [`Self::get`], without marking it.
    pub(crate) fn peek(&self, field: &str) -> Option<&Self> {
        let same = self.entries().iter().filter(|entry| is_field(&entry.key, field));
        same.last().map(|entry| &entry.node).filter(|node| !node.is_null())
    }

    /// The text of a field, without marking it.
    pub(crate) fn peek_text(&self, field: &str) -> Option<&str> {
        self.peek(field).and_then(Self::as_text)
    }

    /// Marks fields as read whose whole content says nothing here.
    pub(crate) fn pass(&self, fields: &[&str]) {
        for entry in self.entries() {
            if fields.iter().any(|field| is_field(&entry.key, field)) {
                entry.node.mark_all();
            }
        }
    }
}

/// Whether a key of the input means this field: protobuf reads both forms.
pub(crate) fn is_field(key: &str, field: &str) -> bool {
    if key == field {
        return true;
    }
    let mut rest = key.chars();
    let mut upper = false;
    for wanted in field.chars() {
        if wanted == '_' {
            upper = true;
            continue;
        }
        let wanted = if upper { wanted.to_ascii_uppercase() } else { wanted };
        upper = false;
        if rest.next() != Some(wanted) {
            return false;
        }
    }
    rest.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_field() {
        for (key, is) in [("root_id", true), ("rootId", true), ("rootID", false), ("root", false), ("rootIdx", false)] {
            assert_eq!(is_field(key, "root_id"), is, "{key}");
        }
    }
}
