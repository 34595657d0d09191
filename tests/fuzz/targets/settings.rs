//! Settings files: any text is read or refused with its place, and what is read has settings or problems.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use proxy_wasm_abi::settings::Settings;
use proxy_wasm_adapter::settings;

fuzz_target!(|bytes: &[u8]| -> Corpus {
    // The shim reads its own settings, whose bytes the adapter wrote.
    let _ = Settings::decode(bytes);
    let Ok(text) = str::from_utf8(bytes) else { return Corpus::Reject };
    let Ok(input) = settings::parse("fuzzed", text) else { return Corpus::Keep };
    if let Ok(options) = input.resolve(1, &|path| Err(format!("{} is not read here", path.display()))) {
        let written = options.settings.encode();
        assert_eq!(Settings::decode(&written), Some(options.settings), "what the adapter writes the shim reads");
    }
    Corpus::Keep
});
