//! Pre-initialising real components, with the shim as it is committed.

mod filters;
mod instance;
mod refusals;
mod snapshots;
