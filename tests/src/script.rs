//! The probe's script (`tests/fixtures/probe/`), as case files write it: for each phase a list of operations, each a
//! name and its arguments.

use std::collections::BTreeMap;

use proxy_wasm_abi::host_calls::HOST_CALLS;
use proxy_wasm_abi::pairs;
use serde::Deserialize;

use crate::message::bytes;

/// What the probe is to do in each phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub struct Script(BTreeMap<String, Vec<Vec<Argument>>>);

/// An argument of an operation. Those in braces are for `call`, which makes any host call with any arguments; there a
/// text is two arguments, its pointer and its size.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(untagged)]
enum Argument {
    Number(i64),
    Text(String),
    Raw(Raw),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Raw {
    /// Only the pointer to this text.
    At(String),
    /// Pointer and size of a map in the ABI's format.
    Map(Vec<(String, String)>),
    /// Pointer and number of `iovec`s with these texts.
    Vectors(Vec<String>),
    /// A pointer to so far from the memory's end.
    End(i64),
    /// Where the host call is to put something.
    Out(Out),
    /// Where the host call is to put so many bytes.
    Area(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Out {
    /// Two pointers, one for a pointer and one for a size. The bytes are shown.
    Bytes,
    /// The same. The number of bytes is shown.
    Size,
    /// A pointer to a number, which is shown.
    Word,
    /// A pointer to a time; whether there is one is shown.
    Time,
}

const PHASES: [&str; 22] = [
    "context_create",
    "vm_start",
    "validate_configuration",
    "configure",
    "request_headers",
    "request_body",
    "request_body_end",
    "request_trailers",
    "response_headers",
    "response_body",
    "response_body_end",
    "response_trailers",
    "http_call_response",
    "grpc_receive_initial_metadata",
    "grpc_receive",
    "grpc_receive_trailing_metadata",
    "grpc_close",
    "tick",
    "queue_ready",
    "log",
    "done",
    "delete",
];

impl Script {
    /// As the probe reads it.
    ///
    /// # Panics
    /// For a phase that there is none of, or a host call with the wrong number of arguments: the case file is wrong.
    pub fn encode(&self) -> String {
        let phase = |(phase, operations): (&String, &Vec<Vec<Argument>>)| {
            assert!(PHASES.contains(&phase.as_str()), "`{phase}` is no phase");
            let operations: Vec<String> = operations.iter().map(|operation| encode(operation)).collect();
            format!("{phase}={}", operations.join(","))
        };
        self.0.iter().map(phase).collect::<Vec<_>>().join(";")
    }

    /// Whether it makes this host call by its name.
    pub fn calls(&self, host_call: &str) -> bool {
        let makes = |operation: &Vec<Argument>| match operation.as_slice() {
            [Argument::Text(call), Argument::Text(name), ..] => call == "call" && name == host_call,
            _ => false,
        };
        self.0.values().flatten().any(makes)
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn encode(operation: &[Argument]) -> String {
    let parts: Vec<String> = match operation {
        [Argument::Text(call), Argument::Text(name), rest @ ..] if call == "call" => {
            let row = HOST_CALLS.iter().find(|row| row.name == name);
            let row = row.unwrap_or_else(|| panic!("`{name}` is no host call"));
            let count: usize = rest.iter().map(Argument::count).sum();
            assert!(count == row.params().count(), "`{name}` does not take {count} arguments: {rest:?}");
            let rest = rest.iter().map(Argument::encode_raw);
            [call.clone(), name.clone()].into_iter().chain(rest).collect()
        }
        _ => operation.iter().map(Argument::encode).collect(),
    };
    parts.join("|")
}

impl Argument {
    /// For the short operations.
    fn encode(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => escaped(&bytes(text)),
            Self::Raw(raw) => panic!("{raw:?} is for `call`"),
        }
    }

    /// For `call`.
    fn encode_raw(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => format!("s{}", escaped(&bytes(text))),
            Self::Raw(Raw::At(text)) => format!("p{}", escaped(&bytes(text))),
            Self::Raw(Raw::Map(map)) => {
                let map: Vec<_> = map.iter().map(|(name, value)| (bytes(name), bytes(value))).collect();
                let map = pairs::encode(map.iter().map(|(name, value)| (name.as_slice(), value.as_slice())));
                format!("m{}", escaped(&map))
            }
            Self::Raw(Raw::Vectors(texts)) => {
                let texts: Vec<_> = texts.iter().map(|text| bytes(text)).collect();
                format!("v{}", escaped(&texts.join(&0)))
            }
            Self::Raw(Raw::End(offset)) => format!("e{offset:+}"),
            Self::Raw(Raw::Out(Out::Bytes)) => "r".into(),
            Self::Raw(Raw::Out(Out::Size)) => "n".into(),
            Self::Raw(Raw::Out(Out::Word)) => "w".into(),
            Self::Raw(Raw::Out(Out::Time)) => "t".into(),
            Self::Raw(Raw::Area(size)) => format!("a{size}"),
        }
    }

    /// How many arguments of a host call it stands for.
    fn count(&self) -> usize {
        match self {
            Self::Text(_) | Self::Raw(Raw::Map(_) | Raw::Vectors(_) | Raw::Out(Out::Bytes | Out::Size)) => 2,
            _ => 1,
        }
    }
}

/// Without what the probe splits at, and what no header's value may have.
fn escaped(text: &[u8]) -> String {
    let escape = |byte: &u8| match *byte {
        byte @ (b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b':' | b'/') => {
            char::from(byte).to_string()
        }
        byte => format!("~{byte:02x}"),
    };
    text.iter().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_host_calls_with_raw_arguments() {
        let script: Script = toml::from_str(
            "log = [['call', 'proxy_get_header_map_value', -1, {at = 'x'}, {end = -4}, {out = 'bytes'}],
                    ['call', 'proxy_log', 2, 'a b']]",
        )
        .unwrap();
        assert_eq!(script.encode(), "log=call|proxy_get_header_map_value|-1|px|e-4|r,call|proxy_log|2|sa~20b");
    }

    #[test]
    fn encodes_what_the_probe_splits_at() {
        let script: Script = toml::from_str("request_headers = [['add', 0, 'x', 'a,b|c;d~'], ['return', 1]]").unwrap();
        assert_eq!(script.encode(), "request_headers=add|0|x|a~2cb~7cc~3bd~7e,return|1");
    }
}
