//! Each example, on Envoy as it is and on every host of components adapted; and what its component is made of.

use anyhow::{Context, Result, ensure};
use libtest_mimic::{Arguments, Trial};
use proxy_wasm_adapter::bridge;
use proxy_wasm_adapter_tests::component;
use proxy_wasm_adapter_tests::examples::Example;
use proxy_wasm_adapter_tests::hosts::{Host, adapt};
use proxy_wasm_adapter_tests::trial::trial;
use proxy_wasm_adapter_tests::upstream::Upstream;
use sha2::{Digest, Sha256};

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for example in Example::all()? {
        for host in Host::ALL {
            let example = example.clone();
            let name = format!("{} answers as it should on {}", example.name, host.name());
            trials.push(trial(name, move || example.run(host)));
        }
        trials.push(of(&example, "comes out of its component unchanged", comes_out_unchanged));
        trials.push(of(&example, "needs no more than the wasi:http proxy world has", stays_within_the_world));
        trials.push(of(&example, "exports one handler", exports_one_handler));
    }
    libtest_mimic::run(&arguments, trials).exit()
}

fn of(example: &Example, what: &str, run: fn(&[u8], &[u8]) -> Result<()>) -> Trial {
    let name = format!("{} {what}", example.name);
    let example = example.clone();
    trial(name, move || {
        let chain = example.chain(&Upstream::start()?)?;
        for kind in [bridge::Kind::MemoryCopy, bridge::Kind::Portable] {
            run(&chain.filters[0], &adapt(&chain, kind)?).with_context(|| format!("with {kind:?}"))?;
        }
        Ok(())
    })
}

fn comes_out_unchanged(filter: &[u8], component: &[u8]) -> Result<()> {
    let extracted = proxy_wasm_adapter::extract(component, None).context("extracts")?;
    ensure!(Sha256::digest(&extracted) == Sha256::digest(filter), "other bytes");
    Ok(())
}

fn stays_within_the_world(_: &[u8], component: &[u8]) -> Result<()> {
    let imports = component::imports(component)?;
    for import in &imports {
        ensure!(component::PROXY_WORLD.contains(&import.as_str()), "it imports `{import}`");
    }
    ensure!(imports.iter().any(|import| import.starts_with("wasi:http/types@")), "it imports no wasi:http");
    Ok(())
}

fn exports_one_handler(_: &[u8], component: &[u8]) -> Result<()> {
    let exports = component::exports(component)?;
    let handlers: Vec<_> = exports.iter().filter(|export| export.contains("handler")).collect();
    ensure!(handlers == ["wasi:http/incoming-handler@0.2.0"], "it exports {exports:?}");
    Ok(())
}
