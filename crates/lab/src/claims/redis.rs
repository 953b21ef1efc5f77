//! Claim 6: against redis-server.

use crate::cell::{Measure, Setup};
use crate::claims::bounds::generator_bound;
use crate::claims::draw;
use crate::claims::finding::{Finding, Limit, Part, overall, times};
use crate::data::Data;
use crate::plan::{DEFAULT_ENGINE, Matrix, Planned};
use crate::report::chart::Axis;

const FEW: usize = 1;
const MANY: usize = 1_000;

pub(super) fn cells(matrix: &Matrix) -> Vec<Planned> {
    let mut cells = Vec::new();
    for setup in matrix.setups() {
        let decides = [DEFAULT_ENGINE, "redis"].contains(&setup.label.as_str());
        for clients in matrix.clients() {
            let is_judged = decides && [FEW, MANY].contains(clients);
            let rounds = if is_judged { 2 * matrix.rounds() } else { matrix.rounds() };
            cells.push(Planned { cell: matrix.tcp(&setup, "uniform", *clients, 1), rounds });
        }
        for clients in [50, 500] {
            cells.push(Planned { cell: matrix.tcp(&setup, "uniform", clients, 16), rounds: matrix.rounds() });
        }
    }
    cells
}

pub(super) fn answer(data: &Data) -> Finding {
    let matrix = &data.settings.matrix;
    let others = matrix.others();
    let mut parts = Vec::new();
    for engine in &matrix.engines {
        for other in &others {
            let decides = engine == DEFAULT_ENGINE && other.label == "redis";
            let own = matrix.engine(engine);
            parts.extend(
                parts_of(data, &own, other)
                    .into_iter()
                    .map(|part| if decides { part } else { part.informs() }),
            );
        }
    }
    parts.sort_by_key(|part| !part.decides);
    let setups = matrix.setups();
    let names: Vec<String> = setups.iter().map(|setup| setup.label.clone()).collect();
    let categories =
        ["1 client", "10 clients", "50 clients", "1000 clients", "50 clients, P16", "500 clients, P16"];
    let loads = [(1, 1), (10, 1), (50, 1), (1_000, 1), (50, 16), (500, 16)];
    let cost = draw::bars(
        data,
        ("cost-redis", "Server time per request", "µs of processor per request"),
        "Processor time of the server, user and system, over all its threads; 80% GET, 20% SET. P16 is a pipeline of 16.",
        &categories,
        &names,
        |category, name| Some(matrix.tcp(&setups[name], "uniform", loads[category].0, loads[category].1)),
        Measure::server_us,
    );
    let rate = draw::bars(
        data,
        ("rate-redis", "The throughputs themselves", "thousand requests/s"),
        "The same runs.",
        &categories,
        &names,
        |category, name| Some(matrix.tcp(&setups[name], "uniform", loads[category].0, loads[category].1)),
        draw::thousands,
    );
    let relative = draw::relative_bars(
        data,
        ("relative-redis", "Throughput beside redis-server", "throughput, redis = 1"),
        "As a multiple of redis-server's in the same round; 80% GET, 20% SET of 64 bytes. P16 is a pipeline of 16.",
        &categories,
        (&names, "redis"),
        |category, name| matrix.tcp(&setups[name], "uniform", loads[category].0, loads[category].1),
        |measure| measure.main.rate,
    );
    let tail = draw::over_clients(
        data,
        "p999-redis",
        ("p99.9 beside Redis", "p99.9, ms", Axis::Log),
        "80% GET, 20% SET of 64 bytes, closed loop, no pipelining; bands are 95% intervals.",
        &setups,
        |measure| measure.main.p999_us / 1e3,
    );
    let curves: Vec<_> =
        setups.iter().map(|setup| (setup.label.clone(), matrix.tcp(setup, "uniform", MANY, 1))).collect();
    let percentiles = draw::percentiles(
        data,
        "percentiles-redis",
        "Latency percentiles at 1000 clients",
        "All rounds together, closed loop, no pipelining.",
        &curves,
    );
    let own = matrix.engine(DEFAULT_ENGINE);
    let at = |clients, pipeline| {
        let cell = |setup: &Setup| matrix.tcp(setup, "uniform", clients, pipeline);
        data.ratio(&cell(&own), &cell(&others[0]), |measure| measure.main.rate)
    };
    let summary = match (at(FEW, 1), at(MANY, 1), at(50, 16)) {
        (Some(few), Some(many), Some(pipelined)) => format!(
            "RustRedis does {} of redis-server's throughput with one client, {} with {MANY}, and {} with 50 clients in pipelines of 16.",
            times(few.median),
            times(many.median),
            times(pipelined.median)
        ),
        _ => "redis-server is not installed here, or was not measured.".to_owned(),
    };
    Finding {
        number: 6,
        title: "Beside redis-server".to_owned(),
        claim: "Redis is faster at low concurrency; the multi-threaded server is steadier, with lower tail latency, at high concurrency."
            .to_owned(),
        verdict: overall(&parts),
        summary,
        parts,
        charts: vec![relative, cost, rate, tail, percentiles],
        notes: vec![format!(
            "Judged on the {DEFAULT_ENGINE} engine with {} threads against redis-server with its one; the generator shares the {} cores.",
            matrix.server_threads(),
            matrix.cores
        )],
    }
}

fn parts_of(data: &Data, own: &Setup, other: &Setup) -> Vec<Part> {
    let matrix = &data.settings.matrix;
    let cell = |setup: &Setup, clients| matrix.tcp(setup, "uniform", clients, 1);
    let ratio = |a: &Setup, b: &Setup, clients, figure: fn(&Measure) -> f64| {
        data.ratio(&cell(a, clients), &cell(b, clients), figure)
    };
    let (own_name, other_name) = (&own.label, &other.label);
    let bound = generator_bound(data, &[&cell(own, FEW), &cell(other, FEW)]);
    vec![
        Part::ratio(
            &format!("{other_name}'s throughput with one client against {own_name}'s"),
            "Redis is faster",
            ratio(other, own, FEW, |measure| measure.main.rate),
            Limit::Greater,
        )
        .unless_hidden(bound),
        Part::ratio(
            &format!("{own_name}'s p99 at {MANY} clients against {other_name}'s"),
            "lower",
            ratio(own, other, MANY, |measure| measure.main.p99_us),
            Limit::Less,
        ),
        Part::ratio(
            &format!("{own_name}'s p99.9 at {MANY} clients against {other_name}'s"),
            "lower",
            ratio(own, other, MANY, |measure| measure.main.p999_us),
            Limit::Less,
        ),
        Part::ratio(
            &format!("{own_name}'s unsteadiness at {MANY} clients against {other_name}'s"),
            "steadier",
            ratio(own, other, MANY, Measure::unsteadiness),
            Limit::Less,
        ),
    ]
}
