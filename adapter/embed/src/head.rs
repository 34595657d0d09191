//! Heads and trailers in one piece, the form in which they go over the boundary, and as `http` has them.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{HOST, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, request};
use proxy_wasm_abi::limits::{PAIRS_MAX_BYTES, PAIRS_MAX_COUNT};

/// Path and query of a request that [`Uri`] has no place for: it refuses `<`, `>`, `"` and a backtick in some places, and cuts
/// off what stands behind a `#`. Clients send the first, filters set either, and Envoy passes all on. It stands in the
/// extensions of a request, whose `Uri` then has it [percent-encoded](Self::percent_encoded).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawPath(pub Bytes);

impl RawPath {
    /// The same in bytes that [`Uri`] takes. Bytes beyond ASCII stay, unless they are no UTF-8.
    pub fn percent_encoded(&self) -> String {
        let mut encoded = String::with_capacity(self.0.len() + 16);
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '"' | '#' | '<' | '>' | '`' => escape(&mut encoded, character as u8),
                    _ => encoded.push(character),
                }
            }
            chunk.invalid().iter().for_each(|byte| escape(&mut encoded, *byte));
        }
        encoded
    }
}

fn escape(encoded: &mut String, byte: u8) {
    // A `String` takes all that is written.
    let _ = write!(encoded, "%{byte:02X}");
}

/// A head that can't be carried: more fields, or bytes, than a filter may be shown.
#[derive(Debug)]
pub(crate) struct TooLarge;

/// A head that no `http` type can hold, as a filter made it.
#[derive(Debug)]
pub(crate) struct Invalid;

/// A request's head.
pub(crate) fn of_request(head: &request::Parts, tls: bool) -> Result<Vec<u8>, TooLarge> {
    let authority = match head.uri.authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => head.headers.get(HOST).map(HeaderValue::as_bytes).unwrap_or_default(),
    };
    let path = match head.extensions.get() {
        Some(RawPath(path)) => path,
        None => head.uri.path_and_query().map_or("/", PathAndQuery::as_str).as_bytes(),
    };
    let pseudo: [(&[u8], &[u8]); 4] = [
        (b":method", head.method.as_str().as_bytes()),
        (b":scheme", if tls { b"https" } else { b"http" }),
        (b":authority", authority),
        (b":path", path),
    ];
    packed(&pseudo, &head.headers)
}

/// A response's head.
pub(crate) fn of_response(status: StatusCode, fields: &HeaderMap) -> Result<Vec<u8>, TooLarge> {
    packed(&[(b":status", status.as_str().as_bytes())], fields)
}

/// Trailers; nothing where there are none.
pub(crate) fn of_trailers(trailers: &HeaderMap) -> Option<Vec<u8>> {
    if trailers.is_empty() { None } else { packed(&[], trailers).ok() }
}

/// The wire format of `proxy_wasm_abi::pairs`. `host` is left out: the authority has its value.
fn packed(pseudo: &[(&[u8], &[u8])], fields: &HeaderMap) -> Result<Vec<u8>, TooLarge> {
    let pairs = || {
        let fields = fields.iter().filter(|(name, _)| **name != HOST);
        let fields = fields.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        pseudo.iter().copied().chain(fields)
    };
    // Two lengths and a NUL behind either, for each.
    let size = |(count, bytes), (name, value): (&[u8], &[u8])| (count + 1, bytes + name.len() + value.len() + 10);
    let (count, bytes) = pairs().fold((0, 4), size);
    if bytes > PAIRS_MAX_BYTES || count > PAIRS_MAX_COUNT {
        return Err(TooLarge);
    }
    let mut packed = Vec::with_capacity(bytes);
    packed.extend_from_slice(&u32::try_from(count).map_err(|_| TooLarge)?.to_le_bytes());
    packed.resize(4 + 8 * count, 0);
    for (index, (name, value)) in pairs().enumerate() {
        for (at, part) in [(4 + 8 * index, name), (8 + 8 * index, value)] {
            let length = u32::try_from(part.len()).map_err(|_| TooLarge)?;
            packed[at..at + 4].copy_from_slice(&length.to_le_bytes());
            packed.extend_from_slice(part);
            packed.push(0);
        }
    }
    Ok(packed)
}

/// The lines of a piece that an instance gave.
struct Lines {
    bytes: Bytes,
    count: usize,
    /// How many were read.
    read: usize,
    /// Where the next one begins.
    at: usize,
}

impl Lines {
    fn new(packed: Vec<u8>) -> Self {
        let bytes = Bytes::from(packed);
        let count = number(&bytes, 0);
        Self { at: 4 + 8 * count, bytes, count, read: 0 }
    }

    /// Takes so many bytes, and the NUL behind them. They share their memory: no line is copied.
    fn take(&mut self, len: usize) -> Option<Bytes> {
        let end = self.at.checked_add(len)?;
        if end > self.bytes.len() {
            return None;
        }
        let taken = self.bytes.slice(self.at..end);
        self.at = end + 1;
        Some(taken)
    }
}

fn number(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |number| u32::from_le_bytes(*number) as usize)
}

impl Iterator for Lines {
    type Item = (Bytes, Bytes);

    fn next(&mut self) -> Option<Self::Item> {
        if self.read == self.count {
            return None;
        }
        let lengths = 4 + 8 * self.read;
        let (name, value) = (number(&self.bytes, lengths), number(&self.bytes, lengths + 4));
        self.read += 1;
        Some((self.take(name)?, self.take(value)?))
    }
}

/// Adds a field, where it can be one.
fn add(fields: &mut HeaderMap, name: &[u8], value: Bytes, refused: &mut dyn FnMut(&[u8])) {
    match (HeaderName::from_bytes(name), HeaderValue::from_maybe_shared(value)) {
        (Ok(name), Ok(value)) => {
            fields.append(name, value);
        }
        _ => refused(name),
    }
}

/// A response's head. `refused` is told of the names of fields that are none.
pub(crate) fn response(packed: Vec<u8>, refused: &mut dyn FnMut(&[u8])) -> Response<()> {
    let lines = Lines::new(packed);
    let mut response = Response::new(());
    response.headers_mut().reserve(lines.count);
    for (name, value) in lines {
        if *name == *b":status" {
            // The instance lets no other through.
            *response.status_mut() = StatusCode::from_bytes(&value).unwrap_or(StatusCode::BAD_GATEWAY);
        } else if !name.starts_with(b":") {
            add(response.headers_mut(), &name, value, refused);
        }
    }
    response
}

/// A request's head: its target is a path, its authority is `host`.
pub(crate) fn request(packed: Vec<u8>, refused: &mut dyn FnMut(&[u8])) -> Result<Request<()>, Invalid> {
    let lines = Lines::new(packed);
    let mut request = Request::new(());
    request.headers_mut().reserve(lines.count);
    for (name, value) in lines {
        match &*name {
            b":method" => *request.method_mut() = Method::from_bytes(&value).map_err(|_| Invalid)?,
            b":path" => {
                let path = PathAndQuery::from_maybe_shared(value.clone()).ok();
                match path.filter(|path| path.as_str().as_bytes() == &*value) {
                    Some(path) => *request.uri_mut() = Uri::from(path),
                    None if is_target(&value) => {
                        let raw = RawPath(value);
                        let encoded = PathAndQuery::try_from(raw.percent_encoded()).map_err(|_| Invalid)?;
                        *request.uri_mut() = Uri::from(encoded);
                        request.extensions_mut().insert(raw);
                    }
                    None => return Err(Invalid),
                }
            }
            b":authority" => add(request.headers_mut(), HOST.as_str().as_bytes(), value, refused),
            name if name.starts_with(b":") => {}
            name => add(request.headers_mut(), name, value, refused),
        }
    }
    Ok(request)
}

/// Whether this can stand in a request line, and names a path.
fn is_target(path: &[u8]) -> bool {
    path.starts_with(b"/") && path.iter().all(|byte| byte.is_ascii_graphic() || !byte.is_ascii())
}

/// Trailers.
pub(crate) fn trailers(packed: Vec<u8>, refused: &mut dyn FnMut(&[u8])) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in Lines::new(packed) {
        add(&mut fields, &name, value, refused);
    }
    fields
}

#[cfg(test)]
mod tests {
    use proxy_wasm_abi::pairs;

    use super::*;

    #[test]
    fn a_request_goes_there_and_back() {
        let sent = Request::post("/p?q").header("host", "a:1").header("x", "1").header("x", "2").body(()).unwrap();
        let (parts, ()) = sent.into_parts();
        let packed = of_request(&parts, true).unwrap();
        let lines: Vec<_> = Lines::new(packed.clone()).collect();
        assert!(lines.contains(&(Bytes::from(":scheme"), Bytes::from("https"))));
        assert_eq!(pairs::decode(&packed).map(|pairs| pairs.len()), Some(lines.len()));
        let back = request(packed, &mut |name| panic!("{name:?} is refused")).unwrap();
        assert_eq!((back.method(), back.uri().to_string().as_str()), (&Method::POST, "/p?q"));
        assert_eq!(back.headers(), &parts.headers);
    }

    #[test]
    fn a_path_that_fits_nowhere_goes_beside() {
        let paths: [(&[u8], &str); 3] =
            [(b"/<b>?\"c\"`", "/%3Cb%3E?%22c%22%60"), (b"/b?c#d", "/b?c%23d"), (b"/\xff<", "/%FF%3C")];
        for (path, encoded) in paths {
            let packed = pairs::encode([(b":path".as_slice(), path)].into_iter());
            let request = request(packed, &mut |_| {}).unwrap();
            assert_eq!(request.uri(), encoded);
            assert_eq!(request.extensions().get(), Some(&RawPath(path.into())));
            let (parts, ()) = request.into_parts();
            let lines: Vec<_> = Lines::new(of_request(&parts, false).unwrap()).collect();
            assert!(lines.contains(&(Bytes::from(":path"), Bytes::from(path))));
        }
        let packed = pairs::encode([(b":path".as_slice(), b"/a b".as_slice())].into_iter());
        assert!(request(packed, &mut |_| {}).is_err());
    }

    #[test]
    fn what_is_no_field_is_left_out() {
        let pairs: [(&[u8], &[u8]); 4] = [(b":status", b"204"), (b"a b", b"1"), (b"c", b"\n"), (b"d", b"\xff")];
        let mut refused = Vec::new();
        let response = response(pairs::encode(pairs.into_iter()), &mut |name| refused.push(name.to_vec()));
        assert_eq!((response.status(), response.headers().len()), (StatusCode::NO_CONTENT, 1));
        assert_eq!(refused, [b"a b".to_vec(), b"c".to_vec()]);
    }

    #[test]
    fn too_many_fields_are_refused() {
        let mut fields = HeaderMap::new();
        for index in 0..=PAIRS_MAX_COUNT {
            fields.append("x", HeaderValue::from(index));
        }
        assert!(of_response(StatusCode::OK, &fields).is_err());
        assert_eq!(of_trailers(&HeaderMap::new()), None);
    }

    #[test]
    fn what_is_cut_off_ends() {
        let packed = pairs::encode([(b"a".as_slice(), b"1".as_slice())].into_iter());
        for len in 0..packed.len() - 1 {
            assert_eq!(Lines::new(packed[..len].to_vec()).count(), 0, "{len}");
        }
    }
}
