//! What all kinds of pictures share: the columns that they are drawn for, how series look, and the plane with its axes.

use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, TRANSPARENT};

use super::scale::Scale;
use super::sheet::{self, Area, FINE, Ink, Stroke};
use crate::report::chart::{Point, Series};
use crate::report::words::short;

/// A column that a picture is drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// Half of a screen.
    Wide,
    /// A phone.
    Narrow,
}

impl Column {
    /// Its width in pixels.
    pub(super) fn width(self) -> f64 {
        match self {
            Self::Wide => 540.0,
            Self::Narrow => 308.0,
        }
    }

    /// The height of a picture without a height of its own.
    pub(super) fn height(self) -> f64 {
        match self {
            Self::Wide => 300.0,
            Self::Narrow => 240.0,
        }
    }

    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Narrow => "narrow",
        }
    }
}

/// How a series looks: its colour, its stroke, its sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) ink: Ink,
    pub(super) stroke: Stroke,
    pub(super) sign: usize,
    /// How many before it have its colour.
    pub(super) again: usize,
}

/// Names that have a colour of their own, wherever they stand.
const NAMED: [(&str, u8); 11] = [
    ("dashmap", 0),
    ("mutex", 1),
    ("actor", 2),
    ("redis", 3),
    ("lockfree", 4),
    ("valkey", 5),
    ("thread-local", 0),
    ("longest", 1),
    ("sharded", 2),
    ("off", 3),
    ("p99", 0),
];

/// What is computed, not measured, is drawn in the colour of what it belongs to.
pub(super) fn is_computed(series: &Series) -> bool {
    series.is_curve && (series.name.ends_with("fitted") || series.name.ends_with("predicted"))
}

/// The looks of series that share a picture.
pub(super) fn looks(series: &[Series]) -> Vec<Look> {
    let mut looks: Vec<Look> = Vec::new();
    let mut taken: Vec<u8> = Vec::new();
    for one in series {
        let base = one.name.split([',', ' ']).next().unwrap_or_default();
        let named = NAMED.iter().find(|(name, _)| *name == base).map(|(_, color)| *color);
        let free = (0..6).find(|color| !taken.contains(color) && !is_named(series, *color));
        let color = named.or(free).unwrap_or((looks.len() % 6) as u8);
        let ink = Ink::Series(color);
        let again = looks.iter().filter(|look| look.ink == ink && look.stroke != Stroke::Dotted).count();
        let stroke = match (is_computed(one), again) {
            (true, _) => Stroke::Dotted,
            (false, 0) => Stroke::Solid,
            (false, _) => Stroke::Dashed,
        };
        let sign = looks.iter().filter(|look| look.stroke != Stroke::Dotted).count();
        taken.push(color);
        looks.push(Look { ink, stroke, sign, again });
    }
    looks
}

fn is_named(series: &[Series], color: u8) -> bool {
    let base = |one: &Series| one.name.split([',', ' ']).next().unwrap_or_default().to_owned();
    series.iter().any(|one| NAMED.iter().any(|(name, of)| *of == color && *name == base(one)))
}

/// Opacity of bars whose colour others had before.
pub(super) fn opacity(look: Look) -> f64 {
    match look.again {
        0 => 1.0,
        1 => 0.6,
        _ => 0.35,
    }
}

/// Corners of a series' sign around a point, in units; a circle has none.
pub(super) fn sign(number: usize, radius: i32) -> Option<Vec<(i32, i32)>> {
    let r = radius;
    match number % 5 {
        0 => None,
        1 => Some(vec![(-r, -r), (r, -r), (r, r), (-r, r)]),
        2 => Some(vec![(0, -r - r / 4), (r + r / 4, r), (-r - r / 4, r)]),
        3 => Some(vec![(0, -r - r / 2), (r + r / 2, 0), (0, r + r / 2), (-r - r / 2, 0)]),
        _ => Some(vec![(-r - r / 4, -r), (r + r / 4, -r), (0, r + r / 4)]),
    }
}

/// A picture's coordinates.
pub(super) type Plane<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Scale, Scale>>;

/// Space around the plane, in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Margins {
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
    pub(super) left: f64,
}

pub(super) fn units(pixels: f64) -> i32 {
    (pixels * f64::from(FINE)).round() as i32
}

/// The plane with its grid and the labels of both axes.
pub(super) fn plane<'a>(
    area: &Area<'a>,
    x: Scale,
    y: Scale,
    margins: Margins,
    grid: (bool, bool),
) -> Result<Plane<'a>, String> {
    let (is_x_labelled, is_y_labelled) = (!x.ticks().is_empty(), !y.ticks().is_empty());
    let mut builder = ChartBuilder::on(area);
    builder.margin_top(units(margins.top)).margin_right(units(margins.right));
    builder.x_label_area_size(units(margins.bottom)).y_label_area_size(units(margins.left));
    let mut chart = builder.build_cartesian_2d(x, y).map_err(|error| error.to_string())?;
    let mut mesh = chart.configure_mesh();
    mesh.bold_line_style(Ink::Line.color().stroke_width(FINE as u32)).light_line_style(TRANSPARENT);
    mesh.axis_style(Ink::Line.color().stroke_width(FINE as u32)).max_light_lines(0);
    mesh.set_all_tick_mark_size(units(3.0));
    let style = sheet::letters(Ink::Soft, HPos::Center, VPos::Center);
    mesh.label_style(style);
    if !grid.0 {
        mesh.disable_x_mesh();
    }
    if !grid.1 {
        mesh.disable_y_mesh();
    }
    if !is_x_labelled && grid.1 {
        mesh.x_labels(0);
    }
    if !is_y_labelled {
        mesh.y_labels(0).disable_y_axis();
    }
    mesh.draw().map_err(|error| error.to_string())?;
    Ok(chart)
}

pub(super) fn drawn<T>(result: Result<T, impl std::fmt::Display>) -> Result<(), String> {
    result.map(|_| ()).map_err(|error| error.to_string())
}

/// A value with its interval, for the pointer.
pub(super) fn figure_words(point: &Point) -> String {
    if (point.high - point.low).abs() <= point.median.abs() * 1e-9 {
        return short(point.median);
    }
    format!("{} ({} to {})", short(point.median), short(point.low), short(point.high))
}
