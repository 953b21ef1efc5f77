//! Lines with bands of their intervals.

use plotters::coord::ranged1d::ValueFormatter;
use plotters::element::{Circle, EmptyElement, PathElement, Polygon, Rectangle, Text};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, VPos};

use super::plane::{
    Column, Look, Margins, Plane, drawn, figure_words, is_computed, looks, plane, sign, units,
};
use super::scale::{Scale, Side};
use super::sheet::{self, Area, FINE, Ink, Stroke, Tips, text_width};
use crate::report::chart::{Axis, Chart, Mark, Series};

/// Height of a row of names, in pixels.
const NAME_HEIGHT: f64 = 16.0;
/// Opacity of a band.
const BAND: f64 = 0.16;

pub(super) fn draw(
    chart: &Chart,
    (x, y): (Axis, Axis),
    series: &[Series],
    marks: &[Mark],
    column: Column,
) -> Result<String, String> {
    let (width, height) = (column.width(), column.height());
    let points = || series.iter().flat_map(|one| &one.points);
    let (top, bottom) = (10.0 + names_height(marks), 26.0);
    let values = points().flat_map(|point| [point.low, point.high]);
    let y = Scale::over(y, values, Side::Left(height - top - bottom), false);
    let left = y.label_width() + 12.0;
    let mut measured = series.iter().filter(|one| !is_computed(one)).flat_map(|one| &one.points);
    let is_counted = measured.all(|point| point.x.fract() == 0.0);
    let along = |right: f64| {
        Scale::over(x, points().map(|point| point.x), Side::Bottom(width - left - right), is_counted)
    };
    // The last label may lie at the very end, and half of it beyond.
    let right = (along(18.0).label_width() / 2.0 + 2.0).max(12.0);
    let x = along(right);
    let places = x.clone();
    sheet::drawn((width, height), (column.class(), &chart.title), |area, tips| {
        let mut plane = plane(area, x, y, Margins { top, right, bottom, left }, (false, true))?;
        marked(area, &plane, marks)?;
        let looks = looks(series);
        for (one, look) in series.iter().zip(&looks) {
            band(&mut plane, one, *look)?;
        }
        for (one, look) in series.iter().zip(&looks) {
            line(&mut plane, one, *look)?;
            explain(&plane, tips, chart, one, &places);
        }
        Ok(())
    })
}

fn band(plane: &mut Plane<'_>, series: &Series, look: Look) -> Result<(), String> {
    let has_width = series.points.iter().any(|point| point.high > point.low);
    if series.points.len() < 2 || !has_width {
        return Ok(());
    }
    let above = series.points.iter().map(|point| (point.x, point.high));
    let below = series.points.iter().rev().map(|point| (point.x, point.low));
    let corners: Vec<(f64, f64)> = above.chain(below).collect();
    drawn(plane.draw_series([Polygon::new(corners, look.ink.faint(BAND))]))
}

fn line(plane: &mut Plane<'_>, series: &Series, look: Look) -> Result<(), String> {
    let wide = if look.stroke == Stroke::Dotted { 3 } else { 4 };
    let places: Vec<(f64, f64)> = series.points.iter().map(|point| (point.x, point.median)).collect();
    drawn(
        plane.draw_series([PathElement::new(places.clone(), look.ink.with(look.stroke).stroke_width(wide))]),
    )?;
    if series.is_curve {
        return Ok(());
    }
    let fill = look.ink.color().filled();
    match sign(look.sign, 4 * FINE) {
        None => drawn(plane.draw_series(places.iter().map(|place| Circle::new(*place, 4 * FINE, fill)))),
        Some(corners) => drawn(plane.draw_series(
            places.iter().map(|place| EmptyElement::at(*place) + Polygon::new(corners.clone(), fill)),
        )),
    }
}

fn explain(plane: &Plane<'_>, tips: &mut Tips, chart: &Chart, series: &Series, places: &Scale) {
    if is_computed(series) {
        return;
    }
    // A curve of many points explains itself at some of them.
    let step = series.points.len().div_ceil(24).max(1);
    for point in series.points.iter().step_by(step) {
        let at = plane.plotting_area().map_coordinate(&(point.x, point.median));
        let place = places.format_ext(&point.x);
        tips.point(at, &format!("{}: {}\n{place} {}", series.name, figure_words(point), chart.x_name));
    }
}

/// Pixels above the plane for the names of marked times, which stand in two rows: neighbours would write over each other.
fn names_height(marks: &[Mark]) -> f64 {
    NAME_HEIGHT * marks.len().min(2) as f64
}

fn marked(page: &Area<'_>, plane: &Plane<'_>, marks: &[Mark]) -> Result<(), String> {
    let area = plane.plotting_area();
    let (across, down) = area.get_pixel_range();
    for (index, mark) in marks.iter().enumerate() {
        let place = |x: f64| area.map_coordinate(&(x, 1.0)).0.clamp(across.start, across.end);
        let (from, to) = (place(mark.from), place(mark.to));
        let corners = [(from, down.start), (to.max(from + FINE), down.end)];
        drawn(page.draw(&Rectangle::new(corners, Ink::Soft.faint(0.18).filled())))?;
        let half = units(text_width(&mark.name) / 2.0);
        let x = i32::midpoint(from, to).min(across.end - half).max(across.start + half);
        let y = down.start - units(NAME_HEIGHT * (index % 2) as f64 + 9.0);
        let style = sheet::letters(Ink::Soft, HPos::Center, VPos::Center);
        drawn(page.draw(&Text::new(mark.name.clone(), (x, y), style)))?;
    }
    Ok(())
}
