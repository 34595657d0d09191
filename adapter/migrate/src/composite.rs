//! A composite filter: for each request it runs the filter that a matcher picks.
//!
//! One that always picks the same is carried as that: `tests/migrations/composite`.

use crate::any;
use crate::node::Node;

const MATCHED: &str = "envoy.extensions.common.matching.v3.ExtensionWithMatcher";
const COMPOSITE: &str = "envoy.extensions.filters.http.composite.v3.Composite";
const EXECUTE: &str = "envoy.extensions.filters.http.composite.v3.ExecuteFilterAction";

/// The configuration of the filter that this one runs for every request, where there is no other.
pub(crate) fn always<'n>(kind: &str, content: &'n Node) -> Option<&'n Node> {
    if kind != MATCHED || content.peek("matcher").is_some() {
        return None;
    }
    let is_composite = is_of(content.peek("extension_config")?.peek("typed_config")?, COMPOSITE);
    let matcher = content.peek("xds_matcher")?;
    let is_always = matcher.entries().iter().all(|entry| matches!(entry.key.as_str(), "on_no_match" | "onNoMatch"));
    let action = matcher.peek("on_no_match")?.peek("action")?.peek("typed_config")?;
    // Such as a share of the requests for which it is done.
    let is_plain =
        action.entries().iter().all(|entry| matches!(entry.key.as_str(), "@type" | "typed_config" | "typedConfig"));
    let picked = action.peek("typed_config")?.peek("typed_config")?;
    (is_composite && is_always && is_plain && is_of(action, EXECUTE)).then_some(picked)
}

fn is_of(node: &Node, kind: &str) -> bool {
    any::content(node).is_some_and(|(found, _)| found == kind)
}
