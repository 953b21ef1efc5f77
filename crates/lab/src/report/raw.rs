//! Raw data: every trial as a line of CSV, every computed number as JSON.

use std::fmt::Write as _;

use serde_json::json;

use crate::cell::{Measure, TrialEnd};
use crate::claims::Finding;
use crate::data::Data;
use crate::rules::Figure;
use crate::stats::Interval;

const COLUMNS: &str = "cell,session,round,unix_ms,outcome,requests,seconds,requests_per_s,p50_us,p99_us,p999_us,max_us,\
errors,misses,generator_busiest,generator_cores,server_cores,server_us_per_request,server_bytes,unsteadiness\n";

/// The figures of which each cell has a median and an interval, where it has them.
const FIGURES: [Figure; 10] = [
    Figure::ServerUs,
    Figure::CoresUsed,
    Figure::RequestsPerCoreSecond,
    Figure::Throughput,
    Figure::P50,
    Figure::P99,
    Figure::P999,
    Figure::BytesPerKey,
    Figure::CostPerMillion,
    Figure::Unsteadiness,
];

/// A line per trial.
pub(super) fn csv(data: &Data) -> String {
    let mut out = COLUMNS.to_owned();
    for trial in &data.trials {
        let mut fields = vec![
            quoted(&trial.cell),
            trial.session.to_string(),
            trial.round.to_string(),
            trial.unix_ms.to_string(),
        ];
        match &trial.outcome {
            TrialEnd::Measured(measure) => {
                fields.push("measured".to_owned());
                fields.extend(numbers(measure).map(|number| number.to_string()));
            }
            TrialEnd::Failed(reason) => fields.push(quoted(&format!("failed: {reason}"))),
            TrialEnd::Absent(reason) => fields.push(quoted(&format!("absent: {reason}"))),
        }
        out.push_str(&fields.join(","));
        out.push('\n');
    }
    out
}

fn numbers(measure: &Measure) -> [f64; 15] {
    let main = &measure.main;
    [
        main.requests as f64,
        main.seconds,
        main.rate,
        main.p50_us,
        main.p99_us,
        main.p999_us,
        main.max_us,
        measure.errors as f64,
        measure.misses as f64,
        measure.generator_busiest,
        measure.generator_cores,
        measure.server_cores,
        measure.server_us(),
        measure.server_bytes as f64,
        measure.unsteadiness(),
    ]
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\"").replace(['\n', '\r'], " "))
}

/// A cell's medians and intervals, by figure.
fn cell_figures(data: &Data, id: &str) -> Vec<(Figure, Interval)> {
    let Some(cell) = data.settings.cells.get(id) else { return Vec::new() };
    FIGURES.iter().filter_map(|figure| Some((*figure, data.interval(cell, *figure)?))).collect()
}

/// Everything that the report states.
pub(super) fn json(data: &Data, findings: &[Finding]) -> Result<String, String> {
    let mut cells = serde_json::Map::new();
    for id in data.settings.cells.keys() {
        let figures: serde_json::Map<String, serde_json::Value> = cell_figures(data, id)
            .into_iter()
            .map(|(figure, interval)| (figure.name(), json!([interval.low, interval.median, interval.high])))
            .collect();
        cells.insert(id.clone(), figures.into());
    }
    let report = json!({
        "seed": data.settings.seed,
        "rules": data.settings.rules,
        "machine": data.settings.machine,
        "versions": data.settings.versions,
        "findings": findings,
        "cells": cells,
    });
    let mut text = serde_json::to_string(&report).map_err(|error| error.to_string())?;
    // A line for each finding and cell keeps the committed file readable in a diff.
    text = text.replace("{\"number\":", "\n{\"number\":");
    let _ = writeln!(text);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_quoted() {
        assert_eq!(quoted("a \"b\",\nc"), "\"a \"\"b\"\", c\"");
    }
}
