//! What a request file expects, of the adapted component alone: `proxy-wasm-adapter test`.

mod junit;
mod terminal;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::adapted::Role;
use super::error::Error;
use super::exchanges::{self, unreadable};
use super::expectations::{self, Unmet};
use super::message::End;
use super::origins::Origins;
use super::output::Line;
use super::requests::{Place, Requests};
use super::running::{Running, Started};
use super::sections::{Seen, Visible};
use super::{Comparison, trace};

pub use junit::junit;
pub use terminal::terminal;

/// What became of a request file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tested {
    /// What it ran on.
    pub host: String,
    /// The plugin's start, then each request in the order of the request file.
    pub cases: Vec<Case>,
    /// How many expectations there are in the file.
    pub expectations: usize,
}

/// The plugin's start, or a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Case {
    /// `start`, or the request's name.
    pub name: String,
    /// What became of it.
    pub verdict: Verdict,
    /// What the filter logged meanwhile.
    pub log: Vec<String>,
    /// What the host wrote of itself, such as where the filter trapped.
    pub host: Vec<String>,
    /// How long it took.
    pub time: Duration,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing was expected.
    Sent,
    /// Every expectation is met.
    Met,
    /// These are not.
    Unmet(Vec<Failing>),
    /// It was not sent, for this reason.
    NotSent(String),
}

/// An expectation that is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failing {
    /// Where it stands in the request file; that the plugin starts stands nowhere.
    pub place: Option<Place>,
    /// What was seen, and what was expected.
    pub text: String,
}

impl Tested {
    /// Whether every expectation is met.
    pub fn holds(&self) -> bool {
        self.cases.iter().all(|case| matches!(case.verdict, Verdict::Sent | Verdict::Met))
    }
}

/// What can be seen of a component of one's own.
const ALL: Visible = Visible { upstream: true, log: true, trace: true };

/// The recipe.
pub(super) async fn run(comparison: &Comparison) -> Result<Tested, Error> {
    let origins = Origins::new(comparison)?;
    let options = super::options(comparison, &origins);
    let component = super::component(comparison, &options)?;
    origins.behave(None, &comparison.requests).await?;

    let directory = Arc::new(comparison.directory()?);
    let (plugins, patience) = (&options.settings.plugins, comparison.start_timeout);
    let begin = Instant::now();
    let (host, cpu_timeout) = (&comparison.host, comparison.cpu_timeout());
    let started = host.start(Role::Adapted, &component, plugins, &directory, cpu_timeout, patience).await?;
    let requests = &comparison.requests;
    let ends = exchanges::ends(&comparison.filters);
    match started {
        Started::Refused { side, words, lines } => {
            let mut cases = vec![start(requests, Err(&words), &lines, begin)];
            let why = "the plugin did not start";
            cases.extend(requests.requests.iter().map(|request| not_sent(&request.name, why)));
            Ok(Tested { host: side.name, cases, expectations: requests.expectations() })
        }
        Started::Running(mut running) => {
            let mut lines = Vec::new();
            running.settle(&mut lines, &ends).await.map_err(unreadable)?;
            let mut cases = vec![start(requests, Ok(()), &lines, begin)];
            ask(comparison, &origins, &mut running, &ends, &mut cases).await?;
            Ok(Tested { host: running.side.name.clone(), cases, expectations: requests.expectations() })
        }
    }
}

/// Sends one request after another, as long as the component can be asked.
async fn ask(
    comparison: &Comparison,
    origins: &Origins,
    running: &mut Running,
    ends: &[&str],
    cases: &mut Vec<Case>,
) -> Result<(), Error> {
    let mut stopped: Option<String> = None;
    for request in &comparison.requests.requests {
        if let Some(why) = &stopped {
            cases.push(not_sent(&request.name, why));
            continue;
        }
        let begin = Instant::now();
        let mut seen = exchanges::one(comparison, origins, request, running, ends).await?;
        // A host may make an instance, and start it, for each request.
        let rest = seen.lines.split_off(trace::start_len(&seen.lines));
        let start = std::mem::replace(&mut seen.lines, rest);
        if !trace::is_traced(&start) {
            seen.lines.splice(0..0, start);
        }
        let unmet = expectations::of_request(&request.expect, &seen, ALL);
        let verdict = verdict(&comparison.requests, unmet, request.expect.is_empty());
        cases.push(case(&request.name, verdict, &seen.lines, begin));
        stopped = running.ended().map(|how| format!("{} {how}", running.side.name)).or(hang(&seen));
    }
    Ok(())
}

fn hang(seen: &Seen) -> Option<String> {
    let is_timeout = matches!(seen.response.end, End::TimedOut(_));
    (seen.hangs && is_timeout).then(|| "the filter did not return from the request before".to_owned())
}

fn start(requests: &Requests, outcome: Result<(), &str>, lines: &[Line], begin: Instant) -> Case {
    let expect = &requests.start;
    let unmet = expectations::of_start(expect, outcome, lines, true);
    // That the plugin starts is expected of all that do not say otherwise. What the host says of it is told with that.
    Case { host: Vec::new(), ..case("start", verdict(requests, unmet, false), lines, begin) }
}

fn verdict(requests: &Requests, unmet: Vec<Unmet>, is_empty: bool) -> Verdict {
    if unmet.is_empty() {
        return if is_empty { Verdict::Sent } else { Verdict::Met };
    }
    let failing =
        |unmet: Unmet| Failing { place: unmet.number.and_then(|number| requests.place(number)), text: unmet.text };
    Verdict::Unmet(unmet.into_iter().map(failing).collect())
}

fn case(name: &str, verdict: Verdict, lines: &[Line], begin: Instant) -> Case {
    let own = lines.iter().filter_map(|line| match line {
        Line::Own { text, .. } if text.trim().is_empty() => None,
        Line::Own { level, text } if level.is_empty() => Some(text.clone()),
        Line::Own { level, text } => Some(format!("[{level}] {text}")),
        _ => None,
    });
    let log = expectations::log(lines).collect();
    Case { name: name.into(), verdict, log, host: own.collect(), time: begin.elapsed() }
}

fn not_sent(name: &str, why: &str) -> Case {
    let verdict = Verdict::NotSent(why.into());
    Case { name: name.into(), verdict, log: Vec::new(), host: Vec::new(), time: Duration::ZERO }
}
