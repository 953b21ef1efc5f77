//! The time in which figures count, and what is told of it.
//!
//! **What measuring costs** is measured beside it: with lock waits measured, the window is cut into pieces in which they are and are
//! not, by turns, so that both see the same machine. The figures are of the pieces with measuring, and `measuring_costs` is the
//! throughput without it as a multiple of that with it.

use std::time::{Duration, Instant};

use rustredis_lab::usage::Used;
use serde_json::{Value, json};

use crate::counters;
use crate::work::{Plan, Shared};

/// Shards of the heat map: this many neighbours' sums.
const HEAT_COLUMNS: usize = 32;
/// Pieces with measuring, each behind one without.
const PIECES: u32 = 5;
/// A piece without measuring lasts so much of one with it.
const UNMEASURED_SHARE: f64 = 0.5;

/// A piece in which nothing was run goes on for so long: on a machine that does much else no thread may have had a core.
const PATIENCE: Duration = Duration::from_secs(5);

/// What has come together in some pieces.
struct Sums {
    seconds: f64,
    commands: Vec<u64>,
    usages: Vec<Used>,
}

impl Sums {
    fn new(threads: usize) -> Self {
        Self { seconds: 0.0, commands: vec![0; threads], usages: vec![Used::default(); threads] }
    }

    /// Lets the threads run for so long, and until they have run something, and adds what they did.
    fn add_piece(&mut self, shared: &Shared, seconds: f64) {
        let look = || -> Vec<(u64, Used)> {
            (0..self.commands.len()).map(|index| (shared.counted(index), shared.usage(index))).collect()
        };
        let (before, started) = (look(), Instant::now());
        std::thread::sleep(Duration::from_secs_f64(seconds));
        let mut after = look();
        let is_still = |after: &[(u64, Used)]| before.iter().zip(after).all(|(a, b)| a.0 == b.0);
        while is_still(&after) && started.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_secs_f64(seconds));
            after = look();
        }
        self.seconds += started.elapsed().as_secs_f64();
        for (index, ((count_before, usage_before), (count, usage))) in before.iter().zip(after).enumerate() {
            self.commands[index] += count - count_before;
            self.usages[index] += usage.since(*usage_before);
        }
    }

    fn rate(&self) -> f64 {
        self.commands.iter().sum::<u64>() as f64 / self.seconds
    }
}

/// Measures for as long as the plan says; the figures.
pub(crate) fn measure(shared: &Shared, plan: &Plan) -> Value {
    let mut sums = Sums::new(plan.threads);
    if !plan.measures_contention {
        sums.add_piece(shared, plan.seconds);
        return figures(shared, &sums);
    }
    let mut unmeasured = Sums::new(plan.threads);
    let counters = counters::start(plan.seconds * (1.0 + UNMEASURED_SHARE));
    let piece = plan.seconds / f64::from(PIECES);
    for _ in 0..PIECES {
        unmeasured.add_piece(shared, piece * UNMEASURED_SHARE);
        shared.engine.contention().set_enabled(true);
        sums.add_piece(shared, piece);
        shared.engine.contention().set_enabled(false);
    }
    let mut figures = figures(shared, &sums);
    figures["unmeasured_rate"] = json!(unmeasured.rate());
    if sums.rate() > 0.0 {
        figures["measuring_costs"] = json!(unmeasured.rate() / sums.rate());
    }
    for (name, value) in counters.map(counters::read).unwrap_or_default() {
        figures[name] = json!(value);
    }
    figures
}

fn figures(shared: &Shared, sums: &Sums) -> Value {
    let mut total = Used::default();
    sums.usages.iter().for_each(|usage| total += *usage);
    let threads = sums.usages.len();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let mut figures = json!({
        "commands": sums.commands.iter().sum::<u64>(),
        "seconds": sums.seconds,
        "cpu_seconds": total.cpu.as_secs_f64(),
        "queued_seconds": total.queued.as_secs_f64(),
        "queued_share": total.queued.as_secs_f64() / (sums.seconds * threads as f64),
        "switches_voluntary": total.yielded,
        "switches_involuntary": total.preempted,
        "threads_per_core": threads as f64 / cores as f64,
    });
    for (index, (commands, usage)) in sums.commands.iter().zip(&sums.usages).enumerate() {
        figures[format!("thread_{index}_commands")] = json!(commands);
        figures[format!("thread_{index}_cpu_seconds")] = json!(usage.cpu.as_secs_f64());
        figures[format!("thread_{index}_queued_seconds")] = json!(usage.queued.as_secs_f64());
        figures[format!("thread_{index}_switches_voluntary")] = json!(usage.yielded);
        figures[format!("thread_{index}_switches_involuntary")] = json!(usage.preempted);
    }
    contention(shared, &mut figures);
    figures
}

fn contention(shared: &Shared, figures: &mut Value) {
    let contention = shared.engine.contention();
    let report = contention.report();
    if report.acquisitions == 0 {
        return;
    }
    figures["lock_acquisitions"] = json!(report.acquisitions);
    figures["lock_contended"] = json!(report.contended);
    for (name, histogram) in [("lock_wait_ns", &report.wait), ("lock_hold_ns", &report.hold)] {
        figures[format!("{name}_p50")] = json!(histogram.percentile(50.0));
        figures[format!("{name}_p99")] = json!(histogram.percentile(99.0));
        figures[format!("{name}_p999")] = json!(histogram.percentile(99.9));
        figures[format!("{name}_max")] = json!(histogram.max());
    }
    let waits = contention.shard_wait_nanos();
    let width = waits.len().div_ceil(HEAT_COLUMNS).max(1);
    figures["shard_wait_ns"] = waits.chunks(width).map(|part| part.iter().sum::<u64>()).collect();
}
