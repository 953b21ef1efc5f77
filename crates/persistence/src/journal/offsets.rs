//! Where in a stream of bytes the entries of the journal end.
//!
//! A client's write has a place; a replica says how many bytes of its stream it has got. The ends of the last places are kept, eight
//! bytes for each, in a ring of a fixed size: an entry that is not in the stream ends where the one before it does. A table of
//! every so many places was rejected: between its rows it is not exact.

use std::collections::VecDeque;

use super::place::Place;

/// See the module's text.
#[derive(Debug)]
pub struct Offsets {
    /// The place of the first end that is kept.
    first: Place,
    ends: VecDeque<u64>,
    count_max: usize,
}

impl Offsets {
    /// Of a stream that begins behind `after`; the ends of the last `count_max` places are kept.
    pub(super) fn new(after: Place, count_max: usize) -> Self {
        let count_max = count_max.max(1);
        Self { first: after, ends: VecDeque::from([0]), count_max }
    }

    /// The place of the last end.
    pub fn last(&self) -> Place {
        self.first + self.ends.len() as u64 - 1
    }

    /// Says where the entry of the next place ends.
    pub(super) fn push(&mut self, end: u64) {
        debug_assert!(self.ends.back().is_none_or(|last| *last <= end), "a stream grows");
        if self.ends.len() == self.count_max {
            self.ends.pop_front();
            self.first += 1;
        }
        self.ends.push_back(end);
    }

    /// Bytes of the stream up to the end of an entry; `None` for one that has not come. Of one that is forgotten it is the first end
    /// that is known: too large, and never too small.
    pub fn end_of(&self, place: Place) -> Option<u64> {
        self.ends.get(place.saturating_sub(self.first) as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_exact_within_the_window_and_never_too_small_before_it() {
        let mut offsets = Offsets::new(10, 4);
        assert_eq!((offsets.end_of(10), offsets.end_of(11)), (Some(0), None));
        offsets.push(5);
        // An entry that is not in the stream.
        offsets.push(5);
        offsets.push(9);
        assert_eq!([10, 11, 12, 13].map(|place| offsets.end_of(place)), [Some(0), Some(5), Some(5), Some(9)]);
        offsets.push(100);
        assert_eq!(offsets.last(), 14);
        assert_eq!(
            [3, 10, 11, 14, 15].map(|place| offsets.end_of(place)),
            [Some(5), Some(5), Some(5), Some(100), None]
        );
    }

    #[test]
    fn memory_is_bounded() {
        const COUNT: u64 = if cfg!(miri) { 2_000 } else { 100_000 };
        let mut offsets = Offsets::new(0, 1000);
        (1..=COUNT).for_each(|number| offsets.push(number * 3));
        assert_eq!((offsets.ends.len(), offsets.last()), (1000, COUNT));
        assert!((COUNT - 999..=COUNT).all(|place| offsets.end_of(place) == Some(place * 3)));
    }
}
