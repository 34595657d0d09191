//! Joins components for WASI 0.3: a request passes middlewares in the order given, then a service.
//!
//! ```text
//! component = middleware 1 ── handler ─► middleware 2 ── handler ─► service
//! ```

mod problem;

use std::fmt;

use proxy_wasm_adapter::composition::{HANDLER, OF_PLUGINS, handlers, shows_plugins};
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, PackageId};

pub use problem::Problem;

/// Why components were not joined.
#[derive(Debug)]
pub enum Error {
    /// They can't be, each by its number from 0.
    Parts(Vec<(usize, Problem)>),
    /// They don't fit together, as the linker says.
    Link(String),
}

/// What is wrong, and of which part.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parts(problems) => problems.iter().enumerate().try_for_each(|(line, (part, problem))| {
                let separator = if line == 0 { "" } else { "\n" };
                write!(f, "{separator}component {} {problem}. {}", part + 1, problem.remedy())
            }),
            Self::Link(reason) => write!(f, "the components do not fit together: {reason}"),
        }
    }
}

impl std::error::Error for Error {}

/// Joins these components into one: requests pass them in this order, responses in reverse. The last is the service, all
/// before it are middleware. Where one of them has plugins that a host can ask and tend, it still can; an interface has one
/// name, so with several none is shown, and the plugins start with the first request.
///
/// # Errors
/// [`Error::Parts`] names each that is something else; [`Error::Link`] where what one exports is not what another imports.
pub fn compose(components: &[impl AsRef<[u8]>]) -> Result<Vec<u8>, Error> {
    let last = components.len().saturating_sub(1);
    let problems = components
        .iter()
        .enumerate()
        .filter_map(|(index, component)| Some((index, Problem::of(component.as_ref(), index == last)?)));
    let problems: Vec<_> = problems.collect();
    if !problems.is_empty() {
        return Err(Error::Parts(problems));
    }
    let mut graph = CompositionGraph::new();
    let packages = packages(&mut graph, components).map_err(Error::Parts)?;
    link(graph, components, &packages).map_err(Error::Link)
}

/// Reads the components as a whole, which shows whether they are valid.
fn packages(
    graph: &mut CompositionGraph,
    components: &[impl AsRef<[u8]>],
) -> Result<Vec<PackageId>, Vec<(usize, Problem)>> {
    let (mut packages, mut problems) = (Vec::new(), Vec::new());
    for (index, component) in components.iter().enumerate() {
        let name = format!("proxy-wasm-adapter:part{}", index + 1);
        let package = Package::from_bytes(&name, None, component.as_ref().to_vec(), graph.types_mut());
        let package = package.and_then(|package| Ok(graph.register_package(package)?));
        match package {
            Ok(package) => packages.push(package),
            Err(error) => problems.push((index, Problem::Invalid { reason: format!("{error:#}") })),
        }
    }
    if problems.is_empty() { Ok(packages) } else { Err(problems) }
}

/// The last is instantiated first: each gets the handler of the one behind it.
fn link(
    mut graph: CompositionGraph,
    components: &[impl AsRef<[u8]>],
    packages: &[PackageId],
) -> Result<Vec<u8>, String> {
    let mut next = None;
    let mut with_plugins = components.iter().enumerate().filter(|(_, component)| shows_plugins(component.as_ref()));
    let with_plugins = with_plugins.next().filter(|_| with_plugins.next().is_none()).map(|(index, _)| index);
    for (index, (component, package)) in components.iter().zip(packages).enumerate().rev() {
        let failed = |error: &dyn fmt::Display| format!("component {}: {error}", index + 1);
        let instance = graph.instantiate(*package);
        // Each by its own version, as far as they fit.
        let (export, import) = handlers(component.as_ref());
        if let (Some(import), Some((_, handler))) = (import, next) {
            graph.set_instantiation_argument(instance, &import, handler).map_err(|error| failed(&error))?;
        }
        if with_plugins == Some(index) {
            for name in OF_PLUGINS {
                let shown = graph.alias_instance_export(instance, name).map_err(|error| failed(&error))?;
                graph.export(shown, name).map_err(|error| failed(&error))?;
            }
        }
        let export = export.unwrap_or_else(|| HANDLER.into());
        let handler = graph.alias_instance_export(instance, &export).map_err(|error| failed(&error))?;
        next = Some((export, handler));
    }
    let Some((name, first)) = next else { return Err("there is no component".into()) };
    graph.export(first, name).map_err(|error| error.to_string())?;
    graph.encode(EncodeOptions::default()).map_err(|error| format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use proxy_wasm_adapter::composition::{Hop, parts};

    use super::*;

    /// A handler with a core module, and a section by which it is known.
    fn part(mark: &str, imports: bool) -> Vec<u8> {
        part_of(mark, imports, HANDLER)
    }

    fn part_of(mark: &str, imports: bool, handler: &str) -> Vec<u8> {
        let import = if imports { format!(r#"(import "{handler}" (instance))"#) } else { String::new() };
        let text = format!(
            r#"(component {import} (core module) (@custom "mark" "{mark}")
              (instance $own) (export "{handler}" (instance $own)))"#
        );
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn versions_that_fit_are_joined() {
        let newer = "wasi:http/handler@0.3.2";
        let components = [part("first", true), part_of("second", true, newer), part("last", false)];
        let composed = compose(&components).unwrap();
        assert_eq!(parts(&composed), components);
        assert_eq!(handlers(&composed), (Some(HANDLER.into()), None));
        let composed = compose(&components[1..]).unwrap();
        assert_eq!(handlers(&composed), (Some(newer.into()), None));
    }

    #[test]
    fn a_request_passes_them_in_the_order_given() {
        let [first, second, last] = [part("first", true), part("second", true), part("last", false)];
        let composed = compose(&[&first, &second, &last]).unwrap();
        assert_eq!(Hop::of(&composed), Some(Hop::Service));
        assert_eq!(parts(&composed), [&first, &second, &last]);
        // One of the parts may be composed itself, and one may stand twice.
        let composed = compose(&[&first, &first, &composed]).unwrap();
        assert_eq!(parts(&composed), [&first, &first, &first, &second, &last]);
    }

    #[test]
    fn the_plugins_of_one_part_are_shown() {
        let of_plugins = OF_PLUGINS.map(|name| format!(r#"(export "{name}" (instance $own))"#)).concat();
        let text = format!(
            r#"(component (import "{HANDLER}" (instance)) (core module)
              (instance $own) {of_plugins} (export "{HANDLER}" (instance $own)))"#
        );
        let (ours, other, last) = (wat::parse_str(text).unwrap(), part("m", true), part("s", false));
        assert!(shows_plugins(&ours) && !shows_plugins(&last));
        let composed = compose(&[&other, &ours, &last]).unwrap();
        assert!(shows_plugins(&composed));
        assert!(shows_plugins(&compose(&[&other, &composed]).unwrap()));
        assert!(!shows_plugins(&compose(&[&ours, &composed]).unwrap()));
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let (middleware, service) = (part("m", true), part("s", false));
        let problems = |parts: &[&[u8]]| match compose(parts) {
            Err(Error::Parts(problems)) => problems,
            other => panic!("{other:?}"),
        };
        let module = wat::parse_str("(module)").unwrap();
        assert_eq!(
            problems(&[b"hello", &module, &service, &middleware]),
            [(0, Problem::NoComponent), (1, Problem::Module), (2, Problem::NoMiddleware), (3, Problem::NeedsNext)]
        );
        let of = |text: &str| problems(&[&wat::parse_str(text).unwrap()])[0].1.clone();
        assert_eq!(of("(component)"), Problem::NoHandler);
        let old = r#"(export "wasi:http/incoming-handler@0.2.0" (instance $i))"#;
        assert_eq!(of(&format!("(component (instance $i) {old})")), Problem::Of02);
        assert_eq!(of(&format!(r#"(component (instance $i) {old} (export "{HANDLER}" (instance $i)))"#)), Problem::Two);
    }

    /// Instances refer to earlier ones, so a component that goes round in a circle is none.
    #[test]
    fn what_is_not_valid_is_told_by_its_number() {
        let circle = format!(
            r#"(component (component (import "{HANDLER}" (instance $next)) (core module)
                (export "{HANDLER}" (instance $next)))
              (instance (instantiate 0 (with "{HANDLER}" (instance 1))))
              (alias export 0 "{HANDLER}" (instance))
              (export "{HANDLER}" (instance 1)))"#
        );
        let circle = wat::parse_str(circle).unwrap();
        let Err(Error::Parts(problems)) = compose(&[part("m", true), circle.clone()]) else { panic!("it is joined") };
        let [(1, Problem::Invalid { reason })] = problems.as_slice() else { panic!("{problems:?}") };
        assert!(reason.contains("unknown instance"), "{reason}");
        assert!(parts(&circle).len() <= 2);
    }
}
