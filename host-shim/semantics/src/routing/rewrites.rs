//! Paths, authorities and redirects.

use proxy_wasm_abi::routing::{Forward, HostRewrite, Match, PathMatch, PathRewrite, Redirect, RedirectPath};

use super::{expressions::Expressions, matches::split};
use crate::headers::HeaderMap;

/// Rewrites the path for the upstream. Source: Envoy's `RouteEntryImplBase::rewritePathHeader`.
pub(super) fn path(forward: &Forward, matched: &Match, headers: &mut HeaderMap, expressions: &Expressions) {
    if let (Some(rewrite), Some(target)) = (&forward.path, headers.get(b":path")) {
        let rewritten = rewritten(rewrite, matched, target, expressions);
        headers.set(b":path", rewritten);
    }
}

fn rewritten(rewrite: &PathRewrite, matched: &Match, target: &[u8], expressions: &Expressions) -> Vec<u8> {
    let (plain, rest) = split(target);
    match rewrite {
        PathRewrite::Prefix(prefix) => {
            let matched = match &matched.path {
                PathMatch::Prefix(path) | PathMatch::Exact(path) | PathMatch::SeparatedPrefix(path) => path.len(),
                PathMatch::Regex(_) => plain.len(),
            };
            [prefix.as_bytes(), target.get(matched..).unwrap_or_default()].concat()
        }
        PathRewrite::Regex(substitution) => [&expressions.replace(substitution, plain), rest].concat(),
    }
}

/// Rewrites the authority for the upstream. Source: Envoy's `RouteEntryImplBase::finalizeHostHeader`.
pub(super) fn host(forward: &Forward, own: Option<&str>, headers: &mut HeaderMap, expressions: &Expressions) {
    // The route's counts over the cluster's. Source: `routes/host-rewrites`.
    let of_route = match &forward.host {
        Some(HostRewrite::Literal(host)) => Some(host.as_bytes().to_vec()),
        Some(HostRewrite::Header(name)) => {
            headers.get(name.as_bytes()).filter(|host| !host.is_empty()).map(<[u8]>::to_vec)
        }
        Some(HostRewrite::Path(substitution)) => {
            let (plain, _) = split(headers.get(b":path").unwrap_or_default());
            Some(expressions.replace(substitution, plain))
        }
        Some(HostRewrite::Endpoint) | None => None,
    };
    if let Some(host) = of_route.or(own.map(|host| host.as_bytes().to_vec())) {
        headers.set(b":authority", host);
    }
}

/// Tells an endpoint its own name as the authority, where the route says so. Source: `routes/auto-host-rewrite`; Envoy's
/// `autoHostRewrite`.
pub(super) fn host_of_endpoint(forward: &Forward, name: Option<&str>, headers: &mut HeaderMap) {
    if forward.host == Some(HostRewrite::Endpoint)
        && let Some(name) = name
    {
        headers.set(b":authority", name);
    }
}

/// Where the request itself came to.
pub(super) fn own_location(matched: &Match, headers: &HeaderMap, expressions: &Expressions) -> Vec<u8> {
    let same = Redirect { scheme: None, host: None, port: None, path: None, status: 0, strip_query: false };
    location(&same, matched, headers, expressions)
}

/// Where a client is sent. Source: Envoy's `RouteEntryImplBase::newUri`.
pub(super) fn location(
    redirect: &Redirect,
    matched: &Match,
    headers: &HeaderMap,
    expressions: &Expressions,
) -> Vec<u8> {
    let own_scheme = headers.get(b":scheme").unwrap_or_default();
    let scheme = redirect.scheme.as_ref().map_or(own_scheme, |scheme| scheme.as_bytes());
    let port = redirect.port.map(|port| format!(":{port}")).unwrap_or_default();
    let authority = headers.get(b":authority").unwrap_or_default();
    let host = match &redirect.host {
        Some(host) => host.as_bytes(),
        None => {
            let proto = headers.get(b"x-forwarded-proto").unwrap_or(own_scheme);
            own_host(authority, scheme, proto, !port.is_empty())
        }
    };
    let target = headers.get(b":path").unwrap_or_default();
    let query_of = |target: &[u8]| -> Vec<u8> {
        target.iter().position(|byte| *byte == b'?').map(|at| target[at..].to_vec()).unwrap_or_default()
    };
    let path = match &redirect.path {
        Some(RedirectPath::Path(path)) if path.contains('?') || redirect.strip_query => path.clone().into_bytes(),
        Some(RedirectPath::Path(path)) => [path.as_bytes(), &query_of(target)].concat(),
        other => {
            let mut path = match other {
                Some(RedirectPath::Rewrite(rewrite)) => rewritten(rewrite, matched, target, expressions),
                _ => target.to_vec(),
            };
            if redirect.strip_query {
                path.truncate(path.len() - query_of(&path).len());
            }
            path
        }
    };
    [scheme, b"://", host, port.as_bytes(), &path].concat()
}

/// A request's authority, for another scheme or port. Source: Envoy's `RouteEntryImplBase::processRequestHost`.
fn own_host<'a>(authority: &'a [u8], scheme: &[u8], proto: &[u8], new_port: bool) -> &'a [u8] {
    let is_bracketed = authority.starts_with(b"[");
    let colon = match authority.iter().rposition(|byte| *byte == b':') {
        Some(at) if !is_bracketed || authority[..at].ends_with(b"]") => at,
        _ => return authority,
    };
    let port = &authority[colon..];
    let is_default = (proto == b"https" && port == b":443") || (proto == b"http" && port == b":80");
    if new_port || (scheme != proto && is_default) { &authority[..colon] } else { authority }
}
