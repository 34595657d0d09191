//! Request targets as they are on the wire, past the type that `wasmtime-wasi-http` and hyper have for them.
//!
//! `http::Uri` refuses `<`, `>`, `"` and a backtick in some places, and cuts off what stands behind a `#`. Clients send the
//! first, filters set either, and Envoy passes all on. So a target that is one of these goes beside the request: of an
//! incoming one as long as it is served, of an outgoing one from `set-path-with-query` to where it is sent. For that the
//! three functions of `wasi:http` that see targets are replaced by those here, which do the same in all other cases.

use std::collections::HashMap;

use http::uri::PathAndQuery;
use wasmtime::component::{Linker, Resource};
use wasmtime::{Result, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler::Host as _;
use wasmtime_wasi_http::p2::bindings::http::types::{
    ErrorCode, Host as _, HostIncomingRequest, HostOutgoingRequest, IncomingRequest, OutgoingRequest, RequestOptions,
};
use wasmtime_wasi_http::p2::types::HostFutureIncomingResponse;

use super::state::State;

/// The interfaces, as `wasmtime-wasi-http` names them.
const TYPES: &str = "wasi:http/types@0.2.12";
const OUTGOING_HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";

/// What stands in the request in place of a target that has no place there.
const STAND_IN: &str = "/";

/// Path and query as they are on the wire, in a request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawTarget(pub(super) String);

impl RawTarget {
    /// Whether `http::Uri` has a place for it.
    pub(super) fn fits(target: &str) -> bool {
        PathAndQuery::try_from(target).is_ok_and(|path| path.as_str() == target)
    }

    /// Whether it can stand in a request line at all, and names a path.
    fn is_valid(target: &str) -> bool {
        target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic() || !byte.is_ascii())
    }
}

/// The targets that a component deals with and requests have no place for.
#[derive(Debug, Default)]
pub(super) struct Targets {
    incoming: Option<RawTarget>,
    /// By request, as long as it is not sent.
    outgoing: HashMap<u32, RawTarget>,
}

impl Targets {
    /// The request that is served from now on has this target.
    pub(super) fn serve(&mut self, target: Option<RawTarget>) {
        self.incoming = target;
        self.outgoing.clear();
    }
}

/// Replaces the functions that see targets.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap("[method]incoming-request.path-with-query", path_with_query)?;
    types.func_wrap("[method]outgoing-request.set-path-with-query", set_path_with_query)?;
    linker.instance(OUTGOING_HANDLER)?.func_wrap("handle", handle)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn path_with_query(
    mut store: StoreContextMut<'_, State>,
    (request,): (Resource<IncomingRequest>,),
) -> Result<(Option<String>,)> {
    // An instance serves one request at a time.
    if let Some(RawTarget(target)) = &store.data().targets.incoming {
        return Ok((Some(target.clone()),));
    }
    Ok((HostIncomingRequest::path_with_query(&mut store.data_mut().http(), request)?,))
}

type Set = std::result::Result<(), ()>;

fn set_path_with_query(
    mut store: StoreContextMut<'_, State>,
    (request, target): (Resource<OutgoingRequest>, Option<String>),
) -> Result<(Set,)> {
    let state = store.data_mut();
    let id = request.rep();
    let beside = target.as_deref().is_some_and(|target| RawTarget::is_valid(target) && !RawTarget::fits(target));
    if !beside {
        state.targets.outgoing.remove(&id);
        return Ok((state.http().set_path_with_query(request, target)?,));
    }
    let set = state.http().set_path_with_query(request, Some(STAND_IN.into()))?;
    state.targets.outgoing.extend(target.map(|target| (id, RawTarget(target))));
    Ok((set,))
}

type Sent = std::result::Result<Resource<HostFutureIncomingResponse>, ErrorCode>;

fn handle(
    mut store: StoreContextMut<'_, State>,
    (request, options): (Resource<OutgoingRequest>, Option<Resource<RequestOptions>>),
) -> Result<(Sent,)> {
    let state = store.data_mut();
    let target = state.targets.outgoing.remove(&request.rep());
    // Another request may have had this number before, and was never sent.
    let path = HostOutgoingRequest::path_with_query(&mut state.http(), Resource::new_borrow(request.rep()))?;
    state.sends(target.filter(|_| path.as_deref() == Some(STAND_IN)));
    let mut http = state.http();
    let sent = match http.handle(request, options) {
        Ok(response) => Ok(response),
        Err(error) => Err(http.convert_error_code(error)?),
    };
    state.sends(None);
    Ok((sent,))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_fits_nowhere_goes_beside() {
        for target in ["/", "/a?b=c", "/{a}|^\\?{b}`", "/\u{e4}", "/a?"] {
            assert!(RawTarget::fits(target), "{target}");
        }
        for target in ["/<", "/?a=<b>", "/?\"", "/`", "/a#b"] {
            assert!(!RawTarget::fits(target) && RawTarget::is_valid(target), "{target}");
        }
        for target in ["", "a", "/a b", "/a\r\nb", "/a\0", "/\u{7f}"] {
            assert!(!RawTarget::is_valid(target), "{target}");
        }
    }
}
