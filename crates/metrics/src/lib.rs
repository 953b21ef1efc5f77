//! How a command is counted, and how contention is measured.
//!
//! Counting can itself be where a server breaks under concurrency, so the way of counting is a choice (`--metrics`),
//! behind one interface, [`Metrics`] for readers and [`WorkerMetrics`] for the worker threads that execute commands:
//!
//! | strategy | who else writes where a worker writes | price of a record |
//! |---|---|---|
//! | `off` | nothing is written | a predicted branch |
//! | `mutex` | every other worker: one lock for all, the bottleneck on purpose | a lock, and its convoy |
//! | `sharded` | nobody: a lock for each *worker* | a lock that is free |
//! | `thread-local` | nobody, and by construction: no lock | plain moves |
//!
//! All count into the same rows (`block`), so they differ in nothing but how a thread comes to be a row's only
//! writer. What is common to all: counts are exact once the load has stopped, also while the workers sleep and after
//! they ended; readers add up on demand, on any thread; a reset forgets a record as a whole or not at all, and in one
//! step for all workers.
//!
//! Nanoseconds per record with its histogram, batches of 16 (`examples/record_cost.rs`; a VM with 2 cores of an AMD
//! EPYC, best of 5 runs; with 3 and 4 threads, processor time):
//!
//! | threads | 1 | 2 | 3 | 4 |
//! |---|---|---|---|---|
//! | `off` | 0.5 | 1.0 | 1.0 | 0.8 |
//! | `mutex` | 12.0 | 22.8 | 23.9 | 24.0 |
//! | `sharded` | 11.0 | 11.1 | 11.1 | 11.3 |
//! | `thread-local` | 3.5 | 3.6 | 3.5 | 3.5 |
//!
//! With two threads `mutex` spends 22.8 ns of wall time for each thread's record: two threads together count no
//! faster than one. Without histograms `thread-local` takes 2.6 ns; with batches of one, 5.3 ns. Two cores that are
//! busy with something else besides make all figures up to twice as large, and leave their order. A read of the
//! [`Clock`] costs 9 ns, so the two reads around a command cost more than counting it: a batch should use one
//! command's end as the next one's start.
//!
//! Besides: [`Contention`] for engines, [`Histogram`], what slow and large commands leave behind, [`CommandLog`] and
//! [`LatencyMonitor`], and [`Sample`] with its [`rows`], the form in which all subsystems tell what they have counted.
//!
//! ```
//! use rustredis_metrics::{Clock, CommandId, Metrics, CallEnd, Strategy};
//!
//! const GET: CommandId = CommandId(7);
//! let clock = Clock::start();
//! let metrics = Metrics::new(Strategy::ThreadLocal, 240, 4, clock);
//! let worker = metrics.worker(); // one for each worker thread
//! let started = clock.now();
//! // ... execute the command ...
//! worker.record(GET, clock.now().saturating_sub(started), CallEnd::Ok);
//! worker.flush(); // at the end of the batch, before the replies leave
//! assert_eq!(metrics.command(GET).calls, 1); // on any thread
//! ```

mod block;
mod choice;
mod clock;
mod command_log;
mod command_report;
mod contention;
mod histogram;
mod latency;
mod locked;
mod padded;
pub mod rows;
mod sample;
mod stats;
mod strategy;
mod sync;
mod thread_local;

pub use choice::{CallEnd, CommandId, Strategy, UnknownStrategy};
pub use clock::Clock;
pub use command_log::{
    COMMAND_LOG_ARGUMENT_BYTES_MAX, COMMAND_LOG_ARGUMENTS_MAX, CommandLog, CommandLogEntry,
};
pub use command_report::CommandReport;
pub use contention::{Contention, ContentionReport, HOT_SHARDS, HoldTimer, HotShard, Sharing, Stamp};
pub use histogram::{HISTOGRAM_MAX, Histogram};
pub use latency::{LATENCY_SAMPLES_MAX, LatencyMonitor, LatencySample, LatencySummary, LatestLatency};
pub use sample::{Sample, SampleField, SampleKind, SampleLabel, SampleValue, for_people};
pub use stats::{CommandStats, StrategyCost};
pub use strategy::{Metrics, WorkerMetrics};
