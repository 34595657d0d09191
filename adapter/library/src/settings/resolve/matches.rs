//! Conditions of routes, as they were written, for the shim.

use proxy_wasm_abi::routing::{HeaderMatch, HeaderValueMatch, Match, PathMatch, QueryMatch, TextMatch, TextMatchKind};
use regex_lite::Regex;

use super::routing::Reader;
use crate::settings::{HeaderMatchInput, MatchInput, QueryMatchInput, RoutingProblem};

impl Reader<'_> {
    pub(super) fn matches(&mut self, told: Option<&MatchInput>) -> Match {
        const KEYS: &[&str] = &["prefix", "path", "separated_prefix", "regex"];
        let all = MatchInput { prefix: Some("/".into()), ..MatchInput::default() };
        let told = told.unwrap_or(&all);
        let path = match (&told.prefix, &told.path, &told.separated_prefix, &told.regex) {
            (Some(prefix), None, None, None) => PathMatch::Prefix(prefix.clone()),
            (None, Some(path), None, None) => PathMatch::Exact(self.path(path)),
            (None, None, Some(prefix), None) => PathMatch::SeparatedPrefix(self.path(prefix)),
            (None, None, None, Some(regex)) => PathMatch::Regex(self.regex(regex)),
            _ => {
                self.problem(RoutingProblem::OneOf(KEYS));
                PathMatch::Prefix("/".into())
            }
        };
        Match {
            path,
            ignore_case: !told.case_sensitive.unwrap_or(true),
            headers: told.headers.iter().map(|one| self.header_match(one)).collect(),
            query: told.query.iter().map(|one| self.query_match(one)).collect(),
            grpc: told.grpc.unwrap_or(false),
        }
    }

    fn path(&mut self, path: &str) -> String {
        if !path.starts_with('/') {
            self.problem(RoutingProblem::Path(path.into()));
        }
        path.into()
    }

    pub(super) fn regex(&mut self, regex: &str) -> String {
        if let Err(error) = Regex::new(regex) {
            self.problem(RoutingProblem::Regex { regex: regex.into(), reason: error.to_string() });
        }
        regex.into()
    }

    pub(super) fn header_match(&mut self, told: &HeaderMatchInput) -> HeaderMatch {
        const KEYS: &[&str] = &["exact", "prefix", "suffix", "contains", "regex", "present", "range"];
        let name = self.header(told.name.as_deref().unwrap_or_default(), true);
        let texts = [&told.exact, &told.prefix, &told.suffix, &told.contains, &told.regex];
        let is_text = texts.iter().any(|text| text.is_some());
        let value = match (is_text, told.present, told.range) {
            (true, None, None) => HeaderValueMatch::Text(self.text(texts, told.ignore_case, KEYS)),
            (false, None, Some([start, end])) => {
                if start >= end {
                    self.problem(RoutingProblem::Range(start, end));
                }
                HeaderValueMatch::Range(start, end)
            }
            (false, present, None) => HeaderValueMatch::Present(present.unwrap_or(true)),
            _ => {
                self.problem(RoutingProblem::AtMostOneOf(KEYS));
                HeaderValueMatch::Present(true)
            }
        };
        let missing_as_empty = told.missing_as_empty.unwrap_or(false);
        HeaderMatch { name, value, invert: told.invert.unwrap_or(false), missing_as_empty }
    }

    fn query_match(&mut self, told: &QueryMatchInput) -> QueryMatch {
        const KEYS: &[&str] = &["exact", "prefix", "suffix", "contains", "regex", "present"];
        let texts = [&told.exact, &told.prefix, &told.suffix, &told.contains, &told.regex];
        let is_text = texts.iter().any(|text| text.is_some());
        if is_text && told.present.is_some() {
            self.problem(RoutingProblem::AtMostOneOf(KEYS));
        }
        if told.name.as_ref().is_none_or(String::is_empty) {
            self.problem(RoutingProblem::NoName);
        }
        let value = match is_text {
            true => Ok(self.text(texts, told.ignore_case, KEYS)),
            false => Err(told.present.unwrap_or(true)),
        };
        QueryMatch { name: told.name.clone().unwrap_or_default(), value }
    }

    pub(super) fn text(
        &mut self,
        texts: [&Option<String>; 5],
        ignore_case: Option<bool>,
        keys: &'static [&'static str],
    ) -> TextMatch {
        const KINDS: [TextMatchKind; 5] = [
            TextMatchKind::Exact,
            TextMatchKind::Prefix,
            TextMatchKind::Suffix,
            TextMatchKind::Contains,
            TextMatchKind::Regex,
        ];
        let mut said = KINDS.into_iter().zip(texts).filter_map(|(kind, text)| Some((kind, text.clone()?)));
        let (kind, text) = said.next().unwrap_or((TextMatchKind::Exact, String::new()));
        if said.next().is_some() {
            self.problem(RoutingProblem::AtMostOneOf(keys));
        }
        if kind == TextMatchKind::Regex {
            self.regex(&text);
        }
        TextMatch { kind, text, ignore_case: ignore_case.unwrap_or(false) }
    }
}
