//! The field by which `serve` and a component speak of what `wasi:http` has no word for: HTTP/2, and the `host` that an
//! upstream is told where it is not the authority that a request goes to.
//!
//! All other hosts forbid it, and the shim refuses it to filters. `serve` takes it out of what clients and upstreams send, so
//! nobody else can bring it about. By the type of the content it could not be told: that of the client's request is the
//! client's choice.

/// The field's name.
pub const FIELD: &str = "http2-settings";

/// Its value in a request that goes out, and is to be sent by HTTP/2. A gRPC callout works in no other protocol.
pub const ASKED: &str = "";

/// What its value begins with, before the `host` that the upstream is told, in a request that goes out. It comes behind
/// [`ASKED`]: of several values a `serve` that knows none of this looks at the first.
pub const HOST: &str = "host=";

/// Its value in a request that came by HTTP/2. It asks for nothing, should somebody send the request on as it is.
pub const CAME: &str = "came";
