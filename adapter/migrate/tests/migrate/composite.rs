//! Composite filters with Wasm filters within.

use proxy_wasm_adapter_migrate::Outcome;

use crate::common::{CODE, finding, losses, plain, run, settings_of};

/// The plain chain, whose Wasm filter is one that this matcher may pick; `ACTION` there picks it.
fn composite(matcher: &str) -> String {
    let wasm = format!(
        "{{'@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {{name: picked, {CODE}}}}}"
    );
    let action = format!(
        "{{action: {{name: a, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.composite.v3.ExecuteFilterAction, typed_config: {{name: w, typed_config: {wasm}}}}}}}}}"
    );
    let filter = format!(
        "          - name: composite\n            typed_config: {{'@type': type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher, extension_config: {{name: c, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.composite.v3.Composite}}}}, xds_matcher: {}}}\n          - name: wasm",
        matcher.replace("ACTION", &action)
    );
    plain("").replace("          - name: wasm", &filter)
}

#[test]
fn one_that_always_picks_the_same_is_that() {
    let always = composite("{on_no_match: ACTION}");
    let migration = run(&always);
    assert!(settings_of(&migration).contains("name = \"picked\""), "{}", settings_of(&migration));
    assert_eq!(finding(&migration, "the same filter for every request").outcome, Outcome::CarriedWithDifference);
    assert_eq!(losses(&migration), Vec::<String>::new());
    let slip = run(&always.replace("name: picked", "name: picked, slip: 1"));
    assert!(finding(&slip, "`slip` is no field").outcome.is_loss());
}

#[test]
fn any_other_is_left_behind_with_its_place() {
    let input = "{name: i, typed_config: {'@type': type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: x}}";
    for matcher in [
        format!("{{matcher_tree: {{input: {input}, exact_match_map: {{map: {{'1': ACTION}}}}}}}}"),
        format!("{{matcher_tree: {{input: {input}, exact_match_map: {{map: {{'1': ACTION}}}}}}, on_no_match: ACTION}}"),
    ] {
        let migration = run(&composite(&matcher));
        let lost = finding(&migration, "with a Wasm filter within: neither is carried");
        assert_eq!((lost.object.as_str(), lost.line), ("filter `composite`", 20));
        assert!(lost.remedy.contains("into the chain"), "{}", lost.remedy);
        assert!(!settings_of(&migration).contains("picked"));
        assert_eq!(losses(&migration).len(), 1, "{:#?}", losses(&migration));
    }
}
