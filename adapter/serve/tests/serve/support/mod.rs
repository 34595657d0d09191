//! What the cases share.

mod filter;
mod guest;
mod upstream;

pub(crate) use filter::{adapted, adapted_chain, adapted_on, adapted_on_with, adapted_with, joined, logged};
pub(crate) use guest::{StartMode, guest};
pub(crate) use proxy_wasm_adapter::wasi::Wasi;
pub(crate) use proxy_wasm_adapter_testing::{
    Answer, Fed, Repeated, Watched, client, collect, exchange, get, h2_client, raw, request,
};
pub(crate) use upstream::Upstream;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use proxy_wasm_adapter_serve::{Error, Options, Output, Server};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server in this process.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// Where its metrics are.
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) logs: Arc<Mutex<Vec<u8>>>,
    end: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    /// Serves the guest on a free port.
    pub(crate) async fn start(options: Options) -> Self {
        Self::start_component(&guest(StartMode::Starts), options).await.unwrap()
    }

    pub(crate) async fn start_component(component: &[u8], mut options: Options) -> Result<Self, Error> {
        options.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_at(component, options).await
    }

    /// At the address that the options have.
    pub(crate) async fn start_at(component: &[u8], options: Options) -> Result<Self, Error> {
        let logs = Arc::new(Mutex::new(Vec::new()));
        let server = Server::bind(component, &options, Output::Captured(logs.clone())).await?;
        let (address, admin) = (server.local_addr(), server.admin_addr());
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(server.serve(async {
            let _ = ended.await;
        }));
        Ok(Self { address, admin, logs, end: Some(end), task })
    }

    /// Tells it to shut down.
    pub(crate) fn end(&mut self) {
        drop(self.end.take());
    }

    /// Waits until it has shut down.
    pub(crate) async fn ended(self) {
        self.task.await.unwrap();
    }
}

/// The defaults, with a change.
pub(crate) fn options(set: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::default();
    set(&mut options);
    options
}

/// The value that a metric of the filter has, over all instances; 0 where there is none.
pub(crate) async fn metric(server: &Running, name: &str) -> u64 {
    let text = String::from_utf8(get(server.admin.unwrap(), "/stats/prometheus").await.body).unwrap();
    let prefix = format!("{name}{{}} ");
    text.lines().find_map(|line| line.strip_prefix(&prefix)).map_or(0, |value| value.parse().unwrap())
}
