//! The counters of every command, written by one thread at a time and read by any.
//!
//! All strategies count into blocks of this one type; they differ only in *how a thread comes to be a block's only
//! writer*: by a global lock, by one of many locks, or by owning it. So an experiment that compares them changes one
//! thing.
//!
//! A row is one cache line: the four counters and the pointer to the histogram. A record touches the row, the table
//! of the histogram's groups, and one counter in a group: three lines, all in the writer's own cache.

use super::choice::{CallEnd, CommandId};
use super::histogram::{HistogramCells, add};
use super::stats::CommandStats;
use super::sync::AtomicU64;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;

/// One command's counters.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Row {
    calls: AtomicU64,
    nanos: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    /// Allocated at the first call with latency tracking on.
    histogram: OnceLock<Box<HistogramCells>>,
}

/// A row for each command of the table.
#[derive(Debug)]
pub(crate) struct Block {
    rows: Box<[Row]>,
}

impl Block {
    pub(crate) fn new(commands: usize) -> Self {
        Block { rows: (0..commands).map(|_| Row::default()).collect() }
    }

    /// Counts an executed command. The caller is the only writer.
    #[inline]
    pub(crate) fn record(&self, command: CommandId, nanos: u64, outcome: CallEnd, tracks_latency: bool) {
        let row = &self.rows[usize::from(command.0)];
        add(&row.calls, 1);
        add(&row.nanos, nanos);
        if outcome == CallEnd::Failed {
            add(&row.failed, 1);
        }
        if tracks_latency {
            row.histogram.get_or_init(|| Box::new(HistogramCells::new())).record(nanos.max(1));
        }
    }

    /// Counts a command that was refused before execution. The caller is the only writer.
    #[inline]
    pub(crate) fn reject(&self, command: CommandId) {
        add(&self.rows[usize::from(command.0)].rejected, 1);
    }

    /// Adds every row to `totals`, which has a place per command.
    pub(crate) fn add_to(&self, totals: &mut [CommandStats]) {
        for (row, total) in self.rows.iter().zip(totals) {
            row.add_to(total);
        }
    }

    /// Adds one command's row to `total`.
    pub(crate) fn add_row_to(&self, command: CommandId, total: &mut CommandStats) {
        self.rows[usize::from(command.0)].add_to(total);
    }

    /// Whether anything was counted.
    pub(crate) fn is_touched(&self) -> bool {
        self.rows.iter().any(|row| row.calls.load(Relaxed) > 0 || row.rejected.load(Relaxed) > 0)
    }
}

impl Row {
    fn add_to(&self, total: &mut CommandStats) {
        total.calls += self.calls.load(Relaxed);
        total.nanos += self.nanos.load(Relaxed);
        total.rejected += self.rejected.load(Relaxed);
        total.failed += self.failed.load(Relaxed);
        if let Some(histogram) = self.histogram.get() {
            histogram.add_to(&mut total.histogram);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_cache_line() {
        assert_eq!(size_of::<Row>(), 64);
    }

    #[test]
    fn counts_what_is_recorded() {
        let block = Block::new(2);
        assert!(!block.is_touched());
        block.record(CommandId(1), 1_500, CallEnd::Ok, true);
        block.record(CommandId(1), 500, CallEnd::Failed, false);
        block.reject(CommandId(0));
        assert!(block.is_touched());
        let mut totals = vec![CommandStats::default(); 2];
        block.add_to(&mut totals);
        let expected = CommandStats { rejected: 1, ..CommandStats::default() };
        assert_eq!(totals[0], expected);
        assert_eq!(
            (totals[1].calls, totals[1].nanos, totals[1].failed, totals[1].rejected),
            (2, 2_000, 1, 0)
        );
        assert_eq!(totals[1].histogram.count(), 1);
        let mut row = CommandStats::default();
        block.add_row_to(CommandId(1), &mut row);
        assert_eq!(row, totals[1]);
    }

    #[test]
    fn a_duration_of_zero_counts_as_a_nanosecond_in_the_histogram() {
        let block = Block::new(1);
        block.record(CommandId(0), 0, CallEnd::Ok, true);
        let mut row = CommandStats::default();
        block.add_row_to(CommandId(0), &mut row);
        assert_eq!((row.nanos, row.histogram.percentile(0.0)), (0, 1));
    }
}
