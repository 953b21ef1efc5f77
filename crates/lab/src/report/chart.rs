//! What a picture shows, apart from how it is drawn: whoever answers a question fills these in, and only [`super::svg`] draws.
//!
//! They are data so that `report.json` holds every number of every picture, and so that Markdown can write them as tables.

use serde::{Deserialize, Serialize};

/// A point of a line: where, and the interval there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Place on the x axis.
    pub x: f64,
    /// Lower end.
    pub low: f64,
    /// Median.
    pub median: f64,
    /// Upper end.
    pub high: f64,
}

/// A line, or a row of bars.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its points; for bars x is the category's index.
    pub points: Vec<Point>,
    /// Whether it is drawn as a curve without points and band: a fit.
    #[serde(default)]
    pub is_curve: bool,
}

/// Whether an axis is linear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// Equal steps, from zero.
    Linear,
    /// Equal factors.
    Log,
    /// The nines of a percentile: x is 1/(1-quantile), on a logarithmic axis.
    Nines,
}

/// A time that is marked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// From here.
    pub from: f64,
    /// To here.
    pub to: f64,
    /// What it is.
    pub name: String,
}

/// What is drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Drawing {
    /// Lines with interval bands.
    Lines {
        /// The x axis.
        x: Axis,
        /// The y axis.
        y: Axis,
        /// The lines.
        series: Vec<Series>,
        /// Marked times.
        marks: Vec<Mark>,
    },
    /// Bars with intervals.
    Bars {
        /// Along the x axis.
        categories: Vec<String>,
        /// A row of bars each.
        series: Vec<Series>,
    },
    /// Colours over two categories.
    Heat {
        /// Along the x axis.
        columns: Vec<String>,
        /// Along the y axis.
        rows: Vec<String>,
        /// Column, row, value.
        values: Vec<(usize, usize, f64)>,
    },
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// Unique in the report.
    pub id: String,
    /// Above it.
    pub title: String,
    /// Below it: what was measured and how.
    pub caption: String,
    /// The x axis' name.
    pub x_name: String,
    /// The y axis' name, with its unit.
    pub y_name: String,
    /// What is drawn.
    pub drawing: Drawing,
}
