//! A run that never was: every cell of the plan with figures drawn by a seed, for tests of what is made from a run's data.
//!
//! Servers differ by factors that are known, rounds by a few percent, so that a test can say which verdict must come out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rustredis_testkit::Random;

use crate::cell::{Cell, Measure, RATE, Span, Trial, TrialEnd};
use crate::data::{Data, Session, Settings};
use crate::load::figures::latency_histogram;
use crate::plan::{Matrix, Scale, schedule};
use crate::rules::{Claim, Rules};
use crate::trial::encode;

/// How far rounds lie apart: the standard deviation of a figure's logarithm.
const SPREAD: f64 = 0.02;
/// Requests of a made-up measurement.
const REQUESTS: u64 = 10_000;

/// A run of these sessions on a machine of two cores. `factor` says how many times as much a server's requests cost, by its
/// label.
pub fn run(directory: PathBuf, sessions: u32, factor: impl Fn(&str) -> f64) -> Data {
    let matrix = Matrix {
        scale: Scale::Quick,
        cores: 2,
        engines: ["mutex", "dashmap", "actor", "lockfree"].map(str::to_owned).to_vec(),
        has_valkey: false,
        is_generator_elsewhere: false,
    };
    let rules = Rules::frozen();
    let planned = matrix.plan(&rules.claims.iter().collect::<Vec<&Claim>>());
    let settings = Settings {
        lab: "made up".to_owned(),
        rules: rules.hash.clone(),
        seed: 1,
        machine: vec![("machine".to_owned(), "none: the figures are made up".to_owned())],
        versions: Vec::new(),
        sessions: Vec::new(),
        cells: planned.iter().map(|planned| (planned.cell.id(), planned.cell.clone())).collect(),
        matrix,
    };
    let mut data = Data { directory, settings, trials: Vec::new() };
    let mut random = Random::new(1);
    for session in 0..sessions {
        let seed = u64::from(session) + 1;
        data.settings.sessions.push(Session { seed, ..Session::default() });
        for (cell, round) in schedule(&planned, &data.settings.matrix, seed) {
            if cell.peak().is_some() && data.settings.sessions[session as usize].peaks.is_empty() {
                data.find_peaks(session);
            }
            let label = cell.setup().map_or_else(|| cell.id(), |setup| setup.label.clone());
            let noise = (SPREAD * normal(&mut random)).exp();
            let outcome = TrialEnd::Measured(Box::new(measure(
                &cell,
                factor(&label) * noise,
                data.rate(&cell, session),
            )));
            let unix_ms = data.trials.len() as u64 * 1_000;
            data.trials.push(Trial { cell: cell.id(), session, round, unix_ms, outcome });
        }
    }
    data
}

/// A request that costs `cost` microseconds.
fn measure(cell: &Cell, cost: f64, rate: Option<f64>) -> Measure {
    let closed = 5e5 / cost;
    let mut histogram = latency_histogram();
    for index in 1..=REQUESTS {
        let share = index as f64 / (REQUESTS + 1) as f64;
        histogram.saturating_record((-(1.0 - share).ln() * cost * 5e4) as u64);
    }
    let us = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
    let span = Span {
        name: "measured".to_owned(),
        seconds: 1.0,
        requests: rate.unwrap_or(closed) as u64,
        rate: rate.unwrap_or(closed),
        p50_us: us(0.5),
        p99_us: us(0.99),
        p999_us: us(0.999),
        max_us: us(1.0),
        histogram: encode(&histogram),
        ..Span::default()
    };
    let mut more = BTreeMap::from([("keys".to_owned(), 1e5)]);
    more.extend(rate.map(|rate| (RATE.to_owned(), rate)));
    let mut measure = Measure {
        server_cores: cost * span.rate / 1e6,
        generator_cores: 0.4,
        generator_busiest: 0.4,
        server_bytes: 20_000_000,
        slices: (0..21).map(|index| (1_000 + index, us(0.99), us(1.0))).collect(),
        more,
        main: span.clone(),
        ..Measure::default()
    };
    match cell {
        Cell::Snapshot(_) => {
            let names = ["before", "BGSAVE", "after", "BGREWRITEAOF", "after"];
            measure.phases = names
                .iter()
                .enumerate()
                .map(|(index, name)| Span { name: (*name).to_owned(), start: index as f64, ..span.clone() })
                .collect();
        }
        Cell::InProcess(cell) if cell.contention => {
            let figures =
                [("lock_acquisitions", 1e6), ("lock_contended", 1e4 * cost), ("lock_wait_ns_p999", 900.0)];
            measure.more.extend(figures.map(|(name, value)| (name.to_owned(), value)));
            measure.shard_wait_ns = (0..32).map(|index| f64::from(index) * 1e5 * cost).collect();
        }
        _ => {}
    }
    measure
}

/// Box and Muller (1958).
pub fn normal(random: &mut Random) -> f64 {
    let uniform = |random: &mut Random| (random.below(1 << 30) as f64 + 0.5) / f64::from(1 << 30);
    (-2.0 * uniform(random).ln()).sqrt() * (2.0 * std::f64::consts::PI * uniform(random)).cos()
}
