//! Properties that the configuration gives, the settings, and the filter itself.

use super::*;

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
    let direct = |settings: &mut proxy_wasm_abi::settings::Settings| settings.set_direct_response(200, "");
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
