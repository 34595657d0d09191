//! The foreign functions that need more than a few lines, as functions of bytes: what they know of an exchange, they ask
//! for through a trait.
//!
//! Everything that comes in is a filter's, so hostile: no function here panics, and each bounds its own work.

#[cfg(feature = "extra")]
pub mod cel;
pub mod filter_state;
pub mod protobuf;
#[cfg(feature = "extra")]
pub mod signatures;
