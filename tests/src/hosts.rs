//! The hosts: each runs a filter, with its settings, as a child process.

mod child;
mod embed;
mod envoy;
mod jco;
pub mod preinit;
mod serve;
pub mod wasi03;
mod wasmtime;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, Result};
use proxy_wasm_abi::settings::Settings;
use proxy_wasm_adapter::Options;
use proxy_wasm_adapter::bridge;
use proxy_wasm_adapter::exports::Exports;
use proxy_wasm_adapter::shim::{Flavour, Shim};
use proxy_wasm_adapter::wasi::Wasi;
use sha2::{Digest, Sha256};

pub use child::{Child, Lines};
pub use wasmtime::Reuse;

/// Whether hosts compile in a fraction of the time, to what runs slower: suites start hundreds, and ask each little.
static QUICKLY: AtomicBool = AtomicBool::new(true);

/// Has those that start from now on compile as they do for users: where it matters how fast they are, or how much they do.
pub fn compile_for_speed() {
    QUICKLY.store(false, Relaxed);
}

fn compiles_quickly() -> bool {
    QUICKLY.load(Relaxed)
}

/// What runs filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// The real Envoy, with the filter as it is.
    Envoy,
    /// The adapter's own host, by exchanges as it is by default.
    Serve,
    /// The same, by `wasi:http`.
    ServeByWasiHttp,
    /// The stock `wasmtime serve`: a new instance for each request.
    WasmtimeServe,
    /// The stock `wasmtime serve`, told to reuse instances.
    WasmtimeServeReuse,
    /// `jco serve` on Node, with the portable bridge.
    Jco,
    /// The adapter's own host, with a component for WASI 0.3.
    Serve03,
    /// The stock `wasmtime serve`, at its defaults, with a component for WASI 0.3.
    WasmtimeServe03,
    /// The same, with the filters as middleware, composed with a service that passes requests on.
    WasmtimeServe03Middleware,
    /// A program of hyper and the library for embedders.
    Embed,
}

impl Host {
    /// All of WASI 0.2, Envoy first.
    pub const ALL: [Self; 6] =
        [Self::Envoy, Self::Serve, Self::ServeByWasiHttp, Self::WasmtimeServe, Self::WasmtimeServeReuse, Self::Jco];

    /// Those of WASI 0.3.
    pub const OF_03: [Self; 3] = [Self::Serve03, Self::WasmtimeServe03, Self::WasmtimeServe03Middleware];

    /// The name in a test's name and in `known-differences.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Envoy => "envoy",
            Self::Serve => "serve",
            Self::ServeByWasiHttp => "serve-wasi-http",
            Self::WasmtimeServe => "wasmtime-serve",
            Self::WasmtimeServeReuse => "wasmtime-serve-reuse",
            Self::Jco => "jco",
            Self::Serve03 => "serve-03",
            Self::WasmtimeServe03 => "wasmtime-serve-03",
            Self::WasmtimeServe03Middleware => "wasmtime-serve-03-middleware",
            Self::Embed => "embed",
        }
    }

    /// Whether it tells no authority of HTTP/1.1, so that a header has to.
    pub fn hides_authority(self) -> bool {
        matches!(self, Self::WasmtimeServe03 | Self::WasmtimeServe03Middleware)
    }

    /// The host whose differences from Envoy it has, and no others.
    pub fn answers_as(self) -> Self {
        if self == Self::ServeByWasiHttp { Self::Serve } else { self }
    }

    /// Whether it is the adapter's own.
    pub fn is_own(self) -> bool {
        matches!(self, Self::Serve | Self::ServeByWasiHttp | Self::Serve03)
    }

    /// The host with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().chain(Self::OF_03).chain([Self::Embed]).find(|host| host.name() == name)
    }

    /// Starts it with this chain.
    ///
    /// # Errors
    /// The filter can't be adapted, or the host does not start; with what it wrote.
    pub fn start(self, chain: &Chain) -> Result<Running> {
        let directory = tempfile::tempdir().context("makes a directory for the host")?;
        if self == Self::Envoy {
            return envoy::start(chain, directory);
        }
        let bytes = match self {
            Self::Jco => adapt(chain, bridge::Kind::Portable)?,
            Self::Serve03 | Self::WasmtimeServe03 => wasi03::service(chain)?,
            Self::WasmtimeServe03Middleware => wasi03::behind_middleware(chain)?,
            Self::Serve => adapt_for_exchanges(chain)?,
            Self::Embed => adapt_joined(chain)?,
            _ => adapt(chain, bridge::Kind::MemoryCopy)?,
        };
        let (bytes, log) = preinit::apply(bytes)?;
        let component = directory.path().join("filter.component.wasm");
        std::fs::write(&component, bytes).context("writes the component")?;
        if self == Self::Embed {
            let (child, address) = embed::start(&component, chain.http2_upstream())?;
            child.lines.put_first(log);
            return Ok(Running { address, child, _directory: directory });
        }
        if self.is_own() {
            let (child, address) = serve::start(&component, chain.http2_upstream())?;
            child.lines.put_first(log);
            return Ok(Running { address, child, _directory: directory });
        }
        let running = self.start_component(&component, directory)?;
        running.child.lines.put_first(log);
        Ok(running)
    }

    /// Starts it with this component, which no filter need be in.
    ///
    /// # Errors
    /// The host does not start; with what it wrote. Envoy runs no components.
    pub fn start_component(self, component: &Path, directory: tempfile::TempDir) -> Result<Running> {
        let (child, address) = match self {
            Self::Envoy => anyhow::bail!("Envoy runs no components"),
            Self::Serve | Self::ServeByWasiHttp | Self::Serve03 => serve::start(component, None)?,
            Self::WasmtimeServe => wasmtime::start(component, Reuse::Never)?,
            Self::WasmtimeServeReuse => wasmtime::start(component, Reuse::Always)?,
            Self::WasmtimeServe03 | Self::WasmtimeServe03Middleware => wasmtime::start_03(component)?,
            Self::Jco => jco::start(component, directory.path())?,
            Self::Embed => embed::start(component, None)?,
        };
        Ok(Running { address, child, _directory: directory })
    }
}

/// Filters and what they are told, in the order in which a request passes them.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The modules, one for each plugin.
    pub filters: Vec<Vec<u8>>,
    /// The same for Envoy and for the adapter.
    pub settings: Settings,
    /// Let Envoy pass on the trailers of HTTP/1, as hosts of components do.
    pub trailers: bool,
    /// The upstream speaks HTTP/2, known before.
    pub upstream_http2: bool,
}

impl Chain {
    /// One plugin, with Envoy as it is by default.
    pub fn one(filter: Vec<u8>, settings: Settings) -> Self {
        Self { filters: vec![filter], settings, trailers: false, upstream_http2: false }
    }

    /// The upstream, where it speaks HTTP/2.
    fn http2_upstream(&self) -> Option<&str> {
        self.settings.upstream().filter(|_| self.upstream_http2).map(|cluster| cluster.origin.authority.as_str())
    }

    /// The same where filters and settings are.
    pub fn digest(&self) -> String {
        let settings = Sha256::digest(format!("{:?}", self.settings));
        let parts = self.filters.iter().map(Sha256::digest).chain([settings]);
        format!("{:x}", parts.fold(Sha256::new(), |digest, part| digest.chain_update(part)).finalize())
    }
}

/// A host that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// The process.
    pub child: Child,
    _directory: tempfile::TempDir,
}

/// Starts Envoy with a filter in Lua in the place of the chain's, or with none.
///
/// # Errors
/// It does not start; with what it wrote.
pub fn start_envoy_with(chain: &Chain, lua: Option<&str>) -> Result<Running> {
    envoy::start_without(chain, lua, tempfile::tempdir()?, 1)
}

/// Starts Envoy with so many workers, with this chain or with no filter at all.
///
/// # Errors
/// It does not start; with what it wrote.
pub fn start_envoy_workers(chain: &Chain, has_filters: bool, workers: u32) -> Result<Running> {
    let directory = tempfile::tempdir()?;
    match has_filters {
        true => envoy::start_workers(chain, directory, workers),
        false => envoy::start_without(chain, None, directory, workers),
    }
}

/// Starts the adapter's own host with these options besides.
///
/// # Errors
/// It does not start; with what it wrote.
pub fn start_serve(component: &Path, options: &[&str], directory: tempfile::TempDir) -> Result<Running> {
    let (child, address) = serve::start_with(component, options)?;
    Ok(Running { address, child, _directory: directory })
}

/// Starts the stock `wasmtime serve` with these options besides.
///
/// # Errors
/// It does not start; with what it wrote.
pub fn start_wasmtime(component: &Path, options: &[&str], directory: tempfile::TempDir) -> Result<Running> {
    let (child, address) = wasmtime::run(component, options)?;
    Ok(Running { address, child, _directory: directory })
}

/// The shim that tests adapt with: that of PROXY_WASM_ADAPTER_SHIM, which is the plain one of WASI 0.2 and has the others
/// beside it, and else the committed one.
///
/// # Errors
/// One that can't be read.
pub fn shim(wasi: Wasi, flavour: Flavour) -> Result<Shim> {
    let Some(plain) = std::env::var_os("PROXY_WASM_ADAPTER_SHIM") else { return Ok(Shim::built_in(wasi, flavour)) };
    let edge = match wasi {
        Wasi::V0_2 => "wasi02",
        Wasi::V0_3 => "wasi03",
    };
    let read = |end: &str| {
        let path = Path::new(&plain).with_file_name(format!("{edge}{end}.wasm"));
        std::fs::read(&path).with_context(|| format!("reads the shim {}", path.display()))
    };
    let (lean, full) = match flavour {
        Flavour::Plain => ("", "-extra"),
        Flavour::Tracing => ("-trace", "-extra-trace"),
    };
    Ok(Shim::from_builds(flavour, read(lean)?, read(full)?))
}

/// The component of this chain.
///
/// # Errors
/// The adapter's.
pub fn adapt(chain: &Chain, bridge: bridge::Kind) -> Result<Vec<u8>> {
    adapt_for(Wasi::V0_2, chain, bridge, Exports::Handler)
}

/// The same for hosts that carry the bytes themselves.
///
/// # Errors
/// The adapter's.
pub fn adapt_for_exchanges(chain: &Chain) -> Result<Vec<u8>> {
    adapt_for(Wasi::V0_2, chain, bridge::Kind::MemoryCopy, Exports::Exchange)
}

/// The same in one core module, for instances that are made often.
///
/// # Errors
/// The adapter's.
pub fn adapt_joined(chain: &Chain) -> Result<Vec<u8>> {
    let mut options = options(Wasi::V0_2, chain, bridge::Kind::MemoryCopy, Exports::Exchange)?;
    options.joined = true;
    adapt_with(chain, &options)
}

/// The same for WASI 0.3.
///
/// # Errors
/// The adapter's.
pub fn adapt_03(chain: &Chain) -> Result<Vec<u8>> {
    adapt_for(Wasi::V0_3, chain, bridge::Kind::MemoryCopy, Exports::Handler)
}

fn adapt_for(wasi: Wasi, chain: &Chain, bridge: bridge::Kind, exports: Exports) -> Result<Vec<u8>> {
    adapt_with(chain, &options(wasi, chain, bridge, exports)?)
}

fn adapt_with(chain: &Chain, options: &Options) -> Result<Vec<u8>> {
    Ok(proxy_wasm_adapter::adapt(&chain.filters, options).context("adapts the filters")?.component)
}

fn options(wasi: Wasi, chain: &Chain, bridge: bridge::Kind, exports: Exports) -> Result<Options> {
    let mut options = Options::new(chain.settings.clone());
    options.bridge = bridge;
    options.wasi = wasi;
    options.exports = exports;
    options.shim = shim(wasi, Flavour::Plain)?;
    Ok(options)
}
