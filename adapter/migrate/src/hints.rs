//! What the component does without a field that is left behind, and what is to be done about it.

use crate::node::is_field;

/// What is said of a field with this name, as a file has it; nothing, where nothing is known.
pub(crate) fn of(key: &str) -> Option<&'static str> {
    HINTS.iter().find(|(fields, _)| fields.iter().any(|field| is_field(key, field))).map(|(_, hint)| *hint)
}

/// By the names of fields that have the same effect.
const HINTS: &[(&[&str], &str)] = &[
    // What runs beside the requests.
    (
        &["bootstrap_extensions"],
        "A Wasm service that runs beside the requests is not carried; what it does in ticks, a filter can do.",
    ),
    (&["admin"], "Give `serve` an address for it: `--admin ADDRESS`."),
    (
        &["dynamic_resources"],
        "What it brings is not in the file: give it too, or the `/config_dump` of the running Envoy, which has all.",
    ),
    (
        &["layered_runtime"],
        "Each value with a runtime key counts as the file says it; flags of Envoy's have no meaning here.",
    ),
    (
        &["node"],
        "A filter that reads `xds.node` finds nothing: `[properties]` of the settings file can give it values.",
    ),
    (
        &["overload_manager"],
        "`serve` has limits of its own: `--max-connections`, `--max-concurrency` and `--max-total-memory`.",
    ),
    (
        &["stats_config", "stats_sinks", "stats_flush_interval", "stats_matcher"],
        "`serve --admin` has all of its metrics and the filters'; `--stats-tag NAME=REGEX` makes tags of parts of their names.",
    ),
    (&["virtual_clusters"], "There are no metrics by virtual cluster."),
    (&["tracing"], "Trace in front of the component."),
    // Connections from clients.
    (&["access_log"], "Give `serve` an access log: `--access-log FILE`, with `--access-log-format`."),
    (&["additional_addresses"], "`serve` listens at one address: run it once more for each."),
    (&["common_http_protocol_options"], "The host keeps the connections to upstreams; see whether it has the like."),
    (&["drain_timeout"], "`serve --shutdown-grace` says how long requests may take when it ends."),
    (&["filter_chain_match"], "The component gets the requests of all connections: send it no others."),
    (&["http_protocol_options"], "See whether the host has the like."),
    (&["http2_protocol_options"], "The host speaks HTTP/2 with options of its own."),
    (
        &[
            "connection_balance_config",
            "enable_reuse_port",
            "freebind",
            "listener_filters",
            "reuse_port",
            "socket_options",
            "tcp_backlog_size",
            "tcp_keepalive",
            "transparent",
            "use_original_dst",
            "use_proxy_proto",
        ],
        "The host accepts the connections; see whether it has the like.",
    ),
    (
        &["max_request_headers_kb"],
        "`serve` takes heads of up to 60 KiB, as Envoy does by default, and answers larger ones 431.",
    ),
    (
        &["request_timeout"],
        "A request may take as long as something of it comes: `--stream-idle-timeout` ends one that stands still.",
    ),
    (&["request_headers_timeout"], "Give `serve` the limit: `--request-headers-timeout TIME`."),
    (&["transport_socket"], "End TLS in front of `serve`, which takes requests in clear."),
    // What requests and responses are made of.
    (
        &["always_set_request_id_in_response", "append_x_forwarded_host", "append_x_forwarded_port", "via"],
        "The component adds no such header: a filter can, and where its value is fixed, additions of a route.",
    ),
    (&["early_header_mutation_extensions"], "Change those headers in a filter, or in front of the component."),
    (
        &["forward_client_cert_details", "set_current_client_cert_details"],
        "The component takes `x-forwarded-client-cert` out, as Envoy does by default; tell it of a certificate in another header.",
    ),
    (&["internal_only_headers"], "Let what stands in front of the component take those headers out."),
    (
        &["local_reply_config"],
        "An answer that no upstream gave is as Envoy's without it; a filter can change it in `proxy_on_response_headers`.",
    ),
    (
        &["merge_slashes", "normalize_path", "path_normalization_options", "path_with_escaped_slashes_action"],
        "A filter, and routes, see paths as clients write them: let what stands in front of the component normalize them, above all where they decide who may do what.",
    ),
    (&["metadata"], "A filter that reads it finds nothing: `[properties]` of the settings file can give it values."),
    (
        &["scheme_header_transformation"],
        "A filter that reads `:scheme` sees the client's; let what ends TLS say it in `x-forwarded-proto`.",
    ),
    (
        &["server_header_transformation", "server_name"],
        "A response has the upstream's `server`, or none; `response_headers_to_add` of the routes can give it one.",
    ),
    (
        &["strip_any_host_port", "strip_matching_host_port"],
        "Filters, domains and the upstream see the authority as the client wrote it: name domains with the port, too.",
    ),
    (
        &["strip_trailing_host_dot"],
        "Filters, domains and the upstream see the authority as the client wrote it: name domains with the dot, too.",
    ),
    (&["request_id_extension"], "`x-request-id` is a random UUID, as Envoy's own extension makes it."),
    (&["skip_xff_append"], "A component never adds to `x-forwarded-for`: there is nothing to do."),
    (
        &["original_ip_detection_extensions", "xff_num_trusted_hops"],
        "See `[property_headers]` for who tells the client's address.",
    ),
    (
        &["use_remote_address"],
        "By it Envoy adds the client's address to `x-forwarded-for`, which a component does not: let what stands in front of it do that.",
    ),
    // What becomes of requests.
    (&["cors"], "Answer CORS in front of the component."),
    (&["hedge_policy"], "A request is sent to one endpoint at a time, and again only as `retry_policy` says."),
    (
        &["idle_timeout"],
        "One limit counts for all routes: `stream_idle_timeout` of the settings file, or `--stream-idle-timeout`.",
    ),
    (
        &["internal_redirect_action", "internal_redirect_policy", "max_internal_redirects"],
        "A redirect from the upstream goes to the client.",
    ),
    (
        &["max_stream_duration"],
        "A request may take as long as something goes on in it; `timeout` of its route limits what follows its last byte.",
    ),
    (
        &["per_request_buffer_limit_bytes", "request_body_buffer_limit"],
        "One limit counts for all routes: `buffer_limit` of the settings file, or `--buffer-limit`.",
    ),
    (
        &[
            "per_try_idle_timeout",
            "rate_limited_retry_back_off",
            "retriable_request_headers",
            "retry_options_predicates",
            "retry_policy_typed_config",
            "retry_priority",
        ],
        "A request is sent again by the other fields of its retry policy alone.",
    ),
    (&["rate_limits"], "Limit in front of the component."),
    (&["request_mirror_policies"], "Mirror in front of the component."),
    (&["scoped_routes", "vhds"], "Write those routes out, as the `virtual_hosts` of a `route_config`."),
    (
        &["typed_per_filter_config"],
        "It belongs to a filter that is not carried: see whether the host, or what stands in front of it, does the same.",
    ),
    (&["upgrade_configs"], "`wasi:http` has no upgrades."),
    // Upstreams.
    (
        &["circuit_breakers"],
        "The host says how many requests it has at once; see whether it limits them for an upstream.",
    ),
    (
        &[
            "common_lb_config",
            "hash_policy",
            "lb_subset_config",
            "least_request_lb_config",
            "load_balancing_policy",
            "load_balancing_weight",
            "locality",
            "maglev_lb_config",
            "metadata_match",
            "original_dst_lb_config",
            "ring_hash_lb_config",
            "round_robin_lb_config",
        ],
        "A component asks the endpoints of a cluster in turn; put a balancer in front of them, if that matters.",
    ),
    (
        &[
            "dns_failure_refresh_rate",
            "dns_jitter",
            "dns_refresh_rate",
            "dns_resolution_config",
            "dns_resolvers",
            "respect_dns_ttl",
            "typed_dns_resolver_config",
            "use_tcp_for_dns_lookups",
        ],
        "The host, or the platform, resolves names: tell it whom to ask, and how often.",
    ),
    (
        &[
            "close_connections_on_host_health_failure",
            "health_checks",
            "ignore_health_on_host_removal",
            "outlier_detection",
        ],
        "Let the host, or the platform, check the upstream.",
    ),
    (&["health_status"], "The endpoint is asked, whatever it says: take it out if it is to have no requests."),
    (
        &[
            "connection_pool_per_downstream_connection",
            "max_requests_per_connection",
            "preconnect_policy",
            "upstream_bind_config",
            "upstream_connection_options",
        ],
        "The host keeps the connections to upstreams; see whether it has the like.",
    ),
    (&["per_connection_buffer_limit_bytes"], "The host holds what it sends to an upstream in buffers of its own."),
    (
        &["transport_socket_matcher", "transport_socket_matches"],
        "All endpoints are spoken to as `transport_socket` of the cluster says, or in clear.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_named_once() {
        let mut names: Vec<_> = HINTS.iter().flat_map(|(fields, _)| fields.iter()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(of("normalizePath").is_some() && of("normalize").is_none());
    }
}
