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

/// Text in a module that gives its SDK away, with the SDK's language.
const SDK_TRACES: &[(&str, &str, &str)] = &[
    ("github.com/zonghaishang/proxy-wasm-sdk-go", "Go", "MOSN Go SDK"),
    ("github.com/proxy-wasm/proxy-wasm-go-sdk", "Go", "proxy-wasm Go SDK"),
    ("github.com/tetratelabs/proxy-wasm-go-sdk", "Go", "Tetrate Go SDK"),
    ("github.com/higress-group/proxy-wasm-go-sdk", "Go", "Higress Go SDK"),
    // In the names of functions, as the compiler mangles them or not.
    ("10proxy_wasm", "Rust", RUST_SDK),
    ("proxy_wasm::", "Rust", RUST_SDK),
];

const RUST_SDK: &str = "proxy-wasm Rust SDK";

/// Text in a module that gives its language away.
const LANGUAGE_TRACES: &[(&str, &str)] = &[
    ("/rustc/", "Rust"),
    ("tinygo-org/llvm-project", "Go"),
    ("~lib/rt/", "AssemblyScript"),
    // In the names of functions, and in those of types, which stay in a module that was stripped.
    ("_ZTV", "C++"),
    ("NSt3__2", "C++"),
    ("St9exception", "C++"),
];

/// Where the Rust SDK's version stands in a path.
const RUST_CRATE: &str = "/proxy-wasm-";

impl Toolchain {
    pub(super) fn of(module: &[u8], facts: &Facts) -> Self {
        let language = declared_language(facts)
            .or_else(|| SDK_TRACES.iter().find(|(text, ..)| contains(module, text)).map(|(_, language, _)| *language))
            .or_else(|| crate_version(module).map(|_| "Rust"))
            .or_else(|| language_by_names(facts))
            .or_else(|| LANGUAGE_TRACES.iter().find(|(text, _)| contains(module, text)).map(|(_, language)| *language))
            // Programs of any language carry C: that of the compiler's runtime library, that of libc.
            .or_else(|| states(facts, &["C", "C89", "C99", "C11", "C17", "C23"]).then_some("C"));
        let sdk = language.and_then(|language| sdk(module, facts, language));
        Self {
            language,
            sdk,
            sdk_version: sdk.filter(|_| language == Some("Rust")).and_then(|_| crate_version(module)),
            compilers: producers(facts, "processed-by")
                .map(|(name, version)| format!("{name} {version}").trim().to_owned())
                .collect(),
        }
    }
}

/// The language that the `producers` section states or implies.
fn declared_language(facts: &Facts) -> Option<&'static str> {
    const COMPILERS: &[(&str, &str)] = &[("rustc", "Rust"), ("TinyGo", "Go"), ("Go cmd/compile", "Go")];
    let compiled = |compiler: &str| producers(facts, "processed-by").any(|(name, _)| name == compiler);
    if let Some((_, language)) = COMPILERS.iter().find(|(compiler, _)| compiled(compiler)) {
        return Some(language);
    }
    // Clang writes a C++ with its year.
    const KNOWN: &[(&str, &[&str])] = &[
        ("Rust", &["Rust"]),
        ("Go", &["Go"]),
        ("Zig", &["Zig"]),
        ("AssemblyScript", &["AssemblyScript"]),
        ("C++", &["C++", "C_plus_plus"]),
    ];
    KNOWN.iter().find(|(_, names)| states(facts, names)).map(|(language, _)| *language)
}

/// Whether the `producers` section states a language of one of these names.
fn states(facts: &Facts, names: &[&str]) -> bool {
    producers(facts, "language").any(|(stated, _)| {
        names.iter().any(|name| stated == *name || *name == "C_plus_plus" && stated.starts_with(name))
    })
}

/// The language that exports, imports and custom sections suggest.
fn language_by_names(facts: &Facts) -> Option<&'static str> {
    let exports = |name: &str| facts.exported_function(name).is_some();
    let has_section = |name: &str| facts.custom_sections.iter().any(|section| section == name);
    if exports("__new") && exports("__pin") || exports("__alloc") && exports("__retain") {
        Some("AssemblyScript")
    } else if has_section("go:buildid") || has_section("go.buildid") {
        Some("Go")
    } else if has_section("emscripten_metadata")
        || facts.imports.iter().any(|import| import.name == "emscripten_notify_memory_growth")
    {
        Some("C++")
    } else {
        None
    }
}

/// The SDK of this language that a module was made with.
fn sdk(module: &[u8], facts: &Facts, language: &str) -> Option<&'static str> {
    let traced = SDK_TRACES.iter().find(|(text, of, _)| *of == language && contains(module, text));
    // These two leave no trace but what they export.
    let exports = |name: &str| facts.exported_function(name).is_some();
    let both = exports("proxy_on_context_create") && exports("malloc");
    traced.map(|(_, _, sdk)| *sdk).or_else(|| match language {
        "Rust" => crate_version(module).map(|_| RUST_SDK),
        "C++" if both => Some("proxy-wasm C++ SDK"),
        "AssemblyScript" if both => Some("proxy-wasm AssemblyScript SDK"),
        _ => None,
    })
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
fn crate_version(module: &[u8]) -> Option<String> {
    let prefix = RUST_CRATE.as_bytes();
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

    fn toolchain(text: &str) -> (Option<&'static str>, Option<&'static str>) {
        let module = wat::parse_str(text).unwrap();
        let found = Toolchain::of(&module, &Facts::read(&module).unwrap());
        (found.language, found.sdk)
    }

    #[test]
    fn version_in_a_path() {
        let module = b"x/proxy-wasm-cpp/ /index/proxy-wasm-0.2.2/src/dispatcher.rs";
        assert_eq!(crate_version(module).as_deref(), Some("0.2.2"));
        assert_eq!(crate_version(b"/proxy-wasm-"), None);
    }

    #[test]
    fn toolchains() {
        let exports = r#"(func (export "malloc")) (func (export "proxy_on_context_create"))"#;
        let memory = r#"(memory 1) (data "/build/proxy-wasm-0.2.2/src/lib.rs")"#;
        let go = r#"(memory 1) (data "github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm")"#;
        for (text, expected) in [
            (String::from("(module)"), (None, None)),
            (format!("(module {memory})"), (Some("Rust"), Some("proxy-wasm Rust SDK"))),
            (
                format!(r#"(module {go} (@producers (processed-by "TinyGo" "0.34")))"#),
                (Some("Go"), Some("proxy-wasm Go SDK")),
            ),
            (String::from(r#"(module (@producers (language "C11" "") (language "Rust" "")))"#), (Some("Rust"), None)),
            (
                String::from(r#"(module (@producers (language "C11" "") (processed-by "rustc" "1")))"#),
                (Some("Rust"), None),
            ),
            // The C is the compiler's runtime library.
            (
                format!(r#"(module {go} (@producers (language "C99" "") (processed-by "clang" "14")))"#),
                (Some("Go"), Some("proxy-wasm Go SDK")),
            ),
            (
                String::from(
                    r#"(module (memory 1) (data "/src/proxy-wasm-go-host/x")
                         (@producers (language "C99" "") (processed-by "clang" "11 (tinygo-org/llvm-project)")))"#,
                ),
                (Some("Go"), None),
            ),
            (String::from(r#"(module (@producers (language "C99" "")))"#), (Some("C"), None)),
            (
                format!(r#"(module {exports} (@producers (language "C_plus_plus_14" "")))"#),
                (Some("C++"), Some("proxy-wasm C++ SDK")),
            ),
            (
                format!(r#"(module {exports} (@custom "emscripten_metadata" ""))"#),
                (Some("C++"), Some("proxy-wasm C++ SDK")),
            ),
            (
                format!(r#"(module {exports} (memory 1) (data "N10__cxxabiv1E\00St9exception\00"))"#),
                (Some("C++"), Some("proxy-wasm C++ SDK")),
            ),
            (
                format!(r#"(module {exports} (func (export "__new")) (func (export "__pin")))"#),
                (Some("AssemblyScript"), Some("proxy-wasm AssemblyScript SDK")),
            ),
        ] {
            assert_eq!(toolchain(&text), expected, "{text}");
        }
    }
}
