//! The settings file: sections with keys in order, each with the place that it comes from.

use std::fmt::Write;

use crate::node::Place;

/// A part of the settings file.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    /// Such as `[[plugin]]`; empty for the top of the file.
    pub(crate) head: String,
    pub(crate) origin: Option<Place>,
    pub(crate) keys: Vec<(String, toml::Value)>,
}

impl Section {
    pub(crate) fn new(head: impl Into<String>, origin: Place) -> Self {
        Self { head: head.into(), origin: Some(origin), keys: Vec::new() }
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<toml::Value>) {
        self.keys.push((key.into(), value.into()));
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|(known, _)| known == key)
    }

    /// Sets a text, unless it is empty.
    pub(crate) fn set_text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.set(key, text);
        }
    }
}

/// A table within a line.
pub(crate) fn table<const N: usize>(keys: [(&str, Option<toml::Value>); N]) -> toml::Value {
    toml::Value::Table(keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect())
}

/// The head of a table below `clusters`.
pub(crate) fn cluster_head(name: &str) -> String {
    let is_bare =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    // JSON's escapes are TOML's too; only this character it leaves as it is.
    let quoted = || serde_json::Value::from(name).to_string().replace('\u{7f}', "\\u007f");
    if is_bare { format!("[clusters.{name}]") } else { format!("[clusters.{}]", quoted()) }
}

/// The text of the file; `origin` says where a place is.
pub(crate) fn write(sections: &[Section], origin: impl Fn(Place) -> String) -> String {
    let mut text = String::new();
    for section in sections.iter().filter(|section| !section.head.is_empty() || !section.keys.is_empty()) {
        if !text.is_empty() {
            text.push('\n');
        }
        if let Some(place) = section.origin {
            // A path may have any key of the input in it.
            let origin: String = origin(place).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            writeln!(text, "# {origin}").expect("a string takes all text");
        }
        if !section.head.is_empty() {
            writeln!(text, "{}", section.head).expect("a string takes all text");
        }
        for (key, value) in &section.keys {
            writeln!(text, "{key} = {value}").expect("a string takes all text");
        }
    }
    text
}
