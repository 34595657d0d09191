//! Statuses above 599, which Envoy sends as a filter wrote them, and `wasmtime-wasi-http` refuses to components for WASI 0.3.

use http::StatusCode;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p3::Response;

use crate::state::State;

/// The interface, as `wasmtime-wasi-http` names it.
const TYPES: &str = "wasi:http/types@0.3.0";

/// Replaces the function that sets them.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance(TYPES)?.func_wrap("[method]response.set-status-code", set)?;
    linker.allow_shadowing(false);
    Ok(())
}

type Set = Result<(), ()>;

fn set(
    mut store: StoreContextMut<'_, State>,
    (response, status): (Resource<Response>, u16),
) -> wasmtime::Result<(Set,)> {
    let response = store.data_mut().http().table.get_mut(&response)?;
    Ok((match StatusCode::from_u16(status) {
        Ok(status) => {
            response.status = status;
            Ok(())
        }
        Err(_) => Err(()),
    },))
}
