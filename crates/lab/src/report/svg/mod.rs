//! Draws the report's pictures, as SVG inside the page.
//!
//! Made when the report is written, with a library for plots; a library in the reader's browser was rejected, for a megabyte
//! of somebody's script would be part of each report. So that a picture is legible on a phone, each is drawn twice, for a wide and
//! for a narrow column, and the style sheet shows the one that fits. Titles, units and legends are the page's text: they wrap.

mod bars;
mod heat;
mod lines;
mod plane;
mod scale;
mod sheet;

use std::fmt::Write as _;

use self::plane::{Column, looks, opacity, sign};
use self::sheet::{Ink, Stroke};
use super::chart::{Chart, Drawing, Series};
use super::words::{escaped, short};

/// The style sheet of everything that [`figure`] writes, with its colours in light and dark.
pub const STYLE: &str = include_str!("figure.css");

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
            let _ = writeln!(out, "</svg>{}</li></ul>", short(heat::greatest(values)));
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
