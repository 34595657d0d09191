//! Things that belong to no stream: ticks, shared data, queues and metrics.

use proxy_wasm_abi::{
    bridge::AbiVersion,
    enums::Status,
    limits::{METRICS_MAX, SHARED_BYTES_MAX},
    settings::{MetricsTo, SharedStateIn},
};
use proxy_wasm_semantics::{Change, ChangeKind};

use crate::common::{Bed, Id};

const MS: u64 = 1_000_000;

#[test]
fn a_tick_comes_a_period_after_the_last_one() {
    let bed = Bed::new();
    assert_eq!(bed.chain.tick_deadline(), None);
    assert!(!bed.chain.tick_early(), "nobody asked for it");
    bed.chain.state().set_tick_period(200);
    assert_eq!(bed.chain.tick_deadline(), Some(200 * MS));
    bed.set_clocks(0, 250 * MS);
    bed.clock_reads();
    assert!(bed.chain.tick_early());
    assert_eq!((bed.chain.now(), bed.clock_reads()), (250 * MS, 1), "the clock is read once in a turn");
    assert_eq!(bed.trace(), ["tick(1)"]);
    assert_eq!(bed.chain.tick_deadline(), Some(450 * MS));
    bed.chain.state().set_tick_period(0);
    assert_eq!(bed.chain.tick_deadline(), None);
}

#[test]
fn a_tick_can_end_itself() {
    let bed = Bed::new();
    bed.chain.state().set_tick_period(1);
    bed.on(Id::Tick, |filter| {
        filter.state().set_tick_period(0);
        0
    });
    assert!(bed.chain.tick_early());
    assert_eq!(bed.chain.tick_deadline(), None);
}

#[test]
fn shared_data_compares_changes() {
    let bed = Bed::new();
    let vm = &bed.chain;
    assert_eq!(vm.get_shared_data(b"k"), Err(Status::NotFound));
    assert_eq!(vm.set_shared_data(b"k", b"1", 0), Ok(()));
    assert_eq!(vm.get_shared_data(b"k"), Ok((b"1".to_vec(), 1)));
    assert_eq!(vm.set_shared_data(b"k", b"2", 1), Ok(()));
    assert_eq!(vm.set_shared_data(b"k", b"3", 1), Err(Status::CasMismatch));
    assert_eq!(vm.set_shared_data(b"new", b"", 5), Ok(()), "a new key has nothing to compare with");
    assert_eq!(vm.get_shared_data(b"new"), Ok((Vec::new(), 3)), "changes are counted over all keys");
    assert_eq!(vm.get_shared_data(b"k"), Ok((b"2".to_vec(), 2)));
}

#[test]
fn shared_data_is_bounded() {
    let bed = Bed::new();
    let vm = &bed.chain;
    let half = vec![0; SHARED_BYTES_MAX / 2 - 1];
    assert_eq!(vm.set_shared_data(b"a", &half, 0), Ok(()));
    assert_eq!(vm.set_shared_data(b"b", &half, 0), Ok(()));
    assert_eq!(vm.set_shared_data(b"c", b"", 0), Err(Status::InternalFailure));
    assert_eq!(vm.set_shared_data(b"a", b"", 0), Ok(()), "what is replaced makes room");
    assert_eq!(vm.set_shared_data(b"c", b"", 0), Ok(()));
}

#[test]
fn queues_keep_their_order_and_announce_each_item() {
    let bed = Bed::with(|settings| settings.plugins[0].vm_id = "vm".into());
    {
        let vm = &bed.chain;
        assert_eq!(vm.register_shared_queue(b"q"), 1);
        assert_eq!(vm.register_shared_queue(b"q"), 1, "it is the same one");
        assert_eq!(vm.register_shared_queue(b"r"), 2);
        assert_eq!(vm.resolve_shared_queue(b"vm", b"q"), Ok(1));
        assert_eq!(vm.resolve_shared_queue(b"", b"q"), Ok(1), "no id is this VM's");
        assert_eq!(vm.resolve_shared_queue(b"other", b"q"), Err(Status::NotFound));
        for item in [b"a".as_slice(), b""] {
            assert_eq!(vm.enqueue_shared_queue(1, item), Ok(()));
        }
        for token in [0, 3] {
            assert_eq!(vm.enqueue_shared_queue(token, b""), Err(Status::NotFound));
            assert_eq!(vm.dequeue_shared_queue(token), Err(Status::NotFound));
        }
    }
    bed.on(Id::QueueReady, |filter| {
        let item = filter.chain().dequeue_shared_queue(1);
        filter.note(format!("{item:?}"));
        0
    });
    assert!(bed.chain.has_work());
    assert!(bed.chain.announce_queues());
    assert_eq!(bed.trace(), ["queue_ready(1,1)", "  Ok([97])", "queue_ready(1,1)", "  Ok([])"]);
    assert!(!bed.chain.announce_queues());
    assert_eq!(bed.chain.dequeue_shared_queue(1), Err(Status::Empty));
}

#[test]
fn queues_that_the_machine_keeps_are_announced_when_it_is_asked() {
    let bed = Bed::with(|settings| settings.upkeep.state = SharedStateIn::Host);
    let token = bed.chain.register_shared_queue(b"q");
    bed.enqueue_elsewhere(token, b"i");
    assert!(!bed.chain.has_work(), "only the machine knows of the item");
    assert!(bed.chain.announce_queues());
    assert_eq!(bed.trace(), ["queue_ready(1,1)"]);
    assert_eq!(bed.chain.dequeue_shared_queue(token), Ok(b"i".to_vec()));
}

#[test]
fn a_queue_that_refills_itself_does_not_keep_the_host() {
    let bed = Bed::new();
    let token = bed.chain.register_shared_queue(b"q");
    bed.chain.enqueue_shared_queue(token, b"a").unwrap();
    bed.on(Id::QueueReady, move |filter| {
        filter.chain().enqueue_shared_queue(token, b"a").unwrap();
        0
    });
    assert!(bed.chain.announce_queues());
    assert_eq!(bed.trace(), ["queue_ready(1,1)"]);
    assert!(bed.chain.has_work());
}

#[test]
fn metrics_have_envoys_ids_and_rules() {
    let bed = Bed::new();
    let mut vm = bed.chain.state();
    for (kind, name, id) in [(0, "c", 4), (1, "g", 5), (2, "h", 6), (1, "g2", 9), (0, "c", 8)] {
        assert_eq!(vm.define_metric(kind, name.as_bytes()), Ok(id));
    }
    assert_eq!(vm.define_metric(3, b"x"), Err(Status::BadArgument));
    assert_eq!(vm.increment_metric(4, 5), Ok(()));
    assert_eq!(vm.get_metric(8), Ok(5), "one name is one counter");
    for by in [0, -1] {
        assert_eq!(vm.increment_metric(4, by), Err(Status::BadArgument));
    }
    assert_eq!(vm.record_metric(4, 9), Ok(()));
    assert_eq!(vm.get_metric(4), Ok(14), "recording adds to a counter");
    assert_eq!(vm.increment_metric(5, -7), Ok(()));
    assert_eq!(vm.get_metric(5), Ok(7_u64.wrapping_neg()));
    assert_eq!(vm.record_metric(5, 42), Ok(()));
    assert_eq!(vm.get_metric(5), Ok(42));
    assert_eq!(vm.record_metric(6, 7), Ok(()));
    assert_eq!(vm.increment_metric(6, 1), Err(Status::BadArgument));
    assert_eq!(vm.get_metric(6), Err(Status::BadArgument));
    assert_eq!(vm.increment_metric(0, 0), Err(Status::NotFound), "the id is looked at before the number");
    for id in [0, 12, 401] {
        assert_eq!(vm.increment_metric(id, 1), Err(Status::NotFound));
        assert_eq!(vm.record_metric(id, 1), Err(Status::NotFound));
        assert_eq!(vm.get_metric(id), Err(Status::NotFound));
    }
    for id in [3, 7, u32::MAX] {
        assert_eq!(vm.increment_metric(id, 1), Err(Status::BadArgument));
        assert_eq!(vm.record_metric(id, 1), Err(Status::NotFound));
    }
}

#[test]
fn a_metric_that_is_defined_again_and_again_is_never_refused() {
    let bed = Bed::new();
    let mut vm = bed.chain.state();
    let ids: Vec<u32> = (0..METRICS_MAX + 2).map(|_| vm.define_metric(0, b"c").unwrap()).collect();
    assert_eq!(ids[METRICS_MAX - 2..], [399_996, 400_000, 400_000, 400_000], "it keeps its id then");
    assert_eq!(vm.define_metric(1, b"c"), Ok(5), "and others get one");
    assert_eq!(vm.increment_metric(400_000, 1), Ok(()));
    assert_eq!(vm.get_metric(4), Ok(1));
}

#[test]
fn there_are_so_many_metrics() {
    let bed = Bed::new();
    let mut vm = bed.chain.state();
    for name in 0..METRICS_MAX {
        vm.define_metric(0, name.to_string().as_bytes()).unwrap();
    }
    assert_eq!(vm.define_metric(0, b"one more"), Err(Status::InternalFailure));
    assert_eq!(vm.define_metric(0, b"7"), Ok(32), "one that there is has its id");
}

#[test]
fn the_host_is_told_what_became_of_metrics() {
    let bed = Bed::new();
    let mut vm = bed.chain.state();
    for (kind, name) in [(0, "c"), (1, "g"), (2, "h"), (0, "c")] {
        vm.define_metric(kind, name.as_bytes()).unwrap();
    }
    let change = |name: &str, kind| Change { name: name.into(), kind };
    let nothing = ChangeKind::Histogram { buckets: Vec::new(), sum: 0 };
    let defined = [change("c", ChangeKind::Counter(0)), change("g", ChangeKind::Gauge(0)), change("h", nothing)];
    assert_eq!(vm.metric_changes(), defined, "what is only defined is 0");
    assert_eq!(vm.metric_changes(), []);

    vm.record_metric(6, 0).unwrap();
    vm.record_metric(6, 5).unwrap();
    vm.record_metric(6, 5).unwrap();
    vm.record_metric(6, 3_600_001).unwrap();
    vm.increment_metric(4, 2).unwrap();
    vm.record_metric(8, 3).unwrap();
    let mut buckets = vec![0; 20];
    (buckets[0], buckets[2], buckets[19]) = (1, 2, 1);
    let histogram = ChangeKind::Histogram { buckets, sum: 3_600_011 };
    assert_eq!(vm.metric_changes(), [change("h", histogram), change("c", ChangeKind::Counter(5))]);
    vm.increment_metric(4, 1).unwrap();
    vm.record_metric(5, 9).unwrap();
    assert_eq!(vm.metric_changes(), [change("c", ChangeKind::Counter(1)), change("g", ChangeKind::Gauge(9))]);
}

#[test]
fn metrics_that_changed_are_logged_where_asked_for() {
    for metrics in MetricsTo::ALL {
        let bed = Bed::with(|settings| {
            settings.upkeep.metrics = metrics;
            settings.plugins[0].log_level = 5;
        });
        {
            let mut vm = bed.chain.state();
            for (kind, name) in [(0, "c\n"), (2, "h")] {
                vm.define_metric(kind, name.as_bytes()).unwrap();
            }
            vm.record_metric(6, 5).unwrap();
            vm.log_metrics();
            vm.increment_metric(4, 2).unwrap();
            vm.log_metrics();
            vm.log_metrics();
        }
        let lines = [
            "[info] p: metric counter c\\n 0",
            "[info] p: metric histogram h count 1 sum 5",
            "[info] p: metric counter c\\n 2",
        ];
        assert_eq!(bed.log(), if metrics == MetricsTo::Log { lines.to_vec() } else { Vec::new() });
    }
}

#[test]
fn a_filter_that_is_bypassed_is_never_called() {
    let bed = Bed::unstarted(AbiVersion::V0_2_1, |_| {});
    bed.chain.bypass(0);
    assert_eq!(bed.chain.start(), Ok(()));
    let id = bed.get();
    assert_eq!(bed.trace(), [""; 0]);
    assert!(bed.chain.has_effects(id), "the request goes on");
}
