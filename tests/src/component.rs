//! What stands in a finished component.

use anyhow::Result;
use wasmparser::{Parser, Payload};

/// What the proxy world of wasi:http 0.2.0 imports.
pub const PROXY_WORLD: &[&str] = &[
    "wasi:random/random@0.2.0",
    "wasi:io/error@0.2.0",
    "wasi:io/poll@0.2.0",
    "wasi:io/streams@0.2.0",
    "wasi:cli/stdout@0.2.0",
    "wasi:cli/stderr@0.2.0",
    "wasi:cli/stdin@0.2.0",
    "wasi:clocks/monotonic-clock@0.2.0",
    "wasi:clocks/wall-clock@0.2.0",
    "wasi:http/types@0.2.0",
    "wasi:http/outgoing-handler@0.2.0",
];

/// What the worlds of wasi:http 0.3.0 import besides the next handler.
pub const SERVICE_WORLD: &[&str] = &[
    "wasi:cli/types@0.3.0",
    "wasi:cli/stdout@0.3.0",
    "wasi:cli/stderr@0.3.0",
    "wasi:cli/stdin@0.3.0",
    "wasi:clocks/types@0.3.0",
    "wasi:clocks/monotonic-clock@0.3.0",
    "wasi:clocks/system-clock@0.3.0",
    "wasi:random/random@0.3.0",
    "wasi:random/insecure@0.3.0",
    "wasi:random/insecure-seed@0.3.0",
    "wasi:http/types@0.3.0",
    "wasi:http/client@0.3.0",
];

/// What a middleware is composed by: it exports it and imports it.
pub const HANDLER: &str = "wasi:http/handler@0.3.0";

/// The names of a component's imports.
///
/// # Errors
/// It is malformed.
pub fn imports(component: &[u8]) -> Result<Vec<String>> {
    names(component, |payload, names| {
        if let Payload::ComponentImportSection(section) = payload {
            for import in section {
                names.push(import?.name.name.to_string());
            }
        }
        Ok(())
    })
}

/// The names of a component's exports.
///
/// # Errors
/// It is malformed.
pub fn exports(component: &[u8]) -> Result<Vec<String>> {
    names(component, |payload, names| {
        if let Payload::ComponentExportSection(section) = payload {
            for export in section {
                names.push(export?.name.name.to_string());
            }
        }
        Ok(())
    })
}

/// Those of the outermost component only.
fn names(component: &[u8], read: impl Fn(Payload<'_>, &mut Vec<String>) -> Result<()>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ComponentSection { .. } | Payload::ModuleSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            payload if depth == 0 => read(payload, &mut names)?,
            _ => {}
        }
    }
    Ok(names)
}
