//! Heads that come in.

use proxy_wasm_driver::{Follows, Input, Look, follows, response_head};
use proxy_wasm_semantics::Request;

use crate::{
    bindings::wasi::http::types::{IncomingRequest, IncomingResponse},
    reader::Reader,
    vocabulary::{method_name, scheme_name},
};

/// Reads a request's head.
pub(crate) fn head(request: &IncomingRequest) -> Request<'static> {
    Request::new(
        method_name(request.method()),
        request.scheme().map(scheme_name),
        request.authority(),
        request.path_with_query(),
        request.headers().entries(),
    )
}

/// Reads a request's head, and looks far enough ahead to know whether there is a body: `true` says that nothing follows.
pub(crate) fn request(request: IncomingRequest, exact: bool) -> (Request<'static>, bool, Reader) {
    let head = head(&request);
    let mut body = request.consume().map_or_else(|()| Reader::empty(), |body| Reader::new(body, exact));
    drop(request);
    let end = match follows(&head, exact) {
        Follows::Nothing => true,
        Follows::Body => false,
        Follows::Unknown { trailers, patience } => body.look(trailers, patience) == Look::Nothing,
    };
    (head, end, body)
}

/// Reads a response's head. An `exact` host knows at once whether there is a body; on others, trailers may follow what looks
/// like nothing.
pub(crate) fn response(response: &IncomingResponse, to_head: bool, exact: bool) -> (Input, Option<Reader>) {
    let (headers, may_have_body) = response_head(response.status(), response.headers().entries(), to_head);
    let mut body = if may_have_body { response.consume().ok().map(|body| Reader::new(body, exact)) } else { None };
    body.take_if(|body| exact && body.look(false, 0) == Look::Nothing);
    (Input::Head(headers, body.is_none()), body)
}
