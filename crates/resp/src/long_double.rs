//! The 80-bit floating point numbers of x86, which INCRBYFLOAT and HINCRBYFLOAT show to their users.
//!
//! Redis reads both numbers with `strtold`, adds them as `long double`, and prints `%.17Lf` without the zeros at the end.
//! So 10.5 + 0.1 is 10.6, and 3.0 + 1.1 is 4.1, where doubles would show their rounding errors. The 64 bits of mantissa are
//! visible in the results, hence they are kept here, in integer arithmetic: each result is the exactly rounded
//! one, the same on every machine. (Redis itself differs on machines whose `long double` is not x86's.)
//! Decimal and double-double arithmetic were rejected: both differ from Redis in the last digits.
//!
//! Numbers that fit into 128 bits take a short path; the others go through [`crate::natural`].

use std::cmp::Ordering;

use crate::natural::Natural;
use crate::strtod::{self, Decimal, Literal, round_binary};

/// The longest text that is read as a number; Redis's buffer has the same size.
pub const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;

/// Digits behind the point when written.
const FRACTION_DIGITS: usize = 17;
const FRACTION_SCALE: u128 = 10u128.pow(FRACTION_DIGITS as u32);

const MANTISSA_BITS: u32 = 64;
/// The exponent of the smallest subnormal number's only bit.
const EXPONENT_MIN: i64 = -16445;
/// Finite numbers are below two to this power.
const EXPONENT_END: i64 = 16384;

/// Any decimal number with this exponent or more overflows, and with its negative rounds to zero.
const DECIMAL_EXPONENT_MAX: i64 = 5000;

/// A long double that is not NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongDouble {
    is_negative: bool,
    is_infinite: bool,
    /// The number is `mantissa * 2^exponent`. The top bit is set, unless the exponent is the smallest one.
    mantissa: u64,
    exponent: i64,
}

impl LongDouble {
    const INFINITY: Self = Self { is_negative: false, is_infinite: true, mantissa: 0, exponent: 0 };

    /// Reads what `strtold` reads and Redis accepts: decimal, hexadecimal and infinite literals, without space around.
    ///
    /// `None` for NaN, for what overflows, for a non-zero literal that rounds to zero, and for texts longer than
    /// [`TEXT_BYTES_MAX`].
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (is_negative, literal) = strtod::scan(text)?;
        let magnitude = match literal {
            Literal::Infinity => Self::INFINITY,
            Literal::Decimal(decimal) => Self::from_decimal(&decimal)?,
            Literal::Hexadecimal(hexadecimal) => {
                let is_zero = hexadecimal.mantissa == 0;
                let (mantissa, exponent) = hexadecimal.round(MANTISSA_BITS, EXPONENT_MIN);
                Self::from_literal(mantissa, exponent, is_zero)?
            }
        };
        Some(Self { is_negative, ..magnitude })
    }

    /// A double, exactly; `None` for NaN.
    pub fn from_f64(value: f64) -> Option<Self> {
        if value.is_nan() {
            return None;
        }
        let is_negative = value.is_sign_negative();
        if value.is_infinite() {
            return Some(Self { is_negative, ..Self::INFINITY });
        }
        let bits = value.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, exponent) = match (bits >> 52 & 0x7ff) as i64 {
            0 => (fraction, -1074),
            biased => (fraction | 1 << 52, biased - 1075),
        };
        Some(Self::rounded(is_negative, u128::from(mantissa), false, exponent))
    }

    /// An integer, exactly.
    pub fn from_i64(value: i64) -> Self {
        Self::rounded(value < 0, u128::from(value.unsigned_abs()), false, 0)
    }

    /// The largest finite number.
    pub const MAX: Self = Self {
        is_negative: false,
        is_infinite: false,
        mantissa: u64::MAX,
        exponent: EXPONENT_END - MANTISSA_BITS as i64,
    };

    /// The smallest finite number.
    pub const MIN: Self = Self { is_negative: true, ..Self::MAX };

    /// The number with the other sign.
    pub fn negated(self) -> Self {
        Self { is_negative: !self.is_negative, ..self }
    }

    /// Whether it is below zero.
    pub fn is_below_zero(self) -> bool {
        self.is_negative && (self.mantissa != 0 || self.is_infinite)
    }

    /// How two numbers are ordered; the two zeros are equal.
    pub fn compare(self, other: Self) -> Ordering {
        match (self.is_below_zero(), other.is_below_zero()) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.magnitude().cmp(&other.magnitude()),
            (true, true) => other.magnitude().cmp(&self.magnitude()),
        }
    }

    /// Orders as the number without its sign does, for the top bit is set in all but the smallest numbers.
    fn magnitude(self) -> (bool, i64, u64) {
        (self.is_infinite, self.exponent, self.mantissa)
    }

    /// Whether this is one of the two infinities.
    pub fn is_infinite(self) -> bool {
        self.is_infinite
    }

    /// The rounded sum; `None` if it would be NaN or infinite.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        if self.is_infinite || other.is_infinite {
            return None;
        }
        let (large, small) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        // Both get 63 bits of room below; what the smaller one loses there is only known to be something.
        let distance = u32::try_from(large.exponent - small.exponent).unwrap_or(u32::MAX);
        let large_bits = u128::from(large.mantissa) << 63;
        let small_room = u128::from(small.mantissa) << 63;
        let small_bits = small_room.checked_shr(distance).unwrap_or(0);
        let is_inexact = small_bits.checked_shl(distance).unwrap_or(0) != small_room;
        let exponent = large.exponent - 63;
        let sum = if large.is_negative == small.is_negative {
            Self::rounded(large.is_negative, large_bits + small_bits, is_inexact, exponent)
        } else if large_bits > small_bits {
            let difference = large_bits - small_bits - u128::from(is_inexact);
            Self::rounded(large.is_negative, difference, is_inexact, exponent)
        } else if large_bits < small_bits {
            Self::rounded(small.is_negative, small_bits - large_bits, false, exponent)
        } else {
            Self::rounded(false, 0, false, 0)
        };
        (!sum.is_infinite).then_some(sum)
    }

    /// Appends the number with at most 17 digits behind the point, no exponent, and no zeros at the end: `10.6`, `5200`.
    ///
    /// At most some 4,960 bytes. What rounds to zero has no sign.
    pub fn write(self, buffer: &mut Vec<u8>) {
        if self.is_infinite {
            buffer.extend_from_slice(if self.is_negative { b"-inf" } else { b"inf" });
            return;
        }
        let scaled = self.scaled_fraction();
        if self.is_negative && scaled != Some(0) {
            buffer.push(b'-');
        }
        let Some(scaled) = scaled else {
            let exponent =
                u32::try_from(self.exponent).expect("without a fraction, the exponent is not negative");
            Natural::shifted(self.mantissa, exponent).write(buffer);
            return;
        };
        buffer.extend_from_slice(itoa::Buffer::new().format(scaled / FRACTION_SCALE).as_bytes());
        let fraction = scaled % FRACTION_SCALE;
        if fraction == 0 {
            return;
        }
        // A one in front keeps the leading zeros.
        let mut formatter = itoa::Buffer::new();
        let digits = formatter.format(FRACTION_SCALE + fraction).as_bytes();
        let zeros = digits.iter().rev().take_while(|&&digit| digit == b'0').count();
        buffer.push(b'.');
        buffer.extend_from_slice(&digits[1..digits.len() - zeros]);
    }

    /// The magnitude times 10^17, rounded to an integer, half to even; `None` if it is an integer beyond 64 bits.
    fn scaled_fraction(self) -> Option<u128> {
        let scaled = u128::from(self.mantissa) * FRACTION_SCALE;
        if self.mantissa == 0 || self.exponent == 0 {
            return Some(scaled);
        }
        if self.exponent > 0 {
            return None;
        }
        let shift = u32::try_from(-self.exponent).ok().filter(|&shift| shift < 128);
        let Some(shift) = shift else { return Some(0) };
        let (kept, rest, half) = (scaled >> shift, scaled & ((1 << shift) - 1), 1u128 << (shift - 1));
        Some(kept + u128::from(rest > half || (rest == half && kept & 1 == 1)))
    }

    fn from_decimal(decimal: &Decimal<'_>) -> Option<Self> {
        if decimal.is_zero() {
            return Some(Self::rounded(false, 0, false, 0));
        }
        let point = decimal.digits.iter().position(|&byte| byte == b'.');
        let fraction_digits = point.map_or(0, |point| decimal.digits.len() - point - 1);
        let exponent = decimal.exponent - fraction_digits as i64;
        let start = decimal.digits.iter().position(|byte| matches!(byte, b'1'..=b'9'))?;
        let digits = &decimal.digits[start..];
        let digit_count = digits.iter().filter(|byte| byte.is_ascii_digit()).count();
        if (exponent + digit_count as i64).abs() >= DECIMAL_EXPONENT_MAX {
            return None;
        }
        let (bits, binary_exponent, is_inexact) = if digit_count <= 19 && (-27..=19).contains(&exponent) {
            let number = digits
                .iter()
                .filter(|byte| byte.is_ascii_digit())
                .fold(0, |number, digit| number * 10 + u128::from(digit - b'0'));
            if exponent >= 0 {
                (number * 10u128.pow(exponent as u32), 0, false)
            } else {
                // The divisor is below 2^63, so the quotient has more than 64 bits.
                let shift = number.leading_zeros();
                let divisor = 5u128.pow(exponent.unsigned_abs() as u32);
                let dividend = number << shift;
                (dividend / divisor, exponent - i64::from(shift), !dividend.is_multiple_of(divisor))
            }
        } else {
            let mut number = Natural::from_digits(digits);
            let power = exponent.unsigned_abs() as u32;
            let (bits, shift, is_inexact) = if exponent >= 0 {
                number.multiply_by_power_of_5(power);
                number.top_bits()
            } else {
                let mut divisor = Natural::shifted(1, 0);
                divisor.multiply_by_power_of_5(power);
                number.divide(divisor)
            };
            (bits, shift + exponent, is_inexact)
        };
        let (mantissa, exponent) =
            round_binary(bits, is_inexact, binary_exponent, MANTISSA_BITS, EXPONENT_MIN);
        Self::from_literal(mantissa, exponent, false)
    }

    /// A literal's rounded magnitude; `None` if it overflowed, or lost everything though it is not zero.
    fn from_literal(mantissa: u64, exponent: i64, is_zero: bool) -> Option<Self> {
        if mantissa == 0 && !is_zero {
            return None;
        }
        let number = Self::rounded(false, u128::from(mantissa), false, exponent);
        (!number.is_infinite).then_some(number)
    }

    /// Rounds, normalises, and overflows to infinity.
    fn rounded(is_negative: bool, bits: u128, is_inexact: bool, exponent: i64) -> Self {
        let (mut mantissa, mut exponent) =
            round_binary(bits, is_inexact, exponent, MANTISSA_BITS, EXPONENT_MIN);
        if mantissa == 0 {
            return Self { is_negative, is_infinite: false, mantissa: 0, exponent: EXPONENT_MIN };
        }
        let shift = i64::from(mantissa.leading_zeros()).min(exponent - EXPONENT_MIN);
        mantissa <<= shift;
        exponent -= shift;
        if exponent + i64::from(MANTISSA_BITS) > EXPONENT_END {
            return Self { is_negative, ..Self::INFINITY };
        }
        Self { is_negative, is_infinite: false, mantissa, exponent }
    }
}

/// Appends a double as GEOPOS shows it: with at most 17 digits behind the point and no zeros at the end.
pub fn format_long_double(value: f64, buffer: &mut Vec<u8>) {
    match LongDouble::from_f64(value) {
        Some(number) => number.write(buffer),
        None => buffer.extend_from_slice(b"nan"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(number: LongDouble) -> String {
        let mut buffer = Vec::new();
        number.write(&mut buffer);
        String::from_utf8(buffer).unwrap()
    }

    #[track_caller]
    fn check_sum(left: &str, right: &str, expected: Option<&str>) {
        let parse = |text: &str| LongDouble::parse(text.as_bytes()).expect("a valid number");
        let sum = parse(left).checked_add(parse(right)).map(show);
        assert_eq!(sum.as_deref(), expected, "{left} + {right}");
        assert_eq!(parse(right).checked_add(parse(left)).map(show), sum, "{right} + {left}");
    }

    #[test]
    fn numbers_are_ordered() {
        let ascending =
            ["-inf", "-1e4000", "-2", "-1.5", "-1e-4940", "0", "1e-4940", "1", "1.5", "3", "1e4000", "inf"];
        let parse = |text: &str| LongDouble::parse(text.as_bytes()).expect("a valid number");
        for (left, one) in ascending.iter().enumerate() {
            for (right, other) in ascending.iter().enumerate() {
                assert_eq!(parse(one).compare(parse(other)), left.cmp(&right), "{one} {other}");
            }
            assert_eq!(parse(one).negated().is_below_zero(), left > 5, "{one}");
        }
        assert_eq!(parse("0").compare(parse("-0")), Ordering::Equal);
        assert_eq!(LongDouble::MAX.compare(parse("1e4932")), Ordering::Greater);
        assert_eq!(LongDouble::MAX.checked_add(LongDouble::MAX), None);
    }

    #[test]
    fn sums_are_those_of_redis() {
        for (left, right, expected) in [
            ("10.5", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3.0", "1.1", "4.1"),
            ("0.1", "0.2", "0.3"),
            ("1", "-1", "0"),
            ("-0", "-0", "0"),
            ("1e18", "1", "1000000000000000001"),
            ("1e20", "1", "100000000000000000000"),
            ("0x1.8p1", "0", "3"),
            ("1e-20", "0", "0"),
            ("-1e-20", "0", "0"),
            ("17179869184", "1.5", "17179869185.5"),
        ] {
            check_sum(left, right, Some(expected));
        }
        check_sum("inf", "1", None);
        check_sum("1.1e4932", "1.1e4932", None);
        check_sum("inf", "-inf", None);
    }

    #[test]
    fn literals_out_of_range_are_refused() {
        for text in [
            "1e4933",
            "-1e4933",
            "1e-4951",
            "1e99999999",
            "1e-99999999",
            "nan",
            " 1",
            "1 ",
            "",
            "0x1p16384",
            "0x1p-16446",
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text}");
        }
        for text in ["1.1e4932", "4e-4951", "0e99999999", "0x1p16383", "0x1p-16445", "Infinity", "-.5"] {
            assert!(LongDouble::parse(text.as_bytes()).is_some(), "{text}");
        }
        assert!(LongDouble::parse(&b"1".repeat(TEXT_BYTES_MAX + 1)).is_none());
        assert!(LongDouble::parse(&[b"0.".as_slice(), &b"1".repeat(TEXT_BYTES_MAX - 2)].concat()).is_some());
    }

    #[test]
    fn powers_of_two_are_written_exactly() {
        let number = LongDouble::parse(b"0x1p200").unwrap();
        assert_eq!(show(number), "1606938044258990275541962092341162602522202993782792835301376");
        assert_eq!(show(LongDouble::parse(b"0x1p64").unwrap()), "18446744073709551616");
        assert_eq!(show(LongDouble::parse(b"-0x1p-3").unwrap()), "-0.125");
        assert_eq!(show(LongDouble::from_i64(i64::MIN)), "-9223372036854775808");
    }

    #[test]
    fn doubles_are_shown_with_their_error() {
        let mut buffer = Vec::new();
        format_long_double(0.1, &mut buffer);
        assert_eq!(buffer, b"0.10000000000000001");
        buffer.clear();
        format_long_double(13.361389338970184, &mut buffer);
        assert_eq!(buffer, b"13.36138933897018433");
    }

    /// The short path and the one through big numbers give the same mantissas: zeros in front of the fraction's end
    /// make the digits too many for the short path.
    #[test]
    fn short_and_long_paths_agree() {
        let mut seed = 1u64;
        for _ in 0..if cfg!(miri) { 30 } else { 3_000 } {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let digits = (seed >> 32).to_string();
            let exponent = (seed >> 8) as i64 % 27;
            let short = LongDouble::parse(format!("{digits}e{exponent}").as_bytes());
            let long = LongDouble::parse(format!("{digits}{}e{}", "0".repeat(30), exponent - 30).as_bytes());
            assert_eq!(short, long, "{digits}e{exponent}");
            let short = LongDouble::parse(format!("{digits}e-{exponent}").as_bytes());
            let long = LongDouble::parse(format!("{digits}{}e-{}", "0".repeat(30), exponent + 30).as_bytes());
            assert_eq!(short, long, "{digits}e-{exponent}");
        }
    }
}
