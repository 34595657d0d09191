//! Additions and removals of headers, which stand on every level of a table of routes.

use toml::Value as Toml;

use crate::checks;
use crate::fields::Message;
use crate::formatter::{self, Obstacle};
use crate::node::Node;
use crate::read::Reader;
use crate::section::{Section, table};

/// The additions and removals of headers that stand on every level.
pub(crate) fn read(reader: Reader<'_>, node: &Node, section: &mut Section) {
    checks::header_names(reader, node);
    for (key, add, remove) in [
        ("request_headers", "request_headers_to_add", "request_headers_to_remove"),
        ("response_headers", "response_headers_to_add", "response_headers_to_remove"),
    ] {
        let added: Vec<Toml> = reader.list(node, add).iter().filter_map(|option| addition(reader, option)).collect();
        let removed = reader.texts(node, remove);
        if !added.is_empty() || !removed.is_empty() {
            let added = (!added.is_empty()).then_some(Toml::Array(added));
            let removed = (!removed.is_empty()).then(|| removed.into());
            section.set(key, table([("add", added), ("remove", removed)]));
        }
    }
}

fn addition(reader: Reader<'_>, node: &Node) -> Option<Toml> {
    node.of(Message::HeaderValueOption);
    let header = node.get("header").map(|header| header.of(Message::HeaderValue));
    if let Some(obstacle) = header.and_then(|header| formatter::obstacle(header.peek_text("value")?)) {
        let name = header.and_then(|header| header.peek_text("key")).unwrap_or_default();
        match obstacle {
            Obstacle::Malformed => reader.report.wrong(
                reader.object,
                node.place(),
                format!("the value of the header `{name}` has a percent sign that begins no command; Envoy refuses it"),
                "Write `%%` for a percent sign.",
            ),
            Obstacle::Unknown(command) => reader.report.lost(
                reader.object,
                node.place(),
                format!("the header `{name}` is not added: a component does not know `%{command}%`"),
                "Let a filter add it, or what stands in front of the component or behind it.",
            ),
        }
        node.mark_all();
        return None;
    }
    let text = |field: &str| header.and_then(|header| reader.text(header, field)).map(Toml::from);
    let names = ["APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS"];
    let actions = ["append", "add_if_absent", "overwrite", "overwrite_if_present"];
    let chosen = reader.choice(node, "append_action", &names);
    // The field before it, which counts where it is said.
    let append = reader.boolean(node, "append").map(|append| if append { 0 } else { 2 });
    let action = append.or(chosen).filter(|action| *action > 0).and_then(|action| actions.get(action));
    let keep = reader.boolean(node, "keep_empty_value").filter(|is| *is).map(Toml::from);
    Some(table([
        ("name", text("key")),
        ("value", text("value").filter(|value| value.as_str() != Some(""))),
        ("action", action.map(|action| (*action).into())),
        ("keep_empty", keep),
    ]))
}
