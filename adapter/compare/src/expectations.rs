//! What a request file expects, beside what was seen.

use super::message::{End, Message};
use super::output::Line;
use super::requests::{
    Expect, ExpectStart, Expected, ExpectedHeader, ExpectedRequest, ExpectedRequests, Headers, Pattern,
};
use super::sections::{Seen, Visible};

/// An expectation that is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unmet {
    /// Which one, by which its place is found; none for one that each file has, that the plugin starts.
    pub(super) number: Option<usize>,
    /// What was seen, and what was expected.
    pub(super) text: String,
}

/// What was looked for, and not found.
#[derive(Default)]
struct Found(Vec<Unmet>);

impl Found {
    fn unless<T>(&mut self, is_met: bool, expected: &Expected<T>, text: impl FnOnce() -> String) {
        if !is_met {
            self.0.push(Unmet { number: Some(expected.number), text: text() });
        }
    }

    fn headers(&mut self, of: &str, what: &str, found: &Headers, expected: &[Expected<ExpectedHeader>]) {
        for header in expected {
            let ExpectedHeader { name, value } = &header.value;
            let values = || found.iter().filter(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value);
            self.unless(values().any(|found| value.is(found)), header, || {
                let values: Vec<String> =
                    values().map(|value| format!("{:?}", String::from_utf8_lossy(value))).collect();
                match values.as_slice() {
                    [] => format!("{of} no {what} `{name}`, expected {value}"),
                    values => format!("{of} the {what} `{name}` as {}, expected {value}", values.join(" and ")),
                }
            });
        }
    }

    fn no_headers(&mut self, of: &str, found: &Headers, expected: &[Expected<String>]) {
        for name in expected {
            let value = found.iter().find(|(have, _)| have.eq_ignore_ascii_case(&name.value));
            self.unless(value.is_none(), name, || {
                let value = value.map(|(_, value)| String::from_utf8_lossy(value)).unwrap_or_default();
                format!("{of} the header `{}` as {value:?}, expected none of that name", name.value)
            });
        }
    }

    fn body(&mut self, of: &str, message: &Message, expected: Option<&Expected<Pattern>>) {
        let Some(body) = expected else { return };
        self.unless(body.value.is(&message.body), body, || {
            let found = text(&message.body);
            let end = match &message.end {
                End::Complete => String::new(),
                end => format!(" ({end})"),
            };
            format!("{of} the body {found}{end}, expected {}", body.value)
        });
    }

    fn log(&mut self, lines: &[Line], expected: &[Expected<Pattern>], unexpected: &[Expected<Pattern>]) {
        let logged: Vec<String> = log(lines).collect();
        for part in expected {
            let is_met = logged.iter().any(|line| part.value.is_in(line));
            self.unless(is_met, part, || format!("no line of the log is as expected: {}", part.value));
        }
        for part in unexpected {
            let line = logged.iter().find(|line| part.value.is_in(line));
            self.unless(line.is_none(), part, || {
                format!("the log has the line `{}`, expected none with {}", line.map_or("", String::as_str), part.value)
            });
        }
    }

    fn requests(&mut self, who: &str, got: &[Message], expected: &ExpectedRequests) {
        let shown = || {
            let shown: Vec<&str> = got.iter().map(first).collect();
            if shown.is_empty() { "no request".to_owned() } else { format!("`{}`", shown.join("`, `")) }
        };
        match expected {
            ExpectedRequests::None(none) => {
                self.unless(got.is_empty(), none, || format!("{who} got {}, expected no request", shown()));
            }
            ExpectedRequests::These(requests) if requests.len() != got.len() => {
                let first = requests.get(got.len()).or(requests.first());
                if let Some(first) = first {
                    let count = requests.len();
                    let many = if count == 1 { "one request".to_owned() } else { format!("{count} requests") };
                    self.unless(false, first, || format!("{who} got {}, expected {many}", shown()));
                }
            }
            ExpectedRequests::These(requests) => {
                for (expected, got) in requests.iter().zip(got) {
                    self.request(who, got, &expected.value);
                }
            }
        }
    }

    fn request(&mut self, who: &str, got: &Message, expected: &ExpectedRequest) {
        let of = format!("{who} got");
        let (method, path) = first(got).split_once(' ').unwrap_or((first(got), ""));
        if let Some(expected) = &expected.method {
            let text = || format!("{of} the method {method}, expected {}", expected.value);
            self.unless(method == expected.value, expected, text);
        }
        if let Some(expected) = &expected.path {
            let text = || format!("{of} the path {path:?}, expected {}", expected.value);
            self.unless(expected.value.is(path.as_bytes()), expected, text);
        }
        self.headers(&of, "header", &got.headers, &expected.headers);
        self.no_headers(&of, &got.headers, &expected.no_headers);
        self.body(&of, got, expected.body.as_ref());
        self.headers(&of, "trailer", &got.trailers, &expected.trailers);
    }
}

fn first(message: &Message) -> &str {
    message.first.as_deref().unwrap_or("no HTTP")
}

/// A body in a message.
fn text(body: &[u8]) -> String {
    const LONGEST: usize = 300;
    let text = String::from_utf8_lossy(body);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}… ({} bytes)", &text[..end], body.len()),
        None => format!("{text:?}"),
    }
}

/// The filter's log, as `[level] text`.
pub(super) fn log(lines: &[Line]) -> impl Iterator<Item = String> {
    lines.iter().filter_map(|line| match line {
        Line::Log { level, text } => Some(format!("[{level}] {text}")),
        _ => None,
    })
}

/// What did not come of a request, as far as that can be seen.
pub(super) fn of_request(expect: &Expect, seen: &Seen, visible: Visible) -> Vec<Unmet> {
    let mut found = Found::default();
    let response = &seen.response;
    if let Some(status) = &expect.status {
        found.unless(response.status() == Some(status.value), status, || {
            let got = match &response.first {
                Some(status) => status.clone(),
                None => format!("no response ({})", response.end),
            };
            format!("the status is {got}, expected {}", status.value)
        });
    }
    let of = "the response has";
    found.headers(of, "header", &response.headers, &expect.headers);
    found.no_headers(of, &response.headers, &expect.no_headers);
    found.body(of, response, expect.body.as_ref());
    found.headers(of, "trailer", &response.trailers, &expect.trailers);
    if visible.log {
        found.log(&seen.lines, &expect.log, &expect.no_log);
    }
    if visible.upstream {
        if let Some(expected) = &expect.upstream {
            found.requests("the upstream", &seen.upstream, expected);
        }
        for (cluster, expected) in &expect.callouts {
            let got = seen.clusters.get(cluster).map(Vec::as_slice).unwrap_or_default();
            found.requests(&format!("the cluster `{cluster}`"), got, expected);
        }
    }
    found.0
}

/// What did not come of the plugin's start, given why it was refused, if it was.
pub(super) fn of_start(expect: &ExpectStart, outcome: Result<(), &str>, lines: &[Line], visible: bool) -> Vec<Unmet> {
    let mut found = Found::default();
    let number = expect.refused.as_ref().map(|expected| expected.number);
    let text = match (expect.refuses(), outcome) {
        (true, Ok(())) => Some("the plugin started, expected that it is refused".to_owned()),
        (false, Err(words)) => Some(format!("the plugin did not start: {words}")),
        _ => None,
    };
    found.0.extend(text.map(|text| Unmet { number, text }));
    if visible {
        found.log(lines, &expect.log, &expect.no_log);
    }
    found.0
}
