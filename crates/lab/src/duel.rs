//! Two servers under the same load, in turn: `compare HOST:PORT HOST:PORT`.
//!
//! Throughput and processor time come from the closed loop. Latencies come from the open loop at a rate that both are asked
//! for, a share of the slower one's throughput: a closed loop asks the faster server for more, and its latency is the inverse
//! of its throughput.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustredis_testkit::Random;

use crate::claims::finding::times_interval;
use crate::compare::CompareArgs;
use crate::load::{self, Figures, Load, Pace};
use crate::placement::resolve;
use crate::rules::Rules;
use crate::stats::{self, Interval, Key};
use crate::usage::{self, Usage};
use crate::workloads::{self, Workload};

/// The share of the slower server's throughput that both are asked for, if no rate is given.
const LOAD_SHARE: f64 = 0.6;
/// Requests that a connection of an open loop has under way at most.
const OPEN_PIPELINE: usize = 16;
/// The share of a measurement that warms up before.
const WARM_UP: f64 = 0.2;

/// One server's figures, by rounds.
#[derive(Debug, Default)]
struct Series {
    rates: Vec<(Key, f64)>,
    cpus: Vec<(Key, f64)>,
    p50s: Vec<(Key, f64)>,
    p99s: Vec<(Key, f64)>,
    p999s: Vec<(Key, f64)>,
    /// The greatest share of requests that were sent late.
    late: f64,
}

/// A server that runs already.
#[derive(Debug)]
struct Side<'a> {
    name: &'a str,
    address: SocketAddr,
    pid: Option<u32>,
    series: Series,
}

/// Prints the comparison.
pub fn run(args: &CompareArgs, interrupted: &AtomicBool) -> Result<bool, String> {
    let workload =
        workloads::named(&args.workload).ok_or_else(|| format!("no workload is called {}", args.workload))?;
    if args.a == args.b {
        return Err("A and B are the same server".to_owned());
    }
    let mut sides = Vec::new();
    for name in [&args.a, &args.b] {
        let address = resolve(name)?;
        workload.fill(address)?;
        sides.push(Side { name, address, pid: usage::local_pid(address), series: Series::default() });
    }
    let mut random = Random::new(args.seed);
    rounds(args, workload, Pace::Closed, &mut sides, &mut random, interrupted)?;
    let medians = sides.iter().map(|side| stats::median(&values(&side.series.rates)));
    let rate = args.rate.unwrap_or_else(|| LOAD_SHARE * medians.fold(f64::INFINITY, f64::min));
    rounds(args, workload, Pace::Open(rate), &mut sides, &mut random, interrupted)?;
    tell(&sides, rate);
    Ok(true)
}

fn rounds(
    args: &CompareArgs,
    workload: &Workload,
    pace: Pace,
    sides: &mut [Side<'_>],
    random: &mut Random,
    interrupted: &AtomicBool,
) -> Result<(), String> {
    let generator = args.generator.resolve()?;
    for round in 0..args.rounds {
        let first = random.below(2);
        for index in [first, 1 - first] {
            let side = &mut sides[index];
            let pipeline = if pace == Pace::Closed { args.pipeline.max(1) } else { OPEN_PIPELINE };
            let load = Load {
                address: side.address,
                clients: args.clients.max(1),
                threads: args.threads.max(1),
                pipeline,
                pace,
                mix: workload.mix(),
                keys: workload.keys,
                spread: workload.spread,
                seed: args.seed.wrapping_add(u64::from(round)),
                patience: Duration::from_secs(5),
                generator: generator.clone(),
            };
            let mut used = None;
            let figures = load::run(&load, "warm-up", interrupted, |conductor| {
                if conductor.wait(Duration::from_secs_f64(args.seconds * WARM_UP)) {
                    conductor.phase("measured");
                    let before = side.pid.map(Usage::of);
                    conductor.wait(Duration::from_secs_f64(args.seconds));
                    used = before.zip(side.pid).map(|(before, pid)| Usage::of(pid).since(&before));
                }
            })?;
            side.note(round, pace, &figures, used.map(|used| used.cpu))?;
        }
    }
    Ok(())
}

impl Side<'_> {
    fn note(
        &mut self,
        round: u32,
        pace: Pace,
        figures: &Figures,
        cpu: Option<Duration>,
    ) -> Result<(), String> {
        if let Some(fault) = &figures.fault {
            return Err(format!("{}: {fault}", self.name));
        }
        let phase = figures.phase("measured").ok_or("interrupted")?;
        if figures.phases.iter().any(|phase| phase.misses > 0) {
            return Err(format!("{}: it did not find keys that had been written", self.name));
        }
        if figures.phases.iter().any(|phase| phase.errors > 0) {
            return Err(format!("{}: errors: {:?}", self.name, figures.error_texts));
        }
        let us = |quantile: f64| phase.latency.value_at_quantile(quantile) as f64 / 1e3;
        if pace == Pace::Closed {
            self.series.rates.push(((0, round), phase.rate()));
            let per_request = cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / phase.requests.max(1) as f64);
            self.series.cpus.extend(per_request.map(|us| ((0, round), us)));
        } else {
            self.series.p50s.push(((0, round), us(0.5)));
            self.series.p99s.push(((0, round), us(0.99)));
            self.series.p999s.push(((0, round), us(0.999)));
            self.series.late = self.series.late.max(phase.late_share());
        }
        Ok(())
    }
}

fn values(series: &[(Key, f64)]) -> Vec<f64> {
    series.iter().map(|(_, value)| *value).collect()
}

/// Fewest rounds whose interval holds the median as often as it says.
const ROUNDS_MIN: usize = 6;
const TOO_FEW: &str = "too few rounds";

/// What an interval shows: an end on the other side of 1 is no proof that there is no difference.
fn verdict(found: &Interval) -> &'static str {
    let tenth = Rules::frozen().limits.difference;
    if found.count < ROUNDS_MIN {
        TOO_FEW
    } else if found.low > 1.0 {
        "B is greater"
    } else if found.high < 1.0 {
        "A is greater"
    } else if found.low > 1.0 / tenth && found.high < tenth {
        "no difference of a tenth"
    } else {
        "undecided"
    }
}

fn tell(sides: &[Side<'_>], rate: f64) {
    let [a, b] = sides else { return };
    let line = |name: &str, unit: &str, figure: fn(&Series) -> &Vec<(Key, f64)>| {
        let (of_a, of_b) = (figure(&a.series), figure(&b.series));
        if of_a.is_empty() || of_b.is_empty() {
            println!("{name}: not known of a server on another machine");
            return;
        }
        let found = stats::ratio(of_b, of_a);
        let verdict = found.map_or(TOO_FEW, |found| verdict(&found));
        let [median_a, median_b] = [of_a, of_b].map(|of| stats::median(&values(of)));
        println!(
            "{name}: A {median_a:.2}, B {median_b:.2} {unit}; B against A {} : {verdict}",
            times_interval(found)
        );
    };
    line("throughput", "requests/s", |series| &series.rates);
    line("server's processor time per request", "us", |series| &series.cpus);
    println!("in the open loop, both at {rate:.0} requests/s:");
    line("p50", "us", |series| &series.p50s);
    line("p99", "us", |series| &series.p99s);
    line("p99.9", "us", |series| &series.p999s);
    for side in sides.iter().filter(|side| side.series.late >= crate::cell::SENT_LATE) {
        println!(
            "{}: up to {:.1}% of the requests were sent more than a millisecond late: the latencies are the generator's, too",
            side.name,
            side.series.late * 100.0
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_shown_is_said() {
        let of = |low, high, count| verdict(&Interval { low, median: f64::midpoint(low, high), high, count });
        assert_eq!(of(0.99, 0.99, 1), "too few rounds");
        assert_eq!(of(0.5, 2.0, 7), "undecided");
        assert_eq!(of(0.97, 1.04, 7), "no difference of a tenth");
        assert_eq!((of(1.02, 1.3, 7), of(0.5, 0.9, 7)), ("B is greater", "A is greater"));
    }
}
