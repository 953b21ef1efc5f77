//! Claim 8: what a snapshot and an AOF rewrite do to the tail, with and without fork.

use crate::cell::{Cell, Measure, Program, Setup, Snapshot};
use crate::claims::finding::{Finding, Limit, Part, Verdict, overall};
use crate::data::Data;
use crate::load::figures::SLICE_MS;
use crate::plan::{DEFAULT_ENGINE, Matrix, Planned};
use crate::report::chart::{Axis, Chart, Drawing, Mark, Point, Series};
use crate::stats::{self, Interval};
use crate::trial::saving;

/// Requests a second: well below what any server here can do, so that what is seen is the snapshot.
const RATE: u32 = 10_000;
const WORKS: [(&str, &str); 2] = [("BGSAVE", "a snapshot"), ("BGREWRITEAOF", "an AOF rewrite")];

fn setups(matrix: &Matrix) -> Vec<(&'static str, Setup)> {
    let options: &[&str] = &["--appendonly", "yes", "--appendfsync", "everysec"];
    let own = Setup::rustredis(DEFAULT_ENGINE, matrix.server_threads(), DEFAULT_ENGINE, options);
    vec![("RustRedis", own), ("redis-server", Setup::other(Program::Redis, "redis", options))]
}

fn cell(setup: &Setup) -> Cell {
    Cell::Snapshot(Snapshot { setup: setup.clone(), rate: RATE })
}

pub(super) fn cells(matrix: &Matrix) -> Vec<Planned> {
    // A tail of a second is ten requests.
    let rounds = 2 * matrix.rounds();
    setups(matrix).iter().map(|(_, setup)| Planned { cell: cell(setup), rounds }).collect()
}

pub(super) fn answer(data: &Data) -> Finding {
    let setups = setups(&data.settings.matrix);
    let mut parts = Vec::new();
    for (command, work) in WORKS {
        let own = data.series(&cell(&setups[0].1), |measure| p999(measure, command));
        let other = data.series(&cell(&setups[1].1), |measure| p999(measure, command));
        let mut part = Part::ratio(
            &format!("p99.9 during {work}: RustRedis against redis-server's fork"),
            "–",
            stats::ratio(&own, &other),
            Limit::Less,
        );
        if let Some(reason) = data.why_missing(&cell(&setups[0].1)) {
            part.verdict = Verdict::CannotTell;
            part.note = format!("RustRedis: {reason}");
        }
        parts.push(part);
    }
    for (name, setup) in &setups {
        for (command, work) in WORKS {
            let ratios: Vec<f64> = data
                .measures(&cell(setup))
                .iter()
                .map(|(_, measure)| p999(measure, command) / p999(measure, "before").max(1e-9))
                .collect();
            parts.push(
                Part::ratio(
                    &format!("{name}: p99.9 during {work} against before it"),
                    "–",
                    stats::interval(&ratios),
                    Limit::AtLeast(1.5),
                )
                .informs(),
            );
        }
    }
    let charts = setups.iter().filter_map(|(name, setup)| timeline(data, name, setup)).collect();
    let summary = setups
        .iter()
        .filter_map(|(name, setup)| {
            let of = |phase: &str| data.interval(&cell(setup), |measure| p999(measure, phase) / 1e3);
            let (before, during, rewrite): (Interval, Interval, Interval) =
                (of("before")?, of("BGSAVE")?, of("BGREWRITEAOF")?);
            Some(format!(
                "{name}: p99.9 {:.1} ms before, {:.1} ms during a snapshot, {:.1} ms during a rewrite.",
                before.median, during.median, rewrite.median
            ))
        })
        .collect::<Vec<_>>()
        .join(" ");
    Finding {
        number: 8,
        title: "Snapshots under load".to_owned(),
        claim: "Snapshot and AOF rewrite under load: what they do to p99.9, against Redis's fork. The claim that is judged is that doing it without fork keeps p99.9 lower."
            .to_owned(),
        verdict: overall(&parts),
        summary: if summary.is_empty() { "No server with snapshots was measured.".to_owned() } else { summary },
        parts,
        charts,
        notes: vec![format!(
            "Open loop: {RATE} requests/s from 50 clients over 500,000 keys of 64 bytes; latency counts from the intended send time. p99.9 is that of all requests from the command on, for the same time with each server, in which saving ends. The fork's stall grows with memory; this data set is small."
        )],
    }
}

fn p999(measure: &Measure, phase: &str) -> f64 {
    measure.phases.iter().find(|span| span.name == phase).map_or(0.0, |span| span.p999_us)
}

/// How long the server was saving.
fn saved_seconds(measure: &Measure, phase: &str) -> f64 {
    measure.more.get(&saving(phase)).copied().unwrap_or(0.0)
}

/// The longest latency of each 100 ms, through one run: the first round.
fn timeline(data: &Data, name: &str, setup: &Setup) -> Option<Chart> {
    let measures = data.measures(&cell(setup));
    let (_, measure) = measures.first()?;
    let seconds = |index: usize| index as f64 * SLICE_MS as f64 / 1e3;
    let of = |name: &str, figure: fn(&(u64, f64, f64)) -> f64| {
        let points = measure.slices.iter().enumerate().map(|(index, slice)| {
            let ms = figure(slice) / 1e3;
            Point { x: seconds(index), low: ms, median: ms, high: ms }
        });
        Series {
            name: name.to_owned(),
            points: points.filter(|point| point.median > 0.0).collect(),
            is_curve: true,
        }
    };
    let marks = measure.phases.iter().filter(|span| WORKS.iter().any(|(command, _)| span.name == *command));
    let marks = marks.map(|span| Mark {
        from: span.start,
        to: span.start + saved_seconds(measure, &span.name).max(0.05),
        name: span.name.clone(),
    });
    Some(Chart {
        id: format!("snapshot-{}", setup.label),
        title: format!("{name} through a snapshot and a rewrite"),
        caption: format!(
            "{RATE} requests/s, open loop: p99 and the longest latency of each 100 ms; shaded while it saves. One run of {}.",
            measures.len()
        ),
        x_name: "seconds".to_owned(),
        y_name: "latency, ms".to_owned(),
        drawing: Drawing::Lines {
            x: Axis::Linear,
            y: Axis::Log,
            series: vec![of("longest", |slice| slice.2), of("p99", |slice| slice.1)],
            marks: marks.collect(),
        },
    })
}
