//! One exchange: order, backpressure, and what ends it.

use proxy_wasm_driver::Peer;
use proxy_wasm_semantics::{Request, UpstreamFailure};

use crate::{common::Id, world::World};

#[test]
fn a_request_goes_up_and_its_response_down() {
    let mut world = World::new();
    let id = world.get();
    let (client, upstream) = (Peer::Client(id), Peer::Upstream(id));
    assert_eq!(world.actions(id), ["upstream 2 request up GET /p end"]);
    assert!(!world.wants(client), "its request is over");
    assert!(world.wants(upstream));
    world.head(upstream, &[], false);
    assert_eq!(world.actions(id), ["client 2 response 200"]);
    world.data(upstream, "abc");
    world.end(upstream);
    assert_eq!(world.actions(id), ["client 2 write \"abc\"", "client 2 finish"]);
    assert!(!world.is_over(id), "the end is not written");
    world.written(client);
    assert!(world.is_over(id));
    world.bed.trace();
    world.turn().close(id);
    assert_eq!(world.bed.trace(), ["log(2)", "done(2)", "delete(2)"]);
    assert!(!world.turn().stays());
}

#[test]
fn bodies_that_no_filter_can_want_go_on_unread() {
    let mut world = World::with(|settings| settings.connection.stream_idle_timeout_ms = 1_000);
    world.bed.lacks(Id::RequestBody);
    world.bed.lacks(Id::ResponseBody);
    let id = world.open("POST", &[("content-length", "9")], false);
    let (client, upstream) = (Peer::Client(id), Peer::Upstream(id));
    assert_eq!(world.actions(id), ["upstream 2 request up POST /p"]);
    for callback in [Id::RequestTrailers, Id::ResponseTrailers, Id::Log, Id::Done] {
        assert!(!world.turn().pass_on(client), "a filter may want something of it");
        world.bed.lacks(callback);
    }
    assert_eq!(world.deadline(), Some(1_000));
    assert!(world.turn().pass_on(client));
    world.head(upstream, &[("content-length", "3")], false);
    assert_eq!(world.actions(id), ["client 2 response 200"]);
    assert_eq!(world.deadline(), None, "nothing shows whether it moves");
    world.end(client);
    assert_eq!(world.actions(id), ["upstream 2 finish"]);
    world.written(upstream);
    assert!(world.turn().pass_on(upstream));
    assert!(world.wants(upstream) && !world.is_over(id), "its end is waited for");
    world.end(upstream);
    assert_eq!(world.actions(id), ["client 2 finish"], "its length is whatever it was");
    world.written(client);
    assert!(world.is_over(id));
}

#[test]
fn the_time_of_an_upstream_begins_with_the_end_of_what_goes_on_unread() {
    let mut world = World::new();
    for callback in [Id::RequestBody, Id::RequestTrailers, Id::Log, Id::Done] {
        world.bed.lacks(callback);
    }
    let id = world.post();
    world.actions(id);
    assert!(world.turn().pass_on(Peer::Client(id)));
    assert_eq!(world.deadline(), None);
    world.end(Peer::Client(id));
    world.actions(id);
    assert!(world.deadline().is_some());
}

#[test]
fn a_head_alone_ends_an_exchange_at_once() {
    let mut world = World::new();
    let id = world.get();
    world.actions(id);
    world.head(Peer::Upstream(id), &[], true);
    assert!(!world.is_over(id), "it is not sent");
    assert_eq!(world.actions(id), ["client 2 response 200 end"]);
    assert!(world.is_over(id));
}

#[test]
fn an_end_that_comes_with_the_last_bytes_reaches_the_filter_with_them() {
    let mut world = World::new();
    let id = world.post();
    let (client, upstream) = (Peer::Client(id), Peer::Upstream(id));
    world.actions(id);
    world.bed.trace();
    world.last(client, "abc");
    assert_eq!(world.bed.trace(), ["request_body(2,3,1)"]);
    assert_eq!(world.actions(id), ["upstream 2 write \"abc\"", "upstream 2 finish"]);
    assert!(!world.wants(client), "its request is over");
    world.written(upstream);
    world.head(upstream, &[], false);
    world.bed.trace();
    world.last(upstream, "ok");
    assert_eq!(world.bed.trace(), ["response_body(2,2,1)"]);
    assert_eq!(world.actions(id), ["client 2 response 200", "client 2 write \"ok\"", "client 2 finish"]);
    assert!(!world.wants(upstream), "its response is over");
    world.written(client);
    assert!(world.is_over(id));
}

#[test]
fn a_peer_is_read_when_what_it_sent_before_is_written() {
    let mut world = World::new();
    let id = world.post();
    let (client, upstream) = (Peer::Client(id), Peer::Upstream(id));
    world.actions(id);
    world.data(client, "abc");
    assert_eq!(world.actions(id), ["upstream 2 write \"abc\""]);
    assert!(!world.wants(client));
    world.written(upstream);
    assert!(world.wants(client));
    world.trailers(client, &[("a", "b")]);
    assert_eq!(world.actions(id), ["upstream 2 finish trailers"]);
    world.written(upstream);

    world.head(upstream, &[], false);
    world.data(upstream, "abc");
    world.actions(id);
    assert!(!world.wants(upstream));
    world.written(client);
    assert!(world.wants(upstream));
}

#[test]
fn a_response_may_come_before_the_request_has_ended() {
    let mut world = World::new();
    let id = world.post();
    world.actions(id);
    world.head(Peer::Upstream(id), &[], true);
    assert_eq!(world.actions(id), ["client 2 response 200 end"]);
    assert!(world.is_over(id));
}

#[test]
fn a_filter_that_answers_asks_no_upstream() {
    let mut world = World::new();
    world.bed.on(Id::RequestHeaders, |filter| {
        filter.reply(403, "no");
        1
    });
    let id = world.post();
    assert_eq!(world.actions(id), ["client 2 response 403", "client 2 write \"no\"", "client 2 finish"]);
    assert!(!world.wants(Peer::Client(id)) && !world.wants(Peer::Upstream(id)));
    world.written(Peer::Client(id));
    assert!(world.is_over(id));
}

#[test]
fn an_upstream_that_cannot_be_had_is_answered_for() {
    let mut world = World::new();
    let id = world.post();
    world.actions(id);
    world.data(Peer::Client(id), "abc");
    world.failed(Peer::Upstream(id), UpstreamFailure::ConnectionFailed, Some("the connection is refused"));
    let answer = world.actions(id);
    assert_eq!(answer[0], "client 2 response 503", "what was to go up goes nowhere: {answer:?}");
    assert_eq!(world.bed.log(), ["[warn] upstream http://up: remote connection failure: the connection is refused"]);
    assert!(!world.wants(Peer::Upstream(id)));
}

#[test]
fn a_response_that_breaks_off_breaks_the_exchange_off() {
    let mut world = World::new();
    let id = world.get();
    world.actions(id);
    world.head(Peer::Upstream(id), &[], false);
    world.actions(id);
    world.broken(Peer::Upstream(id));
    assert_eq!(world.bed.log(), ["[warn] upstream http://up: protocol error: its answer breaks off"]);
    assert!(!world.is_over(id));
    assert_eq!(world.actions(id), ["client 2 abort"]);
    assert!(world.is_over(id));
}

#[test]
fn a_client_that_leaves_ends_the_exchange() {
    for how in ["breaks off", "takes no more", "is gone"] {
        let mut world = World::new();
        let id = world.post();
        world.actions(id);
        match how {
            "breaks off" => world.broken(Peer::Client(id)),
            "takes no more" => world.turn().refused(Peer::Client(id)),
            _ => world.turn().client_gone(id),
        }
        assert_eq!(world.actions(id), ["client 2 abort"], "{how}");
        assert!(world.is_over(id));
        world.turn().client_gone(id);
        assert_eq!(world.actions(id), [""; 0], "once is enough");
    }
}

#[test]
fn an_upstream_that_takes_no_more_may_answer() {
    let mut world = World::new();
    let id = world.post();
    world.actions(id);
    world.turn().refused(Peer::Upstream(id));
    assert!(world.wants(Peer::Client(id)), "what comes is read, for the filters");
    world.data(Peer::Client(id), "abc");
    assert_eq!(world.actions(id), [""; 0]);
    world.head(Peer::Upstream(id), &[], true);
    assert_eq!(world.actions(id), ["client 2 response 200 end"]);
}

#[test]
fn a_body_that_is_not_as_long_as_declared_breaks_off() {
    let mut world = World::new();
    world.bed.returns(Id::RequestBody, [0, 0]);
    let id = world.open("POST", &[("content-length", "6")], false);
    assert_eq!(world.actions(id), [""; 0], "the head waits for the body's first bytes");
    world.data(Peer::Client(id), "abc");
    assert_eq!(world.actions(id), ["upstream 2 request up POST /p", "upstream 2 write \"abc\""]);
    world.written(Peer::Upstream(id));
    world.end(Peer::Client(id));
    let actions = world.actions(id);
    assert_eq!(actions[..2], ["upstream 2 release", "client 2 response 502"]);
    let reason = "protocol error: the filter made a request body of 3 bytes of one declared as 6";
    assert_eq!(world.bed.log(), [format!("[warn] upstream http://up: {reason}")]);

    let id = world.get();
    world.actions(id);
    world.head(Peer::Upstream(id), &[("content-length", "2")], false);
    world.data(Peer::Upstream(id), "abc");
    assert_eq!(world.actions(id), ["client 3 response 200", "client 3 abort"]);
    let whose = "its body has 3 bytes and was declared as 2: the upstream sent it so";
    assert_eq!(world.bed.log(), [format!("[error] the response is broken off: {whose}")]);
}

#[test]
fn a_filter_that_closes_the_stream_aborts_it() {
    let mut world = World::new();
    world.bed.on(Id::ResponseHeaders, |filter| {
        filter.close(1);
        1
    });
    let id = world.get();
    world.actions(id);
    world.head(Peer::Upstream(id), &[], false);
    assert_eq!(world.actions(id), ["client 2 abort"]);
    assert!(world.is_over(id));
}

#[test]
fn what_nobody_waits_for_is_ignored() {
    let mut world = World::new();
    let id = world.get();
    for peer in [Peer::Upstream(id), Peer::Upstream(9), Peer::Client(9), crate::world::callout(4)] {
        world.head(peer, &[], true);
        world.written(peer);
        world.turn().refused(peer);
    }
    assert_eq!(world.actions(id), ["upstream 2 request up GET /p end"]);
    assert_eq!(world.actions(9), [""; 0]);
    assert!(world.is_over(9));
}

#[test]
fn response_trailers_go_down() {
    let mut world = World::new();
    let id = world.get();
    world.actions(id);
    world.head(Peer::Upstream(id), &[], false);
    world.trailers(Peer::Upstream(id), &[("a", "b")]);
    assert_eq!(world.actions(id), ["client 2 response 200", "client 2 finish trailers"]);
}

#[test]
fn a_request_gets_a_time_and_an_id_of_its_own_where_they_are_wanted() {
    for wanted in [false, true] {
        let mut world = World::with(|settings| settings.connection.request_id = wanted);
        // Enough for 16 ids at once, of which the last come first.
        let ids: Vec<u8> = std::iter::repeat_with(|| {
            let mut request = Request::default();
            world.turn().complete(&mut request, || 7, |len| (0..len).map(|byte| byte as u8).collect());
            assert_eq!(request.received, Some(7), "the filter reads properties");
            request.id[0]
        })
        .take(17)
        .collect();
        let expected = if wanted { [240, 224, 0, 240] } else { [0; 4] };
        assert_eq!([ids[0], ids[1], ids[15], ids[16]], expected);
    }
}
