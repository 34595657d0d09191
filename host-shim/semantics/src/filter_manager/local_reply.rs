//! The proxy answers in the upstream's place.

use crate::{
    chain::Chain,
    environment::Guest,
    local_reply::LocalReply,
    router,
    stream::{Direction, Effect, ResetReason},
};

impl<G: Guest> Chain<G> {
    /// Answers in the upstream's place: through the filter's response callbacks where the response has not begun, past
    /// them where it has, and by breaking the exchange off where its head is already on the way.
    ///
    /// Source: Envoy's `DownstreamFilterManager::sendLocalReply`
    pub(crate) fn local_reply(&self, id: u32, mut reply: LocalReply) {
        const DIRECTION: Direction = Direction::Response;
        let (headers, end) = {
            let state = &mut *self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(id) else { return };
            if stream.response_ended() {
                return;
            }
            stream.answer_locally();
            // Whatever filters make of the status. Source: `http1-connections/closes-after-a-local-400`; Envoy's
            // `ActiveStream::sendLocalReply`.
            stream.facts.ends_connection |= reply.status == 400 && !stream.facts.http2;
            stream.facts.response_flags |= reply.flags;
            stream.facts.response_code_details = Some(reply.details.clone());
            if stream.response_started() {
                stream.reset(ResetReason::LocalReplyTooLate);
                return;
            }
            state.routing.respond_locally(&state.settings, stream, &mut reply.headers, &reply.details);
            let mut headers = reply.head(stream.facts.is_grpc, stream.facts.is_head);
            if let Err(refusal) = router::check_size(&headers, self.capabilities) {
                // No host takes what the filter asked for.
                reply = refusal;
                headers = reply.head(stream.facts.is_grpc, stream.facts.is_head);
            }
            // A gRPC client gets 200; properties show the status that it stands for.
            stream.facts.response_code = u16::try_from(reply.status).ok();
            let end = reply.body.is_empty() || stream.facts.is_head || stream.facts.is_grpc;
            let message = stream.message_mut(DIRECTION);
            // The response has a head that a filter holds: Envoy replaces it (`sendDirectLocalReply`), and no filter sees the
            // new one (`chains/an-answer-to-response-headers`).
            if message.headers().is_some() {
                message.set_headers(headers.clone());
                if !end {
                    message.count(reply.body.len());
                }
                stream.end_response();
                stream.push(Effect::Response { headers, end });
                if !end {
                    stream.push(Effect::Data { direction: DIRECTION, bytes: reply.body, end: true, changed: false });
                }
                return;
            }
            (headers, end)
        };
        self.receive_headers(id, DIRECTION, headers, end);
        if !end {
            self.receive_data(id, DIRECTION, reply.body, true);
        }
    }
}
