//! What a component is on a request's way, and the parts of one that was composed of others: by this program, by `wac` or by
//! a host.
//!
//! ```text
//! component ── exports handler ─► instance of part 1 ── imports handler ─► instance of part 2 ── … ─► the last
//! ```

use std::ops::Range;

use serde::Serialize;
use wasmparser::{ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentTypeRef, Parser, Payload, Result};

use crate::check::is_component;
use crate::exports::EXCHANGE;

/// The interface that adapted components for WASI 0.3 export, and import for the next one.
pub const HANDLER: &str = "wasi:http/handler@0.3.0";

/// The interfaces by which adapted components for WASI 0.3 let a host ask and tend their plugins.
pub const OF_PLUGINS: [&str; 2] = ["proxy-wasm:adapter/plugin@0.2.0", "proxy-wasm:adapter/upkeep@0.2.0"];

/// What the interface begins with in the versions that fit that one.
const HANDLER_OF_0_3: &str = "wasi:http/handler@0.3.";

/// What the interface of WASI 0.2 begins with; its versions fit one another.
const HANDLER_OF_0_2: &str = "wasi:http/incoming-handler@0.2.";

/// Parts within parts: more than anyone composes.
const DEPTH_MAX: usize = 32;

/// Parts, counted as often as a request passes them: a small file can name one within another twice, and so on.
const PARTS_MAX: usize = 256;

/// Whether a component takes requests by `proxy-wasm:adapter/exchange`.
pub fn takes_exchanges(component: &[u8]) -> bool {
    Outline::of(component).is_some_and(|outline| outline.exports.iter().any(|name| name == EXCHANGE))
}

/// What a component is on a request's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hop {
    /// It answers requests, or sends them out: for WASI 0.3.
    Service,
    /// It hands requests to the handler that it imports: for WASI 0.3.
    Middleware,
    /// It answers requests, or sends them out: for WASI 0.2.
    #[serde(rename = "service-of-0.2")]
    ServiceOf02,
    /// It hands requests to the handler that it imports: for WASI 0.2.
    #[serde(rename = "middleware-of-0.2")]
    MiddlewareOf02,
    /// It is a handler for both.
    Both,
}

impl Hop {
    /// What this is; `None`: it handles no requests, or is no component.
    pub fn of(component: &[u8]) -> Option<Self> {
        let outline = Outline::of(component)?;
        let has = |names: &[String], of_0_2| names.iter().any(|name| is_handler(name, of_0_2));
        match (has(&outline.exports, false), has(&outline.exports, true)) {
            (true, true) => Some(Self::Both),
            (true, false) if has(&outline.imports, false) => Some(Self::Middleware),
            (true, false) => Some(Self::Service),
            (false, true) if has(&outline.imports, true) => Some(Self::MiddlewareOf02),
            (false, true) => Some(Self::ServiceOf02),
            (false, false) => None,
        }
    }

    /// What messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "a service for WASI 0.3",
            Self::Middleware => "middleware for WASI 0.3",
            Self::ServiceOf02 => "a service for WASI 0.2",
            Self::MiddlewareOf02 => "middleware for WASI 0.2",
            Self::Both => "a handler for WASI 0.2 and for 0.3",
        }
    }

    /// Whether no host runs it by itself: it imports the handler behind it.
    pub fn needs_next(self) -> bool {
        matches!(self, Self::Middleware | Self::MiddlewareOf02)
    }
}

fn is_handler(name: &str, of_0_2: bool) -> bool {
    // Release candidates fit nothing.
    let version = name.strip_prefix(if of_0_2 { HANDLER_OF_0_2 } else { HANDLER_OF_0_3 });
    version.is_some_and(|version| version.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The names by which a component exports a handler for WASI 0.3, and imports the next one.
pub fn handlers(component: &[u8]) -> (Option<String>, Option<String>) {
    let outline = Outline::of(component).unwrap_or_default();
    let find = |names: Vec<String>| names.into_iter().find(|name| is_handler(name, false));
    (find(outline.exports), find(outline.imports))
}

/// Whether a host can ask and tend the plugins of a component for WASI 0.3.
pub fn shows_plugins(component: &[u8]) -> bool {
    let exports = Outline::of(component).unwrap_or_default().exports;
    OF_PLUGINS.iter().all(|name| exports.iter().any(|export| export == name))
}

/// The parts of a component that was composed, in the order in which a request passes them, up to a number that nobody
/// reaches; none: it was not composed.
pub fn parts(component: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    collect(component, DEPTH_MAX, &mut parts);
    parts
}

fn collect<'a>(component: &'a [u8], depth: usize, parts: &mut Vec<&'a [u8]>) {
    let Some(outline) = Outline::of(component).filter(|_| depth > 0) else { return };
    for part in outline.chain().filter_map(|range| component.get(range)) {
        let before = parts.len();
        if before >= PARTS_MAX {
            return;
        }
        collect(part, depth - 1, parts);
        if parts.len() == before {
            parts.push(part);
        }
    }
}

/// What is read of the outermost component.
#[derive(Default)]
struct Outline {
    imports: Vec<String>,
    exports: Vec<String>,
    /// Where the components within it are, with whether a core module is in them: those without one only give an interface
    /// its name. `None`: it is not within it.
    components: Vec<Option<(Range<usize>, bool)>>,
    instances: Vec<Instance>,
    /// The instance that is its handler.
    handler: Option<usize>,
}

/// An instance, by what becomes of a request there.
enum Instance {
    /// It is one of this component, and gets that instance as its next handler.
    Of {
        component: usize,
        next: Option<usize>,
    },
    /// It is the same, or a part of it.
    Same(usize),
    Other,
}

impl Outline {
    fn of(component: &[u8]) -> Option<Self> {
        if !is_component(component) {
            return None;
        }
        let mut outline = Self::default();
        outline.read(component).ok()?;
        Some(outline)
    }

    fn read(&mut self, component: &[u8]) -> Result<()> {
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            match payload? {
                Payload::ModuleSection { .. } => {
                    if depth > 0
                        && let Some(Some((_, has_module))) = self.components.last_mut()
                    {
                        *has_module = true;
                    }
                    depth += 1;
                }
                Payload::ComponentSection { unchecked_range, .. } => {
                    if depth == 0 {
                        let index = |at| usize::try_from(at).unwrap_or(usize::MAX);
                        self.components.push(Some((index(unchecked_range.start)..index(unchecked_range.end), false)));
                    }
                    depth += 1;
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                payload if depth == 0 => self.section(payload)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn section(&mut self, payload: Payload<'_>) -> Result<()> {
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section {
                    let import = import?;
                    self.imports.push(import.name.name.to_owned());
                    match import.ty {
                        ComponentTypeRef::Component(_) => self.components.push(None),
                        ComponentTypeRef::Instance(_) => self.instances.push(Instance::Other),
                        _ => {}
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    self.instances.push(match instance? {
                        ComponentInstance::Instantiate { component_index, args } => {
                            let is_next = |name: &str| is_handler(name, false) || is_handler(name, true);
                            let next = args.iter().find(|arg| is_next(arg.name)).map(|arg| arg.index as usize);
                            Instance::Of { component: component_index as usize, next }
                        }
                        ComponentInstance::FromExports(_) => Instance::Other,
                    });
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    match alias? {
                        ComponentAlias::InstanceExport {
                            kind: ComponentExternalKind::Instance,
                            instance_index,
                            ..
                        } => {
                            self.instances.push(Instance::Same(instance_index as usize));
                        }
                        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. }
                        | ComponentAlias::Outer { kind: wasmparser::ComponentOuterAliasKind::Component, .. } => {
                            self.components.push(None);
                        }
                        _ => {}
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    let export = export?;
                    let name = export.name.name;
                    self.exports.push(name.to_owned());
                    match export.kind {
                        ComponentExternalKind::Instance => {
                            let index = export.index as usize;
                            if is_handler(name, false) || is_handler(name, true) {
                                self.handler = Some(index);
                            }
                            self.instances.push(Instance::Same(index));
                        }
                        ComponentExternalKind::Component => self.components.push(None),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Where the components are that a request passes.
    fn chain(&self) -> impl Iterator<Item = Range<usize>> {
        let mut at = self.handler;
        // Instances refer to earlier ones, so this ends; a file that says otherwise is bounded by their number.
        let steps = (0..self.instances.len()).map_while(move |_| {
            let instance = self.instances.get(at?)?;
            at = match instance {
                Instance::Of { next, .. } => *next,
                Instance::Same(other) => Some(*other),
                Instance::Other => None,
            };
            Some(instance)
        });
        steps.filter_map(|instance| match instance {
            Instance::Of { component, .. } => match self.components.get(*component)? {
                Some((range, true)) => Some(range.clone()),
                _ => None,
            },
            Instance::Same(_) | Instance::Other => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component with a core module, which exports a handler as `exports` says, and may import one.
    fn part(name: &str, imports: bool) -> String {
        let import = if imports { format!(r#"(import "{HANDLER}" (instance))"#) } else { String::new() };
        format!(r#"(component ${name} {import} (core module) (instance $own) (export "{HANDLER}" (instance $own)))"#)
    }

    #[test]
    fn parts_are_found_in_the_order_of_requests() {
        let text = format!(
            r#"(component {} {} (component $names (instance $own) (export "{HANDLER}" (instance $own)))
              (instance $s (instantiate $service))
              (alias export $s "{HANDLER}" (instance $next))
              (instance $m (instantiate $middleware (with "{HANDLER}" (instance $next))))
              (alias export $m "{HANDLER}" (instance $first))
              (export "{HANDLER}" (instance $first)))"#,
            part("service", false),
            part("middleware", true),
        );
        let composed = wat::parse_str(&text).unwrap();
        let hops: Vec<_> = parts(&composed).into_iter().map(Hop::of).collect();
        assert_eq!(hops, [Some(Hop::Middleware), Some(Hop::Service)]);
        assert_eq!(Hop::of(&composed), Some(Hop::Service));
        // Composed once more: the parts are the same.
        let outer = format!(
            r#"(component {text} (instance $i (instantiate 0))
              (alias export $i "{HANDLER}" (instance $h)) (export "{HANDLER}" (instance $h)))"#
        );
        assert_eq!(parts(&wat::parse_str(outer).unwrap()).len(), 2);
    }

    #[test]
    fn parts_that_double_at_each_level_are_bounded() {
        let mut text = part("part", true);
        for level in 0..24 {
            let inner = text.replacen("(component", &format!("(component $of{level}"), 1).replacen("$part", "", 1);
            text = format!(
                r#"(component (import "{HANDLER}" (instance $last)) {inner}
                  (instance $b (instantiate $of{level} (with "{HANDLER}" (instance $last))))
                  (alias export $b "{HANDLER}" (instance $second))
                  (instance $a (instantiate $of{level} (with "{HANDLER}" (instance $second))))
                  (alias export $a "{HANDLER}" (instance $first))
                  (export "{HANDLER}" (instance $first)))"#
            );
        }
        assert_eq!(parts(&wat::parse_str(text).unwrap()).len(), PARTS_MAX);
    }

    #[test]
    fn what_was_not_composed_has_no_parts() {
        for text in ["(module)", "(component)", &part("alone", false)] {
            assert!(parts(&wat::parse_str(text).unwrap()).is_empty(), "{text}");
        }
        assert_eq!(Hop::of(b"hello"), None);
        assert_eq!(Hop::of(&wat::parse_str("(component)").unwrap()), None);
    }

    #[test]
    fn both_generations_are_known() {
        let of = |names: &[&str], imports: &str| {
            let exports: String = names.iter().map(|name| format!(r#"(export "{name}" (instance $i))"#)).collect();
            Hop::of(&wat::parse_str(format!("(component {imports} (instance $i) {exports})")).unwrap())
        };
        let old = "wasi:http/incoming-handler@0.2.6";
        assert_eq!(of(&[old], ""), Some(Hop::ServiceOf02));
        assert_eq!(of(&[old], &format!(r#"(import "{old}" (instance))"#)), Some(Hop::MiddlewareOf02));
        assert_eq!(of(&[old, HANDLER], ""), Some(Hop::Both));
        assert_eq!(of(&["wasi:http/handler@0.3.2"], ""), Some(Hop::Service));
        assert_eq!(of(&["wasi:http/handler@0.3.0-rc-2025-09-16"], ""), None);
    }
}
