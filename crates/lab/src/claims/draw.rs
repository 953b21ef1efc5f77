//! Pictures from a run's data: grids of cells as the rules name them, lock waits by shard, and a run through its snapshots.

use crate::claims::finding::fit_words;
use crate::data::Data;
use crate::load::figures::SLICE_MS;
use crate::matrix::Threads;
use crate::report::chart::{Axis, Chart, Drawing, Mark, Point, Series};
use crate::rules::{ChartRule, Claim, Figure, HeatRule, TimelineRule};
use crate::stats::{Interval, coverage, usl};
use crate::trial::saving;

/// What is done while a timeline runs.
const SAVINGS: [&str; 2] = ["BGSAVE", "BGREWRITEAOF"];

/// The pictures of a claim.
pub(super) fn charts(claim: &Claim, data: &Data) -> Vec<Chart> {
    let grids = claim.charts.iter().map(|rule| grid(rule, data));
    let heats = claim.heats.iter().map(|rule| heat(rule, data));
    let timelines = claim.timelines.iter().filter_map(|rule| timeline(rule, data));
    grids.chain(heats).chain(timelines).filter(has_points).collect()
}

/// What is told beside them: the fit of the Universal Scalability Law, where cores give it enough points.
pub(super) fn notes(claim: &Claim, data: &Data) -> Vec<String> {
    let scaling = claim.charts.iter().filter(|rule| {
        let specs = rule.series.iter().flat_map(|(_, cells)| cells);
        rule.figure == Figure::Throughput && specs.clone().any(|spec| spec.threads == Threads::Twice)
    });
    scaling.map(|rule| scalability(rule, data)).collect()
}

/// The law is about threads that run beside each other: more than there are cores say nothing about it.
fn scalability(rule: &ChartRule, data: &Data) -> String {
    let matrix = &data.settings.matrix;
    let fits = rule.series.iter().map(|(name, cells)| {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for spec in cells.iter().filter(|spec| matrix.threads(spec.threads) <= matrix.cores) {
            let threads = matrix.threads(spec.threads) as f64;
            let found = data.interval(&spec.cell(matrix), rule.figure);
            if points.iter().all(|(other, _)| *other != threads) {
                points.extend(found.map(|found| (threads, found.median)));
            }
        }
        format!("{name}: {}", fit_words(&usl::fit(&points)))
    });
    format!(
        "{}: the Universal Scalability Law over threads that have a core. {}.",
        rule.title,
        fits.collect::<Vec<_>>().join("; ")
    )
}

fn has_points(chart: &Chart) -> bool {
    match &chart.drawing {
        Drawing::Lines { series, .. } | Drawing::Bars { series, .. } => !series.is_empty(),
        Drawing::Heat { values, .. } => !values.is_empty(),
    }
}

fn grid(rule: &ChartRule, data: &Data) -> Chart {
    let matrix = &data.settings.matrix;
    let base = rule.base.as_ref().and_then(|base| rule.series.iter().find(|(name, _)| name == base));
    // On a small machine several places may be the same: half of two cores is one thread.
    let is_new = |index: &usize| {
        rule.series.iter().any(|(_, cells)| {
            cells[..*index].iter().all(|earlier| earlier.cell(matrix) != cells[*index].cell(matrix))
        })
    };
    let places: Vec<usize> = (0..rule.places.len()).filter(is_new).collect();
    let mut counts = Vec::new();
    let mut series = Vec::new();
    for (name, cells) in &rule.series {
        let mut points = Vec::new();
        for (at, &index) in places.iter().enumerate() {
            let (cell, place) = (cells[index].cell(matrix), &rule.places[index]);
            let found = match base {
                Some((_, bases)) => data.ratio(&cell, &bases[index].cell(matrix), rule.figure),
                None => data.interval(&cell, rule.figure),
            };
            let x = if rule.is_bars { Some(at as f64) } else { place.parse().ok() };
            let Some((found, x)) = found.zip(x) else { continue };
            counts.push(found.count);
            points.push(point(x, found.map(|value| value * rule.scale)));
        }
        if !points.is_empty() {
            series.push(Series { name: name.clone(), points, is_curve: false });
        }
    }
    let drawing = if rule.is_bars {
        let categories = places.iter().map(|index| rule.places[*index].clone()).collect();
        Drawing::Bars { categories, series }
    } else {
        let y = if rule.is_log { Axis::Log } else { Axis::Linear };
        Drawing::Lines { x: if rule.is_log { Axis::Linear } else { Axis::Log }, y, series, marks: Vec::new() }
    };
    Chart {
        id: rule.id.clone(),
        title: rule.title.clone(),
        caption: format!("{} {}", rule.caption, repetitions(&counts)),
        x_name: rule.x_name.clone(),
        y_name: rule.y_name.clone(),
        drawing,
    }
}

/// On how many repetitions the points stand, and what their ends then are.
fn repetitions(counts: &[usize]) -> String {
    let (Some(least), Some(most)) = (counts.iter().min(), counts.iter().max()) else { return String::new() };
    let counts = if least == most { format!("{least}") } else { format!("{least} to {most}") };
    if coverage(*least) < 0.94 {
        format!(
            "{counts} repetitions; of fewer than 6 the ends are the least and the greatest that was seen."
        )
    } else {
        format!("{counts} repetitions; the ends hold the median in 95 of 100 cases.")
    }
}

fn point(x: f64, Interval { low, median, high, .. }: Interval) -> Point {
    Point { x, low, median, high }
}

/// Lock waits per group of shards: the median over the rounds.
fn heat(rule: &HeatRule, data: &Data) -> Chart {
    let mut rows = Vec::new();
    let mut values = Vec::new();
    let mut columns = 0;
    for (name, spec) in &rule.rows {
        let measures = data.measures(&spec.cell(&data.settings.matrix));
        let width = measures.iter().map(|(_, measure)| measure.shard_wait_ns.len()).max().unwrap_or(0);
        for column in 0..width {
            let per_second = |(_, measure): &(_, &crate::cell::Measure)| {
                measure.shard_wait_ns.get(column).copied().unwrap_or(0.0)
                    / 1e6
                    / measure.main.seconds.max(1e-9)
            };
            let waits: Vec<f64> = measures.iter().map(per_second).collect();
            values.push((column, rows.len(), crate::stats::median(&waits)));
        }
        if width > 0 {
            columns = columns.max(width);
            rows.push(name.clone());
        }
    }
    Chart {
        id: rule.id.clone(),
        title: rule.title.clone(),
        caption: rule.caption.clone(),
        x_name: "shards".to_owned(),
        y_name: "ms waited per second".to_owned(),
        drawing: Drawing::Heat {
            columns: (0..columns).map(|index| (index * 32).to_string()).collect(),
            rows,
            values,
        },
    }
}

/// The longest latency of each slice of time, through one run: the first round.
fn timeline(rule: &TimelineRule, data: &Data) -> Option<Chart> {
    let measures = data.measures(&rule.cell.cell(&data.settings.matrix));
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
    let marks = measure.phases.iter().filter(|span| SAVINGS.contains(&span.name.as_str()));
    let marks = marks.map(|span| Mark {
        from: span.start,
        to: span.start + measure.more.get(&saving(&span.name)).copied().unwrap_or(0.0).max(0.05),
        name: span.name.clone(),
    });
    Some(Chart {
        id: rule.id.clone(),
        title: rule.title.clone(),
        caption: format!(
            "Open loop: p99 and the longest latency of each {SLICE_MS} ms; shaded while it saves. The first run of {}.",
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
