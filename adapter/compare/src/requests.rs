//! The request file: what is sent, how the upstream and the callout clusters answer, and what is expected.
//!
//! ```yaml
//! requests:
//!   - method: POST
//!     path: /login
//!     headers: {content-type: text/plain}
//!     body: [first, {text: second, after: 50ms}]
//! ```

mod expect;
mod fields;
mod parse;

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

pub use expect::{Expect, ExpectStart, Expected, ExpectedHeader, ExpectedRequest, ExpectedRequests, Pattern};
pub use parse::{Place, Problem, parse};

/// The longest time that a request file can name.
pub const LONGEST: Duration = Duration::from_secs(600);

/// The longest body that a request file can ask for.
pub const LARGEST: usize = 64 << 20;

/// A request file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Requests {
    /// Sent one after another, each on a connection of its own.
    #[serde(default, deserialize_with = "fields::requests")]
    pub requests: Vec<Request>,
    /// What the plugin's start should come to.
    #[serde(default)]
    pub start: ExpectStart,
    /// How the upstream answers where a request does not say otherwise.
    #[serde(default)]
    pub upstream: Answer,
    /// The same for callout clusters, by name.
    #[serde(default)]
    pub clusters: Clusters,
    /// How many expectations there are in it.
    #[serde(skip)]
    pub(super) expectations: usize,
    /// What stands in the file.
    #[serde(skip)]
    text: String,
}

/// Answers by the name of the cluster.
pub type Clusters = std::collections::BTreeMap<String, Answer>;

/// One request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Request {
    /// What reports call it; method and path unless it is given.
    pub name: String,
    /// The method.
    #[serde(deserialize_with = "fields::method")]
    pub method: String,
    /// The path, with the query.
    #[serde(deserialize_with = "fields::path")]
    pub path: String,
    /// The version of HTTP that the client speaks.
    #[serde(deserialize_with = "fields::version")]
    pub version: Version,
    /// Headers in their order. `host` takes the place of the one that is sent otherwise.
    #[serde(deserialize_with = "fields::headers")]
    pub headers: Headers,
    /// The body.
    #[serde(deserialize_with = "fields::body")]
    pub body: Body,
    /// Trailers, after a body in chunks.
    #[serde(deserialize_with = "fields::headers")]
    pub trailers: Headers,
    /// The client goes away this long after it began to send.
    #[serde(deserialize_with = "fields::optional_time")]
    pub abort: Option<Duration>,
    /// How long the client waits for the whole response.
    #[serde(deserialize_with = "fields::optional_time")]
    pub timeout: Option<Duration>,
    /// How the upstream answers this request.
    pub upstream: Option<Answer>,
    /// How callout clusters answer during this request.
    pub clusters: Clusters,
    /// What should come of it, on either side.
    pub expect: Expect,
}

/// Names and values, in order.
pub type Headers = Vec<(String, Vec<u8>)>;

impl Default for Request {
    fn default() -> Self {
        Self {
            name: String::new(),
            method: "GET".into(),
            path: "/".into(),
            version: Version::default(),
            headers: Vec::new(),
            body: Body::default(),
            trailers: Vec::new(),
            abort: None,
            timeout: None,
            upstream: None,
            clusters: Clusters::new(),
            expect: Expect::default(),
        }
    }
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1
    #[default]
    Http1,
    /// HTTP/2 without TLS, known before.
    Http2,
}

/// A body, piece by piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// What is sent, and when.
    pub pieces: Vec<Piece>,
    /// In HTTP/1.1 each piece is a chunk; else there is a `content-length`.
    pub chunked: bool,
}

impl Body {
    /// All of it.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes.len()).sum()
    }

    /// Whether there is no body.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && !self.chunked
    }
}

/// A piece of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it holds.
    pub bytes: Bytes,
    /// How long to wait before it is sent.
    pub after: Duration,
}

/// What an upstream or a callout cluster does with a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Answer {
    /// The status code.
    #[serde(deserialize_with = "fields::status")]
    pub status: u16,
    /// Headers in their order; what tells the body's length is added unless it is among them.
    #[serde(deserialize_with = "fields::headers")]
    pub headers: Headers,
    /// The body.
    #[serde(deserialize_with = "fields::body")]
    pub body: Body,
    /// Trailers, after a body in chunks.
    #[serde(deserialize_with = "fields::headers")]
    pub trailers: Headers,
    /// How long to wait before the head is sent.
    #[serde(deserialize_with = "fields::time")]
    pub after: Duration,
    /// Answer as soon as the request's head is there, rather than after the whole request.
    pub early: bool,
    /// Break off.
    #[serde(deserialize_with = "fields::fail")]
    pub fail: Option<Fail>,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: 200,
            headers: vec![("content-type".into(), b"text/plain".to_vec())],
            body: Body {
                pieces: vec![Piece { bytes: Bytes::from_static(b"ok\n"), after: Duration::ZERO }],
                chunked: false,
            },
            trailers: Vec::new(),
            after: Duration::ZERO,
            early: false,
            fail: None,
        }
    }
}

/// How an upstream fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fail {
    /// It takes no connection.
    Refuse,
    /// The connection is reset after this many bytes of the body, or instead of an answer.
    Reset(Option<usize>),
    /// The connection is closed after this many bytes of the body, or instead of an answer.
    Close(Option<usize>),
}

impl Requests {
    /// The names of reports: each once.
    fn name(&mut self) {
        let mut taken = std::collections::BTreeSet::from(["start".to_owned()]);
        for request in &mut self.requests {
            let name = if request.name.is_empty() {
                format!("{} {}", request.method, request.path)
            } else {
                std::mem::take(&mut request.name)
            };
            let numbered = (2..).map(|number| format!("{name} ({number})"));
            let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name));
            request.name = free.unwrap_or(name);
            taken.insert(request.name.clone());
        }
    }

    /// The clusters that answers are given for, or requests expected of.
    pub(super) fn cluster_names(&self) -> impl Iterator<Item = &str> {
        let of_requests =
            self.requests.iter().flat_map(|request| request.clusters.keys().chain(request.expect.clusters()));
        of_requests.chain(self.clusters.keys()).map(String::as_str)
    }

    /// How many expectations there are in it.
    pub fn expectations(&self) -> usize {
        self.expectations
    }

    /// Where the expectation with this number stands.
    pub(super) fn place(&self, number: usize) -> Option<Place> {
        parse::place(&self.text, number)
    }
}
