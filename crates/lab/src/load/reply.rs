//! Replies off a stream, checked without being copied.
//!
//! A reply of any RESP2 or RESP3 type is walked to its end. Nested aggregates need no stack, only the number of items that
//! are still missing; a reply that arrives in pieces is resumed where it stopped, so that 10,000 elements are looked at once.
//! The test kit's decoder was rejected here: it builds each reply, which costs more than the server needs to make it.

use std::ops::Range;

/// Longest bulk that is believed, in bytes.
const BULK_BYTES_MAX: i64 = 513 * 1024 * 1024;
/// Most elements of one aggregate that are believed.
const ELEMENTS_MAX: i64 = 64 * 1024 * 1024;
/// Longest line that is believed, in bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What a reply is, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyKind {
    /// `+text`
    Simple,
    /// `-text` or a blob error
    Error,
    /// `:number`, and RESP3's other scalars
    Scalar,
    /// `$length`, bytes
    Bulk,
    /// Any of the nulls
    Nil,
    /// Arrays, maps, sets, pushes
    Aggregate,
}

/// A whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its type.
    pub kind: ReplyKind,
    /// Where its text or bytes lie, relative to its start; of an aggregate, its header.
    pub body: Range<usize>,
    /// Elements of an aggregate, pairs counted twice.
    pub elements: usize,
    /// The first error inside an aggregate.
    pub inner_error: Option<Range<usize>>,
    /// Its length on the wire in bytes.
    pub bytes: usize,
}

/// The bytes are not RESP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub String);

/// The walk through one reply; reusable for the next.
#[derive(Debug, Default)]
pub struct Scanner {
    position: usize,
    missing: usize,
    first: Option<(ReplyKind, Range<usize>, usize)>,
    inner_error: Option<Range<usize>>,
}

enum Line {
    Incomplete,
    Complete { kind: u8, body: Range<usize>, next: usize },
}

impl Scanner {
    /// Walks on; `bytes` begins where the reply begins, also when it is resumed with more of them. `None` if it is not
    /// complete yet.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<Reply>, Malformed> {
        if self.first.is_none() {
            self.missing = 1;
        }
        while self.missing > 0 {
            let Line::Complete { kind, body, next } = line(bytes, self.position)? else { return Ok(None) };
            match kind {
                b'$' | b'=' | b'!' => {
                    let length = number(&bytes[body.clone()], BULK_BYTES_MAX)?;
                    let Ok(length) = usize::try_from(length) else {
                        self.item(ReplyKind::Nil, body, 0, next);
                        continue;
                    };
                    let end = next + length;
                    if bytes.len() < end + 2 {
                        return Ok(None);
                    }
                    if &bytes[end..end + 2] != b"\r\n" {
                        return Err(malformed("a bulk that does not end in CR LF", &bytes[next..end]));
                    }
                    let kind = if kind == b'!' { ReplyKind::Error } else { ReplyKind::Bulk };
                    self.item(kind, next..end, 0, end + 2);
                }
                b'*' | b'~' | b'>' | b'%' | b'|' => {
                    let count = number(&bytes[body.clone()], ELEMENTS_MAX)?;
                    let Ok(count) = usize::try_from(count) else {
                        self.item(ReplyKind::Nil, body, 0, next);
                        continue;
                    };
                    let elements = if matches!(kind, b'%' | b'|') { count * 2 } else { count };
                    self.item(ReplyKind::Aggregate, body, elements, next);
                    // An attribute only precedes the reply that it describes.
                    self.missing += elements + usize::from(kind == b'|');
                }
                b'+' => self.item(ReplyKind::Simple, body, 0, next),
                b'-' => self.item(ReplyKind::Error, body, 0, next),
                b'_' => self.item(ReplyKind::Nil, body, 0, next),
                b':' | b',' | b'#' | b'(' => self.item(ReplyKind::Scalar, body, 0, next),
                _ => return Err(malformed("a reply starts with", &bytes[self.position..next])),
            }
        }
        let bytes = std::mem::take(&mut self.position);
        let inner_error = self.inner_error.take();
        Ok(self.first.take().map(|(kind, body, elements)| Reply { kind, body, elements, inner_error, bytes }))
    }

    fn item(&mut self, kind: ReplyKind, body: Range<usize>, elements: usize, next: usize) {
        if self.first.is_none() {
            self.first = Some((kind, body, elements));
        } else if kind == ReplyKind::Error && self.inner_error.is_none() {
            self.inner_error = Some(body);
        }
        self.missing -= 1;
        self.position = next;
    }
}

fn line(bytes: &[u8], start: usize) -> Result<Line, Malformed> {
    let Some(rest) = bytes.get(start..).filter(|rest| !rest.is_empty()) else { return Ok(Line::Incomplete) };
    let window = &rest[..rest.len().min(LINE_BYTES_MAX)];
    match window.iter().position(|byte| *byte == b'\n') {
        Some(end) if end >= 2 && rest[end - 1] == b'\r' => {
            Ok(Line::Complete { kind: rest[0], body: start + 1..start + end - 1, next: start + end + 1 })
        }
        Some(end) => Err(malformed("a line that does not end in CR LF", &rest[..end])),
        None if window.len() == LINE_BYTES_MAX => Err(malformed("a line without end", window)),
        None => Ok(Line::Incomplete),
    }
}

/// The number of a header; -1 stands for null.
fn number(text: &[u8], max: i64) -> Result<i64, Malformed> {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
    parsed.filter(|number| (-1..=max).contains(number)).ok_or_else(|| malformed("a length of", text))
}

fn malformed(what: &str, bytes: &[u8]) -> Malformed {
    Malformed(format!("{what} {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)])))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scans all at once and byte by byte; both must agree.
    fn check(bytes: &[u8]) -> Result<Reply, Malformed> {
        let whole = Scanner::default().scan(bytes).map(|reply| reply.expect("complete"));
        let mut scanner = Scanner::default();
        for end in 0..bytes.len() {
            match scanner.scan(&bytes[..end]) {
                Ok(None) => {}
                Ok(Some(reply)) => panic!("{reply:?} after {end} bytes"),
                Err(error) => {
                    assert_eq!(whole, Err(error));
                    return whole;
                }
            }
        }
        assert_eq!(scanner.scan(bytes).map(Option::unwrap), whole);
        whole
    }

    #[test]
    fn every_type_is_walked_to_its_end() {
        for (bytes, kind, elements) in [
            (&b"+OK\r\n"[..], ReplyKind::Simple, 0),
            (b"-ERR no\r\n", ReplyKind::Error, 0),
            (b":12\r\n", ReplyKind::Scalar, 0),
            (b"$3\r\na\r\n\r\n", ReplyKind::Bulk, 0),
            (b"$-1\r\n", ReplyKind::Nil, 0),
            (b"*-1\r\n", ReplyKind::Nil, 0),
            (b"_\r\n", ReplyKind::Nil, 0),
            (b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", ReplyKind::Aggregate, 2),
            (b"%1\r\n+a\r\n*0\r\n", ReplyKind::Aggregate, 2),
            (b"!5\r\nERR x\r\n", ReplyKind::Error, 0),
        ] {
            let reply = check(bytes).unwrap();
            assert_eq!((reply.kind, reply.elements, reply.bytes), (kind, elements, bytes.len()));
        }
    }

    #[test]
    fn an_error_inside_is_found() {
        let bytes = b"*2\r\n+OK\r\n-WRONGTYPE x\r\n";
        let reply = check(bytes).unwrap();
        assert_eq!(&bytes[reply.inner_error.unwrap()], b"WRONGTYPE x");
    }

    #[test]
    fn replies_follow_each_other() {
        let bytes = b"+a\r\n$2\r\nbc\r\n";
        let mut scanner = Scanner::default();
        let first = scanner.scan(bytes).unwrap().unwrap();
        let second = scanner.scan(&bytes[first.bytes..]).unwrap().unwrap();
        assert_eq!((first.bytes, &bytes[4..][second.body]), (4, &b"bc"[..]));
    }

    #[test]
    fn what_is_not_resp_is_named() {
        for bytes in [&b"?\r\n"[..], b"$x\r\n", b"$-2\r\n", b"$2\r\nabXX", b"+a\n"] {
            assert!(check(bytes).is_err(), "{bytes:?}");
        }
    }
}
