//! Tokens, maps and messages of gRPC callouts, as filters use them.

use super::*;

#[test]
fn tokens_are_told_apart_and_forgotten() {
    let bed = bed();
    bed.on(Id::RequestHeaders, |filter| {
        let mut vm = filter.state();
        assert_eq!(vm.grpc_call(target(b"auth"), b"", 0), Ok(5));
        assert_eq!(vm.grpc_stream(target(b"auth")), Ok(6));
        assert_eq!(vm.grpc_send(5, b"", false), Err(Status::BadArgument));
        assert_eq!(vm.grpc_send(10, b"", false), Err(Status::NotFound));
        for token in [0, 3, 4, 7] {
            assert_eq!(vm.grpc_send(token, b"", false), Err(Status::BadArgument));
            assert_eq!(vm.grpc_close(token), Err(Status::BadArgument));
            assert_eq!(vm.grpc_cancel(token), Err(Status::BadArgument));
        }
        assert_eq!(vm.grpc_close(5), Ok(()));
        assert_eq!(vm.grpc_cancel(5), Err(Status::NotFound));
        assert_eq!(vm.grpc_cancel(6), Ok(()));
        assert_eq!(vm.grpc_close(6), Err(Status::NotFound));
        1
    });
    bed.get();
    assert_eq!(actions(&bed), [], "nobody is to see what is cancelled before it began");
    bed.trace();
    bed.chain.grpc_head(of(5), head(&[]), false, 0);
    bed.chain.grpc_failed(of(6), UpstreamFailure::Timeout);
    assert!(bed.trace().is_empty(), "what is cancelled is not told of");
    assert!(is_done(&bed));
}

#[test]
fn a_stream_can_be_named_until_it_is_closed_on_both_sides() {
    let bed = bed();
    bed.on(Id::RequestHeaders, |filter| {
        let mut vm = filter.state();
        assert_eq!(vm.grpc_stream(target(b"auth")), Ok(6));
        assert_eq!(vm.grpc_send(6, b"a", false), Ok(()));
        assert_eq!(vm.grpc_close(6), Ok(()));
        assert_eq!(vm.grpc_send(6, b"late", true), Ok(()), "nobody sends it");
        assert_eq!(vm.grpc_stream(target(b"auth")), Ok(10));
        1
    });
    bed.get();
    let sent: Vec<_> = actions(&bed).into_iter().filter(|action| matches!(action, GrpcAction::Send { .. })).collect();
    let send = |bytes: Vec<u8>, end| GrpcAction::Send { id: of(6), bytes, end };
    assert_eq!(sent, [send(frame(0, "a"), false), send(Vec::new(), true)]);
    bed.on(Id::GrpcClose, |filter| {
        assert_eq!(filter.state().grpc_send(filter.token(), b"late", false), Ok(()));
        0
    });
    for token in [6, 10] {
        bed.chain.grpc_head(of(token), head(&[("grpc-status", "0")]), true, 0);
    }
    let mut vm = bed.chain.state();
    assert_eq!(vm.grpc_close(6), Err(Status::NotFound));
    assert_eq!(vm.grpc_send(10, b"late", false), Ok(()));
    assert_eq!(vm.grpc_close(10), Ok(()));
    assert_eq!(vm.grpc_close(10), Err(Status::NotFound));
}

#[test]
fn a_cancel_from_a_callback_is_the_end() {
    for (callback, expected) in CALLBACKS.into_iter().zip([1, 2, 4, 5]) {
        let bed = bed();
        opened(&bed);
        bed.on(callback, |filter| {
            assert_eq!(filter.state().grpc_cancel(6), Ok(()));
            assert_eq!(filter.state().grpc_cancel(6), Err(Status::NotFound));
            0
        });
        bed.chain.grpc_head(of(6), head(&[]), false, 0);
        bed.chain.grpc_data(of(6), &[frame(0, "one"), frame(0, "two")].concat());
        bed.chain.grpc_end(of(6), Some(trailers(&[("grpc-status", "0")])));
        let trace = bed.trace();
        assert_eq!(trace.iter().filter(|line| line.starts_with("grpc")).count(), expected, "{trace:?}");
    }
}

#[test]
fn maps_and_messages_can_be_read_while_they_are_shown() {
    let bed = bed();
    opened(&bed);
    bed.on(Id::GrpcReceiveInitialMetadata, |filter| {
        filter.get(4, "X-Init");
        filter.get(4, "nope");
        filter.size(4);
        filter.add(4, "a", "b");
        filter.pairs(5);
        filter.get(5, "a");
        filter.buffer(5);
        filter.set_buffer(5, 0, 0, "x");
        0
    });
    bed.on(Id::GrpcReceive, |filter| {
        filter.set_buffer(5, 0, 0, "x");
        filter.buffer(5);
        filter.pairs(4);
        filter.effective(2);
        filter.buffer(5);
        filter.reply(403, "no");
        0
    });
    bed.chain.grpc_head(of(6), head(&[("x-init", "1")]), false, 3);
    bed.chain.grpc_data(of(6), &frame(0, "one"));
    assert_eq!(
        bed.trace()[..16],
        [
            "grpc_receive_initial_metadata(1,6,4)",
            "  get 4 X-Init: 0 \"1\"",
            "  get 4 nope: 1",
            "  size 4: 2",
            "  add 4: 2",
            "  pairs 5: 0 EMPTY",
            "  get 5 a: 2",
            "  buffer 5: 0 \"\"",
            "  set buffer 5: 2",
            "grpc_receive(1,6,3)",
            "  set buffer 5: 0",
            "  buffer 5: 0 \"xone\"",
            "  pairs 4: 0 EMPTY",
            "  effective 2: 0",
            "  buffer 5: 0 \"xone\"",
            "response_headers(2,3,0)",
        ]
    );
}

#[test]
fn a_filter_without_the_callbacks_is_not_told() {
    let bed = bed();
    opened(&bed);
    CALLBACKS.iter().for_each(|callback| bed.lacks(*callback));
    bed.chain.grpc_head(of(6), head(&[]), false, 0);
    bed.chain.grpc_end(of(6), Some(trailers(&[("grpc-status", "7")])));
    assert!(bed.trace().is_empty());
    assert_eq!(bed.chain.state().get_status().0, 0);
    assert!(is_done(&bed));
}

#[test]
fn grpc_web_has_its_trailers_in_the_body() {
    let bed = bed_by(GrpcTransport::GrpcWeb);
    let request = opened(&bed);
    assert_eq!(request.headers.get(b"content-type"), Some(b"application/grpc-web+proto".as_slice()));
    let headers =
        HeaderMap::from_pairs(Kind::Response, [(":status", "200"), ("content-type", "application/grpc-web+proto")]);
    bed.chain.grpc_head(of(6), headers, false, 3);
    let body = [frame(0, "one"), frame(0x80, "grpc-status:0\r\nX-Tr: 2\r\n")].concat();
    assert!(!bed.chain.grpc_data(of(6), &body), "nothing comes after the trailers");
    let trace = bed.trace();
    assert!(trace[1].contains("[content-type: application/grpc]"), "{trace:?}");
    assert_eq!(trace[4..6], ["grpc_receive_trailing_metadata(1,6,2)", "  pairs 5: 0 [grpc-status: 0] [x-tr: 2]"]);
    assert_eq!(trace[6], "grpc_close(1,6,0)");
}
