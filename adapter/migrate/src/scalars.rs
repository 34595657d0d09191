//! What a scalar without quotes is, as Envoy reads it.
//!
//! The rules are those of neither YAML 1.1 nor 1.2: integers are typed only within 32 bits, fractions never, and `y`, `no`,
//! `on` are booleans (measured on Envoy 1.40).

use crate::node::Value;

/// The value of such a text; JSON types its numbers.
pub(crate) fn plain(is_json: bool, text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        text if is_json => match text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => text
                .parse()
                .map(Value::Int)
                .or_else(|_| text.parse().map(Value::Float))
                .unwrap_or_else(|_| Value::Text(text.into())),
        },
        text => boolean(text)
            .map(Value::Bool)
            .or_else(|| integer(text).map(Value::Int))
            .unwrap_or_else(|| Value::Text(text.into())),
    }
}

/// yaml-cpp's booleans: in small letters, capitals or with a capital at the front.
fn boolean(text: &str) -> Option<bool> {
    let lower = text.to_ascii_lowercase();
    let rest = text.get(1..).unwrap_or_default();
    let is_flexible = text == lower || text == text.to_ascii_uppercase() || rest == lower.get(1..).unwrap_or_default();
    match lower.as_str() {
        "y" | "yes" | "true" | "on" if is_flexible => Some(true),
        "n" | "no" | "false" | "off" if is_flexible => Some(false),
        _ => None,
    }
}

/// yaml-cpp's integers of 32 bits: decimal, `0x10`, and octal as `010`.
fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, text.get(1..)?),
        [b'+', ..] => (false, text.get(1..)?),
        _ => (false, text),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let magnitude = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) if hex.chars().all(|digit| digit.is_ascii_hexdigit()) => i64::from_str_radix(hex, 16).ok()?,
        Some(_) => return None,
        None if digits.len() > 1 && digits.starts_with('0') => i64::from_str_radix(digits, 8).ok()?,
        None => digits.parse().ok()?,
    };
    let value = if negative { -magnitude } else { magnitude };
    i32::try_from(value).ok().map(i64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_as_envoy_types_them() {
        let text = |text: &str| Value::Text(text.into());
        for (written, value) in [
            ("a: 0x10", Value::Int(16)),
            ("a: 010", Value::Int(8)),
            ("a: +5", Value::Int(5)),
            ("a: !!str 5", Value::Int(5)),
            ("a: y", Value::Bool(true)),
            ("a: Off", Value::Bool(false)),
            ("a: oFF", text("oFF")),
            ("a: 'y'", text("y")),
            ("a: 1.5", text("1.5")),
            ("a: 1e3", text("1e3")),
            ("a: 0o17", text("0o17")),
            ("a: 3000000000", text("3000000000")),
            ("a: ~", Value::Null),
            ("a:", Value::Null),
            ("a: |\n  x # y\n", text("x # y\n")),
        ] {
            let Value::Map(entries) =
                crate::yaml::read(0, "t.yaml", written.as_bytes()).unwrap().remove(0).value().clone()
            else {
                panic!("{written}")
            };
            assert_eq!(entries[0].node.value(), &value, "{written}");
        }
    }
}
