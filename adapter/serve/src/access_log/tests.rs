//! Lines as Envoy 1.40 was seen to write them.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

use super::format::Format;
use super::operators::Known;
use crate::plugin::Remains;
use crate::record::{Exchange, Head, Upstream};

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let fields = fields.iter();
    fields.map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn pairs(fields: &[(&str, &[u8])]) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect()
}

/// A request that an upstream answered.
fn exchange() -> Exchange {
    let request = [
        (":authority", &b"127.0.0.1:31500"[..]),
        (":path", b"/changed?a=b&c"),
        (":method", b"GET"),
        (":scheme", b"http"),
        ("user-agent", b"me \"quoted\""),
        ("x-request-id", b"7f93a922-76f3-45d3-ab0b-e3d974bd76f5"),
        ("x-two", b"0"),
        ("x-two", b"1"),
        ("x-in", b"\xc3\xa4\xff\""),
        ("x-empty", b""),
    ];
    Exchange {
        number: 7,
        head: Head {
            method: Method::GET,
            path: "/?a=b".into(),
            uri: "/?a=b".parse().unwrap(),
            version: Version::HTTP_11,
            headers: headers(&[("host", "127.0.0.1:31500")]),
        },
        started: SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_712_698_532_000),
        ends: Some(("127.0.0.1:57698".parse().unwrap(), "127.0.0.1:31500".parse().unwrap())),
        status: Some(StatusCode::OK),
        is_left: false,
        response: Some(headers(&[("content-type", "text/plain"), ("x-up", "a"), ("x-up", "b")])),
        trailers: None,
        received: 0,
        sent: 15,
        elapsed: Duration::from_micros(42_900),
        request_ended: Some(Duration::ZERO),
        upstream: Some(Upstream {
            cluster: "upstream".into(),
            attempts: 1,
            address: Some("127.0.0.1:31502".parse().unwrap()),
            version: Some(Version::HTTP_11),
            responded: Some(Duration::from_millis(2)),
        }),
        remains: Some(Remains {
            request: pairs(&request),
            details: Some("via_upstream".into()),
            flags: 0,
            properties: pairs(&[("mine", b"value 1"), ("line", b"a\nb")]),
        }),
        details: None,
        flags: 0,
        is_unread: false,
    }
}

fn line_of(format: &Format, exchange: &Exchange) -> String {
    let mut line = Vec::new();
    format.write(&mut line, &Known { exchange, route: Some("upstream") });
    String::from_utf8_lossy(&line).into_owned()
}

fn line(format: &str, exchange: &Exchange) -> String {
    line_of(&Format::text(format).unwrap(), exchange)
}

#[test]
fn the_default_is_envoys() {
    let expected = "[2026-11-26T17:04:58.532Z] \"GET /changed?a=b&c HTTP/1.1\" 200 - 0 15 42 - \"-\" \"me \"quoted\"\" \
                    \"7f93a922-76f3-45d3-ab0b-e3d974bd76f5\" \"127.0.0.1:31500\" \"127.0.0.1:31502\"";
    assert_eq!(line_of(&Format::default(), &exchange()), expected);
}

#[test]
fn operators_are_envoys() {
    for (format, expected) in [
        ("%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(:PATH):3%", "GET /changed?a=b&c /ch"),
        ("%REQ(:SCHEME)% %REQ(:AUTHORITY)% %REQ(HOST)%", "http 127.0.0.1:31500 127.0.0.1:31500"),
        ("%REQ(nope)% %REQ(nope?user-agent):6% %REQ(x-two)%", "- me \"qu 0"),
        ("%REQ(x-in):2%|%REQ(x-empty)%|%REQ(x-empty?:path)%", "\u{e4}||"),
        ("%RESP(x-up)% %RESP(:status)% %RESP(content-type):4% %RESP(nope)% %TRAILER(a)%", "a 200 text - -"),
        ("%PROTOCOL% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS%", "HTTP/1.1 200 via_upstream -"),
        ("%BYTES_RECEIVED% %BYTES_SENT%", "0 15"),
        ("%DURATION% %REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "42 0 2 40"),
        ("%UPSTREAM_HOST% %UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW%", "127.0.0.1:31502 upstream upstream"),
        ("%UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "127.0.0.1:31502 127.0.0.1"),
        ("%UPSTREAM_REMOTE_PORT% %UPSTREAM_PROTOCOL% %UPSTREAM_REQUEST_ATTEMPT_COUNT%", "31502 HTTP/1.1 1"),
        ("%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "127.0.0.1:57698 127.0.0.1"),
        ("%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_PORT%", "127.0.0.1:31500 31500"),
        ("%FILTER_STATE(wasm.mine:PLAIN)% %FILTER_STATE(wasm.mine:PLAIN):3% %FILTER_STATE(wasm.no)%", "value 1 val -"),
        (
            "%FILTER_STATE(wasm.mine)%",
            "{\"@type\":\"type.googleapis.com/google.protobuf.BytesValue\",\"value\":\"dmFsdWUgMQ==\"}",
        ),
        ("%DYNAMIC_METADATA(com.test:key)% %ROUTE_NAME% %REQUESTED_SERVER_NAME%", "- - -"),
        ("%STREAM_ID%", "7f93a922-76f3-45d3-ab0b-e3d974bd76f5"),
        ("%GRPC_STATUS% %GRPC_STATUS_NUMBER%", "- -"),
        ("%PATH% %PATH(NQ)% %QUERY_PARAM(a)% %QUERY_PARAM(c)%|%QUERY_PARAM(d)%", "/changed?a=b&c /changed b |-"),
        ("100%% %RESPONSE_CODE%%PROTOCOL%", "100% 200HTTP/1.1"),
        ("%START_TIME(%Y/%m/%d)%", "2026/11/26"),
    ] {
        assert_eq!(line(format, &exchange()), expected, "{format}");
    }
}

/// Envoy writes them as they are.
#[test]
fn a_value_makes_no_line() {
    assert_eq!(line("%FILTER_STATE(wasm.line:PLAIN)%", &exchange()), "a\\x0ab");
}

#[test]
fn what_went_wrong_is_told() {
    const FORMAT: &str = "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%";
    let left = Exchange { status: None, is_left: true, ..exchange() };
    assert_eq!(line(FORMAT, &left), "0 downstream_remote_disconnect DC DownstreamConnectionTermination");
    let trapped = Exchange { remains: None, details: Some("wasm_fail_stream"), ..exchange() };
    assert_eq!(line(FORMAT, &trapped), "200 wasm_fail_stream - -");
    let details = "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_x}";
    let mut refused = exchange();
    refused.remains = Some(Remains { details: Some(details.into()), flags: 1 << 5, ..Remains::default() });
    assert_eq!(line("%RESPONSE_FLAGS% %UPSTREAM_TRANSPORT_FAILURE_REASON%", &refused), "UF delayed_connect_error:_x");
    // Without the component's word the request is as it came.
    assert_eq!(line("%REQ(:METHOD)% %REQ(:PATH)% %REQ(:AUTHORITY)%", &trapped), "GET /?a=b 127.0.0.1:31500");
}

#[test]
fn the_status_of_grpc_is_that_of_grpc_requests() {
    const FORMAT: &str = "%GRPC_STATUS% %GRPC_STATUS_NUMBER% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)%";
    let mut exchange = exchange();
    exchange.remains = None;
    exchange.head.headers = headers(&[("content-type", "application/grpc+proto")]);
    exchange.response = Some(headers(&[("grpc-status", "7")]));
    assert_eq!(line(FORMAT, &exchange), "PermissionDenied 7 PERMISSION_DENIED 7");
    exchange.response = None;
    exchange.status = Some(StatusCode::NOT_FOUND);
    assert_eq!(line(FORMAT, &exchange), "Unimplemented 12 UNIMPLEMENTED 12");
}

#[test]
fn a_proxy_before_this_host_names_the_client() {
    let mut exchange = exchange();
    exchange.head.headers = headers(&[("x-forwarded-for", "10.0.0.9, 10.0.0.1")]);
    let format = "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_PORT% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%";
    assert_eq!(line(format, &exchange), "10.0.0.1:0 0 127.0.0.1");
}

#[test]
fn json_is_envoys() {
    let format = r#"{"method": "%REQ(:METHOD)%", "code": "%RESPONSE_CODE%", "missing": "%REQ(nope)%", "n": 3,
        "mixed": "a %RESPONSE_CODE% %REQ(nope)%", "nested": {"up": "%UPSTREAM_HOST%", "list": ["%DURATION%", 7, true]},
        "fs": "%FILTER_STATE(wasm.mine)%", "ua": "%REQ(USER-AGENT)%", "nul": null, "flags": "%RESPONSE_FLAGS%"}"#;
    let expected = r#"{"code":200,"flags":null,"fs":{"@type":"type.googleapis.com/google.protobuf.BytesValue","value":"dmFsdWUgMQ=="},"method":"GET","missing":null,"mixed":"a 200 -","n":3,"nested":{"list":[42,7,true],"up":"127.0.0.1:31502"},"nul":null,"ua":"me \"quoted\""}"#;
    let expected = expected.replace("\"flags\":null", "\"flags\":\"-\"");
    assert_eq!(line_of(&Format::json(format).unwrap(), &exchange()), expected);
    // Bytes that are no text are each a character.
    let bytes = line_of(&Format::json(r#"{"x": "%REQ(x-in)%"}"#).unwrap(), &exchange());
    assert_eq!(serde_json::from_str::<serde_json::Value>(&bytes).unwrap()["x"], "\u{c3}\u{a4}\u{ff}\"");
}

#[test]
fn wrong_formats_are_told() {
    for (wrong, reason) in [
        ("%NOPE%", "`%NOPE%` is no operator. There are `START_TIME`, `REQ`"),
        ("%REPSONSE_CODE%", "`%REPSONSE_CODE%` is no operator. Did you mean `%RESPONSE_CODE%`?"),
        ("a %REQ(x) b", "is no operator: write `%NAME%`"),
        ("50%", "is no operator: write `%NAME%`"),
        ("%REQ%", "needs an argument"),
        ("%START_TIME(%Q)%", "`%Q` is no specifier"),
        ("%FILTER_STATE(a:b)%", "`b` is neither `PLAIN` nor `TYPED`"),
    ] {
        let error = Format::text(wrong).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
    for wrong in ["[]", "{", "{\"a\": \"%NOPE%\"}"] {
        assert!(Format::json(wrong).is_err(), "{wrong}");
    }
}
