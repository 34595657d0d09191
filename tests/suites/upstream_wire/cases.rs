//! The answers.

/// What `serve` makes of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Here {
    /// What Envoy makes of it.
    AsEnvoy,
    /// It is refused, for this reason, and Envoy takes it.
    Stricter(&'static str),
}

/// An answer of the upstream.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) answer: Vec<u8>,
    /// The connection ends behind it.
    pub(crate) closes: bool,
    /// The request is a HEAD.
    pub(crate) to_head: bool,
    pub(crate) here: Here,
}

const BARE_CR: &str =
    "Envoy takes a carriage return that ends no line out of what it stands in; others end the line there";
const NO_STATUS: &str = "no client knows a status of four digits";
const NO_LENGTH: &str = "hyper has a use of its own for the two largest numbers";
const CHUNKS_IN_HTTP10: &str =
    "RFC 9112, 6.1: HTTP/1.0 knows no codings, so one that has been there before may end it elsewhere";
const CHUNK_END: &str = "Envoy drops what stands between a chunk and the end of its line; others read it";
const SWITCHING: &str = "nobody asked for another protocol, and Envoy leaves the client with a connection that is none";

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn case(name: &'static str, answer: impl AsRef<[u8]>) -> Case {
    Case { name, answer: answer.as_ref().to_vec(), closes: false, to_head: false, here: Here::AsEnvoy }
}

impl Case {
    fn closing(self) -> Self {
        Self { closes: true, ..self }
    }

    fn answering_head(self) -> Self {
        Self { to_head: true, ..self }
    }

    fn stricter(self, reason: &'static str) -> Self {
        Self { here: Here::Stricter(reason), ..self }
    }
}

/// All of them, a plain one first.
pub(crate) fn cases() -> Vec<Case> {
    [start_lines(), lengths(), chunks(), head_fields(), statuses(), ends()].concat()
}

/// So many fields and a length.
fn fields(count: usize) -> Vec<u8> {
    [b"HTTP/1.1 200 OK\r\n".as_slice(), &b"x-b: y\r\n".repeat(count), b"content-length: 2\r\n\r\nok"].concat()
}

/// So many trailers with values of so many bytes.
fn trailers(count: usize, size: usize) -> Vec<u8> {
    let line = [b"x-t: ".as_slice(), &b"v".repeat(size), b"\r\n"].concat();
    [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n".as_slice(), &line.repeat(count), b"\r\n"]
        .concat()
}

/// A head of so many bytes.
fn head_of(size: usize) -> Vec<u8> {
    let (before, after) = (b"HTTP/1.1 200 OK\r\nx-a: ", b"\r\ncontent-length: 2\r\n\r\n");
    let value = b"y".repeat(size - before.len() - after.len());
    [before.as_slice(), &value, after, b"ok"].concat()
}

/// First lines.
fn start_lines() -> Vec<Case> {
    vec![
        case("a plain answer", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("a status of letters", b"HTTP/1.1 abc OK\r\ncontent-length: 2\r\n\r\nok"),
        case("a status of two digits", b"HTTP/1.1 99 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("a status that begins with 0", b"HTTP/1.1 099 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("a status of zeros", b"HTTP/1.1 000 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("a status of 600", b"HTTP/1.1 600 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("a status of 999", b"HTTP/1.1 999 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("a status of four digits", b"HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\nok").stricter(NO_STATUS),
        case("no status", b"HTTP/1.1\r\ncontent-length: 2\r\n\r\nok"),
        case("no reason", b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok"),
        case("an empty reason", b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok"),
        case("two blanks before the status", b"HTTP/1.1  200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("a tab before the status", b"HTTP/1.1\t200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("a status with a sign", b"HTTP/1.1 +20 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("a status that runs into its reason", b"HTTP/1.1 200OK\r\ncontent-length: 2\r\n\r\nok"),
        case("a control character in the reason", b"HTTP/1.1 200 O\x01K\r\ncontent-length: 2\r\n\r\nok"),
        case("bytes beyond ASCII in the reason", b"HTTP/1.1 200 O\xffK\r\ncontent-length: 2\r\n\r\nok"),
        case("a NUL in the reason", b"HTTP/1.1 200 O\x00K\r\ncontent-length: 2\r\n\r\nok"),
        case("a carriage return in the reason", b"HTTP/1.1 200 O\rK\r\ncontent-length: 2\r\n\r\nok").stricter(BARE_CR),
        case("a DEL in the reason", b"HTTP/1.1 200 O\x7fK\r\ncontent-length: 2\r\n\r\nok"),
        case("http in lower case", b"http/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("the answer of a radio", b"ICY 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("HTTP/1.0 until the connection ends", b"HTTP/1.0 200 OK\r\n\r\nuntil close").closing(),
        case("HTTP/1.0 with a length", b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("HTTP/1.0 in chunks", b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .closing()
            .stricter(CHUNKS_IN_HTTP10),
        case("HTTP/1.0 that stays", b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok"),
        case("no HTTP at all", b"hello world no status line\n").closing(),
        case("HTTP/2.0 in letters", b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("HTTP/1.2", b"HTTP/1.2 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("HTTP/1.11", b"HTTP/1.11 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("HTTP/01.1", b"HTTP/01.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("HTTP/0.9 in letters", b"HTTP/0.9 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("HTTP/1 without a minor version", b"HTTP/1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("a frame of HTTP/2", b"\x00\x00\x00\x04\x00\x00\x00\x00\x00").closing(),
        case("empty lines before the answer", b"\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("a newline before the answer", b"\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("a blank before the answer", b" HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("lines that end with a newline alone", b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok"),
        case("a head that ends with a newline alone", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\nok"),
        case(
            "a line that ends with a carriage return alone",
            b"HTTP/1.1 200 OK\rx-a: 1\r\ncontent-length: 2\r\n\r\nok",
        )
        .stricter(BARE_CR),
    ]
}

/// Lengths and codings.
fn lengths() -> Vec<Case> {
    vec![
        case(
            "both lengths",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        case(
            "both lengths, the other way round",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        case(
            "chunks and a length of 0",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        case("two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 5\r\n\r\nhello"),
        case("the same length twice", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok"),
        case("a negative length", b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok").closing(),
        case("a length with a sign", b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok").closing(),
        case("a hexadecimal length", b"HTTP/1.1 200 OK\r\ncontent-length: 0x2\r\n\r\nok").closing(),
        case("an empty length", b"HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\nok").closing(),
        case("a length in words", b"HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\nok").closing(),
        case("two numbers as a length", b"HTTP/1.1 200 OK\r\ncontent-length: 2 2\r\n\r\nok").closing(),
        case("a length with leading zeros", b"HTTP/1.1 200 OK\r\ncontent-length: 0000000002\r\n\r\nok"),
        case("a list of equal lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok"),
        case("a list of lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 2, 5\r\n\r\nhello"),
        case("a length of 67 bits", b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nok").closing(),
        case("the largest length of 64 bits", b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\nok")
            .closing()
            .stricter(NO_LENGTH),
        case("blanks behind a length", b"HTTP/1.1 200 OK\r\ncontent-length: 2 \t\r\n\r\nok"),
        case("no length", b"HTTP/1.1 200 OK\r\n\r\nuntil close").closing(),
        case("bytes behind an answer", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokEXTRA garbage"),
        case(
            "an answer behind an answer",
            [OK, b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nx-poison: 1\r\n\r\nPOISON"].concat(),
        ),
        case("a coding that is not chunked", b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhello").closing(),
        case(
            "another coding before chunked",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        case(
            "another coding behind chunked",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        case(
            "chunked on two lines",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        case("chunked twice", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        case("the coding identity", b"HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\nok").closing(),
        case(
            "the coding identity and a length",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\ncontent-length: 2\r\n\r\nok",
        ),
        case("CHUNKED", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        case("an empty coding", b"HTTP/1.1 200 OK\r\ntransfer-encoding:\r\n\r\nok").closing(),
        case(
            "a coding that ends in chunked",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        )
        .closing(),
        case(
            "chunked with a parameter",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked;q=1\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        )
        .closing(),
        case("chunked and a comma", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked,\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .closing(),
        case(
            "a vertical tab before chunked",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: \x0bchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        )
        .closing(),
        case(
            "two codings on two lines",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
    ]
}

/// Chunks and trailers.
fn chunks() -> Vec<Case> {
    vec![
        case("a chunk size of letters", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"),
        case("a negative chunk size", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n"),
        case("a chunk size with a sign", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n+2\r\nok\r\n0\r\n\r\n"),
        case("a chunk size with 0x", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n"),
        case("a blank behind a chunk size", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\n\r\n"),
        case("a blank before a chunk size", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n 2\r\nok\r\n0\r\n\r\n"),
        case("a tab behind a chunk size", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\t\r\nok\r\n0\r\n\r\n"),
        case("a chunk extension", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n"),
        case("a quoted chunk extension", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=\"b;c\"\r\nok\r\n0\r\n\r\n"),
        case("a blank before a chunk extension", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2 ;a\r\nok\r\n0\r\n\r\n"),
        case("a control character in a chunk extension", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a\x01\r\nok\r\n0\r\n\r\n"),
        case("a newline in a chunk extension", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a\nok\r\n0\r\n\r\n"),
        case("a carriage return in a chunk extension", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a\rb\r\nok\r\n0\r\n\r\n"),
        case("a chunk extension of 100,000 bytes", [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;".as_slice(), &[b'a'; 100_000], b"\r\nok\r\n0\r\n\r\n"].concat()),
        case("a chunk size with leading zeros", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0000000002\r\nok\r\n0\r\n\r\n"),
        case("a chunk size with a thousand leading zeros", [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".as_slice(), &[b'0'; 1000], b"2\r\nok\r\n0\r\n\r\n"].concat()),
        case("a chunk size of 68 bits", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nok\r\n").closing(),
        case("a chunk of 64 bits", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nok\r\n").closing(),
        case("chunks with newlines alone", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\nok\n0\n\n"),
        case("a chunk size that ends with a newline alone", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n"),
        case("a chunk that runs into the next", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok0\r\n\r\n"),
        case("a chunk that is longer than it says", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nokk\r\n0\r\n\r\n").stricter(CHUNK_END),
        case("an empty chunk size", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\nok\r\n0\r\n\r\n"),
        case("a last chunk of two zeros", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n00\r\n\r\n"),
        case("a last chunk with an extension", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0;a=b\r\n\r\n"),
        case("chunks whose last line is missing", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n").closing(),
        case("a chunk that is cut off", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nok").closing(),
        case("chunks that are cut off", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n").closing(),
        case("chunks without a byte", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        case("bytes behind chunks", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nEXTRA"),
        case("trailers", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n"),
        case("a length in trailers", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\ncontent-length: 3\r\n\r\n"),
        case("a coding in trailers", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\ntransfer-encoding: x\r\n\r\n"),
        case("a status in trailers", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n:status: 500\r\n\r\n"),
        case("a blank in the name of a trailer", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx t: 1\r\n\r\n"),
        case("a trailer without a colon", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nxt\r\n\r\n"),
        case("a folded trailer", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n 2\r\n\r\n"),
        case("a first trailer that is folded", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n x-t: 1\r\n\r\n"),
        case("a control character in a trailer", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: a\x01\r\n\r\n"),
        case("trailers with newlines alone", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\n\n"),
        case("a last line with a newline alone", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\n"),
        case("a carriage return in a trailer", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: a\rb\r\n\r\n").stricter(BARE_CR),
        case("100 trailers", trailers(100, 1)),
        case("101 trailers", trailers(101, 1)),
        case("a trailer of 70,000 bytes", trailers(1, 70_000)),
        case("trailers of 300,000 bytes", trailers(90, 3_000)),
    ]
}

/// Fields.
fn head_fields() -> Vec<Case> {
    vec![
        case("a folded field", b"HTTP/1.1 200 OK\r\nx-a: 1\r\n 2\r\ncontent-length: 2\r\n\r\nok"),
        case("a field folded with a tab", b"HTTP/1.1 200 OK\r\nx-a: 1\r\n\t2\r\ncontent-length: 2\r\n\r\nok"),
        case("a field folded with nothing", b"HTTP/1.1 200 OK\r\nx-a: 1\r\n \r\ncontent-length: 2\r\n\r\nok"),
        case("a first field that is folded", b"HTTP/1.1 200 OK\r\n x-a: 1\r\ncontent-length: 2\r\n\r\nok"),
        case("a folded length", b"HTTP/1.1 200 OK\r\ncontent-length:\r\n 2\r\n\r\nok").closing(),
        case("a folded coding", b"HTTP/1.1 200 OK\r\ntransfer-encoding:\r\n chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .closing(),
        case("a blank before a colon", b"HTTP/1.1 200 OK\r\nx-a : 1\r\ncontent-length: 2\r\n\r\nok"),
        case("a tab before a colon", b"HTTP/1.1 200 OK\r\nx-a\t: 1\r\ncontent-length: 2\r\n\r\nok"),
        case(
            "a blank before the colon of the coding",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding : chunked\r\ncontent-length: 17\r\n\r\n2\r\nok\r\n0\r\n\r\nxxxxx",
        ),
        case("a blank in a name", b"HTTP/1.1 200 OK\r\nx a: 1\r\ncontent-length: 2\r\n\r\nok"),
        case("a field without a colon", b"HTTP/1.1 200 OK\r\nx-a\r\ncontent-length: 2\r\n\r\nok"),
        case("a NUL in a value", b"HTTP/1.1 200 OK\r\nx-a: a\x00b\r\ncontent-length: 2\r\n\r\nok"),
        case("a control character in a value", b"HTTP/1.1 200 OK\r\nx-a: a\x01b\r\ncontent-length: 2\r\n\r\nok"),
        case("a DEL in a value", b"HTTP/1.1 200 OK\r\nx-a: a\x7fb\r\ncontent-length: 2\r\n\r\nok"),
        case("a vertical tab in a value", b"HTTP/1.1 200 OK\r\nx-a: a\x0bb\r\ncontent-length: 2\r\n\r\nok"),
        case("a carriage return in a value", b"HTTP/1.1 200 OK\r\nx-a: a\rx-b: 1\r\ncontent-length: 2\r\n\r\nok")
            .stricter(BARE_CR),
        case(
            "two carriage returns at the end of a line",
            b"HTTP/1.1 200 OK\r\nx-a: a\r\r\ncontent-length: 2\r\n\r\nok",
        ),
        case("bytes beyond ASCII in a value", b"HTTP/1.1 200 OK\r\nx-a: \xff\xe9\r\ncontent-length: 2\r\n\r\nok"),
        case("a control character in a name", b"HTTP/1.1 200 OK\r\nx\x01a: 1\r\ncontent-length: 2\r\n\r\nok"),
        case("a byte beyond ASCII in a name", b"HTTP/1.1 200 OK\r\nx\xe9a: 1\r\ncontent-length: 2\r\n\r\nok"),
        case("parentheses in a name", b"HTTP/1.1 200 OK\r\nx(a): 1\r\ncontent-length: 2\r\n\r\nok"),
        case(
            "every character that a name may have",
            b"HTTP/1.1 200 OK\r\nx!#$%&'*+-.^_`|~: 1\r\ncontent-length: 2\r\n\r\nok",
        ),
        case("a status among the fields", b"HTTP/1.1 200 OK\r\n:status: 500\r\ncontent-length: 2\r\n\r\nok"),
        case("an empty name", b"HTTP/1.1 200 OK\r\n: x\r\ncontent-length: 2\r\n\r\nok"),
        case("an empty value", b"HTTP/1.1 200 OK\r\nx-a:\r\ncontent-length: 2\r\n\r\nok"),
        case("no blank behind a colon", b"HTTP/1.1 200 OK\r\nx-a:1\r\ncontent-length: 2\r\n\r\nok"),
    ]
}

/// Statuses and methods that go without a body.
fn statuses() -> Vec<Case> {
    vec![
        case("100 before the answer", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("100 and the end", b"HTTP/1.1 100 Continue\r\n\r\n").closing(),
        case("100 with a body", b"HTTP/1.1 100 Continue\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("100 in chunks", b"HTTP/1.1 100 Continue\r\ntransfer-encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("100 with a length of 0", b"HTTP/1.1 100 Continue\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("103 before the answer", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("102 five hundred times", [b"HTTP/1.1 102 Processing\r\n\r\n".repeat(500), OK.to_vec()].concat()),
        case("a change of protocol", b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nraw").closing().stricter(SWITCHING),
        case("a change to no protocol", b"HTTP/1.1 101 Switching Protocols\r\n\r\nraw").closing().stricter(SWITCHING),
        case("a change of protocol with a body", b"HTTP/1.1 101 X\r\ncontent-length: 2\r\n\r\nok"),
        case("199 before the answer", b"HTTP/1.1 199 X\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        case("204", b"HTTP/1.1 204 No Content\r\n\r\n"),
        case("204 with a length of 0", b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n"),
        case("204 with a length of 00", b"HTTP/1.1 204 X\r\ncontent-length: 00\r\n\r\n"),
        case("204 with a body", b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello"),
        case("204 in chunks", b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        case("204 and bytes behind it", b"HTTP/1.1 204 No Content\r\n\r\nhello"),
        case("304", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        case("304 with a length", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"),
        case("304 with a body", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nhello"),
        case("304 in chunks", b"HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n"),
        case("304 with both lengths", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"),
        case("304 with two lengths", b"HTTP/1.1 304 X\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n"),
        case("205 with a body", b"HTTP/1.1 205 Reset\r\ncontent-length: 5\r\n\r\nhello"),
        case("to HEAD: a length", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").answering_head(),
        case("to HEAD: a body", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").answering_head(),
        case("to HEAD: chunks", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").answering_head(),
        case("to HEAD: a body in chunks", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").answering_head(),
        case("to HEAD: both lengths", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n").answering_head(),
        case("to HEAD: a list of lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\n").answering_head(),
        case("to HEAD: a coding that is not chunked", b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n").answering_head(),
    ]
}

/// Ends and limits.
fn ends() -> Vec<Case> {
    vec![
        case("a body that is cut off", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello").closing(),
        case("a head that is cut off", b"HTTP/1.1 200 OK\r\ncontent-le").closing(),
        case("a first line that is cut off", b"HTTP/1.1 20").closing(),
        case("nothing", b"").closing(),
        case("100 fields", fields(99)),
        case("101 fields", fields(100)),
        case("connection: close", b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"),
        case(
            "a connection field that names the length",
            b"HTTP/1.1 200 OK\r\nconnection: content-length\r\ncontent-length: 2\r\n\r\nok",
        ),
        case("a head of 60 KiB", head_of(60 * 1024)),
        case("a head of 62 KiB", head_of(62 * 1024)),
        case("a head of 80 KiB", head_of(80 * 1024)),
        case("a head of a byte more than 80 KiB", head_of(80 * 1024 + 1)),
        case("a head of 100 KiB", head_of(100 * 1024)),
    ]
}
