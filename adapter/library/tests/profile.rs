//! What `--profile permissive` takes: filters that were made for Higress.

#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

use proxy_wasm_abi::settings::Profile;
use proxy_wasm_adapter::{Error, Options, Problem, adapt, inspect, inspect_as};
use proxy_wasm_adapter_testing::{filter_text, options, wat};

/// A filter with Higress's marker that imports this.
fn filter(imports: &str) -> Vec<u8> {
    wat(&filter_text(imports).replace("proxy_abi_version_0_2_1", "proxy_abi_version_0_2_100"))
}

fn permissive() -> Options {
    let mut options = options();
    options.settings.upkeep.profile = Profile::Permissive;
    options
}

const REDIS: &str = r#"(import "env" "proxy_redis_call" (func (param i32 i32 i32 i32 i32) (result i32)))"#;

#[test]
fn the_marker_counts_as_0_2_1() {
    let filter = filter(REDIS);
    assert!(matches!(adapt(&[&filter], &options()), Err(Error::Filter(problems)) if problems.len() == 2));

    let adapted = adapt(&[&filter], &permissive()).unwrap();
    assert_eq!(adapted.warnings, []);
    assert_eq!(adapted.provenance.settings.profile, Profile::Permissive);
    assert!(adapted.provenance.plugins[0].settings.allow_on_headers_stop_iteration, "as its ABI has it");

    // The component says so itself.
    let inspection = inspect(&adapted.component);
    assert_eq!(inspection.errors(), 0);
    assert_eq!(inspection.filters[0].abi.version, Some("0.2.1"));
    assert!(!inspection.filters[0].abi.inferred);
}

#[test]
fn filters_of_proxy_wasm_stay_what_they_are() {
    let filter = proxy_wasm_adapter_testing::filter(REDIS);
    let adapted = adapt(&[&filter], &permissive()).unwrap();
    assert!(!adapted.provenance.plugins[0].settings.allow_on_headers_stop_iteration);
}

#[test]
fn what_higress_adds_is_listed_by_name() {
    let filter = filter(&format!(r#"{REDIS} (import "env" "proxy_magic" (func))"#));
    let support = |profile| {
        let inspection = inspect_as(&filter, profile);
        let imports = inspection.filters[0].imports.iter();
        imports.map(|import| (import.name.clone(), import.support, import.note)).collect::<Vec<_>>()
    };
    let expected =
        |redis, note| vec![("proxy_redis_call".to_owned(), redis, note), ("proxy_magic".to_owned(), "unknown", None)];
    assert_eq!(support(Profile::Envoy), expected("unknown", None));
    assert_eq!(support(Profile::Permissive), expected("unimplemented", Some("it is Higress's")));
}

#[test]
fn another_signature_is_a_mistake() {
    let filter = filter(r#"(import "env" "proxy_redis_call" (func (param i32)))"#);
    let Err(Error::Filter(problems)) = adapt(&[&filter], &permissive()) else { panic!("no error") };
    assert!(matches!(problems[0].problem, Problem::ImportSignature { .. }), "{problems:?}");
}
