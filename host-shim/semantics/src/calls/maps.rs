//! Header maps.

use proxy_wasm_abi::{
    bridge::AbiVersion,
    enums::{MapType, Status},
    pairs,
};

use super::CallResult;
use crate::{
    headers::HeaderMap,
    state::ChainState,
    stream::{Direction, MapKind},
};

impl ChainState {
    /// `proxy_get_header_map_value`: the first value.
    pub fn get_header_map_value(&self, map: u32, key: &[u8]) -> CallResult<Vec<u8>> {
        let map = MapType::from_u32(map).ok_or(Status::BadArgument)?;
        let missing = || if self.vm().version() == AbiVersion::V0_1_0 { Ok(Vec::new()) } else { Err(Status::NotFound) };
        match self.map(map) {
            Some(map) => map.get(key).map_or_else(missing, |value| Ok(value.to_vec())),
            None if self.is_logging() => missing(),
            None => {
                self.hint_too_late(map);
                Err(Status::BadArgument)
            }
        }
    }

    /// `proxy_get_header_map_pairs`: in the wire format; nothing for a map that is empty or not there.
    pub fn get_header_map_pairs(&self, map: u32) -> CallResult<Vec<u8>> {
        let map = MapType::from_u32(map).ok_or(Status::BadArgument)?;
        Ok(self.map(map).map(HeaderMap::serialize).unwrap_or_default())
    }

    /// `proxy_get_header_map_size`: the bytes of all names and values. Envoy asks for the map that can be changed: there is
    /// none of callouts, and trailers may come into being.
    // Source: Envoy's `Context::getHeaderMapSize`; `proxy_get_header_map_size/of-every-map-in-each-phase` and
    // `proxy_get_header_map_size/makes-trailers-at-the-end-of-a-body`.
    pub fn get_header_map_size(&mut self, map: u32) -> CallResult<u32> {
        let size = |map: &HeaderMap| map.byte_size() as u32;
        if self.is_permissive() {
            let map = MapType::from_u32(map).filter(|map| of_message(*map).is_some());
            return map.and_then(|map| self.map(map)).map(size).ok_or(Status::BadArgument);
        }
        self.map_mut(map).map(|map| size(map))
    }

    /// `proxy_add_header_map_value`
    pub fn add_header_map_value(&mut self, map: u32, key: &[u8], value: &[u8]) -> CallResult {
        self.map_mut(map)?.add(key, value);
        self.note_change(map);
        Ok(())
    }

    /// `proxy_replace_header_map_value`
    pub fn replace_header_map_value(&mut self, map: u32, key: &[u8], value: &[u8]) -> CallResult {
        self.map_mut(map)?.replace(key, value);
        self.note_change(map);
        Ok(())
    }

    /// `proxy_remove_header_map_value`
    pub fn remove_header_map_value(&mut self, map: u32, key: &[u8]) -> CallResult {
        self.map_mut(map)?.remove(key);
        self.note_change(map);
        Ok(())
    }

    /// `proxy_set_header_map_pairs`: malformed bytes count as no pairs.
    pub fn set_header_map_pairs(&mut self, map: u32, bytes: &[u8]) -> CallResult {
        let changed = self.map_mut(map)?;
        changed.clear();
        for (name, value) in pairs::decode(bytes).unwrap_or_default() {
            changed.add(name, value);
        }
        self.note_change(map);
        Ok(())
    }

    /// A filter changed a map: another head may have another route. Source: Envoy's `Context::addHeaderMapValue`;
    /// `routes/the-route-of-a-changed-head`.
    fn note_change(&mut self, map: u32) {
        if MapType::from_u32(map) == Some(MapType::RequestHeaders) {
            self.clear_route_cache();
        }
    }

    /// Says, once, what helps a filter that comes back to a head which it let go before the body.
    #[cold]
    fn hint_too_late(&self, map: MapType) {
        let Some((_, context)) = self.stream() else { return };
        let Some((direction, MapKind::Headers)) = of_message(map) else { return };
        let side = context.side(direction);
        let let_go = side.head_went_on() && (side.open_body().is_some() || side.is_open(MapKind::Trailers));
        let helps = !context.is_logging() && !self.plugin().allow_on_headers_stop_iteration;
        if let_go && helps && self.is_first_hint() {
            self.write_line(
                "[warn] headers went on before their body, and a filter comes too late to them: it can hold them, by \
                 StopIteration and `--allow-on-headers-stop-iteration`"
                    .into(),
            );
        }
    }

    fn is_logging(&self) -> bool {
        self.stream().is_some_and(|(_, context)| context.is_logging())
    }

    /// The map, if it can be read now.
    fn map(&self, map: MapType) -> Option<&HeaderMap> {
        let callout = || self.vm().callouts.response.as_ref();
        match map {
            MapType::HttpCallResponseHeaders => return callout().map(|response| &response.headers),
            MapType::HttpCallResponseTrailers => return callout()?.trailers.as_ref(),
            MapType::GrpcInitialMetadata => return self.vm().grpc.initial.as_ref(),
            MapType::GrpcTrailingMetadata => return self.vm().grpc.trailing.as_ref(),
            _ => {}
        }
        let (stream, context) = self.stream()?;
        let (direction, kind) = of_message(map)?;
        let shows = self.is_permissive()
            || match (direction, kind) {
                // `proxy_on_log` does not get these: Envoy's `Context::getConstMap` has nothing for them.
                (Direction::Request, MapKind::Trailers) if context.is_logging() => false,
                _ => context.shows(direction, kind),
            };
        stream.message(direction).map(kind).filter(|_| shows)
    }

    /// The map, if it can be changed now. The trailers of a body whose end the filter is looking at come into being.
    fn map_mut(&mut self, map: u32) -> CallResult<&mut HeaderMap> {
        let map = MapType::from_u32(map).ok_or(Status::BadArgument)?;
        let (stream, plugin) = self.stream_mut().ok_or(Status::BadArgument)?;
        let (direction, kind) = of_message(map).ok_or(Status::BadArgument)?;
        let context = stream.context_mut(plugin);
        let end_of_stream = context.was_told_end_of_stream();
        let (message, side) = stream.parts(direction, plugin);
        let can_add = kind == MapKind::Trailers && message.trailers().is_none() && side.open_body().is_some();
        if can_add && end_of_stream {
            message.add_trailers();
            side.make_trailers();
        }
        if !side.is_open(kind) {
            self.hint_too_late(map);
            return Err(Status::BadArgument);
        }
        let (stream, _) = self.stream_mut().ok_or(Status::BadArgument)?;
        stream.message_mut(direction).map_mut(kind).ok_or(Status::BadArgument)
    }
}

/// Which map of the exchange's messages it is, if it is one.
fn of_message(map: MapType) -> Option<(Direction, MapKind)> {
    match map {
        MapType::RequestHeaders => Some((Direction::Request, MapKind::Headers)),
        MapType::RequestTrailers => Some((Direction::Request, MapKind::Trailers)),
        MapType::ResponseHeaders => Some((Direction::Response, MapKind::Headers)),
        MapType::ResponseTrailers => Some((Direction::Response, MapKind::Trailers)),
        _ => None,
    }
}
