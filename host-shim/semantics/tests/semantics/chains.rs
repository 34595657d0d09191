//! Chains of plugins, in one virtual machine or in several. Each test is what Envoy does, measured.

use crate::common::{Bed, Id, REQUEST, RESPONSE};

const CONTINUE: u32 = 0;
const PAUSE: u32 = 1;

/// Two virtual machines with a plugin each.
fn two() -> Bed {
    let bed = Bed::chain(&["a: ", "b: "], &[0, 1], |_| {});
    bed.trace();
    bed
}

/// The body callbacks since the last look.
fn bodies(bed: &Bed) -> Vec<String> {
    bed.calls().into_iter().filter(|line| line.contains("body") || line.contains("trailers")).collect()
}

/// A script that pauses once and lets all pass from then on.
fn pause_until_end(bed: &Bed, vm: usize, callback: Id) {
    bed.on_vm(vm, callback, |f| if f.end() { CONTINUE } else { PAUSE });
}

#[test]
fn plugins_start_one_after_the_other() {
    let bed = Bed::chain(&["a: ", "b: "], &[0, 1], |_| {});
    let start =
        |vm: &str| ["start", "context_create(1,0)", "vm_start(1,0)", "configure(1,0)"].map(|s| format!("{vm}{s}"));
    assert_eq!(bed.trace(), [start("a: "), start("b: ")].concat());
}

#[test]
fn plugins_of_one_vm_have_a_root_context_each_and_the_vm_starts_once() {
    let bed = Bed::chain(&[""], &[0, 0], |settings| settings.plugins[1].configuration = b"xy".into());
    let expected = [
        "start",
        "context_create(1,0)",
        "vm_start(1,0)",
        "configure(1,0)",
        "context_create(2,0)",
        "vm_start(2,0)",
        "configure(2,2)",
    ];
    assert_eq!(bed.trace(), expected);
    let id = bed.get();
    bed.chain.close(id);
    let expected = [
        "context_create(3,1)",
        "request_headers(3,4,1)",
        "context_create(4,2)",
        "request_headers(4,4,1)",
        "log(3)",
        "log(4)",
        "done(3)",
        "delete(3)",
        "done(4)",
        "delete(4)",
    ];
    assert_eq!(bed.trace(), expected);
}

#[test]
fn plugins_of_one_vm_that_are_told_the_same_share_their_root_context() {
    let bed = Bed::chain(&[""], &[0, 0], |settings| settings.plugins[1].name = settings.plugins[0].name.clone());
    assert_eq!(bed.trace(), ["start", "context_create(1,0)", "vm_start(1,0)", "configure(1,0)"]);
    bed.get();
    let expected = ["context_create(2,1)", "request_headers(2,4,1)", "context_create(3,1)", "request_headers(3,4,1)"];
    assert_eq!(bed.trace(), expected);
}

#[test]
fn a_request_goes_forth_and_a_response_back() {
    let bed = two();
    let id = bed.post();
    bed.body(id, REQUEST, &["abc"]);
    bed.respond(id, &[], false);
    bed.body(id, RESPONSE, &["ok"]);
    bed.chain.close(id);
    let expected = [
        "a: context_create(2,1)",
        "a: request_headers(2,4,0)",
        "b: context_create(2,1)",
        "b: request_headers(2,4,0)",
        "a: request_body(2,3,0)",
        "b: request_body(2,3,0)",
        "a: request_body(2,0,1)",
        "b: request_body(2,0,1)",
        "b: response_headers(2,1,0)",
        "a: response_headers(2,1,0)",
        "b: response_body(2,2,0)",
        "a: response_body(2,2,0)",
        "b: response_body(2,0,1)",
        "a: response_body(2,0,1)",
        "a: log(2)",
        "b: log(2)",
        "a: done(2)",
        "a: delete(2)",
        "b: done(2)",
        "b: delete(2)",
    ];
    assert_eq!(bed.trace(), expected);
}

#[test]
fn a_local_response_goes_through_those_that_saw_the_request() {
    let bed = two();
    bed.on(Id::RequestHeaders, |f| {
        f.reply(403, "no");
        CONTINUE
    });
    let id = bed.get();
    bed.chain.close(id);
    let expected = [
        "a: context_create(2,1)",
        "a: request_headers(2,4,1)",
        "a: response_headers(2,3,0)",
        "a: response_body(2,2,1)",
        "a: log(2)",
        // It is to know what became of it.
        "b: context_create(2,1)",
        "b: log(2)",
        "a: done(2)",
        "a: delete(2)",
        "b: done(2)",
        "b: delete(2)",
    ];
    assert_eq!(bed.trace(), expected);
}

#[test]
fn a_local_response_of_the_second_goes_through_both() {
    let bed = two();
    bed.on_vm(1, Id::RequestHeaders, |f| {
        f.reply(403, "no");
        CONTINUE
    });
    let id = bed.get();
    let expected = [
        "b: response_headers(2,3,0)",
        "a: response_headers(2,3,0)",
        "b: response_body(2,2,1)",
        "a: response_body(2,2,1)",
    ];
    assert_eq!(bed.trace()[4..], expected);
    assert_eq!(bed.effects(id).len(), 2);
}

#[test]
fn a_local_response_in_response_headers_is_shown_to_nobody() {
    let bed = two();
    bed.on_vm(1, Id::ResponseHeaders, |f| {
        f.reply(403, "no");
        CONTINUE
    });
    let id = bed.get();
    bed.trace();
    bed.respond(id, &[], true);
    assert_eq!(bed.trace(), ["b: response_headers(2,1,1)"]);
}

#[test]
fn what_the_first_buffers_comes_to_the_second_at_once() {
    let bed = two();
    pause_until_end(&bed, 0, Id::RequestBody);
    let id = bed.post();
    bed.body(id, REQUEST, &["abc", "de"]);
    let expected =
        ["a: request_body(2,3,0)", "a: request_body(2,5,0)", "a: request_body(2,5,1)", "b: request_body(2,5,1)"];
    assert_eq!(bodies(&bed), expected);
    assert_eq!(bed.effects(id)[1..], ["> data \"abcde\" end"]);
}

#[test]
fn the_first_sees_only_its_own_pieces_while_the_second_buffers() {
    let bed = two();
    pause_until_end(&bed, 1, Id::RequestBody);
    let id = bed.post();
    bed.body(id, REQUEST, &["abc", "de"]);
    let expected = [
        "a: request_body(2,3,0)",
        "b: request_body(2,3,0)",
        "a: request_body(2,2,0)",
        "b: request_body(2,5,0)",
        "a: request_body(2,0,1)",
        "b: request_body(2,5,1)",
    ];
    assert_eq!(bodies(&bed), expected);
    assert_eq!(bed.effects(id)[1..], ["> data \"abcde\" end"]);
}

#[test]
fn both_may_buffer() {
    let bed = two();
    pause_until_end(&bed, 0, Id::RequestBody);
    pause_until_end(&bed, 1, Id::RequestBody);
    let id = bed.post();
    bed.body(id, REQUEST, &["abc", "de"]);
    let expected =
        ["a: request_body(2,3,0)", "a: request_body(2,5,0)", "a: request_body(2,5,1)", "b: request_body(2,5,1)"];
    assert_eq!(bodies(&bed), expected);
    assert_eq!(bed.effects(id)[1..], ["> data \"abcde\" end"]);
}

#[test]
fn both_may_buffer_a_body_with_trailers() {
    let bed = two();
    bed.on(Id::RequestBody, |_| PAUSE);
    bed.on_vm(1, Id::RequestBody, |_| PAUSE);
    let id = bed.post();
    bed.data(id, REQUEST, "abc", false);
    bed.data(id, REQUEST, "de", false);
    bed.trailers(id, REQUEST, &[("t", "1")]);
    let expected = [
        "a: request_body(2,3,0)",
        "a: request_body(2,5,0)",
        "a: request_trailers(2,1)",
        "b: request_body(2,5,0)",
        "b: request_trailers(2,1)",
    ];
    assert_eq!(bodies(&bed), expected);
    assert_eq!(bed.effects(id)[1..], ["> data \"abcde\"", "> trailers [t: 1]"]);
}

#[test]
fn the_second_sees_what_the_first_made_of_the_body() {
    let bed = two();
    bed.on(Id::RequestBody, |f| {
        f.set_buffer(0, 0, u32::MAX, "XX");
        CONTINUE
    });
    pause_until_end(&bed, 1, Id::RequestBody);
    let id = bed.post();
    bed.body(id, REQUEST, &["abc", "de"]);
    let b: Vec<String> = bodies(&bed).into_iter().filter(|line| line.starts_with('b')).collect();
    assert_eq!(b, ["b: request_body(2,2,0)", "b: request_body(2,4,0)", "b: request_body(2,6,1)"]);
    assert_eq!(bed.effects(id)[1..], ["> data \"XXXXXX\" end"]);
}

#[test]
fn trailers_that_the_first_adds_come_to_the_second() {
    let bed = two();
    bed.on(Id::RequestBody, |f| {
        if f.end() {
            f.add(1, "t", "1");
        }
        CONTINUE
    });
    let id = bed.post();
    bed.body(id, REQUEST, &["abc"]);
    let expected = [
        "a: request_body(2,3,0)",
        "b: request_body(2,3,0)",
        "a: request_body(2,0,1)",
        "b: request_body(2,0,0)",
        "b: request_trailers(2,1)",
    ];
    assert_eq!(bodies(&bed), expected);
    assert_eq!(bed.effects(id)[1..], ["> data \"abc\"", "> trailers [t: 1]"]);
}

#[test]
fn the_first_sees_the_body_while_the_second_holds_the_head() {
    let bed = two();
    bed.on_vm(1, Id::RequestHeaders, |f| {
        f.state().set_tick_period(1);
        PAUSE
    });
    let id = bed.post();
    bed.body(id, REQUEST, &["abc", "de"]);
    assert_eq!(bodies(&bed), ["a: request_body(2,3,0)", "a: request_body(2,2,0)", "a: request_body(2,0,1)"]);
    assert_eq!(bed.effects(id), [""; 0]);
    bed.on_vm(1, Id::Tick, |f| {
        f.effective(2);
        f.resume(0);
        CONTINUE
    });
    bed.chain.tick_early();
    assert_eq!(bodies(&bed), ["b: request_body(2,5,1)"]);
    assert_eq!(bed.effects(id)[1..], ["> data \"abcde\" end"]);
}

#[test]
fn the_head_that_waits_for_the_body_takes_it_along() {
    let bed = Bed::chain(&["a: ", "b: "], &[0, 1], |settings| {
        settings.plugins[0].allow_on_headers_stop_iteration = true;
    });
    bed.trace();
    bed.on(Id::RequestHeaders, |_| PAUSE);
    let id = bed.post();
    assert_eq!(bed.calls(), ["a: context_create(2,1)", "a: request_headers(2,4,0)"]);
    bed.body(id, REQUEST, &["abc"]);
    let expected = [
        "a: request_body(2,3,0)",
        "b: context_create(2,1)",
        "b: request_headers(2,4,0)",
        "b: request_body(2,3,0)",
        "a: request_body(2,0,1)",
        "b: request_body(2,0,1)",
    ];
    assert_eq!(bed.calls(), expected);
    assert_eq!(bed.effects(id)[1..], ["> data \"abc\"", "> data \"\" end"]);
}

#[test]
fn a_body_past_the_limit_is_answered_through_both() {
    let bed = Bed::chain(&["a: ", "b: "], &[0, 1], |settings| settings.connection.buffer_limit = 4);
    pause_until_end(&bed, 1, Id::RequestBody);
    let id = bed.post();
    bed.trace();
    bed.data(id, REQUEST, "abc", false);
    bed.data(id, REQUEST, "def", false);
    let expected = [
        "b: response_headers(2,3,0)",
        "a: response_headers(2,3,0)",
        "b: response_body(2,17,1)",
        "a: response_body(2,17,1)",
    ];
    assert_eq!(bed.calls()[4..], expected);
}

#[test]
fn what_one_plugin_stores_the_other_reads() {
    let bed = two();
    bed.on(Id::RequestHeaders, |f| {
        f.set_property("k", "v");
        CONTINUE
    });
    bed.on_vm(1, Id::RequestHeaders, |f| {
        f.property("k");
        f.property("plugin_name");
        CONTINUE
    });
    bed.get();
    assert_eq!(bed.notes(), ["set k: 0", "k: 0 \"v\"", "plugin_name: 0 \"p1\""]);
}

#[test]
fn in_one_vm_a_plugin_can_act_as_another() {
    let bed = Bed::chain(&[""], &[0, 0], |settings| settings.plugins[1].root_id = "r".into());
    bed.trace();
    bed.on(Id::RequestHeaders, |f| {
        if f.context() == 3 {
            f.property("plugin_name");
            f.effective(4);
            f.property("plugin_name");
            f.add(0, "x", "1");
            f.effective(2);
            f.property("plugin_name");
            f.effective(9);
        }
        CONTINUE
    });
    bed.get();
    let expected = [
        "plugin_name: 0 \"p0\"",
        "effective 4: 0",
        "plugin_name: 0 \"p1\"",
        "add 0: 2",
        "effective 2: 0",
        "plugin_name: 0 \"p1\"",
        "effective 9: 2",
    ];
    assert_eq!(bed.notes(), expected);
}

#[test]
fn data_are_shared_by_vm_id_and_their_changes_counted_over_all() {
    let bed = Bed::chain(&["", "", ""], &[0, 1, 2], |settings| {
        settings.plugins[0].vm_id = "x".into();
        settings.plugins[1].vm_id = "x".into();
        settings.plugins[2].vm_id = "y".into();
    });
    bed.trace();
    bed.on(Id::RequestHeaders, |f| {
        f.note(format!("{:?}", f.chain().set_shared_data(b"k", b"v", 0)));
        CONTINUE
    });
    for vm in [1, 2] {
        bed.on_vm(vm, Id::RequestHeaders, |f| {
            let found = f.chain().get_shared_data(b"k");
            f.note(format!("{found:?}"));
            let _ = f.chain().set_shared_data(b"k2", b"v", 0);
            let found = f.chain().get_shared_data(b"k2").map(|(_, change)| change);
            f.note(format!("{found:?}"));
            CONTINUE
        });
    }
    bed.get();
    assert_eq!(bed.notes(), ["Ok(())", "Ok(([118], 1))", "Ok(2)", "Err(NotFound)", "Ok(3)"]);
}

#[test]
fn who_registered_a_queue_last_is_told() {
    let bed = Bed::chain(&["a: ", "b: "], &[0, 1], |_| {});
    for vm in [0, 1] {
        bed.on_vm(vm, Id::RequestHeaders, |f| {
            let token = f.chain().register_shared_queue(b"q");
            let _ = f.chain().enqueue_shared_queue(token, b"item");
            CONTINUE
        });
    }
    bed.get();
    bed.trace();
    assert!(bed.chain.announce_queues());
    assert_eq!(bed.trace(), ["b: queue_ready(1,1)", "b: queue_ready(1,1)"]);
}

#[test]
fn metrics_of_one_name_are_one_and_ids_count_by_vm() {
    let bed = Bed::chain(&["", ""], &[0, 1], |_| {});
    bed.trace();
    for vm in [0, 1] {
        bed.on_vm(vm, Id::RequestHeaders, |f| {
            let id = f.state().define_metric(0, b"m").expect("a counter");
            let _ = f.state().increment_metric(id, 1);
            let value = f.state().get_metric(id);
            f.note(format!("{id} {value:?}"));
            CONTINUE
        });
    }
    bed.get();
    assert_eq!(bed.notes(), ["4 Ok(1)", "4 Ok(2)"]);
}

#[test]
fn plugins_of_a_bypassed_vm_are_left_out() {
    let bed = Bed::unstarted_chain(&["a: ", "b: "], &[0, 1], |_| {});
    bed.chain.bypass(1);
    bed.chain.start().expect("it starts");
    // Too late once they were started.
    bed.chain.bypass(0);
    let id = bed.get();
    bed.respond(id, &[], true);
    bed.chain.close(id);
    assert_eq!(bed.effects(id), [""; 0]);
    assert!(bed.trace().iter().all(|line| line.starts_with('a')));
}
