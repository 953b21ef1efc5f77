//! Who could be starved: the waits of those who need more than others, or what others have all the time.
//!
//! Three cases: one writes a key that twenty read; one has a transaction over keys of hundreds of shards, which takes everything,
//! while twenty have single keys; four have transactions over keys of all threads, which on the actor engine are borrowed in turn.
//! Both sides run in closed loops, each with a thread of the generator to itself, so that the one's waits are not the other's
//! queue in the generator. On redis-server, where one thread serves everybody in turn, the same load shows what waiting for one's
//! turn alone costs. The longest wait is of a machine that does other things too, so p99.9 stands beside it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::cell::{Fairness, Measure};
use crate::load::{self, Conductor, Figures, Generator, Load, Mix, Pace, Spread};
use crate::machine;
use crate::target::{Programs, StartError};
use crate::trial::{self, Times};
use crate::usage::Used;

/// Clients that have single keys.
pub const OTHERS: usize = 20;
/// Keys of the transaction that takes everything: more shards than are locked one by one.
const EVERYTHING: usize = 300;
/// Keys of one that spans threads.
const SPANNING: usize = 8;
/// How often the others look whether the starved are done.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(5);
/// A wait is rare: it is looked for twice as long as a rate.
const TIMES_MEASURED: u32 = 2;
/// The others' part of a measurement.
pub const THEIRS: &str = "others";
/// The phase that counts.
pub const MEASURED: &str = "measured";

/// Somebody who may be starved, among others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// As cells name it.
    pub name: &'static str,
    /// For readers.
    pub title: &'static str,
    /// How many may be starved.
    pub clients: usize,
    /// Keys that are fought for.
    keys: usize,
    /// What the starved send: a SET, or a transaction over all keys.
    is_transaction: bool,
}

/// All of them.
pub const CASES: &[Case] = &[
    Case {
        name: "hot-writer",
        title: "SET of a key that 20 GET",
        clients: 1,
        keys: 1,
        is_transaction: false,
    },
    Case {
        name: "everything",
        title: "MULTI over 300 keys beside 20 with one key each",
        clients: 1,
        keys: EVERYTHING,
        is_transaction: true,
    },
    Case {
        name: "borrowers",
        title: "4 with MULTI over 8 keys beside 20 with one key each",
        clients: 4,
        keys: SPANNING,
        is_transaction: true,
    },
];

/// The case of this name.
pub fn named(name: &str) -> Option<&'static Case> {
    CASES.iter().find(|case| case.name == name)
}

impl Case {
    /// What those send who may be starved, one request each time.
    fn starved(&self) -> String {
        if !self.is_transaction {
            return "1 SET {key} {value:64}".to_owned();
        }
        let increments: Vec<String> = (0..self.keys).map(|key| format!("INCR counter:{key:012}")).collect();
        format!("1 MULTI ; {} ; EXEC", increments.join(" ; "))
    }

    /// What the others send.
    fn others(&self) -> &'static str {
        if self.is_transaction { "1 INCR {key:counter:}" } else { "1 GET {key}" }
    }

    fn load(
        &self,
        (address, generator): (SocketAddr, &Generator),
        mix: &str,
        clients: usize,
        seed: u64,
    ) -> Result<Load, String> {
        Ok(Load {
            address,
            clients,
            threads: 1,
            pipeline: 1,
            pace: Pace::Closed,
            mix: Mix::parse(mix, &[64])?,
            keys: self.keys as u64,
            spread: Spread::Uniform,
            seed,
            patience: PATIENCE,
            generator: generator.clone(),
        })
    }
}

/// What both sides have measured, in phases that begin and end together as well as two threads can.
#[derive(Debug, Clone)]
pub struct Waits {
    /// Of those who may be starved.
    pub starved: Figures,
    /// Of the others.
    pub others: Figures,
}

/// Measures a cell once. What counts is those who may be starved; the others stand beside, as a phase.
pub(crate) fn trial(
    cell: &Fairness,
    programs: &Programs,
    times: &Times,
    seed: u64,
    interrupted: &AtomicBool,
) -> Result<Measure, StartError> {
    let case = named(&cell.case).ok_or_else(|| trial::failed(format!("no case is called {}", cell.case)))?;
    let mut server = programs.start(&cell.setup)?;
    let mut used = Vec::new();
    let lasting = (times.warm_up, times.measured * TIMES_MEASURED);
    let target = (server.reach(), server.generator());
    let waits = measure(case, target, lasting, seed, interrupted, || {
        used.push((server.usage(), machine::busy_seconds()));
    });
    let waits = waits.map_err(|error| trial::or_death(&mut server, error))?;
    let theirs = trial::checked(&waits.others, &mut server)?.clone();
    let own = trial::checked(&waits.starved, &mut server)?.clone();
    let (Some((usage, busy)), Some((usage_end, busy_end))) = (used.first(), used.last()) else {
        return Err(trial::failed("it ended before it began"));
    };
    let mut measure = trial::summary(&waits.starved, &own);
    let others = trial::summary(&waits.others, &theirs);
    measure.generator_cores = trial::round(measure.generator_cores + others.generator_cores);
    measure.generator_busiest = measure.generator_busiest.max(others.generator_busiest);
    let Used { cpu, queued, yielded, preempted } = usage_end.since(usage);
    measure.server_cores = trial::round(cpu.as_secs_f64() / own.seconds);
    measure.server_queued_cores = trial::round(queued.as_secs_f64() / own.seconds);
    (measure.server_yielded, measure.server_preempted) = (yielded, preempted);
    // A generator on another machine takes none of this one.
    let ours = if server.has_far_generator() { 0.0 } else { measure.generator_cores };
    let foreign = (busy_end - busy) / own.seconds - measure.server_cores - ours;
    measure.foreign_cores = trial::round(foreign.max(0.0));
    measure.server_bytes = server.bytes();
    measure.more = BTreeMap::from([
        ("others_rate".to_owned(), trial::round(theirs.rate())),
        ("others_p999_us".to_owned(), others.main.p999_us),
        ("others_max_us".to_owned(), others.main.max_us),
    ]);
    measure.phases = vec![crate::cell::Span { name: THEIRS.to_owned(), ..others.main }];
    Ok(measure)
}

/// Runs both sides against the server at an address, from a generator: `warm_up`, then [`MEASURED`]. `at` is called when the latter begins and when it ends.
pub fn measure(
    case: &Case,
    target: (SocketAddr, &Generator),
    (warm_up, measured): (Duration, Duration),
    seed: u64,
    interrupted: &AtomicBool,
    mut at: impl FnMut(),
) -> Result<Waits, String> {
    let starved = case.load(target, &case.starved(), case.clients, seed)?;
    let others = case.load(target, case.others(), OTHERS, seed.wrapping_add(1))?;
    let is_over = AtomicBool::new(false);
    let is_measured = AtomicBool::new(false);
    let (starved, others) = std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            load::run(&others, "warm-up", interrupted, |conductor| {
                stay(conductor, &[&is_measured, &is_over]);
                conductor.phase(MEASURED);
                stay(conductor, &[&is_over]);
            })
        });
        let starved = load::run(&starved, "warm-up", interrupted, |conductor| {
            if conductor.wait(warm_up) {
                at();
                is_measured.store(true, Relaxed);
                conductor.phase(MEASURED);
                conductor.wait(measured);
                at();
            }
        });
        is_over.store(true, Relaxed);
        (starved, others.join())
    });
    let others = others.map_err(|_| "a thread of the generator panicked".to_owned())?;
    Ok(Waits { starved: starved?, others: others? })
}

/// Lets the load run until one of the flags is set.
fn stay(conductor: &Conductor<'_>, flags: &[&AtomicBool]) {
    while flags.iter().all(|flag| !flag.load(Relaxed)) {
        if !conductor.wait(LOOK_INTERVAL) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustredis_testkit::Server;

    #[test]
    fn every_case_is_measured_on_both_sides() {
        let server = Server::redis();
        let times = (Duration::from_millis(20), Duration::from_millis(150));
        for case in CASES {
            assert_eq!(named(case.name), Some(case));
            let mut calls = 0;
            let target = (server.address(), &Generator::default());
            let interrupted = AtomicBool::new(false);
            let waits = measure(case, target, times, 1, &interrupted, || calls += 1).unwrap();
            assert_eq!(calls, 2);
            for figures in [&waits.starved, &waits.others] {
                assert_eq!(figures.fault, None);
                assert!(figures.error_texts.is_empty(), "{:?}", figures.error_texts);
                let phase = figures.phase(MEASURED).unwrap();
                assert!(phase.requests > 0 && phase.latency.max() > 0, "{}", case.name);
            }
        }
        let sum: i64 = (0..EVERYTHING)
            .map(|key| server.client().call(&["GET", &format!("counter:{key:012}")]).text())
            .map(|text| text.parse::<i64>().unwrap())
            .sum();
        assert!(sum > EVERYTHING as i64, "{sum}");
    }

    #[test]
    fn a_transaction_is_one_request() {
        let mix = named("borrowers").unwrap().starved();
        assert_eq!(mix.matches("INCR").count(), SPANNING);
        assert_eq!(Mix::parse(&mix, &[64]).unwrap().len(), 1);
    }
}
