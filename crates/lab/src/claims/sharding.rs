//! Claim 3: sharded locks against the global lock.

use crate::cell::{Cell, Measure};
use crate::claims::bounds::{generator_bound, too_few_cores};
use crate::claims::convoy::alone;
use crate::claims::draw;
use crate::claims::finding::{Finding, Limit, Part, overall, times};
use crate::data::Data;
use crate::plan::{Matrix, Planned};

const MANY: usize = 500;
const PIPELINE: usize = 16;

pub(super) fn cells(matrix: &Matrix) -> Vec<Planned> {
    let mut cells = Vec::new();
    for engine in ["mutex", "dashmap"] {
        for clients in [1, MANY] {
            let cell = matrix.tcp(&matrix.engine(engine), "uniform", clients, 1);
            cells.push(Planned { cell, rounds: matrix.rounds() });
        }
        for clients in [50, MANY] {
            let cell = matrix.tcp(&matrix.engine(engine), "uniform", clients, PIPELINE);
            cells.push(Planned { cell, rounds: matrix.rounds() });
        }
        // A scan is measured forty times in half a second, and so depends on that half second.
        cells.push(Planned { cell: scan(matrix, engine), rounds: 2 * matrix.rounds() });
        for threads in matrix.threads() {
            // Where nobody contends the difference is small.
            let rounds = if threads == 1 { 2 * matrix.rounds() } else { matrix.rounds() };
            cells.push(Planned { cell: alone(engine, threads, "uniform", false), rounds });
        }
    }
    cells
}

fn scan(matrix: &Matrix, engine: &str) -> Cell {
    matrix.tcp(&matrix.engine(engine), "full-scan", 1, 1)
}

pub(super) fn answer(data: &Data) -> Finding {
    let matrix = &data.settings.matrix;
    let cell =
        |engine: &str, clients, pipeline| matrix.tcp(&matrix.engine(engine), "uniform", clients, pipeline);
    let rate = |measure: &Measure| measure.main.rate;
    let hidden = |clients, pipeline| {
        let cells = [&cell("dashmap", clients, pipeline), &cell("mutex", clients, pipeline)];
        generator_bound(data, &cells).or_else(|| too_few_cores(data))
    };
    let against = |clients, pipeline, figure: fn(&Measure) -> f64| {
        data.ratio(&cell("dashmap", clients, pipeline), &cell("mutex", clients, pipeline), figure)
    };
    let most = matrix.threads().last().copied().unwrap_or(4);
    let in_process = |threads| {
        data.ratio(
            &alone("dashmap", threads, "uniform", false),
            &alone("mutex", threads, "uniform", false),
            rate,
        )
    };
    let parts = vec![
        Part::ratio(
            &format!("TCP: throughput at {MANY} clients, sharded against global"),
            "+60%",
            against(MANY, 1, |measure| measure.main.rate),
            Limit::AtLeast(1.3),
        )
        .unless_hidden(hidden(MANY, 1)),
        Part::ratio(
            &format!("TCP: throughput at {MANY} clients with pipelines of {PIPELINE}"),
            "+60%",
            against(MANY, PIPELINE, |measure| measure.main.rate),
            Limit::AtLeast(1.3),
        )
        .unless_hidden(hidden(MANY, PIPELINE)),
        Part::ratio(
            &format!("TCP: median latency at {MANY} clients"),
            "−40%",
            against(MANY, 1, |measure| measure.main.p50_us),
            Limit::AtMost(0.8),
        )
        .unless_hidden(hidden(MANY, 1)),
        Part::ratio(
            &format!("In process: throughput of {most} threads"),
            "+60%",
            in_process(most),
            Limit::AtLeast(1.3),
        ),
        Part::ratio(
            "In process: throughput of one thread, where nobody contends",
            "more overhead",
            in_process(1),
            Limit::AtMost(1.0),
        ),
        Part::ratio(
            "TCP: server time per request with one client",
            "more overhead",
            against(1, 1, Measure::server_us),
            Limit::AtLeast(1.0),
        )
        .informs(),
        Part::ratio(
            "TCP: KEYS over 100,000 keys, median latency",
            "dearer full scans",
            data.ratio(&scan(matrix, "dashmap"), &scan(matrix, "mutex"), |measure| measure.main.p50_us),
            Limit::Greater,
        ),
    ];
    let threads = matrix.threads();
    let labels: Vec<String> = threads
        .iter()
        .map(|count| format!("{count} {}", if *count == 1 { "thread" } else { "threads" }))
        .collect();
    let categories: Vec<&str> = labels.iter().map(String::as_str).collect();
    let engines = ["mutex".to_owned(), "dashmap".to_owned()];
    let alone_chart = draw::bars(
        data,
        ("sharding-alone", "Global and sharded locks, in process", "million commands/s"),
        "80% GET, 20% SET, uniform keys, a lock for each command, no network.",
        &categories,
        &engines,
        |category, name| Some(alone(&engines[name], threads[category], "uniform", false)),
        |measure| measure.main.rate / 1e6,
    );
    let loads: [(&str, usize, usize); 4] = [
        ("1 client", 1, 1),
        ("500 clients", MANY, 1),
        ("50 clients, P16", 50, PIPELINE),
        ("500 clients, P16", MANY, PIPELINE),
    ];
    let tcp_chart = draw::bars(
        data,
        ("sharding-tcp", "Global and sharded locks, over TCP", "thousand requests/s"),
        "The same load over TCP; P16 is a pipeline of 16.",
        &loads.map(|(name, ..)| name),
        &engines,
        |category, name| Some(cell(&engines[name], loads[category].1, loads[category].2)),
        draw::thousands,
    );
    let summary = match (in_process(1), in_process(most)) {
        (Some(one), Some(many)) => format!(
            "Without a network sharded locks do {} of the global lock's work with one thread and {} with {most}.",
            times(one.median),
            times(many.median)
        ),
        _ => "The engines were not measured without a network.".to_owned(),
    };
    Finding {
        number: 3,
        title: "Sharded locks against the global lock".to_owned(),
        claim: "At high concurrency sharded locks give about 60% more throughput and 40% less latency than the global lock; without contention an operation costs more, and so do full scans."
            .to_owned(),
        verdict: overall(&parts),
        summary,
        parts,
        charts: vec![alone_chart, tcp_chart],
        notes: vec!["Here the global lock guards the same 1,024 tables as the sharded locks, so that both differ in the locks alone.".to_owned()],
    }
}
