//! `bench`: a single load on a server that runs already.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::cell::{GENERATOR_BOUND, SENT_LATE, Span};
use crate::cpus::{Cpus, Pinned};
use crate::load::{self, Figures, Load, Mix, Pace, Phase, Spread, trace};
use crate::placement::{GeneratorArgs, resolve};
use crate::usage::{self, Usage, Used};
use crate::workloads;

/// Options of `bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// The server; any that speaks Redis's protocol
    #[arg(long, value_name = "HOST:PORT")]
    pub target: String,
    /// Connections
    #[arg(long, short, default_value_t = 50)]
    pub clients: usize,
    /// Threads of the generator
    #[arg(long, short, default_value_t = 1)]
    pub threads: usize,
    /// Requests under way per connection
    #[arg(long, short = 'P', default_value_t = 1)]
    pub pipeline: usize,
    /// Open loop: so many requests a second, latency counted from the intended send time. Without it: closed loop
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub rate: Option<f64>,
    /// How long figures count, in seconds
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    pub seconds: f64,
    /// How long they do not count before, in seconds
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    pub warm_up: f64,
    /// A workload of the lab by name: its mix, keys and sizes
    #[arg(long, value_name = "NAME", conflicts_with_all = ["mix", "trace"])]
    pub workload: Option<String>,
    /// A file of operations: a weight and commands on each line, for example `80 GET {key}`
    #[arg(long, value_name = "FILE", conflicts_with = "trace")]
    pub mix: Option<PathBuf>,
    /// A recorded MONITOR trace to replay in its order
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Keys: uniform, zipf:EXPONENT, hot:KEYS:REQUESTS (shares), one
    #[arg(long, default_value = "uniform")]
    pub spread: Spread,
    /// Number of keys
    #[arg(long, default_value_t = 100_000)]
    pub keys: u64,
    /// Value sizes in bytes, all equally likely: 64 or 64,1024,16384
    #[arg(long, value_delimiter = ',', default_value = "64")]
    pub value_size: Vec<usize>,
    /// Do not write the keys before
    #[arg(long)]
    pub no_fill: bool,
    /// Seed of everything that is drawn
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write the figures as JSON
    #[arg(long)]
    pub json: bool,
    /// Hold the server's threads on these processors while it is measured, if it runs on this machine: 0,2-5
    #[arg(long, value_name = "CPUS")]
    pub pin_server: Option<Cpus>,
    /// Where the generator runs.
    #[command(flatten)]
    pub generator: GeneratorArgs,
}

/// Longest measurement: a week, in seconds.
const SECONDS_MAX: f64 = 604_800.0;
/// Highest rate of an open loop: gaps of a nanosecond.
const RATE_MAX: f64 = 1e9;

/// Reads how long something is measured: what is no time would end as a panic amid a load.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=SECONDS_MAX).contains(number));
    number.ok_or_else(|| format!("a number from 0 to {SECONDS_MAX}"))
}

/// Reads requests a second.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && *number <= RATE_MAX);
    number.ok_or_else(|| format!("requests a second, more than 0 and at most {RATE_MAX}"))
}

const DEFAULT_MIX: &str = "80 GET {key}\n20 SET {key} {value}";

/// Runs the load and prints its figures; false if there were errors.
pub fn run(args: &BenchArgs, interrupted: &AtomicBool) -> Result<bool, String> {
    let load = prepare(args)?;
    let pid = usage::local_pid(load.address);
    let _pinned = match (&args.pin_server, pid) {
        (Some(cpus), Some(pid)) => Some(Pinned::new(pid, cpus)?),
        (Some(_), None) => return Err("--pin-server: the server does not run here".to_owned()),
        (None, _) => None,
    };
    let mut used = None;
    let figures = load::run(&load, "warm-up", interrupted, |conductor| {
        if conductor.wait(Duration::from_secs_f64(args.warm_up)) {
            conductor.phase("measured");
            let before = pid.map(Usage::of);
            conductor.wait(Duration::from_secs_f64(args.seconds));
            used = before.zip(pid).map(|(before, pid)| Usage::of(pid).since(&before));
        }
    })?;
    if let Some(fault) = &figures.fault {
        return Err(fault.clone());
    }
    let phase = figures.phase("measured").ok_or("ended before the warm-up did")?;
    if args.json {
        println!("{}", as_json(&figures, phase, used));
    } else {
        print!("{}", as_text(&figures, phase, load.pace, used));
    }
    let errors: u64 = figures.phases.iter().map(|phase| phase.errors).sum();
    // A mix of somebody's own may delete keys, and a trace read what was never there.
    let has_lost = !args.no_fill
        && args.mix.is_none()
        && args.trace.is_none()
        && figures.phases.iter().any(|phase| phase.misses > 0);
    if has_lost {
        eprintln!("keys that were written before were not found");
    }
    Ok(errors == 0 && !has_lost && !interrupted.load(Relaxed))
}

fn prepare(args: &BenchArgs) -> Result<Load, String> {
    let address = resolve(&args.target)?;
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let named = match &args.workload {
        Some(name) => Some(workloads::named(name).ok_or_else(|| {
            let names: Vec<&str> = workloads::WORKLOADS.iter().map(|workload| workload.name).collect();
            format!("no workload is called {name}; there are {}", names.join(", "))
        })?),
        None => None,
    };
    let mix = match (named, &args.mix, &args.trace) {
        (Some(workload), ..) => workload.mix(),
        (_, Some(path), _) => Mix::parse(&read(path)?, &args.value_size)?,
        (_, _, Some(path)) => {
            let trace = trace::parse(&read(path)?)?;
            eprintln!("{} commands, {} lines left out", trace.commands.len(), trace.left_out);
            Mix::sequence(&trace.commands)?
        }
        _ => Mix::parse(DEFAULT_MIX, &args.value_size)?,
    };
    // What somebody else has written may have other lengths.
    let mix = if args.no_fill { mix.with_any_length() } else { mix };
    let (keys, spread) = named.map_or((args.keys, args.spread), |workload| (workload.keys, workload.spread));
    if !args.no_fill && args.trace.is_none() {
        match named {
            Some(workload) => workload.fill(address)?,
            None => workloads::fill(address, keys, args.value_size[0])?,
        }
    }
    Ok(Load {
        address,
        clients: args.clients.max(1),
        threads: args.threads.max(1),
        pipeline: args.pipeline.max(1),
        pace: args.rate.map_or(Pace::Closed, Pace::Open),
        mix,
        keys,
        spread,
        seed: args.seed,
        patience: Duration::from_secs(5),
        generator: args.generator.resolve()?,
    })
}

fn as_json(figures: &Figures, phase: &Phase, used: Option<Used>) -> serde_json::Value {
    let busiest = phase.generator_cpu.iter().copied().fold(0.0, f64::max);
    let Span { rate, p50_us, p99_us, p999_us, max_us, requests, seconds, histogram, .. } =
        crate::trial::span(phase);
    let late_us = |quantile: f64| phase.late.value_at_quantile(quantile) as f64 / 1e3;
    let per_second = |time: Duration| time.as_secs_f64() / phase.seconds.max(1e-9);
    let server = used.map(|used| {
        json!({
            "cores": per_second(used.cpu), "queued_cores": per_second(used.queued),
            "us_per_request": used.cpu.as_secs_f64() * 1e6 / phase.requests.max(1) as f64,
            "yielded": used.yielded, "preempted": used.preempted,
        })
    });
    json!({
        "requests": requests, "seconds": seconds, "rate": rate, "errors": phase.errors, "misses": phase.misses,
        "mean_us": phase.latency.mean() / 1e3, "p50_us": p50_us, "p99_us": p99_us, "p999_us": p999_us,
        "max_us": max_us, "unfinished": figures.unfinished, "generator_cpu": phase.generator_cpu,
        "is_generator_bound": busiest >= GENERATOR_BOUND, "error_texts": figures.error_texts,
        "histogram": histogram, "in_flight": figures.in_flight, "held": phase.held, "server": server,
        "late_p50_us": late_us(0.5), "late_p99_us": late_us(0.99), "late_max_us": late_us(1.0),
        "late_share": phase.late_share(),
    })
}

fn as_text(figures: &Figures, phase: &Phase, pace: Pace, used: Option<Used>) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{:.0} requests/s: {} in {:.2} s", phase.rate(), phase.requests, phase.seconds);
    let _ = writeln!(out, "{} errors, {} reads of keys that were not there", phase.errors, phase.misses);
    for (text, count) in &figures.error_texts {
        let _ = writeln!(out, "  {count} x {text}");
    }
    let from = if pace == Pace::Closed { "sending" } else { "the intended send time" };
    let _ = writeln!(out, "latency in ms, from {from}:");
    for (name, quantile) in
        [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)]
    {
        let _ = writeln!(out, "  {name:<7}{:>10.3}", phase.latency.value_at_quantile(quantile) as f64 / 1e6);
    }
    let _ = writeln!(out, "{} requests were under way at the end, and were answered", figures.in_flight);
    if pace != Pace::Closed {
        let ms = |quantile: f64| phase.late.value_at_quantile(quantile) as f64 / 1e6;
        let _ = writeln!(
            out,
            "sent late by (ms): p50 {:.3}, p99 {:.3}, max {:.3}; {:.2}% by more than 1 ms",
            ms(0.5),
            ms(0.99),
            ms(1.0),
            phase.late_share() * 100.0
        );
        if phase.late_share() >= SENT_LATE {
            let _ = writeln!(out, "the generator was late: the latencies are its own, too");
        }
        let _ = writeln!(
            out,
            "{} requests found no room on their connection when they were due; {} had not at the end",
            phase.held, figures.unfinished
        );
    }
    if let Some(used) = used {
        let per_second = |time: Duration| time.as_secs_f64() / phase.seconds.max(1e-9);
        let _ = writeln!(
            out,
            "the server used {:.2} cores, {:.2} us per request; {:.2} threads waited for a core; \
             {} switches to wait, {} by preemption",
            per_second(used.cpu),
            used.cpu.as_secs_f64() * 1e6 / phase.requests.max(1) as f64,
            per_second(used.queued),
            used.yielded,
            used.preempted
        );
    }
    let shares: Vec<String> =
        phase.generator_cpu.iter().map(|share| format!("{:.0}%", share * 100.0)).collect();
    let _ = writeln!(out, "the generator's threads used {} of a processor", shares.join(", "));
    if phase.generator_cpu.iter().any(|share| *share >= GENERATOR_BOUND) {
        let _ = writeln!(out, "the generator was the bottleneck: the server can do more than this");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_and_rates_are_taken_for_them() {
        for wrong in ["nan", "inf", "-1", "1e300", "five", ""] {
            assert!(seconds(wrong).is_err() && rate(wrong).is_err(), "{wrong}");
        }
        assert_eq!((seconds("0"), seconds("0.5"), rate("1e5")), (Ok(0.0), Ok(0.5), Ok(1e5)));
        assert!(rate("0").is_err());
    }
}
