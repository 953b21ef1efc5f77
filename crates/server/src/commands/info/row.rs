//! How a section tells its fields: rows of a field and a function that looks, and families of lines, one for each command
//! or database. From both come samples, and from the samples INFO's lines.

use std::fmt::Write;

use rustredis_metrics::{Sample, SampleField, SampleLabel, SampleValue};

use super::reading::Reading;

/// A field, and where its value comes from.
pub(super) struct Row {
    pub(super) field: SampleField,
    pub(super) value: fn(&Reading<'_>) -> SampleValue,
}

/// A row of a value that grows.
pub(super) const fn counter(
    name: &'static str,
    help: &'static str,
    value: fn(&Reading<'_>) -> SampleValue,
) -> Row {
    Row { field: SampleField::counter(name, help), value }
}

/// A row of a value that rises and falls.
pub(super) const fn gauge(
    name: &'static str,
    help: &'static str,
    value: fn(&Reading<'_>) -> SampleValue,
) -> Row {
    Row { field: SampleField::gauge(name, help), value }
}

/// A row of a fact.
pub(super) const fn fact(
    name: &'static str,
    help: &'static str,
    value: fn(&Reading<'_>) -> SampleValue,
) -> Row {
    Row { field: SampleField::fact(name, help), value }
}

/// A row of something that this server does not have.
pub(super) const fn none(name: &'static str, help: &'static str) -> Row {
    gauge(name, help, |_| SampleValue::Whole(0))
}

/// Lines of the same fields, one for each thing of a kind: `cmdstat_get:calls=1,usec=2`.
pub(super) struct Family {
    /// What the lines' names begin with; the thing follows.
    pub(super) prefix: &'static str,
    /// What kind of thing it is. A second label ends the field's name: `p50`.
    pub(super) labels: &'static [&'static str],
    pub(super) fields: &'static [SampleField],
    pub(super) read: fn(&Reading<'_>) -> Vec<FamilyLine>,
}

/// A line of a family.
pub(super) struct FamilyLine {
    pub(super) thing: String,
    pub(super) parts: Vec<FamilyPart>,
}

/// A value in a line.
pub(super) struct FamilyPart {
    /// The index of the family's field.
    pub(super) field: usize,
    /// The second label.
    pub(super) detail: Option<String>,
    pub(super) value: SampleValue,
}

impl FamilyLine {
    /// A line with one value for each of the family's fields.
    pub(super) fn new(thing: impl Into<String>, values: impl IntoIterator<Item = SampleValue>) -> Self {
        let parts =
            values.into_iter().enumerate().map(|(field, value)| FamilyPart { field, detail: None, value });
        Self { thing: thing.into(), parts: parts.collect() }
    }
}

/// A piece of a section.
pub(super) enum Part {
    Rows(&'static [Row]),
    /// Rows that are there at times.
    When(fn(&Reading<'_>) -> bool, &'static [Row]),
    Family(&'static Family),
}

/// A line of INFO: one sample, or those of a family's thing.
pub(super) struct Line {
    /// The family's prefix and the thing; empty for a single sample.
    name: String,
    pub(super) samples: Vec<Sample>,
}

impl Part {
    /// What there is to tell.
    pub(super) fn lines(&self, reading: &Reading<'_>) -> Vec<Line> {
        match self {
            Self::Rows(rows) => rows.iter().map(|row| row.line(reading)).collect(),
            Self::When(is_so, rows) => {
                let rows = if is_so(reading) { *rows } else { &[] };
                rows.iter().map(|row| row.line(reading)).collect()
            }
            Self::Family(family) => {
                (family.read)(reading).into_iter().map(|line| family.line(line)).collect()
            }
        }
    }
}

impl Row {
    fn line(&'static self, reading: &Reading<'_>) -> Line {
        let sample = Sample { field: &self.field, labels: Vec::new(), value: (self.value)(reading) };
        Line { name: String::new(), samples: vec![sample] }
    }
}

impl Family {
    /// The line with its samples.
    pub(super) fn line(&'static self, line: FamilyLine) -> Line {
        let thing = &line.thing;
        let name = format!("{}{thing}", self.prefix);
        let sample = |part: FamilyPart| {
            let values = [Some(thing.clone()), part.detail].into_iter().flatten();
            let labels = self.labels.iter().zip(values).map(|(name, value)| SampleLabel { name, value });
            Sample { field: &self.fields[part.field], labels: labels.collect(), value: part.value }
        };
        Line { name, samples: line.parts.into_iter().map(sample).collect() }
    }
}

impl Line {
    /// Writes the line as INFO has it.
    pub(super) fn write(&self, out: &mut String) {
        // Writing to a string does not fail.
        if self.name.is_empty() {
            for sample in &self.samples {
                let _ = write!(out, "{}:{}", sample.field.name, sample.value);
            }
        } else {
            let _ = write!(out, "{}:", self.name);
            for (index, sample) in self.samples.iter().enumerate() {
                let separator = if index == 0 { "" } else { "," };
                let detail = sample.labels.get(1).map_or("", |label| &label.value);
                let _ = write!(out, "{separator}{}{detail}={}", sample.field.name, sample.value);
            }
        }
        out.push_str("\r\n");
    }
}
