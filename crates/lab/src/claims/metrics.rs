//! Claim 4: observability can be the bottleneck.

use crate::cell::{Cell, InProcess, Measure, Setup};
use crate::claims::bounds::{generator_bound, too_few_cores};
use crate::claims::draw;
use crate::claims::finding::{Finding, Limit, Part, overall};
use crate::data::Data;
use crate::plan::{DEFAULT_ENGINE, Matrix, Planned};

const STRATEGIES: [&str; 4] = ["off", "thread-local", "sharded", "mutex"];
const CLIENTS: usize = 500;
const PIPELINE: usize = 16;

fn over_tcp(matrix: &Matrix, strategy: &str) -> Cell {
    let label = format!("{DEFAULT_ENGINE}, metrics {strategy}");
    let options = ["--metrics", strategy];
    let setup = Setup::rustredis(DEFAULT_ENGINE, matrix.server_threads(), &label, &options);
    matrix.tcp(&setup, "uniform", CLIENTS, PIPELINE)
}

fn alone(strategy: &str, threads: usize) -> Cell {
    Cell::InProcess(InProcess {
        engine: DEFAULT_ENGINE.to_owned(),
        metrics: strategy.to_owned(),
        threads,
        workload: "uniform".to_owned(),
        batch: 16,
        contention: false,
    })
}

pub(super) fn cells(matrix: &Matrix) -> Vec<Planned> {
    let mut cells = Vec::new();
    for strategy in STRATEGIES {
        // Whether next to nothing is lost shows only in many repetitions; sharded is beside them for the picture.
        let rounds = if strategy == "sharded" { matrix.rounds() } else { 4 * matrix.rounds() };
        cells.push(Planned { cell: over_tcp(matrix, strategy), rounds });
        for threads in [1, matrix.cores] {
            cells.push(Planned { cell: alone(strategy, threads), rounds: matrix.rounds() });
        }
    }
    cells
}

pub(super) fn answer(data: &Data) -> Finding {
    let matrix = &data.settings.matrix;
    let rate = |measure: &Measure| measure.main.rate;
    let tcp = |strategy: &str| over_tcp(matrix, strategy);
    let bound = generator_bound(data, &[&tcp("off"), &tcp("mutex")]);
    let hidden = || bound.clone().or_else(|| too_few_cores(data));
    let cores = matrix.cores;
    let against = |strategy: &str| data.ratio(&alone(strategy, cores), &alone("off", cores), rate);
    let parts = vec![
        Part::ratio(
            &format!("TCP, {CLIENTS} clients, P{PIPELINE}: throughput with the global mutex against none"),
            "−30%",
            data.ratio(&tcp("mutex"), &tcp("off"), rate),
            Limit::AtMost(0.85),
        )
        .unless_hidden(hidden()),
        Part::ratio(
            &format!("TCP, {CLIENTS} clients, P{PIPELINE}: thread-local against none"),
            "nearly nothing",
            data.ratio(&tcp("thread-local"), &tcp("off"), rate),
            Limit::AtLeast(0.95),
        ),
        Part::ratio(
            &format!("In process, {cores} threads: global mutex against none"),
            "−30%",
            against("mutex"),
            Limit::AtMost(0.85),
        ),
        Part::ratio(
            &format!("In process, {cores} threads: sharded against the global mutex"),
            "costs less",
            data.ratio(&alone("sharded", cores), &alone("mutex", cores), rate),
            Limit::AtLeast(1.0),
        ),
        Part::ratio(
            &format!("In process, {cores} threads: thread-local against none"),
            "nearly nothing",
            against("thread-local"),
            Limit::AtLeast(0.95),
        )
        .noted(Some("in process a command takes a tenth of its time over TCP, so the same cost weighs ten times as much".to_owned()))
        .informs(),
        Part::ratio(
            &format!("In process, {cores} threads: thread-local against sharded"),
            "costs less",
            data.ratio(&alone("thread-local", cores), &alone("sharded", cores), rate),
            Limit::AtLeast(1.0),
        ),
    ];
    let names = STRATEGIES.map(str::to_owned);
    let many = format!("{cores} threads");
    let chart = draw::bars(
        data,
        ("metrics-alone", "What counting costs, in process", "million commands/s"),
        "The dashmap engine, batches of 16, 80% GET, 20% SET, uniform keys; each command is timed and counted with its histogram.",
        &["1 thread", &many],
        &names,
        |category, name| Some(alone(STRATEGIES[name], if category == 0 { 1 } else { cores })),
        |measure| measure.main.rate / 1e6,
    );
    let over = draw::bars(
        data,
        ("metrics-tcp", "What counting costs, over TCP", "thousand requests/s"),
        "500 clients with pipelines of 16 on the dashmap engine.",
        &["throughput"],
        &names,
        |_, name| Some(tcp(STRATEGIES[name])),
        draw::thousands,
    );
    let summary = match (against("mutex"), against("thread-local")) {
        (Some(mutex), Some(local)) => format!(
            "Without a network and with {cores} threads the global mutex leaves {:.0}% of the throughput, thread-local counting {:.0}%.",
            mutex.median * 100.0,
            local.median * 100.0
        ),
        _ => "The strategies were not measured without a network.".to_owned(),
    };
    Finding {
        number: 4,
        title: "The price of counting".to_owned(),
        claim: "Observability can be the bottleneck: per-command telemetry costs about 30% at high concurrency with a global mutex, less when sharded, nearly nothing in thread-local batches."
            .to_owned(),
        verdict: overall(&parts),
        summary,
        parts,
        charts: vec![chart, over],
        notes: Vec::new(),
    }
}
