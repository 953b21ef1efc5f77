//! The instrument itself: our generator beside others on the same server.

use crate::cell::{Cell, Measure, Program, Reference, Setup, Tcp};
use crate::claims::finding::{Finding, Part, Verdict, overall, times_interval};
use crate::data::Data;
use crate::plan::{Matrix, Planned};

const LOADS: [(&str, usize, usize); 4] = [("get", 50, 16), ("set", 50, 16), ("get", 1, 1), ("get", 50, 1)];
const TOOLS: [&str; 2] = ["redis-benchmark", "memtier_benchmark"];
/// How far apart the figures may be.
const AGREEMENT: f64 = 0.1;

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
    let rounds = matrix.rounds();
    let mut cells: Vec<Planned> = LOADS.iter().map(|load| Planned { cell: own(*load), rounds }).collect();
    for tool in TOOLS {
        cells.extend(LOADS.iter().map(|load| Planned { cell: reference(tool, *load), rounds }));
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
        summary: "Our generator and the others, one thread each, in turn on redis-server.".to_owned(),
        parts,
        charts: Vec::new(),
        notes: vec![
            "Where another generator used all of its core its figure is its own limit and not the server's, and is not compared.".to_owned(),
            "redis-benchmark counts latency from the moment it writes to the moment it reads, so replies that wait in its own queue look faster; throughput is what is compared.".to_owned(),
        ],
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
    part.decides = is_absent.is_none() && !is_bound;
    part.verdict = match figure {
        Some(found) if found.count >= 3 && (found.median - 1.0).abs() <= AGREEMENT => Verdict::Holds,
        Some(found) if found.low > 1.0 + AGREEMENT || found.high < 1.0 - AGREEMENT => Verdict::DoesNotHold,
        _ => Verdict::CannotTell,
    };
    if let Some(reason) = is_absent {
        part.note = reason;
    } else if is_bound {
        part.verdict = Verdict::CannotTell;
        part.note = format!("{tool} used all of its core: its own limit");
    }
    part
}
