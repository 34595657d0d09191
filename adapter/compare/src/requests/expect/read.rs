//! How expectations are read: each gets its number where it stands, and a refused one a stand-in, so that all mistakes are found
//! at once.

use std::fmt;
use std::marker::PhantomData;

use regex_lite::Regex;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de::Error as _};

use super::super::fields;
use super::super::parse::{number, refuse};
use super::{Expected, ExpectedHeader, ExpectedRequest, ExpectedRequests, Pattern};

/// A value that is one scalar, such as `200`.
trait Scalar: Sized {
    const WANTED: &'static str;

    fn read(text: &str) -> Result<Self, String>;

    /// What takes the place of a refused one.
    fn stand_in() -> Self;
}

impl Scalar for () {
    const WANTED: &'static str = "`none`";

    fn read(text: &str) -> Result<Self, String> {
        if text == "none" { Ok(()) } else { Err(format!("`{text}` is no request: it is {REQUESTS}")) }
    }

    fn stand_in() -> Self {}
}

impl Scalar for bool {
    const WANTED: &'static str = "`true` or `false`";

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("`{text}` is neither `true` nor `false`"))
    }

    fn stand_in() -> Self {
        false
    }
}

impl Scalar for u16 {
    const WANTED: &'static str = "a status code";

    fn read(text: &str) -> Result<Self, String> {
        fields::read_status(text)
    }

    fn stand_in() -> Self {
        200
    }
}

/// The name of a header, or a method.
impl Scalar for String {
    const WANTED: &'static str = "a name";

    fn read(text: &str) -> Result<Self, String> {
        if fields::is_token(text) { Ok(text.into()) } else { Err(format!("`{text}` is no name: {}", fields::TOKEN)) }
    }

    fn stand_in() -> Self {
        Self::new()
    }
}

struct ScalarOf<T>(PhantomData<T>);

impl<T: Scalar> Visitor<'_> for ScalarOf<T> {
    type Value = Expected<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WANTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Expected<T>, E> {
        let number = number()?;
        let value = T::read(text).or_else(|message| refuse(T::stand_in(), message))?;
        Ok(Expected { value, number })
    }
}

impl<'de, T: Scalar> Deserialize<'de> for Expected<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Any scalar has a text: `200` needs no quotes.
        deserializer.deserialize_str(ScalarOf(PhantomData))
    }
}

/// A pattern as it is written, if it is not just text.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    contains: Option<String>,
    matches: Option<String>,
}

const PATTERN: &str = "text (in quotes if it is neither a word nor a whole number), or `{contains: TEXT}`, or \
                       `{matches: REGEX}`";

struct PatternVisitor;

impl<'de> Visitor<'de> for PatternVisitor {
    type Value = Expected<Pattern>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PATTERN)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Expected { number: number()?, value: Pattern::Text(text.into()) })
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let number = number()?;
        let value = match Written::deserialize(MapAccessDeserializer::new(map))? {
            Written { contains: Some(text), matches: None } => Pattern::Contains(text),
            Written { contains: None, matches: Some(regex) } => match Regex::new(&regex) {
                Ok(regex) => Pattern::Matches(regex),
                Err(error) => {
                    refuse(Pattern::Text(regex.clone()), format!("`{regex}` is no regular expression: {error}"))?
                }
            },
            _ => refuse(Pattern::Text(String::new()), "it is one of `contains` and `matches`")?,
        };
        Ok(Expected { value, number })
    }
}

impl<'de> Deserialize<'de> for Expected<Pattern> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PatternVisitor)
    }
}

/// A list, or the one that would stand in it.
pub(super) fn one_or_more<'de, D, T>(deserializer: D) -> Result<Vec<Expected<T>>, D::Error>
where
    D: Deserializer<'de>,
    Expected<T>: Deserialize<'de>,
{
    struct OneOrMore<T>(PhantomData<T>);
    impl<'de, T> Visitor<'de> for OneOrMore<T>
    where
        Expected<T>: Deserialize<'de>,
    {
        type Value = Vec<Expected<T>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text, or a list of them")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![Expected::deserialize(text.into_deserializer())?])
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
            self.visit_str(&number.to_string())
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
            self.visit_str(&number.to_string())
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            Ok(vec![Expected::deserialize(MapAccessDeserializer::new(map))?])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(one) = list.next_element()? {
                all.push(one);
            }
            Ok(all)
        }
    }
    deserializer.deserialize_any(OneOrMore(PhantomData))
}

pub(super) fn headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Expected<ExpectedHeader>>, D::Error> {
    struct List;
    impl<'de> Visitor<'de> for List {
        type Value = Vec<Expected<ExpectedHeader>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("headers: `{name: value}`, or `[[name, value], …]` where a name comes more than once")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut headers = Vec::new();
            while let Some(name) = map.next_key_seed(fields::name())? {
                headers.push(header(name, map.next_value()?));
            }
            Ok(headers)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut headers = Vec::new();
            while let Some(header) = list.next_element_seed(Pair)? {
                headers.push(header);
            }
            Ok(headers)
        }
    }
    deserializer.deserialize_any(List)
}

fn header(name: String, expected: Expected<Pattern>) -> Expected<ExpectedHeader> {
    Expected { value: ExpectedHeader { name, value: expected.value }, number: expected.number }
}

/// `[name, value]`
struct Pair;

impl<'de> DeserializeSeed<'de> for Pair {
    type Value = Expected<ExpectedHeader>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Pair {
    type Value = Expected<ExpectedHeader>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header `[name, value]`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let missing = |length| A::Error::invalid_length(length, &"a header `[name, value]`");
        let name = list.next_element_seed(fields::name())?.ok_or_else(|| missing(0))?;
        let value = list.next_element()?.ok_or_else(|| missing(1))?;
        match list.next_element::<de::IgnoredAny>()? {
            None => Ok(header(name, value)),
            Some(_) => Err(missing(3)),
        }
    }
}

const REQUESTS: &str = "`none`, or what the request is, such as `{path: /x}`, or a list of these";

struct RequestVisitor;

impl<'de> Visitor<'de> for RequestVisitor {
    type Value = Expected<ExpectedRequest>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what a request is, such as `{path: /x}`")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let number = number()?;
        Ok(Expected { number, value: ExpectedRequest::deserialize(MapAccessDeserializer::new(map))? })
    }
}

impl<'de> Deserialize<'de> for Expected<ExpectedRequest> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RequestVisitor)
    }
}

impl<'de> Deserialize<'de> for ExpectedRequests {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct These;
        impl<'de> Visitor<'de> for These {
            type Value = ExpectedRequests;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(REQUESTS)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ExpectedRequests, E> {
                ScalarOf(PhantomData).visit_str(text).map(ExpectedRequests::None)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ExpectedRequests, A::Error> {
                Ok(ExpectedRequests::These(vec![RequestVisitor.visit_map(map)?]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ExpectedRequests, A::Error> {
                let mut requests = Vec::new();
                while let Some(request) = list.next_element()? {
                    requests.push(request);
                }
                if requests.is_empty() {
                    return refuse(ExpectedRequests::These(requests), "there is no request in it: write `none`");
                }
                Ok(ExpectedRequests::These(requests))
            }
        }
        deserializer.deserialize_any(These)
    }
}
