//! Numbers as Redis reads and writes them: 64-bit integers and doubles.
//!
//! An integer has one spelling only (no sign `+`, no leading zero, no space), because Redis compares, stores and
//! journals the text: `007` must stay a string. Doubles follow C's `strtod`, with decimal, hexadecimal and infinite forms,
//! but without the leading space that `strtod` skips, and without NaN.
//!
//! Doubles are written as redis-server 7.0 does, with 17 significant digits: that is the server which ours is compared with,
//! reply by reply and by its own test suite. Redis 7.2 prints the shortest digits that read back as the same double
//! (`0.1`), and those clients read the same number from both; rejected here because its suite of 7.0 compares texts.
//!
//! The 80-bit arithmetic of INCRBYFLOAT is in [`crate::long_double`].

use crate::strtod::{self, Literal};

/// The most bytes that [`format_double`] writes.
pub const DOUBLE_BYTES_MAX: usize = 32;

/// The longest spelling of an `i64`: `-9223372036854775808`.
pub const INTEGER_BYTES_MAX: usize = 20;

/// Integral doubles below this magnitude are written as integers, without an exponent: 17 digits hold them.
const INTEGRAL_MAX: f64 = 1e17;

/// Reads a decimal `i64` in its one canonical spelling; `None` for everything else. O(length), at most 20 bytes are read.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', digits @ ..] => {
            let magnitude = parse_u64(digits)?;
            if magnitude == 0 || magnitude > i64::MIN.unsigned_abs() {
                return None;
            }
            Some((magnitude as i64).wrapping_neg())
        }
        digits => i64::try_from(parse_u64(digits)?).ok(),
    }
}

/// Reads a decimal `u64` in its one canonical spelling: digits only, no leading zero unless it is `0` itself.
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 || (text[0] == b'0' && text.len() > 1) {
        return None;
    }
    // 19 digits always fit into 64 bits; only a 20th needs the checks.
    let (safe, last) = text.split_at(text.len().min(19));
    let mut number = 0u64;
    for &byte in safe {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + u64::from(digit);
    }
    for &byte in last {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(number)
}

/// Reads a double as Redis does: C's decimal and hexadecimal forms and `inf`/`infinity` in any case, with or without a sign.
///
/// `None` for NaN, for space anywhere, for a finite spelling that is too large, and for a non-zero one so small that
/// it would become zero. O(length).
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    // Scores are mostly short integers, which need no rounding.
    if text.len() <= 15
        && let Some(integer) = parse_i64(text)
    {
        return Some(integer as f64);
    }
    let (is_negative, literal) = strtod::scan(text)?;
    let magnitude = match literal {
        Literal::Infinity => f64::INFINITY,
        Literal::Decimal(decimal) => {
            let spelling = std::str::from_utf8(decimal.text).ok()?;
            let value: f64 = spelling.parse().ok()?;
            if value.is_infinite() || (value == 0.0 && !decimal.is_zero()) {
                return None;
            }
            value
        }
        Literal::Hexadecimal(hexadecimal) => hexadecimal.to_f64()?,
    };
    Some(if is_negative { -magnitude } else { magnitude })
}

/// Reads a double as C's `strtod` does where Redis looks at nothing but the result and the end: the text ends before a zero
/// byte, space before the number is skipped, what is too large is infinite and what is too small is 0, and no text at all is 0.
///
/// `None` for NaN, and if there is anything behind the number, or space alone.
pub fn parse_f64_of_c(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or(text);
    if text.is_empty() {
        return Some(0.0);
    }
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let start = text.iter().position(|byte| !is_space(byte))?;
    let (is_negative, literal) = strtod::scan(&text[start..])?;
    let magnitude = match literal {
        Literal::Infinity => f64::INFINITY,
        Literal::Decimal(decimal) => std::str::from_utf8(decimal.text).ok()?.parse().ok()?,
        Literal::Hexadecimal(hexadecimal) => match hexadecimal.to_f64() {
            Some(value) => value,
            None if hexadecimal.round(53, -1074).0 == 0 => 0.0,
            None => f64::INFINITY,
        },
    };
    Some(if is_negative { -magnitude } else { magnitude })
}

/// Appends a double as redis-server 7.0 replies it, the same for RESP2 and RESP3: 17 significant digits without trailing
/// zeros, C's `%.17g` (`3`, `0.10000000000000001`, `-0`, `inf`, `1e+21`, `4.9406564584124654e-324`).
///
/// At most [`DOUBLE_BYTES_MAX`] bytes.
pub fn format_double(value: f64, buffer: &mut Vec<u8>) {
    if value.is_nan() {
        buffer.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        buffer.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    } else if value == 0.0 {
        buffer.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.abs() < INTEGRAL_MAX && value.trunc() == value {
        buffer.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        write_17_digits(value, buffer);
    }
}

/// Appends a score as a compact sorted set of Redis stores it, and as ZSCAN shows it from there: integers of up to 62 bits
/// with all their digits, the rest as [`format_double`] has it. The sign of -0 is lost.
pub fn format_score(score: f64, buffer: &mut Vec<u8>) {
    // Half of the integers of 64 bits, as Redis converts no others.
    const WHOLE_MAX: f64 = (1u64 << 62) as f64;
    if score.abs() <= WHOLE_MAX && score.trunc() == score {
        buffer.extend_from_slice(itoa::Buffer::new().format(score as i64).as_bytes());
    } else {
        format_double(score, buffer);
    }
}

/// The digits come from the standard library's exact formatting; the layout is that of `%g`: plain from 1e-4 to below
/// 1e17, with an exponent of at least two digits elsewhere.
fn write_17_digits(value: f64, buffer: &mut Vec<u8>) {
    struct Text {
        bytes: [u8; 32],
        len: usize,
    }
    impl std::fmt::Write for Text {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            let end = self.len + text.len();
            self.bytes.get_mut(self.len..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
            self.len = end;
            Ok(())
        }
    }
    let mut text = Text { bytes: [0; 32], len: 0 };
    // `d.dddddddddddddddde-308` is 23 bytes: it always fits.
    let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{:.16e}", value.abs()));
    let text = &text.bytes[..text.len];
    let Some(at) = text.iter().position(|byte| *byte == b'e') else { return };
    let exponent = parse_i64(&text[at + 1..]).unwrap_or(0);
    let mut digits = [0u8; 17];
    digits[0] = text[0];
    digits[1..].copy_from_slice(&text[2..at]);
    let kept = digits.iter().rposition(|digit| *digit != b'0').map_or(1, |last| last + 1);
    let digits = &digits[..kept];
    if value < 0.0 {
        buffer.push(b'-');
    }
    match usize::try_from(exponent) {
        Ok(whole) if whole < 17 => {
            let (before, after) = digits.split_at(digits.len().min(whole + 1));
            buffer.extend_from_slice(before);
            buffer.resize(buffer.len() + whole + 1 - before.len(), b'0');
            if !after.is_empty() {
                buffer.push(b'.');
                buffer.extend_from_slice(after);
            }
        }
        Err(_) if exponent >= -4 => {
            buffer.extend_from_slice(b"0.");
            buffer.resize(buffer.len() + exponent.unsigned_abs() as usize - 1, b'0');
            buffer.extend_from_slice(digits);
        }
        _ => {
            buffer.push(digits[0]);
            if digits.len() > 1 {
                buffer.push(b'.');
                buffer.extend_from_slice(&digits[1..]);
            }
            buffer.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
            if exponent.unsigned_abs() < 10 {
                buffer.push(b'0');
            }
            buffer.extend_from_slice(itoa::Buffer::new().format(exponent.unsigned_abs()).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_i64(text: &str, expected: Option<i64>) {
        assert_eq!(parse_i64(text.as_bytes()), expected, "{text:?}");
    }

    #[track_caller]
    fn check_f64(text: &str, expected: Option<f64>) {
        let found = parse_f64(text.as_bytes());
        assert_eq!(found.map(f64::to_bits), expected.map(f64::to_bits), "{text:?}: {found:?}");
    }

    #[track_caller]
    fn check_format(value: f64, expected: &str) {
        let mut buffer = Vec::new();
        format_double(value, &mut buffer);
        assert_eq!(String::from_utf8(buffer).unwrap(), expected);
    }

    #[test]
    fn integers_have_one_spelling() {
        for number in [0, 1, -1, 9, 10, 1_000_000_007, i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1] {
            check_i64(&number.to_string(), Some(number));
        }
        for text in [
            "",
            "-",
            "+1",
            "-0",
            "00",
            "01",
            "-01",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "0x1",
            "9223372036854775808",
            "a",
            "1a",
            "-9223372036854775809",
            "18446744073709551616",
            "99999999999999999999",
            "111111111111111111111",
            "--1",
        ] {
            check_i64(text, None);
        }
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"-1"), None);
    }

    #[test]
    fn doubles_are_read_as_strtod_does() {
        for (text, value) in [
            ("0", 0.0),
            ("-0.0", -0.0),
            ("+1", 1.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("007", 7.0),
            ("1e3", 1000.0),
            ("1E+3", 1000.0),
            ("2.5e-3", 0.0025),
            ("inf", f64::INFINITY),
            ("+iNf", f64::INFINITY),
            ("-INFINITY", f64::NEG_INFINITY),
            ("0x10", 16.0),
            ("-0x1.8p1", -3.0),
            ("0x.8", 0.5),
            ("0X1P-1074", 5e-324),
            ("0x1p-1075", f64::NAN),
            ("4e-324", 5e-324),
            ("1.7976931348623157e308", f64::MAX),
            ("0e-999999999999", 0.0),
            ("0x0p99999999999999999999", 0.0),
            ("123456789012345678901234567890", 123456789012345678901234567890.0),
            ("0x1.fffffffffffff8p0", 2.0),
            ("0x1fffffffffffff.4", 9007199254740991.0),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080001p0", 1.0000000000000002),
        ] {
            check_f64(text, if value.is_nan() { None } else { Some(value) });
        }
        for text in [
            "",
            "-",
            "+",
            ".",
            "e5",
            "1e",
            "1e+",
            "0x",
            "0x.",
            "0xp1",
            "0x1p",
            "0x1p+",
            "nan",
            "-nan",
            "nan(1)",
            " 1",
            "1 ",
            "\t1",
            "1\0",
            "1_0",
            "infinit",
            "in",
            "1e309",
            "-1e309",
            "1e-400",
            "0x1p1024",
            "--1",
            "+-1",
            "1e5.5",
            "1.2.3",
            "é",
            "0x1.fffffffffffff8p1023",
            "1e99999999999999999999",
            "1e-99999999999999999999",
        ] {
            check_f64(text, None);
        }
    }

    #[test]
    fn bounds_are_read_as_c_does() {
        for (text, value) in [
            ("", Some(0.0)),
            ("\0", Some(0.0)),
            ("2\0abc", Some(2.0)),
            (" 1", Some(1.0)),
            ("\t\n\u{b}\u{c}\r-1", Some(-1.0)),
            ("1e-400", Some(0.0)),
            ("-1e400", Some(f64::NEG_INFINITY)),
            ("0x1p5000", Some(f64::INFINITY)),
            ("0x1p-5000", Some(0.0)),
            ("inf", Some(f64::INFINITY)),
            (" ", None),
            (" \0", None),
            ("1 ", None),
            ("+ 1", None),
            ("nan", None),
            ("0x", None),
            ("2a\0", None),
        ] {
            assert_eq!(parse_f64_of_c(text.as_bytes()), value, "{text:?}");
        }
    }

    #[test]
    fn scores_are_stored_as_redis_does() {
        for (score, expected) in [
            (-0.0, "0"),
            (1e17, "100000000000000000"),
            (-4.611686018427388e18, "-4611686018427387904"),
            (4.611686018427389e18, "4.6116860184273889e+18"),
            (0.5, "0.5"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            let mut buffer = Vec::new();
            format_score(score, &mut buffer);
            assert_eq!(String::from_utf8(buffer).unwrap(), expected);
        }
    }

    #[test]
    fn doubles_are_written_as_redis_does() {
        for (value, expected) in [
            (3.0, "3"),
            (0.1, "0.10000000000000001"),
            (-0.0, "-0"),
            (0.0, "0"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (5e-324, "4.9406564584124654e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (1e18, "1e+18"),
            (1e19, "1e+19"),
            (1e21, "1e+21"),
            (-1e21, "-1e+21"),
            (3.241592653589793, "3.2415926535897932"),
            (1.5, "1.5"),
            (0.000001, "9.9999999999999995e-07"),
            (0.0000001, "9.9999999999999995e-08"),
            (0.00012345, "0.00012344999999999999"),
            (0.0012345, "0.0012344999999999999"),
            (1700000000.123, "1700000000.1229999"),
            (1700000000.1234567, "1700000000.1234567"),
            (-1.0, "-1"),
            (9007199254740993.0, "9007199254740992"),
            (4611686018427387904.0, "4.6116860184273879e+18"),
            (9223372036854775807.0, "9.2233720368547758e+18"),
            (123456789e12, "1.23456789e+20"),
        ] {
            check_format(value, expected);
        }
    }

    #[test]
    fn written_doubles_read_back_as_the_same() {
        let mut bits = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..if cfg!(miri) { 500 } else { 20_000 } {
            bits = bits.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let value = f64::from_bits(bits ^ (bits >> 29));
            if value.is_nan() {
                continue;
            }
            let mut buffer = Vec::new();
            format_double(value, &mut buffer);
            assert!(buffer.len() <= DOUBLE_BYTES_MAX);
            assert_eq!(
                parse_f64(&buffer).map(f64::to_bits),
                Some(value.to_bits()),
                "{}",
                String::from_utf8_lossy(&buffer)
            );
        }
    }
}
