//! Histograms of bounded relative error: one layout, a plain form for readers and a form of cells for writers.
//!
//! The layout is the one of HdrHistogram with two significant digits, which Redis uses, so that the same durations
//! give the same answers, digit for digit (INFO latencystats, LATENCY HISTOGRAM):
//!
//! ```text
//! group 0    0 ..= 127           each value has its own bucket
//! group 1    128 ..= 255         each value has its own bucket
//! group 2    256 ..= 511         128 buckets of 2
//! group g    128 << (g-1) ..     128 buckets of 1 << (g-1)
//! ```
//!
//! A bucket is never wider than 1/128 of the values in it: an error of at most 0.8%. A bucket's place is found with a
//! count of leading zeros and a shift. The range ends at 2^37 (137 s in nanoseconds); what is above counts as the
//! end. Redis ends at 1 s, and so hides by how much a command was slower; below 541 ms the two agree exactly.
//!
//! Groups are allocated when first hit: 1 KiB each, and a command's durations meet three to six groups, so 240
//! commands on many workers stay small where the whole table (31 KiB each) would not.
//!
//! Rejected: power-of-two buckets alone (an error of 100%), and t-digest (no exact merge, and no subtraction).

use super::sync::AtomicU64;
use std::array;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;

/// Buckets in a group.
const BUCKETS: usize = 128;
const BUCKET_BITS: u32 = BUCKETS.trailing_zeros();
/// Bits of the greatest value that is told apart.
const RANGE_BITS: u32 = 37;
const GROUPS: usize = (RANGE_BITS - BUCKET_BITS + 1) as usize;
/// The greatest value that is told apart: greater ones count as this.
pub const HISTOGRAM_MAX: u64 = (1 << RANGE_BITS) - 1;
/// The first boundary of LATENCY HISTOGRAM is 2^10 ns, about a microsecond.
const FIRST_BOUNDARY_BITS: u32 = 10;

/// Group and bucket of a value.
#[inline]
fn place(value: u64) -> (usize, usize) {
    let value = value.min(HISTOGRAM_MAX);
    if value < BUCKETS as u64 {
        return (0, value as usize);
    }
    let shift = value.ilog2() - BUCKET_BITS;
    (shift as usize + 1, (value >> shift) as usize - BUCKETS)
}

/// The least value of a bucket.
fn lowest(group: usize, bucket: usize) -> u64 {
    match group {
        0 => bucket as u64,
        _ => ((BUCKETS + bucket) as u64) << (group - 1),
    }
}

/// The greatest value of a bucket.
fn highest(group: usize, bucket: usize) -> u64 {
    lowest(group, bucket) + ((1 << group.saturating_sub(1)) - 1)
}

/// A histogram to read, merge and subtract. Values are nanoseconds unless its owner says otherwise.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Empty, or one place per group.
    groups: Vec<Option<Box<[u64; BUCKETS]>>>,
    count: u64,
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        let (group, bucket) = place(value);
        self.group_mut(group)[bucket] += 1;
        self.count += 1;
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The value that `percentile` (0 to 100) percent of the values do not exceed; 0 when empty.
    ///
    /// The upper end of its bucket, so at most 0.8% too great; percentile 0 is the lower end of the first bucket.
    /// Both, and the rounding of the rank, are as in HdrHistogram.
    pub fn percentile(&self, percentile: f64) -> u64 {
        let rank = (percentile.min(100.0) / 100.0 * self.count as f64 + 0.5) as u64;
        let mut seen = 0;
        for (group, bucket, count) in self.buckets() {
            seen += count;
            if seen >= rank.max(1) {
                return if percentile == 0.0 { lowest(group, bucket) } else { highest(group, bucket) };
            }
        }
        0
    }

    /// The upper end of the bucket of the greatest value: at most 0.8% too great; 0 when empty.
    pub fn max(&self) -> u64 {
        self.buckets().last().map_or(0, |(group, bucket, _)| highest(group, bucket))
    }

    /// LATENCY HISTOGRAM's map: (microseconds, how many values took no longer), one entry for each power of two
    /// nanoseconds from 2^10 that adds something.
    ///
    /// As in Redis a boundary takes in the whole bucket that begins at it, and its label is that bucket's upper end in
    /// whole microseconds: 1, 2, 4, 8, 16, 33, 66, 132, ...
    pub fn cumulative_usec(&self) -> Vec<(u64, u64)> {
        let mut entries: Vec<(u64, u64)> = Vec::new();
        let mut seen = 0;
        for (group, bucket, count) in self.buckets() {
            seen += count;
            let bits = lowest(group, bucket).saturating_sub(1).checked_ilog2().map_or(0, |log| log + 1);
            let (boundary_group, boundary_bucket) = place(1 << bits.max(FIRST_BOUNDARY_BITS));
            let usec = highest(boundary_group, boundary_bucket) / 1000;
            match entries.last_mut() {
                Some(last) if last.0 == usec => last.1 = seen,
                _ => entries.push((usec, seen)),
            }
        }
        entries
    }

    /// Adds what the other has counted.
    pub fn merge(&mut self, other: &Histogram) {
        for (group, bucket, count) in other.buckets() {
            self.group_mut(group)[bucket] += count;
        }
        self.count += other.count;
    }

    /// Takes away what an earlier reading of the same cells had counted.
    pub(crate) fn subtract(&mut self, earlier: &Histogram) {
        for (group, bucket, count) in earlier.buckets() {
            let left = &mut self.group_mut(group)[bucket];
            let taken = count.min(*left);
            *left -= taken;
            self.count -= taken;
        }
    }

    /// The buckets that are not empty, in ascending order: group, bucket, count.
    fn buckets(&self) -> impl Iterator<Item = (usize, usize, u64)> {
        self.groups.iter().enumerate().filter_map(|(group, counts)| Some((group, counts.as_ref()?))).flat_map(
            |(group, counts)| {
                counts
                    .iter()
                    .enumerate()
                    .filter(|(_, count)| **count > 0)
                    .map(move |(bucket, count)| (group, bucket, *count))
            },
        )
    }

    fn group_mut(&mut self, group: usize) -> &mut [u64; BUCKETS] {
        if self.groups.is_empty() {
            self.groups.resize_with(GROUPS, || None);
        }
        self.groups[group].get_or_insert_with(|| Box::new([0; BUCKETS]))
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.buckets().eq(other.buckets())
    }
}

impl Eq for Histogram {}

/// A histogram that one thread writes while others read.
///
/// It takes one writer at a time, by ownership or under a lock: a count goes up by a load and a store, which are plain moves,
/// and not by a read-modify-write, which would lock the line. Two writers at once lose counts, and harm nothing else.
#[derive(Debug)]
pub(crate) struct HistogramCells {
    groups: [OnceLock<Box<[AtomicU64; BUCKETS]>>; GROUPS],
}

impl HistogramCells {
    pub(crate) fn new() -> Self {
        HistogramCells { groups: [const { OnceLock::new() }; GROUPS] }
    }

    /// Counts one value; the caller is the only writer.
    #[inline]
    pub(crate) fn record(&self, value: u64) {
        add(self.cell(value), 1);
    }

    /// Counts one value; there may be several writers at once, and all of them use this.
    #[inline]
    pub(crate) fn record_shared(&self, value: u64) {
        self.cell(value).fetch_add(1, Relaxed);
    }

    /// Adds what was counted so far to `total`.
    pub(crate) fn add_to(&self, total: &mut Histogram) {
        for (group, cells) in self.groups.iter().enumerate() {
            let Some(cells) = cells.get() else { continue };
            let mut added = 0;
            for (sum, cell) in total.group_mut(group).iter_mut().zip(cells.iter()) {
                let count = cell.load(Relaxed);
                *sum += count;
                added += count;
            }
            total.count += added;
        }
    }

    #[inline]
    fn cell(&self, value: u64) -> &AtomicU64 {
        let (group, bucket) = place(value);
        &self.groups[group].get_or_init(|| Box::new(array::from_fn(|_| AtomicU64::new(0))))[bucket]
    }
}

/// Adds to a cell that has one writer at a time: two plain moves and an addition.
#[inline]
pub(crate) fn add(cell: &AtomicU64, amount: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(amount), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|value| histogram.record(*value));
        histogram
    }

    #[test]
    fn every_value_is_in_a_narrow_bucket() {
        let near_powers = (0..RANGE_BITS).flat_map(|bits| {
            let power = 1_u64 << bits;
            [power - 1, power, power + 1, power + power / 3]
        });
        let all = if cfg!(miri) { 700 } else { 70_000 };
        for value in (0..all).chain(near_powers).chain([HISTOGRAM_MAX]) {
            let (group, bucket) = place(value);
            assert!(group < GROUPS && bucket < BUCKETS, "{value}");
            let (low, high) = (lowest(group, bucket), highest(group, bucket));
            assert!(low <= value && value <= high, "{low} <= {value} <= {high}");
            assert!((high - low) * 128 <= low, "the bucket of {value} is {low} to {high}");
        }
    }

    #[test]
    fn buckets_follow_each_other_without_gap() {
        let mut next = 0;
        for group in 0..GROUPS {
            for bucket in 0..BUCKETS {
                assert_eq!(lowest(group, bucket), next);
                next = highest(group, bucket) + 1;
            }
        }
        assert_eq!(next, HISTOGRAM_MAX + 1);
    }

    #[test]
    fn values_beyond_the_range_count_as_its_end() {
        assert_eq!(place(u64::MAX), place(HISTOGRAM_MAX));
        assert_eq!(histogram(&[u64::MAX]).max(), HISTOGRAM_MAX);
    }

    #[test]
    fn percentiles_are_within_the_error_of_the_sorted_values() {
        let mut state = 1_u64;
        let count = if cfg!(miri) { 200 } else { 20_000 };
        let mut values: Vec<u64> = (0..count)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) >> (state % 24)
            })
            .collect();
        let histogram = histogram(&values);
        values.sort_unstable();
        for percentile in [0.01, 1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 100.0] {
            let rank = (percentile / 100.0 * values.len() as f64 + 0.5) as usize;
            let exact = values[rank.max(1) - 1];
            let answer = histogram.percentile(percentile);
            assert!(answer >= exact, "p{percentile}: {answer} for {exact}");
            assert!(answer - exact <= exact / 128, "p{percentile}: {answer} for {exact}");
        }
    }

    #[test]
    fn the_empty_histogram_answers_zero() {
        let empty = Histogram::default();
        assert_eq!((empty.percentile(50.0), empty.max(), empty.count()), (0, 0, 0));
        assert!(empty.is_empty() && empty.cumulative_usec().is_empty());
    }

    fn check_cumulative(usec: &[u64], expected: &[(u64, u64)]) {
        let nanos: Vec<u64> = usec.iter().map(|usec| usec * 1000).collect();
        assert_eq!(histogram(&nanos).cumulative_usec(), expected);
    }

    /// Pairs of what `redis-server` 7.0.15 was made to record and what its LATENCY HISTOGRAM then answered.
    #[test]
    fn cumulative_map_as_redis_answers() {
        check_cumulative(&[1, 2, 3, 4, 6, 6], &[(1, 1), (2, 2), (4, 4), (8, 6)]);
        check_cumulative(&[9], &[(16, 1)]);
        check_cumulative(&[14, 52], &[(16, 1), (66, 2)]);
        check_cumulative(&[72], &[(132, 1)]);
        check_cumulative(
            &[1_100, 10_100, 20_100, 40_100, 100_100],
            &[(2_113, 1), (16_908, 2), (33_816, 3), (67_633, 4), (135_266, 5)],
        );
        check_cumulative(&[300_000, 520_000], &[(541_065, 2)]);
    }

    #[test]
    fn a_boundary_takes_in_the_bucket_that_begins_at_it() {
        assert_eq!(histogram(&[1024, 1031]).cumulative_usec(), [(1, 2)]);
        assert_eq!(histogram(&[1032]).cumulative_usec(), [(2, 1)]);
        assert_eq!(histogram(&[0, 1, 127]).cumulative_usec(), [(1, 3)]);
        assert_eq!(histogram(&[u64::MAX]).cumulative_usec(), [(HISTOGRAM_MAX / 1000, 1)]);
    }

    #[test]
    fn cells_and_plain_form_agree() {
        let values = [0, 5, 130, 1_000, 1_000, 77_777, 1 << 30, u64::MAX];
        let cells = HistogramCells::new();
        values.iter().for_each(|value| cells.record(*value));
        let mut read = Histogram::default();
        cells.add_to(&mut read);
        assert_eq!(read, histogram(&values));
    }

    #[test]
    fn merge_and_subtract_are_inverse() {
        let (first, second) = (histogram(&[1, 500, 500, 90_000]), histogram(&[500, 1 << 20]));
        let mut sum = first.clone();
        sum.merge(&second);
        assert_eq!(sum.count(), 6);
        sum.subtract(&second);
        assert_eq!(sum, first);
    }
}
