//! The names by which an operator allows a filter what it may use: those of host calls and callbacks.

use crate::{
    bridge::{ALLOCATORS, START_FUNCTIONS},
    callbacks::CALLBACKS,
    host_calls::HOST_CALLS,
};

/// Whether this names something that a filter can be allowed. What starts a filter and what allocates in it can be named,
/// and is never refused. Source: Envoy's `WasmBase::getFunctions`.
pub fn is_capability(name: &str) -> bool {
    HOST_CALLS.iter().any(|call| call.name == name)
        || CALLBACKS.iter().any(|callback| callback.name == name)
        || ALLOCATORS.contains(&name)
        || START_FUNCTIONS.iter().any(|(function, ..)| *function == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_either_side() {
        for (name, is) in [
            ("proxy_log", true),
            ("fd_write", true),
            ("proxy_on_request_headers", true),
            ("malloc", true),
            ("_start", true),
            ("log", false),
            ("", false),
        ] {
            assert_eq!(is_capability(name), is, "{name}");
        }
    }
}
