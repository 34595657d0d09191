//! What of a transcript is left out or made alike before it is compared, and why. It is the same for every host; what
//! differs beyond it stands in `known-differences.toml`.

use proxy_wasm_adapter_peers::alike::uuids;

/// Headers that a server adds or changes on a connection by itself, and which no filter decides about.
///
/// - `connection`, `keep-alive`: about the connection, not the message.
/// - `date`, `server`: Envoy adds them after its filters; other servers have their own.
const CONNECTION_HEADERS: [&str; 4] = ["connection", "date", "keep-alive", "server"];

/// Whether a header on a connection is compared.
pub fn is_compared(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    !CONNECTION_HEADERS.iter().any(|header| header.as_bytes() == name) && !name.starts_with(b"x-script")
}

/// Whether a header is compared where each line of a head is shown: what has another value in each run is not.
pub fn is_compared_on_the_wire(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    !["date", "server"].iter().any(|header| header.as_bytes() == name) && !name.starts_with(b"x-script")
}

/// A line of a transcript without what differs from run to run: UUIDs, dates, times, this run's ports.
pub fn line(text: &str, ports: &[(u16, &str)]) -> String {
    let mut text = uuids(text).unwrap_or_else(|| text.into());
    for (port, name) in ports {
        for host in ["127.0.0.1", "localhost"] {
            text = text.replace(&format!("{host}:{port}"), &format!("<{name}>"));
        }
    }
    service_times(&dates(&text))
}

/// The value of a `date` header that a filter logged.
fn dates(text: &str) -> String {
    let Some((before, after)) = text.split_once("[date: ") else { return text.into() };
    match after.split_once(" GMT]") {
        Some((_, after)) => format!("{before}[date: <date>]{after}"),
        None => text.into(),
    }
}

/// How long a callout took.
fn service_times(text: &str) -> String {
    const HEADER: &str = "[x-envoy-upstream-service-time: ";
    let mut parts = text.split(HEADER);
    let mut result = parts.next().unwrap_or_default().to_string();
    for part in parts {
        result.push_str(HEADER);
        result.push_str("<ms>");
        result.push_str(part.trim_start_matches(|character: char| character.is_ascii_digit()));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_runs_alike() {
        assert_eq!(
            line("[x-request-id: 0a1b2c3d-0000-4000-8000-0123456789ab] at 127.0.0.1:99", &[(99, "upstream")]),
            "[x-request-id: <uuid>] at <upstream>"
        );
        assert_eq!(line("[x-envoy-upstream-service-time: 12]", &[]), "[x-envoy-upstream-service-time: <ms>]");
        assert_eq!(line("[date: Sun, 22 Nov 2026 15:00:00 GMT] [a: b]", &[]), "[date: <date>] [a: b]");
    }
}
