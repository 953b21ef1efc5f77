//! Bits of a string: counting, searching, combining, and integer fields of any width.
//!
//! Bit 0 is the highest bit of byte 0, as in all of Redis's bit commands, so a field is a big-endian integer that starts anywhere.
//! These are functions over byte slices: the commands bring the bytes, and let a string grow before they write.
//! Loops run over plain words and bytes, which the compiler turns into vector instructions; code per processor was rejected
//! as long as memory bandwidth is what limits the large strings.
//!
//! Offsets are `u64` and come from clients: every sum of them is checked or bounded by [`parse_offset`].

use std::ops::Range;

use rustredis_resp::number::parse_i64;

/// What the numbers of a range count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Byte,
    /// Bits.
    Bit,
}

/// How BITOP combines its sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitOperation {
    /// Set where all are set.
    And,
    /// Set where any is set.
    Or,
    /// Set where an odd number is set.
    Xor,
    /// Set where the first source is not; there is only one.
    Not,
}

/// The bit at `offset`; behind the end it is not set.
pub fn get_bit(bytes: &[u8], offset: u64) -> bool {
    usize::try_from(offset / 8)
        .ok()
        .and_then(|place| bytes.get(place))
        .is_some_and(|byte| byte & (0x80 >> (offset % 8)) != 0)
}

/// Sets or clears the bit at `offset`, which must be inside, and returns what it was before.
pub fn set_bit(bytes: &mut [u8], offset: u64, is_set: bool) -> bool {
    let byte = &mut bytes[(offset / 8) as usize];
    let mask = 0x80 >> (offset % 8);
    let was_set = *byte & mask != 0;
    *byte = if is_set { *byte | mask } else { *byte & !mask };
    was_set
}

/// The number of bits that are set. O(length).
pub fn count(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    // A block's sum fits into 32 bits, which makes the inner loop half as wide.
    let blocks = words
        .chunks(4096)
        .map(|block| u64::from(block.iter().map(|&word| u64::from_ne_bytes(word).count_ones()).sum::<u32>()));
    blocks.sum::<u64>() + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// The number of set bits from `start` to `end`, both included, where negative numbers count from the end: BITCOUNT.
pub fn count_in_range(bytes: &[u8], start: i64, end: i64, unit: Unit) -> u64 {
    // Both would be cut to the first unit, though the range is empty.
    if start < 0 && end < 0 && start > end {
        return 0;
    }
    match resolve_range(bytes.len(), start, end, unit) {
        Some(range) => count_bits(bytes, range),
        None => 0,
    }
}

/// The first bit that is `bit` from `start` to `end`, both included and negative from the end; `None` if there is none: BITPOS.
///
/// Without an `end`, the string goes on with zeros, so a search for a zero from inside of it always finds one.
pub fn position(bytes: &[u8], bit: bool, start: i64, end: Option<i64>, unit: Unit) -> Option<u64> {
    let range = resolve_range(bytes.len(), start, end.unwrap_or(-1), unit)?;
    let found = first_bit(bytes, bit, range);
    if found.is_none() && !bit && end.is_none() {
        return Some(bytes.len() as u64 * 8);
    }
    found
}

/// Combines all sources, the shorter ones filled up with zeros, into a string as long as the longest: BITOP.
///
/// `Not` takes the first source only. O(sum of the lengths).
pub fn combine(operation: BitOperation, sources: &[&[u8]]) -> Vec<u8> {
    /// A block of the result stays in the first level cache while all sources pass over it.
    const BLOCK_BYTES: usize = 8 * 1024;
    let Some((first, others)) = sources.split_first() else { return Vec::new() };
    if operation == BitOperation::Not {
        return first.iter().map(|byte| !byte).collect();
    }
    let length = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let mut result = Vec::with_capacity(length);
    result.extend_from_slice(first);
    result.resize(length, 0);
    for (block_index, block) in result.chunks_mut(BLOCK_BYTES).enumerate() {
        for source in others {
            let source = source.get(block_index * BLOCK_BYTES..).unwrap_or(&[]);
            let pairs = block.iter_mut().zip(source);
            match operation {
                BitOperation::And => {
                    pairs.for_each(|(byte, other)| *byte &= other);
                    let end = source.len().min(block.len());
                    block[end..].fill(0);
                }
                BitOperation::Or => pairs.for_each(|(byte, other)| *byte |= other),
                BitOperation::Xor | BitOperation::Not => pairs.for_each(|(byte, other)| *byte ^= other),
            }
        }
    }
    result
}

/// What happens to a field's new value that does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The bits that fit are kept.
    #[default]
    Wrap,
    /// The nearest value that fits.
    Saturate,
    /// The field stays as it is.
    Fail,
}

/// An integer field's width and sign: `u1` to `u63`, `i1` to `i64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldType {
    is_signed: bool,
    bits: u32,
}

impl FieldType {
    /// Reads a type such as `u8` or `i16`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (sign, digits) = text.split_first()?;
        let (is_signed, bits_max) = match sign {
            b'i' => (true, 64),
            b'u' => (false, 63),
            _ => return None,
        };
        let bits = u32::try_from(parse_i64(digits)?).ok()?;
        (1..=bits_max).contains(&bits).then_some(Self { is_signed, bits })
    }

    /// The width, 1 to 64.
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// The value that SET stores: `value` itself, or what `overflow` makes of it; `None` if it fails.
    ///
    /// A negative value for an unsigned field counts as a large one, as in Redis.
    pub fn assigned(self, value: i64, overflow: Overflow) -> Option<i64> {
        let wide = if self.is_signed { i128::from(value) } else { i128::from(value as u64) };
        let (_, highest) = self.range();
        // Redis measures in 64 bits how far it is to the highest value: what is so low that this overflows is too high there.
        if overflow == Overflow::Saturate && self.bits < 64 && highest - wide > i128::from(i64::MAX) {
            return Some(highest as i64);
        }
        self.fitted(wide, overflow)
    }

    /// The value that INCRBY stores: the sum, or what `overflow` makes of it; `None` if it fails.
    pub fn incremented(self, value: i64, increment: i64, overflow: Overflow) -> Option<i64> {
        self.fitted(i128::from(value) + i128::from(increment), overflow)
    }

    /// The lowest and the highest value.
    fn range(self) -> (i128, i128) {
        if self.is_signed {
            (-(1i128 << (self.bits - 1)), (1i128 << (self.bits - 1)) - 1)
        } else {
            (0, (1i128 << self.bits) - 1)
        }
    }

    fn fitted(self, value: i128, overflow: Overflow) -> Option<i64> {
        let (lowest, highest) = self.range();
        if (lowest..=highest).contains(&value) {
            return Some(value as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.extended(value as u64)),
            Overflow::Saturate => Some(value.clamp(lowest, highest) as i64),
            Overflow::Fail => None,
        }
    }

    /// The value of the low bits of `word`.
    fn extended(self, word: u64) -> i64 {
        let unused = 64 - self.bits;
        if self.is_signed { ((word << unused) as i64) >> unused } else { ((word << unused) >> unused) as i64 }
    }
}

/// Reads a bit offset; one that starts with `#` counts fields of `field_bits` instead (where that is allowed).
///
/// `None` if it is malformed, negative, or starts in a byte at or beyond `bytes_max` (proto-max-bulk-len, 512 MB).
pub fn parse_offset(text: &[u8], field_bits: Option<u32>, bytes_max: u64) -> Option<u64> {
    let offset = match (text, field_bits) {
        ([b'#', count @ ..], Some(bits)) => parse_i64(count)?.checked_mul(i64::from(bits))?,
        _ => parse_i64(text)?,
    };
    u64::try_from(offset).ok().filter(|offset| offset / 8 < bytes_max)
}

/// How long a string must be to hold `bits` bits from `offset` on. Offsets are those of [`parse_offset`].
pub fn bytes_needed(offset: u64, bits: u32) -> u64 {
    offset.saturating_add(u64::from(bits)).div_ceil(8)
}

/// The field at `offset`. Bits behind the end are zeros.
pub fn get_field(bytes: &[u8], field_type: FieldType, offset: u64) -> i64 {
    let word = load_window(bytes, offset) >> window_shift(field_type, offset);
    field_type.extended(word as u64)
}

/// Writes the low bits of `value` to the field at `offset`, which must be inside: see [`bytes_needed`].
pub fn set_field(bytes: &mut [u8], field_type: FieldType, offset: u64, value: i64) {
    let shift = window_shift(field_type, offset);
    let mask = (1u128 << field_type.bits) - 1;
    let word = load_window(bytes, offset) & !(mask << shift) | (value as u128 & mask) << shift;
    let start = (offset / 8) as usize;
    let end = bytes_needed(offset, field_type.bits) as usize;
    bytes[start..end].copy_from_slice(&word.to_be_bytes()[..end - start]);
}

/// A big-endian window of 16 bytes that starts with the byte of bit `offset`; a field touches at most 9.
fn load_window(bytes: &[u8], offset: u64) -> u128 {
    let start = usize::try_from(offset / 8).unwrap_or(usize::MAX);
    let rest = bytes.get(start..).unwrap_or(&[]);
    let mut window = [0; 16];
    let length = rest.len().min(window.len());
    window[..length].copy_from_slice(&rest[..length]);
    u128::from_be_bytes(window)
}

/// How far the field's last bit is from the window's.
fn window_shift(field_type: FieldType, offset: u64) -> u32 {
    128 - (offset % 8) as u32 - field_type.bits
}

/// The bits from `start` to `end`, as a half-open range inside of the string; `None` if there are none.
fn resolve_range(bytes: usize, start: i64, end: i64, unit: Unit) -> Option<Range<u64>> {
    let (length, unit_bits) = match unit {
        Unit::Byte => (bytes as i64, 8),
        Unit::Bit => (bytes as i64 * 8, 1),
    };
    let from_end = |place: i64| if place < 0 { (length + place).max(0) } else { place };
    let (start, end) = (from_end(start), from_end(end).min(length - 1));
    (start <= end).then(|| start as u64 * unit_bits..(end as u64 + 1) * unit_bits)
}

/// Counts the set bits of a range that is inside and not empty.
fn count_bits(bytes: &[u8], range: Range<u64>) -> u64 {
    let (first, last) = ((range.start / 8) as usize, ((range.end - 1) / 8) as usize);
    let before = bytes[first] & !head_mask(range.start);
    let behind = bytes[last] & !tail_mask(range.end);
    count(&bytes[first..=last]) - u64::from(before.count_ones()) - u64::from(behind.count_ones())
}

/// The first bit of that kind in a range that is inside and not empty.
fn first_bit(bytes: &[u8], bit: bool, range: Range<u64>) -> Option<u64> {
    // What is searched for becomes a set bit.
    let flip = if bit { 0 } else { 0xff };
    let (first, last) = ((range.start / 8) as usize, ((range.end - 1) / 8) as usize);
    let place = if (bytes[first] ^ flip) & head_mask(range.start) != 0 {
        first
    } else {
        first + 1 + first_differing(bytes.get(first + 1..=last)?, flip)?
    };
    let head = if place == first { head_mask(range.start) } else { 0xff };
    let tail = if place == last { tail_mask(range.end) } else { 0xff };
    let found = (bytes[place] ^ flip) & head & tail;
    (found != 0).then(|| place as u64 * 8 + u64::from(found.leading_zeros()))
}

/// Where the first byte other than `byte` is.
fn first_differing(bytes: &[u8], byte: u8) -> Option<usize> {
    let (words, _) = bytes.as_chunks::<8>();
    let skipped = words.iter().take_while(|&&word| word == [byte; 8]).count() * 8;
    bytes[skipped..].iter().position(|&other| other != byte).map(|distance| skipped + distance)
}

/// The bits of a range's first byte that belong to it.
fn head_mask(start: u64) -> u8 {
    0xff >> (start % 8)
}

/// The bits of a range's last byte that belong to it; `end` is the bit behind it.
fn tail_mask(end: u64) -> u8 {
    0xff << (end.wrapping_neg() % 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: u64 = 512 * 1024 * 1024;

    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 33) % limit
        }

        fn bytes(&mut self, length_max: u64) -> Vec<u8> {
            let length = self.below(length_max + 1);
            // Runs of equal bytes, for the searches.
            let fill = [0, 0xff, 0xa5][self.below(3) as usize];
            let noise = self.below(4);
            (0..length).map(|_| if self.below(4) < noise { self.below(256) as u8 } else { fill }).collect()
        }
    }

    /// The bits of the range, with their offsets, one by one.
    fn model_range(bytes: &[u8], start: i64, end: i64, unit: Unit) -> Vec<(u64, bool)> {
        let unit_bits = if unit == Unit::Byte { 8 } else { 1 };
        let length = bytes.len() as i64 * 8 / unit_bits;
        let absolute = |place: i64| if place < 0 { (place + length).max(0) } else { place };
        (0..bytes.len() as u64 * 8)
            .filter(|&bit| (absolute(start)..=absolute(end)).contains(&(bit as i64 / unit_bits)))
            .map(|bit| (bit, bytes[bit as usize / 8] >> (7 - bit % 8) & 1 == 1))
            .collect()
    }

    #[test]
    fn counts_and_positions_agree_with_single_bits() {
        let mut random = Random(7);
        for _ in 0..4_000 {
            let bytes = random.bytes(40);
            let unit = if random.below(2) == 0 { Unit::Byte } else { Unit::Bit };
            let span = if unit == Unit::Byte { 50 } else { 400 };
            let start = random.below(2 * span) as i64 - span as i64;
            let end = random.below(2 * span) as i64 - span as i64;
            let bits = model_range(&bytes, start, end, unit);
            let expected = bits.iter().filter(|(_, is_set)| *is_set).count() as u64;
            if !(start < 0 && end < 0 && start > end) {
                assert_eq!(
                    count_in_range(&bytes, start, end, unit),
                    expected,
                    "{bytes:?} {start} {end} {unit:?}"
                );
            }
            for bit in [false, true] {
                let expected = bits.iter().find(|(_, is_set)| *is_set == bit).map(|(place, _)| *place);
                let found = position(&bytes, bit, start, Some(end), unit);
                assert_eq!(found, expected, "{bytes:?} {bit} {start} {end} {unit:?}");
            }
        }
    }

    #[test]
    fn zeros_follow_a_string_without_an_end() {
        assert_eq!(position(&[0xff; 3], false, 0, None, Unit::Byte), Some(24));
        assert_eq!(position(&[0xff; 3], false, 2, None, Unit::Byte), Some(24));
        assert_eq!(position(&[0xff; 3], false, 3, None, Unit::Byte), None);
        assert_eq!(position(&[0xff; 3], false, 0, Some(-1), Unit::Byte), None);
        assert_eq!(position(&[0; 3], true, 0, None, Unit::Byte), None);
        assert_eq!(position(&[], false, 0, None, Unit::Byte), None);
        assert_eq!(count_in_range(&[0xff; 3], -50, -100, Unit::Bit), 0);
        assert_eq!(count_in_range(&[0xff; 3], i64::MIN, i64::MAX, Unit::Bit), 24);
    }

    #[test]
    fn long_strings_are_counted_whole() {
        let bytes = vec![0xff; 100_003];
        assert_eq!(count(&bytes), 800_024);
        assert_eq!(position(&bytes, false, 0, None, Unit::Byte), Some(800_024));
    }

    #[test]
    fn combinations_agree_with_single_bits() {
        let mut random = Random(11);
        for _ in 0..500 {
            let length_max = if random.below(50) == 0 { 40_000 } else { 40 };
            let sources: Vec<Vec<u8>> = (0..=random.below(5)).map(|_| random.bytes(length_max)).collect();
            let slices: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
            let length = slices.iter().map(|source| source.len()).max().unwrap();
            for operation in [BitOperation::And, BitOperation::Or, BitOperation::Xor] {
                let expected: Vec<u8> = (0..length)
                    .map(|place| {
                        let column = slices.iter().map(|source| source.get(place).copied().unwrap_or(0));
                        column
                            .reduce(|left, right| match operation {
                                BitOperation::And => left & right,
                                BitOperation::Or => left | right,
                                _ => left ^ right,
                            })
                            .unwrap()
                    })
                    .collect();
                assert!(combine(operation, &slices) == expected, "{operation:?} {length}");
            }
        }
        assert_eq!(combine(BitOperation::Not, &[&[0x0f, 0xff]]), [0xf0, 0]);
        assert!(combine(BitOperation::Or, &[]).is_empty());
    }

    #[test]
    fn single_bits_are_set_and_read() {
        let mut bytes = [0; 2];
        assert!(!set_bit(&mut bytes, 0, true));
        assert!(!set_bit(&mut bytes, 15, true));
        assert_eq!(bytes, [0x80, 1]);
        assert!(set_bit(&mut bytes, 0, false));
        assert!(
            get_bit(&bytes, 15) && !get_bit(&bytes, 0) && !get_bit(&bytes, 16) && !get_bit(&bytes, u64::MAX)
        );
    }

    #[test]
    fn types_and_offsets_are_checked() {
        for (text, expected) in
            [("u1", Some((false, 1))), ("u63", Some((false, 63))), ("i64", Some((true, 64)))]
        {
            let expected = expected.map(|(is_signed, bits)| FieldType { is_signed, bits });
            assert_eq!(FieldType::parse(text.as_bytes()), expected, "{text}");
        }
        for text in ["u64", "i65", "u0", "i0", "x8", "u08", "U8", "", "u", "u-1", "8", "u4294967304"] {
            assert_eq!(FieldType::parse(text.as_bytes()), None, "{text}");
        }
        for (text, expected) in [
            ("0", Some(0)),
            ("#3", Some(24)),
            ("4294967295", Some(4294967295)),
            ("4294967296", None),
            ("#536870911", Some(4294967288)),
            ("#536870912", None),
            ("#9223372036854775807", None),
            ("9223372036854775807", None),
            ("-1", None),
            ("#-1", None),
            ("#", None),
            ("", None),
            ("01", None),
        ] {
            assert_eq!(parse_offset(text.as_bytes(), Some(8), BYTES_MAX), expected, "{text}");
        }
        assert_eq!(parse_offset(b"#1", None, BYTES_MAX), None);
        assert_eq!(bytes_needed(0, 8), 1);
        assert_eq!(bytes_needed(1, 8), 2);
    }

    #[test]
    fn fields_agree_with_single_bits() {
        let mut random = Random(13);
        for _ in 0..20_000 {
            let is_signed = random.below(2) == 0;
            let bits = random.below(if is_signed { 64 } else { 63 }) as u32 + 1;
            let field_type = FieldType { is_signed, bits };
            let offset = random.below(70);
            let mut bytes = random.bytes(30);
            let expected = (offset..offset + u64::from(bits))
                .fold(0u64, |value, place| value << 1 | u64::from(get_bit(&bytes, place)));
            assert_eq!(get_field(&bytes, field_type, offset) as u64 & (u64::MAX >> (64 - bits)), expected);
            bytes.resize(bytes.len().max(bytes_needed(offset, bits) as usize), 0);
            let mut model = bytes.clone();
            let value = (random.below(1 << 31) << 33 | random.below(1 << 31) << 2 | random.below(4)) as i64;
            for place in 0..bits {
                let is_set = value >> (bits - 1 - place) & 1 == 1;
                set_bit(&mut model, offset + u64::from(place), is_set);
            }
            set_field(&mut bytes, field_type, offset, value);
            assert_eq!(bytes, model, "{field_type:?} {offset} {value}");
            assert_eq!(get_field(&bytes, field_type, offset), field_type.extended(value as u64));
        }
    }

    #[test]
    fn overflow_wraps_saturates_or_fails() {
        let check = |text: &str, value: i64, increment: i64, expected: [Option<i64>; 3]| {
            let field_type = FieldType::parse(text.as_bytes()).unwrap();
            let found = [Overflow::Wrap, Overflow::Saturate, Overflow::Fail]
                .map(|overflow| field_type.incremented(value, increment, overflow));
            assert_eq!(found, expected, "{text} {value} {increment}");
        };
        check("u8", 250, 5, [Some(255); 3]);
        check("u8", 250, 10, [Some(4), Some(255), None]);
        check("u8", 5, -10, [Some(251), Some(0), None]);
        check("i8", 100, 100, [Some(-56), Some(127), None]);
        check("i8", -100, -100, [Some(56), Some(-128), None]);
        check("i1", 0, 1, [Some(-1), Some(0), None]);
        check("i64", i64::MAX, 1, [Some(i64::MIN), Some(i64::MAX), None]);
        check("i64", i64::MIN, i64::MIN, [Some(0), Some(i64::MIN), None]);
        check("u63", i64::MAX, i64::MAX, [Some(i64::MAX - 1), Some(i64::MAX), None]);
        let byte = FieldType::parse(b"u8").unwrap();
        assert_eq!(byte.assigned(-1, Overflow::Saturate), Some(255));
        assert_eq!(byte.assigned(-2, Overflow::Wrap), Some(254));
        assert_eq!(byte.assigned(-1, Overflow::Fail), None);
        assert_eq!(FieldType::parse(b"i8").unwrap().assigned(200, Overflow::Wrap), Some(-56));
        // As redis-server 7.0.15 has it.
        let signed = FieldType::parse(b"i32").unwrap();
        assert_eq!(signed.assigned(i64::MIN, Overflow::Saturate), Some(i64::from(i32::MAX)));
        assert_eq!(signed.assigned(i64::MIN + (1 << 31), Overflow::Saturate), Some(i64::from(i32::MIN)));
    }
}
