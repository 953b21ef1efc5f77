//! Puts the lanes' entries into one order and makes a stream of commands of them.

use super::{HEADER_BYTES, Journal, Place};
use crate::journal::write_select;

/// What a lane held and is not in a stream yet.
#[derive(Default)]
struct Staged {
    bytes: Vec<u8>,
    /// Where the next entry begins.
    at: usize,
}

/// An entry's header.
struct Header {
    place: Place,
    length: usize,
    first_db: usize,
    last_db: usize,
    second: u64,
}

impl Staged {
    fn front(&self) -> Option<Header> {
        let header: &[u8; HEADER_BYTES] = self.bytes[self.at..].first_chunk()?;
        let word = |at: usize| header[at..at + 8].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let databases = word(16);
        Some(Header {
            place: word(0),
            length: word(8) as usize,
            first_db: (databases & 0xffff_ffff) as usize,
            last_db: (databases >> 32) as usize,
            second: word(24),
        })
    }
}

/// The commands of entries one behind the other, with SELECT where the database changes: what a file or a replica gets.
#[derive(Debug, Default)]
pub struct Stream {
    /// What was added and not taken.
    pub bytes: Vec<u8>,
    /// The database that is selected at the end; none at the beginning of a file.
    db: Option<usize>,
    /// Whether entries are preceded by `#TS:` lines where the second changes.
    pub has_timestamps: bool,
    second: u64,
}

impl Stream {
    /// Begins another file: the next entry selects its database.
    pub fn restart(&mut self) {
        self.db = None;
        self.second = 0;
    }

    fn add(&mut self, header: &Header, commands: &[u8]) {
        if self.has_timestamps && header.second > self.second {
            self.second = header.second;
            self.bytes.extend_from_slice(b"#TS:");
            self.bytes.extend_from_slice(itoa::Buffer::new().format(header.second).as_bytes());
            self.bytes.extend_from_slice(b"\r\n");
        }
        if self.db != Some(header.first_db) {
            write_select(&mut self.bytes, header.first_db);
        }
        self.db = Some(header.last_db);
        self.bytes.extend_from_slice(commands);
    }
}

/// The journal's reader.
pub struct Sequencer {
    staged: Vec<Staged>,
    taken: Place,
}

impl Sequencer {
    /// A reader that begins behind `after`.
    pub fn new(journal: &Journal, after: Place) -> Self {
        Self { staged: journal.lanes.iter().map(|_| Staged::default()).collect(), taken: after }
    }

    /// The place of the last entry that was merged.
    pub fn taken(&self) -> Place {
        self.taken
    }

    /// Takes what the lanes hold.
    pub fn collect(&mut self, journal: &Journal) {
        for (lane, staged) in self.staged.iter_mut().enumerate() {
            if staged.at == staged.bytes.len() {
                staged.bytes.clear();
                staged.at = 0;
            }
            journal.take_lane(lane, &mut staged.bytes);
        }
    }

    /// Bytes that were taken from the lanes and are not merged yet.
    pub fn staged_bytes(&self) -> usize {
        self.staged.iter().map(|staged| staged.bytes.len() - staged.at).sum()
    }

    /// Adds entries to the stream in the order of their places, up to `until` at most and as far as none is missing, until the
    /// stream holds `bytes_max`.
    pub fn merge(&mut self, until: Place, bytes_max: usize, stream: &mut Stream) {
        while self.taken < until && stream.bytes.len() < bytes_max {
            let next = self.taken + 1;
            let found = self
                .staged
                .iter()
                .position(|staged| staged.front().is_some_and(|header| header.place == next));
            let Some(lane) = found else { return };
            self.merge_lane(lane, until, bytes_max, stream);
        }
    }

    /// Adds the longest run of consecutive entries of one lane.
    fn merge_lane(&mut self, lane: usize, until: Place, bytes_max: usize, stream: &mut Stream) {
        let staged = &mut self.staged[lane];
        while self.taken < until
            && stream.bytes.len() < bytes_max
            && let Some(header) = staged.front()
            && header.place == self.taken + 1
        {
            let begin = staged.at + HEADER_BYTES;
            let end = begin + header.length;
            stream.add(&header, &staged.bytes[begin..end]);
            staged.at = end;
            self.taken = header.place;
        }
        if staged.at == staged.bytes.len() {
            staged.bytes.clear();
            staged.at = 0;
            if staged.bytes.capacity() > STAGED_BYTES_KEPT {
                staged.bytes = Vec::new();
            }
        }
    }
}

/// Of a staged buffer so much is kept for the next round, in bytes.
const STAGED_BYTES_KEPT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Touched, Unit};
    use std::sync::atomic::{AtomicBool, Ordering};

    fn set(journal: &Journal, lane: usize, db: usize, words: &[&str]) -> Place {
        let mut unit = Unit::default();
        unit.add(db, words.iter().map(|word| word.as_bytes()));
        // Nobody else holds the shard, as in a server.
        let shard = lane % journal.shards.len();
        journal.append(lane, &mut unit, Touched::Shards([shard].into_iter()), 7)
    }

    #[track_caller]
    fn check(stream: &Stream, expected: &str) {
        assert_eq!(String::from_utf8_lossy(&stream.bytes).replace("\r\n", " "), expected);
    }

    #[test]
    fn entries_of_all_lanes_come_in_the_order_of_their_places() {
        let journal = Journal::new(2, 1);
        let (mut sequencer, mut stream) = (Sequencer::new(&journal, 0), Stream::default());
        set(&journal, 0, 0, &["A"]);
        set(&journal, 1, 0, &["B"]);
        set(&journal, 1, 3, &["C"]);
        set(&journal, 0, 3, &["D"]);
        sequencer.collect(&journal);
        sequencer.merge(3, usize::MAX, &mut stream);
        let head = "*2 $6 SELECT $1 0 *1 $1 A *1 $1 B *2 $6 SELECT $1 3 *1 $1 C ";
        check(&stream, head);
        assert_eq!(sequencer.taken(), 3);
        stream.bytes.clear();
        stream.restart();
        stream.has_timestamps = true;
        sequencer.merge(Place::MAX, usize::MAX, &mut stream);
        check(&stream, "#TS:7 *2 $6 SELECT $1 3 *1 $1 D ");
        assert_eq!(journal.last_of_shard(0), 4);
    }

    #[test]
    fn a_step_of_several_commands_is_framed() {
        let journal = Journal::new(1, 1);
        let (mut sequencer, mut stream) = (Sequencer::new(&journal, 0), Stream::default());
        let mut unit = Unit::default();
        unit.add(1, [b"A".as_slice()].into_iter());
        unit.add(2, [b"B".as_slice()].into_iter());
        journal.append(0, &mut unit, Touched::Everything::<std::iter::Empty<usize>>, 0);
        assert!(unit.is_empty());
        set(&journal, 0, 2, &["C"]);
        sequencer.collect(&journal);
        sequencer.merge(Place::MAX, usize::MAX, &mut stream);
        check(&stream, "*2 $6 SELECT $1 1 *1 $5 MULTI *1 $1 A *2 $6 SELECT $1 2 *1 $1 B *1 $4 EXEC *1 $1 C ");
        assert_eq!(journal.last_of_shard(0), 2);
    }

    /// Each of four threads appends its numbers; the stream has all, each thread's in order, whenever it is read.
    #[test]
    fn nothing_is_lost_while_threads_append() {
        const LANES: usize = 4;
        const ENTRIES: usize = 5_000;
        let journal = Journal::new(LANES, LANES);
        let is_done = AtomicBool::new(false);
        let mut stream = Stream::default();
        let mut sequencer = Sequencer::new(&journal, 0);
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..LANES)
                .map(|lane| {
                    let journal = &journal;
                    scope.spawn(move || {
                        for number in 0..ENTRIES {
                            set(journal, lane, 0, &[&format!("{lane}-{number}")]);
                        }
                    })
                })
                .collect();
            let reader = scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    sequencer.collect(&journal);
                    sequencer.merge(Place::MAX, usize::MAX, &mut stream);
                }
                sequencer.collect(&journal);
                sequencer.merge(Place::MAX, usize::MAX, &mut stream);
            });
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            is_done.store(true, Ordering::Relaxed);
            reader.join().unwrap();
        });
        assert_eq!(sequencer.taken(), (LANES * ENTRIES) as u64);
        let text = String::from_utf8(stream.bytes).unwrap();
        for lane in 0..LANES {
            let prefix = format!("{lane}-");
            let numbers: Vec<usize> =
                text.split("\r\n").filter_map(|word| word.strip_prefix(&prefix)?.parse().ok()).collect();
            assert_eq!(numbers, (0..ENTRIES).collect::<Vec<_>>());
        }
    }
}
