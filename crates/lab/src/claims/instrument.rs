//! The instrument itself: our generator beside others on the same server.

use crate::cell::{Cell, Measure, Program, Reference, Setup, Tcp};
use crate::claims::finding::{Finding, Part, Verdict, overall, times_interval};
use crate::data::Data;
use crate::plan::{Matrix, Planned};

const LOADS: [(&str, usize, usize); 4] = [("get", 50, 16), ("set", 50, 16), ("get", 1, 1), ("get", 50, 1)];
const TOOLS: [&str; 2] = ["redis-benchmark", "memtier_benchmark"];
/// How far apart the figures may be.
const AGREEMENT: f64 = 0.1;

/// Whether redis-server's one core is what limits the load, whoever sends it.
fn is_server_bound((_, clients, pipeline): (&str, usize, usize)) -> bool {
    clients > 1 && pipeline > 1
}

fn own((workload, clients, pipeline): (&str, usize, usize)) -> Cell {
    Cell::Tcp(Tcp {
        setup: Setup::other(Program::Redis, "redis", &[]),
        workload: workload.to_owned(),
        clients,
        pipeline,
        generators: 1,
    })
}

fn reference(tool: &str, (workload, clients, pipeline): (&str, usize, usize)) -> Cell {
    Cell::Reference(Reference { tool: tool.to_owned(), workload: workload.to_owned(), clients, pipeline })
}

pub(super) fn cells(matrix: &Matrix) -> Vec<Planned> {
    let mut cells = Vec::new();
    for load in LOADS {
        // What decides is repeated until a tenth can be told apart.
        let rounds = if is_server_bound(load) { 2 * matrix.rounds() } else { matrix.rounds_few() };
        cells.push(Planned { cell: own(load), rounds });
        cells.extend(TOOLS.iter().map(|tool| Planned { cell: reference(tool, load), rounds }));
    }
    cells
}

pub(super) fn answer(data: &Data) -> Finding {
    let mut parts = Vec::new();
    for tool in TOOLS {
        for load in LOADS {
            parts.push(part(data, tool, load));
        }
    }
    Finding {
        number: 0,
        title: "The instrument".to_owned(),
        claim: "The lab's load generator shows what redis-benchmark and memtier show on the same server, within 10%.".to_owned(),
        verdict: overall(&parts),
        summary: summary(&parts),
        parts,
        charts: Vec::new(),
        notes: vec![
            "What decides are loads that redis-server's one core limits. Where another generator used all of its core its figure is its own limit and not the server's, and is not compared.".to_owned(),
            "redis-benchmark counts latency from the moment it writes to the moment it reads, so replies that wait in its own queue look faster; throughput is what is compared.".to_owned(),
        ],
    }
}

fn summary(parts: &[Part]) -> String {
    let compared: Vec<String> = parts
        .iter()
        .filter(|part| part.decides)
        .map(|part| format!("{} {}", part.statement, part.ours))
        .collect();
    if compared.is_empty() {
        "No other load generator is installed here.".to_owned()
    } else {
        compared.join("; ") + "."
    }
}

fn part(data: &Data, tool: &str, load: (&str, usize, usize)) -> Part {
    let (ours, theirs) = (own(load), reference(tool, load));
    let figure = data.ratio(&ours, &theirs, |measure: &Measure| measure.main.rate);
    let (workload, clients, pipeline) = load;
    let is_bound = data.is_generator_bound(&theirs);
    let mut part = Part::ratio(
        &format!("{} with {clients} clients, P{pipeline}: ours against {tool}", workload.to_uppercase()),
        "within 10%",
        figure,
        crate::claims::finding::Limit::AtLeast(1.0 - AGREEMENT),
    );
    part.rule = "0.90× to 1.10×".to_owned();
    part.ours = times_interval(figure);
    part.note = String::new();
    let is_absent = data.why_missing(&theirs);
    part.decides = is_absent.is_none() && !is_bound && is_server_bound(load);
    part.verdict = match figure {
        Some(found) if found.count >= 3 && (found.median - 1.0).abs() <= AGREEMENT => Verdict::Holds,
        Some(found) if found.low > 1.0 + AGREEMENT || found.high < 1.0 - AGREEMENT => Verdict::DoesNotHold,
        Some(_) => {
            part.note = "the interval contains the limit".to_owned();
            Verdict::CannotTell
        }
        None => Verdict::CannotTell,
    };
    if let Some(reason) = is_absent {
        part.note = reason;
    } else if is_bound {
        part.verdict = Verdict::CannotTell;
        part.note = format!("{tool} used all of its core: its own limit");
    } else if !is_server_bound(load) {
        part.note =
            "the server waits for the generator here: what differs is the generators' own time".to_owned();
    }
    part
}
