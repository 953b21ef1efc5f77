//! Numbers as C casts and prints them.

use std::ffi::c_int;

/// Longest text of a number with up to 17 digits.
const TEXT_BYTES_MAX: usize = 40;

/// 2^63.
const TOP: f64 = 9_223_372_036_854_775_808.0;

/// The digits that Lua prints.
pub(super) const DIGITS: u8 = 14;

/// As C casts on this machine: towards zero, and what does not fit is the lowest of all.
pub(super) fn to_i64(number: f64) -> i64 {
    if (-TOP..TOP).contains(&number) { number as i64 } else { i64::MIN }
}

/// As [`to_i64`], for 32 bits.
pub(super) fn to_i32(number: f64) -> i32 {
    if number > -2_147_483_649.0 && number < 2_147_483_648.0 { number as i32 } else { i32::MIN }
}

/// As C casts on this machine to a number without sign: negative ones wrap around.
pub(super) fn to_u64(number: f64) -> u64 {
    if number >= TOP { to_i64(number - TOP) as u64 ^ (1 << 63) } else { to_i64(number) as u64 }
}

/// Whether a number is one of 64 bits: NaN and the infinities are not.
pub(super) fn is_i64(number: f64) -> bool {
    to_i64(number) as f64 == number
}

/// A number's text, as `%.14g` makes it, or with fewer digits.
pub(super) struct Text {
    bytes: [u8; TEXT_BYTES_MAX],
    length: usize,
}

impl Text {
    pub(super) fn of(number: f64, digits: u8) -> Self {
        let mut text = Self { bytes: [0; TEXT_BYTES_MAX], length: 0 };
        // -0 has a sign in C.
        let is_plain = is_i64(number) && (number != 0.0 || number.is_sign_positive());
        if is_plain && number.abs() < 10_f64.powi(i32::from(digits)) {
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(number as i64).as_bytes();
            text.bytes[..digits.len()].copy_from_slice(digits);
            text.length = digits.len();
        } else {
            // SAFETY: the format takes an int and a double; it writes no more bytes than there are.
            let length = unsafe {
                libc::snprintf(
                    text.bytes.as_mut_ptr().cast(),
                    TEXT_BYTES_MAX,
                    c"%.*g".as_ptr(),
                    c_int::from(digits),
                    number,
                )
            };
            text.length = usize::try_from(length).unwrap_or(0).min(TEXT_BYTES_MAX - 1);
        }
        text
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_are_those_of_c() {
        let cases = [
            (0.0, 0, 0, 0),
            (-1.9, -1, -1, u64::MAX),
            (2_147_483_647.9, 2_147_483_647, i32::MAX, 2_147_483_647),
            (2_147_483_648.0, 2_147_483_648, i32::MIN, 2_147_483_648),
            (TOP, i64::MIN, i32::MIN, 1 << 63),
            (TOP * 1.5, i64::MIN, i32::MIN, 3 << 62),
            (TOP * 2.0, i64::MIN, i32::MIN, 0),
            (-TOP, i64::MIN, i32::MIN, 1 << 63),
            (f64::INFINITY, i64::MIN, i32::MIN, 0),
            (f64::NEG_INFINITY, i64::MIN, i32::MIN, 1 << 63),
            (f64::NAN, i64::MIN, i32::MIN, 1 << 63),
        ];
        for (number, signed, short, unsigned) in cases {
            assert_eq!(
                (to_i64(number), to_i32(number), to_u64(number)),
                (signed, short, unsigned),
                "{number}"
            );
        }
    }

    #[test]
    fn texts_are_those_of_printf() {
        let cases = [
            (0.0, 14, "0"),
            (-0.0, 14, "-0"),
            (-1.0, 14, "-1"),
            (99_999_999_999_999.0, 14, "99999999999999"),
            (100_000_000_000_000.0, 14, "1e+14"),
            (1.0 / 3.0, 14, "0.33333333333333"),
            (1.0 / 3.0, 3, "0.333"),
            (1_234_567.0, 3, "1.23e+06"),
            (999.0, 3, "999"),
            (1000.0, 3, "1e+03"),
            (1e300, 14, "1e+300"),
            (-1.234_567_890_123_4e-300, 14, "-1.2345678901234e-300"),
            (f64::INFINITY, 14, "inf"),
        ];
        for (number, digits, text) in cases {
            assert_eq!(String::from_utf8_lossy(Text::of(number, digits).bytes()), text);
        }
    }
}
