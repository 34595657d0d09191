//! One request after another, each on Envoy and then on the other side.

use std::net::SocketAddr;

use proxy_wasm_abi::settings::Settings;

use super::error::Error;
use super::expectations;
use super::message::{End, Message};
use super::normalise::{Normaliser, Rule};
use super::origins::Origins;
use super::output::Line;
use super::report::{Report, ReportedFilter, Side};
use super::requests::Request;
use super::running::{Output, Running, Started};
use super::sections::{self, Seen, Visible};
use super::{Comparison, client, trace};
use proxy_wasm_adapter::digest::sha256;
use proxy_wasm_adapter::inspect;

/// The version of the report's format.
const VERSION: u32 = 1;

/// The callbacks of a stream's end, the last first.
const LAST_CALLBACKS: [&str; 3] = ["proxy_on_delete", "proxy_on_done", "proxy_on_log"];

/// All that was seen on both sides.
pub(super) struct Found {
    sides: [Side; 2],
    addresses: Vec<(SocketAddr, String)>,
    /// What each side says of the start, where one refuses.
    outcomes: Option<[Result<(), String>; 2]>,
    start: [Vec<Line>; 2],
    /// How far the start came can be compared.
    starts_alike: bool,
    /// For each request that was sent.
    requests: Vec<[Seen; 2]>,
    /// A side started the plugin more than once.
    restarted: bool,
    log: bool,
    notes: Vec<String>,
}

/// Asks both sides all that the request file says, as far as they run.
pub(super) async fn run(comparison: &Comparison, origins: &Origins, started: [Started; 2]) -> Result<Found, Error> {
    let ends = ends(&comparison.filters);
    match started {
        [Started::Running(envoy), Started::Running(here)] => ask(comparison, origins, [envoy, here], &ends).await,
        started => refused(started, &ends, comparison.filters.len() > 1).await,
    }
}

/// The callbacks by which streams end; none where a filter has none, so that it can't be told.
pub(super) fn ends(filters: &[super::NamedFilter]) -> Vec<&'static str> {
    let last = |filter: &super::NamedFilter| LAST_CALLBACKS.into_iter().find(|name| exports(filter, name));
    filters.iter().map(last).collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// Whether a filter has this callback.
fn exports(filter: &super::NamedFilter, name: &str) -> bool {
    inspect(&filter.bytes).filters.iter().flat_map(|filter| &filter.callbacks).any(|found| found.name == name)
}

/// At least one side runs no such plugin, or chain.
async fn refused(started: [Started; 2], ends: &[&str], is_chain: bool) -> Result<Found, Error> {
    let mut parts = Vec::new();
    for started in started {
        parts.push(match started {
            Started::Refused { side, words, lines } => (side, Err(words), lines),
            Started::Running(mut running) => {
                let mut lines = Vec::new();
                running.settle(&mut lines, ends).await.map_err(unreadable)?;
                (running.side, Ok(()), lines)
            }
        });
    }
    let [envoy, here] = <[_; 2]>::try_from(parts).unwrap_or_else(|_| unreachable!("there are two sides"));
    let both = envoy.1.is_err() && here.1.is_err();
    let who = if both {
        "neither side"
    } else if envoy.1.is_err() {
        "not Envoy"
    } else {
        "not the other side"
    };
    let mut notes = vec![format!("No request was sent: {who} runs the {}.", if is_chain { "chain" } else { "plugin" })];
    if is_chain {
        notes.push(
            "How far the start came is not compared: Envoy tries each plugin of a chain by itself before.".into(),
        );
    }
    Ok(Found {
        sides: [envoy.0, here.0],
        addresses: Vec::new(),
        outcomes: Some([envoy.1, here.1]),
        start: [envoy.2, here.2],
        starts_alike: !is_chain,
        requests: Vec::new(),
        restarted: false,
        log: true,
        notes,
    })
}

pub(super) fn unreadable(source: std::io::Error) -> Error {
    Error::Machine { doing: "read what a side writes", source }
}

/// What the filter logged last.
fn last_words(lines: &[Line]) -> String {
    const MOST: usize = 3;
    let log: Vec<String> = expectations::log(lines).collect();
    match &log[log.len().saturating_sub(MOST)..] {
        [] => String::new(),
        last => format!("; it logged: {}", last.join("; ")),
    }
}

async fn ask(
    comparison: &Comparison,
    origins: &Origins,
    mut sides: [Box<Running>; 2],
    ends: &[&str],
) -> Result<Found, Error> {
    let mut start = [Vec::new(), Vec::new()];
    let configured = comparison.filters.iter().filter(|filter| exports(filter, "proxy_on_configure")).count();
    for (side, lines) in sides.iter_mut().zip(&mut start) {
        side.settle_start(lines, ends, configured).await.map_err(unreadable)?;
    }
    let mut found = Found {
        sides: [sides[0].side.clone(), sides[1].side.clone()],
        addresses: vec![(sides[0].address, "<proxy>".into()), (sides[1].address, "<proxy>".into())],
        outcomes: None,
        start,
        starts_alike: true,
        requests: Vec::new(),
        restarted: false,
        log: !matches!(sides[1].output, Output::Nothing),
        notes: Vec::new(),
    };
    let count = comparison.requests.requests.len();
    for (index, request) in comparison.requests.requests.iter().enumerate() {
        let mut both = [Seen::default(), Seen::default()];
        for (which, side) in sides.iter_mut().enumerate() {
            both[which] = one(comparison, origins, request, side, ends).await?;
            found.take_start(which, &mut both[which].lines);
        }
        let hangs = both.iter().any(|seen| seen.hangs);
        found.requests.push(both);
        let mut told = Vec::new();
        for side in &mut sides {
            told.extend(side.ended().map(|how| format!("{} {how}", side.side.name)));
        }
        if hangs {
            told.push("the filter did not return".into());
        }
        if !told.is_empty() {
            let left = match count - index - 1 {
                0 => String::new(),
                1 => "; the request after it was not sent".into(),
                left => format!("; the {left} requests after it were not sent"),
            };
            found.notes.push(format!("In `{}` {}{left}.", request.name, told.join(", ")));
            break;
        }
    }
    Ok(found)
}

/// One request on one side.
pub(super) async fn one(
    comparison: &Comparison,
    origins: &Origins,
    request: &Request,
    side: &mut Running,
    ends: &[&str],
) -> Result<Seen, Error> {
    origins.behave(Some(request), &comparison.requests).await?;
    let host = origins.upstream.address.to_string();
    let address = side.address;
    let (mut response, held) = tokio::select! {
        response = client::send(request, address, &host, comparison.timeout) => response,
        () = side.watch() => (Message::default(), None),
    };
    let mut lines = Vec::new();
    side.settle(&mut lines, ends).await.map_err(unreadable)?;
    if let Some(held) = held {
        response.then = held.then().await;
    }
    let (upstream, clusters) = origins.requests().await;
    let given_up = matches!(response.end, End::TimedOut(_)) || side.ended().is_some();
    let hangs = given_up && trace::runs(&lines);
    Ok(Seen { response, upstream, clusters, lines, hangs })
}

impl Found {
    /// What else the reader should know.
    pub(super) fn note(&mut self, notes: impl IntoIterator<Item = String>) {
        self.notes.extend(notes);
    }

    /// Moves the lines of a plugin's start out of a request's. They count once: a host may make an instance for each.
    fn take_start(&mut self, side: usize, lines: &mut Vec<Line>) {
        let rest = lines.split_off(trace::start_len(lines));
        let start = std::mem::replace(lines, rest);
        if !trace::is_traced(&start) {
            // What was logged before the first callback, by a side that tells no calls.
            lines.splice(0..0, start);
        } else if trace::is_traced(&self.start[side]) {
            self.restarted = true;
        } else {
            self.start[side].extend(start);
        }
    }

    /// What the other side shows of itself; what it does not is noted.
    fn visible(&mut self, comparison: &Comparison) -> Visible {
        let of_side = |side: usize| {
            let requests = self.requests.iter().map(move |both| &both[side].lines);
            trace::is_traced(&self.start[side]) || requests.into_iter().any(|lines| trace::is_traced(lines))
        };
        let trace = self.log && (of_side(1) || !of_side(0));
        let upstream = Origins::are_asked(comparison);
        if !self.log {
            self.notes.push("The log and the trace of an endpoint can't be seen: they are not compared.".into());
        } else if !trace {
            let cause = "does the host pass on what a component writes to stderr?";
            self.notes.push(format!("The other side wrote no trace, so traces are not compared: {cause}"));
        }
        if !upstream {
            let remedy = "`--upstream-listen ADDRESS` listens where the endpoint sends them";
            self.notes.push(format!("What the endpoint sends upstream can't be seen: it is not compared. {remedy}."));
        }
        Visible { upstream, log: self.log, trace }
    }

    /// What did not come of the plugin's start: where both sides refuse it, they are the same, and yet not what was wanted.
    fn unmet_of_start(&self, comparison: &Comparison, visible: Visible) -> Vec<String> {
        let mut all = Vec::new();
        for (index, (side, log)) in [("Envoy", true), ("the other side", visible.log)].into_iter().enumerate() {
            let outcome = match &self.outcomes {
                Some(outcomes) => outcomes[index].clone(),
                None => Ok(()),
            };
            let outcome = outcome.map_err(|words| words + &last_words(&self.start[index]));
            let outcome = outcome.as_ref().map_err(String::as_str).copied();
            let unmet = expectations::of_start(&comparison.requests.start, outcome, &self.start[index], log);
            all.extend(unmet.into_iter().map(|unmet| format!("{side}: {}", unmet.text)));
        }
        all
    }

    /// What it comes to.
    pub(super) fn report(mut self, comparison: &Comparison, settings: &Settings, origins: &Origins) -> Report {
        let visible = self.visible(comparison);
        let mut normaliser = Normaliser::new(origins.names().into_iter().chain(self.addresses.clone()));
        let outcome = |outcome: &'_ Result<(), String>| outcome.clone();
        let outcomes = self.outcomes.as_ref().map(|[envoy, here]| [outcome(envoy), outcome(here)]);
        let unmet = self.unmet_of_start(comparison, visible);
        let compared = if self.starts_alike { self.start.each_ref().map(Vec::as_slice) } else { [[].as_slice(); 2] };
        let mut parts = vec![sections::start(compared, outcomes, visible, &mut normaliser, unmet)];
        for (request, [envoy, here]) in comparison.requests.requests.iter().zip(&self.requests) {
            parts.push(sections::request(request, [envoy, here], origins, visible, &mut normaliser));
        }
        if self.restarted {
            normaliser.used(Rule::Starts);
        }
        if !settings.connection.forwarded_proto {
            self.notes.push("Envoy adds `x-forwarded-proto` to every request: it can't be told not to.".into());
        }
        if !settings.properties.is_empty() || !settings.property_headers.is_empty() {
            self.notes.push("Properties that the settings name are told to the component only.".into());
        }
        let [mut envoy, mut here] = self.sides;
        if comparison.keep.is_none() {
            // What it names goes away with the comparison: nobody could run it.
            (envoy.command, here.command) = (None, None);
        }
        let filter = |filter: &super::NamedFilter| ReportedFilter {
            file: filter.file.clone(),
            sha256: sha256(&filter.bytes),
            bytes: filter.bytes.len(),
        };
        Report {
            version: VERSION,
            command: None,
            filters: comparison.filters.iter().map(filter).collect(),
            envoy,
            here,
            same: parts.iter().all(|part| part.same),
            parts,
            normalised: normaliser.sentences(),
            known: Vec::new(),
            notes: self.notes,
        }
    }
}
