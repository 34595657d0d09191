//! Properties: those of Envoy's attributes that an HTTP host can know.
//!
//! A path that the settings give a value, or a request header to read it from, has that value in every phase. Then come
//! the attributes below, then those that the filter itself stored with `proxy_set_property`.

use proxy_wasm_abi::{enums::Status, grpc, pairs};

use crate::{
    headers::HeaderMap,
    state::ChainState,
    stream::{Direction, Facts, MapKind, Stream, StreamContext},
};

/// Maps of attributes, which have no wire form as a whole.
const WHOLE_MAPS: &[&str] = &["connection", "destination", "filter_state", "request", "response", "source", "upstream"];

type Value = Result<Vec<u8>, Status>;

const NOT_FOUND: Value = Err(Status::NotFound);

/// The highest status of gRPC: `UNAUTHENTICATED`.
const GRPC_STATUS_MAX: u64 = 16;

/// A map without entries, as a value.
const EMPTY_MAP: [u8; 4] = [0; 4];

impl ChainState {
    /// `proxy_get_property`
    pub fn get_property(&self, path: &[u8]) -> Value {
        if path.is_empty() {
            return Err(Status::SerializationFailure);
        }
        // A NUL at the end starts no segment.
        let path = path.strip_suffix(b"\0").unwrap_or(path);
        let acting = self.stream();
        let stream = acting.map(|(stream, _)| stream);
        if let Some(value) = self.configured(stream, path) {
            return Ok(value);
        }
        // Bytes that are not UTF-8 name nothing. (Patterns of bytes would be compared byte by byte, in ten times the code.)
        let raw: Vec<&[u8]> = path.split(|byte| *byte == 0).collect();
        let segments: Vec<&str> = raw.iter().map(|segment| std::str::from_utf8(segment).unwrap_or_default()).collect();
        let last = raw.last().copied().unwrap_or_default();
        let routed = |stream| self.routing.property(&self.settings, stream, &*self.host, &segments);
        if let Some(value) = stream.and_then(routed).or_else(|| self.plugin_property(&segments, stream)) {
            return value;
        }
        let Some((stream, context)) = acting else { return NOT_FOUND };
        if segments.len() == 1 && WHOLE_MAPS.contains(&segments[0]) {
            return Err(Status::SerializationFailure);
        }
        match segments[0] {
            "request" => self.request_property(stream, context, &segments[1..], last),
            "response" => response_property(stream, context, self.is_permissive(), &segments[1..], last),
            "connection" => connection_property(&segments[1..]),
            "upstream" => self.upstream_property(stream, &segments[1..]),
            "metadata" => match segments[1..] {
                [] => Ok(Vec::new()),
                ["filter_metadata" | "typed_filter_metadata"] => Ok(EMPTY_MAP.to_vec()),
                _ => NOT_FOUND,
            },
            // It comes into being with the connection to the upstream.
            "upstream_filter_state" if segments.len() == 1 && stream.upstream_timeout_ms().is_some() => {
                Err(Status::SerializationFailure)
            }
            "filter_state" | "upstream_filter_state" => match segments[1..] {
                [_] if segments[0] == "filter_state" => match last.strip_prefix(b"wasm.") {
                    Some(name) => stored(stream, name),
                    None => object(stream, last, None),
                },
                [_, field] if segments[0] == "filter_state" => object(stream, raw[1], Some(field)),
                _ => NOT_FOUND,
            },
            "source" | "destination" => NOT_FOUND,
            // Only a single segment can be read back.
            _ if segments.len() == 1 => stored(stream, last),
            _ => NOT_FOUND,
        }
    }

    /// `proxy_set_property`
    pub fn set_property(&mut self, path: &[u8], value: &[u8]) -> Result<(), Status> {
        let Some((stream, _)) = self.stream_mut() else { return Err(Status::NotFound) };
        match stream.filter_state.iter_mut().find(|(key, _)| key == path) {
            Some((_, present)) => *present = value.to_vec(),
            None => stream.filter_state.push((path.to_vec(), value.to_vec())),
        }
        Ok(())
    }

    fn configured(&self, stream: Option<&Stream>, path: &[u8]) -> Option<Vec<u8>> {
        let from_headers = stream.map_or(&[][..], |stream| &stream.facts.from_headers);
        let mut all = from_headers.iter().chain(&self.settings.properties);
        all.find(|(key, _)| key == path).map(|(_, value)| value.clone())
    }

    /// Properties that need no exchange, and those of its configuration.
    fn plugin_property(&self, segments: &[&str], stream: Option<&Stream>) -> Option<Value> {
        let plugin = self.plugin();
        let in_stream = stream.is_some();
        let is_routed = stream.is_some_and(|stream| stream.upstream_timeout_ms().is_some());
        let text = |text: &str| Some(Ok(text.as_bytes().to_vec()));
        match *segments {
            ["plugin_name"] => text(&plugin.name),
            ["plugin_root_id"] => text(&plugin.root_id),
            ["plugin_vm_id"] => text(&plugin.vm_id),
            ["xds", "node"] => Some(Ok(Vec::new())),
            ["xds", "node", "id" | "cluster" | "user_agent_name"] => text(""),
            ["xds", "node", "metadata"] => Some(Ok(Vec::new())),
            ["xds"] => Some(Err(Status::SerializationFailure)),
            ["xds", "cluster_metadata" | "listener_metadata" | "route_metadata"] if in_stream => text(""),
            ["xds", "cluster_name"] if in_stream => {
                Some(self.settings.upstream().map(|cluster| cluster.name.clone().into()).ok_or(Status::NotFound))
            }
            ["xds", "upstream_host_metadata"] if is_routed => Some(Err(Status::SerializationFailure)),
            ["xds", "route_name" | "virtual_host_name" | "filter_chain_name"] if in_stream => text(""),
            ["xds", "listener_direction"] if in_stream => Some(Ok(int(0))),
            ["xds", ..] => Some(NOT_FOUND),
            _ => None,
        }
    }

    fn request_property(&self, stream: &Stream, context: &StreamContext, segments: &[&str], last: &[u8]) -> Value {
        let facts = &stream.facts;
        let message = stream.message(Direction::Request);
        let live =
            message.headers().filter(|_| self.is_permissive() || context.shows(Direction::Request, MapKind::Headers));
        let header = |name: &[u8]| live.and_then(|headers| headers.get(name)).map_or(NOT_FOUND, |v| Ok(v.to_vec()));
        let header_bytes = live.map_or(0, HeaderMap::byte_size) as u64;
        match *segments {
            ["path"] => header(b":path"),
            ["url_path"] => header(b":path").map(|path| split_query(&path).0.to_vec()),
            ["query"] => header(b":path").map(|path| split_query(&path).1.to_vec()),
            ["host"] => header(b":authority"),
            ["scheme"] => header(b":scheme"),
            ["method"] => header(b":method"),
            ["referer"] => header(b"referer"),
            ["useragent"] => header(b"user-agent"),
            ["id"] => header(b"x-request-id"),
            ["headers"] => Ok(map(live)),
            ["headers", _] => live.and_then(|headers| headers.get_joined(last)).map_or(NOT_FOUND, Ok),
            ["headers_bytes"] => Ok(int(header_bytes)),
            ["time"] => Ok(int(self.request_time(facts))),
            ["duration"] if stream.is_over() => Ok(int(self.duration(facts))),
            ["protocol"] => Ok(if facts.http2 { b"HTTP/2" as &[u8] } else { b"HTTP/1.1" }.to_vec()),
            ["size"] => {
                let declared = header(b"content-length").ok().and_then(|v| std::str::from_utf8(&v).ok()?.parse().ok());
                Ok(int(declared.unwrap_or(message.body_bytes())))
            }
            ["total_size"] => Ok(int(header_bytes + message.body_bytes())),
            _ => NOT_FOUND,
        }
    }

    /// When the request began. Computed when it is first asked for: few filters do.
    fn request_time(&self, facts: &Facts) -> u64 {
        facts.start.get().unwrap_or_else(|| {
            let start = self.host.wall_clock().saturating_sub(self.elapsed(facts));
            facts.start.set(Some(start));
            start
        })
    }

    /// How long an exchange took that has just ended. The same for all that ask.
    fn duration(&self, facts: &Facts) -> u64 {
        facts.duration.get().unwrap_or_else(|| {
            let duration = self.elapsed(facts);
            facts.duration.set(Some(duration));
            duration
        })
    }

    fn elapsed(&self, facts: &Facts) -> u64 {
        self.host.monotonic_clock().saturating_sub(facts.start_monotonic)
    }

    fn upstream_property(&self, stream: &Stream, segments: &[&str]) -> Value {
        match *segments {
            ["num_endpoints"] if self.settings.upstream().is_some() => Ok(int(1)),
            // There is no TLS, and no locality is configured.
            ["transport_failure_reason" | "locality"] if stream.upstream_timeout_ms().is_some() => Ok(Vec::new()),
            ["request_attempt_count"] => {
                let once = u64::from(stream.upstream_timeout_ms().is_some());
                Ok(int(stream.choice.attempts().map_or(once, u64::from)))
            }
            _ => NOT_FOUND,
        }
    }
}

fn response_property(
    stream: &Stream,
    context: &StreamContext,
    permissive: bool,
    segments: &[&str],
    last: &[u8],
) -> Value {
    let facts = &stream.facts;
    let message = stream.message(Direction::Response);
    let shows = |kind| permissive || context.shows(Direction::Response, kind);
    let live = message.headers().filter(|_| shows(MapKind::Headers));
    let trailers = message.trailers().filter(|_| shows(MapKind::Trailers));
    let code = facts.response_code.ok_or(Status::NotFound);
    match *segments {
        ["code"] => Ok(int(code?.into())),
        ["code_details"] => {
            facts.response_code_details.as_ref().map_or(NOT_FOUND, |details| Ok(details.clone().into_bytes()))
        }
        ["flags"] => Ok(int(facts.response_flags)),
        ["grpc_status"] => {
            let given = [trailers, live].into_iter().flatten().find_map(|map| map.get(b"grpc-status"));
            match given {
                Some(value) => {
                    let number = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
                    // An invalid status is read as -1.
                    Ok(int(number.filter(|number| *number <= GRPC_STATUS_MAX).unwrap_or(u64::MAX)))
                }
                None => Ok(int(grpc::status_of_http(code?.into()).into())),
            }
        }
        ["headers"] => Ok(map(live)),
        ["headers", _] => live.and_then(|headers| headers.get_joined(last)).map_or(NOT_FOUND, Ok),
        ["headers_bytes"] => Ok(int(live.map_or(0, HeaderMap::byte_size) as u64)),
        ["backend_latency"] => facts.backend_latency.map_or(NOT_FOUND, |latency| Ok(int(latency))),
        ["trailers"] => Ok(map(trailers)),
        ["trailers", _] => trailers.and_then(|trailers| trailers.get_joined(last)).map_or(NOT_FOUND, Ok),
        ["size"] => Ok(int(message.body_bytes())),
        ["total_size"] => {
            let heads = live.map_or(0, HeaderMap::byte_size) + trailers.map_or(0, HeaderMap::byte_size);
            Ok(int(heads as u64 + message.body_bytes()))
        }
        _ => NOT_FOUND,
    }
}

/// An object that `set_envoy_filter_state` stored, or a field of it. An object with fields is an empty map as a whole.
fn object(stream: &Stream, name: &[u8], field: Option<&str>) -> Value {
    let Some(object) = stream.filter_objects.get(name) else { return NOT_FOUND };
    match (field, &object.address) {
        (None, Some(_)) => Ok(EMPTY_MAP.to_vec()),
        (None, None) => object.whole.clone().ok_or(Status::NotFound),
        (Some("ip"), Some((ip, _))) => Ok(ip.clone()),
        (Some("port"), Some((_, port))) => Ok(int((*port).into())),
        (Some(_), _) => NOT_FOUND,
    }
}

fn connection_property(segments: &[&str]) -> Value {
    match *segments {
        ["mtls"] => Ok(vec![0]),
        ["requested_server_name"] => Ok(Vec::new()),
        _ => NOT_FOUND,
    }
}

fn stored(stream: &Stream, name: &[u8]) -> Value {
    stream.filter_state.iter().find(|(key, _)| key == name).map_or(NOT_FOUND, |(_, value)| Ok(value.clone()))
}

fn split_query(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().position(|byte| *byte == b'?') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (path, b""),
    }
}

fn int(number: u64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

/// A header map as a value: one entry for each name, its values joined.
fn map(headers: Option<&HeaderMap>) -> Vec<u8> {
    let mut entries: Vec<(&[u8], Vec<u8>)> = Vec::new();
    for (name, value) in headers.iter().flat_map(|headers| headers.iter()) {
        match entries.iter_mut().find(|(present, _)| *present == name) {
            Some((_, joined)) => {
                joined.push(b',');
                joined.extend_from_slice(value);
            }
            None => entries.push((name, value.to_vec())),
        }
    }
    pairs::encode(entries.iter().map(|(name, value)| (*name, value.as_slice())))
}
