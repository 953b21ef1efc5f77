//! Colours over two categories, on a logarithmic scale: most places hold nothing, few hold nearly all.

use plotters::element::{Rectangle, Text};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, VPos};

use super::plane::{Column, Margins, drawn, plane, units};
use super::scale::Scale;
use super::sheet::{self, Ink, text_width};
use crate::report::chart::Chart;
use crate::report::words::short;

/// Steps of colour above the first.
const LEVELS: f64 = 10.0;
/// Height of a row, in pixels.
const ROW: f64 = 24.0;
/// Height of a name that stands above its row, in pixels.
const NAME: f64 = 21.0;

/// The value of the hottest colour.
pub(super) fn greatest(values: &[(usize, usize, f64)]) -> f64 {
    values.iter().map(|(_, _, value)| *value).fold(1.0, f64::max)
}

pub(super) fn draw(
    chart: &Chart,
    columns: &[String],
    rows: &[String],
    values: &[(usize, usize, f64)],
    column: Column,
) -> Result<String, String> {
    let most = greatest(values);
    let level = |value: f64| ((value.max(0.0) + 1.0).log10() / (most + 1.0).log10() * LEVELS).round() as u8;
    let is_above = column == Column::Narrow;
    let widest = rows.iter().map(|name| text_width(name)).fold(0.0, f64::max);
    let left = if is_above { 4.0 } else { widest + 12.0 };
    let each = if is_above { ROW + NAME } else { ROW };
    let head = if is_above { NAME / each } else { 0.0 };
    let (top, bottom, right) = (4.0, 24.0, 12.0);
    let height = top + bottom + each * rows.len() as f64;
    sheet::drawn((column.width(), height), (column.class(), &chart.title), |area, tips| {
        let (x, y) = (Scale::places(columns.len()), Scale::places(rows.len()).reversed());
        let margins = Margins { top, right, bottom, left };
        let mut plane = plane(area, x, y, margins, (false, false))?;
        for (at_column, at_row, value) in values {
            let (x, y) = (*at_column as f64, *at_row as f64);
            let corners = [(x, y + head), (x + 1.0, y + 1.0)];
            let fill = Ink::Heat(level(*value)).color().filled();
            let edge = Ink::Card.color().stroke_width(2);
            drawn(plane.draw_series([Rectangle::new(corners, fill), Rectangle::new(corners, edge)]))?;
            let place = |corner: (f64, f64)| plane.plotting_area().map_coordinate(&corner);
            let name = |names: &[String], index: usize| names.get(index).cloned().unwrap_or_default();
            let words = format!(
                "{}, {} from {}: {} {}",
                name(rows, *at_row),
                chart.x_name,
                name(columns, *at_column),
                short(*value),
                chart.y_name
            );
            tips.rectangle(place(corners[0]), place(corners[1]), &words);
        }
        let (across, down) = plane.plotting_area().get_pixel_range();
        let text = |words: &str, place: (i32, i32), to: HPos| {
            let style = sheet::letters(Ink::Soft, to, VPos::Center);
            drawn(area.draw(&Text::new(words.to_owned(), place, style)))
        };
        for (index, name) in rows.iter().enumerate() {
            let at = |share: f64| plane.plotting_area().map_coordinate(&(0.0, index as f64 + share)).1;
            if is_above {
                text(name, (across.start, at(head / 2.0)), HPos::Left)?;
            } else {
                text(name, (across.start - units(8.0), at(0.5)), HPos::Right)?;
            }
        }
        // As many columns are named as have room.
        let room = f64::from(across.end - across.start) / f64::from(sheet::FINE);
        let widest = columns.iter().map(|name| text_width(name)).fold(0.0, f64::max) + 14.0;
        let step = (columns.len() as f64 * widest / room).ceil().max(1.0) as usize;
        for (index, name) in columns.iter().enumerate().step_by(step) {
            let x = plane.plotting_area().map_coordinate(&(index as f64 + 0.5, 0.0)).0;
            let half = units(text_width(name) / 2.0);
            text(name, (x.min(across.end - half), down.end + units(12.0)), HPos::Center)?;
        }
        Ok(())
    })
}
