//! Regular expressions, compiled when they are first needed.
//!
//! They are those of `regex-lite`: as in RE2, `\d`, `\w` and `\s` are ASCII and there is no lookahead; unlike there, neither
//! are there Unicode classes (`\p{…}`) nor `\Q…\E`, letters beyond ASCII have one case, and bytes that are no UTF-8 match
//! nothing. The adapter refuses what this does not compile.

use std::{cell::RefCell, collections::BTreeMap};

use proxy_wasm_abi::routing::Substitution;
use regex_lite::Regex;

/// Expressions that were needed, by their text. `None` is one that does not compile.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    compiled: RefCell<BTreeMap<String, Option<Regex>>>,
}

impl Expressions {
    fn with<T>(&self, text: &str, use_it: impl FnOnce(&Regex) -> T) -> Option<T> {
        let mut compiled = self.compiled.borrow_mut();
        if !compiled.contains_key(text) {
            compiled.insert(text.into(), Regex::new(text).ok());
        }
        compiled[text].as_ref().map(use_it)
    }

    /// Whether all of the text matches.
    pub(super) fn matches(&self, regex: &str, text: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(text) else { return false };
        self.with(&format!(r"\A(?:{regex})\z"), |regex| regex.is_match(text)).unwrap_or(false)
    }

    /// The text with each match replaced. Source: RE2's `GlobalReplace`.
    pub(super) fn replace(&self, Substitution { regex, substitution }: &Substitution, text: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(text) else { return text.to_vec() };
        let replaced = self.with(regex, |regex| {
            regex
                .replace_all(text, |captures: &regex_lite::Captures<'_>| {
                    let mut replaced = String::new();
                    let mut rest = substitution.chars();
                    while let Some(letter) = rest.next() {
                        match (letter, if letter == '\\' { rest.next() } else { None }) {
                            ('\\', Some(digit)) if digit.is_ascii_digit() => {
                                let group = captures.get(digit as usize - '0' as usize);
                                replaced.push_str(group.map_or("", |group| group.as_str()));
                            }
                            ('\\', Some(other)) => replaced.push(other),
                            _ => replaced.push(letter),
                        }
                    }
                    replaced
                })
                .into_owned()
        });
        replaced.map_or_else(|| text.into(), String::into_bytes)
    }
}
