//! What Envoy 1.40 makes of configurations: `measured.txt` has each in a line, and in the next what a filter got, in
//! hexadecimal digits, or `refused`. Maps of several entries stand there in the order of their keys.

use crate::any;
use crate::read::Reader;
use crate::report::Report;

/// The bytes of a configuration, in hexadecimal digits.
fn read(file: &str, text: &str) -> Option<String> {
    let report = Report::default();
    let nodes = crate::yaml::read(0, file, text.as_bytes()).unwrap();
    let bytes = any::bytes(Reader { report: &report, object: "t" }, &nodes[0], "configuration");
    bytes.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[test]
fn as_measured_on_envoy() {
    let lines: Vec<&str> = include_str!("measured.txt").lines().collect();
    let mut wrong = Vec::new();
    for pair in lines.chunks(2) {
        let [text, wanted] = pair else { panic!("{pair:?} is no pair") };
        let found = match read("t.yaml", text) {
            Some(bytes) if bytes.is_empty() => "nothing".to_owned(),
            Some(bytes) => bytes,
            None => "refused".to_owned(),
        };
        if found != wanted.trim() {
            wrong.push(format!("{text}\n  {found}, and on Envoy {}", wanted.trim()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(lines.len() > 300, "{} lines", lines.len());
}

/// Numbers of JSON are numbers; in YAML a fraction is text.
#[test]
fn numbers_of_json() {
    let read = |value: &str| read("t.json", &format!(r#"{{"@type": "t/google.protobuf.{value}}}"#));
    assert_eq!(read(r#"Int64Value", "value": 9007199254740993"#).as_deref(), Some("088180808080808010"));
    assert_eq!(read(r#"Int32Value", "value": 1e3"#).as_deref(), Some("08e807"));
    assert_eq!(read(r#"Int32Value", "value": 1.5"#), None);
    assert_eq!(read(r#"UInt32Value", "value": -1"#), None);
    assert_eq!(read(r#"DoubleValue", "value": 1.5"#).as_deref(), Some("09000000000000f83f"));
    assert_eq!(read(r#"Value", "value": 1.5"#).as_deref(), Some("11000000000000f83f"));
}
