//! Header maps.

use proxy_wasm_abi::{
    bridge::AbiVersion,
    enums::{MapType, Status},
    pairs,
};

use super::CallResult;
use crate::{
    headers::{HeaderMap, Kind},
    state::State,
    stream::{BodyView, Direction},
};

impl State {
    /// `proxy_get_header_map_value`: the first value.
    pub fn get_header_map_value(&self, map: u32, key: &[u8]) -> CallResult<Vec<u8>> {
        let map = MapType::from_u32(map).ok_or(Status::BadArgument)?;
        let missing = || if self.vm().version == AbiVersion::V0_1_0 { Ok(Vec::new()) } else { Err(Status::NotFound) };
        match self.map(map) {
            Some(map) => map.get(key).map_or_else(missing, |value| Ok(value.to_vec())),
            None if self.is_logging() => missing(),
            None => Err(Status::BadArgument),
        }
    }

    /// `proxy_get_header_map_pairs`: in the wire format; nothing for a map that is empty or not there.
    pub fn get_header_map_pairs(&self, map: u32) -> CallResult<Vec<u8>> {
        let map = MapType::from_u32(map).ok_or(Status::BadArgument)?;
        Ok(self.map(map).map(HeaderMap::serialize).unwrap_or_default())
    }

    /// `proxy_get_header_map_size`: the bytes of all names and values.
    pub fn get_header_map_size(&self, map: u32) -> CallResult<u32> {
        let map = MapType::from_u32(map).ok_or(Status::BadArgument)?;
        // Source: measured; that a callout's maps have no size too.
        let logging = self.is_logging() || is_of_callout(map);
        self.map(map).filter(|_| !logging).map(|map| map.byte_size() as u32).ok_or(Status::BadArgument)
    }

    /// `proxy_add_header_map_value`
    pub fn add_header_map_value(&mut self, map: u32, key: &[u8], value: &[u8]) -> CallResult {
        let map = MapType::from_u32(map).ok_or(Status::BadArgument)?;
        self.map_mut(map)?.add(key, value);
        Ok(())
    }

    /// `proxy_replace_header_map_value`
    pub fn replace_header_map_value(&mut self, map: u32, key: &[u8], value: &[u8]) -> CallResult {
        let map = MapType::from_u32(map).ok_or(Status::BadArgument)?;
        self.map_mut(map)?.replace(key, value);
        Ok(())
    }

    /// `proxy_remove_header_map_value`
    pub fn remove_header_map_value(&mut self, map: u32, key: &[u8]) -> CallResult {
        let map = MapType::from_u32(map).ok_or(Status::BadArgument)?;
        self.map_mut(map)?.remove(key);
        Ok(())
    }

    /// `proxy_set_header_map_pairs`: malformed bytes count as no pairs.
    pub fn set_header_map_pairs(&mut self, map: u32, bytes: &[u8]) -> CallResult {
        let map = MapType::from_u32(map).ok_or(Status::BadArgument)?;
        let map = self.map_mut(map)?;
        map.clear();
        for (name, value) in pairs::decode(bytes).unwrap_or_default() {
            map.add(name, value);
        }
        Ok(())
    }

    fn is_logging(&self) -> bool {
        self.stream().is_some_and(|(_, filter)| filter.logging)
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
        let (stream, filter) = self.stream()?;
        let (request, response) = (&filter.request, &filter.response);
        if self.is_permissive() {
            return match map {
                MapType::RequestHeaders => stream.request.headers.as_ref(),
                MapType::RequestTrailers => stream.request.trailers.as_ref(),
                MapType::ResponseHeaders => stream.response.headers.as_ref(),
                MapType::ResponseTrailers => stream.response.trailers.as_ref(),
                _ => None,
            };
        }
        let (map, live) = match map {
            MapType::RequestHeaders => (&stream.request.headers, request.headers_live || filter.logging),
            MapType::RequestTrailers => (&stream.request.trailers, request.trailers_live && !filter.logging),
            MapType::ResponseHeaders => (&stream.response.headers, response.headers_live || filter.logging),
            MapType::ResponseTrailers => (&stream.response.trailers, response.trailers_live || filter.logging),
            _ => return None,
        };
        map.as_ref().filter(|_| live)
    }

    /// The map, if it can be changed now. The trailers of a body whose end the filter is looking at come into being.
    fn map_mut(&mut self, map: MapType) -> CallResult<&mut HeaderMap> {
        let (stream, plugin) = self.stream_mut().ok_or(Status::BadArgument)?;
        let (end_of_stream, logging) = (stream.filters[plugin].end_of_stream, stream.filters[plugin].logging);
        let (direction, trailers) = match map {
            MapType::RequestHeaders => (Direction::Request, false),
            MapType::RequestTrailers => (Direction::Request, true),
            MapType::ResponseHeaders => (Direction::Response, false),
            MapType::ResponseTrailers => (Direction::Response, true),
            _ => return Err(Status::BadArgument),
        };
        let (message, side) = stream.parts(direction, plugin);
        if trailers && message.trailers.is_none() && side.view != BodyView::Absent && end_of_stream {
            message.trailers = Some(HeaderMap::new(Kind::Trailers));
            side.trailers_reached = true;
            side.trailers_live = true;
        }
        let (map, live) = if trailers {
            (&mut message.trailers, side.trailers_live)
        } else {
            (&mut message.headers, side.headers_live)
        };
        map.as_mut().filter(|_| live && !logging).ok_or(Status::BadArgument)
    }
}

fn is_of_callout(map: MapType) -> bool {
    use MapType::*;
    matches!(map, HttpCallResponseHeaders | HttpCallResponseTrailers | GrpcInitialMetadata | GrpcTrailingMetadata)
}
