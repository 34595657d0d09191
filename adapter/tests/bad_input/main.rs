//! What the command says of input that it cannot take: one file in `bad-input/` for each case, with the exit code, all of
//! stderr, and the files that are there afterwards.
//!
//! `BLESS=1 cargo test -p proxy-wasm-adapter --test bad_input` writes them.

mod compositions;
mod configurations;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use proxy_wasm_adapter_testing::{filter, filter_text, wat};

struct Case {
    name: &'static str,
    /// Files that are there at the start.
    files: Vec<(&'static str, Vec<u8>)>,
    args: Vec<&'static str>,
}

/// `adapt` of `filter.wasm`, with settings that are right.
fn adapt(name: &'static str, filter: Vec<u8>) -> Case {
    settings(name, filter, &["--direct-response", "200"])
}

/// `adapt` of `filter.wasm`, with these settings.
fn settings(name: &'static str, filter: Vec<u8>, more: &[&'static str]) -> Case {
    let args = ["adapt", "filter.wasm", "-o", "out.wasm"].iter().chain(more).copied().collect();
    Case { name, files: vec![("filter.wasm", filter)], args }
}

fn command(name: &'static str, filter: Vec<u8>, args: &[&'static str]) -> Case {
    Case { name, files: vec![("filter.wasm", filter)], args: args.to_vec() }
}

/// A settings file beside a filter that is right.
fn settings_file(name: &'static str, text: &str) -> Case {
    Case {
        name,
        files: vec![("filter.wasm", filter("")), ("plugin.toml", text.as_bytes().to_vec())],
        args: vec!["adapt", "filter.wasm", "-o", "out.wasm", "--settings", "plugin.toml"],
    }
}

fn adapted() -> Vec<u8> {
    proxy_wasm_adapter::adapt(&[filter("")], &proxy_wasm_adapter_testing::options()).unwrap().component
}

/// A filter without some line of [`filter_text`].
fn without(part: &str) -> Vec<u8> {
    let text = filter_text("");
    let kept: Vec<&str> = text.lines().filter(|line| !line.contains(part)).collect();
    // Each line closes what it opens, but the last closes the module too.
    let text = kept.join("\n");
    let closed = if text.matches('(').count() > text.matches(')').count() { text + ")" } else { text };
    wat(&closed)
}

/// A tar archive with a filter in it.
fn layer() -> Vec<u8> {
    let mut archive = vec![0; 512];
    archive[..11].copy_from_slice(b"plugin.wasm");
    archive[124..135].copy_from_slice(b"00000000010");
    archive[257..262].copy_from_slice(b"ustar");
    archive.extend_from_slice(b"\0asm\x01\0\0\0");
    archive.resize(2048, 0);
    archive
}

fn flipped() -> Vec<u8> {
    let mut bytes = filter("");
    // In the type section: a type that is none.
    bytes[12] ^= 0xff;
    bytes
}

/// A filter that does this when it is configured.
fn configures(code: &str) -> Vec<u8> {
    filter(&format!(
        r#"(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
           (func (export "proxy_on_configure") (param i32 i32) (result i32) {code})"#
    ))
}

/// Filters that can't be started before.
fn not_preinitialised() -> Vec<Case> {
    let route = ["--direct-response", "200"];
    let adapt = |name, code, options: &[&'static str]| settings(name, configures(code), &[&route, options].concat());
    let draws = "(drop (call $random (i32.const 0) (i32.const 16))) (i32.const 1)";
    vec![
        adapt("preinit-random", draws, &["--preinit"]),
        adapt("preinit-random-tried", draws, &["--preinit=try"]),
        adapt("preinit-refused", "(i32.const 0)", &["--preinit"]),
        adapt("preinit-trapped", "(unreachable)", &["--preinit"]),
        adapt("preinit-allow-alone", draws, &["--preinit-allow", "random"]),
        adapt("preinit-of-another-word", draws, &["--preinit=maybe"]),
    ]
}

fn not_a_filter() -> Vec<Case> {
    vec![
        adapt("empty", Vec::new()),
        adapt("not-wasm-text", b"hello".to_vec()),
        adapt("not-wasm-binary", b"\x01\xfe\x03".to_vec()),
        adapt("not-wasm-elf", b"\x7fELF\x02".to_vec()),
        adapt("not-wasm-html", b"<!DOCTYPE html>".to_vec()),
        adapt("not-wasm-gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x63\x48\x2c\xce\x65\x64\x60\x60\x00\x00".to_vec()),
        adapt("not-wasm-layer", layer()),
        adapt("not-wasm-base64", b"AGFzbQEAAAA=".to_vec()),
        command("inspect-a-directory", filter(""), &["inspect", "."]),
        adapt("text-format", b"(module\n  (func (export \"f\") i32.sub)\n  (oops))".to_vec()),
        adapt("component", wat("(component)")),
        adapt("adapted-component", adapted()),
        adapt("truncated", filter("")[..60].to_vec()),
        adapt("truncated-header", b"\0asm\x01".to_vec()),
        adapt("flipped-byte", flipped()),
        adapt("does-not-validate", wat("(module (func (result i32)))")),
        adapt("proposal", wat("(module (func try catch_all end))")),
        adapt("no-marker", without("proxy_abi_version")),
        adapt("unknown-marker", {
            let text = filter_text("").replace("proxy_abi_version_0_2_1", "proxy_abi_version_0_2_100");
            wat(&text)
        }),
        adapt("several-markers", filter(r#"(func (export "proxy_abi_version_0_1_0"))"#)),
        adapt(
            "before-the-abi",
            wat(r#"(module (import "env" "memory" (memory 256)) (import "env" "table" (table 2 funcref))
                     (import "env" "DYNAMICTOP_PTR" (global i32)) (import "env" "abort" (func (param i32)))
                     (import "env" "_proxy_log" (func (param i32 i32 i32))) (func (export "_proxy_onStart")))"#),
        ),
        adapt(
            "http-wasm",
            wat(r#"(module (import "http_handler" "get_uri" (func (param i32 i32) (result i32)))
                     (memory (export "memory") 1) (func (export "handle_request") (result i64) i64.const 0))"#),
        ),
        adapt("unknown-marker-of-a-fork", {
            let text = filter_text("").replace("proxy_abi_version_0_2_1", "proxy_abi_mosn_version_0_1_0");
            wat(&text)
        }),
        adapt(
            "tcp-only",
            wat(r#"(module (memory (export "memory") 1)
                     (func (export "proxy_abi_version_0_2_1"))
                     (func (export "malloc") (param i32) (result i32) i32.const 0)
                     (func (export "proxy_on_new_connection") (param i32) (result i32) i32.const 0)
                     (func (export "proxy_on_downstream_data") (param i32 i32 i32) (result i32) i32.const 0))"#),
        ),
        adapt("no-allocator", without("malloc")),
        adapt("no-memory", without(r#"(memory (export"#)),
        adapt(
            "callback-signature",
            filter(
                r#"(func (export "proxy_on_request_headers") (param i32) (result i32) i32.const 0)
                   (func (export "proxy_on_log") (param i64))"#,
            ),
        ),
        adapt("several-at-once", {
            wat(r#"(module (import "env" "proxy_log" (func (param i32)))
                     (import "env" "a" (func)) (import "b" "c" (func (param i64 f32) (result i32)))
                     (import "env" "memory" (memory 1)))"#)
        }),
    ]
}

fn unsupported() -> Vec<Case> {
    vec![
        adapt("unknown-import", filter(r#"(import "env" "proxy_magic" (func (param i32) (result i32)))"#)),
        adapt(
            "unknown-imports",
            filter(
                r#"(import "env" "proxy_redis_call" (func (param i32 i32 i32) (result i32)))
                   (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
                   (import "go" "runtime.wasmExit" (func (param i32)))
                   (import "env" "proxy_redis_call" (func (param i32 i32 i32) (result i32)))"#,
            ),
        ),
        adapt(
            "imports-of-higress",
            filter(
                r#"(import "env" "proxy_redis_init" (func (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
                   (import "env" "proxy_redis_call" (func (param i32 i32 i32 i32 i32) (result i32)))"#,
            ),
        ),
        adapt(
            "imports-of-products",
            filter(
                r#"(import "env" "proxy_redis_init" (func (param i32) (result i32)))
                   (import "env" "proxy_redis_call" (func (param i32) (result i32)))
                   (import "env" "proxy_create_timer" (func (param i32) (result i32)))"#,
            ),
        ),
        adapt("import-signature", filter(r#"(import "env" "proxy_log" (func (param i32 i32) (result i32)))"#)),
        adapt("imported-memory", {
            let more = r#"(import "env" "memory" (memory 1))"#;
            wat(&filter_text(more).replace(r#"(memory (export "memory") 1)"#, r#"(export "memory" (memory 0))"#))
        }),
        adapt("imported-table", filter(r#"(import "env" "__indirect_function_table" (table 1 funcref))"#)),
        adapt("imported-global", filter(r#"(import "env" "__memory_base" (global i32))"#)),
        adapt("imported-tag", filter(r#"(import "env" "__cpp_exception" (tag (param i32)))"#)),
        adapt("memory64", wat(&filter_text("").replace(r#""memory") 1"#, r#""memory") i64 1"#))),
        adapt("shared-memory", wat(&filter_text("").replace(r#""memory") 1"#, r#""memory") 1 2 shared"#))),
        adapt("two-memories", filter("(memory $other 1)")),
        adapt("large-table", filter("(table 20001 funcref)")),
        adapt("no-http-callback", without("proxy_on_response_headers")),
    ]
}

fn bad_settings() -> Vec<Case> {
    vec![
        settings("no-route", filter(""), &[]),
        settings("two-routes", filter(""), &["--upstream", "http://a", "--direct-response", "200"]),
        settings("next-and-upstream", filter(""), &["--next", "handler", "--upstream", "http://a"]),
        settings("next-on-wasi-0-2", filter(""), &["--next", "handler", "--wasi", "0.2"]),
        settings("timeout-without-upstream", filter(""), &["--direct-response", "200", "--upstream-timeout", "5"]),
        settings("bad-url", filter(""), &["--upstream", "ftp://example.org", "--cluster", "auth=http://auth/path"]),
        settings("bad-status", filter(""), &["--direct-response", "99:hello"]),
        settings("bad-log-level", filter(""), &["--direct-response", "200", "--log-level", "loud"]),
        settings("unreadable-config", filter(""), &["--direct-response", "200", "--config", "missing.json"]),
        settings("unreadable-settings", filter(""), &["--settings", "missing.toml"]),
        settings(
            "environment",
            filter(""),
            &["--direct-response", "200", "--env", "A=1", "--env", "A=2", "--env", "=3"],
        ),
        settings("pair-without-equals", filter(""), &["--direct-response", "200", "--env", "A"]),
        settings(
            "properties",
            filter(""),
            &[
                "--direct-response",
                "200",
                "--property",
                "a..b=1",
                "--property",
                "source.port=http",
                "--property-header",
                "source.address=x y",
            ],
        ),
        settings_file("settings-unknown-key", "upstream = 'http://a'\nrootid = 'b'\n"),
        settings_file("settings-unknown-key-within", "direct_response = { status = 200, text = 'a' }\n"),
        settings_file("settings-type", "upstream = 80\n"),
        settings_file("settings-syntax", "upstream = 'http://a\n"),
        settings_file("settings-key-twice", "upstream = 'http://a'\n[environment]\nA = '1'\nA = '2'\n"),
        settings_file("settings-configuration", "upstream = 'http://a'\nconfiguration = 5\n"),
        settings_file("settings-configuration-twice", "configuration = 'a'\nconfiguration_file = 'b'\n"),
        settings_file("settings-property", "upstream = 'http://a'\nproperties.a.b = [1]\n"),
        settings_file("settings-two-routes", "upstream = 'http://a'\ndirect_response = 200\n"),
        settings_file("settings-file-missing", "upstream = 'http://a'\nconfiguration_file = 'dir/missing.json'\n"),
        settings("quantity-of-time", filter(""), &["--upstream", "http://a", "--upstream-timeout", "soon"]),
        settings("quantity-of-bytes", filter(""), &["--upstream", "http://a", "--buffer-limit", "64MB"]),
        settings("quantity-that-is-not-whole", filter(""), &["--upstream", "http://a", "--upstream-timeout", "0.1ms"]),
        settings_file("settings-quantity", "upstream = 'http://a'\nbuffer_limit = '1 megabyte'\n"),
        settings_file("settings-route-in-a-table", "[clusters]\nauth = 'http://a'\nupstream = 'http://b'\n"),
        settings_file("route-besides-an-upstream", "upstream = 'http://a'\n[[route]]\ncluster = 'b'\n"),
        settings_file("route-of-nothing", "[[route]]\ntimeout = '1s'\n"),
        settings_file("route-to-no-cluster", "[[route]]\ncluster = 'b'\n[clusters.a]\nurl = 'http://a'\n"),
        settings_file("route-unknown-key", "[[route]]\ncluster = 'a'\nprefix = '/'\n"),
        settings_file(
            "routes-wrong-in-many-ways",
            "upstream = 'http://a'
             [[virtual_host]]
             name = 'a'
             domains = ['A.example', 'a.*.b']
             [[virtual_host.route]]
             match = { regex = '(?=a)' }
             cluster = 'nowhere'
             request_headers = { add = [{ name = 'host', value = '%NO%' }] }
             [[virtual_host.route]]
             name = 'r'
             match = { prefix = '/', path = '/' }
             redirect = { status = 200 }
             timeout = '1s'
             [[virtual_host]]
             domains = ['a.example']
             ",
        ),
        settings_file("cluster-of-the-upstreams-name", "upstream = 'http://a'\nclusters.upstream = 'http://b'\n"),
        settings_file("cluster-without-a-url", "upstream = 'http://a'\n[clusters.b]\nuri = 'http://b'\n"),
        settings_file("settings-bridge", "upstream = 'http://a'\nbridge = 'drawbridge'\n"),
    ]
}

fn files_and_usage() -> Vec<Case> {
    const ROUTE: [&str; 2] = ["--direct-response", "200"];
    let adapt = |name, filter, args: &[&'static str]| command(name, filter, &[&["adapt"], args, &ROUTE].concat());
    vec![
        adapt("filter-missing", filter(""), &["missing.wasm", "-o", "out.wasm"]),
        adapt("filter-is-a-directory", filter(""), &[".", "-o", "out.wasm"]),
        adapt("output-is-the-input", filter(""), &["filter.wasm", "-o", "filter.wasm"]),
        adapt("output-is-the-input-by-another-name", filter(""), &["filter.wasm", "-o", "./././filter.wasm"]),
        adapt("output-is-a-directory", filter(""), &["filter.wasm", "-o", "."]),
        adapt("output-in-no-directory", filter(""), &["filter.wasm", "-o", "missing/out.wasm"]),
        command("filter-and-settings", b"hello".to_vec(), &["adapt", "filter.wasm", "-o", "out.wasm"]),
        adapt("full-disk", filter(""), &["filter.wasm", "-o", "/dev/full"]),
        command("extract-from-a-module", filter(""), &["extract", "filter.wasm", "-o", "out.wasm"]),
        command("extract-from-text", b"hello".to_vec(), &["extract", "filter.wasm", "-o", "out.wasm"]),
        command("extract-from-another-component", wat("(component)"), &["extract", "filter.wasm", "-o", "out.wasm"]),
        command("extract-from-a-newer-one", newer(), &["extract", "filter.wasm", "-o", "out.wasm"]),
        command("extract-from-a-changed-one", changed(), &["extract", "filter.wasm", "-o", "out.wasm"]),
        command("extract-onto-itself", adapted(), &["extract", "filter.wasm", "-o", "filter.wasm"]),
        command("serve-text", b"hello".to_vec(), &["serve", "filter.wasm", "--direct-response", "200"]),
        command("serve-without-a-route", filter(""), &["serve", "filter.wasm"]),
        command(
            "serve-listen-without-an-address",
            filter(""),
            &["serve", "filter.wasm", "--direct-response", "200", "--listen", ":8080"],
        ),
        command("serve-adapted-with-options", adapted(), &["serve", "filter.wasm", "--root-id", "a"]),
        command("no-output", filter(""), &["adapt", "filter.wasm", "--direct-response", "200"]),
    ]
}

fn chains() -> Vec<Case> {
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

fn newer() -> Vec<u8> {
    replace(adapted(), br#"{"form":1,"#, br#"{"form":9,"#)
}

fn changed() -> Vec<u8> {
    // The shim stands before the filter and has no such name.
    replace(adapted(), b"\x06malloc", b"\x06mallox")
}

/// Replaces the first of `from`.
fn replace(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes[at..at + from.len()].copy_from_slice(to);
    bytes
}

/// Runs the command, and tells all that came of it.
fn run(case: &Case) -> String {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in &case.files {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_proxy-wasm-adapter"))
        .args(&case.args)
        .current_dir(&directory)
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "stdout is for the product");
    for (name, bytes) in &case.files {
        assert_eq!(&fs::read(directory.path().join(name)).unwrap(), bytes, "{name} is as it was");
    }
    format!(
        "$ proxy-wasm-adapter {}\n{}\nexit code: {}\nfiles: {}\n",
        case.args.join(" "),
        String::from_utf8_lossy(&output.stderr).trim_end(),
        output.status.code().map_or("none".into(), |code| code.to_string()),
        names(directory.path()).join(", "),
    )
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad-input").join(format!("{name}.txt"))
}

fn compare(name: &str, found: &str) -> Result<(), Failed> {
    let file = golden(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, found).map_err(|error| error.to_string())?;
        return Ok(());
    }
    let expected = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    if expected == found {
        return Ok(());
    }
    Err(format!("--- {}\n{expected}\n--- found\n{found}", file.display()).into())
}

fn main() {
    let cases = [
        not_a_filter(),
        unsupported(),
        bad_settings(),
        files_and_usage(),
        chains(),
        compositions::cases(),
        not_preinitialised(),
        configurations::cases(),
    ];
    let cases: Vec<Case> = cases.into_iter().flatten().collect();
    let expected: Vec<String> = names(golden("").parent().unwrap());
    let stale = expected.into_iter().filter(|file| !cases.iter().any(|case| format!("{}.txt", case.name) == *file));
    let stale: Vec<String> = stale.collect();
    let mut trials: Vec<Trial> =
        cases.into_iter().map(|case| Trial::test(case.name, move || compare(case.name, &run(&case)))).collect();
    trials.push(Trial::test("no-stale-files", move || {
        if stale.is_empty() { Ok(()) } else { Err(format!("without a case: {stale:?}").into()) }
    }));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
