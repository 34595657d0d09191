//! `google.protobuf.Any`: of what type it is, and the bytes that Envoy gives a filter for it.

use prost::Message as _;

use crate::api;
use crate::node::{Node, Place};
use crate::protobuf::{self, Any, Problem, type_name};
use crate::read::Reader;

/// The name of the type in an `@type`, and the node that has the fields: a `TypedStruct` is looked through.
pub(crate) fn content(node: &Node) -> Option<(&str, &Node)> {
    let name = type_name(node.get("@type")?.as_text()?)?;
    if !matches!(name, "udpa.type.v1.TypedStruct" | "xds.type.v3.TypedStruct") {
        return Some((name, node));
    }
    let inner = type_name(node.get("type_url")?.as_text()?)?;
    Some((inner, node.get("value").unwrap_or(node)))
}

/// The bytes that a filter gets as its configuration: those of a StringValue or BytesValue, of anything else its protobuf.
///
/// Source: `MessageUtil::anyToBytes` in Envoy; that a Struct is no exception was measured on Envoy 1.40.
pub(crate) fn bytes(reader: Reader<'_>, node: &Node, field: &str) -> Option<Vec<u8>> {
    node.mark_all();
    let Any { type_url, value, has_unordered, redacted } = match protobuf::any(node) {
        Ok(any) => any,
        Err((place, problem)) => {
            refused(reader, node.place(), field, place, &problem);
            return None;
        }
    };
    if let Some(place) = redacted {
        let (line, column) = (place.line, place.column);
        let what = format!(
            "`{field}` has `[redacted]` at line {line}, column {column}, which a dump of Envoy's says in place of a secret"
        );
        reader.report.lost(reader.object, node.place(), what, "Write the secret there; if it is no dump, leave it.");
    }
    if has_unordered {
        reader.report.differs(
            reader.object,
            node.place(),
            format!("`{field}` is given to the filter as protobuf, as Envoy does, with the keys of maps in order: Envoy's order changes from start to start"),
            "",
        );
    }
    match type_name(&type_url) {
        Some("google.protobuf.StringValue") => String::decode(value.as_slice()).map(String::into_bytes).ok(),
        Some("google.protobuf.BytesValue") => Vec::<u8>::decode(value.as_slice()).ok(),
        _ => Some(value),
    }
}

/// Says why there are none. The finding stands where the field does, and only tells the place of what is wrong: the way to
/// that has names out of the configuration, which nobody is to see.
fn refused(reader: Reader<'_>, node: Place, field: &str, place: Place, problem: &Problem) {
    const TYPE: &str = "Write `\"@type\": type.googleapis.com/google.protobuf.StringValue` and the text as `value`; Envoy refuses it as it is.";
    let at = if place == node { String::new() } else { format!(" at line {}, column {}", place.line, place.column) };
    let (what, remedy) = match problem {
        Problem::NoTable if place == node => (format!("`{field}` is no table with an `@type`"), TYPE),
        Problem::NoType if place == node => (format!("`{field}` has no `@type`"), TYPE),
        Problem::NoTable | Problem::NoType => (
            format!("`{field}` has{at} a `google.protobuf.Any` without an `@type`"),
            "Write its type as `@type`, and its fields beside it; Envoy refuses it as it is.",
        ),
        Problem::NoHost => (
            format!("`{field}` has{at} an `@type` without a host part"),
            "Write `type.googleapis.com/` before the name of the type.",
        ),
        Problem::UnknownType(name) => {
            let what = format!("`{field}` is{at} of the type `{name}`, which Envoy 1.40 does not know");
            if is_slip(name) {
                let remedy = "Is it a slip? Write the name of a message; Envoy refuses it as it is.";
                return reader.report.wrong(reader.object, node, what, remedy);
            }
            let remedy = "Envoy refuses it, unless it was built with that: then give its serialized bytes as a `google.protobuf.BytesValue`.";
            return reader.report.lost(reader.object, node, what, remedy);
        }
        Problem::NoSuchField(message) => (
            format!("`{field}` has{at} a field that `{message}` has not in Envoy 1.40"),
            "Correct its name, or take it out; Envoy refuses it as it is.",
        ),
        Problem::Beside(message) => (
            format!("`{field}` has{at} a field beside the `value` of a `{message}`"),
            "Leave it with `@type` and `value`; Envoy refuses it as it is.",
        ),
        Problem::Mistyped(name) => (
            format!("`{field}` has{at} a value that `{name}` does not allow"),
            "Write it as protobuf's JSON does, and text in quotes; Envoy refuses it as it is.",
        ),
        Problem::Twice(message) => (
            format!("`{field}` has{at} one field too many: `{message}` has either that one or another"),
            "Leave one of them; Envoy refuses it as it is.",
        ),
    };
    reader.report.wrong(reader.object, node, what, remedy);
}

/// Whether a name that Envoy 1.40 does not know is rather a slip than a message of somebody's own: Envoy has its package.
fn is_slip(name: &str) -> bool {
    let is_of_package = |part: &&str| part.starts_with(|letter: char| letter.is_ascii_lowercase());
    // The last part is the message, however it is written.
    let parts = name.rsplit_once('.').map_or("", |(package, _)| package).split('.');
    let package: Vec<&str> = parts.take_while(is_of_package).collect();
    api::has_package(&package.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Outcome, Report};

    fn of(text: &str) -> (Option<Vec<u8>>, Option<(Outcome, String)>) {
        let report = Report::default();
        let nodes = crate::yaml::read(0, "t.yaml", text.as_bytes()).unwrap();
        let bytes = bytes(Reader { report: &report, object: "t" }, &nodes[0], "configuration");
        (bytes, report.take().into_iter().next().map(|noted| (noted.outcome, noted.what)))
    }

    #[test]
    fn what_a_filter_gets() {
        let typed = |name: &str, value: &str| {
            of(&format!("{{'@type': type.googleapis.com/google.protobuf.{name}, value: {value}}}")).0
        };
        assert_eq!(typed("StringValue", "'a\\n'"), Some(b"a\\n".to_vec()));
        assert_eq!(typed("StringValue", "{value: x}"), Some(b"x".to_vec()));
        assert_eq!(typed("StringValue", "{}"), Some(Vec::new()));
        assert_eq!(typed("StringValue", "5"), None);
        assert_eq!(typed("BytesValue", "_-8"), Some(vec![0xff, 0xef]));
        assert_eq!(typed("Int32Value", "{value: 3}"), Some(vec![8, 3]));
        let inner = "{'@type': t/google.protobuf.StringValue, value: x}";
        assert_eq!(typed("Any", inner), Some(b"\x0a\x1dt/google.protobuf.StringValue\x12\x03\x0a\x01x".to_vec()));
        assert_eq!(of("{}"), (Some(Vec::new()), None));
    }

    #[test]
    fn the_order_of_several_keys_is_told() {
        let header = "'@type': t/envoy.config.core.v3.HeaderValue, key: k, value: v";
        assert_eq!(of(&format!("{{{header}}}")).1, None);
        let one = "'@type': t/envoy.config.core.v3.Metadata, filter_metadata: {a: {b: c}}";
        assert_eq!(of(&format!("{{{one}}}")).1, None);
        for several in [
            "'@type': t/google.protobuf.Struct, value: {a: 1, b: 2}",
            "'@type': t/envoy.config.core.v3.Metadata, filter_metadata: {a: {}, b: {}}",
            "'@type': t/google.protobuf.Any, value: {'@type': t/google.protobuf.Value, value: [{a: 1, b: 2}]}",
        ] {
            let (outcome, what) = of(&format!("{{{several}}}")).1.unwrap();
            assert_eq!(outcome, Outcome::CarriedWithDifference);
            assert!(what.contains("the keys of maps in order"), "{what}");
        }
    }

    #[test]
    fn a_secret_that_a_dump_does_not_tell_is_lost() {
        let secret = "{'@type': t/envoy.config.core.v3.DataSource, inline_string: '[redacted]'}";
        let (bytes, told) = of(secret);
        assert_eq!(bytes, Some(b"\x1a\x0a[redacted]".to_vec()));
        let what =
            "`configuration` has `[redacted]` at line 1, column 61, which a dump of Envoy's says in place of a secret";
        assert_eq!(told, Some((Outcome::NotCarried, what.into())));
        assert_eq!(of("{'@type': t/google.protobuf.StringValue, value: '[redacted]'}").1, None);
    }

    #[test]
    fn what_envoy_refuses_is_told_without_what_it_says() {
        let of_header = |fields: &str| format!("{{'@type': t/envoy.config.core.v3.HeaderValue, {fields}}}");
        let of_option = |fields: &str| format!("{{'@type': t/envoy.config.core.v3.HeaderValueOption,\n  {fields}}}");
        for (text, outcome, what) in [
            ("x".into(), Outcome::Wrong, "`configuration` is no table with an `@type`"),
            ("{value: x}".into(), Outcome::Wrong, "`configuration` has no `@type`"),
            ("{'@type': a.B}".into(), Outcome::Wrong, "`configuration` has an `@type` without a host part"),
            (
                "{'@type': /google.protobuf.Empty}".into(),
                Outcome::Wrong,
                "`configuration` has an `@type` without a host part",
            ),
            (
                "{'@type': t/envoy.config.core.v3.NoSuch}".into(),
                Outcome::Wrong,
                "`configuration` is of the type `envoy.config.core.v3.NoSuch`, which Envoy 1.40 does not know",
            ),
            (
                "{'@type': t/envoy.extensions.filters.http.squash.v3.Squash, cluster: c}".into(),
                Outcome::NotCarried,
                "`configuration` is of the type `envoy.extensions.filters.http.squash.v3.Squash`, which Envoy 1.40 does not know",
            ),
            (
                of_header("hunter2: x"),
                Outcome::Wrong,
                "`configuration` has at line 1, column 47 a field that `envoy.config.core.v3.HeaderValue` has not in Envoy 1.40",
            ),
            (
                of_option("append_action: hunter2"),
                Outcome::Wrong,
                "`configuration` has at line 2, column 18 a value that `envoy.config.core.v3.HeaderValueOption.append_action` does not allow",
            ),
            (
                "{'@type': t/google.protobuf.Struct, value: {a: b}, hunter2: 1}".into(),
                Outcome::Wrong,
                "`configuration` has at line 1, column 52 a field beside the `value` of a `google.protobuf.Struct`",
            ),
            (
                "{'@type': t/envoy.type.matcher.v3.StringMatcher, exact: a, prefix: b}".into(),
                Outcome::Wrong,
                "`configuration` has at line 1, column 60 one field too many: `envoy.type.matcher.v3.StringMatcher` has either that one or another",
            ),
            (
                "{'@type': t/google.rpc.Status, details: [{x: 1}]}".into(),
                Outcome::Wrong,
                "`configuration` has at line 1, column 42 a `google.protobuf.Any` without an `@type`",
            ),
        ] {
            assert_eq!(of(&text), (None, Some((outcome, what.into()))), "{text}");
        }
    }
}
