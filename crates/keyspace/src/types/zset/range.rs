//! Which part of a sorted set: by score, by lex, or a window of ranks.
//!
//! Every kind of range becomes a range of ranks in two O(log n) searches. Counting is then a subtraction, offset and limit
//! are arithmetic, and reading or removing is the same code for all of them.

use std::ops::Range;

/// Which way a range is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the smallest score on, equal scores by member bytes.
    Ascending,
    /// The exact reverse.
    Descending,
}

/// One end of a range by score. Infinities are scores like others: `-inf` is `Inclusive(f64::NEG_INFINITY)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ScoreBound {
    /// This score belongs to the range.
    Inclusive(f64),
    /// `(score`: it does not.
    Exclusive(f64),
}

/// A range of scores, as of ZRANGEBYSCORE. Empty when `min` is above `max`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreRange {
    /// The lower end.
    pub min: ScoreBound,
    /// The upper end.
    pub max: ScoreBound,
}

/// One end of a range by lex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// `-`: before every member.
    Min,
    /// `+`: after every member.
    Max,
    /// `[member`: it belongs to the range.
    Inclusive(&'a [u8]),
    /// `(member`: it does not.
    Exclusive(&'a [u8]),
}

/// A range of members, as of ZRANGEBYLEX. Means something only where all scores are equal; with others the result is
/// some range of ranks. Empty when `min` is above `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LexRange<'a> {
    /// The lower end.
    pub min: LexBound<'a>,
    /// The upper end.
    pub max: LexBound<'a>,
}

impl ScoreRange {
    /// All scores.
    pub const ALL: Self =
        Self { min: ScoreBound::Inclusive(f64::NEG_INFINITY), max: ScoreBound::Inclusive(f64::INFINITY) };

    /// The score is in the range.
    pub fn contains(&self, score: f64) -> bool {
        !self.is_before(score) && self.is_not_after(score)
    }

    /// The score is below the range.
    pub(super) fn is_before(&self, score: f64) -> bool {
        match self.min {
            ScoreBound::Inclusive(min) => score < min,
            ScoreBound::Exclusive(min) => score <= min,
        }
    }

    /// The score is in the range or below it.
    pub(super) fn is_not_after(&self, score: f64) -> bool {
        match self.max {
            ScoreBound::Inclusive(max) => score <= max,
            ScoreBound::Exclusive(max) => score < max,
        }
    }
}

impl LexRange<'_> {
    /// The member is in the range.
    pub fn contains(&self, member: &[u8]) -> bool {
        !self.is_before(member) && self.is_not_after(member)
    }

    /// The member is below the range.
    pub(super) fn is_before(&self, member: &[u8]) -> bool {
        match self.min {
            LexBound::Min => false,
            LexBound::Max => true,
            LexBound::Inclusive(min) => member < min,
            LexBound::Exclusive(min) => member <= min,
        }
    }

    /// The member is in the range or below it.
    pub(super) fn is_not_after(&self, member: &[u8]) -> bool {
        match self.max {
            LexBound::Min => false,
            LexBound::Max => true,
            LexBound::Inclusive(max) => member <= max,
            LexBound::Exclusive(max) => member < max,
        }
    }
}

/// The part of `ranks` that LIMIT leaves when they are read in this order; `None` limits nothing.
pub fn window(ranks: Range<usize>, order: Order, offset: usize, limit: Option<usize>) -> Range<usize> {
    let skipped = offset.min(ranks.len());
    let count = limit.unwrap_or(usize::MAX).min(ranks.len() - skipped);
    match order {
        Order::Ascending => ranks.start + skipped..ranks.start + skipped + count,
        Order::Descending => {
            let end = ranks.start.max(ranks.end) - skipped;
            end - count..end
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_before_in_or_after_a_range() {
        let check = |min, max, expected: [bool; 5]| {
            let range = ScoreRange { min, max };
            let scores = [f64::NEG_INFINITY, -0.0, 1.0, 2.5, f64::INFINITY];
            assert_eq!(scores.map(|score| range.contains(score)), expected, "{range:?}");
        };
        use ScoreBound::{Exclusive, Inclusive};
        check(Inclusive(0.0), Inclusive(2.5), [false, true, true, true, false]);
        check(Exclusive(0.0), Exclusive(2.5), [false, false, true, false, false]);
        check(Exclusive(f64::NEG_INFINITY), Inclusive(f64::INFINITY), [false, true, true, true, true]);
        check(Inclusive(f64::NEG_INFINITY), Exclusive(f64::INFINITY), [true, true, true, true, false]);
        check(Inclusive(3.0), Inclusive(1.0), [false; 5]);
        assert!(ScoreRange::ALL.contains(f64::INFINITY));
    }

    #[test]
    fn a_member_is_before_in_or_after_a_range() {
        let check = |min, max, expected: [bool; 4]| {
            let range = LexRange { min, max };
            let members: [&[u8]; 4] = [b"", b"b", b"ba", b"c"];
            assert_eq!(members.map(|member| range.contains(member)), expected, "{range:?}");
        };
        use LexBound::{Exclusive, Inclusive, Max, Min};
        check(Min, Max, [true; 4]);
        check(Max, Min, [false; 4]);
        check(Min, Min, [false; 4]);
        check(Max, Max, [false; 4]);
        check(Inclusive(b"b"), Exclusive(b"c"), [false, true, true, false]);
        check(Exclusive(b"b"), Inclusive(b"c"), [false, false, true, true]);
        check(Min, Exclusive(b""), [false; 4]);
    }

    #[test]
    fn a_limit_is_taken_in_reading_order() {
        let check =
            |order, offset, limit, expected| assert_eq!(window(10..20, order, offset, limit), expected);
        check(Order::Ascending, 0, None, 10..20);
        check(Order::Ascending, 3, Some(4), 13..17);
        check(Order::Ascending, 3, Some(40), 13..20);
        check(Order::Ascending, 30, Some(1), 20..20);
        check(Order::Descending, 0, None, 10..20);
        check(Order::Descending, 3, Some(4), 13..17);
        check(Order::Descending, 0, Some(1), 19..20);
        check(Order::Descending, 9, Some(5), 10..11);
        check(Order::Descending, 30, None, 10..10);
        assert_eq!(window(5..5, Order::Descending, 0, Some(3)), 5..5);
    }
}
