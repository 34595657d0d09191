//! The driver: whatever comes, in whatever order, nothing is lost, nothing comes twice, each exchange and callout ends once,
//! and no time limit is forgotten. Each event is three bytes.

#![no_main]

#[allow(dead_code, unused_imports, reason = "the semantics' test bed, of which each user takes a part")]
#[path = "../../../host-shim/semantics/tests/semantics/common/mod.rs"]
mod common;
#[path = "../../../host-shim/driver/tests/driver/edge.rs"]
mod edge;
#[path = "../../../host-shim/driver/tests/driver/events.rs"]
mod events;
#[allow(dead_code, reason = "the driver's test bed, of which each user takes a part")]
#[path = "../../../host-shim/driver/tests/driver/world.rs"]
mod world;

use libfuzzer_sys::fuzz_target;

use events::{Came, Plan, Run, Step};

/// As many as an exchange is long, many times over: more would only be slow.
const STEPS_MAX: usize = 300;

fn step([kind, which, value]: [u8; 3]) -> Step {
    match kind % 12 {
        0 | 1 => Step::Open(plan(which, value >> 1), value & 1 == 1),
        2 | 3 => Step::Request(which, came(value)),
        4 | 5 => Step::Response(which, came(value)),
        6 => Step::Callout(which, came(value)),
        7 => Step::Written(which),
        8 => Step::Refused(which),
        9 => Step::Leave(which),
        10 => Step::Pass(u16::from_le_bytes([which, value])),
        _ => Step::Work,
    }
}

fn plan(which: u8, count: u8) -> Plan {
    match which % 8 {
        0 => Plan::Pass,
        1 => Plan::CallOut,
        2 => Plan::Hold,
        3 => Plan::Loop(count % 4),
        4 => Plan::Answer,
        5 => Plan::HoldResponse,
        6 => Plan::Close,
        _ => Plan::Stream(count % 4),
    }
}

fn came(value: u8) -> Came {
    match value % 8 {
        0 => Came::Head(false),
        1 => Came::Head(true),
        2 | 3 => Came::Data(1 + value / 8 % 8, value >= 192),
        4 => Came::End,
        5 => Came::Trailers,
        6 => Came::Broken,
        _ => Came::Failed,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let bed = world::bed();
    let mut run = Run::new(&bed);
    for bytes in bytes.as_chunks().0.iter().take(STEPS_MAX) {
        run.take(&step(*bytes));
    }
    run.run_out();
    run.check_ends();
});
