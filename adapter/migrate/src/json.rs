//! JSON of what a document says, as others write it.

use std::collections::BTreeMap;

use crate::node::{Node, Value};

/// JSON as Istio writes it: that of Kubernetes, with `<`, `>` and `&` escaped.
///
/// Source: what istiod does with `pluginConfig`, by the JSON of Go's protobuf library.
pub(crate) fn of_go(node: &Node) -> String {
    escaped_as_go(of(node))
}

pub(crate) fn escaped_as_go(text: String) -> String {
    let escapes =
        [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")];
    escapes.into_iter().fold(text, |text, (char, escape)| text.replace(char, escape))
}

/// JSON as Kubernetes stores it: keys in order, no spaces, and a plain `1.5` a number, though it is none for Envoy.
pub(crate) fn of(node: &Node) -> String {
    match node.value() {
        Value::Null => "null".into(),
        Value::Bool(is) => is.to_string(),
        #[allow(clippy::cast_precision_loss, reason = "they are doubles there")]
        Value::Int(int) => double(*int as f64),
        Value::Float(float) => double(*float),
        Value::Text(text) if node.is_plain() => match text.parse::<f64>() {
            // Words such as `inf` and `nan` are no numbers of JSON.
            Ok(float)
                if float.is_finite() && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) =>
            {
                double(float)
            }
            _ => quoted(text),
        },
        Value::Text(text) => quoted(text),
        Value::List(items) => format!("[{}]", items.iter().map(of).collect::<Vec<_>>().join(",")),
        Value::Map(entries) => {
            let sorted: BTreeMap<&str, &Node> = entries.iter().map(|entry| (entry.key.as_str(), &entry.node)).collect();
            let entries = sorted.into_iter().map(|(key, node)| format!("{}:{}", quoted(key), of(node)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
    }
}

pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A double as Go's JSON writes it: the fewest digits, with an exponent only where it is very large or small.
fn double(float: f64) -> String {
    let is_plain = float == 0.0 || (1e-6..1e21).contains(&float.abs());
    if is_plain { float.to_string() } else { format!("{float:e}").replace('e', "e+").replace("e+-", "e-") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_go_writes_them() {
        for (float, text) in [
            (1.0, "1"),
            (1.5, "1.5"),
            (1e21, "1e+21"),
            (1e-7, "1e-7"),
            (12345678901234567890.0, "12345678901234567000"),
        ] {
            assert_eq!(double(float), text);
        }
    }
}
