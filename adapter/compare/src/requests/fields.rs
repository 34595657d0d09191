//! The values of a request file, each read by what it has to be.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de::Error as _};

use super::parse::refuse;
use super::{Body, Fail, Headers, LARGEST, LONGEST, Piece, Request, Version};
use proxy_wasm_adapter::values::{parse_bytes, parse_time_with_unit};

pub(super) const TOKEN: &str = "it takes letters, digits and ``!#$%&'*+-.^_`|~``";

/// A scalar, read by a function of its text; what the function refuses is told where the scalar stands.
pub(super) struct Scalar<T, F> {
    /// What has to stand there.
    expected: &'static str,
    /// What takes the place of a refused one.
    stand_in: T,
    read: F,
}

impl<'de, T, F: FnOnce(&str) -> Result<T, String>> Visitor<'de> for Scalar<T, F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).or_else(|message| refuse(self.stand_in, message))
    }
}

impl<'de, T, F: FnOnce(&str) -> Result<T, String>> DeserializeSeed<'de> for Scalar<T, F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        // Any scalar has a text: `200` needs no quotes.
        deserializer.deserialize_str(self)
    }
}

fn scalar<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    stand_in: T,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    Scalar { expected, stand_in, read }.deserialize(deserializer)
}

pub(super) fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

pub(super) fn requests<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Request>, D::Error> {
    struct List;
    impl<'de> Visitor<'de> for List {
        type Value = Vec<Request>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of requests, such as `[{method: GET, path: /}]`")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Request>, A::Error> {
            let mut requests = Vec::new();
            while let Some(request) = list.next_element()? {
                requests.push(request);
            }
            if requests.is_empty() {
                return refuse(requests, "there is no request: give one, such as `{method: GET, path: /}`");
            }
            Ok(requests)
        }
    }
    deserializer.deserialize_seq(List)
}

pub(super) fn method<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    scalar(deserializer, "a method, such as `GET`", String::new(), |text| {
        is_token(text).then(|| text.into()).ok_or_else(|| format!("`{text}` is no method: {TOKEN}"))
    })
}

pub(super) fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    scalar(deserializer, "a path, such as `/`", String::new(), |text| {
        let is_path = text.starts_with('/') || text == "*";
        if is_path && text.bytes().all(|byte| byte > b' ' && byte != 0x7f) {
            return Ok(text.into());
        }
        let rule = "it begins with `/`, or is `*`, and has no spaces or control characters";
        Err(format!("`{text}` is no path: {rule}"))
    })
}

pub(super) fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
    scalar(deserializer, "`1.1` or `2`", Version::default(), |text| match text {
        "1.1" | "1" => Ok(Version::Http1),
        "2" | "2.0" => Ok(Version::Http2),
        _ => Err(format!("`{text}` is no version that can be spoken: it is `1.1` or `2`")),
    })
}

pub(super) fn read_status(text: &str) -> Result<u16, String> {
    match text.parse::<u16>() {
        Ok(status) if (200..=999).contains(&status) => Ok(status),
        _ => Err(format!("{text} is no status code: it goes from 200 to 999")),
    }
}

pub(super) fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    scalar(deserializer, "a status code", 200, read_status)
}

fn read_time(text: &str) -> Result<Duration, String> {
    match parse_time_with_unit(text)? {
        time if time <= LONGEST => Ok(time),
        _ => Err(format!("`{text}` is too long: at most {} s can be waited for", LONGEST.as_secs())),
    }
}

const TIME: &str = "a time, such as `50ms` or `2s`";

pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    scalar(deserializer, TIME, Duration::ZERO, read_time)
}

pub(super) fn optional_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    scalar(deserializer, TIME, None, |text| read_time(text).map(Some))
}

pub(super) fn read_name(text: &str) -> Result<String, String> {
    if text.starts_with(':') {
        return Err(format!("`{text}` is made from `method`, `path` and the header `host`: leave it out"));
    }
    is_token(text).then(|| text.into()).ok_or_else(|| format!("`{text}` is no name of a header: {TOKEN}"))
}

/// A function of a scalar's text.
pub(super) type Read<T> = fn(&str) -> Result<T, String>;

pub(super) fn name() -> Scalar<String, Read<String>> {
    Scalar { expected: "the name of a header", stand_in: String::new(), read: read_name }
}

fn value() -> Scalar<Vec<u8>, Read<Vec<u8>>> {
    let read: Read<_> = |text| {
        if text.contains(['\r', '\n', '\0']) {
            return Err(format!("{text:?} is no value of a header: it has no line breaks and no NUL"));
        }
        Ok(text.as_bytes().to_vec())
    };
    Scalar { expected: "the value of a header", stand_in: Vec::new(), read }
}

pub(super) fn headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Headers, D::Error> {
    struct List;
    impl<'de> Visitor<'de> for List {
        type Value = Headers;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("headers: `{name: value}`, or `[[name, value], …]` where a name comes more than once")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
            let mut headers = Headers::new();
            while let Some(name) = map.next_key_seed(name())? {
                headers.push((name, map.next_value_seed(value())?));
            }
            Ok(headers)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Headers, A::Error> {
            let mut headers = Headers::new();
            while let Some(pair) = list.next_element_seed(Pair)? {
                headers.push(pair);
            }
            Ok(headers)
        }
    }
    deserializer.deserialize_any(List)
}

/// `[name, value]`
struct Pair;

impl<'de> DeserializeSeed<'de> for Pair {
    type Value = (String, Vec<u8>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Pair {
    type Value = (String, Vec<u8>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header `[name, value]`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let missing = |length| A::Error::invalid_length(length, &"a header `[name, value]`");
        let name = list.next_element_seed(name())?.ok_or_else(|| missing(0))?;
        let value = list.next_element_seed(value())?.ok_or_else(|| missing(1))?;
        match list.next_element::<de::IgnoredAny>()? {
            None => Ok((name, value)),
            Some(_) => Err(missing(3)),
        }
    }
}

/// A piece as it is written, if it is not just text.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    text: Option<String>,
    #[serde(deserialize_with = "fill")]
    fill: Option<Bytes>,
    #[serde(deserialize_with = "base64")]
    base64: Option<Bytes>,
    #[serde(deserialize_with = "hex")]
    hex: Option<Bytes>,
    #[serde(deserialize_with = "time")]
    after: Duration,
}

fn fill<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
    scalar(deserializer, "a number of bytes", None, |text| match parse_bytes(&text.replace('_', ""))? {
        count if count <= LARGEST => Ok(Some(vec![b'x'; count].into())),
        _ => Err(format!("`{text}` is too much: a body may have {} MiB", LARGEST >> 20)),
    })
}

fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
    scalar(deserializer, "bytes in Base64", None, |text| {
        STANDARD.decode(text).map(|bytes| Some(bytes.into())).map_err(|error| format!("`{text}` is no Base64: {error}"))
    })
}

fn hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
    scalar(deserializer, "bytes in hexadecimal", None, |text| {
        let digits: Option<Vec<u32>> = text.chars().filter(|c| *c != ' ').map(|c| c.to_digit(16)).collect();
        let digits = digits.filter(|digits| digits.len().is_multiple_of(2));
        let bytes = digits.map(|digits| digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect());
        bytes.map(Some).ok_or_else(|| format!("`{text}` is not in hexadecimal, two digits a byte"))
    })
}

impl<'de> DeserializeSeed<'de> for PieceSeed {
    type Value = Piece;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Piece, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Text, or a map that says more.
struct PieceSeed;

const PIECE: &str = "text (in quotes if it looks like a number), or one of `{text: …}`, `{fill: BYTES}`, `{base64: …}`, \
                     `{hex: …}`, with `after: 50ms` if need be";

impl<'de> Visitor<'de> for PieceSeed {
    type Value = Piece;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PIECE)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Piece, E> {
        Ok(Piece { bytes: text.to_owned().into(), after: Duration::ZERO })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Piece, A::Error> {
        let written = Written::deserialize(MapAccessDeserializer::new(map))?;
        let after = written.after;
        let text = written.text.map(Bytes::from);
        let mut given = [text, written.fill, written.base64, written.hex].into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(bytes), None) => Ok(Piece { bytes, after }),
            _ => refuse(
                Piece { bytes: Bytes::new(), after },
                "a piece of a body is one of `text`, `fill`, `base64` and `hex`",
            ),
        }
    }
}

pub(super) fn body<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Body, D::Error> {
    struct Pieces;
    impl<'de> Visitor<'de> for Pieces {
        type Value = Body;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a body: {PIECE}; or a list of these, each a chunk")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Body, E> {
            Ok(Body::default())
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Body, E> {
            Ok(Body { pieces: vec![PieceSeed.visit_str(text)?], chunked: false })
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Body, A::Error> {
            Ok(Body { pieces: vec![PieceSeed.visit_map(map)?], chunked: false })
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Body, A::Error> {
            let mut pieces = Vec::new();
            while let Some(piece) = list.next_element_seed(PieceSeed)? {
                pieces.push(piece);
            }
            Ok(Body { pieces, chunked: true })
        }
    }
    deserializer.deserialize_any(Pieces)
}

pub(super) fn fail<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Fail>, D::Error> {
    const EXPECTED: &str =
        "`refuse`, `reset` or `close`, or after how many bytes of the body: `{reset: 5}`, `{close: 5}`";

    struct How;
    impl<'de> Visitor<'de> for How {
        type Value = Option<Fail>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(EXPECTED)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<Fail>, E> {
            match text {
                "refuse" => Ok(Some(Fail::Refuse)),
                "reset" => Ok(Some(Fail::Reset(None))),
                "close" => Ok(Some(Fail::Close(None))),
                _ => refuse(None, format!("`{text}` is no way to fail: it is {EXPECTED}")),
            }
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Fail>, A::Error> {
            let (how, bytes) = map.next_entry::<String, usize>()?.unwrap_or_default();
            let more = map.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some();
            match how.as_str() {
                "reset" if !more => Ok(Some(Fail::Reset(Some(bytes)))),
                "close" if !more => Ok(Some(Fail::Close(Some(bytes)))),
                _ => refuse(None, format!("it is {EXPECTED}")),
            }
        }
    }
    deserializer.deserialize_any(How)
}
