//! Heads that come in.

use proxy_wasm_abi::http2;
use proxy_wasm_driver::{Input, Look, response_head};
use proxy_wasm_semantics::Request as Head;

use crate::{
    bindings::wasi::http::types::{Request, Response},
    canonical::consume_response,
    reader::Reader,
    vocabulary::{method_name, scheme_name},
};

/// The head of a request. An `exact` host says whether it came by HTTP/2; others may take the field from anywhere.
pub(crate) fn request(request: &Request, exact: bool) -> Head<'static> {
    let mut head = Head::new(
        method_name(request.get_method()),
        request.get_scheme().map(scheme_name),
        request.get_authority(),
        request.get_path_with_query(),
        request.get_headers().copy_all(),
    );
    head.http2 = exact && head.field(http2::FIELD) == Some(http2::CAME.as_bytes());
    head
}

/// Takes a response apart, or only its head where what follows may go on unread: where it `passes`. An `exact` host knows at
/// once whether there is a body; on others, trailers may follow what looks like nothing.
pub(crate) fn response(response: Response, to_head: bool, passes: bool, exact: bool) -> (Input, Option<Reader>) {
    let (headers, may_have_body) =
        response_head(response.get_status_code(), response.get_headers().copy_all(), to_head);
    let mut body = may_have_body.then(|| match passes {
        true => Reader::whole_response(response, headers.clone()),
        false => Reader::new(consume_response(response), exact),
    });
    body.take_if(|body| exact && !passes && body.look(false) == Look::Nothing);
    (Input::Head(headers, body.is_none()), body)
}
