//! Reads RDB's elements, sums them up, and believes nothing.
//!
//! It reads from the source's own buffer: what was read is summed up and given back to the source only when the buffer
//! is used up, so that a small element costs neither a call nor a sum of its own, and a string that lies in the buffer
//! as a whole is lent from there ([`Reader::with_string`]).

use std::io::{BufRead, ErrorKind};

use rustredis_keyspace::crc64;
use rustredis_resp::number::parse_f64;

use super::{
    Checksum, MAGIC, RdbError, VERSION_MAX, VERSION_WITH_CHECKSUM, length_form, lzf, score_form, string_form,
};

/// What stands where a length is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// A length.
    Plain(u64),
    /// A string in a special form.
    Special(u8),
}

/// A source with a running checksum and offset.
pub struct Reader<R> {
    source: R,
    string_bytes_max: u64,
    /// Bytes that the source was told to be done with; all of them are part of the sum.
    consumed: u64,
    /// Bytes of the source's buffer that were read since then.
    pending: usize,
    sum: u64,
    /// For compressed strings, and for strings that do not lie in the buffer as a whole.
    scratch: Vec<u8>,
}

/// Scratch memory beyond this is not kept.
const SCRATCH_BYTES_KEPT: usize = 1 << 20;

impl<R: BufRead> Reader<R> {
    /// A reader at offset 0, which refuses strings of more than `string_bytes_max` bytes.
    pub fn new(source: R, string_bytes_max: u64) -> Self {
        Self { source, string_bytes_max, consumed: 0, pending: 0, sum: 0, scratch: Vec::new() }
    }

    /// How many bytes were read.
    pub fn offset(&self) -> u64 {
        self.consumed + self.pending as u64
    }

    /// The source, right behind what was read.
    pub fn into_source(mut self) -> R {
        // It gives the buffer that it has, or else nothing is pending.
        let _ = self.settle();
        self.source
    }

    /// Sums up what was read of the buffer, and gives it back to the source.
    fn settle(&mut self) -> Result<(), RdbError> {
        let offset = self.offset();
        if self.pending > 0 {
            let buffer = self.source.fill_buf().map_err(|error| RdbError::Io { offset, error })?;
            self.sum = crc64::update(self.sum, &buffer[..self.pending]);
            self.source.consume(self.pending);
            self.consumed = offset;
            self.pending = 0;
        }
        Ok(())
    }

    /// What the source has in its buffer; at least one byte.
    #[inline]
    fn available(&mut self) -> Result<&[u8], RdbError> {
        let is_used_up = match self.source.fill_buf() {
            Ok(buffer) => buffer.len() <= self.pending,
            Err(_) => true,
        };
        if is_used_up {
            self.refill()?;
        }
        let (pending, offset) = (self.pending, self.offset());
        let buffer = self.source.fill_buf().map_err(|error| RdbError::Io { offset, error })?;
        Ok(&buffer[pending..])
    }

    #[cold]
    fn refill(&mut self) -> Result<(), RdbError> {
        self.settle()?;
        let offset = self.offset();
        loop {
            match self.source.fill_buf() {
                Ok([]) => return Err(RdbError::UnexpectedEnd { offset }),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(RdbError::Io { offset, error }),
            }
        }
    }

    /// Fills `bytes`. If the source ends before, the offset in the error is that of the first of them.
    pub fn read_exact(&mut self, bytes: &mut [u8]) -> Result<(), RdbError> {
        let offset = self.offset();
        let mut filled = 0;
        while filled < bytes.len() {
            let available = self.available().map_err(|error| starting_at(offset, error))?;
            let count = available.len().min(bytes.len() - filled);
            bytes[filled..filled + count].copy_from_slice(&available[..count]);
            self.pending += count;
            filled += count;
        }
        Ok(())
    }

    /// The next `N` bytes.
    #[inline]
    pub fn read_array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        if let Some(bytes) = self.available()?.first_chunk::<N>() {
            let bytes = *bytes;
            self.pending += N;
            return Ok(bytes);
        }
        let mut bytes = [0; N];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// One byte: an opcode, a value type, a flag.
    pub fn read_byte(&mut self) -> Result<u8, RdbError> {
        Ok(self.read_array::<1>()?[0])
    }

    /// The signature; returns the version, 1 to [`VERSION_MAX`].
    pub fn read_header(&mut self) -> Result<u16, RdbError> {
        let header: [u8; 9] = self.read_array().map_err(|error| match error {
            RdbError::UnexpectedEnd { .. } => RdbError::NotRdb,
            error => error,
        })?;
        let (magic, digits) = header.split_at(MAGIC.len());
        if magic != MAGIC || !digits.iter().all(u8::is_ascii_digit) {
            return Err(RdbError::NotRdb);
        }
        let version = digits.iter().fold(0, |version, digit| version * 10 + u16::from(digit - b'0'));
        if version == 0 || version > VERSION_MAX {
            return Err(RdbError::UnsupportedVersion { version });
        }
        Ok(version)
    }

    /// What follows the opcode EOF: checks the sum of everything before, unless the writer left it out.
    pub fn read_checksum(&mut self, version: u16, checksum: Checksum) -> Result<(), RdbError> {
        if version < VERSION_WITH_CHECKSUM {
            return Ok(());
        }
        self.settle()?;
        let computed = self.sum;
        let stored = u64::from_le_bytes(self.read_array()?);
        if checksum == Checksum::On && stored != 0 && stored != computed {
            return Err(RdbError::WrongChecksum { stored, computed });
        }
        Ok(())
    }

    /// A length, or the mark of a special string.
    pub fn read_length_or_special(&mut self) -> Result<Length, RdbError> {
        let offset = self.offset();
        let first = self.read_byte()?;
        Ok(match first {
            0..length_form::BITS_14 => Length::Plain(u64::from(first)),
            length_form::BITS_14..length_form::BITS_32 => {
                let low = self.read_byte()?;
                Length::Plain(u64::from(first & 0x3f) << 8 | u64::from(low))
            }
            length_form::BITS_32 => Length::Plain(u64::from(u32::from_be_bytes(self.read_array()?))),
            length_form::BITS_64 => Length::Plain(u64::from_be_bytes(self.read_array()?)),
            length_form::SPECIAL.. => Length::Special(first & 0x3f),
            _ => return Err(RdbError::Malformed { offset, expected: "a length" }),
        })
    }

    /// A length.
    pub fn read_length(&mut self) -> Result<u64, RdbError> {
        let offset = self.offset();
        match self.read_length_or_special()? {
            Length::Plain(length) => Ok(length),
            Length::Special(_) => Err(RdbError::Malformed { offset, expected: "a length" }),
        }
    }

    /// A string in any form.
    pub fn read_string(&mut self) -> Result<Vec<u8>, RdbError> {
        self.with_string(<[u8]>::to_vec)
    }

    /// Lends a string in any form. Only one that does not lie in the source's buffer as a whole is copied.
    #[inline]
    pub fn with_string<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> Result<T, RdbError> {
        let offset = self.offset();
        let integer = match self.read_length_or_special()? {
            Length::Plain(length) => {
                let length = self.checked_length(offset, length)?;
                return self.with_bytes(length, take);
            }
            Length::Special(string_form::LZF) => {
                self.read_compressed(offset)?;
                let taken = take(&self.scratch);
                self.trim_scratch();
                return Ok(taken);
            }
            Length::Special(string_form::INTEGER_8) => i32::from(i8::from_le_bytes(self.read_array()?)),
            Length::Special(string_form::INTEGER_16) => i32::from(i16::from_le_bytes(self.read_array()?)),
            Length::Special(string_form::INTEGER_32) => i32::from_le_bytes(self.read_array()?),
            Length::Special(_) => return Err(RdbError::Malformed { offset, expected: "a string" }),
        };
        Ok(take(itoa::Buffer::new().format(integer).as_bytes()))
    }

    /// Lends the next `length` bytes.
    #[inline]
    fn with_bytes<T>(&mut self, length: usize, take: impl FnOnce(&[u8]) -> T) -> Result<T, RdbError> {
        // Nothing is there of nothing, even at the end.
        let available = if length == 0 { &[] } else { self.available()? };
        if let Some(bytes) = available.get(..length) {
            let taken = take(bytes);
            self.pending += length;
            return Ok(taken);
        }
        self.read_to_scratch(length)?;
        let taken = take(&self.scratch);
        self.trim_scratch();
        Ok(taken)
    }

    /// Reads `length` bytes to the scratch memory, which grows as they arrive.
    #[cold]
    fn read_to_scratch(&mut self, length: usize) -> Result<(), RdbError> {
        let offset = self.offset();
        self.scratch.clear();
        while self.scratch.len() < length {
            let mut scratch = std::mem::take(&mut self.scratch);
            let missing = length - scratch.len();
            let available = self.available().map_err(|error| starting_at(offset, error))?;
            let piece = &available[..available.len().min(missing)];
            let count = piece.len();
            scratch.extend_from_slice(piece);
            self.scratch = scratch;
            self.pending += count;
        }
        Ok(())
    }

    fn trim_scratch(&mut self) {
        if self.scratch.capacity() > SCRATCH_BYTES_KEPT {
            self.scratch = Vec::new();
        }
    }

    /// A score in 8 bytes, as [`super::value_type::ZSET_2`] has it. May be NaN.
    pub fn read_double(&mut self) -> Result<f64, RdbError> {
        Ok(f64::from_le_bytes(self.read_array()?))
    }

    /// A score as text, as [`super::value_type::ZSET`] has it. May be NaN.
    pub fn read_double_text(&mut self) -> Result<f64, RdbError> {
        let offset = self.offset();
        let mut text = [0; u8::MAX as usize];
        let length = match self.read_byte()? {
            score_form::NAN => return Ok(f64::NAN),
            score_form::INFINITY => return Ok(f64::INFINITY),
            score_form::NEGATIVE_INFINITY => return Ok(f64::NEG_INFINITY),
            length => usize::from(length),
        };
        self.read_exact(&mut text[..length])?;
        parse_f64(&text[..length]).ok_or(RdbError::Malformed { offset, expected: "a score" })
    }

    /// A time in Unix milliseconds, as [`super::opcode::EXPIRE_TIME_MS`] has it.
    ///
    /// Versions before 9 were written in the machine's own byte order; nearly all machines are little-endian.
    pub fn read_millis(&mut self) -> Result<i64, RdbError> {
        Ok(i64::from_le_bytes(self.read_array()?))
    }

    /// A time in Unix seconds, as [`super::opcode::EXPIRE_TIME`] has it.
    pub fn read_seconds(&mut self) -> Result<i32, RdbError> {
        Ok(i32::from_le_bytes(self.read_array()?))
    }

    /// Expands the compressed string that starts at `offset` to the scratch memory.
    fn read_compressed(&mut self, offset: u64) -> Result<(), RdbError> {
        let compressed_length = self.read_length()?;
        let length = self.read_length()?;
        let compressed_length = self.checked_length(offset, compressed_length)?;
        let length = self.checked_length(offset, length)?;
        let expanded =
            self.with_bytes(compressed_length, |compressed| lzf::decompress(compressed, length))?;
        self.scratch = expanded.ok_or(RdbError::Malformed { offset, expected: "a compressed string" })?;
        Ok(())
    }

    fn checked_length(&self, offset: u64, length: u64) -> Result<usize, RdbError> {
        usize::try_from(length)
            .ok()
            .filter(|_| length <= self.string_bytes_max)
            .ok_or(RdbError::TooLong { offset, length })
    }
}

/// The error of an item that begins at `offset`.
fn starting_at(offset: u64, error: RdbError) -> RdbError {
    match error {
        RdbError::UnexpectedEnd { .. } => RdbError::UnexpectedEnd { offset },
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Compression, Writer, opcode};
    use super::*;

    const STRING_BYTES_MAX: u64 = 512 << 20;

    fn reader(bytes: &[u8]) -> Reader<&[u8]> {
        Reader::new(bytes, STRING_BYTES_MAX)
    }

    #[test]
    fn what_is_written_is_read() {
        let lengths = [0, 1, 63, 64, 16383, 16384, u64::from(u32::MAX), 1 << 32, u64::MAX];
        let long = b"0123456789".repeat(300_000);
        let strings: Vec<&[u8]> = vec![
            b"",
            b"hello",
            b"0",
            b"-1",
            b"127",
            b"-128",
            b"128",
            b"-32769",
            b"2147483647",
            b"2147483648",
            b"-0",
            b"007",
            b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            &long,
        ];
        let scores = [0.0, -0.0, 1.5, f64::MIN_POSITIVE, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, 1e21];
        for compression in [Compression::Off, Compression::Lzf] {
            let mut writer = Writer::new(Vec::new(), compression);
            writer.write_header(11).unwrap();
            lengths.iter().for_each(|&length| writer.write_length(length).unwrap());
            strings.iter().for_each(|string| writer.write_string(string).unwrap());
            writer.write_integer_string(i64::MIN).unwrap();
            writer.write_millis(1_700_000_000_000).unwrap();
            for &score in &scores {
                writer.write_double(score).unwrap();
                writer.write_double_text(score).unwrap();
            }
            writer.write_end(11, Checksum::On).unwrap();
            let offset = writer.offset();
            let file = writer.into_sink().unwrap();

            let mut reader = reader(&file);
            assert_eq!(reader.read_header().unwrap(), 11);
            lengths.iter().for_each(|&length| assert_eq!(reader.read_length().unwrap(), length));
            strings.iter().for_each(|string| assert!(reader.read_string().unwrap() == *string));
            assert_eq!(reader.read_string().unwrap(), i64::MIN.to_string().as_bytes());
            assert_eq!(reader.read_millis().unwrap(), 1_700_000_000_000);
            for score in scores {
                assert_eq!(reader.read_double().unwrap().to_bits(), score.to_bits());
                assert_eq!(reader.read_double_text().unwrap().to_bits(), score.to_bits());
            }
            assert_eq!(reader.read_byte().unwrap(), opcode::EOF);
            reader.read_checksum(11, Checksum::On).unwrap();
            assert_eq!(reader.offset(), offset);
            assert!(reader.into_source().is_empty());
        }
    }

    #[test]
    fn headers_are_checked() {
        assert_eq!(reader(b"REDIS0001").read_header().unwrap(), 1);
        assert_eq!(reader(b"REDIS0012").read_header().unwrap(), 12);
        for header in [b"REDIS001".as_slice(), b"RADIS0001", b"REDIS00x1", b""] {
            assert!(matches!(reader(header).read_header(), Err(RdbError::NotRdb)), "{header:?}");
        }
        for header in [b"REDIS0000", b"REDIS0013", b"REDIS9999"] {
            let result = reader(header).read_header();
            assert!(matches!(result, Err(RdbError::UnsupportedVersion { .. })), "{header:?}");
        }
    }

    #[test]
    fn checksums_are_checked_where_there_are_any() {
        let mut writer = Writer::new(Vec::new(), Compression::Off);
        writer.write_header(10).unwrap();
        writer.write_end(10, Checksum::On).unwrap();
        let file = writer.into_sink().unwrap();
        let check = |file: &[u8], version: u16| {
            let mut reader = reader(file);
            reader.read_array::<10>().unwrap();
            reader.read_checksum(version, Checksum::On)
        };
        assert!(check(&file, 10).is_ok());
        let mut damaged = file.clone();
        damaged[8] = b'1';
        assert!(matches!(check(&damaged, 10), Err(RdbError::WrongChecksum { .. })));
        damaged[10..].fill(0);
        assert!(check(&damaged, 10).is_ok());
        assert!(check(&file[..10], 4).is_ok());
        assert!(matches!(check(&file[..12], 5), Err(RdbError::UnexpectedEnd { offset: 10 })));
    }

    #[test]
    fn damage_is_told_with_its_offset() {
        let check = |bytes: &[u8], expected: &str| {
            assert_eq!(reader(bytes).read_string().unwrap_err().to_string(), expected, "{bytes:?}");
        };
        check(b"", "at byte 0: the data ends too early");
        check(b"\x05hel", "at byte 1: the data ends too early");
        check(b"\x82", "at byte 0: expected a length");
        check(b"\xc4", "at byte 0: expected a string");
        check(b"\xc1\x01", "at byte 1: the data ends too early");
        check(
            b"\x81\xff\xff\xff\xff\xff\xff\xff\xff",
            "at byte 0: a string of 18446744073709551615 bytes is too long",
        );
        check(b"\x80\x10\0\0\0abc", "at byte 5: the data ends too early");
        check(b"\xc3\x02\x05\x01ab", "at byte 0: expected a compressed string");
        check(b"\xc3\xc0\x05\x01ab", "at byte 1: expected a length");
        assert!(reader(b"\xc0\x01").read_length().is_err());
        assert!(reader(b"\x02x1").read_double_text().is_err());
    }
}
