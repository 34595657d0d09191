//! The library: what goes in, what comes out.

use proxy_wasm_abi::settings::Connection;
use proxy_wasm_adapter::bridge::Kind;
use proxy_wasm_adapter::{Error, FilterProblem, Options, Problem, adapt, extract, inspect, reopen};
use proxy_wasm_adapter_testing::{filter, logging, options, run, wat};
use wasmparser::{Parser, Payload};

#[test]
fn parts_reach_one_another() {
    for bridge in Kind::ALL {
        let mut options = Options { bridge, ..options() };
        options.settings.plugins[0].configuration = b"twelve bytes, and more than one word".into();
        // Small numbers are encoded as themselves, so that all is text.
        options.settings.connection =
            Connection { buffer_limit: 1, stream_idle_timeout_ms: 1, ..Connection::default() };
        options.settings.set_direct_response(99, "");
        let adapted = adapt(&[wat(&logging("start"))], &options).unwrap();
        let log = run(&adapted.component);
        // That the host is jco follows from the bridge.
        options.settings.upkeep.opens_bodies = bridge == Kind::Portable;
        let settings = String::from_utf8(options.settings.encode()).unwrap();
        assert_eq!(log, format!("start,{settings}headers"), "{bridge:?}");
    }
}

#[test]
fn same_input_same_bytes() {
    let filter = wat(&logging("start"));
    assert_eq!(adapt(&[&filter], &options()).unwrap().component, adapt(&[&filter], &options()).unwrap().component);
}

#[test]
fn what_is_taken_apart_can_be_adapted_once_more() {
    for bridge in Kind::ALL {
        let mut options = Options { bridge, ..options() };
        options.settings.plugins[0].configuration = b"mark = seen".into();
        let component = adapt(&[wat(&logging("start"))], &options).unwrap().component;
        let mut reopened = reopen(&component).unwrap().unwrap();
        assert_eq!(reopened.options.settings.plugins[0].configuration, options.settings.plugins[0].configuration);
        reopened.options.shim = options.shim;
        assert_eq!(adapt(&reopened.filters, &reopened.options).unwrap().component, component, "{bridge:?}");
        // Whose settings have another form.
        let (version, other) = (format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION")), "\"version\":\"9.9.9\"");
        assert_eq!(version.len(), other.len());
        let at = component.windows(version.len()).position(|window| window == version.as_bytes()).unwrap();
        let mut newer = component;
        newer[at..at + other.len()].copy_from_slice(other.as_bytes());
        assert!(reopen(&newer).unwrap().is_none());
    }
    assert!(reopen(&wat("(component)")).is_err());
}

#[test]
fn extract_gives_back_what_went_in() {
    for bridge in Kind::ALL {
        let filter = wat(&logging("start"));
        let component = adapt(&[&filter], &Options { bridge, ..options() }).unwrap().component;
        assert_eq!(extract(&component, None).unwrap(), filter);
        assert!(component.windows(filter.len()).any(|window| window == filter), "byte for byte in the component");
    }
}

/// Linkers leave room for a section's size, and write small sizes in five bytes.
#[test]
fn sizes_written_long_stay_so() {
    let filter = wat(&logging("start"));
    // The first section: its number, then its size in one byte.
    let (head, rest) = filter.split_at(8);
    let long = [head, &[rest[0], rest[1] | 0x80, 0x80, 0x80, 0x80, 0], &rest[2..]].concat();
    let component = adapt(&[&long], &options()).unwrap().component;
    assert_eq!(extract(&component, None).unwrap(), long);
}

#[test]
fn imports_that_stand_twice_link_and_come_back() {
    let filter = filter(
        r#"(import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))
           (import "wasi_unstable" "random_get" (func (param i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))"#,
    );
    let adapted = adapt(&[&filter], &options()).unwrap();
    assert_eq!(adapted.provenance.filters[0].changed.len(), 2);
    assert_eq!(extract(&adapted.component, None).unwrap(), filter);
    run(&adapted.component);
}

#[test]
fn unknown_imports_become_stubs() {
    let filter = filter(
        r#"(import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
           (import "env" "magic" (func (param i32 f64) (result i64)))
           (import "env" "magic" (func (param i32 f64) (result i64)))
           (import "other" "magic" (func))
           (import "wasi_unstable" "fd_close" (func (param i32) (result i32)))"#,
    );
    let Err(Error::Filter(problems)) = adapt(&[&filter], &options()) else { panic!("no error") };
    assert_eq!(
        problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "the filter imports functions that are no host calls of proxy-wasm: `env.magic` (i32, f64) -> i64, `other.magic` ()"
        ]
    );
    let adapted = adapt(&[&filter], &Options { stub_unknown_imports: true, ..options() }).unwrap();
    assert_eq!(extract(&adapted.component, None).unwrap(), filter);
    let text = wasmprinter::print_bytes(&adapted.component).unwrap();
    assert!(text.contains(r#"$"env.magic (unknown import, stubbed)""#), "{text}");
    run(&adapted.component);
}

#[test]
fn imports_are_those_of_the_proxy_world() {
    // The interfaces that `wasi:http/proxy@0.2.0` imports, with those that they need.
    const PROXY: &[&str] = &[
        "wasi:cli/stderr@0.2.0",
        "wasi:cli/stdin@0.2.0",
        "wasi:cli/stdout@0.2.0",
        "wasi:clocks/monotonic-clock@0.2.0",
        "wasi:clocks/wall-clock@0.2.0",
        "wasi:http/outgoing-handler@0.2.0",
        "wasi:http/types@0.2.0",
        "wasi:io/error@0.2.0",
        "wasi:io/poll@0.2.0",
        "wasi:io/streams@0.2.0",
        "wasi:random/random@0.2.0",
    ];
    let component =
        adapt(&[wat(&logging("start"))], &Options::new(proxy_wasm_adapter_testing::settings())).unwrap().component;
    let (mut depth, mut exports) = (0, Vec::new());
    for payload in Parser::new(0).parse_all(&component) {
        match payload.unwrap() {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    let name = import.unwrap().name.name;
                    assert!(PROXY.contains(&name), "{name}");
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                exports.extend(section.into_iter().map(|export| export.unwrap().name.name.to_owned()));
            }
            _ => {}
        }
    }
    assert_eq!(exports, ["wasi:http/incoming-handler@0.2.0", "proxy-wasm:adapter/plugin@0.1.0"]);
}

/// Wasmtime's default pool holds 1,000 core instances: at five each, 200 components.
#[test]
fn costs_five_core_instances() {
    let count = |bridge| {
        let component = adapt(&[wat(&logging("start"))], &Options { bridge, ..options() }).unwrap().component;
        let mut count = 0;
        for payload in Parser::new(0).parse_all(&component) {
            if let Payload::InstanceSection(section) = payload.unwrap() {
                let instances = section.into_iter().map(Result::unwrap);
                count += instances.filter(|it| matches!(it, wasmparser::Instance::Instantiate { .. })).count();
            }
        }
        count
    };
    assert_eq!(count(Kind::MemoryCopy), 5);
    assert_eq!(count(Kind::Portable), 8);
}

#[test]
fn provenance_is_where_tools_look() {
    let filter = wat(&logging("start"));
    let component = adapt(&[&filter], &options()).unwrap().component;
    let producers = wasm_metadata::Producers::from_wasm(&component).unwrap().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(producers.get("processed-by").unwrap().get("proxy-wasm-adapter").unwrap(), version);
    let inspection = inspect(&component);
    let adapted = inspection.adapted.unwrap();
    assert_eq!((adapted.version.as_str(), adapted.plugins[0].settings.name.as_str()), (version, "test"));
    let [inner] = inspection.filters.as_slice() else { panic!("one filter") };
    assert_eq!((&adapted.filters[0].sha256, adapted.filters[0].size), (&inner.sha256, filter.len()));
    assert_eq!(inner.abi.version, Some("0.1.0"));
}

#[test]
fn a_long_configuration_stands_in_the_component_once() {
    let size = |length: usize| {
        let mut options = options();
        options.settings.plugins[0].configuration = "word \"".repeat(length).into();
        adapt(&[wat(&logging("start"))], &options).unwrap().component.len()
    };
    let (short, long) = (size(1_000), size(11_000));
    assert!((60_000..60_100).contains(&(long - short)), "{short} and {long}");
}

#[test]
fn the_least_foreign_function_is_always_there() {
    let filter =
        filter(r#"(import "env" "proxy_call_foreign_function" (func (param i32 i32 i32 i32 i32 i32) (result i32)))"#);
    let component = adapt(&[filter], &options()).unwrap().component;
    let has = |name: &str| component.windows(name.len()).any(|window| window == name.as_bytes());
    assert!(has("foreign_clear_route_cache") && !has("foreign_compress"));
}

#[test]
fn a_changed_component_is_told() {
    let filter = wat(&logging("start"));
    let mut component = adapt(&[&filter], &options()).unwrap().component;
    let at = component.windows(7).position(|window| window == b"start,h").unwrap();
    component[at] = b'S';
    let Err(Error::Extract(problem)) = extract(&component, None) else { panic!("no error") };
    assert!(problem.to_string().starts_with("no longer holds the filter that went in (sha256 "), "{problem}");
    let inspection = inspect(&component);
    assert!(inspection.adapted.is_some());
    assert_eq!(inspection.problems[0].code, "not-extractable");
}

#[test]
fn warnings_do_not_stop() {
    let adapted = adapt(&[filter("(table 30000 funcref)")], &options()).unwrap();
    let problem = Problem::LargeTable { elements: 30_000, limit: 20_000 };
    assert_eq!(adapted.warnings, [FilterProblem { plugin: None, problem }]);
}

/// Every byte flipped, and every length: an error or a component, never a panic.
#[test]
fn damaged_filters_are_told() {
    let filter = wat(&logging("start"));
    let options = options();
    for at in 0..filter.len() {
        let mut flipped = filter.clone();
        flipped[at] ^= 0x55;
        if let Ok(adapted) = adapt(&[&flipped], &options) {
            assert_eq!(extract(&adapted.component, None).unwrap(), flipped);
        }
        if let Ok(adapted) = adapt(&[&filter[..at]], &options) {
            assert_eq!(extract(&adapted.component, None).unwrap(), &filter[..at]);
        }
        inspect(&flipped);
    }
}
