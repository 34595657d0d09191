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

    /// `proxy_get_header_map_size`: the bytes of all names and values.
    pub fn get_header_map_size(&self, map: u32) -> CallResult<u32> {
        let map = MapType::from_u32(map).ok_or(Status::BadArgument)?;
        // Source: measured; that a callout's maps have no size too.
        let logging = self.is_logging() || is_of_callout(map);
        self.map(map).filter(|_| !logging).map(|map| map.byte_size() as u32).ok_or(Status::BadArgument)
    }

    /// `proxy_add_header_map_value`
    pub fn add_header_map_value(&mut self, map: u32, key: &[u8], value: &[u8]) -> CallResult {
        self.map_mut(map)?.add(key, value);
        Ok(())
    }

    /// `proxy_replace_header_map_value`
    pub fn replace_header_map_value(&mut self, map: u32, key: &[u8], value: &[u8]) -> CallResult {
        self.map_mut(map)?.replace(key, value);
        Ok(())
    }

    /// `proxy_remove_header_map_value`
    pub fn remove_header_map_value(&mut self, map: u32, key: &[u8]) -> CallResult {
        self.map_mut(map)?.remove(key);
        Ok(())
    }

    /// `proxy_set_header_map_pairs`: malformed bytes count as no pairs.
    pub fn set_header_map_pairs(&mut self, map: u32, bytes: &[u8]) -> CallResult {
        let map = self.map_mut(map)?;
        map.clear();
        for (name, value) in pairs::decode(bytes).unwrap_or_default() {
            map.add(name, value);
        }
        Ok(())
    }

    /// Says, once, what helps a filter that comes back to a head which it let go before the body.
    #[cold]
    fn hint_too_late(&self, map: MapType) {
        let Some((_, filter)) = self.stream() else { return };
        let side = match map {
            MapType::RequestHeaders => &filter.request,
            MapType::ResponseHeaders => &filter.response,
            _ => return,
        };
        let let_go = side.headers_continued && (side.view != BodyView::Absent || side.trailers_live);
        let helps = !filter.logging && !self.plugin().allow_on_headers_stop_iteration;
        if let_go && helps && !self.hinted.replace(true) {
            self.host.log(
                "[warn] headers went on before their body, and a filter comes too late to them: it can hold them, by \
                 StopIteration and `--allow-on-headers-stop-iteration`",
            );
        }
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
    fn map_mut(&mut self, map: u32) -> CallResult<&mut HeaderMap> {
        let map = MapType::from_u32(map).ok_or(Status::BadArgument)?;
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
        let live = if trailers { side.trailers_live } else { side.headers_live };
        if !live || logging {
            self.hint_too_late(map);
            return Err(Status::BadArgument);
        }
        let (stream, _) = self.stream_mut().ok_or(Status::BadArgument)?;
        let message = stream.message(direction);
        let map = if trailers { &mut message.trailers } else { &mut message.headers };
        map.as_mut().ok_or(Status::BadArgument)
    }
}

fn is_of_callout(map: MapType) -> bool {
    use MapType::*;
    matches!(map, HttpCallResponseHeaders | HttpCallResponseTrailers | GrpcInitialMetadata | GrpcTrailingMetadata)
}
