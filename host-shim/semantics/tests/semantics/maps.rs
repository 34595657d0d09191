//! Header maps: when each can be read and changed, and how.

use proxy_wasm_abi::{bridge::AbiVersion, settings::Profile};

use crate::common::{Bed, Call, Id, REQUEST, RESPONSE};

/// Every call on a map, one line for each.
fn touch(f: &Call<'_>, map: u32) {
    f.get(map, "nope");
    f.pairs(map);
    f.size(map);
    f.add(map, "x", "1");
    f.replace(map, "x", "1");
    f.remove(map, "x");
    f.set_pairs(map, &[]);
}

/// The notes of [`touch`] for a map that is not there.
fn absent(map: u32) -> Vec<String> {
    [
        format!("get {map} nope: 2"),
        format!("pairs {map}: 0 EMPTY"),
        format!("size {map}: 2"),
        format!("add {map}: 2"),
        format!("replace {map}: 2"),
        format!("remove {map}: 2"),
        format!("set {map}: 2"),
    ]
    .into()
}

/// Runs an exchange with bodies; gives what a callback notes.
fn noted_in(callback: Id, script: impl Fn(&Call<'_>) + 'static) -> Vec<String> {
    let bed = Bed::new();
    bed.on(callback, move |f| {
        script(f);
        0
    });
    let id = bed.open("POST", "/p", &[("a", "1")], false);
    bed.data(id, REQUEST, "abc", true);
    bed.respond(id, &[("b", "2")], false);
    bed.data(id, RESPONSE, "ok", true);
    bed.chain.close(id);
    bed.notes()
}

/// The notes of a script in `on_request_headers`, and the head that then goes upstream.
fn request_changed(headers: &[(&str, &str)], script: impl Fn(&Call<'_>) + 'static) -> (Vec<String>, String) {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, move |f| {
        script(f);
        0
    });
    let id = bed.open("GET", "/p", headers, true);
    (bed.notes(), bed.effects(id).remove(0).trim_start_matches("> headers ").trim_end_matches(" end").into())
}

fn response_changed(headers: &[(&str, &str)], script: impl Fn(&Call<'_>) + 'static) -> String {
    let bed = Bed::new();
    bed.on(Id::ResponseHeaders, move |f| {
        script(f);
        0
    });
    let id = bed.get();
    bed.respond(id, headers, true);
    bed.effects(id).remove(1).trim_start_matches("< headers ").trim_end_matches(" end").into()
}

#[test]
fn in_request_headers_only_the_requests_map_is_there() {
    for map in 1..8 {
        assert_eq!(noted_in(Id::RequestHeaders, move |f| touch(f, map)), absent(map));
    }
}

#[test]
fn in_request_body_after_continue_no_map_is_there() {
    // Trailers that come into being at the end of a body have their own tests.
    for map in [0, 2, 3, 4, 5, 6, 7] {
        assert_eq!(noted_in(Id::RequestBody, move |f| touch(f, map)), absent(map));
    }
}

#[test]
fn in_response_headers_only_the_responses_map_is_there() {
    for map in [0, 1, 3, 4, 5, 6, 7] {
        assert_eq!(noted_in(Id::ResponseHeaders, move |f| touch(f, map)), absent(map));
    }
}

#[test]
fn in_response_body_after_continue_no_map_is_there() {
    for map in [0, 1, 2, 4, 5, 6, 7] {
        assert_eq!(noted_in(Id::ResponseBody, move |f| touch(f, map)), absent(map));
    }
}

#[test]
fn in_context_create_done_and_delete_no_map_is_there() {
    for callback in [Id::Done, Id::Delete] {
        for map in 0..8 {
            assert_eq!(noted_in(callback, move |f| touch(f, map)), absent(map));
        }
    }
    let bed = Bed::new();
    bed.on(Id::ContextCreate, |f| {
        touch(f, 0);
        0
    });
    bed.get();
    assert_eq!(bed.notes(), absent(0));
}

#[test]
fn unknown_maps_are_bad_arguments_everywhere() {
    for map in [8, u32::MAX] {
        let notes = noted_in(Id::RequestHeaders, move |f| touch(f, map));
        assert!(notes.iter().all(|note| note.ends_with(": 2")), "{notes:?}");
    }
}

#[test]
fn in_the_log_the_final_maps_can_be_read_but_not_changed() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.replace(0, "a", "changed");
        0
    });
    bed.on(Id::ResponseHeaders, |f| {
        f.add(2, "c", "3");
        0
    });
    let id = bed.open("GET", "/p", &[("a", "1")], true);
    bed.respond(id, &[("b", "2")], true);
    bed.trace();
    bed.on(Id::Log, |f| {
        touch(f, 0);
        touch(f, 2);
        for map in [1, 3, 4, 5, 6, 7] {
            f.get(map, "a");
            f.pairs(map);
            f.size(map);
            f.add(map, "a", "1");
        }
        0
    });
    bed.chain.close(id);
    let mut expected = vec![
        "get 0 nope: 1".to_string(),
        "pairs 0: 0 [:authority: h] [:path: /p] [:method: GET] [:scheme: http] [a: changed]".into(),
    ];
    expected.extend(["size 0: 2", "add 0: 2", "replace 0: 2", "remove 0: 2", "set 0: 2"].map(String::from));
    expected.extend(["get 2 nope: 1", "pairs 2: 0 [:status: 200] [b: 2] [c: 3]"].map(String::from));
    expected.extend(["size 2: 2", "add 2: 2", "replace 2: 2", "remove 2: 2", "set 2: 2"].map(String::from));
    for map in [1, 3, 4, 5, 6, 7] {
        expected.push(format!("get {map} a: 1"));
        expected.push(format!("pairs {map}: 0 EMPTY"));
        expected.push(format!("size {map}: 2"));
        expected.push(format!("add {map}: 2"));
    }
    assert_eq!(bed.notes(), expected);
}

#[test]
fn in_the_log_of_a_stream_without_response_its_map_is_empty() {
    let bed = Bed::new();
    bed.on(Id::Log, |f| {
        f.get(2, ":status");
        f.pairs(2);
        0
    });
    let id = bed.get();
    bed.chain.client_gone(id);
    bed.chain.close(id);
    assert_eq!(bed.notes(), ["get 2 :status: 1", "pairs 2: 0 EMPTY"]);
}

#[test]
fn a_map_stays_until_the_end_while_it_is_held() {
    let bed = Bed::new();
    bed.returns(Id::RequestHeaders, [1]);
    for callback in [Id::Done, Id::Delete] {
        bed.on(callback, |f| {
            f.get(0, ":path");
            f.get(2, ":status");
            f.pairs(2);
            1
        });
    }
    let id = bed.get();
    bed.chain.client_gone(id);
    bed.chain.close(id);
    let each = ["get 0 :path: 0 \"/p\"", "get 2 :status: 2", "pairs 2: 0 EMPTY"];
    assert_eq!(bed.notes(), [each, each].concat());
}

#[test]
fn the_requests_map_stays_until_the_end_when_it_was_answered_in_its_callback() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.reply(403, "no");
        0
    });
    bed.on(Id::Delete, |f| {
        f.get(0, ":path");
        f.get(2, ":status");
        0
    });
    let id = bed.get();
    bed.chain.close(id);
    assert_eq!(bed.notes(), ["get 0 :path: 0 \"/p\"", "get 2 :status: 2"]);
}

#[test]
fn a_missing_key_is_empty_in_abi_0_1_0_and_not_found_later() {
    for (version, missing) in [(AbiVersion::V0_1_0, "0 \"\""), (AbiVersion::V0_2_0, "1"), (AbiVersion::V0_2_1, "1")] {
        let bed = Bed::of(version, |_| {});
        for callback in [Id::RequestHeaders, Id::Log] {
            bed.on(callback, |f| {
                f.get(0, "nope");
                0
            });
        }
        bed.on(Id::ResponseHeaders, |f| {
            f.get(0, "nope");
            0
        });
        let id = bed.get();
        bed.respond(id, &[], true);
        bed.chain.close(id);
        let there = format!("get 0 nope: {missing}");
        assert_eq!(bed.notes(), [&there, "get 0 nope: 2", &there]);
    }
}

#[test]
fn get_takes_the_first_line_in_any_case() {
    let (notes, _) = request_changed(&[("X-Dup", "1"), ("x-dup", "2"), ("x-empty", "")], |f| {
        f.get(0, "X-DUP");
        f.get(0, "x-empty");
        f.get(0, "");
        f.size(0);
    });
    assert_eq!(notes[..3], ["get 0 X-DUP: 0 \"1\"", "get 0 x-empty: 0 \"\"", "get 0 : 1"]);
    let bytes: usize =
        [":authority", "h", ":path", "/p", ":method", "GET", ":scheme", "http", "x-dup1", "x-dup2", "x-empty"]
            .iter()
            .map(|text| text.len())
            .sum();
    assert_eq!(notes[3], format!("size 0: 0 {bytes}"), "the bytes of names and values, not a count");
}

#[test]
fn replace_removes_all_lines_and_appends_at_the_end() {
    let (_, head) = request_changed(&[("accept", "a"), ("x", "1"), ("x", "2"), ("y", "3")], |f| {
        f.replace(0, "X", "new");
        f.replace(0, "accept", "b");
        f.replace(0, ":path", "/q");
        f.replace(0, "z", "created");
    });
    assert_eq!(
        head,
        "[:authority: h] [:method: GET] [:scheme: http] [:path: /q] [y: 3] [x: new] [accept: b] [z: created]"
    );
}

#[test]
fn add_joins_where_envoy_holds_one_value_and_keeps_lines_elsewhere() {
    let (_, head) = request_changed(&[("accept", "a"), ("x", "1"), ("cookie", "c=1")], |f| {
        f.add(0, "Accept", "b");
        f.add(0, "X", "2");
        f.add(0, "cookie", "d=2");
        f.add(0, "user-agent", "u");
        f.add(0, "user-agent", "v");
    });
    assert_eq!(
        head,
        "[:authority: h] [:path: /p] [:method: GET] [:scheme: http] [accept: a,b] [x: 1] [cookie: c=1] [x: 2] \
         [cookie: d=2] [user-agent: u,v]"
    );
}

#[test]
fn which_response_headers_join_differs() {
    let head = response_changed(&[("vary", "a"), ("accept", "a"), ("set-cookie", "a")], |f| {
        f.add(2, "vary", "b");
        f.add(2, "accept", "b");
        f.add(2, "set-cookie", "b");
        f.add(2, "host", "h");
    });
    assert_eq!(head, "[:status: 200] [vary: a,b] [accept: a] [set-cookie: a] [accept: b] [set-cookie: b] [host: h]");
}

#[test]
fn add_to_a_pseudo_header_joins_too() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.add(0, ":authority", "q");
        f.add(0, ":path", "/r");
        f.add(0, ":method", "X");
        f.pairs(0);
        0
    });
    bed.get();
    assert_eq!(bed.notes()[3], "pairs 0: 0 [:authority: h,q] [:path: /p,/r] [:method: GET,X] [:scheme: http]");
}

#[test]
fn host_is_another_name_of_authority_in_requests() {
    let (notes, head) = request_changed(&[], |f| {
        f.get(0, "Host");
        f.replace(0, "HOST", "other");
        f.get(0, ":authority");
        f.add(0, "host", "q");
    });
    assert_eq!(notes, ["get 0 Host: 0 \"h\"", "replace 0: 0", "get 0 :authority: 0 \"other\"", "add 0: 0"]);
    assert_eq!(head, "[:path: /p] [:method: GET] [:scheme: http] [:authority: other,q]");
    let (_, head) = request_changed(&[], |f| f.remove(0, "host"));
    assert_eq!(head, "[:path: /p] [:method: GET] [:scheme: http]", "it goes upstream without");
}

#[test]
fn host_is_an_ordinary_name_in_responses_and_trailers() {
    let head = response_changed(&[("host", "h")], |f| {
        f.get(2, ":authority");
        f.replace(2, "host", "i");
    });
    assert_eq!(head, "[:status: 200] [host: i]");
}

#[test]
fn pseudo_headers_of_any_name_stay_in_front() {
    let (_, head) = request_changed(&[("a", "1")], |f| {
        f.add(0, ":foo", "x");
        f.add(0, ":status", "200");
    });
    assert_eq!(head, "[:authority: h] [:path: /p] [:method: GET] [:scheme: http] [:foo: x] [:status: 200] [a: 1]");
}

#[test]
fn remove_removes_all_lines_and_a_missing_one_is_fine() {
    let (notes, head) = request_changed(&[("x", "1"), ("y", "2"), ("X", "3")], |f| {
        f.remove(0, "X");
        f.remove(0, "nope");
    });
    assert_eq!(notes, ["remove 0: 0", "remove 0: 0"]);
    assert!(head.ends_with("[:scheme: http] [y: 2]"));
}

#[test]
fn set_replaces_the_whole_map_with_the_same_joining() {
    let (_, head) = request_changed(&[("x", "1")], |f| {
        f.set_pairs(
            0,
            &[
                ("B", "1"),
                (":method", "GET"),
                ("host", "i"),
                (":path", "/a"),
                ("accept", "a"),
                ("accept", "b"),
                ("B", "2"),
            ],
        );
    });
    assert_eq!(head, "[:method: GET] [:authority: i] [:path: /a] [b: 1] [accept: a,b] [b: 2]");
}

#[test]
fn what_is_malformed_sets_an_empty_map() {
    for bytes in [b"".as_slice(), b"\x01", b"\xff\xff\xff\xff", b"\x01\0\0\0\x05\0\0\0\0\0\0\0a\0\0"] {
        let (notes, _) = request_changed(&[("x", "1")], move |f| {
            f.state().set_header_map_pairs(0, bytes).unwrap();
            f.pairs(0);
            f.set_pairs(0, &[(":method", "GET"), (":path", "/")]);
        });
        assert_eq!(notes[0], "pairs 0: 0 EMPTY");
    }
}

#[test]
fn names_become_lower_case_and_values_stay_as_they_are() {
    let (_, head) = request_changed(&[], |f| {
        let value = b" \xff b ".as_slice();
        f.state().add_header_map_value(0, b"X-Blanks", value).unwrap();
        f.add(0, "x-empty", "");
        f.add(0, "", "v");
    });
    assert!(head.ends_with("[x-blanks:  \\xff b ] [x-empty: ] [: v]"), "{head}");
}

#[test]
fn joining_leaves_no_comma_beside_an_empty_value() {
    let (_, head) = request_changed(&[("accept", ""), ("user-agent", "u")], |f| {
        f.add(0, "accept", "a");
        f.add(0, "user-agent", "");
    });
    assert!(head.ends_with("[accept: a] [user-agent: u]"), "{head}");
}

#[test]
fn in_the_permissive_profile_maps_stay_readable_after_continue() {
    let bed = Bed::with(|settings| settings.upkeep.profile = Profile::Permissive);
    for callback in [Id::RequestBody, Id::ResponseHeaders, Id::ResponseBody, Id::ResponseTrailers] {
        bed.on(callback, |f| {
            f.get(0, ":path");
            f.get(2, ":status");
            f.property("request/path");
            f.add(0, "x", "1");
            0
        });
    }
    let id = bed.post();
    bed.data(id, REQUEST, "", true);
    assert_eq!(bed.notes(), ["get 0 :path: 0 \"/p\"", "get 2 :status: 2", "request/path: 0 \"/p\"", "add 0: 2"]);
    bed.respond(id, &[], false);
    bed.data(id, RESPONSE, "x", false);
    bed.trailers(id, RESPONSE, &[("t", "1")]);
    let all = ["get 0 :path: 0 \"/p\"", "get 2 :status: 0 \"200\"", "request/path: 0 \"/p\"", "add 0: 2"];
    assert_eq!(bed.notes(), [all, all, all].concat());
}

#[test]
fn a_filter_that_comes_back_to_a_head_too_late_is_told_once_how_to_hold_it() {
    for (allowed, lines) in [(false, 1), (true, 0)] {
        let bed = Bed::with(|settings| settings.plugins[0].allow_on_headers_stop_iteration = allowed);
        bed.on(Id::RequestBody, |f| {
            f.get(0, "a");
            f.replace(0, "x", "1");
            0
        });
        let id = bed.post();
        bed.data(id, REQUEST, "abc", true);
        let log = bed.log();
        assert_eq!(log.len(), lines, "{log:?}");
        assert!(log.iter().all(|line| line.contains("--allow-on-headers-stop-iteration")), "{log:?}");
    }
}

#[test]
fn what_no_option_helps_says_nothing() {
    let bed = Bed::new();
    bed.on(Id::ResponseHeaders, |f| {
        f.replace(0, "x", "1");
        f.get(1, "x");
        0
    });
    let id = bed.get();
    bed.respond(id, &[], true);
    assert_eq!(bed.log(), [""; 0]);
}
