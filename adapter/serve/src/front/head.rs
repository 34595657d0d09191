//! A request's head, as a whole.

use super::super::wire::{self, Block, Length};
use super::is_host_field;
use super::line::RequestLine;
use super::refusal::Refusal;

/// From how many headers on that `connection` names a request is refused. Source: Envoy.
const MANY_NAMED: usize = 10;

/// Fields about the connection, which hyper is told of in its own words.
const OF_THE_CONNECTION: [&str; 6] =
    ["connection", "host", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// A head that is one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// It in the one way to write it. The target is told apart from it: hyper's type for targets has no place for all
    /// that may be in one. Where the connection ends with the answer, it is one without a body, which nobody reads.
    pub(super) bytes: Vec<u8>,
    pub(super) method: &'static str,
    /// Path and query.
    pub(super) target: String,
    pub(super) length: Length,
    /// What it is answered without asking the component.
    pub(super) verdict: Option<Refusal>,
}

impl Head {
    /// Judges a head, its last line included.
    pub(super) fn judge(head: &[u8]) -> Result<Self, Refusal> {
        let head = Block::head(head)?;
        let line = RequestLine::parse(head.start())?;
        if !line.is_current {
            return Err(Refusal::UPGRADE_REQUIRED);
        }
        let length = wire::length(&head)?;
        if line.method == "CONNECT" && !matches!(length, Length::Unsaid | Length::Sized(0)) {
            return Err(if length == Length::Chunked { Refusal::NOT_IMPLEMENTED } else { Refusal::BODY_DISALLOWED });
        }
        let named = named(&head)?;
        if matches!(length, Length::Sized(_)) && named.iter().any(|name| name == "content-length") {
            return Err(Refusal::BAD_REQUEST);
        }
        let host = host(&head)?;
        let host = line.authority.as_deref().or(host.filter(|_| !named.iter().any(|name| name == "host")));
        let verdict = verdict(&line, host, &head, &named).err();
        let (method, body) = match verdict {
            Some(verdict) if verdict.ends_the_connection() => ("GET", None),
            _ => (line.method, Some(length)),
        };
        let bytes = write(method, host, body, &head, &named);
        Ok(Self { bytes, method: line.method, target: line.target, length, verdict })
    }
}

/// What is answered to a request that is one.
fn verdict(line: &RequestLine, host: Option<&str>, head: &Block<'_>, named: &[String]) -> Result<(), Refusal> {
    line.check()?;
    if host.is_none() {
        return Err(Refusal::MISSING_HOST);
    }
    if named.iter().any(|name| name == "upgrade") && is_upgrade(head) {
        return Err(Refusal::UPGRADE);
    }
    // Source: measured.
    if line.method == "QUERY" && head.values("content-type").next().is_none() {
        return Err(Refusal::QUERY);
    }
    if line.target.starts_with('/') { Ok(()) } else { Err(Refusal::NoPath) }
}

/// What `connection` names, in lower case. Headers that tell where a request came from, or where it goes, are none of
/// its affair.
fn named(head: &Block<'_>) -> Result<Vec<String>, Refusal> {
    let items = head.items("connection").map(|item| String::from_utf8_lossy(item).to_ascii_lowercase());
    let named: Vec<String> = items.collect();
    let is_forbidden = |name: &String| {
        name.starts_with(':') || ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"].contains(&name.as_str())
    };
    if named.len() >= MANY_NAMED || named.iter().any(is_forbidden) {
        Err(Refusal::CONNECTION_REJECTED)
    } else {
        Ok(named)
    }
}

/// The one `host`.
fn host<'a>(head: &'a Block<'_>) -> Result<Option<&'a str>, Refusal> {
    let mut hosts = head.values("host");
    let Some(host) = hosts.next() else { return Ok(None) };
    if hosts.next().is_some() || !is_host_field(host) {
        // Who takes the first of several, and who the last? Nobody knows.
        return Err(Refusal::INVALID_AUTHORITY);
    }
    str::from_utf8(host).map(Some).map_err(|_| Refusal::INVALID_AUTHORITY)
}

/// Whether it asks for another protocol. HTTP/2 is one that a client must be able to do without.
fn is_upgrade(head: &Block<'_>) -> bool {
    let mut protocols = head.values("upgrade");
    match (protocols.next(), protocols.next()) {
        (None, _) => false,
        (Some(protocol), None) => !protocol.eq_ignore_ascii_case(b"h2c"),
        (Some(_), Some(_)) => true,
    }
}

fn write(method: &str, host: Option<&str>, body: Option<Length>, head: &Block<'_>, named: &[String]) -> Vec<u8> {
    let mut bytes = format!("{method} / HTTP/1.1\r\n").into_bytes();
    if let Some(host) = host {
        bytes.extend_from_slice(format!("host: {host}\r\n").as_bytes());
    }
    let mut ends = head.items("connection").chain(head.items("proxy-connection"));
    if ends.any(|item| item.eq_ignore_ascii_case(b"close")) {
        bytes.extend_from_slice(b"connection: close\r\n");
    }
    if body == Some(Length::Chunked) {
        bytes.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    for field in head.fields() {
        let is_named = named.iter().any(|name| field.is(name)) && !field.is("te");
        let is_of_none = body.is_none() && field.is("content-length");
        if !is_named && !is_of_none && !OF_THE_CONNECTION.iter().any(|name| field.is(name)) {
            field.write(&mut bytes);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(lines: &[&str]) -> Result<String, Refusal> {
        let head = lines.iter().map(|line| format!("{line}\r\n")).collect::<String>() + "\r\n";
        let head = Head::judge(head.as_bytes())?;
        match head.verdict {
            Some(verdict) => Err(verdict),
            None => Ok(String::from_utf8(head.bytes).unwrap().replace("\r\n", "|")),
        }
    }

    #[test]
    fn there_is_one_way_to_write_it() {
        let written =
            judge(&["GET http://a/b HTTP/1.1", "Host: c", "X-A:1", "Connection: x-b, TE", "x-b: 2", "TE: trailers"]);
        assert_eq!(written.unwrap(), "GET / HTTP/1.1|host: a|x-a: 1|te: trailers||");
        let written = judge(&[
            "POST /b HTTP/1.1",
            "keep-alive: 5",
            "transfer-encoding: Chunked",
            "proxy-connection: close",
            "host:",
        ]);
        assert_eq!(written.unwrap(), "POST / HTTP/1.1|host: |connection: close|transfer-encoding: chunked||");
        let written = judge(&[
            "GET / HTTP/1.1",
            "host: a",
            "connection: upgrade, http2-settings",
            "upgrade: h2c",
            "http2-settings: A",
        ]);
        assert_eq!(written.unwrap(), "GET / HTTP/1.1|host: a||");
    }

    #[test]
    fn each_refusal() {
        let get = |more: &str| judge(&["GET / HTTP/1.1", "host: a", more]);
        assert_eq!(judge(&["GET / HTTP/1.1"]), Err(Refusal::MISSING_HOST));
        assert_eq!(judge(&["GET / HTTP/1.0", "host: a"]), Err(Refusal::UPGRADE_REQUIRED));
        assert_eq!(judge(&["GET /#a HTTP/1.1", "host: a"]), Err(Refusal::FRAGMENT));
        assert_eq!(judge(&["CONNECT a:1 HTTP/1.1", "host: a"]), Err(Refusal::CONNECT));
        assert_eq!(judge(&["CONNECT a:1 HTTP/1.1", "content-length: 1"]), Err(Refusal::BODY_DISALLOWED));
        assert_eq!(judge(&["OPTIONS * HTTP/1.1", "host: a"]), Err(Refusal::NoPath));
        assert_eq!(judge(&["QUERY / HTTP/1.1", "host: a"]), Err(Refusal::QUERY));
        assert_eq!(get("host: a"), Err(Refusal::INVALID_AUTHORITY));
        assert_eq!(get("connection: host"), Err(Refusal::MISSING_HOST));
        assert_eq!(get("connection: X-Forwarded-For"), Err(Refusal::CONNECTION_REJECTED));
        assert_eq!(get("connection: a,b,c,d,e,f,g,h,i,j"), Err(Refusal::CONNECTION_REJECTED));
        assert_eq!(judge(&["GET / HTTP/1.1", "host: a", "connection: upgrade", "upgrade: x"]), Err(Refusal::UPGRADE));
        assert!(get("upgrade: x").is_ok());
        for host in ["a b", "a/b", "http://a", "a, b", "<a>", "\"a\"", "{a}", "a\\b"] {
            assert_eq!(judge(&["GET / HTTP/1.1", &format!("host: {host}")]), Err(Refusal::INVALID_AUTHORITY), "{host}");
        }
        let many: Vec<String> = (0..100).map(|i| format!("x-{i}: 1")).collect();
        let head = |count: usize| {
            let mut lines = vec!["GET / HTTP/1.1", "host: a"];
            lines.extend(many[..count].iter().map(String::as_str));
            judge(&lines)
        };
        assert!(head(99).is_ok());
        assert_eq!(head(100), Err(Refusal::TOO_MANY));
    }
}
