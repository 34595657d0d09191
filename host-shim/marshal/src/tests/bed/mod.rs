//! A plugin with a fake filter, on a machine of the test's: for the tests of this crate, and for fuzzing.

mod calls;
mod filter;
mod machine;

pub use calls::{CALLS, make};
pub use filter::{Allocator, Fake, MEMORY, Running};
pub use machine::Bed;
