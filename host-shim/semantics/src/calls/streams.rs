//! Continuing, closing and answering streams. What they ask for is done when the callback returns.

use proxy_wasm_abi::{
    enums::{Status, StreamType},
    pairs,
};

use super::CallResult;
use crate::{
    local_reply::LocalReply,
    state::{Action, PluginInStream, State},
    stream::Direction,
};

impl State {
    /// `proxy_continue_stream`
    pub fn continue_stream(&mut self, stream: u32) -> CallResult {
        let direction = match StreamType::from_u32(stream).ok_or(Status::BadArgument)? {
            StreamType::Request => Direction::Request,
            StreamType::Response => Direction::Response,
            StreamType::Downstream => return Ok(()),
            StreamType::Upstream => return Err(Status::Unimplemented),
        };
        let Some(at) = self.acting() else { return Ok(()) };
        if let Some((stream, plugin)) = self.stream_mut() {
            // Envoy forgets the request's maps whichever direction it continues.
            stream.side_mut(Direction::Request, plugin).close();
        }
        if !self.replies_to(at) {
            self.actions.push(Action::Continue(at, direction));
        }
        Ok(())
    }

    /// `proxy_close_stream`
    pub fn close_stream(&mut self, stream: u32) -> CallResult {
        if StreamType::from_u32(stream).ok_or(Status::BadArgument)? as u32 <= StreamType::Response as u32
            && let Some(at) = self.acting()
        {
            self.actions.push(Action::Close(at));
        }
        Ok(())
    }

    /// `proxy_send_local_response`. A malformed map counts as none; `grpc_status` past 16 is none.
    pub fn send_local_response(
        &mut self,
        status: u32,
        details: &[u8],
        body: &[u8],
        headers: &[u8],
        grpc_status: u32,
    ) -> CallResult {
        self.stop = true;
        // The first of several in one callback wins.
        if let Some(at) = self.acting().filter(|at| !self.replies_to(*at)) {
            // It also wins over continuing the stream, whichever was asked for first.
            self.actions.retain(|action| !matches!(action, Action::Continue(other, _) if *other == at));
            let headers = pairs::decode(headers).unwrap_or_default();
            self.actions.push(Action::LocalReply(
                at,
                LocalReply {
                    status,
                    body: body.to_vec(),
                    headers: headers
                        .into_iter()
                        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec()))
                        .collect(),
                    grpc_status: (grpc_status <= 16).then_some(grpc_status),
                    details: String::from_utf8_lossy(details).replace(|c: char| c.is_ascii_whitespace(), "_"),
                    flags: 0,
                },
            ));
        }
        Ok(())
    }

    /// Whether this callback asked for a local response on this stream.
    fn replies_to(&self, at: PluginInStream) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::LocalReply(other, _) if *other == at))
    }
}
