//! The commands of entries one behind the other, with SELECT where the database changes: what a file or a replica gets.

use super::unit::{ANY_DB, Header, write_select};

/// Makes a stream of entries. Each stream has one of its own, for it depends on where it began.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The database that is selected at the end; none at the beginning.
    db: Option<usize>,
    /// The second of the last `#TS:` line.
    second: u64,
}

impl Stream {
    /// Writes an entry, behind a line with its time where the second changes if the stream has such lines.
    pub(super) fn write(
        &mut self,
        header: &Header,
        commands: &[u8],
        has_timestamps: bool,
        out: &mut Vec<u8>,
    ) {
        if has_timestamps && header.second > self.second {
            self.second = header.second;
            out.extend_from_slice(b"#TS:");
            out.extend_from_slice(itoa::Buffer::new().format(header.second).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if header.first_db != ANY_DB {
            if self.db != Some(header.first_db) {
                write_select(out, header.first_db);
            }
            self.db = Some(header.last_db);
        }
        out.extend_from_slice(commands);
    }
}
