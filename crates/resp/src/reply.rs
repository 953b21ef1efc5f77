//! Replies: RESP2 or RESP3 into a byte buffer.
//!
//! A command says what it means (a map, a double, nothing) and the writer says it in the client's protocol: RESP2 has
//! no maps, so a map becomes an array of twice the length. Nothing is built in between: a reply is written once, where it
//! leaves from. A command that fails has its half-written reply cut away by whoever ran it, through [`Reply::mark`].

use crate::number;

/// The protocol a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Proto {
    /// RESP2, the protocol until `HELLO 3`.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}

/// A place in the reply buffer to come back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(usize);

/// What kind of aggregate a length counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// An array.
    Array,
    /// A map; counted in pairs.
    Map,
    /// A set.
    Set,
}

/// Most bytes of one reply whose length only the client's number bounds (random draws with repetition).
pub const REPLY_BYTES_MAX: usize = 1 << 30;

/// Writes replies at the end of a buffer.
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    proto: Proto,
    /// Length of the buffer from which on it is full.
    end: usize,
}

impl<'a> Reply<'a> {
    /// A writer in `proto` that appends to `out`.
    pub fn new(out: &'a mut Vec<u8>, proto: Proto) -> Self {
        Self::limited(out, proto, REPLY_BYTES_MAX)
    }

    /// A writer that is full after `bytes_max`, which is at most [`REPLY_BYTES_MAX`]. It goes on writing all the same: who
    /// writes more than there is data asks [`Reply::is_full`] and stops.
    pub fn limited(out: &'a mut Vec<u8>, proto: Proto, bytes_max: usize) -> Self {
        let end = out.len().saturating_add(bytes_max.min(REPLY_BYTES_MAX));
        Self { out, proto, end }
    }

    /// Whether the reply has become too long.
    pub fn is_full(&self) -> bool {
        self.out.len() > self.end
    }

    /// The protocol it writes.
    pub fn proto(&self) -> Proto {
        self.proto
    }

    /// Changes the protocol (`HELLO`).
    pub fn set_proto(&mut self, proto: Proto) {
        self.proto = proto;
    }

    /// Whether the client speaks RESP3.
    pub fn is_resp3(&self) -> bool {
        self.proto == Proto::Resp3
    }

    /// Where the next reply will begin.
    pub fn mark(&self) -> Mark {
        Mark(self.out.len())
    }

    /// Cuts away what was written since `mark`.
    pub fn cut(&mut self, mark: Mark) {
        self.out.truncate(mark.0);
    }

    /// What was written since `mark`.
    pub fn since(&self, mark: Mark) -> &[u8] {
        &self.out[mark.0..]
    }

    /// Bytes in the buffer.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether the buffer is empty.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A simple string; `text` has no line ends.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// An error; `text` begins with its code (`ERR`, `WRONGTYPE`). Line ends in it become spaces.
    pub fn error(&mut self, text: &(impl AsRef<[u8]> + ?Sized)) {
        self.out.push(b'-');
        let bytes = text.as_ref().iter();
        self.out.extend(bytes.map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
        self.out.extend_from_slice(b"\r\n");
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.length(b'$', bytes.len());
        self.out.reserve(bytes.len() + 2);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A bulk string of a text.
    pub fn text(&mut self, text: &str) {
        self.bulk(text.as_bytes());
    }

    /// A bulk string, or a null.
    pub fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// An integer as a bulk string, as fields and members that are integers are sent.
    pub fn bulk_int(&mut self, value: i64) {
        let mut buffer = itoa::Buffer::new();
        self.bulk(buffer.format(value).as_bytes());
    }

    /// An integer.
    #[inline]
    pub fn int(&mut self, value: i64) {
        match value {
            0 => self.out.extend_from_slice(b":0\r\n"),
            1 => self.out.extend_from_slice(b":1\r\n"),
            _ => {
                let mut buffer = itoa::Buffer::new();
                self.line(b':', buffer.format(value).as_bytes());
            }
        }
    }

    /// A count or a length as an integer.
    pub fn count(&mut self, value: usize) {
        self.int(value as i64);
    }

    /// Nothing: `_` in RESP3, a null bulk string in RESP2.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(if self.is_resp3() { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// Nothing where an array would stand: `_` in RESP3, a null array in RESP2.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(if self.is_resp3() { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// A truth value: `#t` or `#f` in RESP3, 1 or 0 in RESP2.
    pub fn bool(&mut self, value: bool) {
        match (self.is_resp3(), value) {
            (true, true) => self.out.extend_from_slice(b"#t\r\n"),
            (true, false) => self.out.extend_from_slice(b"#f\r\n"),
            (false, value) => self.int(i64::from(value)),
        }
    }

    /// A double: `,1.5` in RESP3, a bulk string in RESP2.
    pub fn double(&mut self, value: f64) {
        let mark = self.mark();
        if self.is_resp3() {
            self.out.push(b',');
            number::format_double(value, self.out);
            self.out.extend_from_slice(b"\r\n");
            return;
        }
        number::format_double(value, self.out);
        let len = self.out.len() - mark.0;
        self.length(b'$', len);
        let head = self.out.len() - mark.0 - len;
        self.out[mark.0..].rotate_right(head);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A number of any size: `(` in RESP3, a bulk string in RESP2.
    pub fn big_number(&mut self, digits: &str) {
        if self.is_resp3() { self.line(b'(', digits.as_bytes()) } else { self.bulk(digits.as_bytes()) }
    }

    /// A text with its format (`txt`, `mkd`): `=` in RESP3, a bulk string in RESP2.
    pub fn verbatim(&mut self, format: &str, text: &str) {
        if self.is_resp3() {
            debug_assert_eq!(format.len(), 3);
            self.length(b'=', text.len() + 4);
            self.out.extend_from_slice(format.as_bytes());
            self.out.push(b':');
            self.out.extend_from_slice(text.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.bulk(text.as_bytes());
        }
    }

    /// The head of an array of `count` replies.
    #[inline]
    pub fn array(&mut self, count: usize) {
        self.length(b'*', count);
    }

    /// The head of a map of `pairs` pairs: an array of twice as many replies in RESP2.
    pub fn map(&mut self, pairs: usize) {
        if self.is_resp3() { self.length(b'%', pairs) } else { self.length(b'*', pairs * 2) }
    }

    /// The head of a set of `count` replies: an array in RESP2.
    pub fn set(&mut self, count: usize) {
        self.length(if self.is_resp3() { b'~' } else { b'*' }, count);
    }

    /// The head of a push message of `count` parts: an array in RESP2.
    pub fn push(&mut self, count: usize) {
        self.length(if self.is_resp3() { b'>' } else { b'*' }, count);
    }

    /// The head of an attribute of `pairs` pairs, which precedes a reply. Only RESP3 has it; RESP2 must not call it.
    pub fn attribute(&mut self, pairs: usize) {
        debug_assert!(self.is_resp3());
        self.length(b'|', pairs);
    }

    /// Writes bytes that are RESP already.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Puts the head of an aggregate of `count` in front of what was written since `mark`, for replies whose length is known
    /// only afterwards. Linear in the bytes since `mark`.
    pub fn close(&mut self, mark: Mark, aggregate: Aggregate, count: usize) {
        let end = self.out.len();
        match aggregate {
            Aggregate::Array => self.array(count),
            Aggregate::Map => self.map(count),
            Aggregate::Set => self.set(count),
        }
        let head = self.out.len() - end;
        self.out[mark.0..].rotate_right(head);
    }

    #[inline]
    fn length(&mut self, kind: u8, length: usize) {
        if length < 10 {
            self.out.extend_from_slice(&[kind, b'0' + length as u8, b'\r', b'\n']);
        } else if length < 100 {
            self.out.extend_from_slice(&[
                kind,
                b'0' + (length / 10) as u8,
                b'0' + (length % 10) as u8,
                b'\r',
                b'\n',
            ]);
        } else {
            let mut buffer = itoa::Buffer::new();
            self.line(kind, buffer.format(length).as_bytes());
        }
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.reserve(text.len() + 3);
        self.out.push(kind);
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: impl Fn(&mut Reply<'_>), resp2: &str, resp3: &str) {
        for (proto, expected) in [(Proto::Resp2, resp2), (Proto::Resp3, resp3)] {
            let mut out = Vec::new();
            write(&mut Reply::new(&mut out, proto));
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    #[test]
    fn each_type_has_its_form_in_both_protocols() {
        check(|r| r.null(), "$-1\r\n", "_\r\n");
        check(|r| r.null_array(), "*-1\r\n", "_\r\n");
        check(|r| r.bool(true), ":1\r\n", "#t\r\n");
        check(|r| r.map(2), "*4\r\n", "%2\r\n");
        check(|r| r.set(12), "*12\r\n", "~12\r\n");
        check(|r| r.push(3), "*3\r\n", ">3\r\n");
        check(|r| r.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
        check(|r| r.verbatim("txt", "hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
        check(
            |r| r.bulk(&[b'x'; 120]),
            &format!("$120\r\n{}\r\n", "x".repeat(120)),
            &format!("$120\r\n{}\r\n", "x".repeat(120)),
        );
        check(|r| r.error("ERR a\r\nb"), "-ERR a  b\r\n", "-ERR a  b\r\n");
    }

    #[test]
    fn a_length_known_late_is_put_in_front() {
        check(
            |r| {
                r.ok();
                let mark = r.mark();
                r.int(1);
                r.int(2);
                r.close(mark, Aggregate::Set, 2);
            },
            "+OK\r\n*2\r\n:1\r\n:2\r\n",
            "+OK\r\n~2\r\n:1\r\n:2\r\n",
        );
    }
}
