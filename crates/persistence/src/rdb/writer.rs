//! Writes RDB's elements and sums them up.

use std::io::{self, Write};

use rustredis_keyspace::crc64;
use rustredis_resp::number::{INTEGER_BYTES_MAX, parse_i64};

use super::{
    Checksum, MAGIC, RdbError, VERSION_WITH_CHECKSUM, length_form, lzf, opcode, score_form, string_form,
};

/// Whether strings are compressed (rdbcompression).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    Off,
    /// LZF for strings of more than 20 bytes that get shorter by it.
    Lzf,
}

/// Integers of 32 bits have at most this many characters.
const SHORT_INTEGER_BYTES_MAX: usize = 11;
/// Strings up to this length are not worth compressing.
const UNCOMPRESSED_BYTES_MAX: usize = 20;
/// Compression must save more than the two lengths cost.
const COMPRESSION_BYTES_SAVED_MIN: usize = 4;

/// What is written is passed on, and summed up, in pieces of about this size.
const BUFFER_BYTES: usize = 64 << 10;

/// A sink with a running checksum and offset.
pub struct Writer<W> {
    sink: W,
    compression: Compression,
    /// Bytes that the sink has, all of which are part of the sum.
    passed_on: u64,
    /// Bytes that it does not have yet.
    buffer: Vec<u8>,
    sum: u64,
    /// How much of it is kept until it is passed on.
    buffer_bytes_max: usize,
}

impl<W: Write> Writer<W> {
    /// A writer at offset 0. The sink need not be buffered.
    pub fn new(sink: W, compression: Compression) -> Self {
        let (buffer, buffer_bytes_max) = (Vec::new(), BUFFER_BYTES);
        Self { sink, compression, passed_on: 0, buffer, buffer_bytes_max, sum: 0 }
    }
}

impl Writer<io::Sink> {
    /// A writer that appends to `buffer`, which [`Writer::into_buffer`] gives back; nothing is summed up.
    pub fn in_memory(buffer: Vec<u8>, compression: Compression) -> Self {
        Self { buffer, buffer_bytes_max: usize::MAX, ..Self::new(io::sink(), compression) }
    }

    /// The buffer with what was written.
    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }
}

impl<W: Write> Writer<W> {
    /// How many bytes were written.
    pub fn offset(&self) -> u64 {
        self.passed_on + self.buffer.len() as u64
    }

    /// The sink, which then has all that was written, without flushing it.
    pub fn into_sink(mut self) -> Result<W, RdbError> {
        self.pass_on()?;
        Ok(self.sink)
    }

    /// Bytes as they are.
    #[inline]
    pub fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), RdbError> {
        if self.buffer.len() + bytes.len() > self.buffer_bytes_max {
            return self.write_beyond_buffer(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    #[cold]
    fn write_beyond_buffer(&mut self, bytes: &[u8]) -> Result<(), RdbError> {
        self.pass_on()?;
        if bytes.len() < BUFFER_BYTES {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.sum = crc64::update(self.sum, bytes);
        self.sink.write_all(bytes).map_err(|error| RdbError::Io { offset: self.passed_on, error })?;
        self.passed_on += bytes.len() as u64;
        Ok(())
    }

    fn pass_on(&mut self) -> Result<(), RdbError> {
        self.sum = crc64::update(self.sum, &self.buffer);
        let offset = self.passed_on;
        self.sink.write_all(&self.buffer).map_err(|error| RdbError::Io { offset, error })?;
        self.passed_on += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// One byte: an opcode, a value type, a flag.
    pub fn write_byte(&mut self, byte: u8) -> Result<(), RdbError> {
        self.write_bytes(&[byte])
    }

    /// The signature that a file starts with.
    pub fn write_header(&mut self, version: u16) -> Result<(), RdbError> {
        self.write_bytes(MAGIC)?;
        self.write_bytes(format!("{version:04}").as_bytes())
    }

    /// The end of a file of that version: opcode and checksum. Flushes the sink.
    pub fn write_end(&mut self, version: u16, checksum: Checksum) -> Result<(), RdbError> {
        self.write_byte(opcode::EOF)?;
        if version >= VERSION_WITH_CHECKSUM {
            self.pass_on()?;
            let sum = if checksum == Checksum::On { self.sum } else { 0 };
            self.write_bytes(&sum.to_le_bytes())?;
        }
        self.pass_on()?;
        self.sink.flush().map_err(|error| RdbError::Io { offset: self.passed_on, error })
    }

    /// A length in its shortest form.
    pub fn write_length(&mut self, length: u64) -> Result<(), RdbError> {
        let mut bytes = [0; 9];
        let count = if length < 1 << 6 {
            bytes[0] = length as u8;
            1
        } else if length < 1 << 14 {
            bytes[..2].copy_from_slice(&(u16::from(length_form::BITS_14) << 8 | length as u16).to_be_bytes());
            2
        } else if let Ok(short) = u32::try_from(length) {
            bytes[0] = length_form::BITS_32;
            bytes[1..5].copy_from_slice(&short.to_be_bytes());
            5
        } else {
            bytes[0] = length_form::BITS_64;
            bytes[1..].copy_from_slice(&length.to_be_bytes());
            9
        };
        self.write_bytes(&bytes[..count])
    }

    /// A string, in the shortest form that it has: an integer, compressed, or as it is.
    pub fn write_string(&mut self, string: &[u8]) -> Result<(), RdbError> {
        if string.len() <= SHORT_INTEGER_BYTES_MAX
            && let Some(integer) = parse_i64(string)
            && self.write_short_integer(integer)?
        {
            return Ok(());
        }
        if self.compression == Compression::Lzf
            && string.len() > UNCOMPRESSED_BYTES_MAX
            && let Some(compressed) = lzf::compress(string, string.len() - COMPRESSION_BYTES_SAVED_MIN)
        {
            self.write_byte(length_form::SPECIAL | string_form::LZF)?;
            self.write_length(compressed.len() as u64)?;
            self.write_length(string.len() as u64)?;
            return self.write_bytes(&compressed);
        }
        self.write_length(string.len() as u64)?;
        self.write_bytes(string)
    }

    /// The string that spells an integer.
    pub fn write_integer_string(&mut self, integer: i64) -> Result<(), RdbError> {
        if self.write_short_integer(integer)? {
            return Ok(());
        }
        let mut formatter = itoa::Buffer::new();
        let text = formatter.format(integer);
        debug_assert!(text.len() <= INTEGER_BYTES_MAX);
        self.write_length(text.len() as u64)?;
        self.write_bytes(text.as_bytes())
    }

    /// A score in 8 bytes, as [`super::value_type::ZSET_2`] has it.
    pub fn write_double(&mut self, value: f64) -> Result<(), RdbError> {
        self.write_bytes(&value.to_le_bytes())
    }

    /// A score as text, as [`super::value_type::ZSET`] has it.
    pub fn write_double_text(&mut self, value: f64) -> Result<(), RdbError> {
        if value.is_nan() {
            return self.write_byte(score_form::NAN);
        }
        if value.is_infinite() {
            let form = if value > 0.0 { score_form::INFINITY } else { score_form::NEGATIVE_INFINITY };
            return self.write_byte(form);
        }
        let mut text = Vec::with_capacity(rustredis_resp::number::DOUBLE_BYTES_MAX);
        rustredis_resp::number::format_double(value, &mut text);
        self.write_byte(text.len() as u8)?;
        self.write_bytes(&text)
    }

    /// A time in Unix milliseconds, as [`opcode::EXPIRE_TIME_MS`] has it.
    pub fn write_millis(&mut self, millis: i64) -> Result<(), RdbError> {
        self.write_bytes(&millis.to_le_bytes())
    }

    /// Returns whether it fits into 32 bits; otherwise nothing is written.
    fn write_short_integer(&mut self, integer: i64) -> Result<bool, RdbError> {
        let bytes = integer.to_le_bytes();
        let (form, count) = if i8::try_from(integer).is_ok() {
            (string_form::INTEGER_8, 1)
        } else if i16::try_from(integer).is_ok() {
            (string_form::INTEGER_16, 2)
        } else if i32::try_from(integer).is_ok() {
            (string_form::INTEGER_32, 4)
        } else {
            return Ok(false);
        };
        self.write_byte(length_form::SPECIAL | form)?;
        self.write_bytes(&bytes[..count])?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(write: impl FnOnce(&mut Writer<Vec<u8>>) -> Result<(), RdbError>, expected: &[u8]) {
        let mut writer = Writer::new(Vec::new(), Compression::Lzf);
        write(&mut writer).unwrap();
        assert_eq!(writer.offset(), expected.len() as u64);
        assert_eq!(writer.into_sink().unwrap(), expected);
    }

    #[test]
    fn lengths_take_their_shortest_form() {
        check(|writer| writer.write_length(63), &[63]);
        check(|writer| writer.write_length(64), &[0x40, 64]);
        check(|writer| writer.write_length(16383), &[0x7f, 0xff]);
        check(|writer| writer.write_length(16384), &[0x80, 0, 0, 0x40, 0]);
        check(|writer| writer.write_length(0xffff_ffff), &[0x80, 0xff, 0xff, 0xff, 0xff]);
        check(|writer| writer.write_length(1 << 32), &[0x81, 0, 0, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn strings_take_their_shortest_form() {
        check(|writer| writer.write_string(b""), b"\0");
        check(|writer| writer.write_string(b"hello"), b"\x05hello");
        check(|writer| writer.write_string(b"10"), b"\xc0\x0a");
        check(|writer| writer.write_string(b"-128"), b"\xc0\x80");
        check(|writer| writer.write_string(b"128"), b"\xc1\x80\0");
        check(|writer| writer.write_string(b"-2147483648"), b"\xc2\0\0\0\x80");
        check(|writer| writer.write_string(b"2147483648"), b"\x0a2147483648");
        check(|writer| writer.write_string(b"010"), b"\x03010");
        check(|writer| writer.write_string(&[b'a'; 20]), &[b"\x14".as_slice(), &[b'a'; 20]].concat());
        check(|writer| writer.write_integer_string(i64::MIN), b"\x14-9223372036854775808");
        check(|writer| writer.write_integer_string(-1), b"\xc0\xff");
    }

    #[test]
    fn scores_have_two_forms() {
        check(|writer| writer.write_double(1.5), &1.5f64.to_le_bytes());
        check(|writer| writer.write_double_text(1.5), b"\x031.5");
        check(|writer| writer.write_double_text(f64::NEG_INFINITY), b"\xff");
        check(|writer| writer.write_double_text(f64::INFINITY), b"\xfe");
        check(|writer| writer.write_double_text(f64::NAN), b"\xfd");
    }

    #[test]
    fn a_sink_that_fails_tells_where() {
        let piece = vec![b'x'; BUFFER_BYTES / 2];
        let mut storage = vec![0; 2 * BUFFER_BYTES];
        let mut writer = Writer::new(storage.as_mut_slice(), Compression::Off);
        let error = (0..5).find_map(|_| writer.write_bytes(&piece).and_then(|()| writer.pass_on()).err());
        assert!(matches!(error, Some(RdbError::Io { offset, .. }) if offset == 2 * BUFFER_BYTES as u64));
        let mut short = [0; 6];
        let mut writer = Writer::new(short.as_mut_slice(), Compression::Off);
        writer.write_string(b"abcdefgh").unwrap();
        assert!(
            matches!(writer.into_sink(), Err(RdbError::Io { offset: 0, .. })),
            "not before it is passed on"
        );
    }
}
