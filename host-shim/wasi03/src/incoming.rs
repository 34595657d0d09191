//! Heads that come in.

use proxy_wasm_driver::{Input, response_head};
use proxy_wasm_semantics::Request as Head;

use crate::{
    bindings::wasi::http::types::{Request, Response},
    canonical::{consume_request, consume_response},
    reader::Reader,
    vocabulary::{method_name, scheme_name},
};

/// Takes a request apart.
pub(crate) fn request(request: Request) -> (Head, Reader) {
    let head = Head::new(
        method_name(request.get_method()),
        request.get_scheme().map(scheme_name),
        request.get_authority(),
        request.get_path_with_query(),
        request.get_headers().copy_all(),
    );
    (head, Reader::new(consume_request(request)))
}

/// Takes a response apart, or only its head where what follows may go on unread: where it `passes`. Trailers may follow what
/// looks like nothing.
pub(crate) fn response(response: Response, to_head: bool, passes: bool) -> (Input, Option<Reader>) {
    let (headers, may_have_body) =
        response_head(response.get_status_code(), response.get_headers().copy_all(), to_head);
    let body = may_have_body.then(|| match passes {
        true => Reader::whole(response, headers.clone()),
        false => Reader::new(consume_response(response)),
    });
    (Input::Head(headers, body.is_none()), body)
}
