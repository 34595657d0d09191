//! What a request costs in the core alone, without a server: `cargo run --release --example cost -- COMPONENT [new]`. The
//! component is to have a direct response and to be adapted with `--exports exchange`; with `new` each request has an instance
//! of its own. The least of many rounds, in microseconds.

use std::time::Instant;

use proxy_wasm_adapter_embed::{Begin, Filter, Options};

const ROUNDS: u32 = 40;
const REQUESTS: u32 = 2_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which component?")?;
    let each_new = arguments.next().as_deref() == Some("new");
    let quiet = |_: proxy_wasm_adapter_embed::Level, _: &str| {};
    let options = Options { log: std::sync::Arc::new(quiet), pool: each_new.then_some(1), ..Options::default() };
    let filter = Filter::from_component(&std::fs::read(path)?, options)?;
    let mut instance = filter.instance()?;
    let request = http::Request::get("/some/path?query=1")
        .header("host", "example.test")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)")
        .header("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
        .header("accept-encoding", "gzip, deflate, br")
        .header("accept-language", "en-GB,en;q=0.5");
    let (head, ()) = request.body(())?.into_parts();
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..REQUESTS {
            if each_new {
                instance = filter.instance()?;
            }
            instance.open(&head, false, Begin::Nothing)?;
        }
        least = least.min(begun.elapsed().as_secs_f64() * 1e6 / f64::from(REQUESTS));
    }
    println!("{least:.2}");
    Ok(())
}
