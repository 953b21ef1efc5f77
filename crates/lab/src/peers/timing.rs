//! What takes time: each command's cost by depth of pipeline, and latencies at equal rates.
//!
//! All servers run side by side and are measured in turn, in another order each time, so that what slows the machine down for a
//! while slows all of them. Cost is processor time per request in a closed loop: on a machine that the generator shares, it says
//! more than the rate does. Latencies are those of an open loop, at the same rate for all: shares of what the slowest of them can
//! do, for at a rate that one of them cannot serve its queue grows without end.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustredis_testkit::{Random, process};

use super::commands::{self, ROWS, Row};
use super::raw::{Cost, Raw, Tail};
use super::subject::{Running, Subject};
use crate::load::{self, Generator, Load, Pace, Phase};
use crate::{machine, stats, trial, workloads};

/// Depths of pipeline at which commands are measured.
pub(super) const PIPELINES: [usize; 3] = [1, 16, 64];
/// Connections while latencies are measured.
pub(super) const TAIL_CLIENTS: [usize; 2] = [50, 1_000];
/// Rates, in hundredths of the slowest server's peak.
pub(super) const TAIL_PERCENTS: [u32; 3] = [30, 60, 80];
/// The load whose latencies are measured.
pub(super) const TAIL_WORKLOAD: &str = "uniform";
/// How often each server's peak is measured; the median counts.
const PEAK_ROUNDS: u32 = 3;
/// The share of a measurement that warms up.
const WARM_UP_SHARE: f64 = 0.2;
/// Share of the time that commands get; latencies have the rest.
const COST_SHARE: f64 = 0.65;
/// What connecting costs beside the measurement itself, in seconds per connection.
const CONNECT_SECONDS: f64 = 60e-6;
/// What a measurement costs beside that.
const OVERHEAD_SECONDS: f64 = 8e-3;
/// Shorter than this nothing is measured, longer is not needed; in seconds.
const SECONDS_MIN: f64 = 0.04;
const SECONDS_MAX: f64 = 3.0;
/// A machine that does much besides may not let a server run for as long as a short measurement takes: it is repeated, so
/// many times as long.
const LONGER: [f64; 3] = [1.0, 5.0, 25.0];
/// Requests that a connection of an open loop has under way at most; others wait in the generator, and count from their
/// intended time.
const OPEN_PIPELINE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);
const MEASURED: &str = "measured";

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// Repetitions.
    pub(super) rounds: u32,
    /// Connections while commands are measured.
    pub(super) clients: usize,
    /// Threads of the generator.
    pub(super) generators: usize,
    /// Seed of the order and of all that is drawn.
    pub(super) seed: u64,
}

/// Measures costs and latencies of all subjects within about `budget`. False if it was interrupted.
pub(super) fn measure(
    subjects: &[Subject],
    settings: Settings,
    budget: Duration,
    raw: &mut Raw,
    interrupted: &AtomicBool,
) -> Result<bool, String> {
    let started = Instant::now();
    let mut bench = Bench { servers: Vec::new(), settings, random: Random::new(settings.seed), interrupted };
    for subject in subjects {
        let running = subject.start()?;
        commands::fill(&running).map_err(|error| format!("{}: {error}", subject.name))?;
        bench.servers.push((subject.name.clone(), running));
    }
    let rows = bench.known_rows(raw)?;
    let left = budget.saturating_sub(started.elapsed()).as_secs_f64();
    let count = rows.len() * PIPELINES.len() * settings.rounds as usize;
    raw.cost_seconds = share(left * COST_SHARE, count, settings.clients as f64);
    let (busy, begun) = (bench.busy(), Instant::now());
    bench.costs(&rows, raw);
    let left = budget.saturating_sub(started.elapsed()).as_secs_f64();
    let peaks = PEAK_ROUNDS as usize * TAIL_CLIENTS.len();
    let rates = TAIL_PERCENTS.len() * TAIL_CLIENTS.len() * settings.rounds as usize;
    let clients = TAIL_CLIENTS.iter().sum::<usize>() as f64 / TAIL_CLIENTS.len() as f64;
    raw.tail_seconds = share(left, (peaks + rates) * subjects.len(), clients);
    bench.tails(raw);
    raw.foreign_cores = ((bench.busy() - busy) / begun.elapsed().as_secs_f64()).max(0.0);
    Ok(!interrupted.load(Relaxed))
}

/// Seconds of each of `count` measurements that together, with what is around them, take `seconds`.
fn share(seconds: f64, count: usize, clients: f64) -> f64 {
    let each = seconds / count.max(1) as f64 - OVERHEAD_SECONDS - CONNECT_SECONDS * clients;
    (each / (1.0 + WARM_UP_SHARE)).clamp(SECONDS_MIN, SECONDS_MAX)
}

struct Bench<'a> {
    servers: Vec<(String, Running)>,
    settings: Settings,
    random: Random,
    interrupted: &'a AtomicBool,
}

impl Bench<'_> {
    /// Pairs of a row and a server's index, for the servers that have the row's commands.
    fn known_rows(&self, raw: &mut Raw) -> Result<Vec<(&'static Row, usize)>, String> {
        let mut known = Vec::new();
        for row in ROWS {
            for (index, (name, server)) in self.servers.iter().enumerate() {
                if row.is_known(&mut server.client()?).map_err(|error| format!("{name}: {error}"))? {
                    known.push((row, index));
                } else {
                    raw.absent.push((name.clone(), row.name.to_owned()));
                }
            }
        }
        Ok(known)
    }

    /// Processor seconds of everybody but the servers and this process.
    fn busy(&self) -> f64 {
        let servers: f64 = self.servers.iter().map(|(_, server)| server.cpu().as_secs_f64()).sum();
        let own = process::cpu_time(std::process::id()).unwrap_or_default().as_secs_f64();
        machine::busy_seconds() - servers - own
    }

    /// The servers' indices in an order of this time.
    fn order(&mut self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.servers.len()).collect();
        for index in (1..order.len()).rev() {
            order.swap(index, self.random.below(index + 1));
        }
        order
    }

    fn costs(&mut self, rows: &[(&'static Row, usize)], raw: &mut Raw) {
        let seconds = raw.cost_seconds;
        let mut failed = BTreeSet::new();
        for round in 0..self.settings.rounds {
            for row in ROWS {
                for pipeline in PIPELINES {
                    for index in self.order() {
                        if self.interrupted.load(Relaxed) {
                            return;
                        }
                        let is_known = rows.iter().any(|(known, at)| known.name == row.name && *at == index);
                        if !is_known || failed.contains(&(row.name, index)) {
                            continue;
                        }
                        let load = Load {
                            clients: self.settings.clients,
                            pipeline,
                            mix: row.mix(),
                            keys: row.keys,
                            ..self.load(index, round)
                        };
                        let server = self.servers[index].0.clone();
                        match self.drive(index, &load, seconds) {
                            Ok((phase, cpu)) => raw.costs.push(Cost {
                                server,
                                command: row.name.to_owned(),
                                pipeline,
                                round,
                                cpu_us: cpu * 1e6 / phase.requests as f64,
                                rate: phase.rate(),
                                cores: cpu / phase.seconds,
                            }),
                            Err(reason) => {
                                failed.insert((row.name, index));
                                raw.failures.push(format!("{server}, {}: {reason}", row.name));
                            }
                        }
                    }
                }
            }
        }
    }

    fn tails(&mut self, raw: &mut Raw) {
        let workload = workloads::named(TAIL_WORKLOAD).expect("a workload of the lab's table");
        for clients in TAIL_CLIENTS {
            let mut peaks: Vec<Vec<f64>> = vec![Vec::new(); self.servers.len()];
            let load = |bench: &Self, index, round, pace| Load {
                clients,
                mix: workload.mix(),
                keys: workload.keys,
                spread: workload.spread,
                pace,
                ..bench.load(index, round)
            };
            for round in 0..PEAK_ROUNDS {
                for index in self.order() {
                    let peak = self.drive(index, &load(self, index, round, Pace::Closed), raw.tail_seconds);
                    peaks[index].extend(peak.map(|(phase, _)| phase.rate()));
                }
            }
            let peaks = peaks.iter().filter(|rates| !rates.is_empty()).map(|rates| stats::median(rates));
            let slowest = peaks.fold(f64::INFINITY, f64::min);
            for round in 0..self.settings.rounds {
                for percent in TAIL_PERCENTS {
                    let rate = slowest * f64::from(percent) / 100.0;
                    for index in self.order() {
                        if self.interrupted.load(Relaxed) || !rate.is_finite() {
                            return;
                        }
                        let server = self.servers[index].0.clone();
                        let load = load(self, index, round, Pace::Open(rate));
                        let load = Load { pipeline: OPEN_PIPELINE, ..load };
                        match self.drive(index, &load, raw.tail_seconds) {
                            Ok((phase, _)) => {
                                let span = trial::span(&phase);
                                let (p50_us, p99_us, p999_us) = (span.p50_us, span.p99_us, span.p999_us);
                                let late_p99_us = phase.late.value_at_quantile(0.99) as f64 / 1e3;
                                raw.tails.push(Tail {
                                    server,
                                    clients,
                                    percent,
                                    rate,
                                    round,
                                    p50_us,
                                    p99_us,
                                    p999_us,
                                    late_p99_us,
                                });
                            }
                            Err(reason) => raw
                                .failures
                                .push(format!("{server}, {clients} clients at {rate:.0}/s: {reason}")),
                        }
                    }
                }
            }
        }
    }

    /// A closed loop with one client on a server, to be changed.
    fn load(&self, index: usize, round: u32) -> Load {
        Load {
            address: self.servers[index].1.address(),
            clients: 1,
            threads: self.settings.generators,
            pipeline: 1,
            pace: Pace::Closed,
            mix: ROWS[0].mix(),
            keys: ROWS[0].keys,
            spread: Row::SPREAD,
            seed: self.settings.seed.wrapping_add(u64::from(round)),
            patience: PATIENCE,
            generator: Generator::default(),
        }
    }

    /// Drives the load; gives back the measured phase and the processor seconds that the server used in it. If nothing is
    /// answered in so short a time, then in a longer one.
    fn drive(&mut self, index: usize, load: &Load, seconds: f64) -> Result<(Phase, f64), String> {
        for times in LONGER {
            let (phase, cpu) = self.drive_once(index, load, seconds * times)?;
            if phase.requests > 0 {
                return Ok((phase, cpu));
            }
        }
        Err("no request was answered".to_owned())
    }

    fn drive_once(&mut self, index: usize, load: &Load, seconds: f64) -> Result<(Phase, f64), String> {
        let server = &mut self.servers[index].1;
        let mut cpu = (Duration::ZERO, Duration::ZERO);
        let figures = load::run(load, "warm-up", self.interrupted, |conductor| {
            if conductor.wait(Duration::from_secs_f64(seconds * WARM_UP_SHARE)) {
                cpu.0 = server.cpu();
                conductor.phase(MEASURED);
                conductor.wait(Duration::from_secs_f64(seconds));
                cpu.1 = server.cpu();
            }
        })?;
        if let Some(fault) = figures.fault {
            return Err(server.death().unwrap_or(fault));
        }
        let phase = figures.phases.into_iter().find(|phase| phase.name == MEASURED);
        let phase = phase.ok_or("it was interrupted")?;
        if let Some((text, _)) = figures.error_texts.iter().max_by_key(|(_, count)| **count) {
            return Err(format!("{} errors, most of them: {text}", phase.errors));
        }
        Ok((phase, cpu.1.saturating_sub(cpu.0).as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_shared_within_bounds() {
        let each = share(280.0, 2_000, 50.0);
        let whole = 2_000.0 * (each * (1.0 + WARM_UP_SHARE) + OVERHEAD_SECONDS + 50.0 * CONNECT_SECONDS);
        assert!((whole - 280.0).abs() < 1e-6, "{whole}");
        assert_eq!((share(1.0, 2_000, 50.0), share(1e6, 10, 50.0)), (SECONDS_MIN, SECONDS_MAX));
    }
}
