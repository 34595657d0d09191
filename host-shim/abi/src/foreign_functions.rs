//! The functions behind `proxy_call_foreign_function`.

use crate::host_calls::Support;

/// A foreign function that Envoy 1.40 registers.
#[derive(Clone, Copy, Debug)]
pub struct ForeignFunction {
    /// Its name.
    pub name: &'static str,
    /// How much of it there is.
    pub support: Support,
    /// What the shim exports for it. A component has it only where the function's name stands in the filter: some of
    /// them are large.
    pub export: Option<&'static str>,
}

const fn there(name: &'static str, support: Support, export: &'static str) -> ForeignFunction {
    ForeignFunction { name, support, export: Some(export) }
}

const fn missing(name: &'static str) -> ForeignFunction {
    ForeignFunction { name, support: Support::Unimplemented, export: None }
}

/// All of them.
pub const FOREIGN_FUNCTIONS: &[ForeignFunction] = &[
    there("clear_route_cache", Support::Partial("returns OK: there is one route"), "foreign_clear_route_cache"),
    there("compress", Support::Full, "foreign_compress"),
    there("uncompress", Support::Full, "foreign_uncompress"),
    there("declare_property", Support::Full, "foreign_declare_property"),
    missing("set_envoy_filter_state"),
    missing("verify_signature"),
    missing("sign"),
    missing("expr_create"),
    missing("expr_evaluate"),
    missing("expr_delete"),
];
