//! gRPC callouts.

use proxy_wasm_abi::{
    enums::Status,
    limits::CALLOUTS_MAX,
    pairs,
    settings::{Cluster, GrpcTransport, Origin},
};
use proxy_wasm_semantics::{CallId, GrpcAction, GrpcRequest, GrpcTarget, HeaderMap, Kind, UpstreamFailure};

use crate::common::{Bed, Call, Id};

mod answers;
mod requests;
mod tokens;

const CALLBACKS: [Id; 4] =
    [Id::GrpcReceiveInitialMetadata, Id::GrpcReceive, Id::GrpcReceiveTrailingMetadata, Id::GrpcClose];

fn bed() -> Bed {
    bed_by(GrpcTransport::Http2)
}

/// Its callbacks note what they are about.
fn bed_by(transport: GrpcTransport) -> Bed {
    let bed = Bed::with(|settings| {
        let origin = Origin { tls: false, authority: "10.0.0.1:80".into() };
        settings.clusters.push(Cluster { name: "auth".into(), origin });
        settings.upkeep.grpc_transport = transport;
    });
    for callback in CALLBACKS {
        bed.on(callback, move |filter| {
            match callback {
                Id::GrpcReceiveInitialMetadata => filter.pairs(4),
                Id::GrpcReceive => filter.buffer(5),
                Id::GrpcReceiveTrailingMetadata => filter.pairs(5),
                _ => note_status(filter),
            }
            0
        });
    }
    bed
}

fn note_status(filter: &Call<'_>) {
    let (code, message) = {
        let vm = filter.state();
        let (code, message) = vm.get_status();
        (code, String::from_utf8_lossy(message).into_owned())
    };
    filter.note(format!("status {code} {message:?}"));
}

fn target(service: &[u8]) -> GrpcTarget<'_> {
    GrpcTarget { service, name: b"pkg.Service", method: b"Do", metadata: b"" }
}

fn call(filter: &Call<'_>, service: &[u8]) -> Result<u32, Status> {
    filter.state().grpc_call(target(service), b"ask", 500)
}

/// The callout of this token.
fn of(token: u32) -> CallId {
    CallId { plugin: 0, token }
}

/// A filter that makes a call in its request's head, and the call.
fn called(bed: &Bed) -> GrpcRequest {
    bed.on(Id::RequestHeaders, |filter| {
        assert_eq!(call(filter, b"auth"), Ok(5));
        1
    });
    started(bed)
}

/// A filter that opens a stream in its request's head, and the stream. The filter has ended its side.
fn opened(bed: &Bed) -> GrpcRequest {
    bed.on(Id::RequestHeaders, |filter| {
        assert_eq!(filter.state().grpc_stream(target(b"auth")), Ok(6));
        assert_eq!(filter.state().grpc_send(6, b"one", true), Ok(()));
        1
    });
    started(bed)
}

fn started(bed: &Bed) -> GrpcRequest {
    bed.get();
    bed.trace();
    let Some(GrpcAction::Start(request)) = bed.chain.next_grpc() else { panic!("it was asked for") };
    request
}

fn actions(bed: &Bed) -> Vec<GrpcAction> {
    std::iter::from_fn(|| bed.chain.next_grpc()).collect()
}

/// Once the edge has taken what there is to do, nothing is left.
fn is_done(bed: &Bed) -> bool {
    actions(bed);
    !bed.chain.has_work()
}

fn head(fields: &[(&str, &str)]) -> HeaderMap {
    let own = [(":status", "200"), ("content-type", "application/grpc")];
    HeaderMap::from_pairs(Kind::Response, own.iter().chain(fields).copied())
}

fn trailers(fields: &[(&str, &str)]) -> HeaderMap {
    HeaderMap::from_pairs(Kind::Trailers, fields.iter().copied())
}

fn encoded(fields: &[(&str, &str)]) -> Vec<u8> {
    pairs::encode(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn frame(flags: u8, message: &str) -> Vec<u8> {
    [&[flags], (message.len() as u32).to_be_bytes().as_slice(), message.as_bytes()].concat()
}

/// A field of a protobuf message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, content.len() as u8], content].concat()
}
