//! What stands between two `%`, and its value.
//!
//! What this host cannot know is `-`, as Envoy has it for what is not there: it has no routes with names, no TLS on the
//! client's side and no metadata.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Version;

use super::times::TimeFormat;
use super::values;
use crate::record::Exchange;

/// An operator that was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operator {
    kind: Kind,
    /// Bytes that its value may have.
    limit: Option<usize>,
}

/// What is known when a line is written.
pub(super) struct Known<'a> {
    pub(super) exchange: &'a Exchange,
    /// The cluster of the route, where there is only one.
    pub(super) route: Option<&'a str>,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// There is none.
    Missing,
    Bytes(Cow<'a, [u8]>),
    Number(u64),
    /// An object, as JSON.
    Json(String),
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Plain(Plain),
    StartTime(TimeFormat),
    Request(Names),
    Response(Names),
    Trailer(Names),
    FilterState {
        name: String,
        plain: bool,
    },
    GrpcStatus(GrpcForm),
    /// What is the same in every line.
    Constant(Option<String>),
    /// `true`: with its query.
    Path(bool),
    QueryParameter(String),
}

/// A header, and the one that is taken where the first is missing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Names {
    pub(super) first: String,
    pub(super) second: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum GrpcForm {
    Camel,
    Snake,
    Number,
}

macro_rules! plain {
    ($($name:literal => $kind:ident,)*) => {
        /// What takes no argument.
        #[derive(Clone, Copy, Debug, PartialEq)]
        enum Plain { $($kind,)* }

        const PLAIN: &[(&str, Plain)] = &[$(($name, Plain::$kind),)*];
    };
}

plain! {
    "PROTOCOL" => Protocol,
    "RESPONSE_CODE" => ResponseCode,
    "RESPONSE_CODE_DETAILS" => ResponseCodeDetails,
    "RESPONSE_FLAGS" => ResponseFlags,
    "RESPONSE_FLAGS_LONG" => ResponseFlagsLong,
    "BYTES_RECEIVED" => BytesReceived,
    "BYTES_SENT" => BytesSent,
    "DURATION" => Duration,
    "REQUEST_DURATION" => RequestDuration,
    "RESPONSE_DURATION" => ResponseDuration,
    "RESPONSE_TX_DURATION" => ResponseTxDuration,
    "UPSTREAM_HOST" => UpstreamHost,
    "UPSTREAM_REMOTE_ADDRESS" => UpstreamAddress,
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => UpstreamIp,
    "UPSTREAM_REMOTE_PORT" => UpstreamPort,
    "UPSTREAM_CLUSTER" => UpstreamCluster,
    "UPSTREAM_CLUSTER_RAW" => UpstreamClusterRaw,
    "UPSTREAM_PROTOCOL" => UpstreamProtocol,
    "UPSTREAM_REQUEST_ATTEMPT_COUNT" => UpstreamAttempts,
    "UPSTREAM_TRANSPORT_FAILURE_REASON" => UpstreamFailure,
    "DOWNSTREAM_REMOTE_ADDRESS" => RemoteAddress,
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => RemoteIp,
    "DOWNSTREAM_REMOTE_PORT" => RemotePort,
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => DirectRemoteAddress,
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => DirectRemoteIp,
    "DOWNSTREAM_DIRECT_REMOTE_PORT" => DirectRemotePort,
    "DOWNSTREAM_LOCAL_ADDRESS" => LocalAddress,
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => LocalIp,
    "DOWNSTREAM_LOCAL_PORT" => LocalPort,
    "STREAM_ID" => StreamId,
    "GRPC_STATUS_NUMBER" => GrpcStatusNumber,
    "REQUEST_NUMBER" => RequestNumber,
}

/// What takes an argument, or may have one.
const WITH_ARGUMENT: [&str; 10] = [
    "START_TIME",
    "REQ",
    "RESP",
    "TRAILER",
    "FILTER_STATE",
    "GRPC_STATUS",
    "ENVIRONMENT",
    "PATH",
    "QUERY_PARAM",
    "HOSTNAME",
];

/// What this host never knows, and Envoy often does not.
const UNKNOWABLE: [&str; 22] = [
    "DYNAMIC_METADATA",
    "CLUSTER_METADATA",
    "UPSTREAM_METADATA",
    "ROUTE_NAME",
    "VIRTUAL_CLUSTER_NAME",
    "REQUESTED_SERVER_NAME",
    "CONNECTION_ID",
    "UPSTREAM_CONNECTION_ID",
    "CONNECTION_TERMINATION_DETAILS",
    "UPSTREAM_LOCAL_ADDRESS",
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_LOCAL_PORT",
    "DOWNSTREAM_TLS_VERSION",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "UPSTREAM_TLS_VERSION",
    "UPSTREAM_TLS_CIPHER",
];

impl Operator {
    /// Reads one. The error says what is wrong with it.
    pub(super) fn parse(name: &str, argument: Option<&str>, limit: Option<usize>) -> Result<Self, String> {
        let needed = || argument.ok_or_else(|| format!("`%{name}%` needs an argument, as in `%{name}(x)%`"));
        let kind = match name {
            "START_TIME" => Kind::StartTime(match argument {
                None => TimeFormat::default(),
                Some(format) => {
                    TimeFormat::parse(format).map_err(|error| format!("in `%{name}({format})%`: {error}"))?
                }
            }),
            "REQ" => Kind::Request(Names::parse(needed()?)),
            "RESP" => Kind::Response(Names::parse(needed()?)),
            "TRAILER" => Kind::Trailer(Names::parse(needed()?)),
            "QUERY_PARAM" => Kind::QueryParameter(needed()?.into()),
            "ENVIRONMENT" => Kind::Constant(std::env::var(needed()?).ok()),
            "HOSTNAME" => Kind::Constant(values::hostname()),
            "FILTER_STATE" => {
                let argument = needed()?;
                let (state, form) = argument.split_once(':').unwrap_or((argument, "TYPED"));
                let plain = match form {
                    "PLAIN" => true,
                    "TYPED" => false,
                    _ => return Err(format!("in `%{name}({argument})%`: `{form}` is neither `PLAIN` nor `TYPED`")),
                };
                Kind::FilterState { name: state.into(), plain }
            }
            "GRPC_STATUS" => Kind::GrpcStatus(match argument {
                None | Some("CAMEL_STRING") => GrpcForm::Camel,
                Some("SNAKE_STRING") => GrpcForm::Snake,
                Some("NUMBER") => GrpcForm::Number,
                Some(form) => {
                    let known = "`CAMEL_STRING`, `SNAKE_STRING` or `NUMBER`";
                    return Err(format!("in `%{name}({form})%`: write {known}"));
                }
            }),
            "PATH" => Kind::Path(match argument {
                None | Some("WQ") => true,
                Some("NQ") => false,
                Some(form) => return Err(format!("in `%{name}({form})%`: write `WQ` or `NQ`")),
            }),
            _ if UNKNOWABLE.contains(&name) => Kind::Constant(None),
            _ => match PLAIN.iter().find(|(known, _)| *known == name) {
                Some((_, plain)) => Kind::Plain(*plain),
                None => return Err(format!("`%{name}%` is no operator.{}", known(name))),
            },
        };
        Ok(Self { kind, limit })
    }

    /// Its value.
    pub(super) fn value<'a>(&'a self, known: &Known<'a>) -> Value<'a> {
        match (self.kind.value(known), self.limit) {
            (Value::Bytes(mut bytes), Some(limit)) if bytes.len() > limit => {
                match &mut bytes {
                    Cow::Borrowed(bytes) => *bytes = bytes.get(..limit).unwrap_or_default(),
                    Cow::Owned(bytes) => bytes.truncate(limit),
                }
                Value::Bytes(bytes)
            }
            (value, _) => value,
        }
    }
}

/// The names of all operators.
/// Which operators there are: the one that is almost the same, or all.
fn known(name: &str) -> String {
    /// The most slips that make one name of another.
    const SLIPS: usize = 3;
    let names = || WITH_ARGUMENT.into_iter().chain(PLAIN.iter().map(|(name, _)| *name)).chain(UNKNOWABLE);
    let slips = |known: &&str| strsim::damerau_levenshtein(known, name);
    match names().min_by_key(slips).filter(|nearest| slips(nearest) <= SLIPS.min(name.len() / 2)) {
        Some(nearest) => format!(" Did you mean `%{nearest}%`?"),
        None => format!(" There are `{}`.", names().collect::<Vec<_>>().join("`, `")),
    }
}

impl Names {
    fn parse(argument: &str) -> Self {
        let (first, second) = match argument.split_once('?') {
            Some((first, second)) => (first, Some(second.to_ascii_lowercase())),
            None => (argument, None),
        };
        Self { first: first.to_ascii_lowercase(), second }
    }

    /// The first of the two that is there.
    fn find<'a>(&self, get: impl Fn(&str) -> Option<Cow<'a, [u8]>>) -> Value<'a> {
        let found = get(&self.first).or_else(|| get(self.second.as_ref()?));
        found.map_or(Value::Missing, Value::Bytes)
    }
}

fn text<'a>(text: impl Into<String>) -> Value<'a> {
    Value::Bytes(Cow::Owned(text.into().into_bytes()))
}

fn or_missing(value: Option<String>) -> Value<'static> {
    value.map_or(Value::Missing, text)
}

fn number(value: Option<u64>) -> Value<'static> {
    value.map_or(Value::Missing, Value::Number)
}

fn milliseconds(value: Option<std::time::Duration>) -> Value<'static> {
    number(value.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
}

fn version(version: Version) -> Value<'static> {
    match version {
        Version::HTTP_2 => text("HTTP/2"),
        version => text(format!("{version:?}")),
    }
}

impl Kind {
    fn value<'a>(&'a self, known: &Known<'a>) -> Value<'a> {
        let exchange = known.exchange;
        match self {
            Self::Plain(plain) => plain.value(known),
            Self::StartTime(format) => text(format.write(exchange.started)),
            Self::Request(names) => names.find(|name| values::request_header(exchange, name)),
            Self::Response(names) => names.find(|name| values::response_header(exchange, name)),
            Self::Trailer(names) => {
                let trailers = exchange.trailers.as_ref();
                names.find(|name| Some(Cow::Borrowed(trailers?.get(name)?.as_bytes())))
            }
            Self::FilterState { name, plain } => match values::filter_state(exchange, name) {
                None => Value::Missing,
                Some(value) if *plain => Value::Bytes(Cow::Borrowed(value)),
                Some(value) => Value::Json(format!(
                    r#"{{"@type":"type.googleapis.com/google.protobuf.BytesValue","value":"{}"}}"#,
                    STANDARD.encode(value)
                )),
            },
            Self::GrpcStatus(form) => match (values::grpc_status(exchange), form) {
                (None, _) => Value::Missing,
                (Some(status), GrpcForm::Number) => Value::Number(status),
                (Some(status), form) => text(values::grpc_name(status, *form)),
            },
            Self::Constant(value) => {
                value.as_ref().map_or(Value::Missing, |value| Value::Bytes(Cow::Borrowed(value.as_bytes())))
            }
            Self::Path(with_query) => match values::request_header(exchange, ":path") {
                Some(path) if !with_query => {
                    let end = path.iter().position(|byte| *byte == b'?').unwrap_or(path.len());
                    Value::Bytes(Cow::Owned(path[..end].to_vec()))
                }
                path => path.map_or(Value::Missing, Value::Bytes),
            },
            Self::QueryParameter(name) => or_missing(values::query_parameter(exchange, name)),
        }
    }
}

impl Plain {
    fn value<'a>(self, known: &Known<'a>) -> Value<'a> {
        let exchange = known.exchange;
        let upstream = exchange.upstream.as_ref();
        let address = upstream.and_then(|upstream| upstream.address);
        // Envoy knows the address of a connection only when it is there.
        let connected = address.filter(|_| upstream.is_some_and(|upstream| upstream.version.is_some()));
        let (direct, local) = match exchange.ends {
            Some((direct, local)) => (Some(direct), Some(local)),
            None => (None, None),
        };
        match self {
            Self::Protocol => version(exchange.head.version),
            Self::ResponseCode => Value::Number(exchange.status.map_or(0, |status| status.as_u16().into())),
            Self::ResponseCodeDetails => or_missing(values::details(exchange)),
            // Also in JSON no flags are `-`.
            Self::ResponseFlags => text(values::flags(exchange, false)),
            Self::ResponseFlagsLong => text(values::flags(exchange, true)),
            Self::BytesReceived => Value::Number(exchange.received),
            Self::BytesSent => Value::Number(exchange.sent),
            Self::Duration => milliseconds(Some(exchange.elapsed)),
            Self::RequestDuration => milliseconds(exchange.request_ended),
            Self::ResponseDuration => milliseconds(upstream.and_then(|upstream| upstream.responded)),
            Self::ResponseTxDuration => {
                milliseconds(upstream.and_then(|upstream| exchange.elapsed.checked_sub(upstream.responded?)))
            }
            Self::UpstreamHost => or_missing(address.map(|address| address.to_string())),
            Self::UpstreamAddress => or_missing(connected.map(|address| address.to_string())),
            Self::UpstreamIp => or_missing(connected.map(|address| address.ip().to_string())),
            Self::UpstreamPort => number(connected.map(|address| address.port().into())),
            Self::UpstreamCluster | Self::UpstreamClusterRaw => {
                // The only route's is known of a request, too, that was sent nowhere.
                let name = upstream.map(|upstream| &*upstream.cluster).or(known.route);
                name.map_or(Value::Missing, |name| Value::Bytes(Cow::Borrowed(name.as_bytes())))
            }
            Self::UpstreamProtocol => upstream.and_then(|upstream| upstream.version).map_or(Value::Missing, version),
            Self::UpstreamAttempts => Value::Number(upstream.map_or(0, |upstream| upstream.attempts)),
            Self::UpstreamFailure => or_missing(values::transport_failure(exchange)),
            Self::RemoteAddress => or_missing(values::remote(exchange).map(|(ip, port)| values::join(ip, port))),
            Self::RemoteIp => or_missing(values::remote(exchange).map(|(ip, _)| ip.to_string())),
            Self::RemotePort => number(values::remote(exchange).map(|(_, port)| port.into())),
            Self::DirectRemoteAddress => or_missing(direct.map(|address| address.to_string())),
            Self::DirectRemoteIp => or_missing(direct.map(|address| address.ip().to_string())),
            Self::DirectRemotePort => number(direct.map(|address| address.port().into())),
            Self::LocalAddress => or_missing(local.map(|address| address.to_string())),
            Self::LocalIp => or_missing(local.map(|address| address.ip().to_string())),
            Self::LocalPort => number(local.map(|address| address.port().into())),
            Self::StreamId => values::request_header(exchange, "x-request-id").map_or(Value::Missing, Value::Bytes),
            Self::GrpcStatusNumber => number(values::grpc_status(exchange)),
            Self::RequestNumber => Value::Number(exchange.number),
        }
    }
}
