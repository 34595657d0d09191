//! The probe's script (`tests/fixtures/probe.c`), as case files write it: for each phase a list of operations, each a
//! name and its arguments.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::message::bytes;

/// What the probe is to do in each phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub struct Script(BTreeMap<String, Vec<Vec<Argument>>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(untagged)]
enum Argument {
    Number(i64),
    Text(String),
}

const PHASES: [&str; 13] = [
    "vm_start",
    "configure",
    "request_headers",
    "request_body",
    "request_body_end",
    "request_trailers",
    "response_headers",
    "response_body",
    "response_body_end",
    "response_trailers",
    "log",
    "done",
    "delete",
];

impl Script {
    /// As the probe reads it.
    ///
    /// # Panics
    /// For a phase that there is none of: the case file is wrong.
    pub fn encode(&self) -> String {
        let phase = |(phase, operations): (&String, &Vec<Vec<Argument>>)| {
            assert!(PHASES.contains(&phase.as_str()), "`{phase}` is no phase");
            let operations: Vec<String> = operations
                .iter()
                .map(|operation| operation.iter().map(Argument::encode).collect::<Vec<_>>().join("|"))
                .collect();
            format!("{phase}={}", operations.join(","))
        };
        self.0.iter().map(phase).collect::<Vec<_>>().join(";")
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Argument {
    fn encode(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => bytes(text)
                .into_iter()
                .map(|byte| match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b':' | b'/' => {
                        char::from(byte).to_string()
                    }
                    _ => format!("~{byte:02x}"),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_what_the_probe_splits_at() {
        let script: Script = toml::from_str("request_headers = [['add', 0, 'x', 'a,b|c;d~'], ['return', 1]]").unwrap();
        assert_eq!(script.encode(), "request_headers=add|0|x|a~2cb~7cc~3bd~7e,return|1");
    }
}
