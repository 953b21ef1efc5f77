//! Claim 1: throughput peaks at 10 to 100 clients, at 500 contention dominates, at 1000 it becomes unstable.

use crate::cell::Measure;
use crate::claims::bounds::{generator_bound, too_few_cores};
use crate::claims::draw;
use crate::claims::finding::{Finding, Limit, Part, Verdict, overall};
use crate::data::Data;
use crate::plan::{Matrix, Planned};
use crate::report::chart::Axis;

/// The article's store is a global lock.
const ENGINE: &str = "mutex";

pub(super) fn cells(matrix: &Matrix) -> Vec<Planned> {
    let mut cells = Vec::new();
    for setup in matrix.setups() {
        for clients in matrix.clients() {
            cells.push(Planned { cell: matrix.tcp(&setup, "uniform", *clients, 1), rounds: matrix.rounds() });
        }
    }
    cells
}

pub(super) fn answer(data: &Data) -> Finding {
    let matrix = &data.settings.matrix;
    let mut parts = parts_of(data, ENGINE);
    for engine in matrix.engines.iter().filter(|engine| *engine != ENGINE) {
        parts.extend(parts_of(data, engine).into_iter().map(Part::informs));
    }
    let setups = matrix.setups();
    let caption = "80% GET, 20% SET of 64 bytes over 100,000 keys, closed loop, no pipelining; bands are 95% intervals.";
    let charts = vec![
        draw::over_clients(
            data,
            "throughput-clients",
            ("Throughput against clients", "thousand requests/s", Axis::Linear),
            caption,
            &setups,
            draw::thousands,
        ),
        draw::over_clients(
            data,
            "p50-clients",
            ("Median latency against clients", "p50, ms", Axis::Log),
            caption,
            &setups,
            |measure| measure.main.p50_us / 1e3,
        ),
        draw::over_clients(
            data,
            "p99-clients",
            ("p99 against clients", "p99, ms", Axis::Log),
            caption,
            &setups,
            |measure| measure.main.p99_us / 1e3,
        ),
        draw::over_clients(
            data,
            "p999-clients",
            ("p99.9 against clients", "p99.9, ms", Axis::Log),
            caption,
            &setups,
            |measure| measure.main.p999_us / 1e3,
        ),
        draw::over_clients(
            data,
            "steadiness-clients",
            ("Unsteadiness against clients", "variation of 100 ms slices, %", Axis::Linear),
            "The standard deviation of the throughput of 100 ms slices, as a share of its mean.",
            &setups,
            |measure| measure.unsteadiness() * 100.0,
        ),
    ];
    let best = best_of(data, ENGINE);
    let summary = best.map_or_else(
        || "The global lock was not measured.".to_owned(),
        |(clients, rate)| {
            format!("With the global lock throughput is greatest at {clients} clients: {rate:.0} thousand requests/s.")
        },
    );
    Finding {
        number: 1,
        title: "A peak, then contention, then instability".to_owned(),
        claim: "Throughput peaks at about 10 to 100 clients; at 500 and more contention dominates; at 1000 it becomes unstable."
            .to_owned(),
        verdict: overall(&parts),
        summary,
        parts,
        charts,
        notes: vec!["The claim is judged on the global lock, which is the article's store; the other engines are shown beside it.".to_owned()],
    }
}

/// The number of clients with the greatest median throughput, in thousands a second.
fn best_of(data: &Data, engine: &str) -> Option<(usize, f64)> {
    let matrix = &data.settings.matrix;
    let of = |clients: &usize| {
        let cell = matrix.tcp(&matrix.engine(engine), "uniform", *clients, 1);
        Some((*clients, data.interval(&cell, draw::thousands)?.median))
    };
    matrix.clients().iter().filter_map(of).max_by(|a, b| a.1.total_cmp(&b.1))
}

fn parts_of(data: &Data, engine: &str) -> Vec<Part> {
    let matrix = &data.settings.matrix;
    let cell = |clients| matrix.tcp(&matrix.engine(engine), "uniform", clients, 1);
    let rate = |measure: &Measure| measure.main.rate;
    let best = best_of(data, engine).map(|(clients, _)| clients);
    let in_range: Vec<usize> =
        matrix.clients().iter().copied().filter(|clients| (10..=100).contains(clients)).collect();
    // Beyond the range no number of clients may be better than the best within.
    let inside = in_range.iter().copied().max_by(|a, b| {
        let rate_of = |clients: usize| data.interval(&cell(clients), rate).map_or(0.0, |found| found.median);
        rate_of(*a).total_cmp(&rate_of(*b))
    });
    let peak = best.zip(inside).map(|(best, inside)| {
        let figure = data.ratio(&cell(inside), &cell(best), rate);
        let mut part = Part::ratio(
            &format!("{engine}: the best of 10 to 100 clients against the best of all ({best} clients)"),
            "a peak at 10 to 100",
            figure,
            Limit::AtLeast(0.99),
        );
        if best == inside {
            part.verdict = Verdict::Holds;
            part.note = format!("the peak is at {best} clients");
        }
        part
    });
    let bound = generator_bound(data, &[&cell(500), &cell(1_000)]);
    let hidden = || bound.clone().or_else(|| too_few_cores(data));
    let drop = inside.map(|inside| {
        Part::ratio(
            &format!("{engine}: throughput at 500 clients against the best of 10 to 100"),
            "contention dominates",
            data.ratio(&cell(500), &cell(inside), rate),
            Limit::AtMost(0.8),
        )
        .unless_hidden(hidden())
    });
    let unstable = Part::ratio(
        &format!("{engine}: unsteadiness at 1000 clients against 50"),
        "unstable",
        data.ratio(&cell(1_000), &cell(50), Measure::unsteadiness),
        Limit::AtLeast(2.0),
    )
    .unless_hidden(hidden());
    peak.into_iter().chain(drop).chain([unstable]).collect()
}
