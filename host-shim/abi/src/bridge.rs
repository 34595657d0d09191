//! The bridge: the module generated for each filter, between the shim and that filter.
//!
//! It has no memory of its own and imports both: the shim's as `shim` `memory`, the filter's as `filter` `memory`. The
//! shim imports what stands here, from the module named [`MODULE`]. All callbacks are behind one function: each import
//! costs every new instance some time.
//!
//! | export | signature | meaning |
//! |---|---|---|
//! | `settings_size` | `() -> i32` | bytes of the encoded [`Settings`](crate::settings::Settings) |
//! | `settings_read` | `(shim: i32)` | copies them all to the shim's memory |
//! | `abi_version` | `() -> i32` | the [`AbiVersion`] as a number |
//! | `callbacks` | `() -> i64` | bit *i*: the filter exports callback *i* of the table |
//! | `callbacks_of_0_1_0` | `() -> i64` | bit *i*: it does so with the fewer parameters of ABI 0.1.0 |
//! | `reads_properties` | `() -> i32` | 1 where it imports `proxy_get_property`: only so does it see times |
//! | `memory_pages` | `() -> i32` | the filter's memory, in pages of 64 KiB |
//! | `memory_read` | `(shim: i32, filter: i32, len: i32)` | copies out of the filter's memory |
//! | `memory_write` | `(filter: i32, shim: i32, len: i32)` | copies into the filter's memory |
//! | `allocator` | `() -> i32` | which of [`ALLOCATORS`] the filter has; past the end for none |
//! | `allocate` | `(len: i32) -> i32` | calls it; 0 where there is none |
//! | `call` | `(i: i32, argument: i32 × 5) -> i32` | calls callback *i* with its ABI 0.2.1 arguments, those that it lacks 0; 0 where it has no result or is not there |
//! | `foreign` | `(i: i32)` | calls what the shim exports for row *i* of [`FOREIGN_FUNCTIONS`](crate::foreign_functions::FOREIGN_FUNCTIONS), if the filter names that function |
//! | `start_functions` | `() -> i32` | bit *i*: function *i* of [`START_FUNCTIONS`] is to be called, in this order |
//! | `start` | `(i: i32) -> i32` | calls it; 0 where it has no result |
//!
//! Who calls `memory_read` and `memory_write` has checked both ranges: out of bounds they trap.

/// The name of the module that the shim imports.
pub const MODULE: &str = "bridge";

/// The module name under which the bridge imports the shim's memory.
pub const SHIM: &str = "shim";

/// The module name under which the bridge imports the filter.
pub const FILTER: &str = "filter";

/// The filter's functions that allocate in its memory; the first that it has is used.
pub const ALLOCATORS: &[&str] = &["malloc", "proxy_on_memory_allocate"];

/// What runs before the first callback: name, number of parameters, whether there is a result. All are `i32`.
pub const START_FUNCTIONS: &[(&str, usize, bool)] =
    &[("_initialize", 0, false), ("main", 2, true), ("__main_void", 0, true), ("_start", 0, false)];

/// The bridge's functions: name, parameters, results.
pub const FUNCTIONS: &[(&str, &[crate::host_calls::Type], &[crate::host_calls::Type])] = {
    use crate::host_calls::Type::{I32, I64};
    &[
        ("settings_size", &[], &[I32]),
        ("settings_read", &[I32], &[]),
        ("abi_version", &[], &[I32]),
        ("callbacks", &[], &[I64]),
        ("callbacks_of_0_1_0", &[], &[I64]),
        ("reads_properties", &[], &[I32]),
        ("memory_pages", &[], &[I32]),
        ("memory_read", &[I32, I32, I32], &[]),
        ("memory_write", &[I32, I32, I32], &[]),
        ("allocator", &[], &[I32]),
        ("allocate", &[I32], &[I32]),
        ("call", &[I32, I32, I32, I32, I32, I32], &[I32]),
        ("foreign", &[I32], &[]),
        ("start_functions", &[], &[I32]),
        ("start", &[I32], &[I32]),
    ]
};

/// The version of the ABI that a filter was built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
#[allow(missing_docs, reason = "the names say it")]
pub enum AbiVersion {
    V0_1_0 = 0,
    V0_2_0 = 1,
    V0_2_1 = 2,
}

impl AbiVersion {
    /// All versions, oldest first.
    pub const ALL: [Self; 3] = [Self::V0_1_0, Self::V0_2_0, Self::V0_2_1];

    /// The version with this number.
    pub fn from_u32(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|version| *version as u32 == number)
    }

    /// The version as the specification writes it.
    pub fn name(self) -> &'static str {
        ["0.1.0", "0.2.0", "0.2.1"][self as usize]
    }

    /// The export that marks a filter of this version.
    pub fn marker(self) -> &'static str {
        ["proxy_abi_version_0_1_0", "proxy_abi_version_0_2_0", "proxy_abi_version_0_2_1"][self as usize]
    }
}
