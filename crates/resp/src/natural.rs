//! Natural numbers of any size, with the few operations that rounding between decimal and binary needs.
//!
//! A long double reaches 10^4932 and a decimal fraction may have thousands of digits, so the rare numbers that do not fit
//! into 128 bits are converted exactly with these. Callers bound the sizes (at most some 40,000 bits), so the
//! schoolbook algorithms are fast enough.

use std::cmp::Ordering;

const POWER_5_27: u64 = 5u64.pow(27);
const POWER_10_19: u64 = 10u64.pow(19);

/// Little-endian limbs; the last one is not zero.
pub(crate) struct Natural {
    limbs: Vec<u64>,
}

impl Natural {
    /// `number * 2^shift`.
    pub(crate) fn shifted(number: u64, shift: u32) -> Self {
        let mut natural = Self { limbs: vec![number] };
        natural.trim();
        natural.shift_left(shift);
        natural
    }

    /// The number that the ASCII digits among `text` spell; other bytes are skipped.
    pub(crate) fn from_digits(text: &[u8]) -> Self {
        let mut natural = Self { limbs: Vec::with_capacity(text.len() / 19 + 1) };
        let (mut chunk, mut scale) = (0u64, 1u64);
        for digit in text.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| u64::from(byte - b'0')) {
            chunk = chunk * 10 + digit;
            scale *= 10;
            if scale == POWER_10_19 {
                natural.multiply_add(scale, chunk);
                (chunk, scale) = (0, 1);
            }
        }
        natural.multiply_add(scale, chunk);
        natural
    }

    pub(crate) fn multiply_by_power_of_5(&mut self, mut exponent: u32) {
        while exponent >= 27 {
            self.multiply_add(POWER_5_27, 0);
            exponent -= 27;
        }
        self.multiply_add(5u64.pow(exponent), 0);
    }

    /// The highest 128 bits, the power of two that they are to be multiplied with, and whether lower bits were set.
    pub(crate) fn top_bits(&self) -> (u128, i64, bool) {
        let width = self.width();
        let cut = width.saturating_sub(128);
        let mut top = 0u128;
        for place in (0..self.limbs.len()).rev() {
            let position = i64::from(place as u32) * 64 - i64::from(cut);
            let limb = u128::from(self.limbs[place]);
            match position {
                0.. => top |= limb << position,
                -63..0 => top |= limb >> -position,
                _ => break,
            }
        }
        let whole_limbs = (cut / 64) as usize;
        let is_inexact = self.limbs[..whole_limbs].iter().any(|&limb| limb != 0)
            || (!cut.is_multiple_of(64) && self.limbs[whole_limbs] & ((1 << (cut % 64)) - 1) != 0);
        (top, i64::from(cut), is_inexact)
    }

    /// The quotient's highest 127 or 128 bits, the power of two that they are to be multiplied with, and whether a
    /// remainder is left. Neither number may be zero.
    pub(crate) fn divide(mut self, mut divisor: Self) -> (u128, i64, bool) {
        let (width, divisor_width) = (self.width(), divisor.width());
        let common = width.max(divisor_width);
        self.shift_left(common - width);
        divisor.shift_left(common - divisor_width);
        let mut quotient = 0u128;
        for _ in 0..128 {
            quotient <<= 1;
            if self.compare(&divisor) != Ordering::Less {
                self.subtract(&divisor);
                quotient |= 1;
            }
            self.shift_left(1);
        }
        (quotient, i64::from(width) - i64::from(divisor_width) - 127, !self.limbs.is_empty())
    }

    /// Appends the decimal digits.
    pub(crate) fn write(mut self, buffer: &mut Vec<u8>) {
        let mut chunks = Vec::with_capacity(self.limbs.len() + self.limbs.len() / 32 + 1);
        while !self.limbs.is_empty() {
            chunks.push(self.divide_small(POWER_10_19));
        }
        let mut formatter = itoa::Buffer::new();
        let mut is_first = true;
        for &chunk in chunks.iter().rev() {
            let digits = formatter.format(chunk).as_bytes();
            if !is_first {
                buffer.resize(buffer.len() + 19 - digits.len(), b'0');
            }
            buffer.extend_from_slice(digits);
            is_first = false;
        }
        if is_first {
            buffer.push(b'0');
        }
    }

    /// The number of significant bits.
    fn width(&self) -> u32 {
        self.limbs.last().map_or(0, |top| self.limbs.len() as u32 * 64 - top.leading_zeros())
    }

    fn multiply_add(&mut self, factor: u64, addend: u64) {
        let mut carry = addend;
        for limb in &mut self.limbs {
            let product = u128::from(*limb) * u128::from(factor) + u128::from(carry);
            *limb = product as u64;
            carry = (product >> 64) as u64;
        }
        if carry != 0 {
            self.limbs.push(carry);
        }
    }

    fn divide_small(&mut self, divisor: u64) -> u64 {
        let mut remainder = 0u64;
        for limb in self.limbs.iter_mut().rev() {
            let dividend = u128::from(remainder) << 64 | u128::from(*limb);
            *limb = (dividend / u128::from(divisor)) as u64;
            remainder = (dividend % u128::from(divisor)) as u64;
        }
        self.trim();
        remainder
    }

    fn shift_left(&mut self, shift: u32) {
        let bits = shift % 64;
        if bits != 0 {
            let mut carry = 0;
            for limb in &mut self.limbs {
                let shifted = *limb << bits | carry;
                carry = *limb >> (64 - bits);
                *limb = shifted;
            }
            if carry != 0 {
                self.limbs.push(carry);
            }
        }
        if !self.limbs.is_empty() {
            self.limbs.splice(0..0, std::iter::repeat_n(0, (shift / 64) as usize));
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.limbs
            .len()
            .cmp(&other.limbs.len())
            .then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev()))
    }

    /// Takes away a number that is not larger.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (place, limb) in self.limbs.iter_mut().enumerate() {
            let taken = other.limbs.get(place).copied().unwrap_or(0);
            let (difference, first) = limb.overflowing_sub(taken);
            let (difference, second) = difference.overflowing_sub(u64::from(borrow));
            *limb = difference;
            borrow = first || second;
        }
        debug_assert!(!borrow, "the number taken away is not larger");
        self.trim();
    }

    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }
}
