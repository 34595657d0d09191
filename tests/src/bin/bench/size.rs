//! What adapting costs, in bytes and in time.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context, Result};
use proxy_wasm_adapter::shim::Shim;
use proxy_wasm_adapter::{Options, adapt};
use proxy_wasm_adapter_tests::examples::Example;
use proxy_wasm_adapter_tests::settings;

pub(crate) fn print(rounds: usize) -> Result<()> {
    println!("the shim has {} bytes", Shim::default().bytes().len());
    println!("| example | bytes of the filter | bytes more of its component |\n|---|---|---|");
    for example in Example::all()? {
        let filter = example.filter()?;
        let component = adapt(&[&filter], &Options::new(settings::direct()))?.component;
        println!("| {} | {} | {} |", example.name, filter.len(), component.len() - filter.len());
    }
    let filter = large_filter()?;
    let options = Options::new(settings::direct());
    let mut times = Vec::new();
    for _ in 0..rounds.max(1) * 4 {
        let began = Instant::now();
        adapt(&[&filter], &options)?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).context("no round")?;
    println!("\nadapt: {median:.1} ms for a filter of {} bytes", filter.len());
    Ok(())
}

/// About 1 MiB, most of it code.
fn large_filter() -> Result<Vec<u8>> {
    let mut functions = String::new();
    for number in 0..20_000 {
        writeln!(
            functions,
            "(func $f{number} (param i32 i32) (result i32)
               (i32.store (local.get 0) (i32.add (i32.mul (local.get 1) (i32.const {number})) (i32.const 123456789)))
               (if (result i32) (i32.lt_u (local.get 0) (i32.const {number}))
                 (then (i32.load offset=8 (local.get 1))) (else (i32.xor (local.get 0) (i32.const 987654321)))))"
        )?;
    }
    Ok(wat::parse_str(format!(
        r#"(module
             (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
             (memory (export "memory") 1)
             (func (export "proxy_abi_version_0_2_1"))
             (func (export "malloc") (param i32) (result i32) (i32.const 1024))
             (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))
             {functions})"#
    ))?)
}
