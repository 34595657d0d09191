//! Which requests a route is for.

use toml::Value as Toml;

use crate::fields::Message;
use crate::node::{Node, Value, is_field};
use crate::re2::{self, Refused};
use crate::read::{Reader, as_number};
use crate::section::table;

/// What this match cannot say. What it is for is not known then, and the route has to answer for all that it may be for.
pub(crate) struct Unsayable {
    pub(crate) field: String,
}

type Said<T> = Result<T, Unsayable>;

/// The table `match` of a route.
pub(crate) fn read(reader: Reader<'_>, node: &Node) -> Said<Toml> {
    node.of(Message::RouteMatch);
    let known = [
        "prefix",
        "path",
        "path_separated_prefix",
        "safe_regex",
        "case_sensitive",
        "headers",
        "query_parameters",
        "grpc",
        "regex",
        "runtime_fraction",
    ];
    for entry in node.entries() {
        if !entry.node.is_null() && !known.iter().any(|known| is_field(&entry.key, known)) {
            return Err(Unsayable { field: entry.key.clone() });
        }
    }
    if let Some(fraction) = node.get("runtime_fraction") {
        if !is_whole(reader, fraction) {
            return Err(Unsayable { field: "runtime_fraction".into() });
        }
        fraction.mark_all();
    }
    let regex = match node.get("safe_regex") {
        Some(regex) => Some(expression(reader, regex)?),
        None => None,
    };
    if let Some(old) = node.get("regex") {
        reader.report.wrong(
            reader.object,
            old.place(),
            "`regex` is of Envoy's API v2, and Envoy 1.40 refuses it",
            "Write `safe_regex: {regex: …}`.",
        );
    }
    let text = |field: &str| reader.text(node, field).map(Toml::from);
    let paths = [
        ("prefix", text("prefix")),
        ("path", text("path")),
        ("separated_prefix", text("path_separated_prefix")),
        ("regex", regex.map(Toml::from)),
    ];
    let said = paths.iter().filter(|(_, value)| value.is_some()).count();
    if said != 1 {
        reader.report.wrong(
            reader.object,
            node.place(),
            format!("its match has {said} of `prefix`, `path`, `path_separated_prefix` and `safe_regex`"),
            "Give it exactly one; Envoy refuses any other number.",
        );
    }
    let case_sensitive = reader.boolean(node, "case_sensitive").filter(|is| !is).map(Toml::from);
    let grpc = node.get("grpc").map(|_| Toml::from(true));
    let headers = collect(reader.list(node, "headers"), |header| header_match(reader, header))?;
    let query = collect(reader.list(node, "query_parameters"), |query| query_match(reader, query))?;
    let [a, b, c, d] = paths;
    Ok(table([a, b, c, d, ("case_sensitive", case_sensitive), ("grpc", grpc), ("headers", headers), ("query", query)]))
}

/// Whether it is for all requests, as long as no runtime says otherwise.
fn is_whole(reader: Reader<'_>, fraction: &Node) -> bool {
    let Some((numerator, whole)) = fraction.peek("default_value").and_then(share) else { return false };
    if numerator >= whole && fraction.peek_text("runtime_key").is_some_and(|key| !key.is_empty()) {
        let what = "its `runtime_fraction` counts as its default says: all requests";
        reader.report.differs(reader.object, fraction.place(), what, "Flags of Envoy's have no meaning here.");
    }
    numerator >= whole
}

/// A share: so many, of so many.
pub(crate) fn share(node: &Node) -> Option<(i64, i64)> {
    let numerator = node.peek("numerator").map_or(Some(0), as_number)?;
    let denominator = node.peek("denominator");
    let whole = match (denominator.and_then(Node::as_text), denominator.and_then(as_number)) {
        (Some("TEN_THOUSAND"), _) | (_, Some(1)) => 10_000,
        (Some("MILLION"), _) | (_, Some(2)) => 1_000_000,
        _ => 100,
    };
    Some((numerator, whole))
}

/// Why no request is one for this match, where that is so.
pub(crate) fn is_for_none(node: &Node) -> Option<String> {
    let text = |field: &str| node.peek_text(field).filter(|text| !text.is_empty() && !text.starts_with('/'));
    if let Some(path) = ["prefix", "path", "path_separated_prefix"].into_iter().find_map(text) {
        return Some(format!("no path begins as `{path}` does"));
    }
    // A dump says nothing of a 0.
    let share = node.peek("runtime_fraction")?.peek("default_value")?.peek("numerator");
    (share.is_none_or(|share| as_number(share) == Some(0))).then(|| "its `runtime_fraction` is 0".into())
}

/// A match for all requests that one of which something is not understood may be for, and perhaps for more; what is understood
/// of it is marked as read. `None`: they are for no other route either.
pub(crate) fn wider(node: &Node) -> Option<Toml> {
    let is_known = |key: &str| Message::RouteMatch.fields().iter().any(|field| is_field(key, field));
    node.entries().iter().filter(|entry| is_known(&entry.key)).for_each(|entry| entry.node.mark_all());
    if node.peek("connect_matcher").is_some() {
        return None;
    }
    let text = |field: &str| node.peek_text(field).map(Toml::from);
    let regex = node.peek("safe_regex").and_then(|regex| re2::translate(regex.peek_text("regex")?).ok());
    // What is fixed at the beginning of a template.
    let template =
        node.peek("path_match_policy").and_then(|policy| policy.peek("typed_config")?.peek_text("path_template"));
    let template = template.and_then(|template| template.split(['{', '*']).next());
    let paths = [
        ("prefix", text("prefix").or(template.map(Toml::from))),
        ("path", text("path")),
        ("separated_prefix", text("path_separated_prefix")),
        ("regex", regex.map(Toml::from)),
    ];
    let path = paths.into_iter().find(|(_, value)| value.is_some()).unwrap_or(("prefix", Some("/".into())));
    let in_any_case = node.peek("case_sensitive").is_some_and(|node| matches!(node.value(), Value::Bool(false)));
    Some(table([path, ("case_sensitive", in_any_case.then(|| false.into()))]))
}

fn collect(items: &[Node], read: impl Fn(&Node) -> Said<Toml>) -> Said<Option<Toml>> {
    let items = items.iter().map(read).collect::<Said<Vec<Toml>>>()?;
    Ok((!items.is_empty()).then_some(Toml::Array(items)))
}

/// A regular expression, RE2's in the input.
pub(crate) fn expression(reader: Reader<'_>, node: &Node) -> Said<String> {
    node.of(Message::RegexMatcher).pass(&["google_re2"]);
    let regex = reader.text(node, "regex").unwrap_or_default();
    match re2::translate(&regex) {
        Ok(regex) => Ok(regex),
        Err(Refused::ByEnvoy) => {
            reader.report.wrong(
                reader.object,
                node.place(),
                "its regular expression is none of RE2's",
                "Write it without lookaround, references back and repetitions of repetitions; Envoy refuses it too.",
            );
            Err(Unsayable { field: "regex".into() })
        }
        Err(Refused::Here(what)) => {
            Err(Unsayable { field: format!("regex, with what the component can't do: {what}") })
        }
    }
}

/// A condition for a header.
pub(crate) fn header_match(reader: Reader<'_>, node: &Node) -> Said<Toml> {
    node.of(Message::HeaderMatcher);
    let name = reader.text(node, "name").map(Toml::from);
    let invert = reader.boolean(node, "invert_match").filter(|is| *is).map(Toml::from);
    let missing = reader.boolean(node, "treat_missing_header_as_empty").filter(|is| *is).map(Toml::from);
    let mut said = text_match(reader, node)?;
    if let Some(range) = node.get("range_match") {
        range.mark_all();
        let bound = |field| Toml::from(reader.number(range, field).unwrap_or(0));
        let (start, end) = (bound("start"), bound("end"));
        if start.as_integer() >= end.as_integer() {
            return Err(Unsayable { field: "range_match, in which there is no number".into() });
        }
        said.push(("range", Toml::Array(vec![start, end])));
    }
    if let Some(present) = reader.boolean(node, "present_match") {
        said.push(("present", present.into()));
    }
    refuse_others(node)?;
    Ok(with(table([("name", name), ("invert", invert), ("missing_as_empty", missing)]), said))
}

fn query_match(reader: Reader<'_>, node: &Node) -> Said<Toml> {
    node.of(Message::QueryParameterMatcher);
    let name = reader.text(node, "name").map(Toml::from);
    let mut said = text_match(reader, node)?;
    if let Some(present) = reader.boolean(node, "present_match") {
        said.push(("present", present.into()));
    }
    refuse_others(node)?;
    Ok(with(table([("name", name)]), said))
}

/// A field that was not read makes the match another one.
fn refuse_others(node: &Node) -> Said<()> {
    let unread = node.entries().iter().find(|entry| !entry.node.is_used() && !entry.node.is_null());
    unread.map_or(Ok(()), |entry| {
        entry.node.mark_all();
        Err(Unsayable { field: entry.key.clone() })
    })
}

fn with(table: Toml, said: Vec<(&'static str, Toml)>) -> Toml {
    let Toml::Table(mut table) = table else { return table };
    table.extend(said.into_iter().map(|(key, value)| (key.to_owned(), value)));
    Toml::Table(table)
}

/// What a `string_match` says, or the older fields of headers.
fn text_match(reader: Reader<'_>, node: &Node) -> Said<Vec<(&'static str, Toml)>> {
    let mut said = Vec::new();
    let old = [
        ("exact_match", "exact"),
        ("prefix_match", "prefix"),
        ("suffix_match", "suffix"),
        ("contains_match", "contains"),
    ];
    for (field, key) in old {
        if let Some(text) = reader.text(node, field) {
            said.push((key, text.into()));
        }
    }
    if let Some(regex) = node.get("safe_regex_match") {
        said.push(("regex", expression(reader, regex)?.into()));
    }
    if let Some(matcher) = node.get("string_match") {
        said.extend(string_matcher(reader, matcher)?);
    }
    Ok(said)
}

/// What a condition for text says.
pub(crate) fn string_matcher(reader: Reader<'_>, node: &Node) -> Said<Vec<(&'static str, Toml)>> {
    node.of(Message::StringMatcher);
    let mut said = Vec::new();
    for key in ["exact", "prefix", "suffix", "contains"] {
        if let Some(text) = reader.text(node, key) {
            said.push((key, text.into()));
        }
    }
    if let Some(regex) = node.get("safe_regex") {
        said.push(("regex", expression(reader, regex)?.into()));
    }
    if reader.boolean(node, "ignore_case") == Some(true) {
        said.push(("ignore_case", true.into()));
    }
    refuse_others(node)?;
    Ok(said)
}
