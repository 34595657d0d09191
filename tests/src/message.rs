//! What goes over a connection, written down piece by piece.

use serde::Deserialize;

/// One thing that a peer does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(untagged)]
pub enum Step {
    /// Sends this text; each character is one byte, so none may be beyond `\u00ff`.
    Text(String),
    /// Anything else.
    Other(Action),
}

/// One thing that a peer does besides sending.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Waits until the filter logged a line with this in it, since the exchange began.
    Await(String),
    /// Waits until the client got this.
    AwaitClient(String),
    /// Does nothing for so many milliseconds: where nothing outside tells that the other side has what was sent before.
    Pause(u64),
    /// Waits until the upstream has the head of a request, or this text of what HTTP/1 carries. For clients.
    AwaitUpstream(Awaited),
    /// Sends this byte so many times.
    Fill(u8, usize),
    /// Sends this as a message of gRPC.
    Message(String),
    /// Sends a response's head: `:status`, 200 if it is not there, and headers. For upstreams that speak HTTP/2.
    Head(Vec<(String, String)>),
    /// Ends the message with these. For HTTP/2.
    Trailers(Vec<(String, String)>),
    /// Ends the message with an empty DATA frame. For HTTP/2, where the last frame that carries something ends it else.
    End(bool),
    /// Resets the stream with this code. For HTTP/2.
    Rst(u32),
    /// Sends a frame of this type, with these flags and bytes, on the stream. For HTTP/2.
    Frame(u8, u8, String),
    /// Asks for so many bytes more. For clients that speak HTTP/2, with a `window`.
    Give(u32),
    /// Reads the head of a request and nothing more. For upstreams, which otherwise read all of it first.
    ReadHead(bool),
    /// Reads the head of a request, and so many bytes of its body. For upstreams that speak HTTP/2.
    Read(usize),
    /// Reads the request to its end. For upstreams.
    ReadAll(bool),
    /// Sends nothing more, and waits until the other side has closed the connection.
    Hang(bool),
    /// Closes the connection.
    Close(bool),
    /// Closes the connection with a reset.
    Reset(bool),
}

/// What an upstream is to have.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(untagged)]
pub enum Awaited {
    /// The head of a request.
    Head(bool),
    /// This text, of a head or a body.
    Text(String),
}

/// The method of a request that names none.
pub(crate) fn get() -> String {
    "GET".into()
}

/// The path of a request that names none.
pub(crate) fn root() -> String {
    "/".into()
}

/// The answer of a server that is told none.
pub(crate) fn ok() -> Vec<Step> {
    vec![Step::Text("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".into())]
}

/// The bytes that a text in a case file stands for.
///
/// # Panics
/// For characters beyond `\u00ff`: the case file is wrong.
pub fn bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|character| u8::try_from(character).unwrap_or_else(|_| panic!("{character:?} is no byte")))
        .collect()
}

/// A message of gRPC, with what goes before it.
///
/// # Panics
/// As [`bytes`], and for what no prefix can tell the length of.
pub fn framed(text: &str) -> Vec<u8> {
    let message = bytes(text);
    let length = u32::try_from(message.len()).expect("a message of a case is short");
    [&[0], length.to_be_bytes().as_slice(), &message].concat()
}

/// Names and values as bytes.
pub fn fields(texts: &[(String, String)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    texts.iter().map(|(name, value)| (bytes(name), bytes(value))).collect()
}

/// Bytes as a case's transcript shows them.
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b'\\' => text.push_str("\\x5c"),
            32..=126 => text.push(byte.into()),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    // A long run of one byte says nothing more than its length.
    let same = bytes.first().is_some_and(|first| bytes.iter().all(|byte| byte == first));
    if same && bytes.len() > 100 { format!("{}*{}", &text[..text.len() / bytes.len()], bytes.len()) } else { text }
}
