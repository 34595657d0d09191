//! What a component is on a request's way, and the parts of one that was composed of others: by this program, by `wac` or by
//! a host.
//!
//! ```text
//! component ── exports handler ─► instance of part 1 ── imports handler ─► instance of part 2 ── … ─► the last
//!                                         └── imports anything else ─► instance of a part beside the way
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

/// The parts of a component that was composed: those that a request passes, in that order, and then those that these ask for
/// anything else; up to a number that nobody reaches. None: it was not composed.
pub fn parts(component: &[u8]) -> Vec<&[u8]> {
    let mut found = Found::default();
    found.collect(component, DEPTH_MAX);
    let Found { mut passed, beside } = found;
    passed.extend(beside);
    passed.truncate(PARTS_MAX);
    passed
}

/// The parts of a component that were found so far.
#[derive(Default)]
struct Found<'a> {
    /// In the order in which a request passes them.
    passed: Vec<&'a [u8]>,
    beside: Vec<&'a [u8]>,
}

impl<'a> Found<'a> {
    fn collect(&mut self, component: &'a [u8], depth: usize) {
        let Some(outline) = Outline::of(component).filter(|_| depth > 0) else { return };
        let way = outline.way();
        for part in outline.parts(&way).filter_map(|range| component.get(range)) {
            let before = self.passed.len();
            if before >= PARTS_MAX {
                return;
            }
            self.collect(part, depth - 1);
            if self.passed.len() == before {
                self.passed.push(part);
            }
        }
        for part in outline.parts(&outline.beside(&way)).filter_map(|range| component.get(range)) {
            if self.beside.len() >= PARTS_MAX {
                return;
            }
            let mut within = Found::default();
            within.collect(part, depth - 1);
            if within.passed.is_empty() {
                within.passed.push(part);
            }
            self.beside.extend(within.passed.into_iter().chain(within.beside));
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
    /// It is one of this component, and gets that instance as its next handler, and those for anything else.
    Of {
        component: usize,
        next: Option<usize>,
        others: Vec<usize>,
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
                            let instances = args.iter().filter(|arg| arg.kind == ComponentExternalKind::Instance);
                            let (next, others): (Vec<_>, Vec<_>) =
                                instances.partition(|arg| is_handler(arg.name, false) || is_handler(arg.name, true));
                            Instance::Of {
                                component: component_index as usize,
                                next: next.first().map(|arg| arg.index as usize),
                                others: others.iter().map(|arg| arg.index as usize).collect(),
                            }
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
                            self.instances.push(self.same(instance_index));
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
                            self.instances.push(self.same(export.index));
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

    /// One that is this instance, or a part of it. What that one is in turn is looked up here, once: a file may go on so for
    /// long.
    fn same(&self, index: u32) -> Instance {
        let index = index as usize;
        match self.instances.get(index) {
            Some(Instance::Same(other)) => Instance::Same(*other),
            _ => Instance::Same(index),
        }
    }

    /// The instances that a request passes.
    fn way(&self) -> Vec<usize> {
        let mut way = Vec::new();
        let mut at = self.handler;
        while let Some((index, next)) = at.and_then(|at| self.made(at)) {
            // Instances refer to earlier ones. A file that says otherwise goes in a circle.
            if way.last().is_some_and(|last| index >= *last) {
                break;
            }
            way.push(index);
            at = next;
        }
        way
    }

    /// The instance of a component that this one is, or is a part of, and its next handler.
    fn made(&self, at: usize) -> Option<(usize, Option<usize>)> {
        let index = match self.instances.get(at)? {
            Instance::Same(other) => *other,
            Instance::Of { .. } | Instance::Other => at,
        };
        match self.instances.get(index)? {
            Instance::Of { next, .. } => Some((index, *next)),
            Instance::Same(_) | Instance::Other => None,
        }
    }

    /// The instances that those on the way get for anything else than the next handler, and that these get in turn.
    fn beside(&self, way: &[usize]) -> Vec<usize> {
        let mut is_known = vec![false; self.instances.len()];
        let mut all = way.to_vec();
        all.iter().for_each(|index| is_known[*index] = true);
        let mut at = 0;
        while let Some(Instance::Of { next, others, .. }) = all.get(at).and_then(|index| self.instances.get(*index)) {
            for (index, _) in others.iter().chain(next).filter_map(|other| self.made(*other)) {
                if !std::mem::replace(&mut is_known[index], true) {
                    all.push(index);
                }
            }
            at += 1;
        }
        all.split_off(way.len())
    }

    /// Where the components of these instances are, but for those that only give an interface its name.
    fn parts(&self, instances: &[usize]) -> impl Iterator<Item = Range<usize>> {
        instances.iter().filter_map(|index| match self.instances.get(*index)? {
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
    fn what_parts_get_besides_handlers_follows() {
        let text = format!(
            r#"(component
              (component $store (core module) (instance $own) (export "a:b/store" (instance $own)))
              (component $wrapped
                (component $store (core module) (instance $own) (export "a:b/store" (instance $own)))
                (instance $i (instantiate $store)) (alias export $i "a:b/store" (instance $s))
                (export "a:b/store" (instance $s)))
              (component $service (import "a:b/store" (instance)) (import "a:b/log" (instance)) (core module)
                (instance $own) (export "{HANDLER}" (instance $own)))
              (instance $a (instantiate $store)) (alias export $a "a:b/store" (instance $store))
              (instance $b (instantiate $wrapped)) (alias export $b "a:b/store" (instance $log))
              (instance $s (instantiate $service (with "a:b/store" (instance $store)) (with "a:b/log" (instance $log))))
              (alias export $s "{HANDLER}" (instance $first))
              (export "{HANDLER}" (instance $first)))"#
        );
        let composed = wat::parse_str(text).unwrap();
        let hops: Vec<_> = parts(&composed).into_iter().map(Hop::of).collect();
        assert_eq!(hops, [Some(Hop::Service), None, None]);
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
