//! Buffers: what each holds in each phase, and how bodies are changed.

use crate::common::{Bed, Call, Id, REQUEST, RESPONSE};

fn touch_all(f: &Call<'_>) {
    for buffer in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, u32::MAX] {
        f.buffer(buffer);
    }
}

fn set_all(f: &Call<'_>) {
    for buffer in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, u32::MAX] {
        f.set_buffer(buffer, 0, 0, "x");
    }
}

/// The notes of [`touch_all`] outside every body and configuration callback.
fn outside() -> Vec<String> {
    let mut expected: Vec<String> = (0..4).map(|buffer| format!("buffer {buffer}: 0 \"\"")).collect();
    expected.extend(
        ["buffer 4: 1", "buffer 5: 0 \"\"", "buffer 6: 0 \"vm\"", "buffer 7: 1", "buffer 8: 0 \"\"", "buffer 9: 2"]
            .map(String::from),
    );
    expected.push(format!("buffer {}: 2", u32::MAX));
    expected
}

/// The notes of [`set_all`] there.
fn set_outside() -> Vec<String> {
    let status = |buffer: u32| if matches!(buffer, 4 | 7) { 1 } else { 2 };
    let buffers = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, u32::MAX];
    buffers.into_iter().map(|buffer| format!("set buffer {buffer}: {}", status(buffer))).collect()
}

#[test]
fn outside_body_callbacks_bodies_are_empty_and_can_not_be_set() {
    for callback in [Id::ContextCreate, Id::RequestHeaders, Id::ResponseHeaders, Id::Log, Id::Done, Id::Delete] {
        let bed = Bed::with(|settings| {
            settings.plugins[0].vm_configuration = b"vm".to_vec();
            settings.plugins[0].configuration = b"plugin".to_vec();
        });
        bed.on(callback, |f| {
            touch_all(f);
            set_all(f);
            0
        });
        let id = bed.post();
        bed.body(id, REQUEST, &["abc"]);
        bed.respond(id, &[], false);
        bed.body(id, RESPONSE, &["ok"]);
        bed.chain.close(id);
        assert_eq!(bed.notes(), [outside(), set_outside()].concat(), "{callback:?}");
    }
}

#[test]
fn each_body_is_there_in_its_own_callback_only() {
    let bed = Bed::new();
    bed.on(Id::RequestBody, |f| {
        f.buffer(0);
        f.buffer(1);
        f.set_buffer(1, 0, 0, "x");
        0
    });
    bed.on(Id::ResponseBody, |f| {
        f.buffer(0);
        f.set_buffer(0, 0, 0, "x");
        f.buffer(1);
        0
    });
    let id = bed.post();
    bed.data(id, REQUEST, "abc", true);
    bed.respond(id, &[], false);
    bed.data(id, RESPONSE, "ok", true);
    assert_eq!(
        bed.notes(),
        [
            "buffer 0: 0 \"abc\"",
            "buffer 1: 0 \"\"",
            "set buffer 1: 2",
            "buffer 0: 0 \"\"",
            "set buffer 0: 2",
            "buffer 1: 0 \"ok\"",
        ]
    );
}

#[test]
fn configurations_are_there_when_they_are_configured() {
    let bed = Bed::unstarted(proxy_wasm_abi::bridge::AbiVersion::V0_2_1, |settings| {
        settings.plugins[0].vm_configuration = b"vm".to_vec();
        settings.plugins[0].configuration = b"plugin".to_vec();
    });
    for callback in [Id::VmStart, Id::Configure] {
        bed.on(callback, |f| {
            f.buffer(6);
            f.buffer(7);
            f.set_buffer(6, 0, 0, "x");
            f.set_buffer(7, 0, 0, "x");
            1
        });
    }
    bed.chain.start().unwrap();
    assert_eq!(
        bed.notes(),
        [
            "buffer 6: 0 \"vm\"",
            "buffer 7: 1",
            "set buffer 6: 2",
            "set buffer 7: 1",
            "buffer 6: 0 \"vm\"",
            "buffer 7: 0 \"plugin\"",
            "set buffer 6: 2",
            "set buffer 7: 2",
        ]
    );
}

#[test]
fn ranges_are_clamped() {
    let bed = Bed::new();
    bed.on(Id::RequestBody, |f| {
        for (start, len) in [(0, 2), (1, u32::MAX), (3, 1), (9, 9), (u32::MAX, u32::MAX), (0, 0), (2, 1)] {
            let blob = f.state().get_buffer_bytes(0, start, len).unwrap();
            let bytes = f.state().bytes(blob).to_vec();
            assert_eq!(bytes.len() as u32, blob.len);
            f.note(String::from_utf8(bytes).unwrap());
        }
        0
    });
    let id = bed.post();
    bed.data(id, REQUEST, "abc", true);
    assert_eq!(bed.notes(), ["ab", "bc", "", "", "", "", "c"]);
}

/// The result of `set_buffer_bytes(start, len, data)` on `abc`, and its note.
fn changed(start: u32, len: u32, data: &'static str) -> (String, String) {
    let mut seen = None;
    for direction in [REQUEST, RESPONSE] {
        let bed = Bed::new();
        let (callback, buffer) = if direction == REQUEST { (Id::RequestBody, 0) } else { (Id::ResponseBody, 1) };
        bed.on(callback, move |f| {
            f.set_buffer(buffer, start, len, data);
            0
        });
        let id = bed.post();
        if direction == RESPONSE {
            bed.data(id, REQUEST, "", true);
            bed.respond(id, &[], false);
        }
        bed.effects(id);
        bed.trace();
        bed.data(id, direction, "abc", true);
        let status = bed.notes()[0].rsplit(' ').next().unwrap().to_string();
        let result = (bed.effects(id)[0][2..].to_string(), status);
        assert!(seen.is_none() || seen.as_ref() == Some(&result), "both directions are alike");
        seen = Some(result);
    }
    seen.unwrap()
}

#[test]
fn set_replaces_prepends_and_appends() {
    let ok = |body: &str| (format!("data {body:?} end"), "0".to_string());
    assert_eq!(changed(0, 100, "XY"), ok("XY"), "replace");
    assert_eq!(changed(0, 3, "XY"), ok("XY"), "replace");
    assert_eq!(changed(0, 2, "XY"), ok("XYc"), "prefix");
    assert_eq!(changed(0, 0, "XY"), ok("XYabc"), "prepend");
    assert_eq!(changed(3, 0, "XY"), ok("abcXY"), "append");
    assert_eq!(changed(9, 9, "XY"), ok("abcXY"), "append");
    assert_eq!(changed(0, 100, ""), ok(""), "drop");
    assert_eq!(changed(1, 1, "XY"), ("data \"abc\" end".into(), "2".into()), "in the middle");
    assert_eq!(changed(1, 100, "XY"), ("data \"abc\" end".into(), "2".into()), "in the middle");
}

#[test]
fn anything_set_on_the_empty_end_is_sent_as_a_last_piece() {
    for (start, len) in [(0, 0), (5, 0), (0, 100)] {
        let bed = Bed::new();
        bed.on(Id::RequestBody, move |f| {
            if f.end() {
                f.set_buffer(0, start, len, "TAIL");
            }
            0
        });
        let id = bed.post();
        bed.body(id, REQUEST, &["abc"]);
        assert_eq!(bed.effects(id)[1..], ["> data \"abc\"", "> data \"TAIL\" end"]);
    }
}

#[test]
fn a_change_to_a_buffered_body_lasts() {
    let bed = Bed::new();
    bed.on(Id::RequestBody, |f| {
        f.set_buffer(0, 100, 0, "+");
        u32::from(!f.end())
    });
    let id = bed.post();
    bed.trace();
    bed.body(id, REQUEST, &["abc", "def"]);
    assert_eq!(bed.calls(), ["request_body(2,3,0)", "request_body(2,7,0)", "request_body(2,8,1)"]);
    assert_eq!(bed.effects(id)[1..], ["> data \"abc+def++\" end"]);
}

#[test]
fn a_dropped_body_can_be_replaced_at_its_end() {
    let bed = Bed::new();
    bed.on(Id::RequestBody, |f| {
        if !f.end() {
            return 3;
        }
        f.set_buffer(0, 0, 0, "NEWBODY");
        0
    });
    let id = bed.post();
    bed.body(id, REQUEST, &["abc", "def"]);
    assert_eq!(bed.effects(id)[1..], ["> data \"NEWBODY\" end"]);
}

#[test]
fn the_request_body_is_out_of_reach_after_continue_stream() {
    let bed = Bed::new();
    bed.on(Id::RequestBody, |f| {
        f.resume(0);
        f.buffer(0);
        f.set_buffer(0, 0, 0, "x");
        0
    });
    let id = bed.post();
    bed.data(id, REQUEST, "abc", true);
    assert_eq!(bed.notes(), ["continue 0: 0", "buffer 0: 0 \"\"", "set buffer 0: 2"]);
    assert_eq!(bed.effects(id)[1..], ["> data \"abc\" end"]);
}
