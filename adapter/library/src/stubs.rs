//! Stands in for imports that are no host calls, when the user asked for it: a call of one traps, with a name that says why.
//! One of a product whose filters are taken returns `UNIMPLEMENTED`.
//!
//! For each module name with such imports there is one module, which hands the host calls of that module name through:
//!
//! ```text
//! filter ──env.proxy_log──► shim                    filter ──env.proxy_log──► stubs-env ──► shim
//!        ──env.magic──────► ?              becomes         ──env.magic──────► stubs-env: unreachable
//! ```

use proxy_wasm_abi::bridge::SHIM;
use proxy_wasm_abi::enums::Status;
use proxy_wasm_abi::higress;
use proxy_wasm_abi::host_calls::HostCall;
use proxy_wasm_abi::settings::Profile;

use crate::builder::Builder;
use crate::facts::{Facts, Item};
use crate::part::{Part, Source};

/// Says for each module name that a filter imports from what it gets: the shim, or a module of stubs before it, which is
/// added to the parts.
///
/// `aliases` are module names that stand for others.
pub(crate) fn wire(
    facts: &Facts,
    aliases: &[(String, String)],
    profile: Profile,
    parts: &mut Vec<Part<'_>>,
) -> Vec<(String, Source)> {
    let mut wired: Vec<(String, Source)> = Vec::new();
    for import in &facts.imports {
        let module = &import.module;
        if wired.iter().any(|(known, _)| known == module) {
            continue;
        }
        let meaning = aliases.iter().find(|(alias, _)| alias == module).map_or(module, |(_, of)| of);
        let source = match stubs(facts, module, meaning, profile) {
            None => Source::Shim,
            Some(bytes) => {
                let name = format!("stubs-{}", parts.len());
                let imports = vec![(SHIM.into(), Source::Shim)];
                parts.push(Part { name: name.clone(), bytes: bytes.into(), imports });
                Source::Part(name)
            }
        };
        wired.push((module.clone(), source));
    }
    wired
}

/// The module that stands in for one of the filter's import modules, unless all of that are host calls.
fn stubs(facts: &Facts, module: &str, meaning: &str, profile: Profile) -> Option<Vec<u8>> {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for import in facts.imports.iter().filter(|import| import.module == module) {
        let Item::Function(signature) = &import.item else { continue };
        match HostCall::find(meaning, &import.name) {
            Some(_) => known.push((&import.name, signature)),
            None => unknown.push((&import.name, signature)),
        }
    }
    if unknown.is_empty() {
        return None;
    }
    let mut builder = Builder::new(format!("proxy-wasm stubs for `{meaning}`"));
    for (name, signature) in known {
        let function = builder.import_function(SHIM, name, signature);
        builder.export(name, function);
    }
    for (name, signature) in unknown {
        if higress::HostCall::find(meaning, name, profile).is_some() {
            builder.named_function(name, &format!("{meaning}.{name} (Higress's, unimplemented)"), signature, |code| {
                code.i32_const(Status::Unimplemented as i32);
            });
            continue;
        }
        builder.named_function(name, &format!("{meaning}.{name} (unknown import, stubbed)"), signature, |code| {
            code.unreachable();
        });
    }
    Some(builder.finish())
}
