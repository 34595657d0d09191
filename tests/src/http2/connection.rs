//! A connection of many streams, as either end has it: one thread reads, any may write.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::frame::{self, Decoder, Frame, flag, kind};
use super::{Ending, Fields, Message};
use crate::tcp;

/// The window that streams and connections begin with.
const WINDOW: i64 = 65_535;

/// How long a peer may take to give a window.
const PATIENCE: Duration = Duration::from_secs(30);

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// One frame at a time.
    writing: Mutex<()>,
    state: Mutex<State>,
    changed: Condvar,
    /// Whether what comes is asked to go on coming.
    takes_all: bool,
}

#[derive(Debug, Default)]
struct State {
    streams: BTreeMap<u32, Stream>,
    /// What may be sent on the connection.
    window: i64,
    /// What may be sent on a new stream.
    initial: i64,
    settled: bool,
    pongs: usize,
    /// The code of the peer's last word.
    last_word: Option<u32>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Stream {
    message: Message,
    /// What the peer said about windows since the stream began.
    window: i64,
}

impl State {
    /// What came on a stream; the end of the connection ends it.
    fn message(&self, stream: u32) -> Message {
        let mut message = self.streams.get(&stream).map(|stream| stream.message.clone()).unwrap_or_default();
        if self.closed {
            message.ending.get_or_insert(Ending::Connection(self.last_word));
        }
        message
    }
}

impl Connection {
    /// Says what a client or a server says first. `window`: what streams may send until they are told more, which they
    /// are only by [`give`](Self::give); without it nothing holds them up.
    ///
    /// # Errors
    /// The connection's.
    pub fn start(stream: TcpStream, is_client: bool, window: Option<u32>) -> io::Result<Arc<Self>> {
        stream.set_nodelay(true)?;
        let state = State { window: WINDOW, initial: WINDOW, ..State::default() };
        let connection = Self {
            stream,
            writing: Mutex::default(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            takes_all: window.is_none(),
        };
        let setting = |size: u32| [frame::INITIAL_WINDOW_SIZE.to_be_bytes().as_slice(), &size.to_be_bytes()].concat();
        let settings = Frame::new(kind::SETTINGS, 0, 0, window.map(setting).unwrap_or_default());
        let preface = if is_client { frame::PREFACE } else { &[] };
        connection.write(&[preface, &settings.bytes()].concat())?;
        Ok(Arc::new(connection))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits for something to be so; what it is, or nothing where it does not come within this time.
    fn wait_until<T>(&self, time: Duration, mut ready: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + time;
        let mut state = self.lock();
        loop {
            if let Some(value) = ready(&mut state) {
                return Some(value);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Reads until the connection ends; tells of each stream that the peer begins, and of all that comes.
    pub fn read(&self, opened: impl Fn(u32), came: impl Fn(&[u8])) {
        let mut decoder = Decoder::default();
        let mut reader = io::BufReader::new(&self.stream);
        while let Ok(frame) = Frame::read(&mut reader) {
            let done = match frame.kind {
                kind::HEADERS => self.head_came(&frame, &mut reader, &mut decoder, &opened, &came),
                kind::DATA => {
                    came(frame.content());
                    self.data_came(&frame)
                }
                kind::SETTINGS if !frame.has(flag::ACK) => self.settings_came(&frame),
                kind::PING if frame.has(flag::ACK) => {
                    self.change(|state| state.pongs += 1);
                    Ok(())
                }
                kind::PING => self.send(&Frame::new(kind::PING, flag::ACK, 0, frame.payload)),
                kind::WINDOW_UPDATE => {
                    let size = i64::from(frame.number(0).unwrap_or(0));
                    self.change(|state| match frame.stream {
                        0 => state.window += size,
                        id => state.streams.entry(id).or_default().window += size,
                    });
                    Ok(())
                }
                kind::RST_STREAM => {
                    let code = frame.number(0).unwrap_or(0);
                    self.change(|state| {
                        let message = &mut state.streams.entry(frame.stream).or_default().message;
                        match message.ending {
                            None => message.ending = Some(Ending::Reset(code)),
                            Some(_) => message.after = Some(code),
                        }
                    });
                    Ok(())
                }
                kind::GOAWAY => {
                    self.change(|state| state.last_word = frame.number(4).filter(|code| *code != 0));
                    Ok(())
                }
                _ => Ok(()),
            };
            if done.is_err() {
                break;
            }
        }
        self.change(|state| state.closed = true);
    }

    fn settings_came(&self, frame: &Frame) -> io::Result<()> {
        let setting = |bytes: &[u8]| Some((u16::from_be_bytes([bytes[0], bytes[1]]), bytes[2..6].try_into().ok()?));
        for (name, value) in frame.payload.chunks_exact(6).filter_map(setting) {
            if name == frame::INITIAL_WINDOW_SIZE {
                self.change(|state| state.initial = u32::from_be_bytes(value).into());
            }
        }
        self.change(|state| state.settled = true);
        self.send(&Frame::new(kind::SETTINGS, flag::ACK, 0, []))
    }

    fn head_came(
        &self,
        first: &Frame,
        reader: &mut impl io::Read,
        decoder: &mut Decoder,
        opened: &impl Fn(u32),
        came: &impl Fn(&[u8]),
    ) -> io::Result<()> {
        let mut block = first.content().to_vec();
        let mut is_whole = first.has(flag::END_HEADERS);
        while !is_whole {
            let more = Frame::read(reader)?;
            block.extend_from_slice(&more.payload);
            is_whole = more.has(flag::END_HEADERS);
        }
        let fields = decoder.decode(&block)?;
        for (name, value) in &fields {
            came(&[name, b": ".as_slice(), value, b"\n"].concat());
        }
        let is_interim =
            fields.iter().any(|(name, value)| name == b":status" && value.starts_with(b"1") && value != b"101");
        if is_interim {
            return Ok(());
        }
        let mut is_new = false;
        self.change(|state| {
            let message = &mut state.streams.entry(first.stream).or_default().message;
            is_new = message.head.is_none();
            let ending = if is_new { Ending::Head } else { Ending::Trailers };
            if is_new {
                message.head = Some(fields);
            } else {
                message.trailers.extend(fields);
            }
            if first.has(flag::END_STREAM) {
                message.ending.get_or_insert(ending);
            }
        });
        if is_new {
            opened(first.stream);
        }
        Ok(())
    }

    fn data_came(&self, frame: &Frame) -> io::Result<()> {
        let ended = frame.has(flag::END_STREAM);
        self.change(|state| {
            let message = &mut state.streams.entry(frame.stream).or_default().message;
            message.data.extend_from_slice(frame.content());
            if ended {
                message.ending.get_or_insert(Ending::Data);
            }
        });
        let size = u32::try_from(frame.payload.len()).unwrap_or(0);
        if !self.takes_all || size == 0 {
            return Ok(());
        }
        self.window_update(0, size)?;
        if ended { Ok(()) } else { self.window_update(frame.stream, size) }
    }

    /// What came on a stream.
    pub fn message(&self, stream: u32) -> Message {
        self.lock().message(stream)
    }

    /// Whether what comes on a stream ends within this time.
    pub fn wait_for_end(&self, stream: u32, time: Duration) -> bool {
        self.wait_until(time, |state| state.message(stream).ending).is_some()
    }

    /// Whether so many bytes come on a stream within this time, before it ends.
    pub fn wait_for_data(&self, stream: u32, bytes: usize, time: Duration) -> bool {
        let is_here = |state: &mut State| {
            let message = state.message(stream);
            (message.data.len() >= bytes || message.ending.is_some()).then_some(())
        };
        self.wait_until(time, is_here).is_some()
    }

    /// Whether the peer resets a stream or closes the connection within this time.
    pub fn wait_for_reset(&self, stream: u32, time: Duration) -> bool {
        let is_over = |state: &mut State| {
            let message = state.message(stream);
            let is_broken = message.ending.is_some_and(|ending| !ending.is_complete());
            (is_broken || message.after.is_some() || state.closed).then_some(())
        };
        self.wait_until(time, is_over).is_some()
    }

    /// Waits until the peer has seen all that was sent, and what it sent meanwhile is here.
    pub fn settle(&self, time: Duration) {
        let pongs = self.lock().pongs;
        if self.send(&Frame::new(kind::PING, 0, 0, [0; 8])).is_ok() {
            self.wait_until(time, |state| (state.pongs > pongs || state.closed).then_some(()));
        }
    }

    /// Waits for what the peer says first, its windows above all.
    pub fn wait_for_settings(&self, time: Duration) -> bool {
        self.wait_until(time, |state| (state.settled || state.closed).then_some(())).is_some()
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        (&self.stream).write_all(bytes)
    }

    /// Sends a frame as it is.
    ///
    /// # Errors
    /// The connection's.
    pub fn send(&self, frame: &Frame) -> io::Result<()> {
        self.write(&frame.bytes())
    }

    /// Sends a head or trailers.
    ///
    /// # Errors
    /// The connection's.
    pub fn fields(&self, stream: u32, fields: &Fields, ends: bool) -> io::Result<()> {
        let block = frame::encode(fields);
        let mut parts = block.chunks(frame::LARGEST);
        let first = parts.next().unwrap_or_default();
        let mut flags = if ends { flag::END_STREAM } else { 0 };
        let mut bytes = Vec::new();
        let mut rest = parts.peekable();
        if rest.peek().is_none() {
            flags |= flag::END_HEADERS;
        }
        bytes.extend(Frame::new(kind::HEADERS, flags, stream, first).bytes());
        while let Some(part) = rest.next() {
            let flags = if rest.peek().is_none() { flag::END_HEADERS } else { 0 };
            bytes.extend(Frame::new(kind::CONTINUATION, flags, stream, part).bytes());
        }
        self.write(&bytes)
    }

    /// Sends a part of a body, as windows allow.
    ///
    /// # Errors
    /// The connection's, or the windows stay closed.
    pub fn data(&self, stream: u32, bytes: &[u8], ends: bool) -> io::Result<()> {
        let mut rest = bytes;
        loop {
            let size = if rest.is_empty() { 0 } else { self.room(stream, rest.len())? };
            let (now, later) = rest.split_at(size);
            let flags = if ends && later.is_empty() { flag::END_STREAM } else { 0 };
            self.send(&Frame::new(kind::DATA, flags, stream, now))?;
            rest = later;
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Takes as much of the windows as there is, up to this much.
    fn room(&self, stream: u32, most: usize) -> io::Result<usize> {
        let most = i64::try_from(most.min(frame::LARGEST)).unwrap_or(i64::MAX);
        let room = self.wait_until(PATIENCE, |state| {
            let own = state.streams.entry(stream).or_default();
            let is_over = own.message.after.is_some() || matches!(own.message.ending, Some(Ending::Reset(_)));
            if is_over || state.closed {
                return Some(0);
            }
            let room = most.min(state.window).min(state.initial + own.window);
            if room <= 0 {
                return None;
            }
            state.window -= room;
            own.window -= room;
            Some(room)
        });
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the stream takes no more");
        room.and_then(|room| usize::try_from(room).ok()).filter(|room| *room > 0).ok_or_else(gone)
    }

    /// Resets a stream.
    ///
    /// # Errors
    /// The connection's.
    pub fn reset(&self, stream: u32, code: u32) -> io::Result<()> {
        self.send(&Frame::new(kind::RST_STREAM, 0, stream, code.to_be_bytes()))?;
        self.change(|state| {
            state.streams.entry(stream).or_default().message.ending.get_or_insert(Ending::Left);
        });
        Ok(())
    }

    /// Asks for so much more of a stream, where it is not asked for by itself.
    ///
    /// # Errors
    /// The connection's.
    pub fn give(&self, stream: u32, size: u32) -> io::Result<()> {
        self.window_update(0, size)?;
        self.window_update(stream, size)
    }

    fn window_update(&self, stream: u32, size: u32) -> io::Result<()> {
        self.send(&Frame::new(kind::WINDOW_UPDATE, 0, stream, size.to_be_bytes()))
    }

    /// Closes the connection.
    ///
    /// # Errors
    /// The connection's.
    pub fn close(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Both)
    }

    /// Closes the connection with a reset.
    ///
    /// # Errors
    /// The connection's.
    pub fn abort(&self) -> io::Result<()> {
        tcp::reset(&self.stream)?;
        self.stream.shutdown(Shutdown::Read)
    }
}
