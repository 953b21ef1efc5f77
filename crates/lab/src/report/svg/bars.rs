//! Bars with whiskers for their intervals: upright where the names of the categories have room below them, lying otherwise.

use plotters::element::{PathElement, Rectangle, Text};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, VPos};

use super::plane::{Column, Margins, Plane, drawn, figure_words, looks, opacity, plane, units};
use super::scale::{Scale, Side};
use super::sheet::{self, Area, Ink, Tips, text_width};
use crate::report::chart::{Chart, Point, Series};

/// Share of a category's room that its bars take.
const FILLED: f64 = 0.76;
/// Thinnest upright bar, in pixels.
const BAR_MIN: f64 = 7.0;
/// Thickness of a lying bar, in pixels.
const BAR: f64 = 12.0;
/// Height of a line of text, in pixels.
const LINE: f64 = 15.0;
/// Most lines of a name below its category.
const LINES_MAX: usize = 3;

pub(super) fn draw(
    chart: &Chart,
    categories: &[String],
    series: &[Series],
    column: Column,
) -> Result<String, String> {
    let most = || series.iter().flat_map(|one| one.points.iter().map(|point| point.high.max(point.median)));
    let upright_height = column.height() - 20.0;
    let values = Scale::lengths(most(), Side::Left(upright_height));
    let left = values.label_width() + 12.0;
    let room = (column.width() - left - 8.0) / categories.len().max(1) as f64;
    let names: Option<Vec<Vec<String>>> = categories.iter().map(|name| wrapped(name, room - 6.0)).collect();
    let is_thick = room * FILLED / series.len().max(1) as f64 >= BAR_MIN;
    match names.filter(|_| is_thick) {
        Some(names) => upright(chart, series, column, (values, left), &names),
        None => lying(chart, categories, series, column),
    }
}

/// The lines of a text that is no wider than this many pixels, if so few lines hold it.
fn wrapped(text: &str, width: f64) -> Option<Vec<String>> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if text_width(line) + text_width(word) + text_width(" ") <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    let fits = lines.len() <= LINES_MAX && lines.iter().all(|line| text_width(line) <= width);
    fits.then_some(lines)
}

/// Where a bar begins and ends along its category, which has room from 0 to 1.
fn slot(index: usize, count: usize) -> (f64, f64) {
    let each = FILLED / count.max(1) as f64;
    let from = (1.0 - FILLED) / 2.0 + each * index as f64;
    (from + each * 0.06, from + each * 0.94)
}

fn upright(
    chart: &Chart,
    series: &[Series],
    column: Column,
    (values, left): (Scale, f64),
    names: &[Vec<String>],
) -> Result<String, String> {
    let lines = names.iter().map(Vec::len).max().unwrap_or(1);
    let (top, bottom) = (10.0, 10.0 + LINE * lines as f64);
    let size = (column.width(), column.height() - 20.0 + bottom);
    sheet::drawn(size, (column.class(), &chart.title), |area, tips| {
        let margins = Margins { top, right: 8.0, bottom, left };
        let mut plane = plane(area, Scale::places(names.len()), values, margins, (false, true))?;
        for (index, (one, look)) in series.iter().zip(looks(series)).enumerate() {
            let (from, to) = slot(index, series.len());
            for point in &one.points {
                let corners = [(point.x + from, 0.0), (point.x + to, point.median)];
                drawn(plane.draw_series([Rectangle::new(corners, look.ink.faint(opacity(look)).filled())]))?;
                let middle = point.x + f64::midpoint(from, to);
                whisker(&plane, [(middle, point.low), (middle, point.high)])?;
                let name = names.get(point.x as usize).map(|lines| lines.join(" ")).unwrap_or_default();
                explain(
                    &plane,
                    tips,
                    (&name, &one.name),
                    point,
                    [(point.x + from, 0.0), (point.x + to, f64::MAX)],
                );
            }
        }
        let (_, down) = plane.plotting_area().get_pixel_range();
        for (index, lines) in names.iter().enumerate() {
            let x = plane.plotting_area().map_coordinate(&(index as f64 + 0.5, 0.0)).0;
            write(area, lines, x, down.end + units(6.0), HPos::Center)?;
        }
        Ok(())
    })
}

fn lying(chart: &Chart, categories: &[String], series: &[Series], column: Column) -> Result<String, String> {
    let most = series.iter().flat_map(|one| one.points.iter().map(|point| point.high.max(point.median)));
    // On a phone names stand above their bars, else beside them.
    let is_above = column == Column::Narrow;
    let widest = categories.iter().map(|name| text_width(name)).fold(0.0, f64::max);
    let beside = widest.min(130.0);
    let names: Vec<Vec<String>> = categories
        .iter()
        .map(|name| {
            if is_above {
                vec![name.clone()]
            } else {
                wrapped(name, beside).unwrap_or_else(|| vec![name.clone()])
            }
        })
        .collect();
    let left = if is_above { 4.0 } else { beside + 10.0 };
    let bars = BAR * series.len() as f64 / FILLED;
    let lines = names.iter().map(Vec::len).max().unwrap_or(1) as f64;
    let (each, head) = if is_above { (bars + LINE, LINE) } else { (bars.max(LINE * lines + 4.0), 0.0) };
    let (top, bottom, right) = (4.0, 26.0, 18.0);
    let height = top + bottom + each * categories.len() as f64;
    let values = Scale::lengths(most, Side::Bottom(column.width() - left - right));
    sheet::drawn((column.width(), height), (column.class(), &chart.title), |area, tips| {
        let margins = Margins { top, right, bottom, left };
        let places = Scale::places(categories.len()).reversed();
        let mut plane = plane(area, values, places, margins, (true, false))?;
        let place = |share: f64| (head + share * (each - head)) / each;
        for (index, (one, look)) in series.iter().zip(looks(series)).enumerate() {
            let (from, to) = slot(index, series.len());
            for point in &one.points {
                let (from, to) = (point.x + place(from), point.x + place(to));
                let corners = [(0.0, from), (point.median, to)];
                drawn(plane.draw_series([Rectangle::new(corners, look.ink.faint(opacity(look)).filled())]))?;
                let middle = f64::midpoint(from, to);
                whisker(&plane, [(point.low, middle), (point.high, middle)])?;
                let name = categories.get(point.x as usize).map(String::as_str).unwrap_or_default();
                explain(&plane, tips, (name, &one.name), point, [(0.0, from), (f64::MAX, to)]);
            }
        }
        let (across, _) = plane.plotting_area().get_pixel_range();
        for (index, lines) in names.iter().enumerate() {
            let at = |share: f64| plane.plotting_area().map_coordinate(&(0.0, index as f64 + share)).1;
            if is_above {
                write(area, lines, across.start, at(0.0) + units(4.0), HPos::Left)?;
            } else {
                let top = at(0.5) - units(LINE * lines.len() as f64 / 2.0);
                write(area, lines, across.start - units(8.0), top, HPos::Right)?;
            }
        }
        Ok(())
    })
}

/// An interval, with its ends marked.
fn whisker(plane: &Plane<'_>, ends: [(f64, f64); 2]) -> Result<(), String> {
    let area = plane.plotting_area();
    let [(x1, y1), (x2, y2)] = ends.map(|end| area.map_coordinate(&end));
    if (x1, y1) == (x2, y2) {
        return Ok(());
    }
    let (across, along) = if x1 == x2 { (units(2.5), 0) } else { (0, units(2.5)) };
    let strokes = [
        [(x1, y1), (x2, y2)],
        [(x1 - across, y1 - along), (x1 + across, y1 + along)],
        [(x2 - across, y2 - along), (x2 + across, y2 + along)],
    ];
    let page = area.use_screen_coord();
    let style = Ink::Text.faint(0.8).stroke_width(2);
    strokes.into_iter().try_for_each(|stroke| drawn(page.draw(&PathElement::new(stroke.to_vec(), style))))
}

fn write(area: &Area<'_>, lines: &[String], x: i32, top: i32, across: HPos) -> Result<(), String> {
    for (index, line) in lines.iter().enumerate() {
        let y = top + units(LINE * (index as f64 + 0.5));
        let style = sheet::letters(Ink::Soft, across, VPos::Center);
        drawn(area.draw(&Text::new(line.clone(), (x, y), style)))?;
    }
    Ok(())
}

/// The whole length that a bar could have explains it: the shortest bar would be hard to meet.
fn explain(
    plane: &Plane<'_>,
    tips: &mut Tips,
    (category, name): (&str, &str),
    point: &Point,
    corners: [(f64, f64); 2],
) {
    let area = plane.plotting_area();
    let (across, down) = area.get_pixel_range();
    let [from, to] = corners.map(|corner| {
        let of = |value: f64| if value == f64::MAX { 0.0 } else { value };
        let (x, y) = area.map_coordinate(&(of(corner.0), of(corner.1)));
        (if corner.0 == f64::MAX { across.end } else { x }, if corner.1 == f64::MAX { down.start } else { y })
    });
    tips.rectangle(from, to, &format!("{name}: {}\n{category}", figure_words(point)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_wrap_or_do_not_fit() {
        assert_eq!(
            wrapped("500 clients, P16", 100.0).unwrap(),
            ["500 clients,", "P16"].map(str::to_owned).to_vec()
        );
        assert_eq!(wrapped("slow", 60.0).unwrap(), ["slow"]);
        assert_eq!(wrapped("BGREWRITEAOF", 40.0), None);
        assert_eq!(wrapped("a b c d e f", 8.0), None);
    }

    #[test]
    fn slots_follow_each_other() {
        let slots: Vec<(f64, f64)> = (0..3).map(|index| slot(index, 3)).collect();
        assert!(slots[0].0 > 0.0 && slots[0].1 < slots[1].0 && slots[1].1 < slots[2].0 && slots[2].1 < 1.0);
    }
}
