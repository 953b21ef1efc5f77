//! Claim 5: what the AOF costs, and what group commit changes.

use crate::cell::{Cell, Measure, Program, Setup};
use crate::claims::draw;
use crate::claims::finding::{Finding, Limit, Part, Verdict, overall};
use crate::data::Data;
use crate::plan::{DEFAULT_ENGINE, Matrix, Planned};

const POLICIES: [&str; 4] = ["off", "no", "everysec", "always"];
const CLIENTS: usize = 50;

fn setup(matrix: &Matrix, server: &str, policy: &str) -> Setup {
    let label = format!("{server}, aof {policy}");
    let options: &[&str] =
        if policy == "off" { &[] } else { &["--appendonly", "yes", "--appendfsync", policy] };
    match server {
        "redis" => Setup::other(Program::Redis, &label, options),
        engine => Setup::rustredis(engine, matrix.server_threads(), &label, options),
    }
}

fn cell(matrix: &Matrix, server: &str, policy: &str, clients: usize) -> Cell {
    matrix.tcp(&setup(matrix, server, policy), "set", clients, 1)
}

pub(super) fn cells(matrix: &Matrix) -> Vec<Planned> {
    let mut cells = Vec::new();
    for server in [DEFAULT_ENGINE, "redis"] {
        // The verdict is about ours.
        let rounds = if server == DEFAULT_ENGINE { 2 * matrix.rounds() } else { matrix.rounds() };
        for policy in POLICIES {
            cells.push(Planned { cell: cell(matrix, server, policy, CLIENTS), rounds });
        }
        for policy in ["off", "always"] {
            cells.push(Planned { cell: cell(matrix, server, policy, 1), rounds: matrix.rounds() });
        }
    }
    cells
}

pub(super) fn answer(data: &Data) -> Finding {
    let matrix = &data.settings.matrix;
    let missing = data.why_missing(&cell(matrix, DEFAULT_ENGINE, "always", CLIENTS));
    let mut parts = parts_of(data, DEFAULT_ENGINE);
    let mut others = parts_of(data, "redis");
    if missing.is_some() {
        parts.iter_mut().for_each(|part| {
            part.verdict = Verdict::CannotTell;
            part.note = format!("RustRedis: {}", missing.clone().unwrap_or_default());
            part.decides = false;
        });
    } else {
        others.iter_mut().for_each(|part| part.decides = false);
    }
    parts.extend(others);
    let servers = [DEFAULT_ENGINE.to_owned(), "redis".to_owned()];
    let chart = draw::bars(
        data,
        ("durability", "What the AOF costs", "thousand requests/s"),
        "SET of 64 bytes over 100,000 keys, 50 clients, no pipelining; the AOF lies on the disk of the temporary directory.",
        &POLICIES,
        &servers,
        |category, name| Some(cell(matrix, &servers[name], POLICIES[category], CLIENTS)),
        draw::thousands,
    );
    let tail = draw::bars(
        data,
        ("durability-p99", "What the AOF does to p99", "p99, ms"),
        "The same runs.",
        &POLICIES,
        &servers,
        |category, name| Some(cell(matrix, &servers[name], POLICIES[category], CLIENTS)),
        |measure| measure.main.p99_us / 1e3,
    );
    let judged = if missing.is_some() { "redis" } else { DEFAULT_ENGINE };
    let summary = against(data, judged, "always", CLIENTS).map_or_else(
        || "No server with an AOF was measured.".to_owned(),
        |found| {
            format!(
                "On this disk {} keeps {:.0}% of its throughput with always at {CLIENTS} clients.",
                if judged == "redis" { "redis-server" } else { "RustRedis" },
                found.median * 100.0
            )
        },
    );
    let mut notes = Vec::new();
    if let Some(reason) = missing {
        notes.push(format!("RustRedis could not be judged ({reason}); the verdict is about redis-server."));
    }
    Finding {
        number: 5,
        title: "The price of durability".to_owned(),
        claim: "AOF: always costs about 80% of the throughput, everysec almost nothing, no is fastest. And what does group commit change in that?"
            .to_owned(),
        verdict: overall(&parts),
        summary,
        parts,
        charts: vec![chart, tail],
        notes,
    }
}

fn against(data: &Data, server: &str, policy: &str, clients: usize) -> Option<crate::stats::Interval> {
    let matrix = &data.settings.matrix;
    data.ratio(
        &cell(matrix, server, policy, clients),
        &cell(matrix, server, "off", clients),
        |measure: &Measure| measure.main.rate,
    )
}

fn parts_of(data: &Data, server: &str) -> Vec<Part> {
    let matrix = &data.settings.matrix;
    let name = if server == "redis" { "redis-server" } else { "RustRedis" };
    let policy = |policy, base| {
        data.ratio(
            &cell(matrix, server, policy, CLIENTS),
            &cell(matrix, server, base, CLIENTS),
            |measure: &Measure| measure.main.rate,
        )
    };
    vec![
        Part::ratio(
            &format!("{name}: always against no AOF, {CLIENTS} clients"),
            "−80%",
            against(data, server, "always", CLIENTS),
            Limit::AtMost(0.6),
        ),
        Part::ratio(
            &format!("{name}: everysec against no AOF, {CLIENTS} clients"),
            "almost nothing",
            against(data, server, "everysec", CLIENTS),
            Limit::AtLeast(0.9),
        ),
        Part::ratio(
            &format!("{name}: no against everysec"),
            "no is fastest",
            policy("no", "everysec"),
            Limit::Greater,
        ),
        Part::ratio(
            &format!("{name}: always against no AOF with one client, whose writes share no fsync"),
            "–",
            against(data, server, "always", 1),
            Limit::AtMost(0.6),
        )
        .informs(),
        Part::ratio(
            &format!(
                "{name}: throughput with always, {CLIENTS} clients against 1: what sharing an fsync gives"
            ),
            "–",
            data.ratio(
                &cell(matrix, server, "always", CLIENTS),
                &cell(matrix, server, "always", 1),
                |measure: &Measure| measure.main.rate,
            ),
            Limit::AtLeast(2.0),
        )
        .informs(),
    ]
}
