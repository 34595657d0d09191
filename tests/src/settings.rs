//! Settings for filters of the tests.

use std::net::SocketAddr;

use anyhow::Result;
use proxy_wasm_abi::settings::{Origin, Plugin, Settings};

/// Everything at its default, and a direct response.
pub fn direct() -> Settings {
    let mut settings = unrouted();
    settings.set_direct_response(200, "direct");
    settings
}

/// Everything at its default, and this upstream, without a timeout.
pub fn to_upstream(address: SocketAddr) -> Settings {
    let mut settings = unrouted();
    settings.set_upstream(Origin { tls: false, authority: address.to_string() }, 0);
    settings
}

fn unrouted() -> Settings {
    let plugins = vec![Plugin { name: "test".into(), log_level: 2, ..Plugin::default() }];
    Settings { plugins, ..Settings::default() }
}

/// So many routes by the path, of which none but the last matches: it answers by itself.
///
/// # Errors
/// None: the text is right.
pub fn routed(count: usize) -> Result<Settings> {
    let others = (1..count).map(|number| {
        format!(
            "[[virtual_host.route]]\nmatch = {{ path = \"/route/{number}\" }}\ndirect_response = \"404:{number}\"\n"
        )
    });
    let last = "[[virtual_host.route]]\ndirect_response = \"200:direct\"\n";
    let head = "[[virtual_host]]\nname = \"all\"\ndomains = [\"*\"]\n";
    let text: String = std::iter::once(head.into()).chain(others).chain([last.into()]).collect();
    let input = proxy_wasm_adapter::settings::parse("routes", &text);
    let input = input.map_err(|problem| anyhow::anyhow!("{problem:?}"))?;
    let options = input.resolve(1, &|_| Err("these settings name no files".into()));
    Ok(options.map_err(|problems| anyhow::anyhow!("{problems:?}"))?.settings)
}
