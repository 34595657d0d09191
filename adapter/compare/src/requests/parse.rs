//! From text to requests, with every problem at the place where it stands.

use std::cell::Cell;
use std::fmt;

use serde::de;

use super::Requests;

/// Problems that are told at once.
const MOST: usize = 20;

/// What is wrong with a request file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands, as far as that is known.
    pub place: Option<Place>,
    /// What is wrong, and what is allowed there.
    pub message: String,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

impl Problem {
    /// What is wrong with this file: `FILE:LINE:COLUMN: …`.
    pub fn in_file(&self, file: &str) -> String {
        let colon = if self.place.is_some() { ":" } else { ": " };
        format!("{file}{colon}{self}")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { line, column }) = self.place {
            write!(f, "{line}:{column}: ")?;
        }
        f.write_str(&self.message)
    }
}

thread_local! {
    /// Wrong values that are passed over, because they were told before.
    static PASS_OVER: Cell<usize> = const { Cell::new(0) };
    /// The reading ended at a wrong value, rather than at one of a wrong kind.
    static WRONG_VALUE: Cell<bool> = const { Cell::new(false) };
    /// Expectations that were read.
    static EXPECTATIONS: Cell<usize> = const { Cell::new(0) };
    /// The number of the one whose place is looked for.
    static LOOKED_FOR: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The number of an expectation, which is read just now. Where it is the one whose place is looked for, this ends the
/// reading.
pub(super) fn number<E: de::Error>() -> Result<usize, E> {
    let number = EXPECTATIONS.get();
    EXPECTATIONS.set(number + 1);
    if LOOKED_FOR.get() == Some(number) { Err(E::custom("here it is")) } else { Ok(number) }
}

/// The place of the expectation with this number, in text that was read before: found by reading it once more.
pub(super) fn place(text: &str, number: usize) -> Option<Place> {
    PASS_OVER.set(0);
    EXPECTATIONS.set(0);
    LOOKED_FOR.set(Some(number));
    let read = serde_yaml_ng::from_str::<Requests>(text);
    LOOKED_FOR.set(None);
    problem(&read.err()?).place
}

/// Refuses a value; `stand_in` takes its place where it was refused before.
pub(super) fn refuse<T, E: de::Error>(stand_in: T, message: impl fmt::Display) -> Result<T, E> {
    let left = PASS_OVER.get();
    if left > 0 {
        PASS_OVER.set(left - 1);
        return Ok(stand_in);
    }
    WRONG_VALUE.set(true);
    Err(E::custom(message))
}

/// The requests of a file.
///
/// serde_yaml_ng tells where an error stands, but ends with the first. So the text is read once for each wrong value,
/// and the ones that were found before are passed over.
///
/// # Errors
/// All that is wrong with it. What is no YAML, or of a wrong kind, ends the reading.
pub fn parse(text: &str) -> Result<Requests, Vec<Problem>> {
    let mut problems = Vec::new();
    loop {
        PASS_OVER.set(problems.len());
        WRONG_VALUE.set(false);
        EXPECTATIONS.set(0);
        match serde_yaml_ng::from_str::<Requests>(text) {
            Ok(mut requests) if problems.is_empty() => {
                requests.expectations = EXPECTATIONS.get();
                return match whole(&requests) {
                    Ok(()) => {
                        requests.name();
                        text.clone_into(&mut requests.text);
                        Ok(requests)
                    }
                    Err(message) => {
                        Err(vec![Problem { place: Some(Place { line: 1, column: 1 }), message: message.into() }])
                    }
                };
            }
            Ok(_) => return Err(problems),
            Err(error) => problems.push(problem(&error)),
        }
        if !WRONG_VALUE.get() || problems.len() == MOST {
            return Err(problems);
        }
    }
}

/// What is only wrong in the whole.
fn whole(requests: &Requests) -> Result<(), &'static str> {
    match (requests.start.refuses(), requests.requests.is_empty()) {
        (false, true) => Err("missing field `requests`"),
        (true, false) => Err("there are `requests`, though the plugin is not to start: leave out one of the two"),
        _ => Ok(()),
    }
}

fn problem(error: &serde_yaml_ng::Error) -> Problem {
    let place = error.location().map(|at| Place { line: at.line(), column: at.column() });
    let mut message = error.to_string();
    if let Some(Place { line, column }) = place {
        // The place comes first in ours.
        message = message.replacen(&format!(" at line {line} column {column}"), "", 1);
    }
    Problem { place, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        parse(text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn least_file() {
        let requests = parse("requests: [{method: GET, path: /x}]").unwrap();
        assert_eq!(requests.requests[0].name, "GET /x");
        assert_eq!((requests.upstream.status, requests.upstream.body.len()), (200, 3));
        assert_eq!(parse("requests: [{}]").unwrap().requests[0].name, "GET /");
    }

    #[test]
    fn names_are_given_once() {
        let requests = parse("requests: [{}, {}, {name: start}]").unwrap().requests;
        let names: Vec<_> = requests.iter().map(|request| request.name.as_str()).collect();
        assert_eq!(names, ["GET /", "GET / (2)", "start (2)"]);
    }

    #[test]
    fn wrong_values_are_told_at_once_and_in_place() {
        let text =
            "requests:\n  - method: GE T\n    path: x\n    headers: [[a b, c], [d, e]]\n    upstream: {status: 99}\n";
        assert_eq!(
            problems(text),
            [
                "2:13: requests[0].method: `GE T` is no method: it takes letters, digits and ``!#$%&'*+-.^_`|~``",
                "3:11: requests[0].path: `x` is no path: it begins with `/`, or is `*`, and has no spaces or control characters",
                "4:16: requests[0].headers[0][0]: `a b` is no name of a header: it takes letters, digits and ``!#$%&'*+-.^_`|~``",
                "5:24: requests[0].upstream.status: 99 is no status code: it goes from 200 to 999",
            ]
        );
    }

    #[test]
    fn unknown_keys_are_told_with_the_known() {
        let found = problems("requests:\n  - metod: GET\n");
        assert!(
            found[0].starts_with("2:5: requests[0]: unknown field `metod`, expected one of `name`, `method`"),
            "{found:?}"
        );
        assert_eq!(problems("requests: [{method: GET, path: /x}")[0].split(' ').next(), Some("2:1:"));
        assert_eq!(
            problems("requests: []"),
            ["1:11: requests: there is no request: give one, such as `{method: GET, path: /}`"]
        );
    }
}
