//! An axis of a picture: its range, the places that carry a label, and the labels.
//!
//! The drawing library's own axes choose their labels without regard to the width of a text or of a phone. Here the finest
//! steps win whose labels have room, out of 1, 2 and 5 times a power of ten.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::sheet::text_width;
use crate::report::chart::Axis;
use crate::report::words::short;

/// Room between two labels, in pixels.
const GAP: f64 = 14.0;
/// Most labels of an axis.
const LABELS_MAX: usize = 9;

/// An axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    kind: Axis,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

/// Along which side of a picture an axis lies, with its length in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Side {
    /// Labels lie beside each other.
    Bottom(f64),
    /// Labels lie above each other.
    Left(f64),
}

impl Scale {
    /// The axis that has room for all of `values`. A vertical one ends at labels, and a linear vertical one begins at zero.
    /// What is counted has labels at whole numbers alone.
    pub(super) fn over(kind: Axis, values: impl Iterator<Item = f64>, side: Side, is_counted: bool) -> Self {
        let is_shown = |value: &f64| value.is_finite() && (kind == Axis::Linear || *value > 0.0);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(is_shown) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (1.0, 10.0);
        }
        match (kind, side) {
            (Axis::Linear, Side::Left(length)) => Self::linear_from_zero(low, high, length),
            (Axis::Linear, Side::Bottom(_)) => {
                let high = if high > low { high } else { low + 1.0 };
                let ticks =
                    finest(linear_steps(high - low, is_counted), side, |step| multiples(low, high, *step));
                Self { kind, low, high, ticks }
            }
            (Axis::Log | Axis::Nines, _) => Self::log(kind, low, high, side),
        }
    }

    /// An axis of values that are drawn as lengths: from zero, to a label.
    pub(super) fn lengths(values: impl Iterator<Item = f64>, side: Side) -> Self {
        let high = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        let high = if high > 0.0 { high } else { 1.0 };
        match side {
            Side::Left(length) => Self::linear_from_zero(0.0, high, length),
            Side::Bottom(_) => {
                let ticks = finest(linear_steps(high, false), side, |step| multiples(0.0, high, *step));
                // The longest bar's whisker must not touch the edge.
                Self { kind: Axis::Linear, low: 0.0, high: high * 1.02, ticks }
            }
        }
    }

    /// Equal places without labels, for categories.
    pub(super) fn places(count: usize) -> Self {
        Self { kind: Axis::Linear, low: 0.0, high: count.max(1) as f64, ticks: Vec::new() }
    }

    /// The same with its beginning on the other side: the first of several rows is the uppermost.
    pub(super) fn reversed(self) -> Self {
        Self { low: self.high, high: self.low, ..self }
    }

    fn linear_from_zero(low: f64, high: f64, length: f64) -> Self {
        let low = low.min(0.0);
        let span = if high > low { high - low } else { 1.0 };
        let most = (length / 34.0).clamp(2.0, LABELS_MAX as f64);
        let step = linear_steps(span, false).find(|step| span / step <= most).unwrap_or(span);
        let (from, to) = ((low / step).floor() * step, ((low + span) / step).ceil() * step);
        Self { kind: Axis::Linear, low: from, high: to, ticks: multiples(from, to, step) }
    }

    fn log(kind: Axis, low: f64, high: f64, side: Side) -> Self {
        let (mut low, mut high) = (low, if high > low { high } else { low * 10.0 });
        if matches!(side, Side::Left(_)) {
            // Outwards to the next of 1, 2, 5.
            let around = decades(low / 10.0, high * 10.0, &[1.0, 2.0, 5.0]);
            low = around.iter().copied().filter(|tick| *tick <= low * 1.0001).fold(low / 10.0, f64::max);
            high = around.iter().copied().filter(|tick| *tick >= high * 0.9999).fold(high * 10.0, f64::min);
        }
        let steps: &[&[f64]] =
            if kind == Axis::Nines { &[&[1.0]] } else { &[&[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]] };
        let scale = Self { kind, low, high, ticks: Vec::new() };
        let mut ticks = Vec::new();
        for digits in steps {
            ticks = decades(low, high, digits);
            if ticks.len() <= LABELS_MAX && scale.has_room(&ticks, side) {
                break;
            }
        }
        while ticks.len() > 2 && (ticks.len() > LABELS_MAX || !scale.has_room(&ticks, side)) {
            ticks = ticks.into_iter().step_by(2).collect();
        }
        Self { ticks, ..scale }
    }

    /// From 0 at the beginning to 1 at the end.
    fn share(&self, value: f64) -> f64 {
        match self.kind {
            Axis::Linear => (value - self.low) / (self.high - self.low),
            // What cannot lie on it lies at its beginning.
            Axis::Log | Axis::Nines if value <= 0.0 => 0.0,
            Axis::Log | Axis::Nines => (value / self.low).ln() / (self.high / self.low).ln(),
        }
    }

    fn has_room(&self, ticks: &[f64], side: Side) -> bool {
        let (length, room): (f64, fn(&str) -> f64) = match side {
            Side::Bottom(length) => (length, |label| text_width(label) + GAP),
            Side::Left(length) => (length, |_| 20.0),
        };
        ticks.windows(2).all(|pair| {
            let needed = f64::midpoint(room(&self.format_ext(&pair[0])), room(&self.format_ext(&pair[1])));
            (self.share(pair[1]) - self.share(pair[0])) * length >= needed
        })
    }

    /// Where labels lie.
    pub(super) fn ticks(&self) -> &[f64] {
        &self.ticks
    }

    /// Pixels that the longest label takes.
    pub(super) fn label_width(&self) -> f64 {
        self.ticks.iter().map(|tick| text_width(&self.format_ext(tick))).fold(0.0, f64::max)
    }
}

/// Steps from far too fine to coarse: 1, 2 and 5 times powers of ten.
fn linear_steps(span: f64, is_counted: bool) -> impl Iterator<Item = f64> {
    let exponent = span.log10().floor() as i32 - 2;
    let steps =
        (0..5).flat_map(move |more| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(exponent + more)));
    steps.filter(move |step| !is_counted || *step >= 1.0)
}

fn multiples(low: f64, high: f64, step: f64) -> Vec<f64> {
    let (from, to) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (from..=to).map(|index| index as f64 * step).collect()
}

/// These digits of all decades between.
fn decades(low: f64, high: f64, digits: &[f64]) -> Vec<f64> {
    let (from, to) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let all = (from..=to).flat_map(|exponent| digits.iter().map(move |digit| digit * 10_f64.powi(exponent)));
    all.filter(|tick| *tick >= low * 0.9999 && *tick <= high * 1.0001).collect()
}

/// The finest steps whose labels have room along the bottom.
fn finest(mut steps: impl Iterator<Item = f64>, side: Side, ticks: impl Fn(&f64) -> Vec<f64>) -> Vec<f64> {
    let Side::Bottom(length) = side else { return Vec::new() };
    let fits = |ticks: &Vec<f64>| {
        let widest = ticks.iter().map(|tick| text_width(&short_label(*tick))).fold(0.0, f64::max);
        ticks.len() <= LABELS_MAX && (widest + GAP) * ticks.len() as f64 <= length + GAP
    };
    steps.by_ref().map(|step| ticks(&step)).find(fits).unwrap_or_default()
}

/// A number of an axis: whole where it is whole.
fn short_label(value: f64) -> String {
    let text = if value.abs() >= 1e6 && value % 1e5 == 0.0 {
        format!("{}M", value / 1e6)
    } else if value.abs() >= 1e4 && value % 100.0 == 0.0 {
        format!("{}k", value / 1e3)
    } else if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        short(value)
    };
    if text.contains('.') && !text.ends_with(['k', 'M']) {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A percentile from 1/(1-quantile).
fn percentile(x: f64) -> String {
    let digits = (x.max(1.0).log10().round() as i32 - 2).max(0) as usize;
    format!("{:.*}%", digits, 100.0 - 100.0 / x.max(1.0))
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        limit.0 + (self.share(*value) * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, value: &f64) -> String {
        if self.kind == Axis::Nines { percentile(*value) } else { short_label(*value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(kind: Axis, values: &[f64], side: Side) -> Vec<String> {
        let scale = Scale::over(kind, values.iter().copied(), side, true);
        scale.ticks.iter().map(|tick| scale.format_ext(tick)).collect()
    }

    #[test]
    fn labels_have_room() {
        let clients = [1.0, 10.0, 50.0, 1_000.0];
        let wide = labels(Axis::Log, &clients, Side::Bottom(600.0));
        assert_eq!(wide, ["1", "3", "10", "30", "100", "300", "1000"]);
        assert_eq!(labels(Axis::Log, &clients, Side::Bottom(150.0)), ["1", "10", "100", "1000"]);
        assert_eq!(labels(Axis::Linear, &[1.0, 4.0], Side::Bottom(500.0)), ["1", "2", "3", "4"]);
        assert_eq!(labels(Axis::Nines, &[2.0, 5e4], Side::Bottom(500.0)), ["90%", "99%", "99.9%", "99.99%"]);
    }

    #[test]
    fn a_vertical_axis_begins_at_zero_and_ends_at_a_label() {
        let scale = Scale::over(Axis::Linear, [120.0, 231.0].into_iter(), Side::Left(220.0), false);
        assert_eq!((scale.low, scale.high), (0.0, 250.0));
        assert_eq!(scale.ticks, [0.0, 50.0, 100.0, 150.0, 200.0, 250.0]);
        assert_eq!(scale.map(&125.0, (100, 0)), 50);
        let scale = Scale::over(Axis::Log, [0.3, 14.0].into_iter(), Side::Left(220.0), false);
        assert_eq!((scale.low, scale.high), (0.2, 20.0));
    }

    #[test]
    fn what_has_no_place_is_left_out() {
        let scale = Scale::over(Axis::Log, [0.0, f64::NAN, 5.0].into_iter(), Side::Left(200.0), false);
        assert_eq!((scale.low, scale.map(&0.0, (0, 100))), (5.0, 0));
        assert!(!labels(Axis::Linear, &[], Side::Bottom(300.0)).is_empty());
        assert!(!labels(Axis::Linear, &[3.0], Side::Bottom(300.0)).is_empty());
    }

    #[test]
    fn labels_are_short() {
        let of = [0.0, 0.25, 1.5, 30.0, 2_000.0, 150_000.0, 2_500_000.0].map(short_label);
        assert_eq!(of, ["0", "0.25", "1.5", "30", "2000", "150k", "2.5M"]);
    }
}
