//! The names of a stream's entries.

use std::fmt;

/// A time in milliseconds and a number within it. Ordered by both; the text is `ms-seq`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Unix time in milliseconds, as a rule; what a client says, in fact.
    pub ms: u64,
    /// The number among those of the same time.
    pub seq: u64,
}

impl StreamId {
    /// The least: no entry has it.
    pub const MIN: Self = Self::new(0, 0);

    /// The greatest.
    pub const MAX: Self = Self::new(u64::MAX, u64::MAX);

    /// The ID of these two numbers.
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The next greater one; `None` behind the greatest.
    pub const fn next(self) -> Option<Self> {
        match (self.ms, self.seq) {
            (ms, seq) if seq < u64::MAX => Some(Self::new(ms, seq + 1)),
            (ms, _) if ms < u64::MAX => Some(Self::new(ms + 1, 0)),
            _ => None,
        }
    }

    /// The next lesser one; `None` before the least.
    pub const fn prev(self) -> Option<Self> {
        match (self.ms, self.seq) {
            (ms, seq) if seq > 0 => Some(Self::new(ms, seq - 1)),
            (ms, _) if ms > 0 => Some(Self::new(ms - 1, u64::MAX)),
            _ => None,
        }
    }

    /// As RDB files have it: both numbers, big endian.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    /// What [`Self::to_bytes`] made.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self::new((both >> 64) as u64, both as u64)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.ms, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_carry_from_one_number_to_the_other() {
        for (id, next) in [
            (StreamId::MIN, Some(StreamId::new(0, 1))),
            (StreamId::new(7, u64::MAX), Some(StreamId::new(8, 0))),
            (StreamId::MAX, None),
        ] {
            assert_eq!(id.next(), next);
            if let Some(next) = next {
                assert_eq!(next.prev(), Some(id));
                assert!(id < next);
            }
        }
        assert_eq!(StreamId::MIN.prev(), None);
    }

    #[test]
    fn bytes_have_the_order_of_ids() {
        let ids =
            [StreamId::MIN, StreamId::new(0, 9), StreamId::new(1, 0), StreamId::new(256, 1), StreamId::MAX];
        for pair in ids.windows(2) {
            assert!(pair[0].to_bytes() < pair[1].to_bytes());
        }
        for id in ids {
            assert_eq!(StreamId::from_bytes(id.to_bytes()), id);
        }
        assert_eq!(StreamId::new(12, 3).to_string(), "12-3");
    }
}
