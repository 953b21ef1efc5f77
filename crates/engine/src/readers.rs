//! Who reads without a lock, as those see it who free what may be read.

use super::gate::Seats;
use super::sync::{Arc, Readers, ReadingStamp, heavy};

/// The seats, as those who free blocks see them.
pub(crate) struct SeatedReaders(pub(crate) Arc<Seats>);

impl Readers for SeatedReaders {
    fn reading(&self, now: &mut Vec<ReadingStamp>) {
        heavy();
        self.0.with(|seats| {
            let stamps = seats.iter().map(|seat| seat.reading()).enumerate();
            let stamps = stamps.filter(|(_, stamp)| stamp % 2 == 1);
            now.extend(stamps.map(|(reader, stamp)| ReadingStamp { reader, stamp }));
        });
    }

    fn has_left(&self, reading: ReadingStamp) -> bool {
        self.0.with(|seats| seats[reading.reader].reading() != reading.stamp)
    }
}
