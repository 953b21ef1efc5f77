//! The RDB format, versions 1 to 12: everything below the values.
//!
//! ```text
//! file    "REDIS" version (4 digits) | parts | opcode EOF | checksum, 8 bytes little-endian, from version 5 on; 0: none
//! part    opcode and its fields, or: value type | key | value
//! length  00nnnnnn                   6 bits
//!         01nnnnnn nnnnnnnn          14 bits, big-endian
//!         10000000 4 bytes           32 bits, big-endian
//!         10000001 8 bytes           64 bits, big-endian
//!         11nnnnnn                   no length: a string in the special form n
//! string  length and the bytes, or a special form: an integer of 1, 2 or 4 bytes (little-endian), or LZF
//! DUMP    value type | value | version, 2 bytes little-endian | checksum
//! ```
//!
//! [`Reader`] and [`Writer`] sum up and count what passes; errors tell the offset. A reader never believes a length: it
//! allocates as the bytes arrive. Neither makes a call or a sum for each element: the reader works on its source's
//! buffer, the writer has one of its own.
//! Memory maps were rejected: files come through pipes and replication links too.

use std::{fmt, io};

mod decode;
mod encode;
mod file;
mod lzf;
mod reader;
mod stream;
mod writer;
mod ziplist;

pub use decode::{read_value, restore};
pub use encode::{Encoded, VERSION_WITH_FIELD_EXPIRY, VERSION_WRITTEN, dump};
pub use file::{
    FileReader, FileWriter, LoadedKey, Part, Usage, dump_functions, encode_key, restore_functions,
};
pub use reader::{Length, Reader};
pub use writer::{Compression, Writer};

use rustredis_keyspace::crc64;

/// The newest version that is understood, that of Redis 7.4. (7.0 writes 10, and 7.2 writes 11.)
pub const VERSION_MAX: u16 = 12;

/// The first version that ends with a checksum.
pub const VERSION_WITH_CHECKSUM: u16 = 5;

/// What every file begins with.
pub(crate) const MAGIC: &[u8; 5] = b"REDIS";

/// The first byte of a part that is no key.
pub mod opcode {
    /// Cluster slot: number, keys and expiring keys to come (lengths).
    pub const SLOT_INFO: u8 = 244;
    /// A function library's source (string).
    pub const FUNCTION: u8 = 245;
    /// A function library as release candidates of 7.0 wrote it.
    pub const FUNCTION_PRE_RELEASE: u8 = 246;
    /// A module's own data.
    pub const MODULE_AUX: u8 = 247;
    /// The next key's idle time in seconds (length).
    pub const IDLE: u8 = 248;
    /// The next key's access frequency (one byte).
    pub const FREQUENCY: u8 = 249;
    /// A name and a value (strings); readers skip the names that they do not know.
    pub const AUX: u8 = 250;
    /// How many keys, and how many expiring ones, are to come (lengths).
    pub const RESIZE_DB: u8 = 251;
    /// The next key's expiry in Unix milliseconds (8 bytes little-endian).
    pub const EXPIRE_TIME_MS: u8 = 252;
    /// The next key's expiry in Unix seconds (4 bytes little-endian).
    pub const EXPIRE_TIME: u8 = 253;
    /// The database of what follows (length).
    pub const SELECT_DB: u8 = 254;
    /// The end; only the checksum follows.
    pub const EOF: u8 = 255;
}

/// The first byte of a key's part, and of a DUMP payload: how the value is written.
pub mod value_type {
    /// A string.
    pub const STRING: u8 = 0;
    /// Length, then each element as a string.
    pub const LIST: u8 = 1;
    /// Length, then each member as a string.
    pub const SET: u8 = 2;
    /// Length, then each member as a string, and its score as text.
    pub const ZSET: u8 = 3;
    /// Length, then each field and value as strings.
    pub const HASH: u8 = 4;
    /// Length, then each member as a string, and its score in 8 bytes.
    pub const ZSET_2: u8 = 5;
    /// A module's value, as before 4.0's release.
    pub const MODULE_PRE_RELEASE: u8 = 6;
    /// A module's value.
    pub const MODULE_2: u8 = 7;
    /// A zipmap in a string (before 2.6).
    pub const HASH_ZIPMAP: u8 = 9;
    /// A ziplist in a string (before 3.2).
    pub const LIST_ZIPLIST: u8 = 10;
    /// An intset in a string.
    pub const SET_INTSET: u8 = 11;
    /// A ziplist in a string (before 7.0).
    pub const ZSET_ZIPLIST: u8 = 12;
    /// A ziplist in a string (before 7.0).
    pub const HASH_ZIPLIST: u8 = 13;
    /// Length, then ziplists in strings (3.2 to 6.2).
    pub const LIST_QUICKLIST: u8 = 14;
    /// A stream (5.0 to 6.2).
    pub const STREAM_LISTPACKS: u8 = 15;
    /// A listpack in a string.
    pub const HASH_LISTPACK: u8 = 16;
    /// A listpack in a string.
    pub const ZSET_LISTPACK: u8 = 17;
    /// Length, then nodes: 1 and a plain string, or 2 and a listpack in a string.
    pub const LIST_QUICKLIST_2: u8 = 18;
    /// A stream (7.0).
    pub const STREAM_LISTPACKS_2: u8 = 19;
    /// A listpack in a string (7.2).
    pub const SET_LISTPACK: u8 = 20;
    /// A stream (7.2).
    pub const STREAM_LISTPACKS_3: u8 = 21;
    /// A hash with expiring fields, as release candidates of 7.4 wrote it.
    pub const HASH_METADATA_PRE_RELEASE: u8 = 22;
    /// A listpack with expiring fields, as release candidates of 7.4 wrote it.
    pub const HASH_LISTPACK_EX_PRE_RELEASE: u8 = 23;
    /// A hash with expiring fields (7.4).
    pub const HASH_METADATA: u8 = 24;
    /// A listpack with expiring fields (7.4).
    pub const HASH_LISTPACK_EX: u8 = 25;
}

/// The kinds of a node in [`value_type::LIST_QUICKLIST_2`].
mod quicklist_node {
    pub(super) const PLAIN: u64 = 1;
    pub(super) const PACKED: u64 = 2;
}

/// The special forms of strings.
mod string_form {
    pub(super) const INTEGER_8: u8 = 0;
    pub(super) const INTEGER_16: u8 = 1;
    pub(super) const INTEGER_32: u8 = 2;
    pub(super) const LZF: u8 = 3;
}

/// Lengths' first bytes.
mod length_form {
    pub(super) const BITS_32: u8 = 0x80;
    pub(super) const BITS_64: u8 = 0x81;
    /// Of 14-bit lengths, in the two highest bits.
    pub(super) const BITS_14: u8 = 0x40;
    /// Of special forms, in the two highest bits.
    pub(super) const SPECIAL: u8 = 0xc0;
}

/// The length bytes of [`value_type::ZSET`]'s scores that are no text.
mod score_form {
    pub(super) const NAN: u8 = 253;
    pub(super) const INFINITY: u8 = 254;
    pub(super) const NEGATIVE_INFINITY: u8 = 255;
}

/// Why reading or writing ended. Offsets are bytes from the start, where the damaged item begins.
#[derive(Debug)]
pub enum RdbError {
    /// The source or the sink failed.
    Io {
        /// Where.
        offset: u64,
        /// How.
        error: io::Error,
    },
    /// The source ends in the middle of something.
    UnexpectedEnd {
        /// Where what is cut starts.
        offset: u64,
    },
    /// It does not start with `REDIS` and a version.
    NotRdb,
    /// A version from the future, or 0.
    UnsupportedVersion {
        /// The file's.
        version: u16,
    },
    /// Bytes that mean nothing where they stand.
    Malformed {
        /// Where.
        offset: u64,
        /// What was expected there.
        expected: &'static str,
    },
    /// Something that other servers know and we do not.
    Unsupported {
        /// Where.
        offset: u64,
        /// What it is.
        what: &'static str,
    },
    /// A string that is longer than the reader was told to accept.
    TooLong {
        /// Where the string starts.
        offset: u64,
        /// How long it claims to be.
        length: u64,
    },
    /// The checksum differs: something was changed since it was written.
    WrongChecksum {
        /// As stored.
        stored: u64,
        /// As summed up.
        computed: u64,
    },
}

impl fmt::Display for RdbError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { offset, error } => write!(formatter, "at byte {offset}: {error}"),
            Self::UnexpectedEnd { offset } => write!(formatter, "at byte {offset}: the data ends too early"),
            Self::NotRdb => formatter.write_str("wrong signature: this is no RDB file"),
            Self::UnsupportedVersion { version } => {
                write!(formatter, "RDB version {version} is not among 1 to {VERSION_MAX}")
            }
            Self::Malformed { offset, expected } => {
                write!(formatter, "at byte {offset}: expected {expected}")
            }
            Self::Unsupported { offset, what } => {
                write!(formatter, "at byte {offset}: {what} is not supported")
            }
            Self::TooLong { offset, length } => {
                write!(formatter, "at byte {offset}: a string of {length} bytes is too long")
            }
            Self::WrongChecksum { stored, computed } => {
                write!(formatter, "CRC error: stored {stored:016x}, computed {computed:016x}")
            }
        }
    }
}

impl std::error::Error for RdbError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// The version and the checksum behind a DUMP payload.
const DUMP_FOOTER_BYTES: usize = 10;

/// Appends the footer that makes a value type and its value a DUMP payload.
pub fn seal_dump(payload: &mut Vec<u8>, version: u16) {
    payload.extend_from_slice(&version.to_le_bytes());
    let sum = crc64::checksum(payload);
    payload.extend_from_slice(&sum.to_le_bytes());
}

/// Whether there are checksums (rdbchecksum).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// They are written, and checked where they were written.
    On,
    /// Zero is written, and anything is taken.
    Off,
}

/// Checks a DUMP payload's footer and returns its version and what stands before the footer. O(length).
pub fn open_dump(payload: &[u8], checksum: Checksum) -> Result<(u16, &[u8]), RdbError> {
    if payload.len() == DUMP_FOOTER_BYTES {
        return Err(RdbError::UnexpectedEnd { offset: 0 });
    }
    open_any_dump(payload, checksum)
}

/// The same, also of a payload with nothing before the footer.
fn open_any_dump(payload: &[u8], checksum: Checksum) -> Result<(u16, &[u8]), RdbError> {
    let Some(end) = payload.len().checked_sub(DUMP_FOOTER_BYTES) else {
        return Err(RdbError::UnexpectedEnd { offset: 0 });
    };
    let (content, footer) = payload.split_at(end);
    let version = u16::from_le_bytes([footer[0], footer[1]]);
    if version == 0 || version > VERSION_MAX {
        return Err(RdbError::UnsupportedVersion { version });
    }
    if checksum == Checksum::Off {
        return Ok((version, content));
    }
    let mut stored = [0; 8];
    stored.copy_from_slice(&footer[2..]);
    let (stored, computed) = (u64::from_le_bytes(stored), crc64::checksum(&payload[..end + 2]));
    if stored != computed {
        return Err(RdbError::WrongChecksum { stored, computed });
    }
    Ok((version, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dump_payloads_are_those_of_redis() {
        // DUMP of the string 10 by redis-server 7.0.15.
        let ten = b"\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb";
        let mut payload = b"\x00\xc0\x0a".to_vec();
        seal_dump(&mut payload, 10);
        assert_eq!(payload, ten);
        assert_eq!(open_dump(&payload, Checksum::On).unwrap(), (10, b"\x00\xc0\x0a".as_slice()));
    }

    #[test]
    fn damaged_dump_payloads_are_refused() {
        let mut payload = b"\x00\x05hello".to_vec();
        seal_dump(&mut payload, 11);
        for place in 0..payload.len() {
            let mut damaged = payload.clone();
            damaged[place] ^= 1;
            assert!(open_dump(&damaged, Checksum::On).is_err(), "{place}");
            assert!(open_dump(&payload[..place], Checksum::On).is_err(), "{place}");
        }
        let mut future = b"\x00\x05hello".to_vec();
        seal_dump(&mut future, VERSION_MAX + 1);
        assert!(matches!(
            open_dump(&future, Checksum::On),
            Err(RdbError::UnsupportedVersion { version: 13 })
        ));
    }
}
