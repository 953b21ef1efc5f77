//! Reads RDB's elements, sums them up, and believes nothing.

use std::io::{ErrorKind, Read};

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

/// Strings are read in pieces of this size, so that no length costs memory before its bytes are there.
const PIECE_BYTES: usize = 1 << 20;

/// A source with a running checksum and offset.
pub struct Reader<R> {
    source: R,
    string_bytes_max: u64,
    offset: u64,
    sum: u64,
}

impl<R: Read> Reader<R> {
    /// A reader at offset 0, which refuses strings of more than `string_bytes_max` bytes. The source should be buffered.
    pub fn new(source: R, string_bytes_max: u64) -> Self {
        Self { source, string_bytes_max, offset: 0, sum: 0 }
    }

    /// How many bytes were read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The source, right behind what was read.
    pub fn into_source(self) -> R {
        self.source
    }

    /// Fills `bytes`.
    pub fn read_exact(&mut self, bytes: &mut [u8]) -> Result<(), RdbError> {
        self.source.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => RdbError::UnexpectedEnd { offset: self.offset },
            _ => RdbError::Io { offset: self.offset, error },
        })?;
        self.sum = crc64::update(self.sum, bytes);
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// The next `N` bytes.
    pub fn read_array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
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
        let computed = self.sum;
        let stored = u64::from_le_bytes(self.read_array()?);
        if checksum == Checksum::On && stored != 0 && stored != computed {
            return Err(RdbError::WrongChecksum { stored, computed });
        }
        Ok(())
    }

    /// A length, or the mark of a special string.
    pub fn read_length_or_special(&mut self) -> Result<Length, RdbError> {
        let offset = self.offset;
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
        let offset = self.offset;
        match self.read_length_or_special()? {
            Length::Plain(length) => Ok(length),
            Length::Special(_) => Err(RdbError::Malformed { offset, expected: "a length" }),
        }
    }

    /// A string in any form.
    pub fn read_string(&mut self) -> Result<Vec<u8>, RdbError> {
        let offset = self.offset;
        let integer = match self.read_length_or_special()? {
            Length::Plain(length) => return self.read_bytes(offset, length),
            Length::Special(string_form::LZF) => return self.read_compressed(offset),
            Length::Special(string_form::INTEGER_8) => i32::from(i8::from_le_bytes(self.read_array()?)),
            Length::Special(string_form::INTEGER_16) => i32::from(i16::from_le_bytes(self.read_array()?)),
            Length::Special(string_form::INTEGER_32) => i32::from_le_bytes(self.read_array()?),
            Length::Special(_) => return Err(RdbError::Malformed { offset, expected: "a string" }),
        };
        Ok(itoa::Buffer::new().format(integer).as_bytes().to_vec())
    }

    /// A score in 8 bytes, as [`super::value_type::ZSET_2`] has it. May be NaN.
    pub fn read_double(&mut self) -> Result<f64, RdbError> {
        Ok(f64::from_le_bytes(self.read_array()?))
    }

    /// A score as text, as [`super::value_type::ZSET`] has it. May be NaN.
    pub fn read_double_text(&mut self) -> Result<f64, RdbError> {
        let offset = self.offset;
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

    /// `length` bytes of the string that starts at `offset`.
    fn read_bytes(&mut self, offset: u64, length: u64) -> Result<Vec<u8>, RdbError> {
        let length = self.checked_length(offset, length)?;
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let start = bytes.len();
            let piece = (length - start).min(PIECE_BYTES.max(start));
            bytes.reserve_exact(piece);
            bytes.resize(start + piece, 0);
            self.read_exact(&mut bytes[start..])?;
        }
        Ok(bytes)
    }

    fn read_compressed(&mut self, offset: u64) -> Result<Vec<u8>, RdbError> {
        let compressed_length = self.read_length()?;
        let length = self.read_length()?;
        let length = self.checked_length(offset, length)?;
        let compressed = self.read_bytes(offset, compressed_length)?;
        lzf::decompress(&compressed, length)
            .ok_or(RdbError::Malformed { offset, expected: "a compressed string" })
    }

    fn checked_length(&self, offset: u64, length: u64) -> Result<usize, RdbError> {
        usize::try_from(length)
            .ok()
            .filter(|_| length <= self.string_bytes_max)
            .ok_or(RdbError::TooLong { offset, length })
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
            let file = writer.into_sink();

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
        let file = writer.into_sink();
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
