//! The transcript of an exchange: what the filter logged, what the upstream and each cluster got, what the client
//! got.

use crate::client::{Reply, Then};
use crate::hosts::Lines;
use crate::http2::Ending;
use crate::http2::frame::error_name;
use crate::log;
use crate::message::shown;
use crate::normal;
use crate::upstream::Request;

/// Pseudo-headers that the line above the headers tells.
const IN_THE_FIRST_LINE: [&[u8]; 3] = [b":method", b":path", b":status"];

/// What came of an exchange.
/// `wire`: each line of a head, in its order, and what becomes of the client's connection.
pub(super) fn exchange(lines: &[String], servers: &[(String, Vec<Request>)], reply: &Reply, wire: bool) -> String {
    // What comes before the first callback is the end of a start that began before the exchange.
    let mut in_start = true;
    let filter: Vec<String> = lines
        .iter()
        .filter_map(|line| logged(line))
        .filter(|line| {
            // The plugin's start, which comes with the first request on hosts that know of no start.
            in_start = line.starts_with("@root") || (in_start && !line.starts_with("@cb"));
            !in_start
        })
        .collect();
    let of_server = |(name, requests): &(String, Vec<Request>)| {
        format!("{name}\n{}", requests.iter().map(|request| of_request(request, wire)).collect::<String>())
    };
    let servers: String = servers.iter().map(of_server).collect();
    format!("filter\n{}{servers}client\n{}", section(&filter), of_reply(reply, wire))
}

/// What the plugins logged when they started, after they did so a number of times; each start makes so many root
/// contexts.
pub(super) fn start(lines: &Lines, starts_before: usize, roots: usize) -> Vec<String> {
    let mut created = 0;
    let mut of_start = Vec::new();
    let mut in_start = false;
    for line in lines.since(0).iter().filter_map(|line| logged(line)) {
        if line.starts_with("@root ") && line.contains("context_create") {
            created += 1;
        }
        in_start = if line.starts_with("@root") { true } else { in_start && !line.starts_with("@cb") };
        if in_start && created > starts_before * roots && created <= (starts_before + 1) * roots {
            of_start.push(line);
        }
    }
    of_start
}

/// The part of a host's line that the probe wrote; where a script wrote it, with its level.
fn logged(line: &str) -> Option<String> {
    let begin = ["@cb ", "@op ", "@root ", "@log"].iter().filter_map(|mark| line.find(mark)).min()?;
    let text = &line[begin..];
    Some(match text.strip_prefix("@log") {
        Some(text) => format!("@log [{}]{text}", log::level(&line[..begin]).unwrap_or("none")),
        None => text.to_string(),
    })
}

pub(super) fn section(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

fn of_request(request: &Request, wire: bool) -> String {
    let mut text = format!("  {}\n{}", shown(&request.head.start), of_headers(&request.head.headers, wire));
    let has_data = request.ending == Some(Some(Ending::Data));
    if !request.body.bytes.is_empty() || request.head.get("transfer-encoding").is_some() || has_data {
        text.push_str(&format!("  body \"{}\"\n", shown(&request.body.bytes)));
    }
    text.push_str(&of_trailers(&request.body.trailers));
    if request.body.cut {
        text.push_str("  cut off\n");
    }
    if let Some(ending) = request.ending {
        text.push_str(&of_ending(ending));
    }
    text
}

fn of_ending(ending: Option<Ending>) -> String {
    ending.map_or("  does not end\n".into(), |ending| format!("  {ending}\n"))
}

fn of_reply(reply: &Reply, wire: bool) -> String {
    let mut text = String::new();
    if let Some(head) = &reply.head {
        text.push_str(&format!("  {}\n{}", shown(head.status()), of_headers(&head.headers, wire)));
        let has_data = reply.ending.is_none_or(|(ending, _)| ending == Some(Ending::Data));
        if has_data || !reply.body.is_empty() {
            text.push_str(&format!("  body \"{}\"\n", shown(&reply.body)));
        }
        text.push_str(&of_trailers(&reply.trailers));
    }
    if let Some((ending, after)) = reply.ending {
        text.push_str(&of_ending(ending));
        if let Some(code) = after {
            text.push_str(&format!("  then reset {}\n", error_name(code)));
        }
    }
    if let Some(end) = reply.end {
        text.push_str(&format!("  {end}\n"));
    }
    if let Some(then) = reply.then {
        text.push_str(match then {
            Then::Closed => "  then the connection is closed\n",
            Then::Reset => "  then the connection is reset\n",
            Then::GoesOn => "  then the connection goes on\n",
        });
    }
    text
}

/// By name, where the wire is not to be seen: only the order of headers of one name means anything.
fn of_headers(headers: &[(Vec<u8>, Vec<u8>)], wire: bool) -> String {
    if wire {
        let is_compared = |(name, _): &&(Vec<u8>, Vec<u8>)| normal::is_compared_on_the_wire(name);
        let line = |(name, value): &(Vec<u8>, Vec<u8>)| format!("  {}: {}\n", shown(name), shown(value));
        return headers.iter().filter(is_compared).map(line).collect();
    }
    let is_shown =
        |(name, _): &&(Vec<u8>, Vec<u8>)| normal::is_compared(name) && !IN_THE_FIRST_LINE.contains(&name.as_slice());
    let mut headers: Vec<_> = headers.iter().filter(is_shown).collect();
    headers.sort_by_key(|(name, _)| name.to_ascii_lowercase());
    let line =
        |(name, value): &&(Vec<u8>, Vec<u8>)| format!("  {}: {}\n", shown(&name.to_ascii_lowercase()), shown(value));
    headers.iter().map(line).collect()
}

fn of_trailers(trailers: &[(Vec<u8>, Vec<u8>)]) -> String {
    trailers.iter().map(|(name, value)| format!("  trailer {}: {}\n", shown(name), shown(value))).collect()
}
