//! How a message passes the filters: Envoy's filter manager.
//!
//! Both directions are alike, so the code is one: a request passes the plugins in their order, a response in the reverse
//! one. A message arrives as [`headers`](Chain::headers), any number of [`data`](Chain::data) and at most one
//! [`trailers`](Chain::trailers). Each is shown to one filter after the other, until one holds it as its return value says;
//! what the last one lets go leaves the chain ([`passing`](crate::passing)).
//!
//! Body bytes are in [`body_flow`](crate::body_flow).

use std::ops::ControlFlow;

use proxy_wasm_abi::callbacks::Id;

use crate::{
    chain::{Chain, Returned},
    environment::Guest,
    headers::HeaderMap,
    router,
    state::Place,
    stream::{Direction, Iteration},
};

impl Direction {
    fn headers_callback(self) -> Id {
        match self {
            Self::Request => Id::RequestHeaders,
            Self::Response => Id::ResponseHeaders,
        }
    }

    fn trailers_callback(self) -> Id {
        match self {
            Self::Request => Id::RequestTrailers,
            Self::Response => Id::ResponseTrailers,
        }
    }
}

impl<G: Guest> Chain<G> {
    /// The places of a stream from this step of a message's way on.
    pub(crate) fn places(
        &self,
        stream: u32,
        direction: Direction,
        from: usize,
    ) -> impl Iterator<Item = Place> + use<G> {
        let count = self.len();
        (from..count).map(move |step| {
            let plugin = if direction == Direction::Request { step } else { count - 1 - step };
            Place { stream, plugin }
        })
    }

    /// Which step of a message's way this place is.
    pub(crate) fn step(&self, place: Place, direction: Direction) -> usize {
        if direction == Direction::Request { place.plugin } else { self.len() - 1 - place.plugin }
    }

    /// A head arrived.
    pub fn headers(&self, id: u32, direction: Direction, headers: HeaderMap, end: bool) {
        if !self.answered(id, direction) {
            self.receive_headers(id, direction, headers, end);
        }
    }

    pub(crate) fn answered(&self, id: u32, direction: Direction) -> bool {
        self.state.borrow().streams.get(id).is_some_and(|stream| stream.answered(direction))
    }

    /// A head arrived, or the head of a local response.
    pub(crate) fn receive_headers(&self, id: u32, direction: Direction, headers: HeaderMap, end: bool) {
        {
            let mut state = self.state.borrow_mut();
            let now = state.fact_time();
            let Some(stream) = state.streams.get_mut(id) else { return };
            if stream.stopped(direction) {
                return;
            }
            if direction == Direction::Response {
                if !stream.local_reply {
                    stream.facts.response_code = router::status(&headers);
                }
                stream.facts.response_code_details.get_or_insert_with(|| "via_upstream".into());
            }
            stream.arrived(direction, end, now);
            stream.message(direction).headers = Some(headers);
        }
        self.headers_from(id, direction, 0, end);
    }

    /// Shows the head to the filters from this step on.
    pub(crate) fn headers_from(&self, id: u32, direction: Direction, from: usize, end: bool) {
        for place in self.places(id, direction, from) {
            if self.headers_step(place, direction, end).is_break() {
                return;
            }
        }
        self.pass_headers(id, direction, end);
    }

    fn headers_step(&self, place: Place, direction: Direction, end: bool) -> ControlFlow<()> {
        if direction == Direction::Request {
            self.create(place);
        }
        let count = {
            let mut state = self.state.borrow_mut();
            state.progressed = true;
            let Some(stream) = state.streams.get_mut(place.stream) else { return ControlFlow::Break(()) };
            if stream.stopped(direction) {
                return ControlFlow::Break(());
            }
            let filter = &mut stream.filters[place.plugin];
            if direction == Direction::Response && !filter.created {
                // The request never came to it.
                filter.response.headers_continued = true;
                return ControlFlow::Continue(());
            }
            filter.end_of_stream = end;
            let (message, side) = stream.parts(direction, place.plugin);
            side.headers_live = true;
            side.end_shown = end;
            message.headers.as_ref().map_or(0, HeaderMap::len) as u32
        };
        let returned = self.call_stream(place, direction.headers_callback(), &[count, end.into()]);
        let iteration = self.headers_status(place.plugin, returned.as_ref());
        {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(place.stream) else { return ControlFlow::Break(()) };
            if iteration == Iteration::Continue {
                stream.parts(direction, place.plugin).1.headers_live = false;
            }
        }
        if let Some(returned) = returned {
            self.act(returned.actions);
        }
        let mut state = self.state.borrow_mut();
        let Some(stream) = state.streams.get_mut(place.stream) else { return ControlFlow::Break(()) };
        if stream.stopped(direction) {
            return ControlFlow::Break(());
        }
        let (_, side) = stream.parts(direction, place.plugin);
        if side.headers_continued {
            // The callback itself continued the stream. Envoy sends the head twice where it then returns Continue, and
            // holds the body forever where it returns Pause: here the stream just goes on.
            return ControlFlow::Break(());
        }
        side.iteration = iteration;
        side.headers_continued = iteration == Iteration::Continue;
        if side.headers_continued { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn headers_status(&self, plugin: usize, returned: Option<&Returned>) -> Iteration {
        let Some(returned) = returned else { return Iteration::Continue };
        if returned.stop {
            return Iteration::StopAll { watermark: true };
        }
        match returned.value {
            // 2 is the legacy ContinueAndEndStream, which Envoy takes as Continue.
            0 | 2 => Iteration::Continue,
            1 if self.state.borrow().settings.plugins[plugin].allow_on_headers_stop_iteration => Iteration::StopSingle,
            3 => Iteration::StopAll { watermark: false },
            _ => Iteration::StopAll { watermark: true },
        }
    }

    /// Trailers arrived; the body before them had no end of its own.
    pub fn trailers(&self, id: u32, direction: Direction, trailers: HeaderMap) {
        {
            let mut state = self.state.borrow_mut();
            let now = state.fact_time();
            let Some(stream) = state.streams.get_mut(id) else { return };
            if stream.stopped(direction) || stream.answered(direction) {
                return;
            }
            stream.arrived(direction, true, now);
            stream.message(direction).trailers = Some(trailers);
        }
        self.trailers_from(id, direction, 0);
    }

    /// Shows the trailers to the filters from this step on.
    pub(crate) fn trailers_from(&self, id: u32, direction: Direction, from: usize) {
        if self.state.borrow().streams.get(id).is_none_or(|stream| stream.stopped(direction)) {
            return;
        }
        for place in self.places(id, direction, from) {
            if self.trailers_step(place, direction).is_break() {
                return;
            }
        }
        self.pass_trailers(id, direction);
    }

    fn trailers_step(&self, place: Place, direction: Direction) -> ControlFlow<()> {
        const STOP: ControlFlow<()> = ControlFlow::Break(());
        let count = {
            let mut state = self.state.borrow_mut();
            state.progressed = true;
            let Some(stream) = state.streams.get_mut(place.stream) else { return STOP };
            let created = stream.filters[place.plugin].created;
            let (message, side) = stream.parts(direction, place.plugin);
            side.trailers_reached = true;
            if side.stopped_all() {
                return STOP;
            }
            if !created {
                return ControlFlow::Continue(());
            }
            side.trailers_live = true;
            message.trailers.as_ref().map_or(0, HeaderMap::len) as u32
        };
        let mut returned = self.call_stream(place, direction.trailers_callback(), &[count]);
        let continued = returned.as_mut().is_some_and(|returned| returned.take_continue(place, direction));
        let pass = returned.as_ref().is_none_or(|returned| (returned.value == 0 || continued) && !returned.stop);
        {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(place.stream) else { return STOP };
            let (_, side) = stream.parts(direction, place.plugin);
            side.end_shown = true;
            if pass {
                side.trailers_live = false;
            }
        }
        if let Some(returned) = returned {
            self.act(returned.actions);
        }
        let held = {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(place.stream) else { return STOP };
            if stream.stopped(direction) {
                return STOP;
            }
            let (_, side) = stream.parts(direction, place.plugin);
            if !pass {
                if side.iteration == Iteration::Continue {
                    side.iteration = Iteration::StopSingle;
                }
                return STOP;
            }
            side.iteration == Iteration::StopSingle
        };
        if held {
            self.resume(place, direction);
            return STOP;
        }
        ControlFlow::Continue(())
    }
}
