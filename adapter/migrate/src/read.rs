//! Reads fields as protobuf's JSON has them; a value of the wrong type is in the report, and read as if it were not there.

use crate::node::{Node, Value};
use crate::report::Report;
use crate::yaml;

/// Reads fields of one object.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) report: &'a Report,
    /// What messages call the object.
    pub(crate) object: &'a str,
}

impl<'a> Reader<'a> {
    fn mistyped(&self, node: &Node, field: &str, wanted: &str) {
        self.report.wrong(
            self.object,
            node.place(),
            format!("`{field}` is {}, and has to be {wanted}", kind(node)),
            format!("Write {wanted}; Envoy refuses anything else."),
        );
    }

    pub(crate) fn text(&self, node: &Node, field: &str) -> Option<String> {
        let value = node.get(field)?;
        match value.value() {
            Value::Text(text) => Some(text.clone()),
            _ => {
                self.mistyped(value, field, "text: put it in quotes");
                None
            }
        }
    }

    pub(crate) fn boolean(&self, node: &Node, field: &str) -> Option<bool> {
        let value = node.get(field)?;
        match value.value() {
            Value::Bool(is) => Some(*is),
            Value::Text(text) if text == "true" || text == "false" => Some(text == "true"),
            _ => {
                self.mistyped(value, field, "true or false");
                None
            }
        }
    }

    pub(crate) fn number(&self, node: &Node, field: &str) -> Option<i64> {
        let value = node.get(field)?;
        let number = as_number(value);
        if number.is_none() {
            self.mistyped(value, field, "a whole number");
        }
        number
    }

    pub(crate) fn list<'n>(&self, node: &'n Node, field: &str) -> &'n [Node] {
        let Some(value) = node.get(field) else { return &[] };
        let items = value.many();
        items.iter().for_each(|item| {
            item.mark();
        });
        items
    }

    /// Texts of a list.
    pub(crate) fn texts(&self, node: &Node, field: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for item in self.list(node, field) {
            match item.as_text() {
                Some(text) => texts.push(text.to_owned()),
                None => self.mistyped(item, field, "a list of texts: put them in quotes"),
            }
        }
        texts
    }

    /// A duration in milliseconds.
    pub(crate) fn duration(&self, node: &Node, field: &str) -> Option<u64> {
        let value = node.get(field)?;
        let milliseconds = match value.value() {
            Value::Text(text) => duration(text),
            Value::Map(_) => {
                value.mark_all();
                let seconds = value.get("seconds").map_or(Some(0), as_number);
                let nanos = value.get("nanos").map_or(Some(0), as_number);
                seconds.zip(nanos).and_then(|(seconds, nanos)| {
                    let whole = u64::try_from(seconds).ok()?.checked_mul(1000)?;
                    whole.checked_add(u64::try_from(nanos).ok()?.div_ceil(1_000_000))
                })
            }
            _ => None,
        };
        if milliseconds.is_none() {
            self.mistyped(value, field, "a duration in seconds, as `0.25s`");
        }
        milliseconds
    }

    /// Which of these names an enum has: in any case, or as its number, which is the place in the list.
    pub(crate) fn choice(&self, node: &Node, field: &str, names: &[&str]) -> Option<usize> {
        let value = node.get(field)?;
        let choice = match value.value() {
            Value::Text(text) => names.iter().position(|name| name.eq_ignore_ascii_case(text)),
            _ => None,
        };
        let choice = choice.or_else(|| as_number(value).and_then(|number| usize::try_from(number).ok()));
        let choice = choice.filter(|choice| *choice < names.len());
        if choice.is_none() {
            self.mistyped(value, field, &format!("one of {}", names.join(", ")));
        }
        choice
    }
}

pub(crate) fn as_number(node: &Node) -> Option<i64> {
    match node.value() {
        Value::Int(int) => Some(*int),
        #[allow(clippy::cast_possible_truncation, reason = "it is whole, and in the range of numbers without gaps")]
        Value::Float(float) if float.fract() == 0.0 && float.abs() < 9e15 => Some(*float as i64),
        Value::Text(text) => {
            let whole = text.split_once('.').filter(|(_, rest)| rest.bytes().all(|digit| digit == b'0'));
            whole.map_or(text.as_str(), |(whole, _)| whole).parse().ok()
        }
        _ => None,
    }
}

/// `1s`, `0.25s`: protobuf's only form, in milliseconds, rounded up so that a short one does not become none.
fn duration(text: &str) -> Option<u64> {
    let number = text.strip_suffix('s')?;
    let (seconds, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    if seconds.is_empty() || !is_digits(seconds) || !is_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanos: u64 = format!("{fraction:0<9}").parse().ok()?;
    seconds.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(nanos.div_ceil(1_000_000))
}

/// What a value is, without what it says.
fn kind(node: &Node) -> &'static str {
    match node.value() {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Int(_) | Value::Float(_) => "a number",
        Value::Text(text) if yaml::is_placeholder(text) => "a placeholder, which has to be filled in first",
        Value::Text(_) => "text that says something else",
        Value::List(_) => "a list",
        Value::Map(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, milliseconds) in [
            ("1s", Some(1000)),
            ("0.25s", Some(250)),
            ("0.250s", Some(250)),
            ("0.0001s", Some(1)),
            ("0s", Some(0)),
            (".25s", None),
            ("1", None),
            ("250ms", None),
            ("1m", None),
            ("-1s", None),
        ] {
            assert_eq!(duration(text), milliseconds, "{text}");
        }
    }
}
