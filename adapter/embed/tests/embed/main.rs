//! Filters in the core, and behind the tower layer, with the shim as it is committed.

mod core;
mod filters;
mod layer;
