//! The core modules that a component is linked from, besides the shim.

use std::borrow::Cow;

/// A core module of the component, besides the shim.
#[derive(Clone, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) name: String,
    pub(crate) bytes: Cow<'a, [u8]>,
    /// For each module name that it imports from: whose instance it gets.
    pub(crate) imports: Vec<(String, Source)>,
}

/// Whose instance an import module is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Shim,
    /// That of the part with this name.
    Part(String),
}
