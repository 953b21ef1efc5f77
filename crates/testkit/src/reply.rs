//! RESP2 and RESP3 replies: every type, a decoder that reads them off a stream, and a notation to compare them in.
//!
//! A reply keeps its exact type and its exact text (a double stays the bytes that were sent), so that two servers which
//! differ in either are told apart. [`Reply`]'s `Display` is the notation that tests write their expectations in:
//!
//! `+OK`, `-ERR text`, `7`, `"bulk\r\n\x00"`, `nil` (`$-1`), `nil-array` (`*-1`), `null` (`_`), `["a", 1]`, `{"k": "v"}`,
//! `~["set"]`, `>["push"]`, `,1.5` (double), `#t`, `(12345` (big number), `=txt:"verbatim"`, `!"blob error"`, and
//! `|{"attribute": 1} "value"`.
//!
//! The decoder keeps its own stack instead of recursing, and refuses what no server sends: more nesting, longer bulks
//! or larger aggregates than the limits below.

use std::fmt;
use std::io::{self, Read};

/// Deepest nesting that is accepted.
const DEPTH_MAX: usize = 64;
/// Longest bulk that is accepted, in bytes: Redis's own limit and a little for headers.
const BULK_BYTES_MAX: usize = 513 * 1024 * 1024;
/// Most elements of one aggregate that are accepted.
const ELEMENTS_MAX: usize = 64 * 1024 * 1024;
/// Longest line (a simple string, an error, a number) that is accepted, in bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// One reply, in all types of RESP2 and RESP3.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reply {
    /// `+text`
    Simple(String),
    /// `-text`
    Error(String),
    /// `:number`
    Integer(i64),
    /// `$length`, bytes
    Bulk(Vec<u8>),
    /// `$-1`
    NullBulk,
    /// `*-1`
    NullArray,
    /// `_`
    Null,
    /// `*count`, elements
    Array(Vec<Reply>),
    /// `%count`, pairs
    Map(Vec<(Reply, Reply)>),
    /// `~count`, elements
    Set(Vec<Reply>),
    /// `>count`, elements: out of band
    Push(Vec<Reply>),
    /// `,text`, exactly as sent
    Double(String),
    /// `#t` or `#f`
    Boolean(bool),
    /// `(digits`
    BigNumber(String),
    /// `=length`, a format of three letters and a text
    Verbatim(String, Vec<u8>),
    /// `!length`, bytes
    BlobError(Vec<u8>),
    /// `|count`, pairs, and the reply that they describe
    Attributed(Vec<(Reply, Reply)>, Box<Reply>),
}

impl Reply {
    /// A bulk of these bytes.
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Self {
        Self::Bulk(bytes.as_ref().to_vec())
    }

    /// `+OK`
    pub fn ok() -> Self {
        Self::Simple("OK".into())
    }

    /// True for both kinds of error.
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Error(_) | Self::BlobError(_))
    }

    /// True for all three kinds of null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::NullBulk | Self::NullArray)
    }

    /// The number of an integer reply. Panics on any other.
    #[track_caller]
    pub fn integer(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            other => panic!("expected an integer, got {other}"),
        }
    }

    /// The text of a string, verbatim string or error of any kind (lossy if it is not UTF-8). Panics on any other.
    #[track_caller]
    pub fn text(&self) -> String {
        match self {
            Self::Simple(text) | Self::Error(text) | Self::BigNumber(text) | Self::Double(text) => {
                text.clone()
            }
            Self::Bulk(bytes) | Self::BlobError(bytes) | Self::Verbatim(_, bytes) => {
                String::from_utf8_lossy(bytes).into_owned()
            }
            other => panic!("expected a text, got {other}"),
        }
    }

    /// The elements of an array, a set or a push; a map's keys and values in turn. Panics on any other.
    #[track_caller]
    pub fn elements(&self) -> Vec<Reply> {
        match self {
            Self::Array(elements) | Self::Set(elements) | Self::Push(elements) => elements.clone(),
            Self::Map(pairs) => pairs.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).collect(),
            other => panic!("expected elements, got {other}"),
        }
    }

    /// The number behind a double, or behind a string that is one. Panics on any other.
    #[track_caller]
    pub fn float(&self) -> f64 {
        match self.text().parse() {
            Ok(number) => number,
            Err(_) => panic!("expected a number, got {self}"),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(text) => write!(out, "+{text}"),
            Self::Error(text) => write!(out, "-{text}"),
            Self::Integer(number) => write!(out, "{number}"),
            Self::Bulk(bytes) => quote(out, bytes),
            Self::NullBulk => out.write_str("nil"),
            Self::NullArray => out.write_str("nil-array"),
            Self::Null => out.write_str("null"),
            Self::Array(elements) => list(out, "[", elements),
            Self::Set(elements) => list(out, "~[", elements),
            Self::Push(elements) => list(out, ">[", elements),
            Self::Map(map) => pairs(out, "{", map),
            Self::Double(text) => write!(out, ",{text}"),
            Self::Boolean(is_true) => out.write_str(if *is_true { "#t" } else { "#f" }),
            Self::BigNumber(text) => write!(out, "({text}"),
            Self::Verbatim(format, bytes) => {
                write!(out, "={format}:")?;
                quote(out, bytes)
            }
            Self::BlobError(bytes) => {
                out.write_str("!")?;
                quote(out, bytes)
            }
            Self::Attributed(attributes, reply) => {
                pairs(out, "|{", attributes)?;
                write!(out, " {reply}")
            }
        }
    }
}

/// Writes bytes between double quotes, so that [`crate::words`] reads them back.
pub(crate) fn quote(out: &mut impl fmt::Write, bytes: &[u8]) -> fmt::Result {
    out.write_char('"')?;
    for byte in bytes {
        match byte {
            b'"' => out.write_str("\\\"")?,
            b'\\' => out.write_str("\\\\")?,
            b'\n' => out.write_str("\\n")?,
            b'\r' => out.write_str("\\r")?,
            b'\t' => out.write_str("\\t")?,
            b' '..=b'~' => out.write_char(char::from(*byte))?,
            _ => write!(out, "\\x{byte:02x}")?,
        }
    }
    out.write_char('"')
}

fn list(out: &mut fmt::Formatter<'_>, open: &str, elements: &[Reply]) -> fmt::Result {
    out.write_str(open)?;
    for (index, element) in elements.iter().enumerate() {
        write!(out, "{}{element}", if index == 0 { "" } else { ", " })?;
    }
    out.write_str("]")
}

fn pairs(out: &mut fmt::Formatter<'_>, open: &str, pairs: &[(Reply, Reply)]) -> fmt::Result {
    out.write_str(open)?;
    for (index, (key, value)) in pairs.iter().enumerate() {
        write!(out, "{}{key}: {value}", if index == 0 { "" } else { ", " })?;
    }
    out.write_str("}")
}

/// Why no reply could be read.
#[derive(Debug)]
pub enum DecodeError {
    /// The stream ended between two replies.
    Closed,
    /// The stream ended, failed or timed out; the flag tells whether a reply had begun.
    Io(io::Error, bool),
    /// The bytes are no RESP, or exceed a limit.
    Invalid(String),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => out.write_str("the connection is closed"),
            Self::Io(error, false) => write!(out, "no reply: {error}"),
            Self::Io(error, true) => write!(out, "half a reply: {error}"),
            Self::Invalid(what) => write!(out, "not RESP: {what}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Decodes replies off a byte stream.
#[derive(Debug)]
pub struct ReplyReader<S> {
    stream: S,
    buffer: Vec<u8>,
    start: usize,
    has_begun: bool,
}

/// An aggregate whose elements are being read.
struct Frame {
    kind: u8,
    missing: usize,
    elements: Vec<Reply>,
}

impl<S: Read> ReplyReader<S> {
    /// A reader of what comes out of `stream`.
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new(), start: 0, has_begun: false }
    }

    /// The stream, for its settings and for writing.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The bytes that have been read and not yet decoded.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Reads one reply. After an error in the middle of one (`Io(_, true)` or `Invalid`) the stream is of no more use.
    pub fn read(&mut self) -> Result<Reply, DecodeError> {
        self.has_begun = false;
        let mut frames: Vec<Frame> = Vec::new();
        loop {
            let mut done = match self.read_item(frames.len())? {
                Item::Reply(reply) => reply,
                Item::Frame(frame) => {
                    frames.push(frame);
                    continue;
                }
            };
            // A finished reply may finish the aggregates around it.
            loop {
                let Some(mut frame) = frames.pop() else { return Ok(done) };
                frame.elements.push(done);
                frame.missing -= 1;
                if frame.missing > 0 {
                    frames.push(frame);
                    break;
                }
                done = close(frame);
            }
        }
    }

    fn read_item(&mut self, depth: usize) -> Result<Item, DecodeError> {
        let line = self.read_line()?;
        let (kind, rest) = (line[0], &line[1..]);
        let text = || String::from_utf8_lossy(rest).into_owned();
        let reply = match kind {
            b'+' => Reply::Simple(text()),
            b'-' => Reply::Error(text()),
            b':' => Reply::Integer(parse_integer(rest)?),
            b'_' if rest.is_empty() => Reply::Null,
            b',' => Reply::Double(text()),
            b'#' if rest == b"t" => Reply::Boolean(true),
            b'#' if rest == b"f" => Reply::Boolean(false),
            b'(' => Reply::BigNumber(text()),
            b'$' if rest == b"-1" => Reply::NullBulk,
            b'*' if rest == b"-1" => Reply::NullArray,
            b'$' | b'=' | b'!' => {
                let bytes = self.read_bulk(parse_length(rest, BULK_BYTES_MAX)?)?;
                match kind {
                    b'$' => Reply::Bulk(bytes),
                    b'!' => Reply::BlobError(bytes),
                    _ => verbatim(&bytes)?,
                }
            }
            b'*' | b'~' | b'>' | b'%' | b'|' => return open(kind, parse_length(rest, ELEMENTS_MAX)?, depth),
            _ => return Err(invalid("a reply starts with", &line)),
        };
        Ok(Item::Reply(reply))
    }

    /// The next line without its CR LF; never empty.
    fn read_line(&mut self) -> Result<Vec<u8>, DecodeError> {
        let mut searched = 0;
        loop {
            if let Some(found) = self.buffered()[searched..].windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffered()[..searched + found].to_vec();
                self.start += line.len() + 2;
                self.has_begun = true;
                return if line.is_empty() { Err(invalid("an empty line", &line)) } else { Ok(line) };
            }
            searched = self.buffered().len().saturating_sub(1);
            if searched > LINE_BYTES_MAX {
                return Err(invalid("a line without end", &self.buffered()[..64]));
            }
            self.fill(16 * 1024)?;
        }
    }

    fn read_bulk(&mut self, length: usize) -> Result<Vec<u8>, DecodeError> {
        while self.buffered().len() < length + 2 {
            let missing = length + 2 - self.buffered().len();
            self.fill(missing.clamp(16 * 1024, 1024 * 1024))?;
        }
        let bytes = self.buffered()[..length].to_vec();
        if &self.buffered()[length..length + 2] != b"\r\n" {
            return Err(invalid("a bulk that does not end in CR LF", &bytes));
        }
        self.start += length + 2;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: usize) -> Result<(), DecodeError> {
        if self.start > 0 && self.start * 2 >= self.buffer.len() {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.has_begun |= self.start < self.buffer.len();
        let old = self.buffer.len();
        self.buffer.resize(old + bytes, 0);
        let result = loop {
            match self.stream.read(&mut self.buffer[old..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(old + *result.as_ref().unwrap_or(&0));
        match result {
            Ok(0) if !self.has_begun => Err(DecodeError::Closed),
            Ok(0) => Err(DecodeError::Io(io::ErrorKind::UnexpectedEof.into(), true)),
            Ok(_) => Ok(()),
            Err(error) => Err(DecodeError::Io(error, self.has_begun)),
        }
    }
}

enum Item {
    Reply(Reply),
    Frame(Frame),
}

fn open(kind: u8, count: usize, depth: usize) -> Result<Item, DecodeError> {
    let missing = match kind {
        b'%' => count * 2,
        b'|' => count * 2 + 1,
        _ => count,
    };
    let frame = Frame { kind, missing, elements: Vec::with_capacity(missing.min(1024)) };
    if missing == 0 {
        return Ok(Item::Reply(close(frame)));
    }
    if depth >= DEPTH_MAX {
        return Err(invalid("nested too deeply", &[kind]));
    }
    Ok(Item::Frame(frame))
}

fn close(frame: Frame) -> Reply {
    let mut elements = frame.elements;
    match frame.kind {
        b'*' => Reply::Array(elements),
        b'~' => Reply::Set(elements),
        b'>' => Reply::Push(elements),
        b'%' => Reply::Map(pair_up(elements)),
        _ => {
            let reply = elements.pop().expect("an attribute's frame has one element more than its pairs");
            Reply::Attributed(pair_up(elements), Box::new(reply))
        }
    }
}

fn pair_up(elements: Vec<Reply>) -> Vec<(Reply, Reply)> {
    let mut pairs = Vec::with_capacity(elements.len() / 2);
    let mut elements = elements.into_iter();
    while let (Some(key), Some(value)) = (elements.next(), elements.next()) {
        pairs.push((key, value));
    }
    pairs
}

fn verbatim(bytes: &[u8]) -> Result<Reply, DecodeError> {
    match bytes {
        [a, b, c, b':', text @ ..] => {
            Ok(Reply::Verbatim(String::from_utf8_lossy(&[*a, *b, *c]).into_owned(), text.to_vec()))
        }
        _ => Err(invalid("a verbatim string without a format", bytes)),
    }
}

fn parse_integer(text: &[u8]) -> Result<i64, DecodeError> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| invalid("not an integer", text))
}

fn parse_length(text: &[u8], max: usize) -> Result<usize, DecodeError> {
    match usize::try_from(parse_integer(text)?) {
        Ok(length) if length <= max => Ok(length),
        _ => Err(invalid("a length out of range", text)),
    }
}

fn invalid(what: &str, bytes: &[u8]) -> DecodeError {
    let mut text = format!("{what} ");
    // Writing to a String cannot fail.
    let _ = quote(&mut text, &bytes[..bytes.len().min(64)]);
    DecodeError::Invalid(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &str) {
        // All at once, and byte by byte.
        let whole = ReplyReader::new(bytes).read().map_or_else(|e| format!("error: {e}"), |r| r.to_string());
        assert_eq!(whole, expected);
        let slow =
            ReplyReader::new(OneByte(bytes)).read().map_or_else(|e| format!("error: {e}"), |r| r.to_string());
        assert_eq!(slow, expected);
    }

    struct OneByte<'a>(&'a [u8]);

    impl Read for OneByte<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(1);
            self.0.read(&mut buffer[..length])
        }
    }

    #[test]
    fn every_type() {
        check(b"+OK\r\n", "+OK");
        check(b"-ERR no\r\n", "-ERR no");
        check(b":-7\r\n", "-7");
        check(b"$3\r\na\r\n\r\n", "\"a\\r\\n\"");
        check(b"$0\r\n\r\n", "\"\"");
        check(b"$-1\r\n", "nil");
        check(b"*-1\r\n", "nil-array");
        check(b"_\r\n", "null");
        check(b"*0\r\n", "[]");
        check(b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "[\"a\", [1]]");
        check(b"%2\r\n+a\r\n:1\r\n+b\r\n*0\r\n", "{+a: 1, +b: []}");
        check(b"~1\r\n#t\r\n", "~[#t]");
        check(b">2\r\n+x\r\n#f\r\n", ">[+x, #f]");
        check(b",1.50\r\n", ",1.50");
        check(b"(123456789012345678901234567890\r\n", "(123456789012345678901234567890");
        check(b"=7\r\ntxt:abc\r\n", "=txt:\"abc\"");
        check(b"!5\r\nERR x\r\n", "!\"ERR x\"");
        check(b"|1\r\n+ttl\r\n:1\r\n*1\r\n:2\r\n", "|{+ttl: 1} [2]");
    }

    #[test]
    fn broken_bytes() {
        check(b"", "error: the connection is closed");
        check(b"$3\r\nab", "error: half a reply: unexpected end of file");
        check(b"*1\r\n", "error: half a reply: unexpected end of file");
        check(b"?\r\n", "error: not RESP: a reply starts with \"?\"");
        check(b":x\r\n", "error: not RESP: not an integer \"x\"");
        check(b"$-2\r\n", "error: not RESP: a length out of range \"-2\"");
        check(b"$2\r\nabXX", "error: not RESP: a bulk that does not end in CR LF \"ab\"");
        check(&b"*1\r\n".repeat(100), "error: not RESP: nested too deeply \"*\"");
    }

    #[test]
    fn replies_follow_each_other() {
        let mut reader = ReplyReader::new(&b"+a\r\n$2\r\nbc\r\n:3\r\n"[..]);
        let replies: Vec<String> =
            std::iter::from_fn(|| reader.read().ok()).map(|reply| reply.to_string()).collect();
        assert_eq!(replies, ["+a", "\"bc\"", "3"]);
    }
}
