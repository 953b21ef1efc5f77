//! One interface over the four strategies.
//!
//! An enum and not a trait: the strategies are known, the choice is made once at start-up, and a branch on it that
//! always goes the same way is predicted, while a call through a table could not be inlined.

use crate::choice::{CallEnd, CommandId, Strategy};
use crate::clock::Clock;
use crate::locked::Locked;
use crate::stats::{CommandStats, StrategyCost};
use crate::thread_local::{Blocks, Writer};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The counts of all commands: one per server, shared by workers and readers.
#[derive(Debug)]
pub struct Metrics {
    strategy: Strategy,
    commands: usize,
    counts: Counts,
    tracks_latency: AtomicBool,
    workers_started: AtomicUsize,
    workers_alive: AtomicU64,
    /// One reader or reset at a time, so that no reader meets a reset halfway. Recording never takes it.
    readers: Mutex<()>,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one value per server, reached without another pointer")]
enum Counts {
    Off,
    Locked(Locked),
    ThreadLocal(Blocks),
}

/// A worker thread's way to record. Movable to the worker's thread, but not shareable: it has one user at a time.
///
/// ```compile_fail
/// fn share<T: Sync>() {}
/// share::<rustredis_metrics::WorkerMetrics>();
/// ```
#[derive(Debug)]
pub struct WorkerMetrics {
    metrics: Arc<Metrics>,
    path: Path,
}

#[derive(Debug)]
enum Path {
    Off,
    Locked { shard: usize },
    ThreadLocal(Writer),
}

impl Metrics {
    /// Counts for a table of `commands` commands, recorded by about `workers` workers (more may come; they then share
    /// shards). Latency tracking is on, as Redis has it.
    pub fn new(strategy: Strategy, commands: usize, workers: usize, clock: Clock) -> Arc<Self> {
        let counts = match strategy {
            Strategy::Off => Counts::Off,
            Strategy::Mutex => Counts::Locked(Locked::new(commands, 1, clock)),
            Strategy::Sharded => Counts::Locked(Locked::new(commands, workers, clock)),
            Strategy::ThreadLocal => Counts::ThreadLocal(Blocks::new(commands)),
        };
        Arc::new(Metrics {
            strategy,
            commands,
            counts,
            tracks_latency: AtomicBool::new(true),
            workers_started: AtomicUsize::new(0),
            workers_alive: AtomicU64::new(0),
            readers: Mutex::new(()),
        })
    }

    /// The way to record for a worker that starts.
    pub fn worker(self: &Arc<Self>) -> WorkerMetrics {
        let worker = self.workers_started.fetch_add(1, Relaxed);
        self.workers_alive.fetch_add(1, Relaxed);
        let path = match &self.counts {
            Counts::Off => Path::Off,
            Counts::Locked(locked) => Path::Locked { shard: locked.shard_of(worker) },
            Counts::ThreadLocal(blocks) => Path::ThreadLocal(blocks.writer()),
        };
        WorkerMetrics { metrics: Arc::clone(self), path }
    }

    /// The strategy in use.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Whether durations go into histograms (`latency-tracking`).
    #[inline]
    pub fn tracks_latency(&self) -> bool {
        self.tracks_latency.load(Relaxed)
    }

    /// Switches the histograms on or off; what they hold stays, as in Redis.
    pub fn set_tracks_latency(&self, tracks_latency: bool) {
        self.tracks_latency.store(tracks_latency, Relaxed);
    }

    /// The counts of all commands, by index. Exact when nothing is being recorded; see [`WorkerMetrics::snapshot`] for a
    /// reader that is itself a worker. O(commands x workers).
    pub fn snapshot(&self) -> Vec<CommandStats> {
        let mut totals = vec![CommandStats::default(); self.commands];
        let _one_reader = self.readers.lock();
        match &self.counts {
            Counts::Off => {}
            Counts::Locked(locked) => locked.add_to(&mut totals),
            Counts::ThreadLocal(blocks) => blocks.add_to(&mut totals),
        }
        totals
    }

    /// The counts of one command. O(workers).
    pub fn command(&self, command: CommandId) -> CommandStats {
        let mut total = CommandStats::default();
        let _one_reader = self.readers.lock();
        match &self.counts {
            Counts::Off => {}
            Counts::Locked(locked) => locked.add_row_to(command, &mut total),
            Counts::ThreadLocal(blocks) => blocks.add_row_to(command, &mut total),
        }
        total
    }

    /// What counting has cost.
    pub fn cost(&self) -> StrategyCost {
        let mut cost = StrategyCost::new(self.strategy);
        let _one_reader = self.readers.lock();
        cost.workers = self.workers_alive.load(Relaxed);
        match &self.counts {
            Counts::Off => {}
            Counts::Locked(locked) => locked.add_cost_to(&mut cost),
            Counts::ThreadLocal(blocks) => blocks.add_cost_to(&mut cost),
        }
        cost
    }

    /// Counts from zero again (CONFIG RESETSTAT). A record is before the reset or after it as a whole, and what follows a
    /// record that is kept is kept. See [`WorkerMetrics::reset`] for a caller that is itself a worker.
    pub fn reset(&self) {
        let _one_reader = self.readers.lock();
        match &self.counts {
            Counts::Off => {}
            Counts::Locked(locked) => locked.reset(),
            Counts::ThreadLocal(blocks) => blocks.reset(),
        }
    }
}

impl WorkerMetrics {
    /// Counts an execution of `command` that took `nanos` nanoseconds.
    #[inline]
    pub fn record(&self, command: CommandId, nanos: u64, outcome: CallEnd) {
        match (&self.path, &self.metrics.counts) {
            (Path::ThreadLocal(writer), Counts::ThreadLocal(blocks)) => {
                writer.record(blocks, command, nanos, outcome, self.metrics.tracks_latency());
            }
            (Path::Locked { shard }, Counts::Locked(locked)) => {
                locked.record(*shard, command, nanos, outcome, self.metrics.tracks_latency());
            }
            _ => {}
        }
    }

    /// Counts a command that was refused before execution.
    #[inline]
    pub fn reject(&self, command: CommandId) {
        match (&self.path, &self.metrics.counts) {
            (Path::ThreadLocal(writer), Counts::ThreadLocal(blocks)) => {
                writer.reject(blocks, command, self.metrics.tracks_latency());
            }
            (Path::Locked { shard }, Counts::Locked(locked)) => locked.reject(*shard, command),
            _ => {}
        }
    }

    /// Makes what this worker has recorded visible to all readers. To be called at the end of each batch of commands, before its
    /// replies leave (and also if there are none to send), so that a client with its reply never finds it uncounted.
    #[inline]
    pub fn flush(&self) {
        if let (Path::ThreadLocal(writer), Counts::ThreadLocal(blocks)) = (&self.path, &self.metrics.counts) {
            writer.flush(blocks, self.metrics.tracks_latency());
        }
    }

    /// [`Metrics::snapshot`] with the commands that precede in this worker's batch.
    pub fn snapshot(&self) -> Vec<CommandStats> {
        self.flush();
        self.metrics.snapshot()
    }

    /// [`Metrics::reset`] that forgets the commands that precede in this worker's batch.
    pub fn reset(&self) {
        self.flush();
        self.metrics.reset();
    }

    /// What this worker records to.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}

impl Drop for WorkerMetrics {
    fn drop(&mut self) {
        self.flush();
        self.metrics.workers_alive.fetch_sub(1, Relaxed);
        if let (Path::ThreadLocal(writer), Counts::ThreadLocal(blocks)) = (&self.path, &self.metrics.counts) {
            blocks.depart(writer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_counts_nothing() {
        let metrics = Metrics::new(Strategy::Off, 2, 1, Clock::monotonic());
        let worker = metrics.worker();
        worker.record(CommandId(1), 5, CallEnd::Ok);
        worker.reject(CommandId(1));
        assert_eq!(worker.snapshot(), vec![CommandStats::default(); 2]);
        assert_eq!(metrics.cost(), StrategyCost { workers: 1, ..StrategyCost::new(Strategy::Off) });
    }

    /// The same calls give the same counts with each strategy that counts.
    fn check_each(run: impl Fn(&Arc<Metrics>, &WorkerMetrics)) {
        for strategy in [Strategy::Mutex, Strategy::Sharded, Strategy::ThreadLocal] {
            let metrics = Metrics::new(strategy, 3, 2, Clock::monotonic());
            let worker = metrics.worker();
            run(&metrics, &worker);
        }
    }

    #[test]
    fn a_worker_reads_its_own_batch() {
        check_each(|metrics, worker| {
            worker.record(CommandId(2), 1_000, CallEnd::Ok);
            worker.record(CommandId(2), 3_000, CallEnd::Failed);
            worker.reject(CommandId(0));
            let snapshot = worker.snapshot();
            assert_eq!((snapshot[2].calls, snapshot[2].usec(), snapshot[2].failed), (2, 4, 1));
            assert_eq!((snapshot[0].calls, snapshot[0].rejected), (0, 1));
            assert_eq!(snapshot[1], CommandStats::default());
            assert_eq!(metrics.command(CommandId(2)), snapshot[2]);
        });
    }

    #[test]
    fn a_worker_resets_its_own_batch() {
        check_each(|metrics, worker| {
            worker.record(CommandId(0), 1, CallEnd::Ok);
            worker.reset();
            worker.record(CommandId(1), 1, CallEnd::Ok);
            worker.flush();
            assert_eq!((metrics.command(CommandId(0)).calls, metrics.command(CommandId(1)).calls), (0, 1));
        });
    }

    #[test]
    fn latency_tracking_is_switched_while_running() {
        check_each(|metrics, worker| {
            worker.record(CommandId(0), 1, CallEnd::Ok);
            worker.flush();
            metrics.set_tracks_latency(false);
            worker.record(CommandId(0), 1, CallEnd::Ok);
            worker.flush();
            let stats = metrics.command(CommandId(0));
            assert_eq!((stats.calls, stats.histogram.count()), (2, 1));
        });
    }

    #[test]
    fn a_worker_that_ends_leaves_its_counts() {
        check_each(|metrics, _| {
            let short_lived = metrics.worker();
            short_lived.record(CommandId(0), 1, CallEnd::Ok);
            drop(short_lived);
            assert_eq!((metrics.command(CommandId(0)).calls, metrics.cost().workers), (1, 1));
        });
    }

    #[test]
    fn costs_name_the_shards() {
        let shards = |strategy, workers: usize| {
            let metrics = Metrics::new(strategy, 1, workers, Clock::monotonic());
            let workers: Vec<WorkerMetrics> = (0..3).map(|_| metrics.worker()).collect();
            workers.iter().for_each(|worker| worker.record(CommandId(0), 1, CallEnd::Ok));
            workers.iter().for_each(WorkerMetrics::flush);
            let cost = metrics.cost();
            (cost.shards, cost.shards_touched, cost.lock_acquisitions, cost.flushes)
        };
        assert_eq!(shards(Strategy::Mutex, 3), (1, 1, 3, 0));
        assert_eq!(shards(Strategy::Sharded, 2), (2, 2, 3, 0));
        assert_eq!(shards(Strategy::Sharded, 8), (8, 3, 3, 0));
        assert_eq!(shards(Strategy::ThreadLocal, 2), (3, 3, 0, 3));
    }
}
