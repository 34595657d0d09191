//! From what was seen on both sides to the parts of a report.

use std::collections::BTreeMap;

use super::align::{Item, align};
use super::expectations;
use super::message::Message;
use super::normalise::{self, Normaliser, Rule};
use super::origins::Origins;
use super::output::Line;
use super::report::{Kind, Part, Row, Section};
use super::requests::Request;
use super::trace;
use proxy_wasm_adapter::digest::sha256;

/// What one side did with one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) response: Message,
    pub(super) upstream: Vec<Message>,
    pub(super) clusters: BTreeMap<String, Vec<Message>>,
    pub(super) lines: Vec<Line>,
    /// The filter still ran when its answer was given up.
    pub(super) hangs: bool,
}

/// What can be compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visible {
    /// The other side's requests to the upstream and to clusters.
    pub(super) upstream: bool,
    pub(super) log: bool,
    pub(super) trace: bool,
}

/// The plugin's start. `outcomes`: what each side says of it, where one of them refuses; `unmet`: what was expected of it
/// and did not come.
pub(super) fn start(
    [envoy, here]: [&[Line]; 2],
    outcomes: Option<[Result<(), String>; 2]>,
    visible: Visible,
    normaliser: &mut Normaliser,
    unmet: Vec<String>,
) -> Part {
    let mut sections = output([envoy, here], [false; 2], visible, normaliser);
    if let Some(outcomes) = outcomes {
        let same = outcomes[0].is_ok() == outcomes[1].is_ok();
        let outcome = |outcome| match outcome {
            Ok(()) => "started".to_owned(),
            Err(words) => format!("did not start: {words}"),
        };
        let [envoy, here] = outcomes.map(|told| Some(normaliser.text(&outcome(told))));
        if same {
            normaliser.used(Rule::Words);
        }
        let row = Row { phase: None, depth: 0, envoy, here, same, known: None };
        let log = sections.iter_mut().find(|section| section.kind == Kind::Log);
        match log {
            Some(section) => {
                section.rows.push(row);
                section.same &= same;
            }
            None => sections.insert(0, Section { kind: Kind::Log, name: None, same, rows: vec![row] }),
        }
    }
    part("start", sections, unmet)
}

/// One request.
pub(super) fn request(
    request: &Request,
    [envoy, here]: [&Seen; 2],
    origins: &Origins,
    visible: Visible,
    normaliser: &mut Normaliser,
) -> Part {
    let mut sections =
        vec![messages(Kind::Response, None, normaliser.response(&envoy.response), normaliser.response(&here.response))];
    if visible.upstream {
        let [of_envoy, of_here] = normaliser.requests([&envoy.upstream, &here.upstream], origins.upstream.address);
        if !origins.are_upstreams() {
            sections.push(messages(Kind::Upstream, None, of_envoy, of_here));
        }
        for (name, of_envoy) in &envoy.clusters {
            let of_here = here.clusters.get(name).map(Vec::as_slice).unwrap_or_default();
            if of_envoy.is_empty() && of_here.is_empty() {
                continue;
            }
            let Some(address) = origins.cluster(name) else { continue };
            let [of_envoy, of_here] = normaliser.requests([of_envoy, of_here], address);
            sections.push(messages(Kind::Callout, Some(name.clone()), of_envoy, of_here));
        }
    }
    sections.extend(output([&envoy.lines, &here.lines], [envoy.hangs, here.hangs], visible, normaliser));
    let all = Visible { upstream: true, log: true, trace: true };
    let sides = [("Envoy", envoy, all), ("the other side", here, visible)];
    let unmet = sides.into_iter().flat_map(|(side, seen, visible)| {
        let unmet = expectations::of_request(&request.expect, seen, visible);
        unmet.into_iter().map(move |unmet| format!("{side}: {}", unmet.text))
    });
    part(&request.name, sections, unmet.collect())
}

fn part(name: &str, sections: Vec<Section>, unmet: Vec<String>) -> Part {
    let same = unmet.is_empty() && sections.iter().all(|section| section.same);
    Part { name: name.into(), same, sections, unmet }
}

fn messages(kind: Kind, name: Option<String>, envoy: Vec<String>, here: Vec<String>) -> Section {
    let items = |lines: Vec<String>| lines.into_iter().map(Item::from).collect::<Vec<_>>();
    section(kind, name, &items(envoy), &items(here))
}

fn section(kind: Kind, name: Option<String>, envoy: &[Item], here: &[Item]) -> Section {
    let rows = align(envoy, here);
    Section { kind, name, same: rows.iter().all(|row| row.same), rows }
}

/// The log and the trace.
fn output(lines: [&[Line]; 2], hangs: [bool; 2], visible: Visible, normaliser: &mut Normaliser) -> Vec<Section> {
    let mut sections = Vec::new();
    if visible.log {
        let [envoy, here] = lines.map(|lines| log(lines, normaliser));
        if !envoy.is_empty() || !here.is_empty() {
            sections.push(section(Kind::Log, None, &envoy, &here));
        }
    }
    if visible.trace {
        let calls = [trace::calls(lines[0], hangs[0]), trace::calls(lines[1], hangs[1])];
        let rows = normalise::traces(calls, normaliser);
        if !rows.is_empty() {
            sections.push(Section { kind: Kind::Trace, name: None, same: rows.iter().all(|row| row.same), rows });
        }
    }
    sections
}

/// A line that can be read, with the length and the digest of what it leaves out.
fn shortened(line: String) -> String {
    const LONGEST: usize = 1000;
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => {
            let digest = sha256(line.as_bytes());
            format!("{}… ({} bytes, sha256 {})", &line[..end], line.len(), digest.get(..16).unwrap_or_default())
        }
        None => line,
    }
}

fn log(lines: &[Line], normaliser: &mut Normaliser) -> Vec<Item> {
    let record = |line: &Line| match line {
        Line::Log { level, text } => Some(Item::from(normaliser.text(&shortened(format!("[{level}] {text}"))))),
        _ => None,
    };
    lines.iter().filter_map(record).collect()
}
