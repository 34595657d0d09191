//! What a user writes: text, or JSON with text in it.

use std::collections::BTreeMap;

use super::operators::{Known, Operator, Value};

/// Envoy's own.
const DEFAULT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
     %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \
     \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"";

/// A format that was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Format {
    Text(Vec<Part>),
    Json(Json),
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Text(String),
    Operator(Operator),
}

/// JSON with texts in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    /// What is the same in every line, as JSON.
    Same(String),
    Text(Vec<Part>),
    List(Vec<Self>),
    /// In the order in which Envoy writes them.
    Object(BTreeMap<String, Self>),
}

impl Default for Format {
    fn default() -> Self {
        // A test sees that it can be read.
        Self::text(DEFAULT).unwrap_or(Self::Text(Vec::new()))
    }
}

impl Format {
    /// Reads a text. The error says what is wrong with it.
    pub(super) fn text(text: &str) -> Result<Self, String> {
        // Envoy's need a line's end of their own.
        parts(text.trim_end_matches('\n')).map(Self::Text)
    }

    /// Reads an object. The error says what is wrong with it.
    pub(super) fn json(text: &str) -> Result<Self, String> {
        match serde_json::from_str(text) {
            Ok(serde_json::Value::Object(object)) => json(serde_json::Value::Object(object)).map(Self::Json),
            Ok(_) => Err("it is no object, as in `{\"code\": \"%RESPONSE_CODE%\"}`".into()),
            Err(error) => Err(format!("it is no JSON: {error}")),
        }
    }

    /// Writes a line without its end.
    pub(super) fn write(&self, line: &mut Vec<u8>, known: &Known<'_>) {
        match self {
            Self::Text(parts) => write_text(line, parts, known),
            Self::Json(json) => write_json(line, json, known),
        }
    }
}

fn json(value: serde_json::Value) -> Result<Json, String> {
    Ok(match value {
        serde_json::Value::String(text) => Json::Text(parts(&text)?),
        serde_json::Value::Array(list) => Json::List(list.into_iter().map(json).collect::<Result<_, _>>()?),
        serde_json::Value::Object(object) => {
            let fields = object.into_iter().map(|(name, value)| Ok((name, json(value)?)));
            Json::Object(fields.collect::<Result<_, String>>()?)
        }
        same => Json::Same(same.to_string()),
    })
}

/// Takes a text apart.
fn parts(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, operator) = rest.split_at(at);
        literal.push_str(before);
        if let Some(behind) = operator.strip_prefix("%%") {
            literal.push('%');
            rest = behind;
            continue;
        }
        let (operator, behind) = read_operator(&operator[1..]).ok_or_else(|| {
            format!("`{}` is no operator: write `%NAME%`, `%NAME(ARGUMENT):LENGTH%`, and `%%` for `%`", begin(operator))
        })?;
        if !literal.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut literal)));
        }
        parts.push(Part::Operator(operator?));
        rest = behind;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Text(literal));
    }
    Ok(parts)
}

/// The first characters of a text, for people.
fn begin(text: &str) -> String {
    text.chars().take(24).collect()
}

/// Reads `NAME(ARGUMENT):LENGTH%`, and what is behind it. `None`: it has not that form.
fn read_operator(text: &str) -> Option<(Result<Operator, String>, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))?;
    let (name, mut rest) = text.split_at(end);
    let mut argument = None;
    if let Some(inside) = rest.strip_prefix('(') {
        let (inside, behind) = inside.split_once(')')?;
        argument = Some(inside).filter(|inside| !inside.is_empty());
        rest = behind;
    }
    let mut limit = None;
    if let Some(digits) = rest.strip_prefix(':') {
        let (digits, _) = digits.split_once('%')?;
        limit = Some(digits.parse().ok()?);
        rest = &rest[1 + digits.len()..];
    }
    let rest = rest.strip_prefix('%')?;
    (!name.is_empty()).then(|| (Operator::parse(name, argument, limit), rest))
}

fn write_text(line: &mut Vec<u8>, parts: &[Part], known: &Known<'_>) {
    for part in parts {
        match part {
            Part::Text(text) => line.extend_from_slice(text.as_bytes()),
            Part::Operator(operator) => match operator.value(known) {
                Value::Missing => line.push(b'-'),
                Value::Bytes(bytes) => push_visible(line, &bytes),
                Value::Number(number) => line.extend_from_slice(number.to_string().as_bytes()),
                Value::Json(json) => line.extend_from_slice(json.as_bytes()),
            },
        }
    }
}

/// Appends a value. Control characters in it are escaped, so that it cannot make a line of its own; Envoy writes them.
fn push_visible(line: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        if byte.is_ascii_control() && *byte != b'\t' {
            line.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
        } else {
            line.push(*byte);
        }
    }
}

fn write_json(line: &mut Vec<u8>, json: &Json, known: &Known<'_>) {
    match json {
        Json::Same(same) => line.extend_from_slice(same.as_bytes()),
        // What is one operator has its type.
        Json::Text(parts) => match parts.as_slice() {
            [Part::Operator(operator)] => match operator.value(known) {
                Value::Missing => line.extend_from_slice(b"null"),
                Value::Bytes(bytes) => push_string(line, &bytes),
                Value::Number(number) => line.extend_from_slice(number.to_string().as_bytes()),
                Value::Json(json) => line.extend_from_slice(json.as_bytes()),
            },
            parts => {
                let mut text = Vec::new();
                write_text(&mut text, parts, known);
                push_string(line, &text);
            }
        },
        Json::List(list) => {
            line.push(b'[');
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    line.push(b',');
                }
                write_json(line, item, known);
            }
            line.push(b']');
        }
        Json::Object(fields) => {
            line.push(b'{');
            for (index, (name, value)) in fields.iter().enumerate() {
                if index > 0 {
                    line.push(b',');
                }
                push_string(line, name.as_bytes());
                line.push(b':');
                write_json(line, value, known);
            }
            line.push(b'}');
        }
    }
}

/// Appends a string of JSON. Bytes that are no text are each a character, as in Envoy.
fn push_string(line: &mut Vec<u8>, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes);
    let text = text.map_or_else(|_| bytes.iter().copied().map(char::from).collect::<String>(), str::to_owned);
    line.extend_from_slice(serde_json::Value::String(text).to_string().as_bytes());
}
