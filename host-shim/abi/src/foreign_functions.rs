//! The functions behind `proxy_call_foreign_function`.

use crate::host_calls::Support;

/// A foreign function that Envoy 1.40 registers.
#[derive(Clone, Copy, Debug)]
pub struct ForeignFunction {
    /// Its name.
    pub name: &'static str,
    /// How much of it there is.
    pub support: Support,
    /// The shim's export for it.
    pub export: &'static str,
    /// When a component has it.
    pub presence: Presence,
}

/// When a component has a foreign function, of those whose filters can call any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Always: it weighs next to nothing.
    Always,
    /// If its name is in the filter, or the user asks for it.
    Named,
    /// The same, and with the larger build of the shim, which alone has it.
    Extra,
}

const fn there(name: &'static str, support: Support, export: &'static str, presence: Presence) -> ForeignFunction {
    ForeignFunction { name, support, export, presence }
}

const fn extra(name: &'static str, support: Support, export: &'static str) -> ForeignFunction {
    there(name, support, export, Presence::Extra)
}

const SIGNATURES: Support = Support::Partial("RSA with 1024 to 8192 bits, P-256 and P-384");

const EXPRESSIONS: Support = Support::Partial(
    "CEL with the parser of the crate `cel`, Envoy's functions and the attributes that `proxy_get_property` has; not in it: \
     messages such as `google.protobuf.Duration{}`, names of time zones, Unicode classes in patterns",
);

/// All of them.
pub const FOREIGN_FUNCTIONS: &[ForeignFunction] = &[
    there("clear_route_cache", Support::Full, "foreign_clear_route_cache", Presence::Always),
    there("compress", Support::Full, "foreign_compress", Presence::Named),
    there("uncompress", Support::Full, "foreign_uncompress", Presence::Named),
    there("declare_property", Support::Full, "foreign_declare_property", Presence::Named),
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

/// Their names, in their order: all that the shim needs of the table, which it would have in its data.
pub const FOREIGN_NAMES: [&str; FOREIGN_FUNCTIONS.len()] = {
    let mut names = [""; FOREIGN_FUNCTIONS.len()];
    let mut row = 0;
    while row < names.len() {
        names[row] = FOREIGN_FUNCTIONS[row].name;
        row += 1;
    }
    names
};
