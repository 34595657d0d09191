//! What is judged of a request of HTTP/2. Its bytes `h2` reads, strictly; this is what it leaves to others.

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, Entry, HOST, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request};

use super::super::wire::FIELDS_MAX;
use super::is_host_field;
use super::refusal::Refusal;

/// Pseudo-headers, which count as fields with Envoy.
const PSEUDO_HEADERS: usize = 4;

/// Fields that no message of HTTP/2 has, and no trailers.
const FORBIDDEN_TRAILERS: [http::HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE];

/// Judges a request, and makes of it what the component is to see.
pub(super) fn judge<B>(request: &mut Request<B>) -> Result<(), Refusal> {
    if request.headers().len() + PSEUDO_HEADERS > FIELDS_MAX {
        return Err(Refusal::Stream);
    }
    let mut lengths = request.headers().get_all(CONTENT_LENGTH).iter();
    if lengths.next().is_some_and(HeaderValue::is_empty) || lengths.next().is_some() || !are_names(request.headers()) {
        return Err(Refusal::Stream);
    }
    let method = request.method();
    if method == Method::CONNECT {
        return Err(Refusal::CONNECT);
    }
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let host = authority.or_else(|| request.headers().get(HOST).map(HeaderValue::as_bytes));
    // Without an authority `h2` does not tell the scheme.
    if authority.is_some() && request.uri().scheme_str().is_none_or(str::is_empty) {
        return Err(Refusal::Stream);
    }
    // Others may go by it.
    let is_other_host = |host: &HeaderValue| host.is_empty() || !is_host_field(host.as_bytes());
    if authority.is_some() && request.headers().get_all(HOST).iter().any(is_other_host) {
        return Err(Refusal::Stream);
    }
    // A user in an authority is for no server.
    if !host.is_some_and(|host| !host.is_empty() && !host.contains(&b'@') && is_host_field(host)) {
        return Err(Refusal::Stream);
    }
    match request.uri().path_and_query().map(PathAndQuery::as_str) {
        Some(path) if path.starts_with('/') => {}
        Some("*") if method == Method::OPTIONS => return Err(Refusal::NoPath),
        _ => return Err(Refusal::Stream),
    }
    // Source: measured.
    if method.as_str() == "QUERY" && !request.headers().contains_key(CONTENT_TYPE) {
        return Err(Refusal::QUERY);
    }
    join_cookies(request.headers_mut());
    Ok(())
}

/// Whether these are trailers that a request can have.
pub(crate) fn are_trailers(fields: &HeaderMap) -> bool {
    fields.len() <= FIELDS_MAX && !FORBIDDEN_TRAILERS.iter().any(|name| fields.contains_key(name)) && are_names(fields)
}

/// Whether these names are tokens: `h2` takes one byte more.
fn are_names(fields: &HeaderMap) -> bool {
    !fields.keys().any(|name| name.as_str().contains('"'))
}

/// Makes one line of the cookies, which HTTP/2 may cut into several (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let Entry::Occupied(cookies) = headers.entry(COOKIE) else { return };
    let lines: Vec<&[u8]> = cookies.iter().map(HeaderValue::as_bytes).collect();
    let Ok(joined) = HeaderValue::from_bytes(&lines.join(b"; ".as_slice())) else { return };
    // Where Envoy has it: behind all others. What is taken out of a map leaves its place to the last one.
    let fields = std::mem::take(headers);
    let mut current = None;
    for (name, value) in fields {
        // Further values of a field come without its name.
        current = name.or(current);
        if let Some(name) = current.as_ref().filter(|name| **name != COOKIE) {
            headers.append(name.clone(), value);
        }
    }
    headers.insert(COOKIE, joined);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str, fields: &[(&str, &str)]) -> Request<()> {
        let request = Request::builder().method(method).uri(uri);
        fields.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
    }

    #[test]
    fn cookies_are_one_line_behind_all_others() {
        let fields = [("cookie", "a=1"), ("x-a", "1"), ("cookie", "b=2"), ("x-b", "2"), ("x-c", "3"), ("x-a", "4")];
        let mut request = request("GET", "http://a/", &fields);
        judge(&mut request).unwrap();
        let seen: Vec<_> =
            request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(seen, [("x-a", "1"), ("x-a", "4"), ("x-b", "2"), ("x-c", "3"), ("cookie", "a=1; b=2")]);
    }

    #[test]
    fn what_is_refused() {
        let judge = |method: &str, uri: &str, fields: &[(&str, &str)]| judge(&mut request(method, uri, fields));
        assert_eq!(judge("GET", "http://a/", &[]), Ok(()));
        assert_eq!(judge("GET", "/", &[("host", "a")]), Ok(()));
        assert_eq!(judge("GET", "/", &[]), Err(Refusal::Stream));
        assert_eq!(judge("GET", "http://u@a/", &[]), Err(Refusal::Stream));
        assert_eq!(judge("CONNECT", "a:80", &[]), Err(Refusal::CONNECT));
        assert_eq!(judge("QUERY", "http://a/", &[]), Err(Refusal::QUERY));
        assert_eq!(judge("OPTIONS", "*", &[("host", "a")]), Err(Refusal::NoPath));
        assert_eq!(judge("GET", "*", &[("host", "a")]), Err(Refusal::Stream));
        assert_eq!(judge("POST", "http://a/", &[("content-length", "1"); 2]), Err(Refusal::Stream));
        assert_eq!(judge("GET", "http://a/", &[("cookie", "a"); 96]), Ok(()));
        assert_eq!(judge("GET", "http://a/", &[("cookie", "a"); 97]), Err(Refusal::Stream));
    }
}
