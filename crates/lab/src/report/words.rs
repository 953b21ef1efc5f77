//! Numbers and texts as the report writes them.

use crate::stats::Interval;

/// Text as HTML has it.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A number with three significant digits.
pub(crate) fn short(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { 2 - value.abs().log10().floor() as i32 };
    format!("{value:.*}", digits.clamp(0, 4) as usize)
}

/// A figure and its interval.
pub(crate) fn with_interval(found: &Interval) -> String {
    format!("{} ({} to {})", short(found.median), short(found.low), short(found.high))
}

/// A small number with two significant digits.
pub(crate) fn two_digits(value: f64) -> String {
    let digits = if value > 0.0 { (1.0 - value.log10().floor()).clamp(0.0, 9.0) as usize } else { 0 };
    format!("{value:.digits$}")
}

/// A number with commas.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([1234.5, 12.345, 0.012_345, 0.0].map(short), ["1234", "12.3", "0.0123", "0"]);
        assert_eq!([0.0, 1.0 / 90_000.0, 0.5].map(two_digits), ["0", "0.000011", "0.50"]);
        assert_eq!([0.0, 999.4, 1_000.0, 1_234_567.0].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
