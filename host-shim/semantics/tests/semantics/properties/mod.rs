//! Properties, phase by phase, and their encodings.

use proxy_wasm_abi::{enums::Status, pairs};
use proxy_wasm_semantics::Request;

use crate::common::{Bed, Call, Id, REQUEST, RESPONSE};

mod given;

/// A POST of `abcdef` in two pieces, answered by `ok`, with a script in each callback.
fn exchange(bed: &Bed, script: impl Fn(&Call<'_>) + Clone + 'static) {
    for (callback, name) in [
        (Id::RequestHeaders, "rh"),
        (Id::RequestBody, "rb"),
        (Id::ResponseHeaders, "sh"),
        (Id::ResponseBody, "sb"),
        (Id::Log, "log"),
        (Id::Done, "done"),
    ] {
        let script = script.clone();
        bed.on(callback, move |f| {
            f.note(name);
            script(f);
            0
        });
    }
    bed.set_clocks(1_000, 100);
    let id = bed.open("POST", "/x?a=1", &[("content-length", "6"), ("X-Dup", "1"), ("x-dup", "2")], false);
    bed.body(id, REQUEST, &["abc", "def"]);
    bed.set_clocks(2_000, 150);
    bed.respond(id, &[("content-length", "2"), ("set-cookie", "a"), ("set-cookie", "b")], false);
    bed.data(id, RESPONSE, "ok", false);
    bed.set_clocks(3_000, 170);
    bed.data(id, RESPONSE, "", true);
    bed.set_clocks(4_000, 200);
    bed.chain.close(id);
}

/// The values of a number property in `rh rb rb rb sh sb sb log done`; `-` is NOT_FOUND.
fn numbers(path: &'static str) -> String {
    values(path, true)
}

fn strings(path: &'static str) -> String {
    values(path, false)
}

fn values(path: &'static str, number: bool) -> String {
    let bed = Bed::new();
    exchange(&bed, move |f| if number { f.number(path) } else { f.property(path) });
    let notes = bed.notes();
    assert_eq!(notes.len(), 18);
    let phases: Vec<&str> = notes.iter().step_by(2).map(String::as_str).collect();
    assert_eq!(phases, ["rh", "rb", "rb", "rb", "sh", "sb", "sb", "log", "done"]);
    let value = |note: &String| match note.split_once(": ").unwrap().1 {
        "1" => "-".to_string(),
        found => found.strip_prefix("0 ").unwrap_or(found).trim_matches('"').to_string(),
    };
    notes.iter().skip(1).step_by(2).map(value).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_read_from_the_requests_map_is_there_as_long_as_the_map() {
    for (path, value) in [
        ("request/path", "/x?a=1"),
        ("request/url_path", "/x"),
        ("request/query", "a=1"),
        ("request/host", "h"),
        ("request/scheme", "http"),
        ("request/method", "POST"),
        ("request/headers/X-DUP", "1,2"),
        ("request/headers/host", "h"),
    ] {
        assert_eq!(strings(path), format!("{value} - - - - - - {value} -"), "{path}");
    }
    for path in ["request/referer", "request/useragent", "request/id", "request/headers/nope", "request/nope"] {
        assert_eq!(strings(path), "- - - - - - - - -", "{path}");
    }
}

#[test]
fn a_request_that_comes_with_its_time_begins_then() {
    let bed = Bed::new();
    bed.set_clocks(1_000_000, 700);
    bed.on(Id::Log, |f| {
        f.number("request/time");
        f.number("request/duration");
        0
    });
    let request = Request { method: b"GET".into(), path: b"/".into(), received: Some(300), ..Request::default() };
    let id = bed.chain.open(request, true);
    bed.chain.close(id);
    assert_eq!(bed.notes(), ["request/time: 0 999600", "request/duration: 0 400"]);
}

#[test]
fn names_need_not_be_text() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        let mut state = f.state();
        state.add_header_map_value(0, b"x-\xff", b"1").unwrap();
        assert_eq!(state.get_property(b"request\0headers\0X-\xff"), Ok(b"1".to_vec()));
        state.set_property(b"\xff", b"2").unwrap();
        assert_eq!(state.get_property(b"\xff"), Ok(b"2".to_vec()));
        assert_eq!(state.get_property(b"filter_state\0wasm.\xff"), Ok(b"2".to_vec()));
        for path in
            [&b"request\0\xff"[..], b"request\0headers\0\xff", b"\xff\0path", b"xds\0\xff", b"filter_state\0\xff"]
        {
            assert_eq!(state.get_property(path), Err(Status::NotFound), "{path:?}");
        }
        0
    });
    bed.get();
}

#[test]
fn they_follow_what_the_filter_changes() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.replace(0, ":path", "/new?b");
        f.replace(0, "user-agent", "me");
        f.replace(0, "referer", "there");
        f.replace(0, "x-request-id", "7");
        for path in ["request/path", "request/url_path", "request/query", "request/useragent", "request/referer"] {
            f.property(path);
        }
        f.property("request/id");
        f.remove(0, "x-request-id");
        f.property("request/id");
        0
    });
    bed.get();
    let notes = bed.notes();
    assert_eq!(
        notes[4..].iter().filter(|note| !note.starts_with("remove")).collect::<Vec<_>>(),
        [
            "request/path: 0 \"/new?b\"",
            "request/url_path: 0 \"/new\"",
            "request/query: 0 \"b\"",
            "request/useragent: 0 \"me\"",
            "request/referer: 0 \"there\"",
            "request/id: 0 \"7\"",
            "request/id: 1"
        ]
    );
}

#[test]
fn sizes_of_the_request_count_what_has_arrived() {
    let head = ":authorityh:path/x?a=1:methodPOST:schemehttpcontent-length6x-dup1x-dup2".len();
    assert_eq!(numbers("request/size"), "6 3 6 6 6 6 6 6 6");
    assert_eq!(numbers("request/headers_bytes"), format!("{head} 0 0 0 0 0 0 {head} 0"));
    assert_eq!(numbers("request/total_size"), format!("{head} 3 6 6 6 6 6 {} 6", head + 6));
}

#[test]
fn a_request_without_length_has_the_size_of_what_arrived() {
    let bed = Bed::new();
    for callback in [Id::RequestHeaders, Id::RequestBody, Id::Log] {
        bed.on(callback, |f| {
            f.number("request/size");
            0
        });
    }
    let id = bed.post();
    bed.body(id, REQUEST, &["abc"]);
    bed.chain.close(id);
    assert_eq!(bed.notes(), ["request/size: 0 0", "request/size: 0 3", "request/size: 0 3", "request/size: 0 3"]);
}

#[test]
fn times_are_nanoseconds_and_durations_come_at_their_end() {
    assert_eq!(numbers("request/time"), ["1000"; 9].join(" "));
    assert_eq!(numbers("request/duration"), "- - - - - - - 100 100");
    assert_eq!(numbers("response/backend_latency"), "- - - - - - 70 70 70");
}

#[test]
fn the_protocol_is_there_in_all_phases() {
    assert_eq!(strings("request/protocol"), ["HTTP/1.1"; 9].join(" "));
}

#[test]
fn the_response_comes_into_being_with_its_head() {
    assert_eq!(numbers("response/code"), "- - - - 200 200 200 200 200");
    assert_eq!(
        strings("response/code_details"),
        "- - - - via_upstream via_upstream via_upstream via_upstream via_upstream"
    );
    assert_eq!(numbers("response/flags"), ["0"; 9].join(" "));
    assert_eq!(numbers("response/grpc_status"), "- - - - 2 2 2 2 2", "200 without grpc-status is UNKNOWN");
    assert_eq!(strings("response/headers/set-cookie"), "- - - - a,b - - a,b -");
}

#[test]
fn sizes_of_the_response_count_what_was_sent() {
    let head = ":status200content-length2set-cookieaset-cookieb".len();
    assert_eq!(numbers("response/size"), "0 0 0 0 0 0 2 2 2");
    assert_eq!(numbers("response/headers_bytes"), format!("0 0 0 0 {head} 0 0 {head} 0"));
    assert_eq!(numbers("response/total_size"), format!("0 0 0 0 {head} 0 2 {} 2", head + 2));
}

#[test]
fn the_code_is_the_upstreams_until_the_log() {
    let bed = Bed::new();
    for callback in [Id::ResponseHeaders, Id::ResponseBody, Id::Log, Id::Done] {
        bed.on(callback, |f| {
            if f.state().get_header_map_size(2).is_ok() {
                f.state().replace_header_map_value(2, b":status", b"201").unwrap();
            }
            f.number("response/code");
            0
        });
    }
    let id = bed.get();
    bed.respond(id, &[], false);
    bed.data(id, RESPONSE, "ok", true);
    bed.chain.close(id);
    assert_eq!(
        bed.notes(),
        ["response/code: 0 200", "response/code: 0 200", "response/code: 0 201", "response/code: 0 201"]
    );
}

#[test]
fn the_grpc_status_is_the_heads_or_the_trailers() {
    let bed = Bed::new();
    bed.on(Id::Log, |f| {
        f.number("response/grpc_status");
        f.property("response/trailers/grpc-status");
        0
    });
    let id = bed.get();
    bed.respond(id, &[], false);
    bed.trailers(id, RESPONSE, &[("grpc-status", "5")]);
    bed.chain.close(id);
    assert_eq!(bed.notes(), ["response/grpc_status: 0 5", "response/trailers/grpc-status: 0 \"5\""]);
}

#[test]
fn header_maps_are_maps_and_empty_where_they_are_out_of_reach() {
    let bed = Bed::new();
    exchange(&bed, |f| {
        let value = f.state().get_property(b"request\0headers").unwrap();
        let entries: Vec<_> = pairs::decode(&value).expect("the wire format").into_iter().collect();
        match entries.len() {
            0 => assert_eq!(value, [0; 4]),
            len => {
                assert_eq!(len, 6);
                assert!(entries.contains(&(b"x-dup".as_slice(), b"1,2".as_slice())), "one entry for each name");
            }
        }
        f.note(format!("{}", entries.len()));
    });
    let notes = bed.notes();
    let counts: Vec<&str> = notes.iter().skip(1).step_by(2).map(String::as_str).collect();
    assert_eq!(counts, ["6", "0", "0", "0", "0", "0", "0", "6", "0"]);
    assert_eq!(strings("response/trailers"), ["\\\\x00\\\\x00\\\\x00\\\\x00"; 9].join(" "));
}

#[test]
fn the_upstream_is_known_once_the_request_is_on_its_way() {
    assert_eq!(numbers("upstream/request_attempt_count"), "0 1 1 1 1 1 1 1 1");
    assert_eq!(numbers("upstream/num_endpoints"), ["1"; 9].join(" "));
    assert_eq!(strings("upstream/address"), ["-"; 9].join(" "));
}

#[test]
fn whole_maps_have_no_wire_form() {
    for path in ["request", "response", "connection", "upstream", "source", "destination", "xds", "filter_state", ""] {
        assert_eq!(strings(path), ["3"; 9].join(" "), "{path:?}");
    }
    assert_eq!(strings("upstream_filter_state"), "- 3 3 3 3 3 3 3 3", "there is no upstream yet");
}

#[test]
fn a_nul_at_the_end_of_a_path_starts_no_segment() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.property("request/path/");
        f.property("plugin_name/");
        0
    });
    bed.get();
    assert_eq!(bed.notes(), ["request/path/: 0 \"/p\"", "plugin_name/: 0 \"p\""]);
}
