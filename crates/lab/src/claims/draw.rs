//! Pictures from a run's data: grids of cells as the rules name them.

use crate::data::Data;
use crate::report::chart::{Axis, Chart, Drawing, Point, Series};
use crate::rules::{ChartRule, Claim};
use crate::stats::Interval;

/// The pictures of a claim.
pub(super) fn charts(claim: &Claim, data: &Data) -> Vec<Chart> {
    claim.charts.iter().map(|rule| grid(rule, data)).filter(has_points).collect()
}

/// What is told beside them.
pub(super) fn notes(_claim: &Claim, _data: &Data) -> Vec<String> {
    Vec::new()
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
    let series = rule.series.iter().map(|(name, cells)| {
        let points = cells.iter().zip(&rule.places).enumerate().filter_map(|(index, (spec, place))| {
            let cell = spec.cell(matrix);
            let found = match base {
                Some((_, bases)) => data.ratio(&cell, &bases[index].cell(matrix), rule.figure)?,
                None => data.interval(&cell, rule.figure)?,
            };
            let x = if rule.is_bars { index as f64 } else { place.parse().ok()? };
            Some(point(x, found.map(|value| value * rule.scale)))
        });
        Series { name: name.clone(), points: points.collect(), is_curve: false }
    });
    let series = series.filter(|series| !series.points.is_empty()).collect();
    let drawing = if rule.is_bars {
        Drawing::Bars { categories: rule.places.clone(), series }
    } else {
        let y = if rule.is_log { Axis::Log } else { Axis::Linear };
        Drawing::Lines { x: Axis::Log, y, series, marks: Vec::new() }
    };
    Chart {
        id: rule.id.clone(),
        title: rule.title.clone(),
        caption: rule.caption.clone(),
        x_name: rule.x_name.clone(),
        y_name: rule.y_name.clone(),
        drawing,
    }
}

fn point(x: f64, Interval { low, median, high, .. }: Interval) -> Point {
    Point { x, low, median, high }
}
