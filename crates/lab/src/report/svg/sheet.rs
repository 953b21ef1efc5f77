//! What is drawn on: a drawing area of the library, in colours that the page decides.
//!
//! The library writes colours as numbers. Each ink here is a number that no picture would have by chance, and becomes a
//! variable of the page's style sheet at the end, so that one picture serves light and dark. Units are half pixels of the
//! page, for the library draws at whole ones, and a curve shows the steps. Explanations for the pointer are laid over all
//! as invisible shapes with a `<title>`, which the library has not.

use std::fmt::Write as _;

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{IntoFont, RGBAColor, RGBColor, TextStyle};

use crate::report::words::escaped;

/// Units to a pixel.
pub(super) const FINE: i32 = 2;
/// Height of letters, in pixels.
pub(super) const LETTERS: f64 = 12.0;
/// Factor between a size of the library and one of SVG.
const LIBRARY_SIZE: f64 = 1.24;

/// A colour of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Text, whiskers.
    Text,
    /// Labels.
    Soft,
    /// Grid.
    Line,
    /// The paper under it.
    Card,
    /// A series: its place in [`SERIES`].
    Series(u8),
    /// Of 0 to 10.
    Heat(u8),
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stroke {
    /// Throughout.
    Solid,
    /// A second of the same colour.
    Dashed,
    /// What is computed rather than measured.
    Dotted,
}

/// Names of colours in the style sheet, for series.
pub(super) const SERIES: [&str; 6] = ["dashmap", "mutex", "actor", "redis", "lockfree", "valkey"];

impl Ink {
    /// The number that stands for it.
    pub(super) fn color(self) -> RGBColor {
        self.with(Stroke::Solid)
    }

    pub(super) fn with(self, stroke: Stroke) -> RGBColor {
        let number = match self {
            Self::Text => 0,
            Self::Soft => 1,
            Self::Line => 2,
            Self::Card => 3,
            Self::Series(index) => 16 + index,
            Self::Heat(level) => 64 + level,
        };
        RGBColor(1, stroke as u8, number)
    }

    /// Less of it.
    pub(super) fn faint(self, opacity: f64) -> RGBAColor {
        let RGBColor(red, green, blue) = self.color();
        RGBAColor(red, green, blue, opacity)
    }

    fn of(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Text),
            1 => Some(Self::Soft),
            2 => Some(Self::Line),
            3 => Some(Self::Card),
            16..64 => Some(Self::Series(number - 16)),
            64..75 => Some(Self::Heat(number - 64)),
            _ => None,
        }
    }

    /// As the style sheet says it.
    pub(super) fn variable(self) -> String {
        match self {
            Self::Text => "var(--ink)".to_owned(),
            Self::Soft => "var(--soft)".to_owned(),
            Self::Line => "var(--line)".to_owned(),
            Self::Card => "var(--card)".to_owned(),
            Self::Series(index) => format!("var(--{})", SERIES[usize::from(index) % SERIES.len()]),
            Self::Heat(level) => format!("var(--heat-{level})"),
        }
    }
}

/// About how wide a text is, in pixels: the widest of the common fonts.
pub(super) fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * LETTERS * 0.61
}

/// A style for text.
pub(super) fn letters(ink: Ink, across: HPos, down: VPos) -> TextStyle<'static> {
    let size = LETTERS * f64::from(FINE) * LIBRARY_SIZE;
    ("sans-serif", size).into_font().color(&ink.color()).pos(Pos::new(across, down))
}

/// A picture in the making.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws a picture of so many pixels, and what lies over it.
pub(super) fn drawn(
    (width, height): (f64, f64),
    (class, name): (&str, &str),
    draw: impl FnOnce(&Area<'_>, &mut Tips) -> Result<(), String>,
) -> Result<String, String> {
    let (wide, high) = ((width * f64::from(FINE)).round() as u32, (height * f64::from(FINE)).round() as u32);
    let mut text = String::new();
    let mut tips = Tips::default();
    {
        let area = SVGBackend::with_string(&mut text, (wide, high)).into_drawing_area();
        draw(&area, &mut tips)?;
        area.present().map_err(|error| error.to_string())?;
    }
    let body = text.split_once("xmlns=\"http://www.w3.org/2000/svg\">").map_or("", |(_, body)| body);
    let body = body.trim().trim_end_matches("</svg>");
    Ok(format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {wide} {high}\" role=\"img\" aria-label=\"{}\">\n{}{}</svg>\n",
        escaped(name),
        in_the_pages_colours(body),
        tips.shapes
    ))
}

fn in_the_pages_colours(body: &str) -> String {
    let mut out = String::with_capacity(body.len());
    let mut pieces = body.split("\"#01");
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digits =
            |from: usize| piece.get(from..from + 2).and_then(|text| u8::from_str_radix(text, 16).ok());
        let ink = digits(2).and_then(Ink::of);
        match (digits(0), ink) {
            (Some(stroke), Some(ink)) => {
                let dashes = match stroke {
                    1 => " stroke-dasharray=\"12 7\"",
                    2 => " stroke-dasharray=\"2 5\"",
                    _ => "",
                };
                let _ = write!(out, "\"{}\"{dashes}{}", ink.variable(), &piece[5..]);
            }
            _ => {
                out.push_str("\"#01");
                out.push_str(piece);
            }
        }
    }
    // The style sheet says this once.
    let size = format!(" font-family=\"sans-serif\" font-size=\"{}\"", LETTERS * f64::from(FINE));
    out.replace(" opacity=\"1\"", "").replace(" stroke=\"none\"", "").replace(&size, "")
}

/// Explanations that a pointer brings up.
#[derive(Debug, Default)]
pub(super) struct Tips {
    shapes: String,
}

impl Tips {
    /// Around a point.
    pub(super) fn point(&mut self, (x, y): (i32, i32), text: &str) {
        let radius = 9 * FINE;
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            self.shapes,
            "<circle class=\"tip\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"><title>{}</title></circle>",
            escaped(text)
        );
    }

    /// Over a rectangle.
    pub(super) fn rectangle(&mut self, (x1, y1): (i32, i32), (x2, y2): (i32, i32), text: &str) {
        let _ = writeln!(
            self.shapes,
            "<rect class=\"tip\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{}</title></rect>",
            x1.min(x2),
            y1.min(y2),
            x1.abs_diff(x2),
            y1.abs_diff(y2),
            escaped(text)
        );
    }
}
