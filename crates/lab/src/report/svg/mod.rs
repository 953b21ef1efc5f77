//! Draws the report's pictures, as SVG inside the page.
//!
//! Made when the report is written, with a library for plots; a library in the reader's browser was rejected, for a megabyte
//! of somebody's script would be part of each report. So that a picture is legible on a phone, each is drawn twice, for a wide and
//! for a narrow column, and the style sheet shows the one that fits. Titles, units and legends are the page's text: they wrap.

mod bars;
mod heat;
mod lines;
mod scale;
mod sheet;

use std::fmt::Write as _;

use plotters::chart::ChartBuilder;
use plotters::chart::ChartContext;
use plotters::coord::cartesian::Cartesian2d;
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, TRANSPARENT};

use self::scale::Scale;
use self::sheet::{Area, FINE, Ink, Stroke};
use super::chart::{Chart, Drawing, Series};

/// The style sheet of everything that [`figure`] writes, with its colours in light and dark.
pub const STYLE: &str = include_str!("figure.css");

/// A column that a picture is drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    /// Half of a screen.
    Wide,
    /// A phone.
    Narrow,
}

impl Column {
    /// Its width in pixels.
    fn width(self) -> f64 {
        match self {
            Self::Wide => 540.0,
            Self::Narrow => 308.0,
        }
    }

    /// The height of a picture without a height of its own.
    fn height(self) -> f64 {
        match self {
            Self::Wide => 300.0,
            Self::Narrow => 240.0,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Narrow => "narrow",
        }
    }
}

/// Text as HTML has it.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A picture with its title, legend and caption, for a page that has [`STYLE`].
pub fn figure(chart: &Chart) -> Result<String, String> {
    let mut out = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        out,
        "<figure id=\"{}\"><h3>{}</h3>\n<p class=\"unit\">{}</p>\n",
        escaped(&chart.id),
        escaped(&chart.title),
        escaped(&chart.y_name)
    );
    match &chart.drawing {
        Drawing::Lines { series, .. } => legend(&mut out, series, true),
        Drawing::Bars { series, .. } => legend(&mut out, series, false),
        Drawing::Heat { values, .. } => {
            out.push_str(
                "<ul class=\"legend\"><li>0<svg class=\"heat\" viewBox=\"0 0 110 12\" aria-hidden=\"true\">",
            );
            for level in 0..=10 {
                let _ = write!(
                    out,
                    "<rect x=\"{}\" width=\"10\" height=\"12\" fill=\"{}\"/>",
                    level * 10,
                    Ink::Heat(level).variable()
                );
            }
            let _ = writeln!(out, "</svg>{}</li></ul>", super::short(heat::greatest(values)));
        }
    }
    out.push_str("<div class=\"plot\">\n");
    for column in [Column::Wide, Column::Narrow] {
        out.push_str(&picture(chart, column)?);
    }
    out.push_str("</div>");
    if !chart.x_name.is_empty() {
        let _ = write!(out, "<p class=\"along\">{}</p>", escaped(&chart.x_name));
    }
    let _ = writeln!(out, "<figcaption>{}</figcaption></figure>", escaped(&chart.caption));
    Ok(out)
}

/// The height that a picture takes in a column of this width, without its texts; both in pixels.
pub fn height(chart: &Chart, width: f64) -> Result<f64, String> {
    let picture = picture(chart, Column::Wide)?;
    let sides = picture.split_once("viewBox=\"0 0 ").and_then(|(_, rest)| rest.split_once('"'));
    let sides = sides.and_then(|(sides, _)| sides.split_once(' '));
    let (wide, high) = sides.ok_or("a picture without sides")?;
    let number = |text: &str| text.parse::<f64>().map_err(|error| error.to_string());
    Ok(number(high)? * width / number(wide)?)
}

fn picture(chart: &Chart, column: Column) -> Result<String, String> {
    match &chart.drawing {
        Drawing::Lines { x, y, series, marks } => lines::draw(chart, (*x, *y), series, marks, column),
        Drawing::Bars { categories, series } => bars::draw(chart, categories, series, column),
        Drawing::Heat { columns, rows, values } => heat::draw(chart, columns, rows, values, column),
    }
}

/// How a series looks: its colour, its stroke, its sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    ink: Ink,
    stroke: Stroke,
    sign: usize,
    /// How many before it have its colour.
    again: usize,
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
fn is_computed(series: &Series) -> bool {
    series.is_curve && (series.name.ends_with("fitted") || series.name.ends_with("predicted"))
}

/// The looks of series that share a picture.
fn looks(series: &[Series]) -> Vec<Look> {
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
fn opacity(look: Look) -> f64 {
    match look.again {
        0 => 1.0,
        1 => 0.6,
        _ => 0.35,
    }
}

/// Corners of a series' sign around a point, in units; a circle has none.
fn sign(number: usize, radius: i32) -> Option<Vec<(i32, i32)>> {
    let r = radius;
    match number % 5 {
        0 => None,
        1 => Some(vec![(-r, -r), (r, -r), (r, r), (-r, r)]),
        2 => Some(vec![(0, -r - r / 4), (r + r / 4, r), (-r - r / 4, r)]),
        3 => Some(vec![(0, -r - r / 2), (r + r / 2, 0), (0, r + r / 2), (-r - r / 2, 0)]),
        _ => Some(vec![(-r - r / 4, -r), (r + r / 4, -r), (0, r + r / 4)]),
    }
}

fn legend(out: &mut String, series: &[Series], is_lines: bool) {
    if series.len() < 2 {
        return;
    }
    out.push_str("<ul class=\"legend\">");
    let mut is_dotted = false;
    for (one, look) in series.iter().zip(looks(series)) {
        if look.stroke == Stroke::Dotted {
            is_dotted = true;
            continue;
        }
        let color = look.ink.variable();
        let shape = match (is_lines, one.is_curve, sign(look.sign, 4)) {
            (false, ..) => {
                format!("<rect width=\"12\" height=\"12\" rx=\"2\" opacity=\"{}\"/>", opacity(look))
            }
            (true, true, _) => String::new(),
            (true, false, None) => "<circle cx=\"11\" cy=\"6\" r=\"4\"/>".to_owned(),
            (true, false, Some(corners)) => {
                let corners: Vec<String> =
                    corners.iter().map(|(x, y)| format!("{},{}", x + 11, y + 6)).collect();
                format!("<polygon points=\"{}\"/>", corners.join(" "))
            }
        };
        let stroke = match (is_lines, look.stroke) {
            (false, _) => String::new(),
            (true, Stroke::Dashed) => {
                format!("<path d=\"M0 6h22\" stroke=\"{color}\" stroke-dasharray=\"6 3\"/>")
            }
            (true, _) => format!("<path d=\"M0 6h22\" stroke=\"{color}\"/>"),
        };
        let (wide, class) = if is_lines { (22, "stroke") } else { (12, "bar") };
        let _ = write!(
            out,
            "<li><svg class=\"{class}\" viewBox=\"0 0 {wide} 12\" fill=\"{color}\" aria-hidden=\"true\">{stroke}{shape}</svg>{}</li>",
            escaped(&one.name)
        );
    }
    if is_dotted {
        let words =
            if series.iter().any(|one| one.name.ends_with("predicted")) { "predicted" } else { "fitted" };
        let _ = write!(
            out,
            "<li><svg class=\"stroke\" viewBox=\"0 0 22 12\" aria-hidden=\"true\"><path d=\"M0 6h22\" stroke=\"var(--soft)\" stroke-dasharray=\"1 3\"/></svg>{words}</li>"
        );
    }
    out.push_str("</ul>\n");
}

/// A picture's coordinates.
type Plane<'a> = ChartContext<'a, plotters::backend::SVGBackend<'a>, Cartesian2d<Scale, Scale>>;

/// Space around the plane, in pixels.
#[derive(Debug, Clone, Copy)]
struct Margins {
    top: f64,
    right: f64,
    bottom: f64,
    left: f64,
}

fn units(pixels: f64) -> i32 {
    (pixels * f64::from(FINE)).round() as i32
}

/// The plane with its grid and the labels of both axes.
fn plane<'a>(
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

fn drawn<T>(result: Result<T, impl std::fmt::Display>) -> Result<(), String> {
    result.map(|_| ()).map_err(|error| error.to_string())
}

/// A value with its interval, for the pointer.
fn figure_words(point: &super::chart::Point) -> String {
    let short = super::short;
    if (point.high - point.low).abs() <= point.median.abs() * 1e-9 {
        return short(point.median);
    }
    format!("{} ({} to {})", short(point.median), short(point.low), short(point.high))
}
