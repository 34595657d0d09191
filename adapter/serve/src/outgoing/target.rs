//! Where a request goes.

use std::net::SocketAddr;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};

/// An upstream, as far as connections to it differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    tls: bool,
    /// It is spoken to in HTTP/2 from the first byte on.
    http2: bool,
    host: String,
    port: u16,
}

impl Target {
    /// Of the address of a request; nothing where it has none.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let tls = uri.scheme() == Some(&Scheme::HTTPS);
        let authority = uri.authority()?;
        // An IPv6 address stands in brackets.
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = authority.port_u16().unwrap_or(default_port(tls));
        Some(Self { tls, http2: false, host, port })
    }

    /// Of an address without a scheme, which is one without TLS.
    pub(super) fn of_plain(authority: &str) -> Option<Self> {
        let authority: Authority = authority.parse().ok()?;
        let uri = Uri::builder().scheme(Scheme::HTTP).authority(authority).path_and_query("/").build().ok()?;
        Self::of(&uri)
    }

    /// The same, spoken to in HTTP/2 in any case.
    pub(super) fn in_http2(self) -> Self {
        Self { http2: true, ..self }
    }

    /// Host and port, as they stand in an address.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Where its host is an address already.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host.parse().ok()?, self.port))
    }

    pub(super) fn tls(&self) -> bool {
        self.tls
    }

    pub(super) fn http2(&self) -> bool {
        self.http2
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// What `host` says in HTTP/1: no port where it is the scheme's own.
pub(super) fn host_field(uri: &Uri) -> Option<HeaderValue> {
    let authority = uri.authority()?;
    let own = default_port(uri.scheme() == Some(&Scheme::HTTPS));
    let port = authority.port_u16().filter(|port| *port != own).map(|port| format!(":{port}")).unwrap_or_default();
    HeaderValue::try_from(format!("{}{port}", authority.host())).ok()
}

/// What stands in the pseudo-headers of HTTP/2 where the authority is to be this; nothing where it can't be one.
pub(super) fn with_authority(uri: &Uri, host: &HeaderValue) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.authority = Some(Authority::try_from(host.as_bytes()).ok()?);
    Uri::from_parts(parts).ok()
}

/// What stands in the first line of HTTP/1: the path alone.
pub(super) fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_has_one_name() {
        let plain = |authority| Target::of_plain(authority).unwrap().to_string();
        assert_eq!(plain("Example.com"), "http://example.com:80");
        assert_eq!(plain("example.com:80"), "http://example.com:80");
        assert_eq!(plain("[::1]"), "http://[::1]:80");
        assert_eq!(plain("[::1]:8080"), "http://[::1]:8080");
        assert_eq!(Target::of_plain("no address"), None);
        let of = |uri: &'static str| Target::of(&Uri::from_static(uri)).unwrap().to_string();
        assert_eq!(of("https://Example.com/x"), "https://example.com:443");
    }

    #[test]
    fn an_authority_is_a_host_with_a_port() {
        let uri = Uri::from_static("http://127.0.0.1:80/x?y");
        let told = |host| with_authority(&uri, &HeaderValue::from_static(host)).map(|uri| uri.to_string());
        assert_eq!(told("other.test:81").as_deref(), Some("http://other.test:81/x?y"));
        assert_eq!(told("[::1]").as_deref(), Some("http://[::1]/x?y"));
        for host in ["", "a b", "a%zz", "a/b", "a:b:c"] {
            assert_eq!(told(host), None, "{host}");
        }
    }

    #[test]
    fn the_host_has_a_port_where_it_is_not_the_schemes() {
        for (uri, host) in [
            ("http://a.test/", "a.test"),
            ("http://a.test:80/", "a.test"),
            ("http://a.test:443/", "a.test:443"),
            ("https://a.test:443/", "a.test"),
            ("http://[::1]:8080/", "[::1]:8080"),
        ] {
            assert_eq!(host_field(&Uri::from_static(uri)).unwrap(), host, "{uri}");
        }
    }
}
