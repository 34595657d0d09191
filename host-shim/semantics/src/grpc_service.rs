//! The `GrpcService` message by which a filter can say where a gRPC callout goes.
//!
//! Its few fields are read by hand: a protobuf library, and Envoy's messages with it (the crate `envoy-types`, by which the
//! tests check this), would weigh more in each component than all gRPC callouts do.

use proxy_wasm_foreign::protobuf::{self, Value, each_field};

/// The service that a filter names with a serialized `envoy.config.core.v3.GrpcService`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct GrpcService {
    pub(crate) target: Target,
    /// Added to the request's head, before the call's own.
    pub(crate) initial_metadata: Vec<(Vec<u8>, Vec<u8>)>,
}

/// By which of Envoy's two clients.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Target {
    /// The message does not say.
    #[default]
    Unset,
    /// Envoy's own, to a cluster.
    Envoy(EnvoyGrpc),
    /// Google's, which is not there.
    Google,
}

/// A cluster.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct EnvoyGrpc {
    pub(crate) cluster: Vec<u8>,
    /// Used instead of the cluster's name, unless it is empty.
    pub(crate) authority: Vec<u8>,
    /// Without `x-envoy-internal`; `x-envoy-expected-rq-timeout-ms` stays.
    /// Source: `proxy_grpc_call/of-services-of-all-kinds`.
    pub(crate) skip_envoy_headers: bool,
}

impl GrpcService {
    /// Reads the message; nothing where the bytes are none. A filter may as well hand over a cluster's name.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut service = Self::default();
        each_field(bytes, |field| {
            match field {
                (1, Value::Bytes(message)) => {
                    let mut envoy = match std::mem::take(&mut service.target) {
                        Target::Envoy(envoy) => envoy,
                        _ => EnvoyGrpc::default(),
                    };
                    envoy.merge(message)?;
                    service.target = Target::Envoy(envoy);
                }
                (2, Value::Bytes(message)) => {
                    each_field(message, |_| Some(()))?;
                    service.target = Target::Google;
                }
                // The timeout, which Envoy does not look at here, and the rules for retries.
                (3 | 6, Value::Bytes(message)) => each_field(message, |_| Some(()))?,
                (5, Value::Bytes(message)) => service.initial_metadata.push(header(message)?),
                _ => {}
            }
            Some(())
        })?;
        Some(service)
    }
}

impl EnvoyGrpc {
    fn merge(&mut self, message: &[u8]) -> Option<()> {
        each_field(message, |field| {
            match field {
                (1, Value::Bytes(name)) => self.cluster = text(name)?,
                (2, Value::Bytes(authority)) => self.authority = text(authority)?,
                (3 | 4, Value::Bytes(message)) => each_field(message, |_| Some(()))?,
                (5, Value::Number(skip)) => self.skip_envoy_headers = skip != 0,
                _ => {}
            }
            Some(())
        })
    }
}

/// A `HeaderValue`.
fn header(message: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut key, mut value) = (Vec::new(), Vec::new());
    each_field(message, |field| {
        match field {
            (1, Value::Bytes(bytes)) => key = text(bytes)?,
            (2, Value::Bytes(bytes)) => value = text(bytes)?,
            _ => {}
        }
        Some(())
    })?;
    Some((key, value))
}

/// A string of a message. If it is not UTF-8, the message is malformed.
fn text(bytes: &[u8]) -> Option<Vec<u8>> {
    protobuf::text(bytes).map(|text| text.as_bytes().to_vec())
}
