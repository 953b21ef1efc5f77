//! The grammar of C's `strtod` and `strtold`, apart from the rounding, which differs between double and long double.
//!
//! A literal is an optional sign and then one of: `inf` or `infinity` in any case; decimal digits with an optional point and
//! exponent; `0x` and hexadecimal digits with an optional point and binary exponent. `strtod` reads the longest prefix
//! and Redis then refuses any rest, so here the whole text must match. NaN matches nothing: Redis refuses it everywhere.
//!
//! Exponents saturate far outside of what any format can hold, so no arithmetic on them can overflow.

/// Exponents are cut to this magnitude. Texts are at most 512 MB, so digits shift the point by less than 2^32.
const EXPONENT_MAX: i64 = 1 << 40;

/// A literal without its sign.
pub(crate) enum Literal<'a> {
    Infinity,
    Decimal(Decimal<'a>),
    Hexadecimal(Hexadecimal),
}

/// `digits * 10^exponent`, where `digits` still contains the point.
pub(crate) struct Decimal<'a> {
    /// The whole unsigned literal.
    pub(crate) text: &'a [u8],
    /// Its digits and point, without the exponent.
    pub(crate) digits: &'a [u8],
    /// The written exponent alone.
    pub(crate) exponent: i64,
}

impl Decimal<'_> {
    pub(crate) fn is_zero(&self) -> bool {
        self.digits.iter().all(|&byte| matches!(byte, b'0' | b'.'))
    }
}

/// `mantissa * 2^exponent`, and a little more if `is_inexact`. The highest bit of a non-zero mantissa is set if it is inexact.
pub(crate) struct Hexadecimal {
    pub(crate) mantissa: u128,
    pub(crate) is_inexact: bool,
    pub(crate) exponent: i64,
}

/// Splits a literal into its sign (`true` for minus) and the rest; `None` if the text is anything else.
pub(crate) fn scan(text: &[u8]) -> Option<(bool, Literal<'_>)> {
    let (is_negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let literal = match unsigned {
        [b'i' | b'I', ..] => {
            if !unsigned.eq_ignore_ascii_case(b"inf") && !unsigned.eq_ignore_ascii_case(b"infinity") {
                return None;
            }
            Literal::Infinity
        }
        [b'0', b'x' | b'X', digits @ ..] => Literal::Hexadecimal(scan_hexadecimal(digits)?),
        _ => Literal::Decimal(scan_decimal(unsigned)?),
    };
    Some((is_negative, literal))
}

fn scan_decimal(text: &[u8]) -> Option<Decimal<'_>> {
    let end = text.iter().position(|byte| byte.eq_ignore_ascii_case(&b'e')).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let exponent = if rest.is_empty() { 0 } else { scan_exponent(&rest[1..])? };
    let points = digits.iter().filter(|&&byte| byte == b'.').count();
    let is_digits = digits.iter().all(|&byte| byte == b'.' || byte.is_ascii_digit());
    (is_digits && points <= 1 && digits.len() > points).then_some(Decimal { text, digits, exponent })
}

fn scan_hexadecimal(text: &[u8]) -> Option<Hexadecimal> {
    let end = text.iter().position(|byte| byte.eq_ignore_ascii_case(&b'p')).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let mut number = Hexadecimal { mantissa: 0, is_inexact: false, exponent: 0 };
    let mut has_point = false;
    let mut has_digit = false;
    for &byte in digits {
        if byte == b'.' {
            if has_point {
                return None;
            }
            has_point = true;
            continue;
        }
        let digit = char::from(byte).to_digit(16)?;
        has_digit = true;
        if number.mantissa >> 124 == 0 {
            number.mantissa = number.mantissa << 4 | u128::from(digit);
            number.exponent -= if has_point { 4 } else { 0 };
        } else {
            number.is_inexact |= digit != 0;
            number.exponent += if has_point { 0 } else { 4 };
        }
    }
    if !has_digit {
        return None;
    }
    if !rest.is_empty() {
        number.exponent += scan_exponent(&rest[1..])?;
    }
    Some(number)
}

fn scan_exponent(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut exponent = 0i64;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        exponent = (exponent * 10 + i64::from(byte - b'0')).min(EXPONENT_MAX);
    }
    Some(sign * exponent)
}

impl Hexadecimal {
    /// Rounds to `bits` (at most 64) binary digits, half to even, with no exponent below `exponent_min`.
    ///
    /// Returns the rounded mantissa and its exponent: `mantissa * 2^exponent`.
    pub(crate) fn round(&self, bits: u32, exponent_min: i64) -> (u64, i64) {
        round_binary(self.mantissa, self.is_inexact, self.exponent, bits, exponent_min)
    }

    /// The nearest double; `None` if it overflows, or if a non-zero number would become zero.
    pub(crate) fn to_f64(&self) -> Option<f64> {
        let (mantissa, exponent) = self.round(53, -1074);
        if mantissa == 0 {
            return (self.mantissa == 0).then_some(0.0);
        }
        let top = exponent + 63 - i64::from(mantissa.leading_zeros());
        if top > 1023 {
            return None;
        }
        if top < -1022 {
            // Subnormal: the exponent was held at -1074, where the mantissa is the encoding itself.
            return Some(f64::from_bits(mantissa));
        }
        let normal = mantissa << mantissa.leading_zeros() >> 11;
        Some(f64::from_bits((((top + 1023) as u64) << 52) | (normal & ((1 << 52) - 1))))
    }
}

/// Rounds `mantissa * 2^exponent` (plus a little if `is_inexact`) to `bits` binary digits, half to even, where the
/// result's exponent does not go below `exponent_min`. A result of `2^bits` is returned as `2^(bits-1)` with the next exponent.
pub(crate) fn round_binary(
    mantissa: u128,
    is_inexact: bool,
    exponent: i64,
    bits: u32,
    exponent_min: i64,
) -> (u64, i64) {
    if mantissa == 0 {
        return (0, exponent_min);
    }
    let width = 128 - mantissa.leading_zeros();
    let shift = (i64::from(width) - i64::from(bits)).max(exponent_min.saturating_sub(exponent)).max(0);
    if shift == 0 {
        // At most `bits` wide. An inexact mantissa is never this short.
        return (mantissa as u64, exponent);
    }
    if shift > i64::from(width) {
        return (0, exponent_min);
    }
    let kept = mantissa.checked_shr(shift as u32).unwrap_or(0);
    let half = 1u128 << (shift - 1);
    let is_half_set = mantissa & half != 0;
    let is_rest_set = mantissa & (half - 1) != 0 || is_inexact;
    let mut rounded = kept + u128::from(is_half_set && (is_rest_set || kept & 1 == 1));
    let mut exponent = exponent + shift;
    if rounded >> bits != 0 {
        rounded >>= 1;
        exponent += 1;
    }
    (rounded as u64, exponent)
}
