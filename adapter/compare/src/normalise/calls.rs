//! What is made equal in traces, and only in those that differ by it.

use super::super::align::{Item, align};
use super::super::output::{Step, Trace};
use super::super::report::Row;
use super::super::trace::{Call, CallLine, contexts};
use super::{Normaliser, Rule};

/// Callbacks for a piece of a body.
const BODY_CALLBACKS: [&str; 2] = ["proxy_on_request_body", "proxy_on_response_body"];

/// Makes the traces of both sides more alike.
type Apply = fn([Vec<Call>; 2]) -> [Vec<Call>; 2];

/// The calls of both sides, in rows.
pub(crate) fn traces(mut calls: [Vec<Call>; 2], normaliser: &mut Normaliser) -> Vec<Row> {
    let mut rows = aligned(&calls);
    let rules: [(Rule, Apply); 3] = [
        (Rule::Contexts, number_contexts),
        (Rule::Clock, |calls| calls.map(without_clock)),
        (Rule::Pieces, |calls| calls.map(add_up_pieces)),
    ];
    for (rule, apply) in rules {
        let differing = |rows: &[Row]| rows.iter().filter(|row| !row.same).count();
        if differing(&rows) == 0 {
            break;
        }
        let changed = apply(calls.clone());
        let better = aligned(&changed);
        if differing(&better) < differing(&rows) {
            (calls, rows) = (changed, better);
            normaliser.used(rule);
        }
    }
    rows
}

fn aligned(calls: &[Vec<Call>; 2]) -> Vec<Row> {
    let item = |call: &Call| Item { text: call.line.to_string(), phase: call.phase.clone(), depth: call.depth };
    let [envoy, here] = calls.each_ref().map(|calls| calls.iter().map(item).collect::<Vec<_>>());
    align(&envoy, &here)
}

/// Numbers the streams in the order in which they come, where the sides count differently.
fn number_contexts(mut calls: [Vec<Call>; 2]) -> [Vec<Call>; 2] {
    for calls in &mut calls {
        let ids: Vec<u32> = contexts(calls).into_iter().filter(|id| *id > 1).collect();
        for call in calls {
            let CallLine::Step(trace) = &mut call.line else { continue };
            let names_context = match trace.step {
                Step::CallFilter => call.depth == 0,
                Step::CallHost => trace.name == "env.proxy_set_effective_context",
                Step::FilterReturns | Step::HostReturns => false,
            };
            let (id, rest) = trace.values.split_at(trace.values.find(',').unwrap_or(trace.values.len()));
            let number = ids.iter().position(|known| Some(*known) == id.parse().ok());
            if let Some(number) = number.filter(|_| names_context) {
                trace.values = format!("stream {}{rest}", number + 1);
            }
        }
    }
    calls
}

fn without_clock(mut calls: Vec<Call>) -> Vec<Call> {
    calls.retain(|call| !matches!(&call.line, CallLine::Step(trace) if trace.name.ends_with(".clock_time_get")));
    calls
}

/// A callback for a piece of a body that is not the last, in which the filter called nothing.
struct Piece<'a> {
    name: &'a str,
    context: &'a str,
    size: u64,
    returned: &'a str,
}

impl<'a> Piece<'a> {
    /// The piece that these two lines are.
    fn of(call: &'a Call, end: &'a Call) -> Option<Self> {
        let (CallLine::Step(call), CallLine::Step(end)) = (&call.line, &end.line) else { return None };
        let is_body = call.step == Step::CallFilter && BODY_CALLBACKS.contains(&call.name.as_str());
        let returns = end.step == Step::FilterReturns && end.name == call.name;
        let mut values = call.values.split(", ");
        let (context, size, last) = (values.next()?, values.next()?, values.next()?);
        (is_body && returns && last == "0").then_some(Self {
            name: &call.name,
            context,
            size: size.parse().ok()?,
            returned: &end.values,
        })
    }

    /// This piece and the next in one.
    fn and(&self, next: &Self) -> Option<u64> {
        if (self.name, self.context, self.returned) != (next.name, next.context, next.returned) {
            return None;
        }
        match self.returned {
            "0" => self.size.checked_add(next.size),
            // What was held is shown again.
            "1" => Some(next.size),
            _ => None,
        }
    }
}

fn add_up_pieces(calls: Vec<Call>) -> Vec<Call> {
    let mut added: Vec<Call> = Vec::with_capacity(calls.len());
    for call in calls {
        added.push(call);
        let [.., first, first_end, next, next_end] = added.as_slice() else { continue };
        let (Some(first), Some(next)) = (Piece::of(first, first_end), Piece::of(next, next_end)) else { continue };
        let Some(size) = first.and(&next) else { continue };
        let values = format!("{}, {size}, 0", first.context);
        added.truncate(added.len() - 2);
        let at = added.len() - 2;
        if let CallLine::Step(Trace { values: old, .. }) = &mut added[at].line {
            *old = values;
        }
    }
    added
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(text: &str) -> Vec<Call> {
        let call = |line: &str| {
            let (step, rest) = line.trim().split_at(2);
            let step = match step {
                "> " => Step::CallFilter,
                "< " => Step::FilterReturns,
                _ => Step::CallHost,
            };
            let (name, values) = rest.split_once(' ').unwrap();
            let depth = u32::from(step == Step::CallHost);
            Call { phase: None, depth, line: CallLine::Step(Trace { step, name: name.into(), values: values.into() }) }
        };
        text.lines().map(call).collect()
    }

    /// Which rules were used, and whether nothing differs with them.
    fn used(envoy: &str, here: &str) -> (Vec<Rule>, bool) {
        let mut normaliser = Normaliser::new([]);
        let rows = traces([calls(envoy), calls(here)], &mut normaliser);
        (normaliser.used.into_iter().collect(), rows.iter().all(|row| row.same))
    }

    #[test]
    fn equal_traces_stay_as_they_are() {
        let text = "> proxy_on_request_body 2, 3, 0\n< proxy_on_request_body 0\n? env.clock_time_get 1, 0, 8";
        assert_eq!(used(text, text), (vec![], true));
    }

    #[test]
    fn streams_are_numbered() {
        let one = "> proxy_on_log 2\n? env.proxy_set_effective_context 2\n> proxy_on_log 3\n> proxy_on_vm_start 1, 5";
        let other = "> proxy_on_log 7\n? env.proxy_set_effective_context 7\n> proxy_on_log 2\n> proxy_on_vm_start 1, 5";
        assert_eq!(used(one, other), (vec![Rule::Contexts], true));
    }

    #[test]
    fn clocks_are_left_out() {
        let clock = "? wasi_snapshot_preview1.clock_time_get 1, 0, 8";
        assert_eq!(used("? env.f 1", &format!("{clock}\n? env.f 1")), (vec![Rule::Clock], true));
        assert_eq!(used("? env.f 1", &format!("{clock}\n? env.f 2")), (vec![Rule::Clock], false));
    }

    #[test]
    fn pieces_are_added_up() {
        let piece = |size: u32, returned: u32| {
            format!("> proxy_on_request_body 2, {size}, 0\n< proxy_on_request_body {returned}\n")
        };
        let end = "> proxy_on_request_body 2, 0, 1\n< proxy_on_request_body 0";
        let pieces = format!("{}{}{}{end}", piece(1, 0), piece(2, 0), piece(3, 0));
        assert_eq!(used(&format!("{}{end}", piece(6, 0)), &pieces), (vec![Rule::Pieces], true));
        assert!(!used(&format!("{}{end}", piece(7, 0)), &pieces).1);
        let held = format!("{}{}{end}", piece(1, 1), piece(6, 1));
        assert_eq!(used(&format!("{}{end}", piece(6, 1)), &held), (vec![Rule::Pieces], true));
        let watched = format!("{}{}{end}", piece(1, 2), piece(6, 2));
        assert_eq!(used(&format!("{}{end}", piece(7, 2)), &watched), (vec![], false));
    }
}
