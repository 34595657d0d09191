//! Header maps.

use proxy_wasm_abi::{
    bridge::AbiVersion,
    enums::{MapType, Status},
    pairs,
};

use super::CallResult;
use crate::{
    headers::{HeaderMap, Kind},
    stream::{BodyView, Direction},
    vm::Vm,
};

impl Vm {
    /// `proxy_get_header_map_value`: the first value.
    pub fn get_header_map_value(&self, map: u32, key: &[u8]) -> CallResult<Vec<u8>> {
        let map = MapType::from_u32(map).ok_or(Status::BadArgument)?;
        let missing = || if self.version == AbiVersion::V0_1_0 { Ok(Vec::new()) } else { Err(Status::NotFound) };
        match self.map(map) {
            Some(map) => map.get(key).map_or_else(missing, |value| Ok(value.to_vec())),
            None if self.stream().is_some_and(|stream| stream.logging) => missing(),
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
        let logging = self.stream().is_some_and(|stream| stream.logging) || is_of_callout(map);
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

    /// The map, if it can be read now.
    fn map(&self, map: MapType) -> Option<&HeaderMap> {
        let callout = || self.callouts.response.as_ref();
        match map {
            MapType::HttpCallResponseHeaders => return callout().map(|response| &response.headers),
            MapType::HttpCallResponseTrailers => return callout()?.trailers.as_ref(),
            MapType::GrpcInitialMetadata => return self.grpc.initial.as_ref(),
            MapType::GrpcTrailingMetadata => return self.grpc.trailing.as_ref(),
            _ => {}
        }
        let stream = self.stream()?;
        let (request, response) = (&stream.request, &stream.response);
        let (map, live) = match map {
            MapType::RequestHeaders => (&request.headers, request.headers_live || stream.logging),
            MapType::RequestTrailers => (&request.trailers, request.trailers_live && !stream.logging),
            MapType::ResponseHeaders => (&response.headers, response.headers_live || stream.logging),
            MapType::ResponseTrailers => (&response.trailers, response.trailers_live || stream.logging),
            _ => return None,
        };
        map.as_ref().filter(|_| live)
    }

    /// The map, if it can be changed now. The trailers of a body whose end the filter is looking at come into being.
    fn map_mut(&mut self, map: MapType) -> CallResult<&mut HeaderMap> {
        let stream = self.stream_mut().ok_or(Status::BadArgument)?;
        let (end_of_stream, logging) = (stream.end_of_stream, stream.logging);
        let (direction, trailers) = match map {
            MapType::RequestHeaders => (Direction::Request, false),
            MapType::RequestTrailers => (Direction::Request, true),
            MapType::ResponseHeaders => (Direction::Response, false),
            MapType::ResponseTrailers => (Direction::Response, true),
            _ => return Err(Status::BadArgument),
        };
        let message = stream.message(direction);
        if trailers && message.trailers.is_none() && message.view != BodyView::Absent && end_of_stream {
            message.trailers = Some(HeaderMap::new(Kind::Trailers));
            message.trailers_live = true;
        }
        let (map, live) = if trailers {
            (&mut message.trailers, message.trailers_live)
        } else {
            (&mut message.headers, message.headers_live)
        };
        map.as_mut().filter(|_| live && !logging).ok_or(Status::BadArgument)
    }
}

fn is_of_callout(map: MapType) -> bool {
    use MapType::*;
    matches!(map, HttpCallResponseHeaders | HttpCallResponseTrailers | GrpcInitialMetadata | GrpcTrailingMetadata)
}
