//! The request line: a method, a target, a version.

use std::net::Ipv6Addr;

use super::refusal::Refusal;

/// The methods that Envoy's parser knows. Others are refused there. Source: measured.
const METHODS: [&str; 35] = [
    "ACL",
    "BIND",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "MSEARCH",
    "NOTIFY",
    "OPTIONS",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "TRACE",
    "UNBIND",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
];

/// A request line that is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestLine {
    pub(super) method: &'static str,
    /// Path and query; the authority for `CONNECT`.
    pub(super) target: String,
    /// Where the target is absolute, or an authority, that in it, which counts over `host`.
    pub(super) authority: Option<String>,
    /// It is HTTP/1.1.
    pub(super) is_current: bool,
}

impl RequestLine {
    /// Judges a line without its end.
    pub(super) fn parse(line: &[u8]) -> Result<Self, Refusal> {
        // Other bytes than these in it are refused below, with the word that they stand in.
        let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err(Refusal::BAD_REQUEST) };
        let version = words.next();
        if !line.starts_with(method) || words.next().is_some() {
            return Err(Refusal::BAD_REQUEST);
        }
        let method = METHODS.into_iter().find(|known| known.as_bytes() == method).ok_or(Refusal::BAD_REQUEST)?;
        let target = text(target)?;
        let (authority, target) = match method {
            "CONNECT" => connect_target(target).map(|target| (Some(target.to_owned()), target))?,
            "OPTIONS" if target.starts_with('*') => (None, target),
            _ if target.starts_with('/') => (None, target),
            _ => absolute(target).map(|(authority, target)| (Some(authority.to_owned()), target))?,
        };
        let is_current = is_current(version)?;
        Ok(Self { method, target: target.to_owned(), authority, is_current })
    }

    /// What a line that was parsed is refused for after its header fields were looked at.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.method == "CONNECT" {
            return Err(Refusal::CONNECT);
        }
        // What is behind it is the client's own affair, and some servers cut it off.
        if self.target.contains('#') {
            return Err(Refusal::FRAGMENT);
        }
        Ok(())
    }
}

/// No target has other bytes than visible ASCII.
fn text(target: &[u8]) -> Result<&str, Refusal> {
    if target.iter().any(u8::is_ascii_control) {
        return Err(Refusal::INVALID_CHARACTERS);
    }
    let is_visible = target.iter().all(u8::is_ascii_graphic);
    str::from_utf8(target).ok().filter(|_| is_visible).ok_or(Refusal::BAD_REQUEST)
}

/// Whether a version is 1.1; others that look like one are for servers that know them. Without any it is 0.9.
fn is_current(version: Option<&[u8]>) -> Result<bool, Refusal> {
    match version {
        None => Ok(false),
        Some([b'H', b'T', b'T', b'P', b'/', major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9']) => {
            Ok((major, minor) == (&b'1', &b'1'))
        }
        Some(_) => Err(Refusal::BAD_REQUEST),
    }
}

/// `host:port`.
fn connect_target(target: &str) -> Result<&str, Refusal> {
    match target.rsplit_once(':') {
        Some((host, port)) if is_host(host) && is_port(port) => Ok(target),
        _ => Err(Refusal::INVALID_URL),
    }
}

/// What no user has: some read `http://a\@b` as of `a`, some as of `b`. Source: measured.
const NO_USER: [char; 11] = ['"', '<', '>', '[', '\\', ']', '^', '`', '{', '|', '}'];

/// The authority, without its user, and the path and query of `http://…` or `https://…`.
fn absolute(target: &str) -> Result<(&str, &str), Refusal> {
    let (scheme, rest) = target.split_once("://").ok_or(Refusal::BAD_REQUEST)?;
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(Refusal::INVALID_SCHEME);
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, authority) = authority.split_once('@').unwrap_or(("", authority));
    if user.contains(NO_USER) {
        return Err(Refusal::INVALID_URL);
    }
    let port_at = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
    let is_valid = match port_at {
        Some(at) => is_host(&authority[..at]) && is_port(&authority[at + 1..]),
        None => is_host(authority),
    };
    if !is_valid {
        return Err(Refusal::INVALID_URL);
    }
    Ok((authority, if path.is_empty() { "/" } else { path }))
}

/// A name or an address, as it may stand in a target.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)),
    }
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<(Option<String>, String, bool), Refusal> {
        RequestLine::parse(line.as_bytes()).map(|line| (line.authority, line.target, line.is_current))
    }

    #[test]
    fn targets_of_each_form() {
        let own = |target: &str| Ok((None, target.into(), true));
        let other = |authority: &str, target: &str| Ok((Some(authority.into()), target.into(), true));
        assert_eq!(parse("GET /a?b=<c> HTTP/1.1"), own("/a?b=<c>"));
        assert_eq!(parse("GET\t /a  HTTP/1.1 "), own("/a"));
        assert_eq!(parse("OPTIONS * HTTP/1.1"), own("*"));
        assert_eq!(parse("CONNECT a:1 HTTP/1.1"), other("a:1", "a:1"));
        assert_eq!(parse("GET HTTP://u:p@A.test:8/b HTTP/1.1"), other("A.test:8", "/b"));
        assert_eq!(parse("GET https://[::1] HTTP/1.1"), other("[::1]", "/"));
        assert_eq!(parse("GET http://a?b HTTP/1.1"), other("a", "?b"));
    }

    #[test]
    fn what_is_none() {
        use Refusal as R;
        for (refusal, lines) in [
            (R::BAD_REQUEST, ["", "GET", " GET / HTTP/1.1", "GET / b HTTP/1.1", "get / HTTP/1.1"].as_slice()),
            (R::BAD_REQUEST, &["FOO / HTTP/1.1", "GET a HTTP/1.1", "GET a:80 HTTP/1.1", "GET * HTTP/1.1"]),
            (R::BAD_REQUEST, &["GET ?a HTTP/1.1", "GET http:/a HTTP/1.1", "GET /\u{e4} HTTP/1.1"]),
            (R::BAD_REQUEST, &["GET / HTTP/1", "GET / http/1.1", "GET / HTTP/1.10", "GET / ICY/1.1"]),
            (R::INVALID_SCHEME, &["GET ftp://a/ HTTP/1.1"]),
            (R::INVALID_URL, &["GET http:/// HTTP/1.1", "GET http://a_b/ HTTP/1.1", "GET http://a:/ HTTP/1.1"]),
            (R::INVALID_URL, &["GET http://a:x/ HTTP/1.1", "GET http://a:65536/ HTTP/1.1", "GET http://a,b/ HTTP/1.1"]),
            (
                R::INVALID_URL,
                &["GET http://u@v@a/ HTTP/1.1", "GET http://[::1/ HTTP/1.1", "GET http://[:::1]/ HTTP/1.1"],
            ),
            (R::INVALID_URL, &["GET http://u\\@a/ HTTP/1.1", "GET http://u:|@a/ HTTP/1.1"]),
            (R::INVALID_URL, &["CONNECT a HTTP/1.1", "CONNECT a: HTTP/1.1", "CONNECT / HTTP/1.1"]),
            (R::INVALID_CHARACTERS, &["GET /\u{7f} HTTP/1.1", "GET /\0 HTTP/1.1"]),
        ] {
            for line in lines {
                assert_eq!(parse(line), Err(refusal), "{line}");
            }
        }
    }

    #[test]
    fn other_versions_are_told_from_none() {
        for version in ["", "HTTP/0.9", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0"] {
            assert_eq!(parse(&format!("GET / {version}")), Ok((None, "/".into(), false)), "{version}");
        }
    }
}
