//! What a component is on a request's way, and the parts of one that was composed of others: by this program, by `wac` or by
//! a host.
//!
//! ```text
//! component ── exports handler ─► instance of part 1 ── imports handler ─► instance of part 2 ── … ─► the last
//!                                         └── imports anything else ─► instance of a part beside the way
//! ```

mod outline;

use serde::Serialize;

use self::outline::Outline;
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
