//! Claim 7, beyond the article: which engine wins where.

use crate::cell::{Cell, Measure};
use crate::claims::draw;
use crate::claims::finding::{Finding, Limit, Part, Verdict, times};
use crate::data::Data;
use crate::plan::{Matrix, Planned};
use crate::stats::Interval;

/// A load: its name for readers, the workload, and the pipeline.
const LOADS: [(&str, &str, usize); 9] = [
    ("uniform", "uniform", 16),
    ("Zipf 0.99", "zipf-0.99", 16),
    ("Zipf 1.2", "zipf-1.2", 16),
    ("one hot key", "one-key", 16),
    ("multi-key", "multi-key", 16),
    ("16 KiB values", "big-values", 1),
    ("slow beside GET", "slow-commands", 1),
    ("pipeline 1", "uniform", 1),
    ("pipeline 64", "uniform", 64),
];
const CLIENTS: usize = 50;
/// The engine that the others are compared with.
const BASE: &str = "dashmap";
/// Closer than this is the same.
const SAME: f64 = 0.05;

fn cell(matrix: &Matrix, engine: &str, load: usize) -> Cell {
    let (_, workload, pipeline) = LOADS[load];
    matrix.tcp(&matrix.engine(engine), workload, CLIENTS, pipeline)
}

pub(super) fn cells(matrix: &Matrix) -> Vec<Planned> {
    let of_engine = |engine: &String| {
        (0..LOADS.len())
            .map(|load| Planned { cell: cell(matrix, engine, load), rounds: matrix.rounds_few() })
            .collect::<Vec<_>>()
    };
    matrix.engines.iter().flat_map(of_engine).collect()
}

pub(super) fn answer(data: &Data) -> Finding {
    let matrix = &data.settings.matrix;
    let mut parts = Vec::new();
    let mut wins = Vec::new();
    for (load, (name, ..)) in LOADS.iter().enumerate() {
        for engine in matrix.engines.iter().filter(|engine| *engine != BASE) {
            let rate =
                data.ratio(&cell(matrix, engine, load), &cell(matrix, BASE, load), |measure: &Measure| {
                    measure.main.rate
                });
            let part = compared(name, engine, rate);
            if part.verdict == Verdict::Holds {
                wins.push(part.statement.clone());
            }
            parts.push(part);
        }
    }
    let told = parts.iter().filter(|part| part.verdict != Verdict::CannotTell).count();
    let verdict = if !wins.is_empty() {
        Verdict::Holds
    } else if told == parts.len() && told > 0 {
        Verdict::DoesNotHold
    } else {
        Verdict::CannotTell
    };
    let names: Vec<&str> = LOADS.iter().map(|(name, ..)| *name).collect();
    let chart = draw::relative_bars(
        data,
        ("workloads", "Which engine wins where", "throughput, dashmap = 1"),
        "Throughput as a multiple of the dashmap engine's in the same round. 50 clients; pipelines of 16 unless the name says otherwise, 16 KiB values and slow commands without. Slow: one LRANGE of 10,000 elements in 200 GETs.",
        &names,
        (&matrix.engines, BASE),
        |category, engine| cell(matrix, &matrix.engines[engine], category),
        |measure| measure.main.rate,
    );
    let rate = draw::bars(
        data,
        ("workloads-rate", "The throughputs themselves", "thousand requests/s"),
        "The same runs.",
        &names,
        &matrix.engines,
        |category, engine| Some(cell(matrix, &matrix.engines[engine], category)),
        draw::thousands,
    );
    let p99 = draw::bars(
        data,
        ("workloads-p99", "Which engine keeps the tail low", "p99, ms"),
        "The same runs; of the slow load p99 is that of GETs.",
        &names,
        &matrix.engines,
        |category, engine| Some(cell(matrix, &matrix.engines[engine], category)),
        |measure| measure.main.p99_us / 1e3,
    );
    let notes = ["lockfree"]
        .iter()
        .filter(|engine| !matrix.engines.iter().any(|offered| offered == *engine))
        .map(|engine| {
            format!(
                "The server offers no engine called {engine} yet; the lab measures it as soon as it does."
            )
        })
        .collect();
    Finding {
        number: 7,
        title: "Which engine wins where".to_owned(),
        claim: "Beyond the article: shared nothing, and lock-free reads, against the locks. The claim that is judged is that the choice of the engine matters."
            .to_owned(),
        verdict,
        summary: summary(&parts, &matrix.engines),
        parts,
        charts: vec![chart, rate, p99],
        notes,
    }
}

fn compared(load: &str, engine: &str, rate: Option<Interval>) -> Part {
    let mut part = Part::ratio(
        &format!("{load}: {engine}'s throughput against {BASE}'s"),
        "–",
        rate,
        Limit::AtLeast(1.0 + SAME),
    );
    part.rule = format!("more than {:.0}% apart", SAME * 100.0);
    let Some(found) = rate.filter(|found| found.count >= 3) else { return part };
    let (verdict, note) = if found.low > 1.0 + SAME {
        (Verdict::Holds, format!("{engine} is faster"))
    } else if found.high < 1.0 - SAME {
        (Verdict::Holds, format!("{BASE} is faster"))
    } else if found.low > 1.0 - 2.0 * SAME && found.high < 1.0 + 2.0 * SAME {
        (Verdict::DoesNotHold, "no difference".to_owned())
    } else {
        (Verdict::CannotTell, "no difference can be named".to_owned())
    };
    part.verdict = verdict;
    part.note = note;
    part
}

fn summary(parts: &[Part], engines: &[String]) -> String {
    let mut sentences = Vec::new();
    for engine in engines.iter().filter(|engine| *engine != BASE) {
        for (is_faster, word) in [(true, "faster"), (false, "slower")] {
            let loads: Vec<String> = parts
                .iter()
                .filter(|part| {
                    part.verdict == Verdict::Holds && part.statement.contains(&format!(": {engine}'s"))
                })
                .filter_map(|part| Some((part, part.figure?.median)))
                .filter(|(_, median)| (*median > 1.0) == is_faster)
                .map(|(part, median)| {
                    format!("{} {}", part.statement.split(':').next().unwrap_or_default(), times(median))
                })
                .collect();
            if !loads.is_empty() {
                sentences.push(format!("{engine} is {word} than {BASE} with {}.", loads.join(", ")));
            }
        }
    }
    if sentences.is_empty() {
        return format!("In none of {} comparisons with {BASE} a difference can be named.", parts.len());
    }
    sentences.join(" ")
}
