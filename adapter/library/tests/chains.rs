//! The library, with several filters: which share what, and what is said of them.

use proxy_wasm_abi::settings::{Connection, Plugin, Settings};
use proxy_wasm_adapter::bridge::Kind;
use proxy_wasm_adapter::shim::{Flavour, Shim};
use proxy_wasm_adapter::{Adapted, Error, Options, adapt, extract, inspect};
use proxy_wasm_adapter_testing::{filter, logging, run, settings, stand_in, wat};
use wasmparser::{Parser, Payload};

/// Options for these plugins in so many virtual machines.
fn options(plugins: &[(&str, &str)], vms: usize) -> Options {
    let plugin = |(name, vm_id): &(&str, &str)| Plugin {
        name: (*name).into(),
        vm_id: (*vm_id).into(),
        log_level: 2,
        ..Plugin::default()
    };
    // Small numbers are encoded as themselves, so that all is text.
    let mut settings = Settings {
        plugins: plugins.iter().map(plugin).collect(),
        connection: Connection { buffer_limit: 1, stream_idle_timeout_ms: 1, ..Connection::default() },
        ..settings()
    };
    settings.set_direct_response(99, "");
    Options { shim: Shim::from_bytes(Flavour::Plain, stand_in(vms)), ..Options::new(settings) }
}

/// A filter that logs this at its start and for each request, of the length of `start`.
fn says(word: &str) -> Vec<u8> {
    wat(&logging(word))
}

/// Plugins for the filters `a`, `b`, `a` and `a`; the first and the last share a virtual machine.
const PLUGINS: [(&str, &str); 4] = [("first", ""), ("second", ""), ("third", "own"), ("fourth", "")];

fn chain(bridge: Kind) -> Adapted {
    let (a, b) = (says("aaaaa"), says("bbbbb"));
    let options = Options { bridge, ..options(&PLUGINS, 3) };
    adapt(&[&a, &b, &a, &a], &options).unwrap()
}

#[test]
fn each_vm_is_reached() {
    let mut settings = options(&PLUGINS, 3).settings;
    for (plugin, vm) in settings.plugins.iter_mut().zip([0, 1, 2, 0]) {
        plugin.vm = vm;
    }
    for bridge in Kind::ALL {
        settings.upkeep.opens_bodies = bridge == Kind::Portable;
        let settings = String::from_utf8(settings.encode()).unwrap();
        let log = run(&chain(bridge).component);
        let expected = ["aaaaa", "bbbbb", "aaaaa"].map(|word| format!("{word},{settings}headers"));
        assert_eq!(log, expected.concat(), "{bridge:?}");
    }
}

#[test]
fn filters_stand_in_a_component_once() {
    for bridge in Kind::ALL {
        let component = chain(bridge).component;
        let count = |bytes: &[u8]| {
            let modules = Parser::new(0).parse_all(&component).filter(|payload| {
                let Ok(Payload::ModuleSection { unchecked_range: range, .. }) = payload else { return false };
                &component[range.start as usize..range.end as usize] == bytes
            });
            modules.count()
        };
        for word in ["aaaaa", "bbbbb"] {
            assert_eq!(count(&says(word)), 1, "{word} with {bridge:?}");
        }
    }
}

#[test]
fn provenance_tells_filters_plugins_and_vms() {
    let adapted = chain(Kind::default());
    let filters = inspect(&adapted.component).filters;
    let digests: Vec<_> = filters.iter().map(|filter| &filter.sha256).collect();
    assert_eq!(digests, adapted.provenance.filters.iter().map(|filter| &filter.sha256).collect::<Vec<_>>());
    let plugins = adapted.provenance.plugins.iter();
    let plugins: Vec<_> = plugins.map(|plugin| (plugin.settings.name.as_str(), plugin.filter, plugin.vm)).collect();
    assert_eq!(plugins, [("first", 0, 0), ("second", 1, 1), ("third", 0, 2), ("fourth", 0, 0)]);
}

#[test]
fn filters_come_back() {
    let component = chain(Kind::default()).component;
    let get = |plugin| extract(&component, plugin).map_err(|error| error.to_string());
    for (plugin, word) in [("1", "aaaaa"), ("2", "bbbbb"), ("second", "bbbbb"), ("4", "aaaaa"), ("third", "aaaaa")] {
        assert_eq!(get(Some(plugin)), Ok(says(word)), "{plugin}");
    }
    let there = "plugin 1 (`first`), plugin 2 (`second`), plugin 3 (`third`), plugin 4 (`fourth`).";
    assert_eq!(
        get(None),
        Err(format!(
            "the file holds more than one filter that may be meant. Say whose with `--plugin NUMBER` or `--plugin NAME`: \
             there are {there}"
        ))
    );
    for plugin in ["0", "5", "fifth", ""] {
        assert_eq!(get(Some(plugin)), Err(format!("the file has no plugin `{plugin}`. There are {there}")));
    }
}

#[test]
fn one_filter_comes_back_whoever_is_asked_for() {
    let adapted = adapt(&[says("aaaaa"), says("aaaaa")], &options(&[("a", ""), ("a", "")], 1)).unwrap();
    for plugin in [None, Some("1"), Some("2"), Some("a")] {
        assert_eq!(extract(&adapted.component, plugin), Ok(says("aaaaa")));
    }
}

#[test]
fn a_name_of_two_filters_is_not_enough() {
    let adapted = adapt(&[says("aaaaa"), says("bbbbb")], &options(&[("a", ""), ("a", "")], 2)).unwrap();
    let Err(Error::Extract(problem)) = extract(&adapted.component, Some("a")) else { panic!("no error") };
    assert!(problem.remedy().ends_with("there are plugin 1 (`a`), plugin 2 (`a`)."), "{}", problem.remedy());
    let warnings: Vec<String> = adapted.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["the filter of plugin 2 runs under the plugin name `a`, as plugin 1 does"]);
}

#[test]
fn every_problem_of_every_filter_at_once() {
    let magic = filter(r#"(import "env" "magic" (func))"#);
    let filters = [b"hello".to_vec(), says("aaaaa"), magic.clone(), wat("(module (func (result i32)))"), magic];
    let plugins = [("", ""); 5];
    let error = adapt(&filters, &options(&plugins, 1)).unwrap_err().to_string();
    let told: Vec<&str> = error.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(
        told,
        [
            "the filter of plugin 1 is not WebAssembly",
            "the filter of plugin 3 imports a function that is no host call of proxy-wasm",
            "the filter of plugin 4 is not valid WebAssembly",
        ]
    );
}

#[test]
fn filters_and_plugins_go_together() {
    let filters = |count: usize| vec![filter(""); count];
    let error = |count, plugins: &[(&str, &str)]| adapt(&filters(count), &options(plugins, 1)).unwrap_err().to_string();
    assert!(error(3, &[("", ""); 2]).starts_with("there are 3 filters for 2 plugins. "));
    assert!(error(1, &[]).starts_with("there is 1 filter for 0 plugins. "));
    assert!(error(0, &[]).starts_with("there is no filter. "));
}

#[test]
fn a_stub_is_its_filters_own() {
    let stubbed = |name: &str| filter(&format!(r#"(import "env" "{name}" (func))"#));
    let filters = [stubbed("magic"), stubbed("wonder"), stubbed("magic")];
    let plugins = [("a", ""), ("b", ""), ("c", "own")];
    let options = Options { stub_unknown_imports: true, ..options(&plugins, 3) };
    let component = adapt(&filters, &options).unwrap().component;
    run(&component);
    let text = wasmprinter::print_bytes(&component).unwrap();
    for name in ["magic", "wonder"] {
        assert_eq!(text.matches(&format!(r#"(func $"env.{name} (unknown import, stubbed)" (;"#)).count(), 1, "{text}");
    }
}

/// A host call that one filter imports stays for all.
#[test]
fn what_any_filter_needs_of_the_shim_is_kept() {
    let imports = |name: &str| filter(&format!(r#"(import "env" "{name}" (func (result i32)))"#));
    let component =
        adapt(&[imports("proxy_done"), imports("proxy_clear_route_cache")], &options(&[("a", ""), ("b", "")], 2));
    let exported = |name: &str| {
        let component = component.as_ref().unwrap();
        let text = wasmprinter::print_bytes(&component.component).unwrap();
        text.contains(&format!(r#"(export "{name}""#))
    };
    assert!(exported("proxy_done") && exported("proxy_clear_route_cache") && !exported("proxy_log"));
}

/// Backtraces tell the virtual machine.
#[test]
fn callbacks_are_named_by_their_vm() {
    let text = wasmprinter::print_bytes(chain(Kind::default()).component).unwrap();
    for name in [
        "proxy_on_configure of VM 1 (first, fourth)",
        "proxy_on_request_headers of VM 2 (second)",
        "start of VM 3 (third)",
    ] {
        assert!(text.contains(&format!(r#"(func $"{name}""#)), "{name}");
    }
}
