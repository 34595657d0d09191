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
    pub export: &'static str,
    /// Whether only the larger build of the shim has it, which a component gets where its filter names one of these.
    pub extra: bool,
}

const fn there(name: &'static str, support: Support, export: &'static str) -> ForeignFunction {
    ForeignFunction { name, support, export, extra: false }
}

const fn extra(name: &'static str, support: Support, export: &'static str) -> ForeignFunction {
    ForeignFunction { name, support, export, extra: true }
}

const SIGNATURES: Support = Support::Partial("RSA with 1024 to 8192 bits, P-256 and P-384");

const EXPRESSIONS: Support = Support::Partial(
    "CEL with the parser of the crate `cel`, Envoy's functions and the attributes that `proxy_get_property` has; not in it: \
     messages such as `google.protobuf.Duration{}`, names of time zones, Unicode classes in patterns",
);

/// All of them.
pub const FOREIGN_FUNCTIONS: &[ForeignFunction] = &[
    there("clear_route_cache", Support::Partial("returns OK: there is one route"), "foreign_clear_route_cache"),
    there("compress", Support::Full, "foreign_compress"),
    there("uncompress", Support::Full, "foreign_uncompress"),
    there("declare_property", Support::Full, "foreign_declare_property"),
    extra(
        "set_envoy_filter_state",
        Support::Partial("an object can be read back, and does nothing else; all end with the stream"),
        "foreign_set_envoy_filter_state",
    ),
    extra("verify_signature", SIGNATURES, "foreign_verify_signature"),
    extra("sign", SIGNATURES, "foreign_sign"),
    extra("expr_create", EXPRESSIONS, "foreign_expr_create"),
    extra("expr_evaluate", Support::Full, "foreign_expr_evaluate"),
    extra("expr_delete", Support::Full, "foreign_expr_delete"),
];
