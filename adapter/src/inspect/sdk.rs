//! What a filter was made with, as far as it shows: in the `producers` section, in names, exports and imports, and in the
//! paths that panic messages and debug information keep.

use serde::Serialize;

use crate::facts::Facts;

/// What a filter was made with. Each part is `None` where nothing shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Toolchain {
    /// The language that it is written in.
    pub language: Option<&'static str>,
    /// The proxy-wasm SDK.
    pub sdk: Option<&'static str>,
    /// The SDK's version.
    pub sdk_version: Option<String>,
    /// What compiled it: the `processed-by` entries of its `producers` section, with their versions.
    pub compilers: Vec<String>,
}

/// Text in the module, the language and the SDK that it gives away. The first that is found counts.
const TRACES: &[(&str, &str, Option<&str>)] = &[
    ("github.com/proxy-wasm/proxy-wasm-go-sdk", "Go", Some("proxy-wasm Go SDK")),
    ("github.com/tetratelabs/proxy-wasm-go-sdk", "Go", Some("Tetrate Go SDK")),
    ("github.com/higress-group/proxy-wasm-go-sdk", "Go", Some("Higress Go SDK")),
    ("/proxy-wasm-", "Rust", Some("proxy-wasm Rust SDK")),
    ("10proxy_wasm", "Rust", Some("proxy-wasm Rust SDK")),
    ("proxy_wasm::", "Rust", Some("proxy-wasm Rust SDK")),
    ("~lib/rt/", "AssemblyScript", None),
    ("/rustc/", "Rust", None),
];

impl Toolchain {
    pub(super) fn of(module: &[u8], facts: &Facts) -> Self {
        let mut found = Self {
            compilers: producers(facts, "processed-by")
                .map(|(name, version)| format!("{name} {version}").trim().to_owned())
                .collect(),
            ..Self::default()
        };
        for (text, language, sdk) in TRACES {
            if !contains(module, text) {
                continue;
            }
            found.language = found.language.or(Some(language));
            if found.sdk.is_none() && found.language == Some(language) {
                found.sdk = *sdk;
            }
        }
        if found.sdk == Some("proxy-wasm Rust SDK") {
            found.sdk_version = crate_version(module, b"/proxy-wasm-");
        }
        if let Some(language) = declared_language(facts) {
            if found.language != Some(language) {
                (found.sdk, found.sdk_version) = (None, None);
            }
            found.language = Some(language);
        }
        let imports = |name: &str| facts.imports.iter().any(|import| import.name == name);
        let exports = |name: &str| facts.exported_function(name).is_some();
        if found.language.is_none() {
            found.language = if exports("__new") && exports("__pin") || exports("__alloc") && exports("__retain") {
                Some("AssemblyScript")
            } else if facts.custom_sections.iter().any(|name| name == "go:buildid" || name == "go.buildid") {
                Some("Go")
            } else if imports("emscripten_notify_memory_growth") || contains(module, "_ZTV") {
                Some("C++")
            } else {
                None
            };
        }
        if found.sdk.is_none()
            && found.language == Some("C++")
            && exports("malloc")
            && exports("proxy_on_context_create")
        {
            found.sdk = Some("proxy-wasm C++ SDK");
        }
        if found.sdk.is_none() && found.language == Some("AssemblyScript") && exports("proxy_on_context_create") {
            found.sdk = Some("proxy-wasm AssemblyScript SDK");
        }
        found
    }
}

/// The language that the `producers` section states.
fn declared_language(facts: &Facts) -> Option<&'static str> {
    if producers(facts, "processed-by").any(|(name, _)| name == "TinyGo") {
        return Some("Go (TinyGo)");
    }
    const KNOWN: &[(&str, &str)] = &[
        ("Rust", "Rust"),
        ("Go", "Go"),
        ("C++", "C++"),
        ("C_plus_plus", "C++"),
        ("C", "C"),
        ("Zig", "Zig"),
        ("AssemblyScript", "AssemblyScript"),
    ];
    // A Rust or Go program may carry C objects of its libc; the other language is the filter's.
    KNOWN
        .iter()
        .find(|(_, language)| {
            producers(facts, "language").any(|(name, _)| {
                name == *language
                    || KNOWN.iter().any(|(prefix, known)| known == language && name.starts_with(&format!("{prefix}_")))
            })
        })
        .map(|(_, language)| *language)
}

fn producers<'a>(facts: &'a Facts, field: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let of_field = facts.producers.iter().filter(move |(found, _, _)| found == field);
    of_field.map(|(_, name, version)| (name.as_str(), version.as_str()))
}

fn contains(module: &[u8], text: &str) -> bool {
    find(module, text.as_bytes(), 0).is_some()
}

fn find(module: &[u8], text: &[u8], from: usize) -> Option<usize> {
    let (first, rest) = text.split_first()?;
    let mut at = from;
    while let Some(step) = module.get(at..)?.iter().position(|byte| byte == first) {
        at += step + 1;
        if module.get(at..)?.starts_with(rest) {
            return Some(at - 1);
        }
    }
    None
}

/// The version in the first path like `…/proxy-wasm-0.2.2/…`.
fn crate_version(module: &[u8], prefix: &[u8]) -> Option<String> {
    let mut from = 0;
    while let Some(at) = find(module, prefix, from) {
        from = at + prefix.len();
        let version: Vec<u8> = module.get(from..)?.iter().copied().take_while(|byte| *byte != b'/').take(32).collect();
        if version.first().is_some_and(u8::is_ascii_digit) && module.get(from + version.len()) == Some(&b'/') {
            return String::from_utf8(version).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_in_a_path() {
        let module = b"x/proxy-wasm-cpp/ /index/proxy-wasm-0.2.2/src/dispatcher.rs";
        assert_eq!(crate_version(module, b"/proxy-wasm-").as_deref(), Some("0.2.2"));
        assert_eq!(crate_version(b"/proxy-wasm-", b"/proxy-wasm-"), None);
    }
}
