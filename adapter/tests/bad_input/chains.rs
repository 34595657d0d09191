//! Chains of filters, and what their settings say of them.

use proxy_wasm_adapter_testing::filter;

use super::{Case, adapted, without};

pub(super) fn cases() -> Vec<Case> {
    const ADAPT: [&str; 3] = ["adapt", "-o", "out.wasm"];
    const ROUTE: [&str; 2] = ["--direct-response", "200"];
    const SETTINGS: [&str; 2] = ["--settings", "chain.toml"];
    let chain = |name, files: &[(&'static str, Vec<u8>)], settings: Option<&str>, args: &[&'static str]| {
        let settings = settings.map(|text| ("chain.toml", format!("direct_response = 200\n{text}").into_bytes()));
        let mut all = ADAPT.to_vec();
        all.extend(args);
        all.extend(if settings.is_some() { SETTINGS } else { ROUTE });
        Case { name, files: files.iter().cloned().chain(settings).collect(), args: all }
    };
    let one = || vec![("a.wasm", filter(""))];
    let two = || vec![("a.wasm", filter("")), ("b.wasm", filter("(func)"))];
    let with = |name, bytes| vec![("a.wasm", filter("")), (name, bytes)];
    let both = "[[plugin]]\nname = 'a'\nfilter = 'a.wasm'\n[[plugin]]\nname = 'b'\nfilter = 'b.wasm'\n";
    let component = || vec![("chain.wasm", adapted_chain(&["auth", "", "auth"]))];
    let extract = |name, more: &[&'static str]| Case {
        name,
        files: component(),
        args: [&["extract", "chain.wasm", "-o", "out.wasm"], more].concat(),
    };
    vec![
        chain("chain-without-filters", &[], None, &[]),
        chain("chain-without-filters-in-its-settings", &[], Some(""), &[]),
        chain("chain-plugin-without-filter", &two(), Some("[[plugin]]\nname = 'a'\n[[plugin]]\n"), &[]),
        chain("chain-filter-missing", &one(), None, &["a.wasm", "b.wasm", "c.wasm"]),
        chain("chain-filter-of-its-settings-missing", &one(), Some(both), &[]),
        chain("chain-three-filters-for-two-plugins", &two(), Some(both), &["a.wasm", "b.wasm", "a.wasm"]),
        chain("chain-one-filter-for-two-plugins", &two(), Some(both), &["a.wasm"]),
        chain("chain-in-another-order", &two(), Some(both), &["b.wasm", "a.wasm"]),
        chain("chain-component-among-filters", &with("b.wasm", adapted()), None, &["a.wasm", "b.wasm"]),
        chain(
            "chain-problems-of-several",
            &[with("b.wasm", without("malloc")), vec![("c.wasm", b"hello".to_vec())]].concat(),
            None,
            &["a.wasm", "b.wasm", "c.wasm", "b.wasm"],
        ),
        chain(
            "chain-problems-of-filters-and-settings",
            &[with("b.wasm", without("malloc")), vec![("c.wasm", b"hello".to_vec())]].concat(),
            None,
            &["a.wasm", "b.wasm", "c.wasm", "b.wasm", "--cluster", "auth=auth"],
        ),
        chain("chain-problems-of-plugins", &two(), Some(&both.replace("name", "log_level")), &[]),
        chain(
            "chain-options-for-all",
            &two(),
            None,
            &["a.wasm", "b.wasm", "--plugin-name", "x", "--config-text", "y", "--env", "A=1"],
        ),
        chain("chain-keys-beside-plugins", &two(), Some(&format!("root_id = 'r'\n{both}")), &[]),
        chain("chain-unknown-key", &two(), Some("[[plugin]]\nplugin_name = 'a'\n"), &["a.wasm"]),
        chain("chain-key-behind-a-plugin", &two(), Some(&format!("{both}buffer_limit = '2MiB'\n")), &[]),
        chain("chain-plugin-in-single-brackets", &one(), Some("[plugin]\nfilter = 'a.wasm'\n"), &[]),
        chain("chain-same-names", &two(), Some(&both.replace("'b'", "'a'")), &[]),
        chain("chain-from-stdin-twice", &one(), None, &["-", "a.wasm", "-"]),
        Case {
            name: "chain-output-is-a-filter-of-its-settings",
            files: [two(), vec![("chain.toml", format!("direct_response = 200\n{both}").into_bytes())]].concat(),
            args: vec!["adapt", "-o", "b.wasm", "--settings", "chain.toml"],
        },
        Case {
            name: "chain-serve-component-among-filters",
            files: with("b.wasm", adapted()),
            args: vec!["serve", "a.wasm", "b.wasm", "--direct-response", "200"],
        },
        extract("extract-which-of-several", &[]),
        extract("extract-a-plugin-by-a-name-of-two", &["--plugin", "auth"]),
        extract("extract-a-plugin-that-is-not-there", &["--plugin", "limit"]),
        extract("extract-a-plugin-past-the-last", &["--plugin", "4"]),
        Case {
            name: "extract-a-plugin-past-the-only-one",
            files: vec![("one.wasm", adapted())],
            args: vec!["extract", "one.wasm", "-o", "out.wasm", "--plugin", "2"],
        },
    ]
}

/// Different filters, with these plugin names.
fn adapted_chain(names: &[&str]) -> Vec<u8> {
    let filters: Vec<_> = (0..names.len()).map(|number| filter(&"(func)".repeat(number))).collect();
    let mut options = proxy_wasm_adapter_testing::options();
    let plugin = options.settings.plugins[0].clone();
    let named = |name: &&str| proxy_wasm_abi::settings::Plugin { name: (*name).into(), ..plugin.clone() };
    options.settings.plugins = names.iter().map(named).collect();
    proxy_wasm_adapter::adapt(&filters, &options).unwrap().component
}
