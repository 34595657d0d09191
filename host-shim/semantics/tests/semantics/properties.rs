//! Properties, phase by phase, and their encodings.

use proxy_wasm_abi::{enums::Status, pairs, settings::Route};
use proxy_wasm_semantics::Request;

use crate::common::{Bed, Call, Id, REQUEST, RESPONSE};

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

/// What a number property is in `rh rb rb rb sh sb sb log done`; `-` is NOT_FOUND.
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

/// The notes of some properties in request headers.
fn in_headers(settings: impl FnOnce(&mut proxy_wasm_abi::settings::Settings), paths: &'static [&str]) -> Vec<String> {
    let bed = Bed::with(settings);
    bed.on(Id::RequestHeaders, |f| {
        paths.iter().for_each(|path| f.property(path));
        0
    });
    bed.open("GET", "/p", &[("x-real-ip", "10.0.0.1"), ("x-port", "8080"), ("x-bad", "http")], true);
    bed.notes()
}

#[test]
fn what_the_proxy_is_configured_with_has_envoys_defaults() {
    assert_eq!(
        in_headers(
            |settings| {
                settings.plugins[0].root_id = "r".into();
                settings.plugins[0].vm_id = "v".into();
            },
            &[
                "plugin_name",
                "plugin_root_id",
                "plugin_vm_id",
                "metadata",
                "metadata/filter_metadata/f",
                "xds/route_name",
                "xds/node/id",
                "xds/listener_direction",
                "connection/mtls",
                "connection/requested_server_name",
                "connection/tls_version",
                "source/address",
                "node",
                "node/id",
                "cluster_name",
                "route_name",
                "listener_direction",
                "nope",
                "nope/x",
            ]
        ),
        [
            "plugin_name: 0 \"p\"",
            "plugin_root_id: 0 \"r\"",
            "plugin_vm_id: 0 \"v\"",
            "metadata: 0 \"\"",
            "metadata/filter_metadata/f: 1",
            "xds/route_name: 0 \"\"",
            "xds/node/id: 0 \"\"",
            r#"xds/listener_direction: 0 "\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00""#,
            r#"connection/mtls: 0 "\\x00""#,
            "connection/requested_server_name: 0 \"\"",
            "connection/tls_version: 1",
            "source/address: 1",
            "node: 1",
            "node/id: 1",
            "cluster_name: 1",
            "route_name: 1",
            "listener_direction: 1",
            "nope: 1",
            "nope/x: 1",
        ]
    );
}

#[test]
fn a_direct_response_has_no_cluster() {
    let direct = |settings: &mut proxy_wasm_abi::settings::Settings| {
        settings.route = Route::DirectResponse { status: 200, body: Vec::new() };
    };
    assert_eq!(in_headers(direct, &["xds/cluster_name"]), ["xds/cluster_name: 1"]);
    assert_eq!(in_headers(|_| {}, &["xds/cluster_name"]), ["xds/cluster_name: 0 \"upstream\""]);
}

#[test]
fn settings_give_values_and_name_headers_to_read_them_from() {
    let notes = in_headers(
        |settings| {
            settings.properties = vec![
                (b"xds\0route_name".to_vec(), b"mine".to_vec()),
                (b"source\0address".to_vec(), b"unused".to_vec()),
                (b"node".to_vec(), b"legacy".to_vec()),
            ];
            settings.property_headers = vec![
                (b"source\0address".to_vec(), "x-real-ip".into()),
                (b"source\0port".to_vec(), "x-port".into()),
                (b"destination\0port".to_vec(), "x-bad".into()),
                (b"destination\0address".to_vec(), "x-nope".into()),
            ];
        },
        &["xds/route_name", "source/address", "source/port", "destination/port", "destination/address", "node"],
    );
    assert_eq!(
        notes,
        [
            "xds/route_name: 0 \"mine\"",
            "source/address: 0 \"10.0.0.1\"",
            r#"source/port: 0 "\\x90\\x1f\\x00\\x00\\x00\\x00\\x00\\x00""#,
            "destination/port: 1",
            "destination/address: 1",
            "node: 0 \"legacy\"",
        ]
    );
}

#[test]
fn what_is_read_from_a_header_stays_when_the_filter_changes_that_header() {
    let bed = Bed::with(|settings| settings.property_headers = vec![(b"source\0address".to_vec(), "x-real-ip".into())]);
    bed.on(Id::RequestHeaders, |f| {
        f.state().replace_header_map_value(0, b"x-real-ip", b"evil").unwrap();
        f.property("source/address");
        0
    });
    bed.on(Id::Done, |f| {
        f.property("source/address");
        0
    });
    let id = bed.open("GET", "/p", &[("x-real-ip", "10.0.0.1")], true);
    bed.chain.close(id);
    assert_eq!(bed.notes(), ["source/address: 0 \"10.0.0.1\"", "source/address: 0 \"10.0.0.1\""]);
}

#[test]
fn what_the_filter_sets_can_be_read_back_until_the_end() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.set_property("k", "v");
        f.set_property("k", "w");
        f.set_property("a.b", "dotted");
        f.set_property("a/b", "nested");
        f.set_property("", "empty");
        0
    });
    for callback in [Id::ResponseHeaders, Id::Log, Id::Done, Id::Delete] {
        bed.on(callback, |f| {
            f.property("k");
            f.property("filter_state/wasm.k");
            f.property("a.b");
            f.property("a/b");
            f.property("a");
            f.property("");
            0
        });
    }
    let id = bed.get();
    bed.respond(id, &[], true);
    bed.chain.close(id);
    let notes = bed.notes();
    assert!(notes[..5].iter().all(|note| note.ends_with(": 0")));
    let each = ["k: 0 \"w\"", "filter_state/wasm.k: 0 \"w\"", "a.b: 0 \"dotted\"", "a/b: 1", "a: 1", ": 3"];
    assert_eq!(notes[5..], each.repeat(4));
}

#[test]
fn what_the_filter_sets_does_not_hide_what_is_built_in() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.set_property("request/path", "mine");
        f.set_property("plugin_name", "mine");
        f.property("request/path");
        f.property("plugin_name");
        0
    });
    bed.get();
    assert_eq!(bed.notes()[2..], ["request/path: 0 \"/p\"", "plugin_name: 0 \"p\""]);
}

#[test]
fn what_one_stream_sets_another_does_not_see() {
    let bed = Bed::new();
    bed.on(Id::RequestHeaders, |f| {
        f.property("k");
        f.set_property("k", "v");
        0
    });
    bed.get();
    bed.get();
    assert_eq!(bed.notes(), ["k: 1", "set k: 0", "k: 1", "set k: 0"]);
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
