//! Contexts: which one a host call acts on, and what the root context can't do.

use proxy_wasm_abi::bridge::AbiVersion;

use crate::common::{Bed, Id};

#[test]
fn known_contexts_can_be_chosen_and_unknown_ones_are_bad_arguments() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        for context in [0, 1, 2, 3, u32::MAX] {
            f.effective(context);
        }
        0
    });
    bed.get();
    assert_eq!(
        bed.notes(),
        ["effective 0: 0", "effective 1: 0", "effective 2: 0", "effective 3: 2", &format!("effective {}: 2", u32::MAX)]
    );
}

#[test]
fn the_vm_context_stands_for_the_current_one_and_the_root_has_no_maps() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.effective(0);
        f.get(0, ":path");
        f.effective(1);
        f.get(0, ":path");
        f.pairs(0);
        f.add(0, "x", "1");
        f.property("request/path");
        f.property("plugin_name");
        f.effective(2);
        f.get(0, ":path");
        0
    });
    bed.get();
    assert_eq!(
        bed.notes(),
        [
            "effective 0: 0",
            "get 0 :path: 0 \"/p\"",
            "effective 1: 0",
            "get 0 :path: 2",
            "pairs 0: 0 EMPTY",
            "add 0: 2",
            "request/path: 1",
            "plugin_name: 0 \"p\"",
            "effective 2: 0",
            "get 0 :path: 0 \"/p\"",
        ]
    );
}

#[test]
fn the_choice_ends_with_the_callback() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.effective(1);
        0
    });
    bed.on(Id::ResponseHeaders, |f| {
        f.get(2, ":status");
        0
    });
    let id = bed.get();
    bed.respond(id, &[], true);
    assert_eq!(bed.notes()[1], "get 2 :status: 0 \"200\"");
}

#[test]
fn another_streams_maps_and_properties_can_be_used() {
    let bed = Bed::new();
    bed.returns(Id::RequestHeaders, [1]);
    bed.get();
    bed.elsewhere(|f| {
        f.get(0, ":path");
        f.effective(2);
        f.get(0, ":path");
        f.property("request/path");
        f.set_property("k", "v");
        f.property("k");
        f.effective(3);
        f.property("k");
    });
    assert_eq!(
        bed.notes(),
        [
            "get 0 :path: 2",
            "effective 2: 0",
            "get 0 :path: 0 \"/p\"",
            "request/path: 0 \"/p\"",
            "set k: 0",
            "k: 0 \"v\"",
            "effective 3: 0",
            "k: 1",
        ]
    );
}

#[test]
fn a_stream_that_is_gone_is_a_bad_argument_again() {
    let bed = Bed::new();
    let id = bed.get();
    bed.chain.close(id);
    bed.trace();
    bed.elsewhere(|f| {
        f.effective(2);
        f.resume(0);
    });
    assert_eq!(bed.notes(), ["effective 2: 2", "continue 0: 0"]);
}

#[test]
fn in_the_log_another_stream_has_its_own_maps() {
    let bed = Bed::new();
    bed.on(Id::Log, |f| {
        f.effective(2);
        f.get(0, ":path");
        0
    });
    let (_first, second) = (bed.get(), bed.get());
    bed.chain.close(second);
    assert_eq!(bed.notes(), ["effective 2: 0", "get 0 :path: 2"]);
}

#[test]
fn the_root_context_can_do_little_while_it_is_configured() {
    let bed = Bed::unstarted(AbiVersion::V0_2_1, |settings| settings.plugins[0].configuration = b"{}".to_vec());
    bed.on(Id::Configure, |f| {
        f.get(0, ":path");
        f.pairs(0);
        f.size(0);
        f.add(0, "x", "1");
        for stream in 0..5 {
            f.resume(stream);
        }
        for stream in 0..5 {
            f.close(stream);
        }
        f.reply(403, "hello");
        f.property("request/path");
        f.property("plugin_name");
        f.set_property("k", "v");
        f.done();
        let status = format!("status {:?}", f.state().get_status());
        f.note(status);
        1
    });
    bed.chain.start().unwrap();
    let expected = [
        "get 0 :path: 2",
        "pairs 0: 0 EMPTY",
        "size 0: 2",
        "add 0: 2",
        "continue 0: 0",
        "continue 1: 0",
        "continue 2: 0",
        "continue 3: 12",
        "continue 4: 2",
        "close 0: 0",
        "close 1: 0",
        "close 2: 0",
        "close 3: 0",
        "close 4: 2",
        "request/path: 1",
        "plugin_name: 0 \"p\"",
        "set k: 1",
        "done: 1",
        "status (0, [])",
    ];
    assert_eq!(bed.notes(), expected);
    // The reply that it asked for has no stream to go to.
    let id = bed.get();
    assert!(bed.effects(id)[0].starts_with("> headers"));
}

#[test]
fn log_lines_name_plugin_and_stream_and_are_one_line() {
    let bed = Bed::with(|settings| {
        settings.plugins[0].root_id = "r".into();
        settings.plugins[0].vm_id = "v".into();
    });
    bed.on(Id::RequestHeaders, |f| {
        for level in 0..=6 {
            let done = f.state().log(level, b"a\nb\x1b\xff");
            f.note(format!("{done:?}"));
        }
        f.effective(1);
        f.state().log(4, b"root").unwrap();
        0
    });
    bed.get();
    assert_eq!(bed.notes()[..7], ["Ok(())", "Ok(())", "Ok(())", "Ok(())", "Ok(())", "Ok(())", "Err(BadArgument)"]);
    assert_eq!(
        bed.log(),
        [
            "[info] p r v #2: a\\nb\\u{1b}\u{fffd}",
            "[warn] p r v #2: a\\nb\\u{1b}\u{fffd}",
            "[error] p r v #2: a\\nb\\u{1b}\u{fffd}",
            "[critical] p r v #2: a\\nb\\u{1b}\u{fffd}",
            "[error] p r v: root",
        ]
    );
}

#[test]
fn the_log_level_is_the_settings() {
    for level in 0..=5 {
        let bed = Bed::with(|settings| settings.plugins[0].log_level = level);
        bed.on(Id::RequestHeaders, |f| {
            let expected = f.state().settings().plugins[0].log_level;
            assert_eq!(f.state().get_log_level(), u32::from(expected));
            for level in 0..=5 {
                f.state().log(level, b"").unwrap();
            }
            0
        });
        bed.get();
        assert_eq!(bed.log().len(), 6 - usize::from(level));
    }
}

#[test]
fn clocks_and_randomness_are_the_machines() {
    let bed = Bed::new();
    bed.set_clocks(1_000, 7);
    bed.on(Id::RequestHeaders, |f| {
        let mut bytes = [0; 3];
        f.state().random(&mut bytes);
        let wall = f.state().wall_clock();
        let monotonic = f.state().monotonic_clock();
        f.note(format!("{wall} {monotonic} {bytes:?}"));
        0
    });
    bed.get();
    assert_eq!(bed.notes(), ["1000 7 [0, 1, 2]"]);
}
