//! What backtraces call a function of a joined module, so that it still says whose it is.
//!
//! ```text
//! filter!my_filter.wasm!proxy_on_log!my_filter::on_log      a filter's, with its module's name, the callback that
//! filter!!!                                                 it is, and its own; each may be missing
//! shim!proxy-wasm bridge!!call                              any other
//! ```

use std::fmt;

const OF_FILTER: &str = "filter";
const OF_OTHERS: &str = "shim";
const BETWEEN: char = '!';

/// The name of a function in a joined module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionName<'a> {
    /// It is a filter's.
    pub of_filter: bool,
    /// The name of the module that it was in.
    pub module: Option<&'a str>,
    /// The callback, or the part of the start function, that a filter exports it as.
    pub callback: Option<&'a str>,
    /// Its own name.
    pub own: Option<&'a str>,
}

impl<'a> FunctionName<'a> {
    /// Reads one. A filter may have given its module a name with a `!`: then it is told apart elsewhere.
    pub fn parse(name: &'a str) -> Option<Self> {
        let mut parts = name.splitn(4, BETWEEN);
        let of_filter = match parts.next()? {
            OF_FILTER => true,
            OF_OTHERS => false,
            _ => return None,
        };
        let mut next = || parts.next().map(|part| Some(part).filter(|part| !part.is_empty()));
        Some(Self { of_filter, module: next()?, callback: next()?, own: next()? })
    }
}

impl fmt::Display for FunctionName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = if self.of_filter { OF_FILTER } else { OF_OTHERS };
        let [module, callback, own] = [self.module, self.callback, self.own].map(Option::unwrap_or_default);
        write!(f, "{of}{BETWEEN}{module}{BETWEEN}{callback}{BETWEEN}{own}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_were_written() {
        let full =
            FunctionName { of_filter: true, module: Some("m"), callback: Some("proxy_on_log"), own: Some("a!b") };
        let none = FunctionName { of_filter: false, module: None, callback: None, own: None };
        for (name, text) in [(full, "filter!m!proxy_on_log!a!b"), (none, "shim!!!")] {
            assert_eq!(name.to_string(), text);
            assert_eq!(FunctionName::parse(text), Some(name));
        }
        for other in ["", "f", "filter!m!x", "other!m!!f"] {
            assert_eq!(FunctionName::parse(other), None, "{other}");
        }
    }
}
