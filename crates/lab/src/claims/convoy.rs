//! Claim 2: a global lock makes a convoy: throughput collapses and p99 explodes as clients grow.

use crate::cell::{Cell, InProcess, Measure};
use crate::claims::bounds::{generator_bound, too_few_cores};
use crate::claims::draw;
use crate::claims::finding::{Finding, Limit, Part, fit_words, overall};
use crate::data::Data;
use crate::plan::{Matrix, Planned};
use crate::report::chart::{Axis, Chart, Drawing, Point, Series};
use crate::stats::usl::{self, Fit};

const SPREADS: &[&str] = &["uniform", "zipf-0.99", "zipf-1.2", "one-key"];
/// Engines whose locks are looked at.
const LOCKED: &[&str] = &["mutex", "dashmap"];
/// Lowest throughput that is no collapse, against the best.
const COLLAPSE: f64 = 0.7;

/// The engine alone with one command a batch, nothing counted.
pub(super) fn alone(engine: &str, threads: usize, workload: &str, contention: bool) -> Cell {
    Cell::InProcess(InProcess {
        engine: engine.to_owned(),
        metrics: "off".to_owned(),
        threads,
        workload: workload.to_owned(),
        batch: 1,
        contention,
    })
}

pub(super) fn cells(matrix: &Matrix) -> Vec<Planned> {
    let mut cells = Vec::new();
    for engine in &matrix.engines {
        for clients in matrix.clients() {
            let cell = matrix.tcp(&matrix.engine(engine), "uniform", *clients, 1);
            cells.push(Planned { cell, rounds: matrix.rounds() });
        }
        for threads in matrix.threads() {
            cells.push(Planned { cell: alone(engine, threads, "uniform", false), rounds: matrix.rounds() });
        }
    }
    for engine in LOCKED {
        for spread in SPREADS {
            cells.push(Planned {
                cell: alone(engine, 2 * matrix.cores, spread, true),
                rounds: matrix.rounds_few(),
            });
        }
    }
    cells
}

pub(super) fn answer(data: &Data) -> Finding {
    let matrix = &data.settings.matrix;
    let cell = |clients| matrix.tcp(&matrix.engine("mutex"), "uniform", clients, 1);
    let rate = |measure: &Measure| measure.main.rate;
    let p99 = |measure: &Measure| measure.main.p99_us;
    let bound = generator_bound(data, &[&cell(50), &cell(1_000)]);
    let hidden = || bound.clone().or_else(|| too_few_cores(data));
    let threads = matrix.threads();
    let most = threads.last().copied().unwrap_or(4);
    let parts = vec![
        Part::ratio(
            "TCP: throughput at 1000 clients against 50",
            "collapses",
            data.ratio(&cell(1_000), &cell(50), rate),
            Limit::AtMost(COLLAPSE),
        )
        .unless_hidden(hidden()),
        Part::ratio(
            "TCP: p99 at 1000 clients against 50 (20 times the clients in a closed loop wait 20 times as long without any convoy)",
            "explodes",
            data.ratio(&cell(1_000), &cell(50), p99),
            Limit::AtLeast(25.0),
        )
        .unless_hidden(hidden()),
        Part::ratio(
            &format!("In process: throughput of {most} threads against 1, global lock"),
            "collapses",
            data.ratio(&alone("mutex", most, "uniform", false), &alone("mutex", 1, "uniform", false), rate),
            Limit::AtMost(COLLAPSE),
        ),
        Part::ratio(
            &format!("In process: throughput of {most} threads against 1, sharded locks"),
            "–",
            data.ratio(&alone("dashmap", most, "uniform", false), &alone("dashmap", 1, "uniform", false), rate),
            Limit::AtLeast(1.0),
        )
        .informs(),
        Part::ratio(
            "In process: the share of lock acquisitions that waited, global against sharded locks",
            "–",
            data.ratio(
                &alone("mutex", 2 * matrix.cores, "uniform", true),
                &alone("dashmap", 2 * matrix.cores, "uniform", true),
                contended_share,
            ),
            Limit::AtLeast(1.0),
        )
        .informs(),
    ];
    let fits: Vec<(String, Result<Fit, String>)> =
        matrix.engines.iter().map(|engine| (engine.clone(), fit(data, engine))).collect();
    let mut notes: Vec<String> = fits
        .iter()
        .map(|(engine, fit)| {
            format!("Universal Scalability Law over threads in process, {engine}: {}.", fit_words(fit))
        })
        .collect();
    notes.push(format!(
        "More threads than the {} cores add nothing that the law is about; such points are fitted all the same and drawn.",
        matrix.cores
    ));
    notes.extend(LOCKED.iter().filter_map(|engine| wait_words(data, engine)));
    notes.extend(LOCKED.iter().filter_map(|engine| counter_words(data, engine)));
    Finding {
        number: 2,
        title: "The lock convoy".to_owned(),
        claim: "A global lock makes a convoy: throughput collapses and p99 explodes as clients grow."
            .to_owned(),
        verdict: overall(&parts),
        summary: summary(data, most),
        parts,
        charts: vec![scaling(data, &fits), heat(data)],
        notes,
    }
}

fn contended_share(measure: &Measure) -> f64 {
    let figure = |name: &str| measure.more.get(name).copied().unwrap_or(0.0);
    figure("lock_contended") / figure("lock_acquisitions").max(1.0)
}

fn summary(data: &Data, most: usize) -> String {
    let rate = |measure: &Measure| measure.main.rate;
    let found = |engine| {
        let ratio =
            data.ratio(&alone(engine, most, "uniform", false), &alone(engine, 1, "uniform", false), rate)?;
        Some(ratio.median)
    };
    match (found("mutex"), found("dashmap")) {
        (Some(mutex), Some(dashmap)) => format!(
            "Without a network {most} threads do {:.0}% of one thread's work behind the global lock, and {:.0}% behind sharded locks.",
            mutex * 100.0,
            dashmap * 100.0
        ),
        _ => "The engines were not measured without a network.".to_owned(),
    }
}

fn wait_words(data: &Data, engine: &str) -> Option<String> {
    let cell = alone(engine, 2 * data.settings.matrix.cores, "uniform", true);
    let of = |name: &str| {
        data.interval(&cell, |measure| measure.more.get(name).copied().unwrap_or(0.0))
            .map(|found| found.median)
    };
    let share = data.interval(&cell, contended_share)?.median * 100.0;
    Some(format!(
        "{engine}, {} threads in process, uniform keys: {share:.2}% of acquisitions waited; wait p99.9 {:.0} ns, longest {:.0} µs; \
         held for {:.0} ns (p50), {:.0} ns (p99).",
        2 * data.settings.matrix.cores,
        of("lock_wait_ns_p999")?,
        of("lock_wait_ns_max")? / 1e3,
        of("lock_hold_ns_p50")?,
        of("lock_hold_ns_p99")?
    ))
}

/// What the processor counted for each command, and the changes of threads.
fn counter_words(data: &Data, engine: &str) -> Option<String> {
    let cell = alone(engine, 2 * data.settings.matrix.cores, "uniform", true);
    let per_command = |name: &str| {
        let figure = |measure: &Measure| {
            measure.more.get(name).copied().unwrap_or(0.0) / measure.main.requests.max(1) as f64
        };
        data.interval(&cell, figure).map(|found| found.median)
    };
    let switches = per_command("switches_voluntary")? + per_command("switches_involuntary")?;
    let (cycles, instructions) = (per_command("perf_cycles")?, per_command("perf_instructions")?);
    let counted = if cycles > 0.0 {
        let misses = per_command("perf_cache_misses")?;
        format!("{cycles:.0} cycles, {instructions:.0} instructions and {misses:.2} cache misses a command")
    } else {
        "this machine has no counters of cycles, instructions and cache misses".to_owned()
    };
    Some(format!(
        "{engine}, the same run: {:.2} context switches in 1,000 commands; {counted}.",
        switches * 1e3
    ))
}

fn fit(data: &Data, engine: &str) -> Result<Fit, String> {
    let mut points = Vec::new();
    for threads in data.settings.matrix.threads() {
        // Medians: R² should say how well the law describes the machine, not how noisy the machine is.
        let rate = data.interval(&alone(engine, threads, "uniform", false), |measure| measure.main.rate);
        points.extend(rate.map(|rate| (threads as f64, rate.median)));
    }
    usl::fit(&points)
}

fn scaling(data: &Data, fits: &[(String, Result<Fit, String>)]) -> Chart {
    let threads = data.settings.matrix.threads();
    let mut series = Vec::new();
    for (engine, fit) in fits {
        let cells = threads.iter().map(|count| (*count as f64, alone(engine, *count, "uniform", false)));
        series.push(draw::line(data, engine, cells, |measure| measure.main.rate / 1e6));
        if let Ok(fit) = fit {
            let most = threads.last().copied().unwrap_or(1) as f64;
            let points = (0..=40).map(|step| {
                let x = 1.0 + (most - 1.0) * f64::from(step) / 40.0;
                let y = fit.at(x) / 1e6;
                Point { x, low: y, median: y, high: y }
            });
            series.push(Series {
                name: format!("{engine}, fitted"),
                points: points.collect(),
                is_curve: true,
            });
        }
    }
    series.retain(|series| !series.points.is_empty());
    Chart {
        id: "scaling-threads".to_owned(),
        title: "Throughput against threads, in process".to_owned(),
        caption: "80% GET, 20% SET over 100,000 uniform keys, a lock for each command, no network. Dotted: the Universal Scalability Law, where it fits."
            .to_owned(),
        x_name: "threads".to_owned(),
        y_name: "million commands/s".to_owned(),
        drawing: Drawing::Lines { x: Axis::Linear, y: Axis::Linear, series, marks: Vec::new() },
    }
}

fn heat(data: &Data) -> Chart {
    let mut rows = Vec::new();
    let mut values = Vec::new();
    let mut columns = 0;
    for engine in LOCKED {
        for spread in SPREADS {
            let cell = alone(engine, 2 * data.settings.matrix.cores, spread, true);
            let measures = data.measures(&cell);
            let Some((_, first)) = measures.first() else { continue };
            for (column, waited) in first.shard_wait_ns.iter().enumerate() {
                values.push((column, rows.len(), waited / 1e6 / first.main.seconds.max(1e-9)));
                columns = columns.max(column + 1);
            }
            rows.push(format!("{engine}, {spread}"));
        }
    }
    Chart {
        id: "lock-waits".to_owned(),
        title: "Where threads wait: lock waits per shard".to_owned(),
        caption: format!(
            "Milliseconds waited per second of run, all threads together, in process, {} threads. Columns are the 1,024 shards in 32 groups; the global lock has one.",
            2 * data.settings.matrix.cores
        ),
        x_name: "shards".to_owned(),
        y_name: "ms waited per second".to_owned(),
        drawing: Drawing::Heat {
            columns: (0..columns).map(|index| (index * 32).to_string()).collect(),
            rows,
            values,
        },
    }
}
