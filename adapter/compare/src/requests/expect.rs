//! What a request file expects: each expectation with a number, by which its place in the file is found again.

mod read;

use std::collections::BTreeMap;
use std::fmt;

use regex_lite::Regex;
use serde::Deserialize;

use read::{headers, one_or_more};

/// What should come of a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Expect {
    /// The response's status code.
    pub status: Option<Expected<u16>>,
    /// Headers that the response has.
    #[serde(deserialize_with = "headers")]
    pub headers: Vec<Expected<ExpectedHeader>>,
    /// Headers that the response has not.
    #[serde(deserialize_with = "one_or_more")]
    pub no_headers: Vec<Expected<String>>,
    /// The response's whole body.
    pub body: Option<Expected<Pattern>>,
    /// Trailers that the response has.
    #[serde(deserialize_with = "headers")]
    pub trailers: Vec<Expected<ExpectedHeader>>,
    /// Parts of lines of the filter's log.
    #[serde(deserialize_with = "one_or_more")]
    pub log: Vec<Expected<Pattern>>,
    /// What stands in no line of it.
    #[serde(deserialize_with = "one_or_more")]
    pub no_log: Vec<Expected<Pattern>>,
    /// The requests that the upstream got.
    pub upstream: Option<ExpectedRequests>,
    /// The requests that callout clusters got, by their names.
    pub callouts: BTreeMap<String, ExpectedRequests>,
}

/// What should come of the plugin's start.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ExpectStart {
    /// The plugin refuses its configuration, or its VM's.
    pub refused: Option<Expected<bool>>,
    /// Parts of lines of the filter's log.
    #[serde(deserialize_with = "one_or_more")]
    pub log: Vec<Expected<Pattern>>,
    /// What stands in no line of it.
    #[serde(deserialize_with = "one_or_more")]
    pub no_log: Vec<Expected<Pattern>>,
}

/// An expectation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Expected<T> {
    /// What is expected.
    pub value: T,
    /// By which its place is found: [`super::Requests::place`].
    pub(crate) number: usize,
}

/// A header, or a trailer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExpectedHeader {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Pattern,
}

/// What a text should be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Pattern {
    /// This; in a log, a part of a line.
    Text(String),
    /// It has this part.
    Contains(String),
    /// It has a part that this regular expression describes.
    Matches(Regex),
}

/// What a server should have got.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ExpectedRequests {
    /// No request.
    None(Expected<()>),
    /// These, one after another, and no others.
    These(Vec<Expected<ExpectedRequest>>),
}

/// A request that a server should have got.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ExpectedRequest {
    /// Its method.
    pub method: Option<Expected<String>>,
    /// Its path, with the query.
    pub path: Option<Expected<Pattern>>,
    /// Headers that it has.
    #[serde(deserialize_with = "headers")]
    pub headers: Vec<Expected<ExpectedHeader>>,
    /// Headers that it has not.
    #[serde(deserialize_with = "one_or_more")]
    pub no_headers: Vec<Expected<String>>,
    /// Its whole body.
    pub body: Option<Expected<Pattern>>,
    /// Trailers that it has.
    #[serde(deserialize_with = "headers")]
    pub trailers: Vec<Expected<ExpectedHeader>>,
}

impl Expect {
    /// Whether nothing is expected.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { status, headers, no_headers, body, trailers, log, no_log, upstream, callouts } = self;
        let (response, text) = (status.is_none() && body.is_none(), log.is_empty() && no_log.is_empty());
        let fields = headers.is_empty() && no_headers.is_empty() && trailers.is_empty();
        response && fields && text && upstream.is_none() && callouts.is_empty()
    }

    /// The clusters that requests are expected of.
    pub(super) fn clusters(&self) -> impl Iterator<Item = &String> {
        self.callouts.keys()
    }
}

impl ExpectStart {
    /// Whether the plugin should refuse.
    pub(crate) fn refuses(&self) -> bool {
        self.refused.as_ref().is_some_and(|refused| refused.value)
    }
}

impl Pattern {
    /// Whether this is it, or holds it.
    pub(crate) fn is(&self, found: &[u8]) -> bool {
        match self {
            Self::Text(text) => text.as_bytes() == found,
            other => other.is_in(&String::from_utf8_lossy(found)),
        }
    }

    /// Whether this holds it.
    pub(crate) fn is_in(&self, found: &str) -> bool {
        match self {
            Self::Text(text) | Self::Contains(text) => found.contains(text.as_str()),
            Self::Matches(regex) => regex.is_match(found),
        }
    }
}

/// What stands behind "expected".
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Contains(text) => write!(f, "something with {text:?} in it"),
            Self::Matches(regex) => write!(f, "what matches `{regex}`"),
        }
    }
}
