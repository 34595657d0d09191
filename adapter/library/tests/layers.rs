//! The files of the library stand in layers: none needs one that needs it, so that each can be read with only those below.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What each top module names of the others, in code that is no test's.
fn modules() -> BTreeMap<String, BTreeSet<String>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = BTreeMap::<String, BTreeSet<String>>::new();
    let mut open = vec![source.clone()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let within = path.strip_prefix(&source).unwrap().with_extension("");
            let module = within.iter().next().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            let lines = code.lines().map(str::trim).filter(|line| !line.starts_with("//"));
            let named = lines.flat_map(|line| line.split("crate::").skip(1).map(names)).flatten();
            modules.entry(module.clone()).or_default().extend(named.filter(|name| *name != module));
        }
    }
    // Whatever the front door has is of a module below it.
    modules.remove("lib").unwrap();
    modules
}

/// The modules that a path begins with, behind `crate::`.
fn names(path: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    match path.strip_prefix('{') {
        None => vec![name(path)],
        Some(several) => several.split('}').next().unwrap().split(", ").map(name).collect(),
    }
}

#[test]
fn no_module_needs_one_that_needs_it() {
    let mut modules = modules();
    let known: BTreeSet<String> = modules.keys().cloned().collect();
    assert!(known.len() > 20 && modules["prepare"].contains("check"), "the sources are read otherwise: {modules:?}");
    for (module, needed) in &modules {
        let unknown: Vec<_> = needed.difference(&known).collect();
        assert!(unknown.is_empty(), "{module} names {unknown:?} by way of lib.rs, which needs it");
    }
    while !modules.is_empty() {
        let below: BTreeSet<String> =
            modules.iter().filter(|(_, needed)| needed.is_empty()).map(|(module, _)| module.clone()).collect();
        assert!(!below.is_empty(), "these need one another: {modules:?}");
        modules.retain(|module, _| !below.contains(module));
        modules.values_mut().for_each(|needed| needed.retain(|module| !below.contains(module)));
    }
}
