//! HTTP filters that stand beside Wasm filters, and who does the same where there is no Envoy.

use crate::node::Node;

/// By the end of the filter's type: what to do.
const REMEDIES: &[(&str, &str)] = &[
    ("AdmissionControl", "Let what stands in front of the component shed load."),
    ("ApiKeyAuth", "Check keys in front of the component, or in a filter."),
    ("AwsRequestSigning", "Sign in front of the upstream; the component sends the requests as they are."),
    ("BasicAuth", "Check passwords in front of the component, or in a filter."),
    ("Buffer", "Limit bodies in front of the component: its `buffer_limit` is for those that a filter asks to hold."),
    ("Compressor", "Compress in what stands in front of the component."),
    ("Composite", "Put the Wasm filter into the chain, and let it decide itself for which requests it acts."),
    ("Cors", "Answer CORS in front of the component, or in a filter."),
    ("ConnectionLimit", "Give `serve` the limit: `--max-connections N`."),
    ("CsrfPolicy", "Check origins in front of the component, or in a filter."),
    ("CustomResponse", "Answer in front of the component, or in a filter."),
    ("Decompressor", "Decompress in what stands in front of the component."),
    ("DynamicModuleFilter", "It is native code: leave it in Envoy."),
    ("ExtAuthz", "Ask for leave in front of the component, or in a filter: a callout does the same."),
    ("ExternalProcessor", "Process in front of the component, or in a filter: `proxy_grpc_stream` does the same."),
    ("GrpcHttp1Bridge", "Bridge gRPC in front of the component."),
    ("GrpcJsonTranscoder", "Transcode gRPC in front of the component."),
    ("GrpcWeb", "Bridge gRPC-Web in front of the component."),
    ("HTTPFault", "Inject faults in front of the component, or in a filter."),
    ("HeaderMutation", "Write it as `request_headers` and `response_headers` of `[routes]` in the settings."),
    ("HealthCheck", "Answer health checks by a route with a `direct_response`; `serve --admin` has `/ready`."),
    ("IpTagging", "Tag in front of the component."),
    ("JwtAuthentication", "Check tokens in front of the component, or in a filter."),
    ("LocalRateLimit", "Limit in front of the component, or in a filter."),
    ("Lua", "Lua stays in Envoy: write it as a filter of proxy-wasm."),
    ("LuaPerRoute", "Lua stays in Envoy: write it as a filter of proxy-wasm."),
    ("OAuth2", "Sign in in front of the component."),
    ("OnDemand", "The settings have all routes and clusters from the start: leave it out."),
    ("OriginalSrc", "The host makes the connections to upstreams: leave it out."),
    ("RBAC", "Allow and deny in front of the component, or in a filter."),
    ("RateLimit", "Limit in front of the component, or in a filter: a callout does the same."),
    ("Tap", "`adapt --trace` shows each call of a filter, `serve --access-log` each request."),
];

/// Those that keep requests out: who is not let in by them is let in without them.
const GUARDS: &[&str] = &[
    "ApiKeyAuth",
    "BasicAuth",
    "Buffer",
    "CsrfPolicy",
    "ExtAuthz",
    "ExternalProcessor",
    "JwtAuthentication",
    "LocalRateLimit",
    "OAuth2",
    "RBAC",
    "RateLimit",
    "RateLimitQuotaFilterConfig",
];

/// Whether a filter of this type, for HTTP or for connections, keeps out whom, or what, Envoy does not let in.
pub(crate) fn is_guard(kind: &str) -> bool {
    kind.rsplit('.').next().is_some_and(|last| GUARDS.contains(&last))
}

/// Whether there is such a filter in this one, as in what picks a filter by the request.
pub(crate) fn has_guard(node: &Node) -> bool {
    let is = |field| node.peek_text(field).is_some_and(is_guard);
    let within = |node: &Node| has_guard(node);
    is("@type")
        || is("type_url")
        || node.items().iter().any(within)
        || node.entries().iter().any(|entry| within(&entry.node))
}

/// What to do about a filter of this type, such as `envoy.extensions.filters.http.cors.v3.Cors`.
pub(crate) fn remedy(kind: &str) -> &'static str {
    known_remedy(kind).unwrap_or("See whether the host, or what stands in front of it, does the same.")
}

/// The same, where something is known of that type.
pub(crate) fn known_remedy(kind: &str) -> Option<&'static str> {
    let last = kind.rsplit('.').next().unwrap_or_default();
    REMEDIES.iter().find(|(name, _)| *name == last).map(|(_, remedy)| *remedy)
}
