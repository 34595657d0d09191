//! gRPC in terms of HTTP.

/// The media type of gRPC.
pub const CONTENT_TYPE: &str = "application/grpc";

/// Whether a request of this `content-type` is answered in gRPC: `application/grpc`, or that with a `+` and more behind it.
/// Source: Envoy's `Grpc::Common::hasGrpcContentType`.
pub fn is_grpc(content_type: &[u8]) -> bool {
    content_type.strip_prefix(CONTENT_TYPE.as_bytes()).is_some_and(|rest| matches!(rest, [] | [b'+', ..]))
}

/// The gRPC status that stands for an HTTP status. Source: Envoy's `Grpc::Utility::httpToGrpcStatus`.
pub fn status_of_http(status: u32) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_told_by_its_media_type() {
        for (content_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;x", false),
            ("application/grpc-web", false),
            ("application/grpcx", false),
            ("", false),
        ] {
            assert_eq!(is_grpc(content_type.as_bytes()), expected, "{content_type}");
        }
    }
}
