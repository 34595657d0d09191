//! An axum application with a proxy-wasm filter before all its routes:
//!
//! ```console
//! cargo run --example axum -- filter.wasm
//! ```

use axum::Router;
use axum::routing::{get, post};
use proxy_wasm_adapter_embed::{Error, Filter, FilterLayer, Options};

/// The routes, behind this filter.
pub(crate) fn app(filter: &[u8], configuration: &str) -> Result<Router, Error> {
    let settings = format!("configuration = {configuration:?}");
    let filter = Filter::from_filter(filter, &settings, Options::default())?;
    Ok(Router::new()
        .route("/hello", get(|| async { "hello\n" }))
        .route("/echo", post(|body: String| async { body }))
        .layer(FilterLayer::new(filter)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("which filter? Give its .wasm file")?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, app(&std::fs::read(path)?, "")?).await?;
    Ok(())
}
