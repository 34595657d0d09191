//! Reads YAML and JSON as Envoy does, with the place of every value.
//!
//! The parser is a kept one; the rules for scalars are in `scalars`.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::node::{Entry, Node, Place, Value};
use crate::scalars;

/// How deep values may nest: Envoy's protobuf reader refuses beyond 100.
const DEPTH_MAX: usize = 100;
/// Values that aliases may add: enough for any configuration, and no bomb.
const ALIASED_MAX: usize = 1_000_000;

/// What keeps a file from being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) place: Place,
    pub(crate) what: String,
    pub(crate) remedy: String,
}

impl Unreadable {
    fn new(place: Place, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { place, what: what.into(), remedy: remedy.into() }
    }
}

/// The documents of a file.
pub(crate) fn read(file: usize, name: &str, bytes: &[u8]) -> Result<Vec<Node>, Unreadable> {
    let start = Place { file, line: 1, column: 1 };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.starts_with(b"\0asm") {
        let remedy = "Give the configuration that names it. `adapt` and `serve` take a filter by itself.";
        return Err(Unreadable::new(start, "is a WebAssembly module, and no configuration", remedy));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Unreadable::new(Place { line, ..start }, "is no UTF-8 text", "Give the configuration as YAML or JSON.")
    })?;
    if text.trim().is_empty() {
        return Err(Unreadable::new(start, "is empty", "Give a configuration of Envoy, Istio or a gateway."));
    }
    if is_hcl(name, text) {
        let remedy = "Give it as JSON or YAML: `consul config read -kind service-defaults -name NAME` prints JSON.";
        return Err(Unreadable::new(start, "is HCL, which is not read here", remedy));
    }
    // Envoy goes by the name; what comes from a pipe has none.
    let name = name.to_ascii_lowercase();
    let is_yaml = name.ends_with(".yaml") || name.ends_with(".yml");
    let is_json = name.ends_with(".json") || (!is_yaml && text.trim_start().starts_with('{'));
    let mut unreadable = match parse(file, text, is_json) {
        Ok(documents) => return Ok(documents),
        Err(unreadable) => unreadable,
    };
    // JSON has escapes that YAML has not, such as pairs of surrogates.
    if is_json && let Ok(value) = serde_json::from_str(text) {
        return Ok(vec![from_json(start, value)]);
    }
    // Within a text there may be templates, which are the text's own.
    if let Some(place) = template(file, text).filter(|place| place.line <= unreadable.place.line) {
        let remedy = "Give what `helm template` makes of it: a template is not YAML yet.";
        return Err(Unreadable::new(place, "is a template", remedy));
    }
    let line = text.lines().nth(unreadable.place.line.saturating_sub(1)).unwrap_or_default();
    if is_placeholder(line) {
        unreadable.remedy = "Fill in the placeholder on that line first, as `envsubst` or `helm template` does.".into();
    }
    Err(unreadable)
}

/// Whether there is something in a text that is filled in before Envoy reads it.
pub(crate) fn is_placeholder(text: &str) -> bool {
    text.contains("${") || text.contains("{{") || text.contains("<%")
}

/// Quoted texts that may stand too far left.
const OUTDENTED_MAX: usize = 100;
/// More blanks than any key has before it.
const INDENT: usize = 80;

/// Where the further lines begin of the quoted text at this place.
fn continuations(text: &str, place: Place) -> Option<Vec<usize>> {
    let line: usize = text.split_inclusive('\n').take(place.line.checked_sub(1)?).map(str::len).sum();
    let column = text.get(line..)?.char_indices().nth(place.column.checked_sub(1)?)?.0;
    let start = line + column;
    let quote = text.get(start..)?.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut lines = Vec::new();
    let mut is_escaped = false;
    for (at, c) in text.get(start + 1..)?.char_indices() {
        match c {
            '\n' => lines.push(start + 1 + at + 1),
            _ if is_escaped => {}
            '\\' if quote == '"' => {
                is_escaped = true;
                continue;
            }
            c if c == quote => break,
            _ => {}
        }
        is_escaped = false;
    }
    (!lines.is_empty()).then_some(lines)
}

/// The documents of a text.
///
/// Envoy reads a quoted text whose further lines stand left of their key (measured on Envoy 1.40), which YAML does not allow.
/// What blanks a line of it begins with is no part of it, so each of them is given some.
fn parse(file: usize, text: &str, is_json: bool) -> Result<Vec<Node>, Unreadable> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..OUTDENTED_MAX {
        let parser = Parser::new_from_str(&text);
        let events = Events { parser, file, is_json, anchors: HashMap::new(), aliased: 0 };
        let unreadable = match events.documents() {
            Ok(documents) => return Ok(documents),
            Err(unreadable) => unreadable,
        };
        if !unreadable.what.contains("invalid indentation in quoted scalar") {
            return Err(unreadable);
        }
        let Some(lines) = continuations(&text, unreadable.place) else { return Err(unreadable) };
        for at in lines.into_iter().rev() {
            text.to_mut().insert_str(at, &" ".repeat(INDENT));
        }
    }
    let start = Place { file, line: 1, column: 1 };
    Err(Unreadable::new(start, "has too many lines that stand too far left", "Indent the lines of quoted texts."))
}

/// Whether it is written as Consul's tools have it: `Kind = "service-defaults"`.
fn is_hcl(name: &str, text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', '/']));
    let is_assignment = |line: &str| {
        line.split_once('=')
            .is_some_and(|(key, value)| matches!(key.trim(), "Kind" | "kind") && value.trim_start().starts_with('"'))
    };
    name.to_ascii_lowercase().ends_with(".hcl") || lines.next().is_some_and(is_assignment)
}

/// Where a line of Helm's or Jinja's template stands, outside of comments.
fn template(file: usize, text: &str) -> Option<Place> {
    text.lines().enumerate().find_map(|(index, line)| {
        let start = line.trim_start();
        let is = start.starts_with("{{") || start.starts_with("- {{") || start.starts_with("{%");
        is.then(|| Place { file, line: index + 1, column: 1 + line.chars().count() - start.chars().count() })
    })
}

fn from_json(place: Place, value: serde_json::Value) -> Node {
    let value = match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(is) => Value::Bool(is),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(int) => Value::Int(int),
            None => Value::Float(number.as_f64().unwrap_or_default()),
        },
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(|item| from_json(place, item)).collect()),
        serde_json::Value::Object(map) => {
            let entry = |(key, value)| Entry { key, place, node: from_json(place, value) };
            Value::Map(map.into_iter().map(entry).collect())
        }
    };
    Node::new(place, value)
}

struct Events<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    file: usize,
    is_json: bool,
    anchors: HashMap<usize, (Node, usize)>,
    aliased: usize,
}

impl<'a> Events<'a> {
    fn documents(mut self) -> Result<Vec<Node>, Unreadable> {
        let mut documents = Vec::new();
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(documents),
                (Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing, _) => {}
                (event, span) => {
                    let (node, _) = self.node(event, span, 0)?;
                    documents.push(node);
                }
            }
        }
    }

    fn place(&self, span: &Span) -> Place {
        Place { file: self.file, line: span.start.line(), column: span.start.col() + 1 }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Unreadable> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let mark = error.marker();
                let place = Place { file: self.file, line: mark.line(), column: mark.col() + 1 };
                let what = format!("is not YAML: {}", error.info());
                Err(Unreadable::new(place, what, "Correct it there; Envoy refuses it too."))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The value that begins with this event, and how many values are in it.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<(Node, usize), Unreadable> {
        let place = self.place(&span);
        if depth > DEPTH_MAX {
            let what = format!("nests deeper than {DEPTH_MAX} values");
            return Err(Unreadable::new(place, what, "Make it flatter: Envoy refuses it too."));
        }
        let mut is_plain_scalar = false;
        let (value, anchor, count) = match event {
            Event::Alias(id) => {
                let Some((node, count)) = self.anchors.get(&id) else {
                    let what = "refers to an anchor from within it, or to one that does not exist";
                    return Err(Unreadable::new(place, what, "Write the value out."));
                };
                self.aliased += count;
                if self.aliased > ALIASED_MAX {
                    let what = format!("has aliases for more than {ALIASED_MAX} values");
                    return Err(Unreadable::new(place, what, "Write the values out."));
                }
                return Ok((node.clone(), *count));
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none_or(|tag| !tag.suffix.is_empty());
                is_plain_scalar = is_plain;
                let value = if is_plain { scalars::plain(self.is_json, &text) } else { Value::Text(text.into_owned()) };
                (value, anchor, 1)
            }
            Event::SequenceStart(anchor, _) => {
                let (mut items, mut count) = (Vec::new(), 1);
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::SequenceEnd {
                        break;
                    }
                    let (node, within) = self.node(event, span, depth + 1)?;
                    count += within;
                    items.push(node);
                }
                (Value::List(items), anchor, count)
            }
            Event::MappingStart(anchor, _) => {
                let (entries, count) = self.entries(depth)?;
                (Value::Map(entries), anchor, count)
            }
            _ => return Err(Unreadable::new(place, "ends in the middle", "Give the whole file.")),
        };
        let node = if is_plain_scalar { Node::plain(place, value) } else { Node::new(place, value) };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), count));
        }
        Ok((node, count))
    }

    fn entries(&mut self, depth: usize) -> Result<(Vec<Entry>, usize), Unreadable> {
        let (mut entries, mut count) = (Vec::new(), 1);
        loop {
            let (event, span) = self.next()?;
            let place = self.place(&span);
            let key = match event {
                Event::MappingEnd => return Ok((entries, count)),
                Event::Scalar(text, ..) => text.into_owned(),
                Event::Alias(id) => match self.anchors.get(&id).and_then(|(node, _)| node.as_text()) {
                    Some(text) => text.to_owned(),
                    None => return Err(Unreadable::new(place, "has a key that is no text", "Write the key out.")),
                },
                _ => {
                    let remedy = "Make it text; where it is a placeholder like `{{ … }}`, fill it in first.";
                    return Err(Unreadable::new(place, "has a key that is no text", remedy));
                }
            };
            if key == "<<" {
                let remedy = "Write the fields out: Envoy refuses merge keys.";
                return Err(Unreadable::new(place, "has a merge key `<<`", remedy));
            }
            let (event, span) = self.next()?;
            let (node, within) = self.node(event, span, depth + 1)?;
            count += within;
            entries.push(Entry { key, place, node });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Value {
        read(0, "t.yaml", text.as_bytes()).unwrap().remove(0).value().clone()
    }

    #[test]
    fn what_cannot_be_read() {
        let error = |text: &str| read(0, "t.yaml", text.as_bytes()).unwrap_err();
        for (text, line, column, what) in [
            ("", 1, 1, "is empty"),
            ("a: 1\n{{- if .x }}\n", 2, 1, "is a template"),
            ("{{ .Values.envoy }}\n", 1, 1, "is a template"),
            ("a: 1\n{% if x %}\n", 2, 1, "is a template"),
            ("# Consul\nKind = \"service-defaults\"\n", 1, 1, "is HCL"),
            ("a:\n  <<: {b: 1}\n", 2, 3, "has a merge key"),
            ("a: &x [*x]\n", 1, 8, "refers to an anchor"),
            ("a: [*]\n", 1, 5, "is not YAML"),
        ] {
            let Unreadable { place, what: said, .. } = error(text);
            assert!(said.contains(what), "{text}: {said}");
            assert_eq!((place.line, place.column), (line, column), "{text}: {said}");
        }
        let bomb: String = std::iter::once("a0: &a0 [x]\n".to_owned())
            .chain((1..40).map(|n| format!("a{n}: &a{n} [*a{}, *a{}]\n", n - 1, n - 1)))
            .collect();
        assert!(error(&bomb).what.contains("aliases"));
        assert!(error(&format!("{}{}", "[".repeat(150), "]".repeat(150))).what.contains("deeper"));
    }

    #[test]
    fn a_template_that_looks_like_json() {
        let error = read(0, "_filter.tpl", b"\n{{- define \"x\" -}}\na: b\n{{- end -}}\n").unwrap_err();
        assert_eq!((error.what.as_str(), error.place.line), ("is a template", 2));
    }

    /// What a filter is told may be a template of its own.
    #[test]
    fn templates_within_a_text() {
        assert_eq!(
            one("a: |\n  {{ .x }}\n"),
            Value::Map(vec![Entry {
                key: "a".into(),
                place: Place::default(),
                node: Node::new(Place::default(), Value::Text("{{ .x }}\n".into())),
            }])
        );
    }

    #[test]
    fn json_keeps_its_numbers_and_surrogates() {
        let nodes = read(0, "t.json", br#"{"a": 1.5, "b": "\ud83d\ude00", "c": 3000000000}"#).unwrap();
        assert_eq!(nodes[0].peek("a").unwrap().value(), &Value::Float(1.5));
        assert_eq!(nodes[0].peek_text("b"), Some("\u{1f600}"));
        assert_eq!(nodes[0].peek("c").unwrap().value(), &Value::Int(3_000_000_000));
    }

    #[test]
    fn crlf_bom_and_documents() {
        let nodes = read(0, "t.yaml", b"\xef\xbb\xbfa: 1\r\n---\r\nb: x\t\r\n").unwrap();
        assert_eq!(nodes.len(), 2);
        assert_eq!(nodes[1].peek_text("b"), Some("x"));
    }
}
