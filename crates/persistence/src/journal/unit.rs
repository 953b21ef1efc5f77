//! A unit of the journal: the commands that replay one step, which are kept together.

use rustredis_resp::request::write_request;
use rustredis_resp::{Proto, Reply};

use super::place::Place;

/// For whom something is; decided by who commits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Audience {
    /// The append-only file alone.
    File = 1,
    /// Replicas alone.
    Replicas = 2,
    /// The append-only file and replicas.
    Both = 3,
}

impl Audience {
    /// Whether what is for one of them concerns the other.
    pub fn meets(self, other: Self) -> bool {
        self as u8 & other as u8 != 0
    }

    fn of(number: u8) -> Self {
        match number {
            1 => Self::File,
            2 => Self::Replicas,
            _ => Self::Both,
        }
    }
}

/// What stands before a unit in a lane, which makes an entry of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) place: Place,
    /// Bytes of the commands behind it.
    pub(super) length: usize,
    pub(super) audience: Audience,
    pub(super) first_db: usize,
    pub(super) last_db: usize,
    /// Unix time.
    pub(super) second: u64,
}

/// Bytes of a header: place, length and audience, first and last database, second.
pub(super) const HEADER_BYTES: usize = 8 + 8 + 4 + 4 + 8;

impl Header {
    fn write(&self, lane: &mut Vec<u8>) {
        lane.extend_from_slice(&self.place.to_le_bytes());
        lane.extend_from_slice(&((self.length as u64) << 8 | self.audience as u64).to_le_bytes());
        lane.extend_from_slice(&(self.first_db as u32).to_le_bytes());
        lane.extend_from_slice(&(self.last_db as u32).to_le_bytes());
        lane.extend_from_slice(&self.second.to_le_bytes());
    }

    /// The header with which these bytes begin; `None` if there are none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let word = |at: usize| header[at..at + 8].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let (length, databases) = (word(8), word(16));
        Some(Self {
            place: word(0),
            length: (length >> 8) as usize,
            audience: Audience::of(length as u8),
            first_db: (databases & 0xffff_ffff) as usize,
            last_db: (databases >> 32) as usize,
            second: word(24),
        })
    }
}

/// In the place of a database: what needs none (PING), before which nothing is selected.
pub const ANY_DB: usize = u32::MAX as usize;

/// Collects the commands of one step, as the append-only file has them: RESP arrays. More than one are framed by MULTI and
/// EXEC. Written by one worker; empty between the steps.
#[derive(Debug, Default)]
pub struct Unit {
    bytes: Vec<u8>,
    commands: usize,
    first_db: usize,
    last_db: usize,
}

impl Unit {
    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.commands == 0
    }

    /// Adds a command for that database.
    pub fn add<'w>(&mut self, db: usize, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        if self.commands == 0 {
            self.first_db = db;
        } else if self.last_db != db {
            write_select(&mut self.bytes, db);
        }
        self.last_db = db;
        self.commands += 1;
        write_command(&mut self.bytes, words);
    }

    /// Writes the entry, header first, and empties the unit.
    pub(super) fn write(&mut self, place: Place, audience: Audience, second: u64, lane: &mut Vec<u8>) {
        let is_frame = self.commands > 1;
        let frame_bytes = if is_frame { MULTI.len() + EXEC.len() } else { 0 };
        let length = self.bytes.len() + frame_bytes;
        lane.reserve(HEADER_BYTES + length);
        let (first_db, last_db) = (self.first_db, self.last_db);
        Header { place, length, audience, first_db, last_db, second }.write(lane);
        if is_frame {
            lane.extend_from_slice(MULTI);
        }
        lane.extend_from_slice(&self.bytes);
        if is_frame {
            lane.extend_from_slice(EXEC);
        }
        self.commands = 0;
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }
}

const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";
/// A unit's buffer that is kept for the next step.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// Writes a command as a RESP array of bulk strings.
fn write_command<'w>(out: &mut Vec<u8>, words: impl ExactSizeIterator<Item = &'w [u8]>) {
    let mut writer = Reply::new(out, Proto::Resp2);
    writer.array(words.len());
    words.for_each(|word| writer.bulk(word));
}

/// Writes SELECT.
pub fn write_select(out: &mut Vec<u8>, db: usize) {
    write_request(out, &[b"SELECT", itoa::Buffer::new().format(db).as_bytes()]);
}
