//! An authorization server for the example: speaks gRPC over HTTP/2, and gRPC-Web over HTTP/1.1 on the same port.
//!
//! ```text
//! ext-authz-server [ADDRESS]
//! ```
//!
//! Who shows the token is let through, but to `/admin` nobody is.

use envoy_types::ext_authz::v3::pb::{
    Authorization, AuthorizationServer, CheckRequest, CheckResponse, HeaderAppendAction, HttpStatusCode,
};
use envoy_types::ext_authz::v3::{CheckRequestExt, CheckResponseExt, DeniedHttpResponseBuilder, OkHttpResponseBuilder};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

const TOKEN: &str = "Bearer open-sesame";

struct Authorizer;

#[tonic::async_trait]
impl Authorization for Authorizer {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let request = request.into_inner();
        let headers = request.get_client_headers().ok_or_else(|| Status::invalid_argument("no request"))?;
        let path = headers.get(":path").map_or("", String::as_str);
        let mut answer = CheckResponse::default();
        if headers.get("authorization").map(String::as_str) != Some(TOKEN) {
            let mut denied = DeniedHttpResponseBuilder::new();
            denied.set_http_status(HttpStatusCode::Unauthorized);
            denied.add_header("www-authenticate", "Bearer", None, false);
            denied.set_body("who are you?\n");
            answer.set_status(Status::unauthenticated("no token"));
            answer.set_http_response(denied);
        } else if path.starts_with("/admin") {
            let mut denied = DeniedHttpResponseBuilder::new();
            denied.add_header("x-denied-path", path, None, false);
            denied.set_body("nobody may\n");
            answer.set_status(Status::permission_denied("nobody may"));
            answer.set_http_response(denied);
        } else {
            let mut allowed = OkHttpResponseBuilder::new();
            // Over what the client says of itself.
            allowed.add_header("x-user", "ali", Some(HeaderAppendAction::OverwriteIfExistsOrAdd), false);
            allowed.remove_header("authorization");
            allowed.add_response_header("x-authorized", "yes", None, false);
            answer.set_status(Status::ok("known"));
            answer.set_http_response(allowed);
        }
        Ok(Response::new(answer))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Server::builder()
        .accept_http1(true)
        .layer(tonic_web::GrpcWebLayer::new())
        .add_service(AuthorizationServer::new(Authorizer))
        .serve_with_incoming(TcpIncoming::from(listener))
        .await?;
    Ok(())
}

#[cfg(test)]
#[path = "../../src/messages.rs"]
#[allow(dead_code)]
mod messages;

/// That the filter's messages are Envoy's.
#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use envoy_types::ext_authz::v3::pb::HttpResponse;
    use prost::Message;

    use super::*;

    #[test]
    fn envoy_reads_the_filters_request() {
        let http = messages::HttpRequest {
            id: "id".into(),
            method: "GET".into(),
            headers: BTreeMap::from([(":path".into(), "/x".into()), ("a".into(), "1,2".into())]),
            path: "/x".into(),
            host: "example.test".into(),
            scheme: "http".into(),
        };
        let request = Some(messages::Request { http: Some(http) });
        let bytes = messages::CheckRequest { attributes: Some(messages::AttributeContext { request }) }.encode_to_vec();
        let read = CheckRequest::decode(bytes.as_slice()).unwrap();
        let http = read.attributes.unwrap().request.unwrap().http.unwrap();
        assert_eq!(
            [http.id, http.method, http.path, http.host, http.scheme],
            ["id", "GET", "/x", "example.test", "http"]
        );
        assert_eq!(http.headers.get("a").unwrap(), "1,2");
        assert_eq!(http.headers.len(), 2);
    }

    #[test]
    fn the_filter_reads_envoys_responses() {
        let mut denied = DeniedHttpResponseBuilder::new();
        denied.set_http_status(HttpStatusCode::Unauthorized).add_header("a", "1", None, false).set_body("no");
        let read = read(Status::unauthenticated("?"), denied.build().into_response());
        assert_eq!(read.status.unwrap().code, 16);
        let Some(messages::HttpResponse::Denied(denied)) = read.http_response else { panic!("it is denied") };
        assert_eq!((denied.status.unwrap().code, denied.body.as_str()), (401, "no"));
        assert_eq!(denied.headers[0].header.as_ref().unwrap().value, "1");

        let mut allowed = OkHttpResponseBuilder::new();
        allowed
            .add_header("a", "1", Some(HeaderAppendAction::OverwriteIfExists), false)
            .remove_header("b")
            .add_response_header("c", "2", None, false);
        let read = self::read(Status::ok(""), allowed.build().into_response());
        assert_eq!(read.status.map_or(0, |status| status.code), 0);
        let Some(messages::HttpResponse::Ok(allowed)) = read.http_response else { panic!("it is let through") };
        assert_eq!(allowed.headers[0].append_action(), messages::HeaderAppendAction::OverwriteIfExists);
        assert_eq!(allowed.headers_to_remove, ["b"]);
        assert_eq!(allowed.response_headers_to_add[0].header.as_ref().unwrap().key, "c");
    }

    trait IntoResponse {
        fn into_response(self) -> HttpResponse;
    }

    impl IntoResponse for envoy_types::ext_authz::v3::pb::DeniedHttpResponse {
        fn into_response(self) -> HttpResponse {
            HttpResponse::DeniedResponse(self)
        }
    }

    impl IntoResponse for envoy_types::ext_authz::v3::pb::OkHttpResponse {
        fn into_response(self) -> HttpResponse {
            HttpResponse::OkResponse(self)
        }
    }

    fn read(status: Status, response: HttpResponse) -> messages::CheckResponse {
        let mut answer = CheckResponse::default();
        answer.set_status(status);
        answer.http_response = Some(response);
        messages::CheckResponse::decode(answer.encode_to_vec().as_slice()).unwrap()
    }
}
