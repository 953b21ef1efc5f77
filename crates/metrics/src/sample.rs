//! What a server tells about itself: figures and facts, each with a name, a kind, a meaning and labels.
//!
//! Who tells gives samples (see `rows`); who asks writes them down in a form of its own, as INFO does. So a sample says
//! what a value is and how exact, and nothing about lines, sections or types of a page.

use std::borrow::Cow;
use std::fmt::{self, Display};

/// How a value moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleKind {
    /// It grows, until it is reset.
    Counter,
    /// It rises and falls.
    Gauge,
    /// It is a text, or a number that counts nothing.
    Fact,
}

impl SampleKind {
    /// The kind as a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Fact => "fact",
        }
    }
}

/// What is known of a sample before it is taken.
#[derive(Debug)]
pub struct SampleField {
    /// Its name, in Redis's words where Redis has it.
    pub name: &'static str,
    /// How it moves.
    pub kind: SampleKind,
    /// What it means: a sentence.
    pub help: &'static str,
}

impl SampleField {
    /// A field that grows.
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: SampleKind::Counter, help }
    }

    /// A field that rises and falls.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: SampleKind::Gauge, help }
    }

    /// A field that is a fact.
    pub const fn fact(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: SampleKind::Fact, help }
    }
}

/// A value with its exactness. Shown as INFO shows it.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    /// A whole number.
    Whole(u64),
    /// A whole number that may be negative.
    Signed(i64),
    /// A number with so many digits behind the point.
    Decimal(f64, usize),
    /// Per cent, with two digits behind the point.
    Percent(f64),
    /// Bytes as people read them: `1.04M`.
    ForPeople(usize),
    /// A text.
    Text(Cow<'static, str>),
}

impl SampleValue {
    /// A quotient with two digits behind the point; 0 if there is nothing to divide by.
    pub fn quotient(part: f64, whole: f64) -> Self {
        Self::Decimal(if whole == 0.0 { 0.0 } else { part / whole }, 2)
    }
}

impl Display for SampleValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(value) => write!(out, "{value}"),
            Self::Signed(value) => write!(out, "{value}"),
            Self::Decimal(value, digits) => write!(out, "{value:.digits$}"),
            Self::Percent(value) => write!(out, "{value:.2}%"),
            Self::ForPeople(bytes) => out.write_str(&for_people(*bytes)),
            Self::Text(text) => out.write_str(text),
        }
    }
}

macro_rules! from_whole {
    ($($number:ty),*) => {
        $(impl From<$number> for SampleValue {
            fn from(value: $number) -> Self {
                Self::Whole(value as u64)
            }
        })*
    };
}

from_whole!(u8, u16, u32, u64, usize, bool);

impl From<i64> for SampleValue {
    fn from(value: i64) -> Self {
        Self::Signed(value)
    }
}

impl From<&'static str> for SampleValue {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for SampleValue {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

/// What one of several samples of a field belongs to: a command, a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleLabel {
    /// What kind of thing it is.
    pub name: &'static str,
    /// Which of them.
    pub value: String,
}

/// A field's value at a moment.
#[derive(Debug)]
pub struct Sample {
    /// What is known of it.
    pub field: &'static SampleField,
    /// What it belongs to.
    pub labels: Vec<SampleLabel>,
    /// The value.
    pub value: SampleValue,
}

/// Bytes as people read them: `1.04M`.
pub fn for_people(bytes: usize) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: impl Into<SampleValue>, expected: &str) {
        assert_eq!(value.into().to_string(), expected);
    }

    #[test]
    fn values_as_info_shows_them() {
        check(u64::MAX, "18446744073709551615");
        check(-1_i64, "-1");
        check(true, "1");
        check("text", "text");
        check(SampleValue::Decimal(0.5, 2), "0.50");
        check(SampleValue::Decimal(14.015, 3), "14.015");
        check(SampleValue::Percent(12.345), "12.35%");
        check(SampleValue::quotient(1.0, 3.0), "0.33");
        check(SampleValue::quotient(1.0, 0.0), "0.00");
    }

    #[test]
    fn bytes_for_people() {
        for (bytes, expected) in
            [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (1_089_560, "1.04M"), (25_276_510_208, "23.54G")]
        {
            check(SampleValue::ForPeople(bytes), expected);
        }
    }
}
