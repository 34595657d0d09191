//! Whatever comes, in whatever order: nothing is lost, nothing comes twice, each exchange and callout ends once, the edge is
//! told whom to look at, and no time limit is forgotten.

use proptest::prelude::*;
use proxy_wasm_driver::Peer;

use crate::{
    events::{Came, Plan, Run, Step},
    world::{MS, bed},
};

fn came() -> impl Strategy<Value = Came> {
    prop_oneof![
        2 => any::<bool>().prop_map(Came::Head),
        4 => (1u8..9, any::<bool>()).prop_map(|(len, end)| Came::Data(len, end)),
        3 => Just(Came::End),
        1 => Just(Came::Trailers),
        1 => Just(Came::Broken),
        1 => Just(Came::Failed),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let plan = prop_oneof![
        3 => Just(Plan::Pass),
        3 => Just(Plan::CallOut),
        1 => Just(Plan::Hold),
        1 => (1u8..4).prop_map(Plan::Loop),
        1 => Just(Plan::Answer),
        1 => Just(Plan::HoldResponse),
        1 => Just(Plan::Close),
        1 => (0u8..3).prop_map(Plan::Stream),
    ];
    prop_oneof![
        3 => (plan, any::<bool>()).prop_map(|(plan, end)| Step::Open(plan, end)),
        4 => (any::<u8>(), came()).prop_map(|(which, came)| Step::Request(which, came)),
        4 => (any::<u8>(), came()).prop_map(|(which, came)| Step::Response(which, came)),
        3 => (any::<u8>(), came()).prop_map(|(which, came)| Step::Callout(which, came)),
        4 => any::<u8>().prop_map(Step::Written),
        1 => any::<u8>().prop_map(Step::Refused),
        1 => any::<u8>().prop_map(Step::Leave),
        1 => (0u16..60_000).prop_map(Step::Pass),
        4 => Just(Step::Work),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_in_whatever_order(steps in proptest::collection::vec(step(), 0..120), ends_apart: bool) {
        let bed = bed();
        let mut run = Run::new(&bed);
        if ends_apart {
            run.world = run.world.with_ends_apart();
        }
        for step in &steps {
            run.take(step);
        }
        run.run_out();
        run.check_ends();
    }
}

/// A body that nobody breaks off arrives whole, through a filter that holds it for a while.
#[test]
fn what_was_held_arrives_whole() {
    let bed = bed();
    let mut run = Run::new(&bed);
    run.take(&Step::Open(Plan::CallOut, false));
    run.take(&Step::Work);
    let id = run.edge.open[0];
    for came in [Came::Data(5, false), Came::Data(8, false), Came::End] {
        run.came(Peer::Client(id), came);
    }
    assert_eq!(run.edge.side(Peer::Upstream(id)).written, [0; 0]);
    let callout = run.edge.callouts()[0];
    run.came(callout, Came::Head(true));
    let side = run.edge.side(Peer::Upstream(id));
    assert_eq!((side.written.len(), side.ends), (13, 1));
    assert_eq!(side.written, side.came);
    run.world.bed.set_clocks(0, 10 * MS);
    run.run_out();
}
