//! The guest component.

use std::sync::OnceLock;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldItem};

/// What `plugin.start` does.
#[derive(Clone, Copy)]
pub(crate) enum StartMode {
    Starts,
    Refuses,
    Traps,
}

const MODE: &str = "(global $start-mode i32 (i32.const 0))";

/// The guest, encoded as a component of the world `adapted`.
pub(crate) fn guest(mode: StartMode) -> Vec<u8> {
    static GUEST: OnceLock<Vec<u8>> = OnceLock::new();
    match mode {
        StartMode::Starts => GUEST.get_or_init(|| encode(0)).clone(),
        StartMode::Refuses => encode(1),
        StartMode::Traps => encode(2),
    }
}

fn encode(mode: u32) -> Vec<u8> {
    let root = proxy_wasm_adapter_testing::root();
    let text = std::fs::read_to_string(root.join("tests/fixtures/guest.wat")).unwrap();
    assert!(text.contains(MODE));
    let text = text.replace(MODE, &format!("(global $start-mode i32 (i32.const {mode}))"));
    let mut module = wat::parse_str(text).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(root.join("wit")).unwrap();
    let world = resolve.select_world(&[package], Some("adapted")).unwrap();
    // What adapters had at first: components of theirs are served as ever.
    let plugin = resolve.packages[package].interfaces["plugin"];
    resolve.interfaces[plugin].functions.retain(|name, _| name == "start");
    let exchange = resolve.packages[package].interfaces["exchange"];
    let is_exchange = |item: &WorldItem| matches!(item, WorldItem::Interface { id, .. } if *id == exchange);
    resolve.worlds[world].exports.retain(|_, item| !is_exchange(item));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}
