//! gRPC callouts: bodies both ways, and heads that may be all there is.

use proxy_wasm_abi::settings::GrpcTransport;
use proxy_wasm_semantics::UpstreamFailure;

use crate::{
    common::Id,
    world::{METHOD, World, callout},
};

/// The first call, and the first stream.
const CALL: u32 = 5;
const STREAM: u32 = 6;

/// A filter that opens a stream.
fn streaming(transport: GrpcTransport) -> World<'static> {
    let mut world = World::with(|settings| settings.upkeep.grpc_transport = transport);
    world.bed.on(Id::RequestHeaders, |filter| {
        filter.state().grpc_stream(METHOD).expect("it is accepted");
        1
    });
    world.get();
    world.bed.trace();
    world
}

fn message(bytes: &str) -> String {
    format!("\0\0\0\0{}{bytes}", char::from(bytes.len() as u8))
}

#[test]
fn a_stream_is_sent_by_http2_unless_it_is_grpc_web() {
    for (transport, http2) in [(GrpcTransport::Http2, " http2"), (GrpcTransport::GrpcWeb, "")] {
        let mut world = streaming(transport);
        assert_eq!(world.worked(), [format!("callout {STREAM} request auth:80 POST /s.S/M{http2}")]);
    }
}

#[test]
fn messages_flow_both_ways() {
    let mut world = streaming(GrpcTransport::Http2);
    world.worked();
    world.bed.chain.state().grpc_send(STREAM, b"a", false).unwrap();
    assert_eq!(world.worked(), [format!("callout {STREAM} write \"\\x00\\x00\\x00\\x00\\x01a\"")]);
    world.head(callout(STREAM), &[], false);
    assert_eq!(world.bed.trace(), [""; 0], "it may be all of the response");
    assert!(world.turn().work());
    assert_eq!(world.bed.trace(), ["grpc_receive_initial_metadata(1,6,1)"]);
    world.data(callout(STREAM), &message("ab"));
    assert_eq!(world.bed.trace(), ["grpc_receive(1,6,2)"]);
    world.bed.chain.state().grpc_close(STREAM).unwrap();
    assert_eq!(world.worked(), [format!("callout {STREAM} finish")]);
    world.trailers(callout(STREAM), &[("grpc-status", "0")]);
    assert_eq!(world.bed.trace(), ["grpc_receive_trailing_metadata(1,6,1)", "grpc_close(1,6,0)"]);
    assert_eq!(world.calls(), [format!("callout {STREAM} release")]);
}

#[test]
fn a_response_may_end_with_its_last_message() {
    let mut world = streaming(GrpcTransport::Http2);
    world.worked();
    world.head(callout(STREAM), &[], false);
    world.last(callout(STREAM), &message("ab"));
    let seen = world.bed.trace();
    assert_eq!(seen.first().map(String::as_str), Some("grpc_receive_initial_metadata(1,6,1)"), "{seen:?}");
    assert!(seen.iter().any(|line| line == "grpc_receive(1,6,2)"), "{seen:?}");
    assert!(seen.last().is_some_and(|line| line.starts_with("grpc_close(1,6,")), "{seen:?}");
}

#[test]
fn a_head_with_a_status_waits_for_what_follows() {
    let mut world = streaming(GrpcTransport::Http2);
    world.worked();
    world.head(callout(STREAM), &[("grpc-status", "3")], false);
    world.turn().work();
    assert_eq!(world.bed.trace(), [""; 0]);
    world.end(callout(STREAM));
    let shown = ["initial_metadata(1,6,0)", "trailing_metadata(1,6,2)"].map(|end| format!("grpc_receive_{end}"));
    assert_eq!(world.bed.trace(), [shown.as_slice(), &["grpc_close(1,6,3)".into()]].concat());
}

#[test]
fn a_head_with_a_status_and_more_is_a_head() {
    let mut world = streaming(GrpcTransport::Http2);
    world.worked();
    world.head(callout(STREAM), &[("grpc-status", "3")], false);
    world.data(callout(STREAM), &message("a"));
    assert_eq!(world.bed.trace(), ["grpc_receive_initial_metadata(1,6,2)", "grpc_receive(1,6,1)"]);
}

#[test]
fn what_comes_with_a_head_is_known_when_it_is_shown() {
    for at_once in [true, false] {
        let mut world = streaming(GrpcTransport::Http2);
        world.worked();
        world.head(callout(STREAM), &[], at_once);
        world.end(callout(STREAM));
        let shown = ["initial_metadata(1,6,0)", "trailing_metadata(1,6,1)"].map(|end| format!("grpc_receive_{end}"));
        assert_eq!(world.bed.trace(), [shown.as_slice(), &["grpc_close(1,6,2)".into()]].concat());
    }
}

#[test]
fn a_cancelled_stream_is_let_go() {
    let mut world = streaming(GrpcTransport::Http2);
    world.worked();
    world.bed.chain.state().grpc_send(STREAM, b"a", false).unwrap();
    world.turn().work();
    world.bed.chain.state().grpc_cancel(STREAM).unwrap();
    assert_eq!(world.worked(), [format!("callout {STREAM} release")], "what was to be written is not");
    world.failed(callout(STREAM), UpstreamFailure::RemoteReset, None);
    assert_eq!(world.bed.trace(), [""; 0]);
}

#[test]
fn what_fails_is_told_of() {
    for after_head in [false, true] {
        let mut world = streaming(GrpcTransport::Http2);
        world.worked();
        if after_head {
            world.head(callout(STREAM), &[], false);
        }
        world.failed(callout(STREAM), UpstreamFailure::ConnectionTerminated, None);
        let code = if after_head { 13 } else { 14 };
        assert_eq!(world.bed.trace().last().unwrap(), &format!("grpc_close(1,6,{code})"));
        assert_eq!(world.bed.log(), ["[warn] gRPC callout to http://auth:80: connection termination"]);
        assert_eq!(world.calls(), [format!("callout {STREAM} release")]);
    }
}

#[test]
fn a_call_has_its_time() {
    let mut world = World::new();
    world.bed.on(Id::RequestHeaders, |filter| {
        filter.state().grpc_call(METHOD, b"a", 200).expect("it is accepted");
        1
    });
    world.get();
    world.bed.trace();
    let [head, write, finish] = ["request auth:80 POST /s.S/M http2", "write \"\\x00\\x00\\x00\\x00\\x01a\"", "finish"]
        .map(|what| format!("callout {CALL} {what}"));
    assert_eq!(world.worked(), [head, write, finish]);
    assert_eq!(world.deadline(), Some(200));
    world.pass(200);
    assert_eq!(world.bed.trace(), ["grpc_close(1,5,14)"], "UNAVAILABLE, as of a 504");
    assert_eq!(world.bed.log(), ["[warn] gRPC callout to http://auth:80: response timeout"]);
    assert_eq!(world.calls(), [format!("callout {CALL} release")]);
}

#[test]
fn a_bad_frame_ends_the_call() {
    let mut world = streaming(GrpcTransport::Http2);
    world.worked();
    world.head(callout(STREAM), &[], false);
    world.data(callout(STREAM), "\x02");
    assert_eq!(world.bed.trace().last().unwrap(), "grpc_close(1,6,13)");
    assert_eq!(world.calls(), [format!("callout {STREAM} release")]);
}
