//! Continuing, closing and answering streams. These take effect when the callback returns.

use proxy_wasm_abi::{
    enums::{Status, StreamType},
    pairs,
};

use super::CallResult;
use crate::{local_reply::LocalReply, running::Action, state::ChainState, stream::Direction};

impl ChainState {
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
            // Envoy forgets the request's maps and body, whichever direction it continues, and keeps the response's.
            // Source: Envoy's `Context::continueStream`
            stream.side_mut(Direction::Request, plugin).close();
        }
        if !self.running.replies_to(at) {
            self.running.ask(Action::Continue(at, direction));
        }
        Ok(())
    }

    /// `proxy_close_stream`
    pub fn close_stream(&mut self, stream: u32) -> CallResult {
        if StreamType::from_u32(stream).ok_or(Status::BadArgument)? as u32 <= StreamType::Response as u32
            && let Some(at) = self.acting()
        {
            self.running.ask(Action::Close(at));
        }
        Ok(())
    }

    /// `proxy_send_local_response`. A malformed map is taken as empty; a `grpc_status` above 16 is ignored.
    pub fn send_local_response(
        &mut self,
        status: u32,
        details: &[u8],
        body: &[u8],
        headers: &[u8],
        grpc_status: u32,
    ) -> CallResult {
        self.running.stop();
        // The first of several in one callback wins.
        if let Some(at) = self.acting().filter(|at| !self.running.replies_to(*at)) {
            let headers = pairs::decode(headers).unwrap_or_default();
            self.running.reply(
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
            );
        }
        Ok(())
    }
}
