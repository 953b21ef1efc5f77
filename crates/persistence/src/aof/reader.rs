//! Reads an AOF: commands as clients send them, one behind the other, with remarks between them.
//!
//! ```text
//! file     [an RDB file, before 7.0 at the start of the only file] | records
//! record   *arguments CRLF, and for each: $bytes CRLF the bytes CRLF
//!          #TS:unix seconds CRLF      when what follows was written (aof-timestamp-enabled)
//!          #anything else LF          nothing to us
//! ```
//!
//! How a file ends decides what becomes of it, so the ends are told apart exactly: between two records; inside a record,
//! or inside a transaction whose EXEC never came, which a crash leaves and which may be cut; or at bytes that no crash
//! explains, which is for people to decide. A length that was cut has no line end, so it is never mistaken for another.
//!
//! A [`Reader`] owns one buffer, and a command is spans of it: nothing is copied, and nothing is allocated because a
//! length promises something. The parser of the connections was not reused: it takes inline requests and empty ones,
//! does not look at the line end behind an argument, and knows no offsets.

use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read};

use rustredis_resp::Span;
use rustredis_resp::number::{parse_i64, parse_u64};
use rustredis_resp::parse::ARGUMENTS_MAX;

use crate::rdb::{self, Checksum, FileReader, RdbError};

/// The buffer's size at first; it is doubled for a command that does not fit.
const BUFFER_BYTES: usize = 128 << 10;
/// A longer command cannot be told in [`Span`]s. Redis has no limit here, and its clients' buffers end at 1 GB.
pub const COMMAND_BYTES_MAX: usize = (1 << 31) - 64;
/// The longest line that begins with `#`. (Redis: 127 bytes.)
pub const REMARK_BYTES_MAX: usize = 1 << 10;
/// The longest line of a count or length: sign, digits, and the line's end.
const LENGTH_LINE_BYTES_MAX: usize = 24;

const EXPECTED_RECORD: &str = "'*' and a number of arguments, or '#'";
const EXPECTED_ARGUMENT: &str = "'$' and the length of an argument";
const EXPECTED_LINE_END: &str = "CR LF behind an argument";
const EXPECTED_REMARK_END: &str = "the end of a line that begins with '#'";
const EXPECTED_NO_MULTI: &str = "EXEC before the next MULTI";
const EXPECTED_MULTI: &str = "MULTI before EXEC";

/// Where a file ends that does not end between two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// Inside a record.
    Record,
    /// Behind a record, but a MULTI has no EXEC yet.
    Transaction,
}

/// Why reading ended before the end.
#[derive(Debug)]
pub enum AofError {
    /// The source failed.
    Io {
        /// Where in the file.
        offset: u64,
        /// How.
        error: io::Error,
    },
    /// The file ends too early, as a crash leaves it.
    Torn {
        /// The length of what is whole: up to the last complete record that is no part of an unfinished transaction.
        valid_bytes: u64,
        /// The length of the file.
        file_bytes: u64,
        /// Inside of what it ends.
        within: Within,
    },
    /// Bytes that no crash explains.
    Damaged {
        /// Where in the file.
        offset: u64,
        /// What was expected there.
        expected: &'static str,
    },
    /// A command of more than [`COMMAND_BYTES_MAX`].
    TooLong {
        /// Where it begins.
        offset: u64,
    },
    /// The RDB file at the start is damaged.
    Rdb(RdbError),
}

impl fmt::Display for AofError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { offset, error } => write!(formatter, "at byte {offset}: {error}"),
            Self::Torn { valid_bytes, file_bytes, within } => {
                let within = match within {
                    Within::Record => "a command",
                    Within::Transaction => "a transaction",
                };
                let cut = file_bytes - valid_bytes;
                write!(
                    formatter,
                    "the file ends at byte {file_bytes} inside {within}: {cut} bytes from byte {valid_bytes} on are incomplete"
                )
            }
            Self::Damaged { offset, expected } => write!(formatter, "at byte {offset}: expected {expected}"),
            Self::TooLong { offset } => {
                write!(formatter, "at byte {offset}: a command of more than {COMMAND_BYTES_MAX} bytes")
            }
            Self::Rdb(error) => write!(formatter, "in the RDB part: {error}"),
        }
    }
}

impl std::error::Error for AofError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Rdb(error) => Some(error),
            _ => None,
        }
    }
}

/// What a file begins with.
pub enum Start<R> {
    /// An RDB file. Behind its last part, [`Reader::behind`] goes on.
    Rdb(FileReader<R>),
    /// Commands, or nothing.
    Commands(Reader<R>),
}

impl<R: BufRead> Start<R> {
    /// Looks at the first bytes, of which the source must have five in its buffer if there are so many.
    ///
    /// # Errors
    /// `Io`, and what [`FileReader::begin`] says, as `Rdb`.
    pub fn of(mut source: R, checksum: Checksum) -> Result<Self, AofError> {
        let first = source.fill_buf().map_err(|error| AofError::Io { offset: 0, error })?;
        if !first.starts_with(rdb::MAGIC) {
            return Ok(Self::Commands(Reader::new(source, 0)));
        }
        // No limit but the file's own length: memory is taken as bytes arrive.
        FileReader::begin(source, i64::MAX as u64, checksum).map(Self::Rdb).map_err(AofError::Rdb)
    }
}

/// A command and where it stands. It borrows from the reader.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// What the spans point into.
    pub text: &'a [u8],
    /// The arguments, of which there is at least the name.
    pub spans: &'a [Span],
    /// Where in the file it begins.
    pub offset: u64,
}

impl<'a> Command<'a> {
    /// The arguments, the name first.
    pub fn arguments(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let text = self.text;
        self.spans.iter().map(move |span| span.of(text))
    }
}

/// A record.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// A command; MULTI and EXEC are some like all others.
    Command(Command<'a>),
    /// When what follows was written.
    Timestamp {
        /// Unix time.
        seconds: i64,
        /// Where in the file it stands.
        offset: u64,
    },
}

/// Reads the records of a file.
pub struct Reader<R> {
    source: R,
    /// Zeroed where nothing has been read to.
    buffer: Vec<u8>,
    /// The bytes of the buffer that the source has filled.
    filled: usize,
    /// Where in the file the buffer begins.
    buffer_offset: u64,
    /// Where in the buffer the record under way begins.
    start: usize,
    /// Where in the buffer the rest of it begins, which has not been looked at.
    position: usize,
    /// Its arguments that have not been read.
    missing: u64,
    /// The length of the next of them, if that has been read.
    argument_bytes: Option<usize>,
    /// Those that have been read, counted from `start`.
    spans: Vec<Span>,
    /// Where in the file the MULTI is whose EXEC is to come.
    multi: Option<u64>,
}

enum Step {
    /// A command is complete up to `position`.
    Command,
    /// So is a line that begins with `#`, which may be a timestamp.
    Remark(Option<i64>),
    NeedMore,
}

/// What a line of a count or length is.
enum LengthLine {
    /// The number, and where the next line begins.
    Whole(u64, usize),
    NeedMore,
    Bad,
}

impl<R: Read> Reader<R> {
    /// Reads a source that stands at `offset` of its file, between two records.
    pub fn new(source: R, offset: u64) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            filled: 0,
            buffer_offset: offset,
            start: 0,
            position: 0,
            missing: 0,
            argument_bytes: None,
            spans: Vec::new(),
            multi: None,
        }
    }

    /// Where the last record ends that [`Reader::next`] has given, or the next one begins.
    pub fn offset(&self) -> u64 {
        self.buffer_offset + self.start as u64
    }

    /// The length of what is whole so far: as [`Reader::offset`], but not inside a transaction.
    pub fn valid_bytes(&self) -> u64 {
        self.multi.unwrap_or(self.offset())
    }

    /// The next record; `None` at the end, if that is between two records and no transaction is open.
    ///
    /// After an error it is the same again. O(bytes).
    ///
    /// # Errors
    /// All but `Rdb`.
    #[expect(clippy::should_implement_trait, reason = "a record borrows from the reader")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, AofError> {
        loop {
            match self.step()? {
                Step::NeedMore => {
                    if self.fill()? == 0 {
                        return self.end();
                    }
                }
                Step::Remark(timestamp) => {
                    let offset = self.offset();
                    self.start = self.position;
                    if let Some(seconds) = timestamp {
                        return Ok(Some(Record::Timestamp { seconds, offset }));
                    }
                }
                Step::Command => {
                    self.note_transaction()?;
                    let (start, offset) = (self.start, self.offset());
                    self.start = self.position;
                    let text = &self.buffer[start..self.position];
                    return Ok(Some(Record::Command(Command { text, spans: &self.spans, offset })));
                }
            }
        }
    }

    fn end(&self) -> Result<Option<Record<'_>>, AofError> {
        let within = match self.multi {
            _ if self.start < self.filled => Within::Record,
            Some(_) => Within::Transaction,
            None => return Ok(None),
        };
        let file_bytes = self.buffer_offset + self.filled as u64;
        Err(AofError::Torn { valid_bytes: self.valid_bytes(), file_bytes, within })
    }

    /// Keeps account of MULTI and EXEC, when a command is complete.
    fn note_transaction(&mut self) -> Result<(), AofError> {
        // Both names are short: most commands need no comparison.
        let Some(name) = self.spans.first().filter(|name| matches!(name.len, 4 | 5)) else { return Ok(()) };
        let name = name.of(&self.buffer[self.start..self.position]);
        let offset = self.offset();
        if name.eq_ignore_ascii_case(b"multi") {
            if self.multi.is_some() {
                return Err(self.unread(EXPECTED_NO_MULTI));
            }
            self.multi = Some(offset);
        } else if name.eq_ignore_ascii_case(b"exec") && self.multi.take().is_none() {
            return Err(self.unread(EXPECTED_MULTI));
        }
        Ok(())
    }

    /// Takes a complete command back, so that it is the next again.
    fn unread(&mut self, expected: &'static str) -> AofError {
        self.position = self.start;
        AofError::Damaged { offset: self.offset(), expected }
    }

    fn damaged(&self, at: usize, expected: &'static str) -> AofError {
        AofError::Damaged { offset: self.buffer_offset + at as u64, expected }
    }

    /// Goes on with the record under way as far as the buffer goes.
    fn step(&mut self) -> Result<Step, AofError> {
        if self.missing == 0 {
            self.position = self.start;
            self.spans.clear();
            match self.buffer[..self.filled].get(self.start) {
                None => return Ok(Step::NeedMore),
                Some(b'*') => {}
                Some(b'#') => return self.remark(),
                Some(_) => return Err(self.damaged(self.start, EXPECTED_RECORD)),
            }
            match self.length_line(self.start + 1) {
                LengthLine::Whole(count, next) if (1..=ARGUMENTS_MAX as u64).contains(&count) => {
                    self.missing = count;
                    self.position = next;
                }
                LengthLine::NeedMore => return Ok(Step::NeedMore),
                _ => return Err(self.damaged(self.start, EXPECTED_RECORD)),
            }
        }
        while self.missing > 0 {
            if !self.argument()? {
                return Ok(Step::NeedMore);
            }
        }
        Ok(Step::Command)
    }

    /// Reads an argument; false if it is not all there.
    #[inline]
    fn argument(&mut self) -> Result<bool, AofError> {
        let length = match self.argument_bytes {
            Some(length) => length,
            None => {
                match self.buffer[..self.filled].get(self.position) {
                    None => return Ok(false),
                    Some(b'$') => {}
                    Some(_) => return Err(self.damaged(self.position, EXPECTED_ARGUMENT)),
                }
                let (length, next) = match self.length_line(self.position + 1) {
                    LengthLine::Whole(length, next) => (length, next),
                    LengthLine::NeedMore => return Ok(false),
                    LengthLine::Bad => return Err(self.damaged(self.position, EXPECTED_ARGUMENT)),
                };
                // What the command has so far is within the limit.
                if length > (COMMAND_BYTES_MAX - (next - self.start).min(COMMAND_BYTES_MAX)) as u64 {
                    return Err(AofError::TooLong { offset: self.offset() });
                }
                self.position = next;
                self.argument_bytes = Some(length as usize);
                length as usize
            }
        };
        let end = self.position + length;
        let line_end = self.buffer.get(end..(end + 2).min(self.filled)).unwrap_or(&[]);
        if !b"\r\n".starts_with(line_end) {
            return Err(self.damaged(end, EXPECTED_LINE_END));
        }
        if line_end.len() < 2 {
            return Ok(false);
        }
        self.spans.push(Span { start: (self.position - self.start) as u32, len: length as u32 });
        self.position = end + 2;
        self.argument_bytes = None;
        self.missing -= 1;
        Ok(true)
    }

    /// Reads `digits CR LF` at `start` of the buffer.
    #[inline]
    fn length_line(&self, start: usize) -> LengthLine {
        let rest = &self.buffer[start.min(self.filled)..self.filled];
        let mut value = 0u64;
        for (index, &byte) in rest.iter().take(LENGTH_LINE_BYTES_MAX).enumerate() {
            match byte {
                // More than 18 digits may not fit, and are read by the careful way below.
                b'0'..=b'9' => value = value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')),
                b'\r' => {
                    return match rest.get(index + 1) {
                        None => LengthLine::NeedMore,
                        Some(b'\n') if index < 19 && index > 0 && (rest[0] != b'0' || index == 1) => {
                            LengthLine::Whole(value, start + index + 2)
                        }
                        Some(b'\n') => match parse_u64(&rest[..index]) {
                            Some(value) => LengthLine::Whole(value, start + index + 2),
                            None => LengthLine::Bad,
                        },
                        Some(_) => LengthLine::Bad,
                    };
                }
                _ => return LengthLine::Bad,
            }
        }
        if rest.len() < LENGTH_LINE_BYTES_MAX { LengthLine::NeedMore } else { LengthLine::Bad }
    }

    /// Reads a line that begins with `#`.
    fn remark(&mut self) -> Result<Step, AofError> {
        let rest = &self.buffer[self.start..self.filled];
        let Some(end) = rest.iter().take(REMARK_BYTES_MAX).position(|byte| *byte == b'\n') else {
            return if rest.len() < REMARK_BYTES_MAX {
                Ok(Step::NeedMore)
            } else {
                Err(self.damaged(self.start, EXPECTED_REMARK_END))
            };
        };
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        let timestamp = line.strip_prefix(b"#TS:").and_then(parse_i64);
        self.position = self.start + end + 1;
        Ok(Step::Remark(timestamp))
    }

    /// Takes more from the source: how many bytes, 0 at the end.
    fn fill(&mut self) -> Result<usize, AofError> {
        if self.filled == self.buffer.len() && self.start > 0 {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.buffer_offset += self.start as u64;
            self.position -= self.start;
            self.filled -= self.start;
            self.start = 0;
        }
        if self.filled == self.buffer.len() {
            self.buffer.resize((self.buffer.len() * 2).max(BUFFER_BYTES), 0);
        }
        loop {
            match self.source.read(&mut self.buffer[self.filled..]) {
                Ok(count) => {
                    self.filled += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(AofError::Io { offset: self.buffer_offset + self.filled as u64, error });
                }
            }
        }
    }
}

impl<R: BufRead> Reader<R> {
    /// Goes on behind an RDB file whose last part has been read.
    pub fn behind(preamble: FileReader<R>) -> Self {
        let offset = preamble.offset();
        Self::new(preamble.into_source(), offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustredis_resp::request::write_request;

    /// Gives a few bytes at a time, as a pipe may.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(bytes.len());
            self.0.read(&mut bytes[..count])
        }
    }

    /// All records as text, and how it ended.
    fn read(file: &[u8], piece: usize) -> (Vec<String>, Option<AofError>) {
        let mut reader = Reader::new(Trickle(file, piece), 0);
        let mut records = Vec::new();
        loop {
            match reader.next() {
                Ok(None) => return (records, None),
                Ok(Some(Record::Timestamp { seconds, offset })) => {
                    records.push(format!("{offset}: {seconds}"))
                }
                Ok(Some(Record::Command(command))) => {
                    let words: Vec<_> = command.arguments().map(<[u8]>::escape_ascii).collect();
                    let words: Vec<_> = words.iter().map(ToString::to_string).collect();
                    records.push(format!("{}: {}", command.offset, words.join(" ")));
                }
                Err(error) => {
                    assert_eq!(
                        reader.next().unwrap_err().to_string(),
                        error.to_string(),
                        "it stays the same"
                    );
                    return (records, Some(error));
                }
            }
        }
    }

    #[track_caller]
    fn check(file: &[u8], expected: &[&str], error: Option<&str>) {
        for piece in [1, 2, 7, usize::MAX] {
            let (records, found) = read(file, piece);
            assert_eq!(records, expected);
            assert_eq!(found.map(|error| error.to_string()).as_deref(), error, "{}", file.escape_ascii());
        }
    }

    #[track_caller]
    fn check_damaged(file: &[u8], offset: u64, expected: &str) {
        let whole = b"*1\r\n$4\r\nPING\r\n";
        check(
            &[whole, file].concat(),
            &["0: PING"],
            Some(&format!("at byte {}: expected {expected}", offset + whole.len() as u64)),
        );
    }

    fn commands(lines: &[&str]) -> Vec<u8> {
        let mut file = Vec::new();
        for line in lines {
            write_request(&mut file, &line.split(' ').map(str::as_bytes).collect::<Vec<_>>());
        }
        file
    }

    #[test]
    fn records_are_read_with_their_offsets() {
        check(b"", &[], None);
        check(
            b"#TS:1628217470\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n# a remark\n#TS:x\r\n*1\r\n$0\r\n\r\n",
            &["0: 1628217470", "16: SELECT 0", "57: "],
            None,
        );
        check(b"*2\r\n$4\r\n\r\n*1\r\n$2\r\n$1\r\n", &["0: \\r\\n*1 $1"], None);
        check(&commands(&["MULTI", "SET a 1", "exec"]), &["0: MULTI", "15: SET a 1", "42: exec"], None);
    }

    #[test]
    fn a_torn_tail_is_told_with_what_is_whole() {
        let whole = commands(&["SET a 1", "SELECT 1"]);
        let first_bytes = 27;
        for end in 0..whole.len() {
            let (records, error) = read(&whole[..end], usize::MAX);
            let is_between = matches!(end, 0 | 27);
            assert_eq!(records.len(), usize::from(end >= first_bytes));
            match error {
                None => assert!(is_between, "{end}"),
                Some(AofError::Torn { valid_bytes, file_bytes, within: Within::Record }) => {
                    assert!(!is_between, "{end}");
                    assert_eq!((valid_bytes, file_bytes), (if end < 27 { 0 } else { 27 }, end as u64));
                }
                Some(error) => panic!("{end}: {error}"),
            }
        }
        let (_, error) = read(b"*1\r\n$4\r\nPING\r\n#TS:16", 3);
        let expected = "the file ends at byte 20 inside a command: 6 bytes from byte 14 on are incomplete";
        assert_eq!(error.unwrap().to_string(), expected);
    }

    #[test]
    fn an_unfinished_transaction_is_cut_whole() {
        let file = commands(&["SET a 1", "MULTI", "SET b 2", "EXEC"]);
        for end in 28..file.len() {
            let (_, error) = read(&file[..end], usize::MAX);
            let Some(AofError::Torn { valid_bytes, within, .. }) = error else { panic!("{error:?}") };
            assert_eq!(valid_bytes, 27);
            assert_eq!(within == Within::Transaction, matches!(end, 42 | 69), "{end}");
        }
    }

    #[test]
    fn damage_is_told_with_its_offset() {
        check_damaged(b"SET a 1\r\n", 0, EXPECTED_RECORD);
        check_damaged(b"\0", 0, EXPECTED_RECORD);
        check_damaged(b"*0\r\n", 0, EXPECTED_RECORD);
        check_damaged(b"*-1\r\n", 0, EXPECTED_RECORD);
        check_damaged(b"*\r\n", 0, EXPECTED_RECORD);
        check_damaged(b"*1\n$4\nPING\n", 0, EXPECTED_RECORD);
        check_damaged(b"*1\rx", 0, EXPECTED_RECORD);
        check_damaged(b"*2147483648\r\n", 0, EXPECTED_RECORD);
        check_damaged(b"*99999999999999999999999999", 0, EXPECTED_RECORD);
        check_damaged(b"*1\r\n*1\r\n", 4, EXPECTED_ARGUMENT);
        check_damaged(b"*1\r\n$-1\r\n", 4, EXPECTED_ARGUMENT);
        check_damaged(b"*1\r\n$04\r\nPING\r\n", 4, EXPECTED_ARGUMENT);
        check_damaged(b"*1\r\n$18446744073709551616\r\n", 4, EXPECTED_ARGUMENT);
        check_damaged(b"*1\r\n$3\r\nPING\r\n", 11, EXPECTED_LINE_END);
        check_damaged(b"*1\r\n$5\r\nPING\r\n", 13, EXPECTED_LINE_END);
        check_damaged(b"*1\r\n$4\r\nPING\rx", 12, EXPECTED_LINE_END);
        check_damaged(&[b"#".as_slice(), &[b'x'; REMARK_BYTES_MAX]].concat(), 0, EXPECTED_REMARK_END);
        check(
            &commands(&["MULTI", "MULTI"]),
            &["0: MULTI"],
            Some("at byte 15: expected EXEC before the next MULTI"),
        );
        check(&commands(&["EXEC"]), &[], Some("at byte 0: expected MULTI before EXEC"));
        let (_, error) = read(b"*1\r\n$2147483648\r\n", 5);
        assert!(matches!(error, Some(AofError::TooLong { offset: 0 })));
    }

    #[test]
    fn long_commands_grow_the_buffer_and_promises_do_not() {
        let value = vec![b'v'; 30 * BUFFER_BYTES];
        let words: Vec<&[u8]> = std::iter::repeat_n(b"word".as_slice(), 300_000).collect();
        let mut file = commands(&["SET a 1"]);
        write_request(&mut file, &[b"SET", b"b", &value]);
        write_request(&mut file, &words);
        let end = file.len() as u64;
        file.extend_from_slice(b"*2147483647\r\n$2000000000\r\nx");
        let mut reader = Reader::new(file.as_slice(), 1000);
        let mut lengths = Vec::new();
        let error = loop {
            match reader.next() {
                Ok(Some(Record::Command(command))) => {
                    lengths.push((command.arguments().len(), command.arguments().last().unwrap().len()));
                }
                Ok(_) => panic!("a record is missing"),
                Err(error) => break error,
            }
        };
        assert_eq!(lengths, [(3, 1), (3, value.len()), (300_000, 4)]);
        assert!(matches!(error, AofError::Torn { valid_bytes, .. } if valid_bytes == 1000 + end), "{error}");
        assert!(reader.buffer.len() <= 64 * BUFFER_BYTES && reader.spans.capacity() < 1 << 20);
    }

    #[test]
    fn an_rdb_file_may_come_first() {
        let mut writer = rdb::FileWriter::begin(Vec::new(), 10, rdb::Compression::Off).unwrap();
        writer.aux("aof-base", "1").unwrap();
        let mut file = writer.finish(Checksum::On).unwrap();
        let preamble_bytes = file.len() as u64;
        file.extend(commands(&["SET a 1"]));
        let Ok(Start::Rdb(mut preamble)) = Start::of(file.as_slice(), Checksum::On) else { panic!() };
        while let Some(part) = preamble.next() {
            part.unwrap();
        }
        let mut reader = Reader::behind(preamble);
        let Ok(Some(Record::Command(command))) = reader.next() else { panic!() };
        assert_eq!((command.offset, command.arguments().len()), (preamble_bytes, 3));
        assert!(reader.next().unwrap().is_none());
        assert_eq!(reader.offset(), file.len() as u64);
        let Ok(Start::Commands(_)) = Start::of(&file[preamble_bytes as usize..], Checksum::On) else {
            panic!()
        };
        assert!(matches!(Start::of(b"REDIS00xx".as_slice(), Checksum::On), Err(AofError::Rdb(_))));
    }
}
