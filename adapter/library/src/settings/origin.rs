//! URLs of origins.

use http::Uri;
use proxy_wasm_abi::settings::Origin;

use super::Problem;

/// The origin at this URL.
pub(super) fn parse(of: impl Into<String>, url: &str) -> Result<Origin, Problem> {
    origin(url).map_err(|reason| Problem::Url { of: of.into(), url: url.into(), reason: reason.into() })
}

fn origin(url: &str) -> Result<Origin, &'static str> {
    let (scheme, rest) = url.split_once("://").ok_or("it has no scheme")?;
    let (tls, own_port) = match scheme.to_ascii_lowercase().as_str() {
        "http" => (false, 80),
        "https" => (true, 443),
        _ => return Err("its scheme is neither `http` nor `https`"),
    };
    if rest.contains('#') {
        return Err("it has a fragment");
    }
    let uri: Uri = url.parse().map_err(|_| "it is not a URL")?;
    let authority = uri.authority().ok_or("it has no host")?;
    if authority.as_str().contains('@') {
        return Err("it has a user name");
    }
    if authority.host().is_empty() {
        return Err("it has no host");
    }
    if !matches!(uri.path(), "" | "/") {
        return Err("it has a path, and requests keep their own");
    }
    if uri.query().is_some() {
        return Err("it has a query, and requests keep their own");
    }
    let host = authority.host().to_ascii_lowercase();
    let port = authority.as_str().get(authority.host().len()..).unwrap_or("");
    let authority = match port.strip_prefix(':') {
        None => host,
        Some(port) => match port.parse::<u16>() {
            Ok(0) | Err(_) => return Err("its port is not a number from 1 to 65535"),
            Ok(port) if port == own_port => host,
            Ok(port) => format!("{host}:{port}"),
        },
    };
    Ok(Origin { tls, authority })
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn origins() {
        for (url, tls, authority) in [
            ("http://localhost", false, "localhost"),
            ("HTTP://Localhost:80/", false, "localhost"),
            ("https://example.org:443", true, "example.org"),
            ("https://example.org:80", true, "example.org:80"),
            ("http://[::1]:8080", false, "[::1]:8080"),
            ("http://127.0.0.1:9000/", false, "127.0.0.1:9000"),
        ] {
            let found = origin(url).unwrap();
            assert_eq!((found.tls, found.authority.as_str()), (tls, authority), "{url}");
        }
    }

    #[test]
    fn refusals() {
        for (url, reason) in [
            ("localhost:8080", "it has no scheme"),
            ("ftp://a", "its scheme is neither `http` nor `https`"),
            ("http://", "it is not a URL"),
            ("http://a b", "it is not a URL"),
            ("http://user:pw@a", "it has a user name"),
            ("http://a/path", "it has a path, and requests keep their own"),
            ("http://a?q", "it has a query, and requests keep their own"),
            ("http://a#f", "it has a fragment"),
            ("http://a:0", "its port is not a number from 1 to 65535"),
            ("http://a:99999", "its port is not a number from 1 to 65535"),
            ("http://:80", "it has no host"),
        ] {
            assert_eq!(origin(url), Err(reason), "{url}");
        }
    }
}
