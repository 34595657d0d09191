//! Conditions of routes.

use proxy_wasm_abi::{
    grpc,
    routing::{HeaderMatch, HeaderValueMatch, Match, PathMatch, QueryMatch, TextMatch, TextMatchKind},
};

use super::expressions::Expressions;
use crate::headers::HeaderMap;

/// A request, as conditions look at it: there may be thousands of them.
pub(super) struct Asked<'a> {
    headers: &'a HeaderMap,
    expressions: &'a Expressions,
    target: &'a [u8],
    /// The target without its query.
    path: &'a [u8],
}

impl<'a> Asked<'a> {
    pub(super) fn of(headers: &'a HeaderMap, expressions: &'a Expressions) -> Self {
        let target = headers.get(b":path").unwrap_or_default();
        Self { headers, expressions, target, path: split(target).0 }
    }

    /// Whether it fulfils a condition. Source: Envoy's `RouteEntryImplBase::matchRoute`.
    pub(super) fn fulfils(&self, condition: &Match) -> bool {
        let Self { headers, expressions, target, path } = self;
        let Match { path: wanted, ignore_case, headers: conditions, query, grpc } = condition;
        let same = |left: &[u8], right: &str| match ignore_case {
            true => left.eq_ignore_ascii_case(right.as_bytes()),
            false => left == right.as_bytes(),
        };
        let begins = |text: &str| path.get(..text.len()).is_some_and(|part| same(part, text));
        let is_path = match wanted {
            PathMatch::Prefix(prefix) => begins(prefix),
            PathMatch::Exact(exact) => same(path, exact),
            PathMatch::SeparatedPrefix(prefix) => {
                begins(prefix) && (path.len() == prefix.len() || path[prefix.len()] == b'/')
            }
            PathMatch::Regex(regex) => expressions.matches(regex, path),
        };
        is_path
            && (!grpc || headers.get(b"content-type").is_some_and(grpc::is_grpc))
            && conditions.iter().all(|one| header(one, headers, expressions))
            && query.iter().all(|one| parameter(one, target, expressions))
    }
}

/// A target's path, and the rest from `?` or `#` on. Source: Envoy's `PathUtil::removeQueryAndFragment`.
pub(super) fn split(target: &[u8]) -> (&[u8], &[u8]) {
    target.split_at(target.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(target.len()))
}

/// Source: Envoy's `HeaderUtility::HeaderData`; a header that is not there fulfils no condition of its value, inverted or
/// not.
pub(super) fn header(condition: &HeaderMatch, headers: &HeaderMap, expressions: &Expressions) -> bool {
    let mut values: Vec<&[u8]> =
        headers.iter().filter(|(name, _)| *name == condition.name.as_bytes()).map(|(_, value)| value).collect();
    if let HeaderValueMatch::Present(present) = condition.value {
        return ((!values.is_empty() || condition.missing_as_empty) == present) != condition.invert;
    }
    if values.is_empty() {
        if !condition.missing_as_empty {
            return false;
        }
        values.push(b"");
    }
    let fits = |value: &&[u8]| match &condition.value {
        HeaderValueMatch::Text(condition) => text(condition, value, expressions),
        HeaderValueMatch::Range(start, end) => {
            let number = std::str::from_utf8(value).ok().and_then(|value| value.parse::<i64>().ok());
            number.is_some_and(|number| (*start..*end).contains(&number))
        }
        HeaderValueMatch::Present(_) => true,
    };
    values.iter().any(fits) != condition.invert
}

/// Source: Envoy's `Matchers::StringMatcherImpl`.
pub(super) fn text(condition: &TextMatch, value: &[u8], expressions: &Expressions) -> bool {
    let folded = |bytes: &[u8]| if condition.ignore_case { bytes.to_ascii_lowercase() } else { bytes.to_vec() };
    let (value, wanted) = match condition.kind {
        TextMatchKind::Regex => return expressions.matches(&condition.text, value),
        _ => (folded(value), folded(condition.text.as_bytes())),
    };
    match condition.kind {
        TextMatchKind::Exact => value == wanted,
        TextMatchKind::Prefix => value.starts_with(&wanted),
        TextMatchKind::Suffix => value.ends_with(&wanted),
        TextMatchKind::Contains => wanted.is_empty() || value.windows(wanted.len()).any(|part| part == wanted),
        TextMatchKind::Regex => false,
    }
}

fn parameter(condition: &QueryMatch, target: &[u8], expressions: &Expressions) -> bool {
    let value = value(target, condition.name.as_bytes());
    match &condition.value {
        Ok(condition) => value.is_some_and(|value| text(condition, value, expressions)),
        Err(present) => value.is_some() == *present,
    }
}

/// The first value of a parameter, as it is written: `routes/query-conditions-and-grpc`.
fn value<'a>(target: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (_, rest) = split(target);
    let query = rest.strip_prefix(b"?")?;
    let query = query.split(|byte| *byte == b'#').next().unwrap_or_default();
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        (&pair[..at] == name).then(|| pair.get(at + 1..).unwrap_or_default())
    })
}
