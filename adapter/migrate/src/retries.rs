//! Retry policies.

use toml::Value as Toml;

use crate::fields::Message;
use crate::matching;
use crate::node::Node;
use crate::read::Reader;
use crate::section::{Section, table};

/// The outcomes that the settings know.
const OUTCOMES: &[&str] = &[
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "refused-stream",
    "retriable-4xx",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "cancelled",
    "deadline-exceeded",
    "resource-exhausted",
    "internal",
    "unavailable",
];

/// The policy of a route or a virtual host.
pub(crate) fn read(reader: Reader<'_>, node: &Node, section: &mut Section) {
    if let Some(policy) = node.get("retry_policy") {
        section.set("retry_policy", self::policy(reader, policy));
    }
}

fn policy(reader: Reader<'_>, node: &Node) -> Toml {
    node.of(Message::RetryPolicy);
    // The next endpoint in turn is another one than that which failed.
    node.pass(&["retry_host_predicate", "host_selection_retry_max_attempts"]);
    let said = reader.text(node, "retry_on").unwrap_or_default();
    let (known, others): (Vec<&str>, Vec<&str>) =
        said.split(',').map(str::trim).filter(|name| !name.is_empty()).partition(|name| OUTCOMES.contains(name));
    for other in others {
        reader.report.differs(
            reader.object,
            node.place(),
            format!("`{other}` in `retry_on` is left out: there is no such outcome here"),
            "See whether another one says the same.",
        );
    }
    let number = |field: &str| reader.number(node, field).map(Toml::from);
    let time = |node: &Node, field: &str| {
        reader.duration(node, field).map(|time| Toml::from(i64::try_from(time).unwrap_or(i64::MAX)))
    };
    let statuses: Vec<Toml> = node
        .get("retriable_status_codes")
        .map(|codes| codes.many().iter().filter_map(crate::read::as_number).map(Toml::from).collect())
        .unwrap_or_default();
    if let Some(codes) = node.get("retriable_status_codes") {
        codes.mark_all();
    }
    let headers: Vec<Toml> = reader
        .list(node, "retriable_headers")
        .iter()
        .filter_map(|header| match matching::header_match(reader, header) {
            Ok(header) => Some(header),
            Err(unsayable) => {
                reader.report.lost(
                    reader.object,
                    header.place(),
                    format!("a header for which there are retries is left out: its match has `{}`", unsayable.field),
                    "Say it in another way.",
                );
                None
            }
        })
        .collect();
    let back_off = node.get("retry_back_off").map(|back_off| back_off.of(Message::RetryBackOff));
    table([
        (
            "retry_on",
            (!known.is_empty()).then(|| known.iter().map(|name| Toml::from(*name)).collect::<Vec<_>>().into()),
        ),
        ("num_retries", number("num_retries")),
        ("per_try_timeout", time(node, "per_try_timeout").filter(|time| time.as_integer() != Some(0))),
        ("retriable_status_codes", (!statuses.is_empty()).then(|| statuses.into())),
        ("retriable_headers", (!headers.is_empty()).then(|| headers.into())),
        ("base_interval", back_off.and_then(|back_off| time(back_off, "base_interval"))),
        ("max_interval", back_off.and_then(|back_off| time(back_off, "max_interval"))),
    ])
}
