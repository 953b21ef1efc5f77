//! Requests: bytes to commands, by spans of the read buffer.
//!
//! A [`Parser`] belongs to a connection and remembers where it stopped in a command that is not complete yet, so that
//! a command of a million arguments that arrives in small pieces is read once and not again for each piece. What is
//! complete goes into a [`Batch`]: spans into the buffer, nothing is copied. Nothing is allocated on the word of a
//! length: the buffer grows with the bytes that have come. The work is linear in the bytes, however small the pieces in
//! which they come: what has been read of a command, and how far an unfinished line has been searched, is remembered.
//!
//! Requests are flat (an array of bulk strings, or an inline line), so there is no recursion: a nested array is the
//! error that Redis gives for it.

use std::fmt;

/// A piece of the read buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Span {
    /// The bytes that the span covers in its text (see [`Batch::command`]).
    #[inline]
    pub fn of<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let start = (self.start & !UNQUOTED_BASE) as usize;
        &text[start..start + self.len as usize]
    }
}

/// Longest inline request and longest length line, in bytes (Redis's `PROTO_INLINE_MAX_SIZE`).
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Most arguments of one command.
pub const ARGUMENTS_MAX: i64 = i32::MAX as i64;
/// Most arguments before authentication.
pub const UNAUTHENTICATED_ARGUMENTS_MAX: i64 = 10;
/// Spans for which a parser keeps room when it is between commands.
const PARTIAL_KEPT: usize = 64;
/// Longest argument before authentication, in bytes.
pub const UNAUTHENTICATED_BULK_BYTES_MAX: i64 = 16_384;

/// What a client may send.
#[derive(Clone, Copy, Debug)]
pub struct ParseLimits {
    /// Longest argument in bytes (`proto-max-bulk-len`).
    pub bulk_bytes_max: i64,
    /// Whether the client still has to authenticate: then much less is allowed.
    pub is_unauthenticated: bool,
}

impl Default for ParseLimits {
    fn default() -> Self {
        Self { bulk_bytes_max: 512 * 1024 * 1024, is_unauthenticated: false }
    }
}

/// Broken input; the connection is closed after the text has been sent as `-ERR Protocol error: ...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// An inline request without an end within 64 KiB.
    InlineTooBig,
    /// A `*` line without an end within 64 KiB.
    MultibulkLineTooBig,
    /// A `$` line without an end within 64 KiB.
    BulkLineTooBig,
    /// A count that is no number or too high.
    MultibulkLength,
    /// More arguments than are allowed before authentication.
    UnauthenticatedMultibulkLength,
    /// A length that is no number, negative, or above `proto-max-bulk-len`.
    BulkLength,
    /// A longer argument than is allowed before authentication.
    UnauthenticatedBulkLength,
    /// Something else where `$` must stand.
    ExpectedDollar(u8),
    /// An inline request whose quotes do not close.
    UnbalancedQuotes,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        match self {
            Self::InlineTooBig => f.write_str("too big inline request"),
            Self::MultibulkLineTooBig => f.write_str("too big mbulk count string"),
            Self::BulkLineTooBig => f.write_str("too big bulk count string"),
            Self::MultibulkLength => f.write_str("invalid multibulk length"),
            Self::UnauthenticatedMultibulkLength => f.write_str("unauthenticated multibulk length"),
            Self::BulkLength => f.write_str("invalid bulk length"),
            Self::UnauthenticatedBulkLength => f.write_str("unauthenticated bulk length"),
            Self::ExpectedDollar(byte) => {
                write!(
                    f,
                    "expected '$', got '{}'",
                    if byte.is_ascii_graphic() || *byte == b' ' { *byte as char } else { '?' }
                )
            }
            Self::UnbalancedQuotes => f.write_str("unbalanced quotes in request"),
        }
    }
}

/// One complete command of a [`Batch`].
#[derive(Clone, Copy, Debug)]
pub struct CommandSpans {
    first: u32,
    count: u32,
    /// Where in the buffer the request ends.
    end: u32,
}

/// The complete commands found in a read buffer, in order.
#[derive(Debug, Default)]
pub struct Batch {
    spans: Vec<Span>,
    commands: Vec<CommandSpans>,
    /// Arguments of inline requests that quoting changed; such spans point here.
    unquoted: Vec<u8>,
}

/// The bit that marks a span as one of `Batch::unquoted`.
const UNQUOTED_BASE: u32 = 1 << 31;

impl Batch {
    /// Forgets the commands and keeps the memory.
    pub fn clear(&mut self) {
        self.spans.clear();
        self.commands.clear();
        self.unquoted.clear();
    }

    /// Number of complete commands.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there is no complete command.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The argument spans of command `index`, and the buffer they point into (`buffer` is the read buffer).
    pub fn command<'a>(&'a self, index: usize, buffer: &'a [u8]) -> (&'a [u8], &'a [Span]) {
        let CommandSpans { first, count, .. } = self.commands[index];
        let spans = &self.spans[first as usize..(first + count) as usize];
        match spans.first() {
            Some(span) if span.start >= UNQUOTED_BASE => (&self.unquoted, spans),
            _ => (buffer, spans),
        }
    }

    /// Where in the read buffer command `index` ends. Empty requests behind it belong to none.
    pub fn command_end(&self, index: usize) -> usize {
        self.commands[index].end as usize
    }

    /// Marks the spans from `first` on as lying in `unquoted`.
    fn settle_inline(&mut self, first: usize) {
        for span in &mut self.spans[first..] {
            span.start |= UNQUOTED_BASE;
        }
    }
}

/// Where a connection stands in its input.
#[derive(Debug, Default)]
pub struct Parser {
    /// Arguments still to come of the command under way; 0 at a command's start.
    missing: i64,
    /// Length of the argument whose `$` line has been read.
    bulk_len: Option<u32>,
    /// Spans of the command under way, relative to its start.
    partial: Vec<Span>,
    /// Bytes of the command under way that need not be looked at again.
    consumed: usize,
    /// Bytes behind those in which the line under way does not end.
    searched: usize,
}

enum Step {
    Complete,
    /// An empty request (`*0`, a blank line): nothing to answer.
    Nothing,
    /// The line under way does not end in this many bytes.
    NeedMore {
        searched: usize,
    },
}

impl Parser {
    /// Bytes that the argument under way still needs, if its length is known: the reader may make room for them.
    pub fn bytes_wanted(&self, unparsed: usize) -> usize {
        match self.bulk_len {
            Some(len) => (self.consumed + len as usize + 2).saturating_sub(unparsed),
            None => 0,
        }
    }

    /// Number of arguments of the command under way that have been read (`CLIENT LIST`'s `multi-mem` relies on it).
    pub fn is_mid_command(&self) -> bool {
        self.missing > 0
    }

    /// Reads complete commands from `buffer[from..]` into `batch`, at most `commands_max` of them in the batch.
    ///
    /// Returns the offset from which on the bytes are not consumed, and the error that stopped it; the commands that
    /// came before the error are in the batch and must be answered first. Linear in the bytes that are new.
    #[inline(never)]
    pub fn parse(
        &mut self,
        buffer: &[u8],
        from: usize,
        batch: &mut Batch,
        commands_max: usize,
        limits: &ParseLimits,
    ) -> (usize, Option<ProtocolError>) {
        let mut start = from;
        // Of the line that was under way; the next ones are new.
        let mut searched = std::mem::take(&mut self.searched);
        while batch.len() < commands_max && start + self.consumed < buffer.len() {
            let is_at_start = self.missing == 0 && self.consumed == 0;
            if is_at_start
                && !limits.is_unauthenticated
                && limits.bulk_bytes_max >= SHORT_LENGTH_MAX
                && let Some(next) = read_short(buffer, start, batch)
            {
                start = next;
                searched = 0;
                continue;
            }
            let first_span = batch.spans.len();
            let mut position = start + self.consumed;
            let searched = std::mem::take(&mut searched);
            let step = if self.missing == 0 && buffer[position] != b'*' {
                read_inline(buffer, &mut position, searched, batch)
            } else if self.missing > 0 {
                // What was read of it stays where it is until the command is complete.
                let mut partial = std::mem::take(&mut self.partial);
                let step = self.read_multibulk(buffer, start, &mut position, searched, &mut partial, limits);
                if let Ok(Step::Complete) = step {
                    move_spans(partial.drain(..), &mut batch.spans, |from| from + start as u32);
                }
                if partial.capacity() <= PARTIAL_KEPT || !partial.is_empty() {
                    self.partial = partial;
                }
                step
            } else {
                self.read_multibulk(buffer, 0, &mut position, searched, &mut batch.spans, limits)
            };
            match step {
                Ok(Step::Complete) => {
                    let count = (batch.spans.len() - first_span) as u32;
                    let end = position as u32;
                    batch.commands.push(CommandSpans { first: first_span as u32, count, end });
                    start = position;
                    self.consumed = 0;
                }
                Ok(Step::Nothing) => {
                    batch.spans.truncate(first_span);
                    start = position;
                    self.consumed = 0;
                }
                Ok(Step::NeedMore { searched }) => {
                    self.consumed = position - start;
                    self.searched = searched;
                    let begun = batch.spans.drain(first_span..);
                    move_spans(begun, &mut self.partial, |from| from - start as u32);
                    break;
                }
                Err(error) => {
                    batch.spans.truncate(first_span);
                    return (start, Some(error));
                }
            }
        }
        (start, None)
    }

    /// Reads on in a multibulk command; its spans are relative to `base`. The first `searched` bytes at `position` are known to
    /// hold no end of a line.
    fn read_multibulk(
        &mut self,
        buffer: &[u8],
        base: usize,
        position: &mut usize,
        mut searched: usize,
        spans: &mut Vec<Span>,
        limits: &ParseLimits,
    ) -> Result<Step, ProtocolError> {
        if self.missing == 0 {
            let Some((count, next)) = read_length(buffer, *position + 1, searched) else {
                return too_long(buffer, *position, ProtocolError::MultibulkLineTooBig);
            };
            searched = 0;
            let count = count.filter(|n| *n <= ARGUMENTS_MAX).ok_or(ProtocolError::MultibulkLength)?;
            if limits.is_unauthenticated && count > UNAUTHENTICATED_ARGUMENTS_MAX {
                return Err(ProtocolError::UnauthenticatedMultibulkLength);
            }
            *position = next;
            if count <= 0 {
                return Ok(Step::Nothing);
            }
            self.missing = count;
        }
        while self.missing > 0 {
            let len = match self.bulk_len {
                Some(len) => len,
                None => {
                    match buffer.get(*position) {
                        None => return Ok(Step::NeedMore { searched: 0 }),
                        Some(b'$') => {}
                        Some(other) => {
                            // A `$` line that never ends is told from a wrong byte first, as the byte is known.
                            return Err(ProtocolError::ExpectedDollar(*other));
                        }
                    }
                    let Some((len, next)) = read_length(buffer, *position + 1, searched) else {
                        return too_long(buffer, *position, ProtocolError::BulkLineTooBig);
                    };
                    searched = 0;
                    let len = len
                        .filter(|n| {
                            (0..=limits.bulk_bytes_max.min(i64::from(UNQUOTED_BASE) - 64)).contains(n)
                        })
                        .ok_or(ProtocolError::BulkLength)?;
                    if limits.is_unauthenticated && len > UNAUTHENTICATED_BULK_BYTES_MAX {
                        return Err(ProtocolError::UnauthenticatedBulkLength);
                    }
                    *position = next;
                    self.bulk_len = Some(len as u32);
                    len as u32
                }
            };
            if buffer.len() - *position < len as usize + 2 {
                return Ok(Step::NeedMore { searched: 0 });
            }
            work::note(1);
            spans.push(Span { start: (*position - base) as u32, len });
            *position += len as usize + 2;
            self.bulk_len = None;
            self.missing -= 1;
        }
        Ok(Step::Complete)
    }
}

/// Counts what the parser does, in tests: spans read or moved, bytes searched for the end of a line.
mod work {
    #[cfg(test)]
    thread_local! {
        pub(super) static DONE: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    #[inline(always)]
    pub(super) fn note(_count: usize) {
        #[cfg(test)]
        DONE.set(DONE.get() + _count);
    }
}

/// The greatest length that [`read_short`] knows.
const SHORT_LENGTH_MAX: i64 = 999;

/// The common case in a third of the instructions: a whole multibulk command with lengths of up to three digits. Appends
/// it and returns the offset after it. `None` for anything else, with nothing done: then the long way looks again.
#[inline]
fn read_short(buffer: &[u8], start: usize, batch: &mut Batch) -> Option<usize> {
    if buffer[start] != b'*' {
        return None;
    }
    let (count, mut position) = short_length(buffer, start + 1)?;
    if count == 0 {
        return None;
    }
    let first = batch.spans.len();
    for _ in 0..count {
        let text = match buffer.get(position) {
            Some(b'$') => short_length(buffer, position + 1),
            _ => None,
        };
        match text {
            Some((len, text)) if text + len + 2 <= buffer.len() => {
                batch.spans.push(Span { start: text as u32, len: len as u32 });
                position = text + len + 2;
            }
            _ => {
                batch.spans.truncate(first);
                return None;
            }
        }
    }
    let end = position as u32;
    batch.commands.push(CommandSpans { first: first as u32, count: count as u32, end });
    Some(position)
}

/// A number of one to three digits, without leading zeros, and the offset after its line, which may be the buffer's end.
#[inline]
fn short_length(buffer: &[u8], at: usize) -> Option<(usize, usize)> {
    let [first, second, third, fourth] = *buffer.get(at..)?.first_chunk::<4>()?;
    let digit = |byte: u8| Some(usize::from(byte.wrapping_sub(b'0'))).filter(|digit| *digit <= 9);
    let value = digit(first)?;
    if second == b'\r' {
        return Some((value, at + 3));
    }
    let value = Some(value).filter(|value| *value > 0)? * 10 + digit(second)?;
    if third == b'\r' {
        return Some((value, at + 4));
    }
    let value = value * 10 + digit(third)?;
    (fourth == b'\r').then_some((value, at + 5))
}

/// Moves spans to the end of `to`.
fn move_spans(from: std::vec::Drain<'_, Span>, to: &mut Vec<Span>, start: impl Fn(u32) -> u32) {
    work::note(from.len());
    to.extend(from.map(|span| Span { start: start(span.start), len: span.len }));
}

/// `NeedMore`, unless the line has no end within the limit. Its last byte may be half of an end.
fn too_long(buffer: &[u8], line_start: usize, error: ProtocolError) -> Result<Step, ProtocolError> {
    let bytes = buffer.len() - line_start;
    if bytes > INLINE_BYTES_MAX { Err(error) } else { Ok(Step::NeedMore { searched: bytes - 1 }) }
}

/// Reads `digits CR LF` at `start`: the number (`None` if it is none) and the offset after the line; nothing if the line
/// is not complete. The line's end is not in the first `searched` bytes from the one before `start` on.
#[inline]
fn read_length(buffer: &[u8], start: usize, searched: usize) -> Option<(Option<i64>, usize)> {
    let line = &buffer[start..];
    // The common case: one to three digits.
    let mut value = 0i64;
    for (index, byte) in line.iter().take(4).enumerate() {
        match byte {
            b'0'..=b'9' => value = value * 10 + i64::from(byte - b'0'),
            b'\r' if index > 0 && (index == 1 || line[0] != b'0') => {
                return (line.len() > index + 1).then_some((Some(value), start + index + 2));
            }
            _ => break,
        }
    }
    let searched = searched.saturating_sub(1);
    let end = searched + find(&line[searched..line.len().min(INLINE_BYTES_MAX)], b'\r')?;
    if line.len() < end + 2 {
        return None;
    }
    Some((crate::number::parse_i64(&line[..end]), start + end + 2))
}

/// Where the byte is.
fn find(line: &[u8], byte: u8) -> Option<usize> {
    let found = line.iter().position(|other| *other == byte);
    work::note(found.unwrap_or(line.len()));
    found
}

fn read_inline(
    buffer: &[u8],
    position: &mut usize,
    searched: usize,
    batch: &mut Batch,
) -> Result<Step, ProtocolError> {
    let rest = &buffer[*position..];
    let Some(end) = find(&rest[searched..rest.len().min(INLINE_BYTES_MAX + 1)], b'\n') else {
        return if rest.len() > INLINE_BYTES_MAX {
            Err(ProtocolError::InlineTooBig)
        } else {
            Ok(Step::NeedMore { searched: rest.len() })
        };
    };
    let end = searched + end;
    let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
    *position += end + 1;
    let first = batch.spans.len();
    if !split_quoted(line, &mut batch.unquoted, |start, len| batch.spans.push(Span { start, len })) {
        return Err(ProtocolError::UnbalancedQuotes);
    }
    if batch.spans.len() == first {
        return Ok(Step::Nothing);
    }
    batch.settle_inline(first);
    Ok(Step::Complete)
}

/// Splits a line into arguments as Redis does: white space, `"..."` with escapes, `'...'` with `\'`.
///
/// The arguments are appended to `text`, each reported by its offset and length there. False if a quote does not close or
/// something else than white space follows one.
pub fn split_quoted(line: &[u8], text: &mut Vec<u8>, mut argument: impl FnMut(u32, u32)) -> bool {
    let mut bytes = line.iter().copied().peekable();
    loop {
        while bytes.peek().is_some_and(|b| is_space(*b)) {
            bytes.next();
        }
        if bytes.peek().is_none() {
            return true;
        }
        let start = text.len();
        loop {
            match bytes.next() {
                None => break,
                Some(b) if is_space(b) || b == 0 => break,
                Some(quote @ (b'"' | b'\'')) => {
                    if !read_quote(&mut bytes, quote, text) || bytes.peek().is_some_and(|b| !is_space(*b)) {
                        return false;
                    }
                    break;
                }
                Some(b) => text.push(b),
            }
        }
        argument(start as u32, (text.len() - start) as u32);
    }
}

/// Reads up to the closing quote; false if there is none.
fn read_quote(
    bytes: &mut std::iter::Peekable<impl Iterator<Item = u8> + Clone>,
    quote: u8,
    text: &mut Vec<u8>,
) -> bool {
    while let Some(byte) = bytes.next() {
        match byte {
            b if b == quote => return true,
            b'\\' if quote == b'\'' => {
                if bytes.peek() == Some(&b'\'') {
                    bytes.next();
                    text.push(b'\'');
                } else {
                    text.push(b'\\');
                }
            }
            b'\\' => {
                let mut ahead = bytes.clone();
                let hex = (ahead.next() == Some(b'x'))
                    .then(|| Some((hex_digit(ahead.next()?)?, hex_digit(ahead.next()?)?)))
                    .flatten();
                if let Some((high, low)) = hex {
                    bytes.nth(2);
                    text.push(high << 4 | low);
                    continue;
                }
                match bytes.next() {
                    None => return false,
                    Some(b'n') => text.push(b'\n'),
                    Some(b'r') => text.push(b'\r'),
                    Some(b't') => text.push(b'\t'),
                    Some(b'b') => text.push(8),
                    Some(b'a') => text.push(7),
                    Some(other) => text.push(other),
                }
            }
            other => text.push(other),
        }
    }
    false
}

fn hex_digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses `input` in pieces of `piece` bytes; the commands, and the error.
    fn parse_in_pieces(
        input: &[u8],
        piece: usize,
        limits: &ParseLimits,
    ) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
        let mut parser = Parser::default();
        let mut buffer: Vec<u8> = Vec::new();
        let mut commands = Vec::new();
        for chunk in input.chunks(piece) {
            buffer.extend_from_slice(chunk);
            let mut batch = Batch::default();
            let (consumed, error) = parser.parse(&buffer, 0, &mut batch, usize::MAX, limits);
            for index in 0..batch.len() {
                let (text, spans) = batch.command(index, &buffer);
                commands.push(spans.iter().map(|span| span.of(text).to_vec()).collect());
            }
            buffer.drain(..consumed);
            if error.is_some() {
                return (commands, error);
            }
        }
        (commands, None)
    }

    fn check(input: &[u8], expected: &[&[&str]], error: Option<ProtocolError>) {
        for piece in [1, 2, 3, 7, input.len().max(1)] {
            let (commands, found) = parse_in_pieces(input, piece, &ParseLimits::default());
            let commands: Vec<Vec<String>> = commands
                .iter()
                .map(|c| c.iter().map(|a| String::from_utf8_lossy(a).into_owned()).collect())
                .collect();
            assert_eq!(commands, expected, "in pieces of {piece}");
            assert_eq!(found, error, "in pieces of {piece}");
        }
    }

    #[test]
    fn short_lengths_and_long_ones_agree() {
        for len in [0, 1, 9, 10, 99, 100, 999, 1000] {
            let text = "x".repeat(len);
            check(format!("*2\r\n$1\r\na\r\n${len}\r\n{text}\r\n").as_bytes(), &[&["a", &text]], None);
        }
        for wrong in ["00", "01", "1x", "12y", "123z", "-1", ""] {
            let input = format!("*2\r\n$1\r\na\r\n${wrong}\r\nx\r\n");
            check(input.as_bytes(), &[], Some(ProtocolError::BulkLength));
        }
    }

    #[test]
    fn commands_come_out_whole_however_they_are_cut() {
        check(b"*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n", &[&["PING"], &["GET", ""]], None);
        check(b"*0\r\n*-2\r\n\r\nPING\r\n", &[&["PING"]], None);
        check(
            b"set a \"b \\x41\\n\" 'it\\'s'\nGET a\r\n",
            &[&["set", "a", "b A\n", "it's"], &["GET", "a"]],
            None,
        );
        check(
            b"*2\r\n$3\r\nGET\r\n$10\r\n0123456789\r\nPING\r\n",
            &[&["GET", "0123456789"], &["PING"]],
            None,
        );
    }

    #[test]
    fn broken_input_has_the_error_of_redis() {
        check(b"*a\r\n", &[], Some(ProtocolError::MultibulkLength));
        check(b"*2147483648\r\n", &[], Some(ProtocolError::MultibulkLength));
        check(b"*1\r\n$-2\r\n", &[], Some(ProtocolError::BulkLength));
        check(b"*1\r\n$999999999999\r\n", &[], Some(ProtocolError::BulkLength));
        check(b"*1\r\n*1\r\n", &[], Some(ProtocolError::ExpectedDollar(b'*')));
        check(b"PING\r\nset a \"b\r\n", &[&["PING"]], Some(ProtocolError::UnbalancedQuotes));
        check(b"\"a\"b\r\n", &[], Some(ProtocolError::UnbalancedQuotes));
        let long = vec![b'a'; INLINE_BYTES_MAX + 2];
        assert_eq!(
            parse_in_pieces(&long, long.len(), &ParseLimits::default()).1,
            Some(ProtocolError::InlineTooBig)
        );
    }

    /// However small the pieces, and whatever was announced, the work is in proportion to the bytes.
    #[test]
    fn each_byte_costs_the_same() {
        let many = format!("*20000\r\n{}", "$1\r\na\r\n".repeat(20_000));
        let two = format!("PING\r\n{many}{many}");
        let unfinished = format!("*5000000\r\n{}", "$3\r\nabc\r\n".repeat(20_000));
        let long_line = format!("*1\r\n${}", "1".repeat(INLINE_BYTES_MAX - 10));
        let long_count = format!("*{}", "1".repeat(INLINE_BYTES_MAX - 10));
        let inline = "a".repeat(INLINE_BYTES_MAX - 10);
        for input in [&many, &two, &unfinished, &long_line, &long_count, &inline] {
            for piece in [1, 2, 5, 100] {
                let mut parser = Parser::default();
                let mut batch = Batch::default();
                let (mut start, mut end) = (0, 0);
                work::DONE.set(0);
                while end < input.len() {
                    end = (end + piece).min(input.len());
                    let (next, error) = parser.parse(
                        &input.as_bytes()[..end],
                        start,
                        &mut batch,
                        usize::MAX,
                        &ParseLimits::default(),
                    );
                    assert_eq!(error, None);
                    start = next;
                }
                let (work, bytes) = (work::DONE.get(), input.len());
                assert!(work <= 4 * bytes, "{work} steps for {bytes} bytes in pieces of {piece}");
            }
        }
    }

    #[test]
    fn little_is_allowed_before_authentication() {
        let limits = ParseLimits { is_unauthenticated: true, ..ParseLimits::default() };
        assert_eq!(
            parse_in_pieces(b"*11\r\n", 5, &limits).1,
            Some(ProtocolError::UnauthenticatedMultibulkLength)
        );
        assert_eq!(
            parse_in_pieces(b"*1\r\n$16385\r\n", 5, &limits).1,
            Some(ProtocolError::UnauthenticatedBulkLength)
        );
    }
}
