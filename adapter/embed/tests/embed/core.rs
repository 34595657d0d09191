//! Instances, driven by plain calls.

use std::time::{Duration, Instant as Time};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use proxy_wasm_adapter_embed::{
    Action, Begin, Change, Event, ExchangeId, Failure, Filter, Instance, Optimization, Options, Outcome, Peer,
};

use crate::filters::{UPSTREAM, filter, logging, module};

const DIRECT: &str = "direct_response = { status = 200, body = \"hello\" }";

/// A request's head.
fn head(method: &str, path: &str) -> http::request::Parts {
    let request = Request::builder().method(method).uri(path).header("host", "client.example").header("x-a", "1");
    request.body(()).unwrap().into_parts().0
}

fn open(instance: &mut Instance, begin: Begin) -> (ExchangeId, Outcome) {
    instance.open(&head("POST", "/p?q"), false, begin).unwrap()
}

/// What an outcome's actions are, in words.
fn said(outcome: &Outcome) -> Vec<String> {
    let whose = |peer: &Peer| match peer {
        Peer::Client(_) => "client",
        Peer::Upstream(_) => "upstream",
        Peer::Callout(_) => "callout",
    };
    let mut said = Vec::new();
    for action in &outcome.actions {
        said.push(match action {
            Action::Request { peer, to, head, end, .. } => {
                format!("{} {} {} to {} {end}", whose(peer), head.method(), head.uri(), to.authority)
            }
            Action::Response { head, end, .. } => format!("{} {end}", head.status().as_u16()),
            Action::Write(peer, bytes) => format!("{} {}", whose(peer), String::from_utf8_lossy(bytes)),
            Action::Finish(peer, trailers) => format!("{} ends {}", whose(peer), trailers.is_some()),
            Action::Abort(_) => "abort".into(),
            Action::Release(peer) => format!("release {}", whose(peer)),
            Action::Want { request, response, .. } => format!("want {request} {response}"),
            Action::Over { .. } => "over".into(),
        });
    }
    said
}

fn headers(outcome: &Outcome) -> &HeaderMap {
    for action in &outcome.actions {
        match action {
            Action::Request { head, .. } => return head.headers(),
            Action::Response { head, .. } => return head.headers(),
            _ => {}
        }
    }
    panic!("no head in {outcome:?}");
}

/// The next call, which is due at once, ends the exchange: what it sent is on its way by then.
fn is_over(instance: &mut Instance, outcome: &Outcome) -> Outcome {
    assert!(outcome.deadline.is_some_and(|deadline| deadline <= Time::now()));
    let outcome = instance.step([]).unwrap();
    assert_eq!(said(&outcome), ["over"]);
    outcome
}

#[test]
fn a_direct_response_is_one_call_and_its_end_another() {
    let (filter, lines) = filter(&module("", ""), DIRECT);
    let mut instance = filter.instance().unwrap();
    for _ in 0..3 {
        let (_, outcome) = open(&mut instance, Begin::Nothing);
        assert_eq!(said(&outcome), ["200 false", "client hello", "client ends false"]);
        assert_eq!(headers(&outcome)["x-filter"], "1");
        assert_eq!(is_over(&mut instance, &outcome).deadline, None);
    }
    assert_eq!(lines.lock().unwrap()[0], "warn: #2: a request");
    assert!(instance.memory() > 0);
}

#[test]
fn without_optimization_runs_what_the_baseline_compiler_has_and_what_it_lacks() {
    let tail_call = "(func $one (result i32) (i32.const 1)) (func $tail (result i32) (return_call $one))";
    for module in [module("", ""), module(tail_call, "(drop (call $tail))")] {
        for pool in [None, Some(4)] {
            let options = Options { optimization: Optimization::None, pool, ..Options::default() };
            let filter = Filter::from_filter(&module, DIRECT, options).unwrap();
            let (_, outcome) = open(&mut filter.instance().unwrap(), Begin::Nothing);
            assert_eq!(headers(&outcome)["x-filter"], "1");
        }
    }
}

#[test]
fn an_upstream_answers_in_two_calls() {
    let (filter, _) = filter(&module("", ""), UPSTREAM);
    let mut instance = filter.instance().unwrap();
    let (id, outcome) = open(&mut instance, Begin::Nothing);
    assert_eq!(said(&outcome), ["upstream POST /p?q to upstream.example:81 true", "want false true"]);
    assert!(outcome.deadline.is_some(), "the upstream's time limit");
    let sent = headers(&outcome);
    for (name, value) in [("host", "client.example"), ("x-filter", "1"), ("x-a", "1"), ("x-forwarded-proto", "http")] {
        assert_eq!(sent[name], value, "{name}");
    }
    let peer = Peer::Upstream(id);
    let head = Response::builder().status(201).header("x-b", "2").body(()).unwrap();
    let data = Event::Data { peer, bytes: Bytes::from_static(b"body"), end: true };
    let outcome = instance.step([Event::Head { peer, head, end: false }, data]).unwrap();
    assert_eq!(said(&outcome), ["201 false", "client body", "client ends false"]);
    is_over(&mut instance, &outcome);
    let answer = headers(&outcome);
    assert_eq!((&answer["x-b"], &answer["x-filter"]), (&"2".parse().unwrap(), &"1".parse().unwrap()));
}

#[test]
fn bodies_go_both_ways_while_they_are_wanted() {
    let (filter, _) = filter(&module("", ""), UPSTREAM);
    let mut instance = filter.instance().unwrap();
    let (id, outcome) = open(&mut instance, Begin::Part(Bytes::from_static(b"one ")));
    let first = ["upstream POST /p?q to upstream.example:81 false", "upstream one ", "want true true"];
    assert_eq!(said(&outcome), first);
    let client = Peer::Client(id);
    let outcome = instance.step([Event::Data { peer: client, bytes: Bytes::from_static(b"two"), end: false }]).unwrap();
    assert_eq!(said(&outcome), ["upstream two"]);
    let outcome = instance.step([Event::End { peer: client, trailers: None }]).unwrap();
    assert_eq!(said(&outcome)[0], "upstream ends false");
    let upstream = Peer::Upstream(id);
    let head = Response::new(());
    let outcome = instance.step([Event::Head { peer: upstream, head, end: false }]).unwrap();
    assert_eq!(said(&outcome)[0], "200 false");
    let trailers = HeaderMap::from_iter([("x-t".parse().unwrap(), "1".parse().unwrap())]);
    let outcome = instance.step([Event::End { peer: upstream, trailers: Some(trailers) }]).unwrap();
    assert_eq!(said(&outcome), ["client ends true"]);
    is_over(&mut instance, &outcome);
}

#[test]
fn exchanges_are_there_at_once() {
    let (filter, _) = filter(&module("", ""), UPSTREAM);
    let mut instance = filter.instance().unwrap();
    let ids: Vec<_> = (0..20).map(|_| open(&mut instance, Begin::Nothing).0).collect();
    for id in ids.into_iter().rev() {
        let peer = Peer::Upstream(id);
        let outcome = instance.step([Event::Head { peer, head: Response::new(()), end: true }]).unwrap();
        assert_eq!(said(&outcome), ["200 true"]);
        is_over(&mut instance, &outcome);
    }
}

#[test]
fn what_fails_is_answered_as_by_envoy() {
    let (filter, lines) = filter(&module("", ""), UPSTREAM);
    let mut instance = filter.instance().unwrap();
    let (id, _) = open(&mut instance, Begin::Nothing);
    let failed =
        Event::Failed { peer: Peer::Upstream(id), failure: Failure::ConnectionFailed, cause: "no cable".into() };
    let outcome = instance.step([failed]).unwrap();
    assert_eq!(said(&outcome)[0], "503 false");
    let line = "warn: upstream http://upstream.example:81: remote connection failure: no cable";
    assert!(lines.lock().unwrap().iter().any(|logged| logged == line), "{lines:?}");

    let (id, _) = open(&mut instance, Begin::Nothing);
    let outcome = instance.step([Event::Gone(id)]).unwrap();
    assert_eq!(said(&outcome), ["abort"]);
    is_over(&mut instance, &outcome);
    // What comes late is nobody's.
    assert_eq!(said(&instance.step([Event::Gone(id), Event::Broken(Peer::Upstream(id))]).unwrap()), [""; 0]);
}

#[test]
fn remains_are_kept_where_they_are_wanted() {
    let options = Options { keep_remains: true, ..Options::default() };
    let filter = Filter::from_filter(&module("", ""), DIRECT, options).unwrap();
    let mut instance = filter.instance().unwrap();
    let (_, outcome) = open(&mut instance, Begin::Nothing);
    let outcome = is_over(&mut instance, &outcome);
    let Some(Action::Over { remains: Some(remains), .. }) = outcome.actions.last() else { panic!("{outcome:?}") };
    assert_eq!(remains.details.as_deref(), Some("direct_response"));
    assert!(remains.request.contains(&(b":path".to_vec(), b"/p?q".to_vec())));
}

#[test]
fn ticks_and_metrics_need_no_exchange() {
    let ticking = r#"
        (data (i32.const 64) "ticks")
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (drop (call $proxy_define_metric (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 128)))
          (drop (call $proxy_set_tick_period_milliseconds (i32.const 1)))
          (i32.const 1))
        (func (export "proxy_on_tick") (param i32)
          (drop (call $proxy_increment_metric (i32.load (i32.const 128)) (i64.const 1))))"#;
    let (filter, _) = filter(&module(ticking, ""), DIRECT);
    let mut instance = filter.instance().unwrap();
    let mut deadline = instance.take_begin().deadline.expect("the first tick");
    let mut ticks = 0;
    while ticks < 2 {
        std::thread::sleep(deadline.saturating_duration_since(Time::now()));
        deadline = instance.step([Event::Timer]).unwrap().deadline.expect("the next tick");
        for metric in instance.metrics().unwrap() {
            assert_eq!(metric.name, b"ticks");
            if let Change::Counter(more) = metric.change {
                ticks += more;
            }
        }
    }
}

#[test]
fn a_trap_ends_the_instance_and_says_where() {
    let (filter, _) = filter(&module("", "(unreachable)"), UPSTREAM);
    let mut instance = filter.instance().unwrap();
    let error = instance.open(&head("GET", "/"), false, Begin::Nothing).unwrap_err();
    let proxy_wasm_adapter_embed::ExchangeError::Trapped(trapped) = error else { panic!("{error}") };
    assert!(!trapped.took_too_long(), "{trapped}");
    assert!(trapped.backtrace().iter().any(|line| line.contains("proxy_on_request_headers")), "{trapped:?}");
    instance.step([]).unwrap_err();
    // Others are as they were.
    filter.instance().unwrap();
}

#[test]
fn time_and_memory_are_bounded() {
    let (options, _) = logging();
    let options = Options { time_limit: Duration::from_millis(30), ..options };
    let filter = Filter::from_filter(&module("", "(loop $l (br $l))"), DIRECT, options.clone()).unwrap();
    let mut instance = filter.instance().unwrap();
    let error = instance.open(&head("GET", "/"), false, Begin::Nothing).unwrap_err();
    assert_eq!(error.to_string(), "the filter trapped: it computed for longer than the time limit allows");

    let options = Options { max_memory: 3 << 20, ..options };
    let grows = module("", "(if (i32.eq (memory.grow (i32.const 64)) (i32.const -1)) (then (unreachable)))");
    let filter = Filter::from_filter(&grows, DIRECT, options).unwrap();
    filter.instance().unwrap().open(&head("GET", "/"), false, Begin::Nothing).unwrap_err();
}

#[test]
fn what_is_no_filter_is_refused() {
    let refuse = |bytes: &[u8]| Filter::from_component(bytes, Options::default()).unwrap_err().to_string();
    assert!(refuse(&module("", "")).contains("from_filter"));
    assert!(refuse(&wat::parse_str("(component)").unwrap()).contains("adapt the filter anew"));
    let no_settings = Filter::from_filter(&module("", ""), "x = 1", Options::default()).unwrap_err();
    assert!(no_settings.to_string().contains("can't be adapted"));
    let refusing = r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 0))"#;
    let (filter, _) = filter(&module(refusing, ""), DIRECT);
    let error = filter.instance().unwrap_err().to_string();
    assert_eq!(error, "the plugin refused to start: `proxy_on_configure` returned false");
}
