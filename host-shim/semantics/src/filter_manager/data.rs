//! The body's way from filter to filter, in pieces.
//!
//! A step is three things: what the filter is *offered*, the call, and what follows, which is *settled* by a table.
//! A filter that holds bytes holds them for all filters together: one that continues passes on what is there, and the
//! next one may hold it again.

use proxy_wasm_abi::callbacks::Id;

use crate::{
    chain::{Chain, Returned},
    environment::Guest,
    local_reply::LocalReply,
    state::PluginInStream,
    stream::{Direction, Message, PastLimit, Room, Side, Source},
};

/// The meaning of a body callback's return value: Envoy's `FilterDataStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DataStatus {
    Continue,
    StopAndBuffer,
    StopAndWatermark,
    StopNoBuffer,
}

impl DataStatus {
    fn of(returned: Option<&Returned>) -> Self {
        match returned {
            None => Self::Continue,
            Some(returned) if returned.stop => Self::StopNoBuffer,
            Some(returned) => match returned.value {
                0 => Self::Continue,
                1 => Self::StopAndBuffer,
                2 => Self::StopAndWatermark,
                _ => Self::StopNoBuffer,
            },
        }
    }
}

/// The piece of a body that a filter is offered.
#[derive(Debug)]
struct Offered {
    /// The bytes that it sees.
    size: u32,
    /// Which bytes this step is about.
    source: Source,
    /// The message had trailers before the call, so the filter did not make them in it.
    had_trailers: bool,
    /// The filter asked to buffer in its call before, so it sees all that is held.
    was_buffering: bool,
    /// What may be held.
    room: Room,
    /// More is held than may be. The filter sees even so what there is of it.
    too_large: bool,
}

/// The end of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The bytes go to the next filter.
    Pass,
    /// They go no further from here.
    Hold,
    /// The filter continues: what is held goes on from it.
    Resume,
    /// More is held than may be: the exchange is answered.
    TooLarge,
}

impl Direction {
    fn body_callback(self) -> Id {
        match self {
            Self::Request => Id::RequestBody,
            Self::Response => Id::ResponseBody,
        }
    }
}

impl<G: Guest> Chain<G> {
    /// Body bytes arrived, or the end of a body without trailers (then there may be none).
    pub fn data(&self, id: u32, direction: Direction, bytes: Vec<u8>, end: bool) {
        if !self.answered(id, direction) {
            self.receive_data(id, direction, bytes, end);
        }
    }

    /// Body bytes arrived, or those of a local response.
    pub(super) fn receive_data(&self, id: u32, direction: Direction, bytes: Vec<u8>, end: bool) {
        {
            let mut state = self.state.borrow_mut();
            let now = if end { state.fact_time() } else { 0 };
            let Some(stream) = state.streams.get_mut(id) else { return };
            if stream.stopped(direction) {
                return;
            }
            stream.arrived(direction, end, now);
            let message = stream.message_mut(direction);
            if direction == Direction::Request {
                message.count(bytes.len());
            }
            let arrived = bytes.len();
            message.receive(bytes);
            state.streams.note_body(arrived);
        }
        self.data_from(id, direction, 0, Source::Chunk, end);
    }

    /// Shows body bytes to the filters from this step on.
    ///
    /// If a filter adds trailers in its call, the bytes are no longer the end of the message for the filters behind it.
    /// Those get the trailers after the bytes.
    ///
    /// Source: Envoy's `FilterManager::decodeData`
    pub(super) fn data_from(&self, id: u32, direction: Direction, step: usize, source: Source, mut end: bool) {
        let has_trailers = || {
            let state = self.state.borrow();
            state.streams.get(id).is_some_and(|stream| stream.message(direction).trailers().is_some())
        };
        let had_trailers = has_trailers();
        let mut adder = None;
        let mut passes = true;
        for at in self.plugins_from(id, direction, step) {
            let next = self.data_step(at, direction, source, end);
            match next {
                Next::Pass | Next::Hold => {}
                Next::Resume => self.resume(at, direction),
                Next::TooLarge => self.refuse_body(id, direction),
            }
            if next != Next::Pass {
                passes = false;
                break;
            }
            if adder.is_none() && !had_trailers && has_trailers() {
                adder = Some(at);
                end = false;
            }
        }
        if passes {
            self.pass_data(id, direction, source, end);
        }
        if let Some(at) = adder {
            self.trailers_from(id, direction, self.step(at, direction) + 1);
        }
    }

    /// Shows body bytes to a filter and does what its host calls asked for.
    fn data_step(&self, at: PluginInStream, direction: Direction, source: Source, end: bool) -> Next {
        let offered = match self.offer(at, direction, source, end) {
            Ok(offered) => offered,
            Err(next) => return next,
        };
        let mut returned = self.call_stream(at, direction.body_callback(), &[offered.size, end.into()]);
        let status = DataStatus::of(returned.as_ref());
        // A filter that continues in its last call and holds the bytes means these bytes too. So it continues after they
        // are held, not with the other actions: `proxy_continue_stream/in-a-request-body-call-that-pauses`.
        let continued = end && returned.as_mut().is_some_and(|returned| returned.take_continue(at, direction));
        if let Some(stream) = self.state.borrow_mut().streams.get_mut(at.stream) {
            stream.side_mut(direction, at.plugin).close_body(status == DataStatus::StopAndBuffer);
        }
        if let Some(returned) = returned {
            self.act(returned.actions);
        }
        let mut state = self.state.borrow_mut();
        let Some(stream) = state.streams.get_mut(at.stream).filter(|stream| !stream.stopped(direction)) else {
            return Next::Hold;
        };
        let (message, side) = stream.parts(direction, at.plugin);
        settle(message, side, &offered, status, continued)
    }

    /// Offers these bytes to the filter, or returns the end of the step where it sees nothing of them.
    fn offer(&self, at: PluginInStream, direction: Direction, source: Source, end: bool) -> Result<Offered, Next> {
        self.note_move(at.stream);
        let mut state = self.state.borrow_mut();
        let set = state.settings.connection.buffer_limit;
        let is_full = state.streams.hold_all_they_may();
        let Some(stream) = state.streams.get_mut(at.stream).filter(|stream| !stream.stopped(direction)) else {
            return Err(Next::Hold);
        };
        let most = stream.buffer_limit(set);
        let is_created = stream.context_mut(at.plugin).is_created();
        let (message, side) = stream.parts(direction, at.plugin);
        // An end that has no bytes takes no room, and lets others have some.
        let room = if is_full && message.has_chunk() { Room::None } else { Room::UpTo(most) };
        // Envoy's `FilterManager::handleDataIfStopAll`. The latest filter that holds decides what happens past the limit,
        // for what all of them hold.
        if let Some(past_limit) = side.holds_all() {
            message.choose(past_limit);
            message.hold(Source::Chunk);
            return Err(if message.is_too_large(room) { Next::TooLarge } else { Next::Hold });
        }
        if side.has_seen_end() {
            return Err(Next::Hold);
        }
        if !is_created {
            return Err(Next::Pass);
        }
        let had_trailers = message.trailers().is_some();
        let was_buffering = side.buffers();
        let mut shown = source;
        let mut too_large = false;
        // Envoy's `Context::decodeData` adds the new bytes to those that are held before the call, not after it: the
        // filter sees all of them (`proxy_on_request_body/buffer-shows-all-that-came`), even if they are too many.
        if was_buffering {
            message.choose(PastLimit::Refuse);
            message.hold(Source::Chunk);
            too_large = room.is_passed_by(message.held_len()) || message.is_cut();
            shown = Source::Held;
        }
        side.show_body(shown, end && !had_trailers);
        let size = message.body_mut(shown).len() as u32;
        stream.context_mut(at.plugin).say_end_of_stream(end);
        Ok(Offered { size, source, had_trailers, was_buffering, room, too_large })
    }

    /// Answers 413 or 500, as more is held of a body than may be.
    #[cold]
    fn refuse_body(&self, id: u32, direction: Direction) {
        let text = "[warn] refused: a filter holds more of a body than `--buffer-limit` (16 MiB over HTTP/2), or all \
                    filters hold more than 256 MiB";
        self.log(text);
        self.local_reply(id, LocalReply::too_large(direction));
    }
}

/// Decides how a step ends, after its body callback. "Held" says whether the filter held the head or the body before:
///
/// | return value | not held | held |
/// |---|---|---|
/// | `Continue` | pass | hold the bytes behind what is held, resume |
/// | `StopIterationAndBuffer`, `…AndWatermark` | hold the bytes | hold the bytes |
/// | `StopIterationNoBuffer` | drop the bytes; of the last ones an empty body stays | drop the bytes |
///
/// Source: Envoy's `ActiveStreamFilterBase::commonHandleAfterDataCallback`
///
/// Four things are not in that function, though they are Envoy's all the same: the limit, whose watermark fires while
/// bytes are added; `continued`, where the callback asked to continue the message and the call was its last; trailers
/// that the filter added, with which nothing is held; and bytes that were added to the buffer before the call.
fn settle(message: &mut Message, side: &mut Side, offered: &Offered, status: DataStatus, continued: bool) -> Next {
    if offered.too_large {
        return Next::TooLarge;
    }
    let mut resumes = continued || (!offered.had_trailers && message.trailers().is_some());
    match status {
        DataStatus::Continue if !side.holds() => {
            // The filter asked to buffer, and was continued since. So it holds nothing, but the new bytes were moved to the
            // buffer before the call.
            if offered.was_buffering && offered.source == Source::Chunk {
                message.unhold();
            }
            return Next::Pass;
        }
        DataStatus::Continue => {
            message.hold(offered.source);
            // Pieces that went through one by one are not measured. A buffer is, as the filter may have made it larger.
            if !offered.was_buffering && !message.is_cut() {
                return Next::Resume;
            }
            resumes = true;
        }
        DataStatus::StopAndBuffer | DataStatus::StopAndWatermark => {
            side.hold();
            let watermark = status == DataStatus::StopAndWatermark;
            message.choose(if watermark { PastLimit::StopReading } else { PastLimit::Refuse });
            message.hold(offered.source);
        }
        DataStatus::StopNoBuffer => {
            side.hold();
            message.drop_chunk();
        }
    }
    if message.is_too_large(offered.room) {
        Next::TooLarge
    } else if resumes {
        Next::Resume
    } else {
        Next::Hold
    }
}

#[cfg(test)]
mod tests {
    use super::{DataStatus::*, *};

    const CHUNK: Offered = Offered {
        size: 3,
        source: Source::Chunk,
        had_trailers: false,
        was_buffering: false,
        room: Room::UpTo(6),
        too_large: false,
    };

    /// Settles a step about the chunk `new`, while `old` is held. Returns what follows, what is held then and what goes on.
    fn settled(holds: bool, status: DataStatus, change: impl FnOnce(&mut Offered)) -> (Next, String, String) {
        let (mut message, mut side) = (Message::default(), Side::default());
        side.decide_head(crate::stream::Iteration::Passes);
        message.receive(b"old".to_vec());
        message.hold(Source::Chunk);
        if holds {
            side.hold();
        }
        message.receive(b"new".to_vec());
        let mut offered = CHUNK;
        change(&mut offered);
        let next = settle(&mut message, &mut side, &offered, status, false);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (next, text(message.take(Source::Held)), text(message.take(Source::Chunk)))
    }

    fn row(holds: bool, status: DataStatus) -> (Next, String, String) {
        settled(holds, status, |_| {})
    }

    #[test]
    fn the_table_is_envoys() {
        assert_eq!(row(false, Continue), (Next::Pass, "old".into(), "new".into()));
        assert_eq!(row(true, Continue), (Next::Resume, "oldnew".into(), "".into()));
        for holds in [false, true] {
            assert_eq!(row(holds, StopAndBuffer), (Next::Hold, "oldnew".into(), "".into()));
            assert_eq!(row(holds, StopAndWatermark), (Next::Hold, "oldnew".into(), "".into()));
            assert_eq!(row(holds, StopNoBuffer), (Next::Hold, "old".into(), "".into()));
        }
    }

    #[test]
    fn bytes_that_are_held_already_are_not_held_again() {
        let held = |offered: &mut Offered| offered.source = Source::Held;
        assert_eq!(settled(true, StopAndBuffer, held).1, "old");
        assert_eq!(settled(true, Continue, held).1, "old");
    }

    #[test]
    fn bytes_added_before_the_call_pass_with_what_was_held() {
        let buffering = |offered: &mut Offered| offered.was_buffering = true;
        assert_eq!(settled(false, Continue, buffering), (Next::Pass, "".into(), "old".into()));
    }

    #[test]
    fn a_filter_that_continued_or_added_trailers_holds_nothing() {
        let (mut message, mut side) = (Message::default(), Side::default());
        assert_eq!(settle(&mut message, &mut side, &CHUNK, StopAndBuffer, true), Next::Resume);
        message.add_trailers();
        assert_eq!(settle(&mut message, &mut side, &CHUNK, StopNoBuffer, false), Next::Resume);
    }

    #[test]
    fn only_a_watermark_lets_more_be_held_than_the_limit() {
        for (status, next) in [(StopAndBuffer, Next::TooLarge), (StopAndWatermark, Next::Hold)] {
            let (mut message, mut side) = (Message::default(), Side::default());
            message.receive(vec![0; 7]);
            assert_eq!(settle(&mut message, &mut side, &CHUNK, status, false), next);
        }
    }

    #[test]
    fn dropped_last_bytes_leave_an_empty_body_to_end_with() {
        let (mut message, mut side) = (Message::default(), Side::default());
        message.complete();
        message.receive(b"new".to_vec());
        assert_eq!(settle(&mut message, &mut side, &CHUNK, StopNoBuffer, false), Next::Hold);
        assert!(message.has_held() && message.is_changed());
    }
}
