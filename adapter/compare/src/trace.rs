//! The calls between host and filter: how they nest, which begin a plugin, which end an exchange.

use std::collections::BTreeSet;

use proxy_wasm_abi::callbacks::{CALLBACKS, Family};

use super::output::{Line, Step, Trace};

/// A line of a trace and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The callback that it belongs to.
    pub(super) phase: Option<String>,
    /// 0 for a callback, 1 for a host call in it, 2 for the allocator in that.
    pub(super) depth: u32,
    pub(super) line: CallLine,
}

/// What a line of a trace says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CallLine {
    Step(Trace),
    Trapped(String),
    /// It had not returned when the comparison went on.
    Runs(String),
}

/// Callbacks and functions that start a plugin.
const START: [&str; 7] = [
    "_initialize",
    "_start",
    "main",
    "__main_void",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_validate_configuration",
];

const ALLOCATORS: [&str; 2] = ["malloc", "proxy_on_memory_allocate"];

fn context(trace: &Trace) -> Option<u32> {
    trace.values.split(", ").next()?.parse().ok()
}

/// Whether a call of the filter is part of a plugin's start, or of a call that already runs.
fn is_start(trace: &Trace) -> bool {
    let name = trace.name.as_str();
    START.contains(&name)
        || ALLOCATORS.contains(&name)
        || (name == "proxy_on_context_create" && trace.values.ends_with(", 0"))
}

/// Whether it is a callback that only streams get.
fn is_of_stream(trace: &Trace) -> bool {
    let of_family = |name: &str| CALLBACKS.iter().any(|known| known.name == name && known.family == Family::Http);
    of_family(&trace.name) || (trace.name == "proxy_on_context_create" && !is_start(trace))
}

/// How many of these lines come from the start of a plugin: all up to the first callback that does not.
pub(super) fn start_len(lines: &[Line]) -> usize {
    let is_of_stream =
        |line: &Line| matches!(line, Line::Trace(trace) if trace.step == Step::CallFilter && !is_start(trace));
    lines.iter().position(is_of_stream).unwrap_or(lines.len())
}

/// How many plugins were configured.
pub(super) fn configured(lines: &[Line]) -> usize {
    let is_it = |line: &&Line| matches!(line, Line::Trace(trace) if trace.step == Step::FilterReturns && trace.name == "proxy_on_configure");
    lines.iter().filter(is_it).count()
}

/// Whether any of these lines is of the trace.
pub(super) fn is_traced(lines: &[Line]) -> bool {
    lines.iter().any(|line| matches!(line, Line::Trace(_)))
}

/// The calls of these lines. `hangs`: what has not returned at the end still runs, rather than having trapped.
pub(super) fn calls(lines: &[Line], hangs: bool) -> Vec<Call> {
    let mut calls = Calls::default();
    for line in lines {
        match line {
            Line::Trace(trace) => calls.step(trace),
            Line::Trap { name } => calls.trap(name),
            Line::Log { .. } | Line::Own { .. } => {}
        }
    }
    calls.unwind(0, if hangs { CallLine::Runs } else { CallLine::Trapped });
    calls.found
}

/// Calls as they are found, and those that run.
#[derive(Default)]
struct Calls {
    found: Vec<Call>,
    running: Vec<Trace>,
}

impl Calls {
    fn push(&mut self, depth: usize, line: CallLine) {
        let named = |call: &Trace| call.name.clone();
        let outermost = self.running.first().filter(|call| call.step == Step::CallFilter).map(named);
        let phase = outermost.or_else(|| match &line {
            CallLine::Step(trace) if trace.step == Step::CallFilter => Some(named(trace)),
            _ => None,
        });
        self.found.push(Call { phase, depth: u32::try_from(depth).unwrap_or(u32::MAX), line });
    }

    fn step(&mut self, trace: &Trace) {
        match trace.step {
            Step::CallFilter | Step::CallHost => {
                // Only the allocator is called while the filter waits for the host.
                if trace.step == Step::CallFilter && !ALLOCATORS.contains(&trace.name.as_str()) {
                    self.unwind(0, CallLine::Trapped);
                }
                self.push(self.running.len(), CallLine::Step(trace.clone()));
                self.running.push(trace.clone());
            }
            Step::FilterReturns | Step::HostReturns => {
                let call = if trace.step == Step::FilterReturns { Step::CallFilter } else { Step::CallHost };
                let of_it = |running: &Trace| running.step == call && running.name == trace.name;
                let depth = self.running.iter().rposition(of_it).unwrap_or(0);
                self.unwind(depth + 1, CallLine::Trapped);
                self.push(depth, CallLine::Step(trace.clone()));
                self.running.truncate(depth);
            }
        }
    }

    fn trap(&mut self, name: &str) {
        let of_it = |running: &Trace| running.step == Step::CallFilter && running.name == name;
        if let Some(depth) = self.running.iter().rposition(of_it) {
            self.unwind(depth, CallLine::Trapped);
        }
    }

    /// Ends all calls from this depth on: functions of the filter with a line each.
    fn unwind(&mut self, depth: usize, line: fn(String) -> CallLine) {
        while self.running.len() > depth {
            let Some(last) = self.running.last() else { return };
            if last.step == Step::CallFilter {
                let name = last.name.clone();
                self.push(self.running.len() - 1, line(name));
            }
            self.running.pop();
        }
    }
}

impl std::fmt::Display for CallLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let step = Step::FilterReturns.text();
        match self {
            Self::Step(trace) => trace.fmt(f),
            Self::Trapped(name) => write!(f, "{step}{name} trapped"),
            Self::Runs(name) => write!(f, "{step}{name} has not returned"),
        }
    }
}

/// The ids of contexts in the order in which callbacks name them.
pub(super) fn contexts(calls: &[Call]) -> Vec<u32> {
    let mut ids = Vec::new();
    for call in calls {
        if let (0, CallLine::Step(trace)) = (call.depth, &call.line)
            && trace.step == Step::CallFilter
            && let Some(id) = context(trace)
            && !ids.contains(&id)
        {
            ids.push(id);
        }
    }
    ids
}

/// Whether a call still runs at the end of these lines.
pub(super) fn runs(lines: &[Line]) -> bool {
    calls(lines, true).iter().any(|call| matches!(call.line, CallLine::Runs(_)))
}

/// Whether all is over that these lines tell of: no call runs, and of every stream, one of the callbacks that end it has
/// returned. Contexts of several virtual machines may have the same id; their streams end together.
pub(super) fn is_settled(lines: &[Line], ends: &[&str]) -> bool {
    let mut open = BTreeSet::new();
    let mut depth = 0_usize;
    for line in lines {
        let Line::Trace(trace) = line else {
            if matches!(line, Line::Trap { .. }) {
                // Nothing more comes of the streams of this plugin.
                (open, depth) = (BTreeSet::new(), 0);
            }
            continue;
        };
        match trace.step {
            Step::CallFilter | Step::CallHost => depth += 1,
            Step::FilterReturns | Step::HostReturns => depth = depth.saturating_sub(1),
        }
        let Some(id) = context(trace).filter(|id| *id > 1 && trace.step == Step::CallFilter) else { continue };
        if ends.contains(&trace.name.as_str()) {
            open.remove(&id);
        } else if !ends.is_empty() && is_of_stream(trace) {
            open.insert(id);
        }
    }
    open.is_empty() && depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Line> {
        let step = |line: &str| {
            let (step, rest) = line.split_at(2);
            let step = match step {
                "> " => Step::CallFilter,
                "< " => Step::FilterReturns,
                "? " => Step::CallHost,
                "! " => Step::HostReturns,
                _ => return Line::Trap { name: rest.into() },
            };
            let (name, values) = rest.split_once(' ').unwrap_or((rest, ""));
            Line::Trace(Trace { step, name: name.into(), values: values.into() })
        };
        text.lines().map(str::trim).map(step).collect()
    }

    fn shown(calls: &[Call]) -> Vec<String> {
        calls
            .iter()
            .map(|call| format!("{} {} {}", call.phase.as_deref().unwrap_or("-"), call.depth, call.line))
            .collect()
    }

    #[test]
    fn calls_nest() {
        let lines = lines(
            "? env.f 1\n! env.f 0\n> proxy_on_log 2\n? env.g 3\n> malloc 4\n< malloc 5\n! env.g 0\n< proxy_on_log void",
        );
        assert_eq!(
            shown(&calls(&lines, false)),
            [
                "- 0 [vm->host] env.f(1)",
                "- 0 [vm<-host] env.f return: 0",
                "proxy_on_log 0 [host->vm] proxy_on_log(2)",
                "proxy_on_log 1 [vm->host] env.g(3)",
                "proxy_on_log 2 [host->vm] malloc(4)",
                "proxy_on_log 2 [host<-vm] malloc return: 5",
                "proxy_on_log 1 [vm<-host] env.g return: 0",
                "proxy_on_log 0 [host<-vm] proxy_on_log return: void",
            ]
        );
        assert_eq!(contexts(&calls(&lines, false)), [2]);
    }

    #[test]
    fn traps_end_what_ran() {
        let told = lines("> proxy_on_log 2\n? env.g 3\n> malloc 4\nx malloc\n! env.g 6\n< proxy_on_log void");
        assert_eq!(shown(&calls(&told, false))[3], "proxy_on_log 2 [host<-vm] malloc trapped");
        assert_eq!(shown(&calls(&told, false)).len(), 6);
        let untold = lines("> proxy_on_log 2\n? env.g 3\n> proxy_on_log 3\n");
        assert_eq!(
            shown(&calls(&untold, true))[2..],
            [
                "proxy_on_log 0 [host<-vm] proxy_on_log trapped",
                "proxy_on_log 0 [host->vm] proxy_on_log(3)",
                "proxy_on_log 0 [host<-vm] proxy_on_log has not returned"
            ]
        );
    }

    #[test]
    fn start_ends_with_the_first_stream() {
        let lines = lines("> _start\n< _start void\n> proxy_on_context_create 1, 0\n> proxy_on_context_create 2, 1");
        assert_eq!(start_len(&lines), 3);
    }

    #[test]
    fn streams_settle_with_their_last_callback() {
        let mut lines = lines("> proxy_on_request_headers 2, 1, 1\n< proxy_on_request_headers 0");
        assert!(!is_settled(&lines, &["proxy_on_done"]));
        assert!(is_settled(&lines, &[]));
        lines.extend(self::lines("> proxy_on_done 2"));
        assert!(!is_settled(&lines, &["proxy_on_done"]));
        lines.extend(self::lines("< proxy_on_done 1"));
        assert!(is_settled(&lines, &["proxy_on_done"]));
        // What is the plugin's own, and the streams of a second filter whose last callback is another.
        lines.extend(self::lines("> proxy_on_tick 2\n< proxy_on_tick void\n> proxy_on_request_headers 3, 1, 1"));
        lines.extend(self::lines("< proxy_on_request_headers 0"));
        assert!(!is_settled(&lines, &["proxy_on_done", "proxy_on_log"]));
        lines.extend(self::lines("> proxy_on_log 3\n< proxy_on_log void"));
        assert!(is_settled(&lines, &["proxy_on_done", "proxy_on_log"]));
    }
}
