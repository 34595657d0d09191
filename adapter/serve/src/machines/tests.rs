//! A machine whose instance traps, without the network.

use proxy_wasm_abi::settings::{Cluster, Origin, Plugin, Settings};
use proxy_wasm_adapter::exports::Exports;
use proxy_wasm_adapter::{Options as Adapted, adapt};
use proxy_wasm_adapter_embed::{Action, Begin, Event, ExchangeId};
use tokio::sync::mpsc;

use super::machine::Numbered;
use super::*;
use crate::clusters::Clusters;
use crate::counters::Counters;
use crate::filters::Filters;
use crate::logs::Output;
use crate::memory::Budget;
use crate::nesting::Nesting;
use crate::outgoing::{Client, Trust};
use crate::record::Observer;
use crate::shared::Shared;

/// Traps at each request of the method `PUT`, and holds others back.
const FILTER: &str = r#"(module
    (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) ":method")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) (i32.const 4096))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $get (i32.const 0) (i32.const 0) (i32.const 7) (i32.const 64) (i32.const 68)))
        (if (i32.eq (i32.load8_u (i32.const 4096)) (i32.const 0x50)) (then unreachable))
        (i32.const 1)))"#;

/// Sends a callout when it starts, and traps at its answer.
const TRAPS_AT_ITS_START: &str = r#"(module
    (import "env" "proxy_http_call"
        (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "a")
    (data (i32.const 16) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00"
        ":method\00GET\00:path\00/\00:authority\00a\00")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) (i32.const 4096))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (i32.eqz (call $call (i32.const 0) (i32.const 1) (i32.const 16) (i32.const 61) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 5000) (i32.const 128))))
    (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32) unreachable))"#;

/// Asks before each request, and answers it by itself when it hears.
const ANSWERS_WHEN_IT_HEARS: &str = r#"(module
    (import "env" "proxy_http_call"
        (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_send_local_response" (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
    (memory (export "memory") 1)
    (global $asks (mut i32) (i32.const 0))
    (data (i32.const 0) "a")
    (data (i32.const 16) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00"
        ":method\00GET\00:path\00/\00:authority\00a\00")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) (i32.const 4096))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (global.set $asks (local.get 0))
        (drop (call $call (i32.const 0) (i32.const 1) (i32.const 16) (i32.const 61) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 5000) (i32.const 128)))
        (i32.const 1))
    (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
        (drop (call $effective (global.get $asks)))
        (drop (call $answer (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const -1)))))"#;

struct Fixture {
    machine: Arc<Machine>,
    record: Arc<Record>,
    counters: Arc<Counters>,
}

/// An exchange that has had its first turn.
struct Open {
    exchange: Numbered<ExchangeId>,
    inbox: mpsc::UnboundedReceiver<Action>,
}

impl Fixture {
    async fn start(filter: &str) -> Self {
        let plugins = vec![Plugin { name: "t".into(), ..Plugin::default() }];
        let mut settings = Settings { plugins, ..Settings::default() };
        settings.set_direct_response(200, "");
        // Nobody listens there.
        let origin = Origin { tls: false, authority: "127.0.0.1:1".into() };
        settings.clusters.push(Cluster { name: "a".into(), origin });
        let filter = wat::parse_str(filter).unwrap();
        let mut adapted = Adapted::new(settings);
        adapted.exports = Exports::Exchange;
        let component = adapt(&[&filter], &adapted).unwrap().component;
        let options = Options { vms: Some(1), max_nesting: 0, ..Options::default() };
        let counters = Arc::new(Counters::new(Clusters::of(&component), []));
        let trust = Trust::new(None, &[]).unwrap();
        let client = Client::new(&[], &trust, &Arc::<Nesting>::default(), 0..=0, &counters);
        let output = Output::Captured(Arc::default());
        let recipe = Recipe {
            filters: Filters::of(&component),
            client: Arc::new(client),
            form: output.form(options.log_format),
            output,
            budget: Budget::new(options.max_memory, 1 << 30),
            cpu_timeout: options.cpu_timeout,
            stats: None,
            counters: counters.clone(),
            logs_access: false,
            shared: Shared::default(),
        };
        let policy = Policy::new(FailurePolicy::Reload, std::time::Duration::ZERO);
        let machines = Machines::start(&component, recipe, &options, policy, Tasks::default()).await.unwrap();
        let record = Observer::new(counters.clone(), None).begin(&Request::new(()), None);
        Self { machine: machines.choose(0).unwrap(), record, counters }
    }

    async fn open(&self, method: http::Method) -> Result<Open, NotOpened> {
        let mut request = Request::new(());
        *request.method_mut() = method;
        request.headers_mut().insert("host", http::HeaderValue::from_static("h"));
        let (head, ()) = request.into_parts();
        let opened = self.machine.open(&self.record, |instance| instance.open(&head, false, Begin::Nothing)).await?;
        Ok(Open { exchange: opened.exchange, inbox: opened.inbox })
    }

    /// What it is let do before it has its turn, and whether its instance is there then.
    async fn tell(&self, open: &mut Open, events: impl IntoIterator<Item = Event>) -> (Vec<Action>, bool) {
        let (before, mut turn) = self.machine.turn(&mut open.inbox).await;
        (before, turn.tell(open.exchange, &self.record, events).is_ok())
    }
}

/// Each instance numbers what it has under way anew: what ends with one of them is nothing of the next one's.
#[tokio::test]
async fn an_exchange_that_is_lost_leaves_that_of_the_next_instance_alone() {
    let fixture = Fixture::start(FILTER).await;
    let mut lost = fixture.open(http::Method::GET).await.ok().unwrap();
    assert!(matches!(fixture.open(http::Method::PUT).await, Err(NotOpened::Lost)));
    let mut next = fixture.open(http::Method::GET).await.ok().unwrap();
    assert_eq!(lost.exchange.id, next.exchange.id);

    assert!(!fixture.tell(&mut lost, []).await.1);
    fixture.machine.forget(lost.exchange).await;
    assert!(fixture.tell(&mut next, []).await.1);
    assert_eq!(next.inbox.try_recv().unwrap_err(), mpsc::error::TryRecvError::Empty);
}

/// A filter that can't take what it asked for at its start: each request is answered, and makes one instance at the most.
#[tokio::test]
async fn an_instance_that_is_lost_at_its_start_is_not_made_anew_for_the_same_request() {
    let fixture = Fixture::start(TRAPS_AT_ITS_START).await;
    for number in 1..=3 {
        let opened = fixture.open(http::Method::GET);
        let opened = tokio::time::timeout(std::time::Duration::from_secs(60), opened).await.expect("it waits on");
        assert!(matches!(opened, Err(NotOpened::Lost)));
        assert!(fixture.counters.instances.made.get() <= 1 + number);
    }
}

/// What a callout's answer lets an exchange do stands in its inbox. It does that before anything that it is told of later.
#[tokio::test]
async fn what_others_let_an_exchange_do_comes_first() {
    let fixture = Fixture::start(ANSWERS_WHEN_IT_HEARS).await;
    let mut opened = fixture.open(http::Method::GET).await.ok().unwrap();
    let heard = async {
        while opened.inbox.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), heard).await.expect("it hears nothing");
    let gone = [Event::Gone(opened.exchange.id)];
    let (before, _) = fixture.tell(&mut opened, gone).await;
    assert!(before.iter().any(|action| matches!(action, Action::Response { .. })), "{before:?}");
    assert!(opened.inbox.is_empty());
}
