//! As much of HTTP/1.1 as a peer needs that looks at every byte.

use std::io::{self, Read};

/// A message's start line and headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The first line.
    pub start: Vec<u8>,
    /// The headers, in order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Head {
    /// The first header of this name in lower case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.as_slice())
    }

    fn is_chunked(&self) -> bool {
        self.get("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().ends_with(b"chunked"))
    }

    /// The number in `content-length`.
    pub fn length(&self) -> Option<usize> {
        std::str::from_utf8(self.get("content-length")?).ok()?.parse().ok()
    }

    /// The status of a response.
    pub fn status(&self) -> &[u8] {
        self.start.split(|byte| *byte == b' ').nth(1).unwrap_or_default()
    }
}

/// A message's body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// All of it.
    pub bytes: Vec<u8>,
    /// The trailers.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Why there is no more: the connection ended before the message did.
    pub cut: bool,
}

/// Reads messages from a connection.
#[derive(Debug)]
pub struct Reader<R> {
    inner: R,
    buffer: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// Nothing read yet.
    pub fn new(inner: R) -> Self {
        Self { inner, buffer: Vec::new() }
    }

    /// The next head, or `None` where the connection ends before it begins.
    ///
    /// # Errors
    /// The connection ends within it, or what comes is no HTTP.
    pub fn head(&mut self) -> io::Result<Option<Head>> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            if !self.fill()? {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended within a head"));
            }
        };
        let bytes: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let mut lines = bytes[..end].split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let start = lines.next().unwrap_or_default().to_vec();
        Ok(Some(Head { start, headers: lines.map(header).collect() }))
    }

    /// The body of a request.
    pub fn request_body(&mut self, head: &Head) -> Body {
        if head.is_chunked() { self.chunks() } else { self.sized(head.length().unwrap_or(0)) }
    }

    /// The body of a response.
    pub fn response_body(&mut self, head: &Head, to_head: bool) -> Body {
        if to_head || matches!(head.status(), b"204" | b"304") {
            Body::default()
        } else if head.is_chunked() {
            self.chunks()
        } else if let Some(length) = head.length() {
            self.sized(length)
        } else {
            while self.fill().unwrap_or(false) {}
            Body { bytes: std::mem::take(&mut self.buffer), ..Body::default() }
        }
    }

    /// Passes on as much of what follows as comes, up to this many bytes; how many there were.
    ///
    /// # Errors
    /// The connection's, or what `take` returns.
    pub fn pass(&mut self, length: u64, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<u64> {
        let mut passed = 0;
        while passed < length {
            if self.buffer.is_empty() && !self.fill()? {
                break;
            }
            let size = usize::try_from(length - passed).unwrap_or(usize::MAX).min(self.buffer.len());
            take(&self.buffer[..size])?;
            self.buffer.drain(..size);
            passed += size as u64;
        }
        Ok(passed)
    }

    /// What came and was not read as a message.
    pub fn rest(&self) -> &[u8] {
        &self.buffer
    }

    fn sized(&mut self, length: usize) -> Body {
        while self.buffer.len() < length {
            if !self.fill().unwrap_or(false) {
                return Body { bytes: std::mem::take(&mut self.buffer), cut: true, ..Body::default() };
            }
        }
        Body { bytes: self.buffer.drain(..length).collect(), ..Body::default() }
    }

    fn chunks(&mut self) -> Body {
        let mut body = Body::default();
        loop {
            let Some(line) = self.line() else { return Body { cut: true, ..body } };
            let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
            let size = std::str::from_utf8(size).ok().and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
            let Some(size) = size else { return Body { cut: true, ..body } };
            if size == 0 {
                break;
            }
            let chunk = self.sized(size);
            body.bytes.extend(chunk.bytes);
            if chunk.cut || self.line().is_none() {
                return Body { cut: true, ..body };
            }
        }
        loop {
            match self.line() {
                None => return Body { cut: true, ..body },
                Some(line) if line.is_empty() => return body,
                Some(line) => body.trailers.push(header(&line)),
            }
        }
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                break end;
            }
            if !self.fill().unwrap_or(false) {
                return None;
            }
        };
        let line = self.buffer.drain(..end + 2).take(end).collect();
        Some(line)
    }

    /// Whether there was more.
    fn fill(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 64 * 1024];
        let size = self.inner.read(&mut bytes)?;
        self.buffer.extend_from_slice(&bytes[..size]);
        Ok(size > 0)
    }
}

fn header(line: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    let value = line.get(colon + 1..).unwrap_or_default();
    (line[..colon].to_vec(), value.strip_prefix(b" ").unwrap_or(value).to_vec())
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}
