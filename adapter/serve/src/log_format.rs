//! The form of log lines, the filter's and this host's alike, and the request that each belongs to.
//!
//! Each instance counts the streams of its filter for itself, so `#2` in a filter's line says little where many instances
//! run. The number of the request, which the access log has as `%REQUEST_NUMBER%`, tells them apart.

use std::fmt;
use std::io::IsTerminal;
use std::time::SystemTime;

use futures_util::future::Either;
use serde::Serialize;
use time::OffsetDateTime;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The levels of a filter's lines, and of this host's.
const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "critical"];

/// The level of a line that names none.
const UNNAMED: &str = "info";

tokio::task_local! {
    /// The number of the request that is worked on.
    static REQUEST: u64;
}

/// Works on the request of this number.
pub(super) fn of_request<F: Future>(number: u64, work: F) -> impl Future<Output = F::Output> {
    REQUEST.scope(number, work)
}

/// Works in a task of its own on the request that this one works on, if it does.
pub(super) fn of_the_same<F: Future>(work: F) -> impl Future<Output = F::Output> {
    // No block around them: it would have room for the work three times, and move it as often.
    match current() {
        Some(number) => Either::Left(of_request(number, work)),
        None => Either::Right(work),
    }
}

/// Does something for the request of this number, if there is one.
pub(super) fn within<T>(number: Option<u64>, work: impl FnOnce() -> T) -> T {
    match number {
        Some(number) => REQUEST.sync_scope(number, work),
        None => work(),
    }
}

/// The number of the request that is worked on, if one is.
pub(super) fn current() -> Option<u64> {
    REQUEST.try_with(|number| *number).ok()
}

/// What log lines look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// `TIME [LEVEL] request NUMBER: MESSAGE`
    #[default]
    Text,
    /// An object of JSON with `time`, `level`, `request`, `source` and `message`
    Json,
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Source {
    Component,
    Host,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Form {
    format: LogFormat,
    color: bool,
}

/// A line as JSON.
#[derive(Serialize)]
struct Object<'a> {
    time: &'a str,
    level: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<u64>,
    source: Source,
    message: &'a str,
}

impl Form {
    /// Without color.
    pub(super) fn plain(format: LogFormat) -> Self {
        Self { format, color: false }
    }

    /// For stderr, with color where that is a terminal.
    pub(super) fn of_process(format: LogFormat) -> Self {
        let is_wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { format, color: is_wanted && std::io::stderr().is_terminal() }
    }

    /// One line of this host's own.
    pub(super) fn own(self, level: &str, message: &str) -> String {
        self.line(SystemTime::now(), level, current(), Source::Host, message)
    }

    /// A line of a component, which may begin with its level in brackets, as the filter's do.
    pub(super) fn of_component(self, line: &[u8]) -> String {
        let line = String::from_utf8_lossy(line);
        let (level, message) = levelled(&line).unwrap_or((UNNAMED, &line));
        self.line(SystemTime::now(), level, current(), Source::Component, message)
    }

    /// What is told about serving itself, which others wait for as it is.
    pub(super) fn announcement(self, message: &str) -> String {
        match self.format {
            LogFormat::Text => format!("{message}\n"),
            LogFormat::Json => self.own("info", message),
        }
    }

    fn line(self, time: SystemTime, level: &str, request: Option<u64>, source: Source, message: &str) -> String {
        let time = rfc3339(time);
        match self.format {
            LogFormat::Text => {
                let (begin, end) = if self.color { color(level) } else { ("", "") };
                let request = request.map_or_else(String::new, |number| format!("request {number}: "));
                format!("{time} {begin}[{level}]{end} {request}{message}\n")
            }
            LogFormat::Json => {
                let object = Object { time: &time, level, request, source, message };
                // Text and numbers always have a form.
                serde_json::to_string(&object).unwrap_or_default() + "\n"
            }
        }
    }
}

/// The level of a line, and what follows.
fn levelled(line: &str) -> Option<(&str, &str)> {
    let (level, message) = line.strip_prefix('[')?.split_once("] ")?;
    LEVELS.contains(&level).then_some((level, message))
}

fn color(level: &str) -> (&'static str, &'static str) {
    match level {
        "error" | "critical" => ("\x1b[31m", "\x1b[0m"),
        "warn" => ("\x1b[33m", "\x1b[0m"),
        "info" => ("\x1b[32m", "\x1b[0m"),
        _ => ("\x1b[2m", "\x1b[0m"),
    }
}

fn rfc3339(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    let (date, month) = (time.date(), u8::from(time.month()));
    let (year, day, micros) = (date.year(), date.day(), time.microsecond());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

impl<S, N> FormatEvent<S, N> for Form
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut message = String::new();
        context.format_fields(Writer::new(&mut message), event)?;
        writer.write_str(&self.own(level(*event.metadata().level()), &message))
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn both_forms() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_712_766_391_671);
        let line = |form: Form, request| form.line(time, "warn", request, Source::Host, "a \"b\"");
        let text = Form::plain(LogFormat::Text);
        assert_eq!(line(text, Some(7)), "2026-11-26T17:06:06.391671Z [warn] request 7: a \"b\"\n");
        assert_eq!(line(text, None), "2026-11-26T17:06:06.391671Z [warn] a \"b\"\n");
        let colored = Form { color: true, ..text };
        assert_eq!(line(colored, None), "2026-11-26T17:06:06.391671Z \x1b[33m[warn]\x1b[0m a \"b\"\n");
        let json = Form::plain(LogFormat::Json);
        let head = r#"{"time":"2026-11-26T17:06:06.391671Z","level":"warn","#;
        let tail = r#""source":"host","message":"a \"b\""}"#;
        assert_eq!(line(json, Some(7)), format!("{head}\"request\":7,{tail}\n"));
        assert_eq!(line(json, None), format!("{head}{tail}\n"));
    }

    #[test]
    fn levels_of_components() {
        assert_eq!(levelled("[critical] p #2: [info] x"), Some(("critical", "p #2: [info] x")));
        assert_eq!(levelled("[loud] x"), None);
        assert_eq!(levelled("panicked at x"), None);
    }

    #[tokio::test]
    async fn tasks_are_told_apart() {
        assert_eq!(current(), None);
        let inner = of_request(3, async { tokio::spawn(of_the_same(async { current() })).await.unwrap() });
        assert_eq!(inner.await, Some(3));
        assert_eq!((within(Some(4), current), within(None, current)), (Some(4), None));
        assert_eq!(of_the_same(async { current() }).await, None);
    }
}
