//! Pictures that several claims draw.

use crate::cell::{Cell, Measure, Setup};
use crate::data::Data;
use crate::report::chart::{Axis, Chart, Drawing, Point, Series};
use crate::stats::Interval;

/// A point with its interval.
pub(super) fn point(x: f64, interval: Interval) -> Point {
    Point { x, low: interval.low, median: interval.median, high: interval.high }
}

/// A figure of several cells, as a line.
pub(super) fn line(
    data: &Data,
    name: &str,
    cells: impl Iterator<Item = (f64, Cell)>,
    figure: impl Fn(&Measure) -> f64 + Copy,
) -> Series {
    let points = cells.filter_map(|(x, cell)| Some(point(x, data.interval(&cell, figure)?))).collect();
    Series { name: name.to_owned(), points, is_curve: false }
}

/// A figure against clients, a line per server.
pub(super) fn over_clients(
    data: &Data,
    id: &str,
    (title, y_name, y): (&str, &str, Axis),
    caption: &str,
    setups: &[Setup],
    figure: impl Fn(&Measure) -> f64 + Copy,
) -> Chart {
    let matrix = &data.settings.matrix;
    let of_setup = |setup: &Setup| {
        let cells = matrix
            .clients()
            .iter()
            .map(|clients| (*clients as f64, matrix.tcp(setup, "uniform", *clients, 1)));
        line(data, &setup.label, cells, figure)
    };
    Chart {
        id: id.to_owned(),
        title: title.to_owned(),
        caption: caption.to_owned(),
        x_name: "clients".to_owned(),
        y_name: y_name.to_owned(),
        drawing: Drawing::Lines {
            x: Axis::Log,
            y,
            series: setups.iter().map(of_setup).filter(|series| !series.points.is_empty()).collect(),
            marks: Vec::new(),
        },
    }
}

/// Latency percentile curves: all rounds of each cell merged.
pub(super) fn percentiles(
    data: &Data,
    id: &str,
    title: &str,
    caption: &str,
    cells: &[(String, Cell)],
) -> Chart {
    let series = cells.iter().filter_map(|(name, cell)| {
        let mut merged = crate::load::figures::latency_histogram();
        for (_, measure) in data.measures(cell) {
            merged.add(crate::trial::decode(&measure.main.histogram).ok()?).ok()?;
        }
        if merged.is_empty() {
            return None;
        }
        let most = (merged.len() as f64).log10().min(5.0);
        let steps = (most * 8.0) as usize;
        // From the median on: what is below would take half of the picture.
        let points = (2..=steps).map(|step| {
            let x = 10_f64.powf(step as f64 / 8.0);
            let ms = merged.value_at_quantile(1.0 - 1.0 / x) as f64 / 1e6;
            Point { x, low: ms, median: ms, high: ms }
        });
        Some(Series { name: name.clone(), points: points.collect(), is_curve: true })
    });
    Chart {
        id: id.to_owned(),
        title: title.to_owned(),
        caption: caption.to_owned(),
        x_name: "percentile".to_owned(),
        y_name: "latency, ms".to_owned(),
        drawing: Drawing::Lines { x: Axis::Nines, y: Axis::Log, series: series.collect(), marks: Vec::new() },
    }
}

/// Bars: for each category and each name, a cell.
pub(super) fn bars(
    data: &Data,
    (id, title, y_name): (&str, &str, &str),
    caption: &str,
    categories: &[&str],
    names: &[String],
    cell: impl Fn(usize, usize) -> Option<Cell>,
    figure: impl Fn(&Measure) -> f64 + Copy,
) -> Chart {
    let series = names.iter().enumerate().map(|(name_index, name)| {
        let points = (0..categories.len()).filter_map(|category| {
            Some(point(category as f64, data.interval(&cell(category, name_index)?, figure)?))
        });
        Series { name: name.clone(), points: points.collect(), is_curve: false }
    });
    Chart {
        id: id.to_owned(),
        title: title.to_owned(),
        caption: caption.to_owned(),
        x_name: String::new(),
        y_name: y_name.to_owned(),
        drawing: Drawing::Bars {
            categories: categories.iter().map(|&category| category.to_owned()).collect(),
            series: series.filter(|series| !series.points.is_empty()).collect(),
        },
    }
}

/// Bars of ratios to one name's cell in the same category, by rounds: that name is 1.
pub(super) fn relative_bars(
    data: &Data,
    (id, title, y_name): (&str, &str, &str),
    caption: &str,
    categories: &[&str],
    (names, base): (&[String], &str),
    cell: impl Fn(usize, usize) -> Cell,
    figure: impl Fn(&Measure) -> f64 + Copy,
) -> Chart {
    let base_index = names.iter().position(|name| name == base);
    let series = names.iter().enumerate().map(|(name_index, name)| {
        let points = (0..categories.len()).filter_map(|category| {
            let found = data.ratio(&cell(category, name_index), &cell(category, base_index?), figure)?;
            Some(point(category as f64, found))
        });
        Series { name: name.clone(), points: points.collect(), is_curve: false }
    });
    Chart {
        id: id.to_owned(),
        title: title.to_owned(),
        caption: caption.to_owned(),
        x_name: String::new(),
        y_name: y_name.to_owned(),
        drawing: Drawing::Bars {
            categories: categories.iter().map(|&category| category.to_owned()).collect(),
            series: series.filter(|series| !series.points.is_empty()).collect(),
        },
    }
}

/// Requests a second, in thousands.
pub(super) fn thousands(measure: &Measure) -> f64 {
    measure.main.rate / 1e3
}
