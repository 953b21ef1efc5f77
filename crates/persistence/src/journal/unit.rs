//! A unit of the journal: the commands that replay one step, which are kept together.

use rustredis_resp::request::write_request;
use rustredis_resp::{Proto, Reply};

use super::{HEADER_BYTES, Place};

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
    pub(super) fn write(&mut self, place: Place, second: u64, lane: &mut Vec<u8>) {
        let is_frame = self.commands > 1;
        let frame_bytes = if is_frame { MULTI.len() + EXEC.len() } else { 0 };
        let length = self.bytes.len() + frame_bytes;
        lane.reserve(HEADER_BYTES + length);
        lane.extend_from_slice(&place.to_le_bytes());
        lane.extend_from_slice(&(length as u64).to_le_bytes());
        lane.extend_from_slice(&(self.first_db as u32).to_le_bytes());
        lane.extend_from_slice(&(self.last_db as u32).to_le_bytes());
        lane.extend_from_slice(&second.to_le_bytes());
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
