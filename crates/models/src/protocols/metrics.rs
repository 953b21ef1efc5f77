//! Counts that each thread keeps by itself, beside those who read them and who forget them.

use super::beside;
use super::sync::{Arc, IS_SMALL, ROUNDS, check};

mod sync {
    pub(crate) use super::super::PlainMutex as Mutex;
    pub(crate) use super::super::sync::AtomicU64;
}

mod choice {
    pub(crate) use rustredis_metrics::{CallEnd, CommandId, Strategy};
}

mod rows {
    pub(crate) use rustredis_metrics::rows::{Row, counter, fact, gauge};
}

#[path = "../../../metrics/src/block.rs"]
mod block;
#[path = "../../../metrics/src/histogram.rs"]
mod histogram;
#[path = "../../../metrics/src/padded.rs"]
mod padded;
#[path = "../../../metrics/src/stats.rs"]
mod stats;
#[path = "../../../metrics/src/thread_local.rs"]
mod thread_local;

use choice::{CallEnd, CommandId, Strategy};
use stats::{CommandStats, StrategyCost};
use thread_local::{Blocks, Writer};

const COMMAND: CommandId = CommandId(0);
/// Records of a batch.
const BATCH: u64 = 2;

fn flush_batch(writer: &Writer, blocks: &Blocks) {
    // A histogram is 128 counters more.
    let tracks_latency = !IS_SMALL;
    (0..BATCH).for_each(|_| writer.record(blocks, COMMAND, 1, CallEnd::Ok, tracks_latency));
    writer.flush(blocks, tracks_latency);
}

fn calls(blocks: &Blocks) -> u64 {
    let mut total = CommandStats::default();
    blocks.add_row_to(COMMAND, &mut total);
    total.calls
}

fn flushes(blocks: &Blocks) -> u64 {
    let mut cost = StrategyCost::new(Strategy::ThreadLocal);
    blocks.add_cost_to(&mut cost);
    cost.flushes
}

/// A thread that counts so many batches, and departs.
fn worker(blocks: &Arc<Blocks>, rounds: u32) -> Box<dyn FnOnce() + Send + 'static> {
    let blocks = blocks.clone();
    Box::new(move || {
        let writer = blocks.writer();
        (0..rounds).for_each(|_| flush_batch(&writer, &blocks));
        blocks.depart(&writer);
    })
}

/// Who sees that a batch was counted sees all of it, and nothing is counted twice when its thread departs.
pub fn who_sees_a_flush_sees_its_batch() {
    check(|| {
        let blocks = Arc::new(Blocks::new(1));
        beside([worker(&blocks, ROUNDS)], || {
            for _ in 0..ROUNDS {
                let seen = flushes(&blocks);
                let calls = calls(&blocks);
                assert!(calls >= seen * BATCH, "a part of a batch that was counted");
                assert!(calls <= u64::from(ROUNDS) * BATCH, "a batch was counted twice");
            }
        });
        assert_eq!(calls(&blocks), u64::from(ROUNDS) * BATCH);
    });
}

/// A batch counts before a reset or after it, as a whole.
pub fn a_reset_splits_no_batch() {
    check(|| {
        let blocks = Arc::new(Blocks::new(1));
        let own = blocks.writer();
        beside([worker(&blocks, 2 * ROUNDS)], || {
            (0..ROUNDS).for_each(|_| blocks.reset());
            flush_batch(&own, &blocks);
            assert!(flushes(&blocks) >= 1, "what was counted behind a reset is lost");
        });
        let (calls, flushes) = (calls(&blocks), flushes(&blocks));
        assert_eq!(calls, flushes * BATCH, "a part of a batch");
        assert!((1..=u64::from(2 * ROUNDS) + 1).contains(&flushes));
    });
}
