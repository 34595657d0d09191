//! Who runs a scenario.

use std::process::Command;

use anyhow::{Context, Result};
use proxy_wasm_adapter::bridge;
use proxy_wasm_adapter::shim::{Flavour, Shim};
use proxy_wasm_adapter_preinit::{Options, preinitialise};
use proxy_wasm_adapter_tests::fixtures;
use proxy_wasm_adapter_tests::hosts::wasi03::Middleware;
use proxy_wasm_adapter_tests::hosts::{self, Chain, Host, Running};
use wit_component::ComponentEncoder;

use crate::scenario::Scenario;

/// A host and what it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contestant {
    /// What the command and the table call it.
    pub(crate) name: &'static str,
    runs: Runs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runs {
    /// Envoy with this in its filter chain.
    Envoy(Filter),
    /// The adapter's own host, with these options.
    Serve(Component, &'static [&'static str]),
    /// The code of `wasmtime serve`, with these.
    Wasmtime(Component, &'static [&'static str]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    None,
    Lua,
    /// The scenario's, in V8.
    Wasm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Component {
    /// It answers at once, and reads nothing.
    Nothing,
    /// The scenario's filter on the least that a shim can be: `tests/fixtures/bare/src/least.rs`.
    Least,
    /// It sends everything on to the scenario's upstream, and looks at nothing: `tests/fixtures/bare/src/through.rs`.
    Through,
    /// The same that has the host move the bytes.
    Splice,
    /// The scenario's filter, adapted.
    Adapted,
    /// The same, its plugins started before.
    Preinitialised,
    /// The same, for hosts that carry the bytes themselves.
    Exchange,
    /// The same in one core module, as `serve` adapts filters where each request has a new instance.
    Joined,
    /// The same for WASI 0.3.
    Adapted03,
    /// A service for WASI 0.3 whose filter does nothing, behind so many of these.
    Behind03(Middleware, usize),
}

/// Of `wasmtime serve`: instances are reused.
const REUSED: &[&str] = &["--max-instance-reuse-count", "1000000000", "--idle-instance-timeout", "60s"];

/// Of `wasmtime serve`: instances come from a pool, as the README says.
const POOLED: &[&str] = &[
    "-O",
    "pooling-pagemap-scan=y",
    "-O",
    "pooling-memory-keep-resident=8388608",
    "-O",
    "pooling-table-keep-resident=65536",
    "-O",
    "pooling-async-stack-keep-resident=65536",
];

/// Of `wasmtime serve`: components for WASI 0.3.
const P3: &[&str] = &["-S", "p3", "-W", "component-model-async"];

/// The one that all are compared with comes first.
pub(crate) const ALL: [Contestant; 25] = {
    use Component::{Adapted, Adapted03, Behind03, Exchange, Joined, Least, Nothing, Preinitialised, Splice, Through};
    use Middleware::{ByHand, Filters, Idle};
    use Runs::{Envoy, Serve, Wasmtime};
    [
        Contestant { name: "envoy", runs: Envoy(Filter::Wasm) },
        Contestant { name: "envoy-none", runs: Envoy(Filter::None) },
        Contestant { name: "envoy-lua", runs: Envoy(Filter::Lua) },
        Contestant { name: "serve", runs: Serve(Exchange, &[]) },
        Contestant { name: "serve-wasi-http", runs: Serve(Adapted, &[]) },
        Contestant { name: "serve-03", runs: Serve(Adapted03, &[]) },
        Contestant { name: "serve-new", runs: Serve(Joined, &["--max-instance-reuse", "1"]) },
        Contestant { name: "serve-nothing", runs: Serve(Nothing, &[]) },
        Contestant { name: "wasmtime-new", runs: Wasmtime(Adapted, &[]) },
        Contestant { name: "wasmtime-new-preinit", runs: Wasmtime(Preinitialised, &[]) },
        Contestant { name: "wasmtime-new-preinit-pool", runs: Wasmtime(Preinitialised, POOLED) },
        Contestant { name: "wasmtime-new-nothing", runs: Wasmtime(Nothing, &[]) },
        Contestant { name: "wasmtime-new-nothing-pool", runs: Wasmtime(Nothing, POOLED) },
        Contestant { name: "wasmtime-new-least", runs: Wasmtime(Least, &[]) },
        Contestant { name: "wasmtime", runs: Wasmtime(Adapted, REUSED) },
        Contestant { name: "wasmtime-nothing", runs: Wasmtime(Nothing, REUSED) },
        Contestant { name: "wasmtime-least", runs: Wasmtime(Least, REUSED) },
        Contestant { name: "wasmtime-through", runs: Wasmtime(Through, REUSED) },
        Contestant { name: "wasmtime-splice", runs: Wasmtime(Splice, REUSED) },
        Contestant { name: "wasmtime-03", runs: Wasmtime(Adapted03, P3) },
        Contestant { name: "wasmtime-03-service", runs: Wasmtime(Behind03(Filters, 0), P3) },
        Contestant { name: "wasmtime-03-middleware", runs: Wasmtime(Behind03(Filters, 1), P3) },
        Contestant { name: "wasmtime-03-two-middlewares", runs: Wasmtime(Behind03(Filters, 2), P3) },
        Contestant { name: "wasmtime-03-middleware-idle", runs: Wasmtime(Behind03(Idle, 1), P3) },
        Contestant { name: "wasmtime-03-middleware-by-hand", runs: Wasmtime(Behind03(ByHand, 1), P3) },
    ]
};

impl Contestant {
    /// Whether it can run this scenario.
    pub(crate) fn runs(&self, scenario: &Scenario) -> bool {
        match self.runs {
            Runs::Envoy(Filter::Lua) => scenario.lua.is_some(),
            // They send nothing to an upstream, and refuse nothing.
            Runs::Serve(Component::Nothing | Component::Least, _)
            | Runs::Wasmtime(Component::Nothing | Component::Least, _) => {
                scenario.upstream().is_none() && scenario.status == 200
            }
            Runs::Wasmtime(Component::Through | Component::Splice, _) => scenario.upstream().is_some(),
            Runs::Envoy(Filter::None) => scenario.status == 200,
            Runs::Wasmtime(Component::Behind03(..), _) => scenario.status == 200 && scenario.is_of_one_plugin(),
            _ => true,
        }
    }

    /// Starts it.
    pub(crate) fn start(&self, scenario: &Scenario, chain: &Chain) -> Result<Running> {
        let directory = tempfile::tempdir()?;
        let (component, options) = match self.runs {
            Runs::Envoy(Filter::Wasm) => return Host::Envoy.start(chain),
            Runs::Envoy(filter) => {
                let lua = scenario.lua.filter(|_| filter == Filter::Lua);
                return hosts::start_envoy_with(chain, lua);
            }
            Runs::Serve(component, options) | Runs::Wasmtime(component, options) => (component, options),
        };
        let file = directory.path().join("component.wasm");
        std::fs::write(&file, component.bytes(chain)?)?;
        if matches!(self.runs, Runs::Serve(..)) {
            hosts::start_serve(&file, options, directory)
        } else {
            hosts::start_wasmtime(&file, options, directory)
        }
    }
}

impl Component {
    fn bytes(self, chain: &Chain) -> Result<Vec<u8>> {
        match self {
            Self::Nothing => component_of(&bare("do-nothing")?),
            Self::Through => component_of(&through("through", chain)?),
            Self::Splice => component_of(&through("splice", chain)?),
            Self::Least => {
                let mut options = proxy_wasm_adapter::Options::new(chain.settings.clone());
                options.shim = Shim::from_bytes(Flavour::Plain, bare("least")?);
                let adapted = proxy_wasm_adapter::adapt(&chain.filters, &options);
                Ok(adapted.context("only two examples run on the least shim")?.component)
            }
            Self::Adapted => hosts::adapt(chain, bridge::Kind::MemoryCopy),
            Self::Exchange => hosts::adapt_for_exchanges(chain),
            Self::Joined => hosts::adapt_joined(chain),
            Self::Adapted03 => hosts::adapt_03(chain),
            Self::Behind03(which, count) => hosts::wasi03::behind(chain, which, count),
            Self::Preinitialised => {
                let options = Options { allow_random: true, ..Options::default() };
                let component = hosts::adapt(chain, bridge::Kind::MemoryCopy)?;
                Ok(preinitialise(&component, &options).context("pre-initialises")?.component)
            }
        }
    }
}

fn component_of(module: &[u8]) -> Result<Vec<u8>> {
    ComponentEncoder::default().module(module)?.encode()
}

/// A pass-through to the upstream of this chain.
fn through(name: &str, chain: &Chain) -> Result<Vec<u8>> {
    const PLACE: &str = "<the upstream of the pass-through>      ";
    let cluster = chain.settings.clusters.first().context("there is no upstream")?;
    let upstream = format!("{:<1$}", cluster.origin.authority, PLACE.len());
    let mut module = bare(name)?;
    let at = module.windows(PLACE.len()).position(|bytes| bytes == PLACE.as_bytes()).context("it names no upstream")?;
    module[at..at + PLACE.len()].copy_from_slice(upstream.as_bytes());
    Ok(module)
}

/// A module that `tests/fixtures/bare/build.sh` builds.
fn bare(name: &str) -> Result<Vec<u8>> {
    let path = fixtures::root().join(format!("target/bare/{name}.wasm"));
    if !path.exists() {
        let script = fixtures::root().join("tests/fixtures/bare/build.sh");
        let status = Command::new(&script).status().with_context(|| format!("runs {}", script.display()))?;
        anyhow::ensure!(status.success(), "{} failed", script.display());
    }
    std::fs::read(&path).with_context(|| format!("reads {}", path.display()))
}
