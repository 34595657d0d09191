//! The trace of every call across the ABI, in the form of Envoy's `wasm:trace` log.
//!
//! ```text
//! [trace] [host->vm] proxy_on_request_headers(2, 8, 1)
//! [trace] [vm->host] env.proxy_get_header_map_pairs(0, 1048420, 1048424)
//! [trace] [host->vm] malloc(238)
//! [trace] [host<-vm] malloc return: 1058208
//! [trace] [vm<-host] env.proxy_get_header_map_pairs return: 0
//! [trace] [host<-vm] proxy_on_request_headers return: 0
//! ```
//!
//! Only the tracing shim, built with the feature `trace`, has it: what is done here is decided when the shim is compiled.

use std::fmt::{Display, Formatter};

/// Whether this is the tracing shim.
pub(crate) const ON: bool = cfg!(feature = "trace");

/// Where lines go.
pub(crate) type Write = fn(&str);

/// Traces a call of the host by the filter. The call's result is `None` where the signature has none.
pub(crate) fn host_call<R: Into<Option<u32>> + Copy>(
    write: Option<Write>,
    module: &str,
    name: &str,
    arguments: &[u64],
    call: impl FnOnce() -> R,
) -> R {
    let Some(write) = write else { return call() };
    write(&format!("[trace] [vm->host] {module}.{name}({})", List(arguments)));
    let result = call();
    write(&format!("[trace] [vm<-host] {module}.{name} return: {}", Returned(result.into())));
    result
}

/// Traces a call of the filter by the host. `returns` says whether the signature has a result.
pub(crate) fn guest_call(
    write: Option<Write>,
    name: impl FnOnce() -> &'static str,
    arguments: &[u32],
    returns: bool,
    call: impl FnOnce() -> u32,
) -> u32 {
    let Some(write) = write else { return call() };
    let name = name();
    write(&format!("[trace] [host->vm] {name}({})", List(arguments)));
    let result = call();
    write(&format!("[trace] [host<-vm] {name} return: {}", Returned(returns.then_some(result))));
    result
}

/// Numbers with commas.
struct List<'a, N>(&'a [N]);

impl<N: Display> Display for List<'_, N> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        for (index, number) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            number.fmt(f)?;
        }
        Ok(())
    }
}

/// A call's return value.
struct Returned(Option<u32>);

impl Display for Returned {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(number) => number.fmt(f),
            None => f.write_str("void"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_results_are_shown_as_envoy_does() {
        assert_eq!(List::<u64>(&[]).to_string(), "");
        assert_eq!(List(&[2_u64, u64::MAX]).to_string(), "2, 18446744073709551615");
        assert_eq!(Returned(Some(u32::MAX)).to_string(), "4294967295");
        assert_eq!(Returned(None).to_string(), "void");
    }

    #[test]
    fn the_call_is_made_once_whether_or_not_it_is_traced() {
        let mut calls = 0;
        assert_eq!(
            guest_call(
                None,
                || "malloc",
                &[1],
                true,
                || {
                    calls += 1;
                    7
                }
            ),
            7
        );
        assert_eq!(
            host_call(Some(|_| {}), "env", "proxy_done", &[], || {
                calls += 1;
                8_u32
            }),
            8
        );
        assert_eq!(calls, 2);
    }
}
