//! Files that are no filters, and filters that cannot be adapted.

use proxy_wasm_adapter_testing::{filter, filter_text, wat};

use super::{Case, adapt, adapted, command, without};

pub(super) fn not_a_filter() -> Vec<Case> {
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

pub(super) fn unsupported() -> Vec<Case> {
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
