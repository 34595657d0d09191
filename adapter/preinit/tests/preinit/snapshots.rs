//! What is in a snapshot, and what an instance that begins from one does.

use proxy_wasm_adapter::wasi::Wasi;
use proxy_wasm_adapter::{extract, inspect};
use proxy_wasm_adapter_preinit::{Options, preinitialise};

use crate::filters::{adapt, component, done, filter, settings};
use crate::instance::{Pending, Thawed};

const MS: u64 = 1_000_000;

/// Logs so many bytes from there.
fn log(at: u32, len: u32) -> String {
    format!("(drop (call $proxy_log (i32.const 2) (i32.const {at}) (i32.const {len})))")
}

/// A filter that counts its configurations and ticks in a memory and in variables of each type, and logs the count at each
/// tick: `a`, `b`, ….
fn counting() -> Vec<u8> {
    let items = format!(
        r#"(global $i32 (mut i32) (i32.const 96)) (global $i64 (mut i64) (i64.const 5))
           (global $f32 (mut f32) (f32.const 1.5)) (global $f64 (mut f64) (f64.const -0.0))
           (global $v128 (mut v128) (v128.const i64x2 1 2)) (global $fixed i32 (i32.const 7))
           (start $begin)
           (func $begin (i32.store8 (i32.const 3) (i32.const 33)))
           (data (i32.const 0) "x..") (data $later "later")
           (func (export "proxy_on_tick") (param i32)
             (i32.store8 (i32.const 200000) (i32.add (i32.load8_u (i32.const 200000)) (i32.const 1)))
             (i32.store8 (i32.const 2) (i32.load8_u (i32.const 200000)))
             (memory.init $later (i32.const 8) (i32.const 0) (i32.const 5))
             (if (i32.ne (global.get $i32) (i32.const 97)) (then (unreachable)))
             (if (i64.ne (global.get $i64) (i64.const -6)) (then (unreachable)))
             (if (f32.ne (global.get $f32) (f32.const 2.5)) (then (unreachable)))
             (if (f64.ne (global.get $f64) (f64.const 1e300)) (then (unreachable)))
             (if (i64.ne (i64x2.extract_lane 1 (global.get $v128)) (i64.const -3)) (then (unreachable)))
             (if (i32.ne (global.get $fixed) (i32.const 7)) (then (unreachable)))
             {} {})"#,
        log(0, 4),
        log(8, 5)
    );
    let configure = "(drop (memory.grow (i32.const 3))) (i32.store8 (i32.const 200000) (i32.const 96))
        (global.set $i32 (i32.add (global.get $i32) (i32.const 1))) (global.set $i64 (i64.const -6))
        (global.set $f32 (f32.const 2.5)) (global.set $f64 (f64.const 1e300))
        (global.set $v128 (v128.const i64x2 1 -3))
        (drop (call $proxy_set_tick_period_milliseconds (i32.const 100)))";
    filter(&items, configure)
}

#[test]
fn memories_variables_and_ticks_go_on() {
    let filter = counting();
    let done = done(&component(filter.clone()));
    // Whatever its host's clock shows: more than when it was written down, or less.
    for now in [1, 1 << 50] {
        let mut thawed = Thawed::new(&done.component, now);
        assert_eq!(thawed.start(), Ok(()));
        let Pending { wake, unfinished } = thawed.idle(now);
        // The clock went on a little until it was written down.
        assert_eq!(wake.map(|wake| wake.div_ceil(MS)), Some(100), "a period from now");
        assert!(!unfinished);
        assert_eq!(thawed.idle(now + 40 * MS).wake.map(|wake| wake.div_ceil(MS)), Some(60));
        assert_eq!(thawed.log(), [""; 0]);
        assert_eq!(thawed.idle(now + 100 * MS).wake, Some(100 * MS));
        assert_eq!(thawed.idle(now + 200 * MS).wake, Some(100 * MS));
        assert_eq!(thawed.log(), ["[info] p0: x.a!", "[info] p0: later", "[info] p0: x.b!", "[info] p0: later"]);
    }
    assert_eq!(extract(&done.component, None).unwrap(), filter);
}

#[test]
fn a_filters_clock_never_goes_back() {
    let clock = |at: u32| format!("(drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const {at})))");
    let items = format!(
        r#"(data (i32.const 32) "later")
           (func (export "proxy_on_tick") (param i32) {}
             (if (i64.lt_u (i64.load (i32.const 8)) (i64.load (i32.const 0))) (then (unreachable)))
             (if (i64.gt_u (i64.sub (i64.load (i32.const 8)) (i64.load (i32.const 0))) (i64.const 101000000))
               (then (unreachable)))
             {})"#,
        clock(8),
        log(32, 5)
    );
    let configure = format!("{} (drop (call $proxy_set_tick_period_milliseconds (i32.const 100)))", clock(0));
    let done = done(&component(filter(&items, &configure)));
    for now in [0, 1 << 60] {
        let mut thawed = Thawed::new(&done.component, now);
        thawed.idle(now);
        thawed.idle(now + 100 * MS);
        assert_eq!(thawed.log(), ["[info] p0: later"]);
    }
}

#[test]
fn startup_ticks_run_before() {
    let mut settings = settings(1);
    settings.upkeep.startup_ticks = 2;
    let done = done(&adapt(&[counting()], Wasi::V0_2, settings));
    assert_eq!(done.report.log, ["[info] p0: x.a!", "[info] p0: later", "[info] p0: x.b!", "[info] p0: later"]);
    let mut thawed = Thawed::new(&done.component, 5);
    thawed.idle(5);
    thawed.idle(5 + 100 * MS);
    assert_eq!(thawed.log()[0], "[info] p0: x.c!");
}

#[test]
fn each_vm_of_a_module_has_its_own_state() {
    let filter = filter(
        r#"(data (i32.const 0) "has ")
           (func (export "proxy_on_tick") (param i32) (drop (call $proxy_log (i32.const 2) (i32.const 0) (i32.const 5))))"#,
        "(i32.store8 (i32.const 4) (i32.add (local.get 1) (i32.const 48)))
         (drop (call $proxy_set_tick_period_milliseconds (i32.const 100)))",
    );
    let filters = [filter.clone(), filter.clone(), filter.clone()];
    let plain = adapt(&filters, Wasi::V0_2, settings(3));
    let done = done(&plain);
    let mut thawed = Thawed::new(&done.component, 0);
    thawed.idle(0);
    thawed.idle(100 * MS);
    assert_eq!(thawed.log(), ["[info] p0: has 0", "[info] p1: has 1", "[info] p2: has 2"]);
    for plugin in ["1", "2", "p2"] {
        assert_eq!(extract(&done.component, Some(plugin)).unwrap(), filter);
    }
    // It may still be passed by, and does nothing then.
    let mut thawed = Thawed::new(&done.component, 0);
    thawed.bypass(1);
    thawed.idle(0);
    thawed.idle(100 * MS);
    assert_eq!(thawed.log(), ["[info] p0: has 0", "[info] p2: has 2"]);
    thawed.bypass(0);
    thawed.idle(200 * MS);
    assert_eq!(thawed.log().len(), 4, "too late");
}

#[test]
fn memories_that_cannot_grow_are_written_down() {
    let memory = r#"(memory (export "memory") 2 2) (data (i32.const 0) "was ")
        (func (export "proxy_on_tick") (param i32) (drop (call $proxy_log (i32.const 2) (i32.const 0) (i32.const 5))))"#;
    let configure = "(i32.store8 (i32.const 4) (i32.const 49)) (i32.store8 (i32.const 131071) (i32.const 1))
        (drop (call $proxy_set_tick_period_milliseconds (i32.const 100)))";
    let filter = filter(memory, configure);
    let done = done(&component(filter.clone()));
    let mut thawed = Thawed::new(&done.component, 0);
    thawed.idle(0);
    thawed.idle(100 * MS);
    assert_eq!(thawed.log(), ["[info] p0: was 1"]);
    assert_eq!(extract(&done.component, None).unwrap(), filter);
}

#[test]
fn the_same_component_gives_the_same_bytes() {
    let draws = filter("", "(drop (call $random_get (i32.const 0) (i32.const 100)))");
    let options = Options { allow_random: true, ..Options::default() };
    for wasi in [Wasi::V0_2, Wasi::V0_3] {
        let component = adapt(&[draws.clone(), counting()], wasi, settings(2));
        let [first, second] = [(); 2].map(|()| preinitialise(&component, &options).unwrap().component);
        assert!(first == second, "{wasi:?}");
    }
}

#[test]
fn the_start_is_told_of() {
    let filter = filter(
        r#"(data (i32.const 0) "hello")"#,
        &format!("{} (drop (call $proxy_get_current_time_nanoseconds (i32.const 16)))", log(0, 5)),
    );
    for wasi in [Wasi::V0_2, Wasi::V0_3] {
        let component = adapt(std::slice::from_ref(&filter), wasi, settings(1));
        assert_eq!(inspect(&component).adapted.unwrap().preinit, None);
        let done = done(&component);
        assert_eq!(done.report.log, ["[info] p0: hello"]);
        assert!(done.report.reads_wall_clock);
        let preinit = inspect(&done.component).adapted.unwrap().preinit.unwrap();
        assert!(preinit.reads_wall_clock);
        assert_eq!(preinit.random_bytes, 0);
    }
}
