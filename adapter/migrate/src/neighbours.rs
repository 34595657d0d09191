//! HTTP filters that stand beside Wasm filters, and who does the same where there is no Envoy.

/// By the end of the filter's type: what to do.
const REMEDIES: &[(&str, &str)] = &[
    ("AdmissionControl", "Let what stands in front of the component shed load."),
    ("ApiKeyAuth", "Check keys in front of the component, or in a filter."),
    ("AwsRequestSigning", "Sign in front of the upstream; the component sends the requests as they are."),
    ("BasicAuth", "Check passwords in front of the component, or in a filter."),
    ("Buffer", "`buffer_limit` of the settings says how much of a body is held for a filter that asks for it."),
    ("Compressor", "Compress in what stands in front of the component."),
    ("Composite", "Put the Wasm filter into the chain, and let it decide itself for which requests it acts."),
    ("Cors", "Answer CORS in front of the component, or in a filter."),
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
    "CsrfPolicy",
    "ExtAuthz",
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

/// What to do about a filter of this type, such as `envoy.extensions.filters.http.cors.v3.Cors`.
pub(crate) fn remedy(kind: &str) -> &'static str {
    let last = kind.rsplit('.').next().unwrap_or_default();
    let known = REMEDIES.iter().find(|(name, _)| *name == last).map(|(_, remedy)| *remedy);
    known.unwrap_or("See whether the host, or what stands in front of it, does the same.")
}
