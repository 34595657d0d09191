//! What a component says of its outermost level: the components in it, and which instance gets which.

use std::ops::Range;

use wasmparser::{ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentTypeRef, Parser, Payload, Result};

use super::is_handler;
use crate::check::is_component;

/// What is read of the outermost component.
#[derive(Default)]
pub(super) struct Outline {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
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
    pub(super) fn of(component: &[u8]) -> Option<Self> {
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
    pub(super) fn way(&self) -> Vec<usize> {
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
    pub(super) fn beside(&self, way: &[usize]) -> Vec<usize> {
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
    pub(super) fn parts(&self, instances: &[usize]) -> impl Iterator<Item = Range<usize>> {
        instances.iter().filter_map(|index| match self.instances.get(*index)? {
            Instance::Of { component, .. } => match self.components.get(*component)? {
                Some((range, true)) => Some(range.clone()),
                _ => None,
            },
            Instance::Same(_) | Instance::Other => None,
        })
    }
}
