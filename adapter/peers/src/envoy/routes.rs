//! A table of routes, as Envoy's `RouteConfiguration`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proxy_wasm_abi::cors::{Cors, CorsPolicy};
use proxy_wasm_abi::metadata::{self, Fields, Metadata};
use proxy_wasm_abi::retries::RetryPolicy;
use proxy_wasm_abi::routing::{
    Action, AppendAction, Forward, HeaderAddition, HeaderChanges, HeaderMatch, HeaderValueMatch, HostRewrite, Match,
    PathMatch, PathRewrite, Piece, PluginStates, QueryMatch, Redirect, RedirectPath, Route, RouteTable, Substitution,
    Target, TextMatch, TextMatchKind, VirtualHost, Weighted,
};
use serde_json::{Map, Value, json};

use super::{milliseconds, typed};

/// The table for Envoy.
pub(super) fn configuration(table: &RouteTable) -> Value {
    let mut value = json!({
        "virtual_hosts": table.virtual_hosts.iter().map(|host| virtual_host(host, &table.cors)).collect::<Vec<_>>(),
        "most_specific_header_mutations_wins": table.most_specific_wins,
        "ignore_port_in_host_matching": table.ignore_port,
        // As the adapter's resolution, clusters that a case leaves out are its own business.
        "validate_clusters": false,
    });
    changes(&mut value, &table.headers);
    plugins(&mut value, &table.plugins);
    value
}

/// Whether filters run: each is named by its place.
fn plugins(value: &mut Value, states: &PluginStates) {
    const FILTER: &str = "type.googleapis.com/envoy.config.route.v3.FilterConfig";
    let one = |(at, runs): &(u32, bool)| {
        let said = match runs {
            true => json!({"@type": FILTER, "config": {}}),
            false => json!({"@type": FILTER, "disabled": true}),
        };
        (super::filter_name(*at as usize), said)
    };
    if !states.is_empty() {
        value["typed_per_filter_config"] = Value::Object(states.iter().map(one).collect());
    }
}

/// The filter for pages of other origins.
pub(super) fn cors_filter() -> Value {
    json!({"name": CORS, "typed_config": typed("envoy.extensions.filters.http.cors.v3.Cors", json!({}))})
}

const CORS: &str = "cors";

/// A policy with all that counts, so that none of another level does; without one there is none to inherit.
fn cors(value: &mut Value, place: Option<u32>, cors: &Cors) {
    let Some(policy) = place.and_then(|place| cors.policies.get(place as usize)) else { return };
    let CorsPolicy { origins, methods, headers, expose, max_age, credentials, private_network, forward_others } =
        policy;
    let said = json!({
        "allow_origin_string_match": origins.iter().map(text).collect::<Vec<_>>(),
        "allow_methods": methods,
        "allow_headers": headers,
        "expose_headers": expose,
        "max_age": max_age,
        "allow_credentials": credentials,
        "allow_private_network_access": private_network,
        "forward_not_matching_preflights": forward_others,
    });
    value["typed_per_filter_config"][CORS] = typed("envoy.extensions.filters.http.cors.v3.CorsPolicy", said);
}

/// Metadata, where there is any.
pub(super) fn metadata(value: &mut Value, Metadata(metadata): &Metadata) {
    if !metadata.is_empty() {
        let all = metadata.iter().map(|(name, of)| (name.clone(), fields(of))).collect();
        value["metadata"] = json!({"filter_metadata": Value::Object(all)});
    }
}

fn fields(fields: &Fields) -> Value {
    Value::Object(fields.iter().map(|(key, value)| (key.clone(), told(value))).collect())
}

fn told(value: &metadata::Value) -> Value {
    match value {
        metadata::Value::Null => Value::Null,
        metadata::Value::Bool(is) => json!(is),
        metadata::Value::Number(bits) => json!(f64::from_bits(*bits)),
        metadata::Value::Text(text) => json!(text),
        metadata::Value::List(values) => values.iter().map(told).collect(),
        metadata::Value::Map(of) => fields(of),
    }
}

fn virtual_host(host: &VirtualHost, cors: &Cors) -> Value {
    let routes: Vec<_> = host.routes.iter().map(|one| route(one, cors)).collect();
    let mut value = json!({
        "name": host.name,
        "domains": host.domains,
        "routes": routes,
        "include_request_attempt_count": host.attempt_count.request,
        "include_attempt_count_in_response": host.attempt_count.response,
    });
    changes(&mut value, &host.headers);
    plugins(&mut value, &host.plugins);
    metadata(&mut value, &host.metadata);
    value
}

fn route(route: &Route, cors: &Cors) -> Value {
    let mut value = json!({"name": route.name, "match": matches(&route.matches)});
    changes(&mut value, &route.headers);
    plugins(&mut value, &route.plugins);
    self::cors(&mut value, route.cors, cors);
    metadata(&mut value, &route.metadata);
    match &route.action {
        Action::Forward(to) => value["route"] = forward(to, cors),
        Action::Redirect(to) => value["redirect"] = redirect(to),
        Action::Respond { status, body } => {
            value["direct_response"] = json!({"status": status});
            if !body.is_empty() {
                value["direct_response"]["body"] = json!({"inline_bytes": STANDARD.encode(body)});
            }
        }
    }
    value
}

fn matches(condition: &Match) -> Value {
    let mut value = match &condition.path {
        PathMatch::Prefix(path) => json!({"prefix": path}),
        PathMatch::Exact(path) => json!({"path": path}),
        PathMatch::SeparatedPrefix(path) => json!({"path_separated_prefix": path}),
        PathMatch::Regex(text) => json!({"safe_regex": {"regex": text}}),
    };
    if condition.ignore_case {
        value["case_sensitive"] = json!(false);
    }
    if condition.grpc {
        value["grpc"] = json!({});
    }
    value["headers"] = condition.headers.iter().map(header_match).collect();
    value["query_parameters"] = condition.query.iter().map(query_match).collect();
    value
}

fn header_match(condition: &HeaderMatch) -> Value {
    let mut value = json!({
        "name": condition.name,
        "invert_match": condition.invert,
        "treat_missing_header_as_empty": condition.missing_as_empty,
    });
    match &condition.value {
        HeaderValueMatch::Present(present) => value["present_match"] = json!(present),
        HeaderValueMatch::Text(condition) => value["string_match"] = text(condition),
        HeaderValueMatch::Range(start, end) => value["range_match"] = json!({"start": start, "end": end}),
    }
    value
}

fn query_match(condition: &QueryMatch) -> Value {
    match &condition.value {
        Ok(value) => json!({"name": condition.name, "string_match": text(value)}),
        Err(present) => json!({"name": condition.name, "present_match": present}),
    }
}

fn text(condition: &TextMatch) -> Value {
    let text = &condition.text;
    let mut value = match condition.kind {
        TextMatchKind::Exact => json!({"exact": text}),
        TextMatchKind::Prefix => json!({"prefix": text}),
        TextMatchKind::Suffix => json!({"suffix": text}),
        TextMatchKind::Contains => json!({"contains": text}),
        TextMatchKind::Regex => return json!({"safe_regex": {"regex": text}}),
    };
    value["ignore_case"] = json!(condition.ignore_case);
    value
}

fn forward(forward: &Forward, cors: &Cors) -> Value {
    let mut value = match &forward.target {
        Target::Cluster(name) => json!({"cluster": name}),
        Target::Header(name) => json!({"cluster_header": name}),
        Target::Weighted(all) => {
            json!({"weighted_clusters": {"clusters": all.iter().map(|one| weighted(one, cors)).collect::<Vec<_>>()}})
        }
    };
    value["timeout"] = json!(milliseconds(forward.timeout_ms));
    if let Some(most) = forward.max_grpc_timeout_ms {
        value["max_grpc_timeout"] = json!(milliseconds(most));
    }
    value["cluster_not_found_response_code"] = json!(match forward.cluster_not_found {
        404 => "NOT_FOUND",
        500 => "INTERNAL_SERVER_ERROR",
        _ => "SERVICE_UNAVAILABLE",
    });
    if let Some(policy) = &forward.retry {
        value["retry_policy"] = retry(policy);
    }
    match &forward.path {
        Some(PathRewrite::Prefix(prefix)) => value["prefix_rewrite"] = json!(prefix),
        Some(PathRewrite::Regex(by)) => value["regex_rewrite"] = substitution(by),
        None => {}
    }
    match &forward.host {
        Some(HostRewrite::Literal(host)) => value["host_rewrite_literal"] = json!(host),
        Some(HostRewrite::Header(name)) => value["host_rewrite_header"] = json!(name),
        Some(HostRewrite::Path(by)) => value["host_rewrite_path_regex"] = substitution(by),
        Some(HostRewrite::Endpoint) => value["auto_host_rewrite"] = json!(true),
        None => {}
    }
    value
}

fn retry(policy: &RetryPolicy) -> Value {
    let on: Vec<_> = policy.on.iter().map(|on| on.name()).collect();
    let mut value = json!({
        "retry_on": on.join(","),
        "num_retries": policy.retries,
        "retriable_status_codes": policy.statuses,
        "retriable_headers": policy.headers.iter().map(header_match).collect::<Vec<_>>(),
        "retry_back_off": {
            "base_interval": milliseconds(policy.base_interval_ms),
            "max_interval": milliseconds(policy.max_interval_ms),
        },
    });
    if policy.per_try_timeout_ms > 0 {
        value["per_try_timeout"] = json!(milliseconds(policy.per_try_timeout_ms));
    }
    value
}

fn weighted(one: &Weighted, cors: &Cors) -> Value {
    let mut value = json!({"name": one.cluster, "weight": one.weight});
    if let Some(host) = &one.host {
        value["host_rewrite_literal"] = json!(host);
    }
    changes(&mut value, &one.headers);
    self::cors(&mut value, one.cors, cors);
    if one.cors.is_none() && !cors.policies.is_empty() {
        let off = json!({"filter_enabled": {"default_value": {"numerator": 0}}});
        value["typed_per_filter_config"][CORS] = typed("envoy.extensions.filters.http.cors.v3.CorsPolicy", off);
    }
    value
}

fn substitution(by: &Substitution) -> Value {
    json!({"pattern": {"regex": by.regex}, "substitution": by.substitution})
}

fn redirect(redirect: &Redirect) -> Value {
    let mut value = Map::new();
    let mut say = |key: &str, said: Option<Value>| said.map(|said| value.insert(key.into(), said));
    say("scheme_redirect", redirect.scheme.as_ref().map(|scheme| json!(scheme)));
    say("host_redirect", redirect.host.as_ref().map(|host| json!(host)));
    say("port_redirect", redirect.port.map(|port| json!(port)));
    match &redirect.path {
        Some(RedirectPath::Path(path)) => say("path_redirect", Some(json!(path))),
        Some(RedirectPath::Rewrite(PathRewrite::Prefix(prefix))) => say("prefix_rewrite", Some(json!(prefix))),
        Some(RedirectPath::Rewrite(PathRewrite::Regex(by))) => say("regex_rewrite", Some(substitution(by))),
        None => None,
    };
    let code = match redirect.status {
        302 => "FOUND",
        303 => "SEE_OTHER",
        307 => "TEMPORARY_REDIRECT",
        308 => "PERMANENT_REDIRECT",
        _ => "MOVED_PERMANENTLY",
    };
    say("response_code", Some(json!(code)));
    say("strip_query", Some(json!(redirect.strip_query)));
    Value::Object(value)
}

fn changes(value: &mut Value, HeaderChanges { request, response }: &HeaderChanges) {
    for (kind, change) in [("request", request), ("response", response)] {
        value[format!("{kind}_headers_to_remove")] = json!(change.remove);
        value[format!("{kind}_headers_to_add")] = change.add.iter().map(addition).collect();
    }
}

fn addition(addition: &HeaderAddition) -> Value {
    let action = match addition.action {
        AppendAction::Append => "APPEND_IF_EXISTS_OR_ADD",
        AppendAction::AddIfAbsent => "ADD_IF_ABSENT",
        AppendAction::Overwrite => "OVERWRITE_IF_EXISTS_OR_ADD",
        AppendAction::OverwriteIfPresent => "OVERWRITE_IF_EXISTS",
    };
    let value: String = addition.value.iter().map(piece).collect();
    json!({
        "header": {"key": addition.name, "value": value},
        "append_action": action,
        "keep_empty_value": addition.keep_empty,
    })
}

fn piece(piece: &Piece) -> String {
    let of = |kind: &str, name: &str, other: &Option<String>, most: &Option<u32>| {
        let other = other.as_ref().map(|other| format!("?{other}")).unwrap_or_default();
        let most = most.map(|most| format!(":{most}")).unwrap_or_default();
        format!("%{kind}({name}{other}){most}%")
    };
    match piece {
        Piece::Text(text) => text.replace('%', "%%"),
        Piece::Request(name, other, most) => of("REQ", name, other, most),
        Piece::Response(name, other, most) => of("RESP", name, other, most),
        Piece::Protocol => "%PROTOCOL%".into(),
        Piece::ResponseCode => "%RESPONSE_CODE%".into(),
        Piece::RouteName => "%ROUTE_NAME%".into(),
        Piece::VirtualHost => "%VIRTUAL_HOST_NAME%".into(),
        Piece::Cluster => "%UPSTREAM_CLUSTER%".into(),
    }
}
