//! What is made equal on both sides before lines are compared: as little as possible, each by a rule with a reason.

mod calls;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use proxy_wasm_adapter_peers::alike::uuids;

use super::message::Message;
use super::requests::Headers;
use proxy_wasm_adapter::digest::sha256;

pub(super) use calls::traces;

/// A reason to make something equal, or to leave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    Addresses,
    RequestIds,
    ConnectionHeaders,
    EnvoyHeaders,
    Host,
    Contexts,
    Clock,
    Pieces,
    Starts,
    Words,
}

impl Rule {
    /// The rule's name, and what it does.
    fn sentence(self) -> &'static str {
        match self {
            Self::Addresses => "addresses: the ports of this run are shown by what listens there, such as `<upstream>`",
            Self::RequestIds => "request ids: `x-request-id` is random, so UUIDs are shown as `<uuid>`",
            Self::ConnectionHeaders => {
                "connection headers: `date`, `server`, `connection` and `keep-alive` are left out, as servers add them \
                 by themselves, behind the filters"
            }
            Self::EnvoyHeaders => "Envoy's headers: `x-envoy-*` is left out, as Envoy adds it by itself",
            Self::Host => {
                "host: where a host sends an upstream its own address as `host`, as wasi:http has it, Envoy's `host` is \
                 shown as that address, too"
            }
            Self::Contexts => {
                "contexts: streams are numbered as they come in each request, as a host that makes new instances counts \
                 anew"
            }
            Self::Clock => {
                "clock: calls of `clock_time_get` are left out of traces that they make differ, as runtimes such as Go's \
                 read the clock as often as it takes them"
            }
            Self::Pieces => {
                "pieces: in traces that they make differ, callbacks for one piece of a body after another are added up \
                 where the filter called nothing in them, as it is the network that cuts a body"
            }
            Self::Starts => {
                "starts: the plugin's start is compared once; a host may make an instance, and start it, for each request"
            }
            Self::Words => "words: why a plugin does not start is told by each side in its own words",
        }
    }
}

/// Makes equal, and keeps which rules were used.
pub(super) struct Normaliser {
    /// Addresses of this run, and what is shown for them.
    addresses: Vec<(String, String)>,
    used: BTreeSet<Rule>,
}

impl Normaliser {
    pub(super) fn new(addresses: impl IntoIterator<Item = (SocketAddr, String)>) -> Self {
        let addresses = addresses.into_iter().map(|(address, name)| (address.to_string(), name)).collect();
        Self { addresses, used: BTreeSet::new() }
    }

    /// What was done, in words.
    pub(super) fn sentences(&self) -> Vec<String> {
        self.used.iter().map(|rule| rule.sentence().to_owned()).collect()
    }

    pub(super) fn used(&mut self, rule: Rule) {
        self.used.insert(rule);
    }

    /// A line of any kind.
    pub(super) fn text(&mut self, text: &str) -> String {
        let mut result = text.to_owned();
        for (address, name) in &self.addresses {
            if result.contains(address.as_str()) {
                result = result.replace(address.as_str(), name);
                self.used.insert(Rule::Addresses);
            }
        }
        match uuids(&result) {
            Some(replaced) => {
                self.used.insert(Rule::RequestIds);
                replaced
            }
            None => result,
        }
    }

    /// A response, as lines.
    pub(super) fn response(&mut self, message: &Message) -> Vec<String> {
        let first = message.first.as_ref().map_or("no response".into(), |status| format!("status: {status}"));
        self.message(first, message, None)
    }

    /// What the server at this address got from both sides, as lines. The other side may be a host that sends it its own
    /// address as `host`.
    pub(super) fn requests(&mut self, sides: [&[Message]; 2], address: SocketAddr) -> [Vec<String>; 2] {
        let address = address.to_string();
        let is_address = |(name, value): &(String, Vec<u8>)| {
            name.eq_ignore_ascii_case("host") && value.as_slice() == address.as_bytes()
        };
        let hides = sides[1].iter().all(|message| message.headers.iter().any(is_address));
        let host = hides.then_some(address.as_str());
        sides.map(|requests| {
            if requests.is_empty() {
                return vec!["no request".into()];
            }
            let line = |message: &Message| {
                let first = message.first.clone().unwrap_or_else(|| "no request".into());
                self.message(first, message, host)
            };
            requests.iter().flat_map(line).collect()
        })
    }

    fn message(&mut self, first: String, message: &Message, host: Option<&str>) -> Vec<String> {
        let mut lines = vec![self.text(&first)];
        self.fields(&mut lines, "", &message.headers, host);
        if message.first.is_some() {
            let body = if message.without_data { "none".into() } else { self.body(&message.body) };
            lines.push(format!("body: {body}"));
        }
        self.fields(&mut lines, "trailer ", &message.trailers, None);
        let end = self.text(&message.end.to_string());
        let last = message.last.map(|last| format!(", {}", last.words())).unwrap_or_default();
        lines.push(format!("end: {end}{last}"));
        lines.extend(message.then.as_ref().map(|then| format!("then: {then}")));
        lines
    }

    fn fields(&mut self, lines: &mut Vec<String>, before: &str, fields: &Headers, host: Option<&str>) {
        for (name, value) in fields {
            let name = name.to_ascii_lowercase();
            let left_out = match name.as_str() {
                "date" | "server" | "connection" | "keep-alive" => Some(Rule::ConnectionHeaders),
                name if name.starts_with("x-envoy-") => Some(Rule::EnvoyHeaders),
                _ => None,
            };
            if let Some(rule) = left_out {
                self.used.insert(rule);
                continue;
            }
            let mut value = escaped(value);
            if let Some(host) = host.filter(|host| name == "host" && *host != value) {
                host.clone_into(&mut value);
                self.used.insert(Rule::Host);
            }
            lines.push(self.text(&format!("{before}{name}: {value}")));
        }
    }

    /// A body that fits on a line, or its length and digest.
    fn body(&mut self, body: &[u8]) -> String {
        const LINE: usize = 100;
        match str::from_utf8(body) {
            Ok(text) if text.len() <= LINE => self.text(&format!("{text:?}")),
            _ => format!("{} bytes, sha256 {}", body.len(), sha256(body).get(..16).unwrap_or_default()),
        }
    }
}

/// Bytes as text, control characters escaped.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() { text.extend(character.escape_default()) } else { text.push(character) }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{End, Last, Then};

    #[test]
    fn makes_runs_alike() {
        let mut normaliser = Normaliser::new([("127.0.0.1:99".parse().unwrap(), "<upstream>".into())]);
        assert_eq!(normaliser.text("at 127.0.0.1:99"), "at <upstream>");
        assert_eq!(normaliser.text("id 0a1b2c3d-0000-4000-8000-0123456789ab."), "id <uuid>.");
        assert_eq!(normaliser.sentences().len(), 2);
    }

    #[test]
    fn messages_are_lines() {
        let address = "127.0.0.1:99".parse().unwrap();
        let mut normaliser = Normaliser::new([(address, "<upstream>".into())]);
        let header = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
        let message = Message {
            first: Some("GET /".into()),
            headers: vec![header("Host", b"a.test"), header("date", b"now"), header("X-Odd", b"\xff\t")],
            body: vec![b'x'; 101],
            trailers: vec![header("t", b"1")],
            end: End::Complete,
            ..Message::default()
        };
        let lines = |host: &str| {
            let lines = [
                "GET /",
                host,
                "x-odd: \\xff\\t",
                "body: 101 bytes, sha256 c675a2e604b0cd12",
                "trailer t: 1",
                "end: complete",
            ];
            lines.map(str::to_owned).to_vec()
        };
        let here =
            Message { headers: vec![header("host", b"127.0.0.1:99"), message.headers[2].clone()], ..message.clone() };
        assert_eq!(
            normaliser.requests([std::slice::from_ref(&message), &[here]], address),
            [(); 2].map(|()| lines("host: <upstream>"))
        );
        let none = vec!["no request".to_owned()];
        assert_eq!(
            normaliser.requests([std::slice::from_ref(&message), std::slice::from_ref(&message)], address),
            [(); 2].map(|()| lines("host: a.test"))
        );
        assert_eq!(normaliser.requests([&[], &[]], address), [none.clone(), none]);
        assert_eq!(normaliser.used.len(), 3);
        assert_eq!(normaliser.response(&Message::default()), ["no response", "end: has not ended"]);
        let only_a_head = Message {
            first: Some("200".into()),
            without_data: true,
            end: End::Complete,
            last: Some(Last::Head),
            then: Some(Then::StreamReset("NO_ERROR".into())),
            ..Message::default()
        };
        assert_eq!(
            normaliser.response(&only_a_head),
            ["status: 200", "body: none", "end: complete, with the head", "then: the stream is reset: NO_ERROR"]
        );
    }
}
