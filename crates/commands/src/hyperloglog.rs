//! HyperLogLog inside a Redis string, bit for bit as Redis stores it, so that GET, DUMP, RDB and replicas agree.
//!
//! ```text
//! "HYLL" | encoding: 0 dense, 1 sparse | 3 unused | cached count, 8 bytes little-endian, top bit set: outdated | registers
//!
//! dense    16,384 registers of 6 bits, the lowest bits first: 12,288 bytes
//! sparse   opcodes:  00nnnnnn           ZERO   n + 1 registers of 0
//!                    01nnnnnn nnnnnnnn  XZERO  n + 1 registers of 0
//!                    1vvvvvnn           VAL    n + 1 registers of v + 1
//! ```
//!
//! An element's 64-bit MurmurHash64A chooses the register by its low 14 bits, and offers it the position of the lowest one
//! among the other 50. The count is Ertl's improved estimator ("New cardinality estimation algorithms for HyperLogLog sketches",
//! 2017, algorithm 6), with the same order of floating point operations as in Redis.
//!
//! The bytes may come from SET or RESTORE, so nothing about them is trusted: each walk is bounded and reports
//! [`HyperLogLogError::Corrupted`]. Unpacked registers in memory were rejected: the key is a string to all other commands.

use std::fmt;

const MAGIC: &[u8; 4] = b"HYLL";
const HEADER_BYTES: usize = 16;
const ENCODING_AT: usize = 4;
const CACHE_AT: usize = 8;
const CACHE_OUTDATED_BIT: u8 = 0x80;

const INDEX_BITS: u32 = 14;
/// The number of registers.
pub const REGISTER_COUNT: usize = 1 << INDEX_BITS;
/// Bits of the hash that are not the index.
const RANK_BITS: u32 = 64 - INDEX_BITS;
const DENSE_BYTES: usize = HEADER_BYTES + REGISTER_COUNT * 6 / 8;
/// Registers of the dense encoding have six bits.
const REGISTER_VALUES: usize = 64;

const ZERO_LENGTH_MAX: usize = 64;
const VALUE_LENGTH_MAX: usize = 4;
const SPARSE_VALUE_MAX: u8 = 32;

const HASH_SEED: u64 = 0xadc8_3b19;
/// 1 / (2 ln 2), the limit of the estimator's bias correction.
const ALPHA_INFINITY: f64 = 0.721_347_520_444_481_7;

/// Why a string is refused as a HyperLogLog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HyperLogLogError {
    /// The header or the size is wrong: it is some other string.
    NotHyperLogLog,
    /// The header is right, but the registers do not add up.
    Corrupted,
}

impl fmt::Display for HyperLogLogError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotHyperLogLog => "WRONGTYPE Key is not a valid HyperLogLog string value.",
            Self::Corrupted => "INVALIDOBJ Corrupted HLL object detected",
        })
    }
}

impl std::error::Error for HyperLogLogError {}

/// How the registers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Six bits for each register.
    Dense,
    /// Runs of equal registers.
    Sparse,
}

impl Encoding {
    /// The name that PFDEBUG ENCODING replies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
        }
    }
}

/// An empty, sparse HyperLogLog, its cached count marked as outdated.
pub fn create() -> Vec<u8> {
    let mut string = Vec::with_capacity(HEADER_BYTES + 8);
    string.extend_from_slice(MAGIC);
    string.extend_from_slice(&[1, 0, 0, 0]);
    string.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, CACHE_OUTDATED_BIT]);
    Opcode::Zeros(REGISTER_COUNT).write(&mut string);
    string
}

/// Checks the header, and the size of a dense one. Every other function here expects a string that passed. O(1).
pub fn encoding(string: &[u8]) -> Result<Encoding, HyperLogLogError> {
    if string.len() < HEADER_BYTES || &string[..MAGIC.len()] != MAGIC {
        return Err(HyperLogLogError::NotHyperLogLog);
    }
    match string[ENCODING_AT] {
        0 if string.len() == DENSE_BYTES => Ok(Encoding::Dense),
        1 => Ok(Encoding::Sparse),
        _ => Err(HyperLogLogError::NotHyperLogLog),
    }
}

/// Counts an element. Returns whether a register grew, in which case the cached count is marked as outdated.
///
/// A sparse string that would grow beyond `sparse_bytes_max` (header included) becomes dense. O(1) when dense,
/// O(bytes) when sparse.
pub fn add(string: &mut Vec<u8>, element: &[u8], sparse_bytes_max: usize) -> Result<bool, HyperLogLogError> {
    let (index, rank) = index_and_rank(element);
    let is_changed = raise(string, index, rank, sparse_bytes_max)?;
    if is_changed {
        mark_outdated(string);
    }
    Ok(is_changed)
}

/// Counts an element in a dense string, in place; else as [`add`]. O(1).
pub fn add_to_dense(string: &mut [u8], element: &[u8]) -> bool {
    debug_assert_eq!(encoding(string), Ok(Encoding::Dense));
    let (index, rank) = index_and_rank(element);
    let is_changed = raise_dense(string, index, rank);
    if is_changed {
        mark_outdated(string);
    }
    is_changed
}

/// The count that was stored last, if nothing has changed since. O(1).
pub fn cached_count(string: &[u8]) -> Result<Option<u64>, HyperLogLogError> {
    encoding(string)?;
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&string[CACHE_AT..HEADER_BYTES]);
    Ok((bytes[7] & CACHE_OUTDATED_BIT == 0).then_some(u64::from_le_bytes(bytes)))
}

/// Stores a count as the cached one, up to date.
pub fn store_count(string: &mut [u8], count: u64) -> Result<(), HyperLogLogError> {
    encoding(string)?;
    string[CACHE_AT..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
    Ok(())
}

/// Estimates the number of distinct elements from the registers, whatever is cached. O(bytes).
pub fn count(string: &[u8]) -> Result<u64, HyperLogLogError> {
    let mut histogram = [0u32; REGISTER_VALUES];
    match encoding(string)? {
        Encoding::Dense => {
            for group in string[HEADER_BYTES..].chunks_exact(3) {
                for value in unpack(group) {
                    histogram[usize::from(value)] += 1;
                }
            }
        }
        Encoding::Sparse => {
            for_each_run(string, |_, length, value| histogram[usize::from(value)] += length as u32)?;
        }
    }
    Ok(estimate(&histogram))
}

/// Makes it dense. Returns whether it was sparse. The cached count stays as it is.
pub fn make_dense(string: &mut Vec<u8>) -> Result<bool, HyperLogLogError> {
    if encoding(string)? == Encoding::Dense {
        return Ok(false);
    }
    let mut dense = vec![0; DENSE_BYTES];
    dense[..HEADER_BYTES].copy_from_slice(&string[..HEADER_BYTES]);
    dense[ENCODING_AT] = 0;
    let registers = &mut dense[HEADER_BYTES..];
    for_each_run(string, |first, length, value| {
        if value > 0 {
            (first..first + length).for_each(|index| set_dense(registers, index, value));
        }
    })?;
    *string = dense;
    Ok(true)
}

/// The opcodes of a sparse one as PFDEBUG DECODE shows them, such as `Z:12711 v:2,1 Z:3672`; `None` for a dense one.
pub fn decode(string: &[u8]) -> Result<Option<String>, HyperLogLogError> {
    if encoding(string)? == Encoding::Dense {
        return Ok(None);
    }
    let mut words = Vec::new();
    let mut rest = &string[HEADER_BYTES..];
    while let Some((opcode, bytes)) = Opcode::read(rest)? {
        words.push(match opcode {
            Opcode::Zeros(length) if bytes == 1 => format!("z:{length}"),
            Opcode::Zeros(length) => format!("Z:{length}"),
            Opcode::Values { value, length } => format!("v:{value},{length}"),
        });
        rest = &rest[bytes..];
    }
    Ok(Some(words.join(" ")))
}

/// The union of several HyperLogLogs, a byte for each register: for PFMERGE, PFCOUNT of several keys, PFDEBUG GETREG.
pub struct Union {
    registers: Box<[u8; REGISTER_COUNT]>,
    has_dense: bool,
}

impl Default for Union {
    fn default() -> Self {
        Self::new()
    }
}

impl Union {
    /// The union of nothing.
    pub fn new() -> Self {
        Self { registers: Box::new([0; REGISTER_COUNT]), has_dense: false }
    }

    /// Counts an element. O(1).
    pub fn add(&mut self, element: &[u8]) {
        let (index, rank) = index_and_rank(element);
        let register = &mut self.registers[index];
        *register = (*register).max(rank);
    }

    /// Takes in one more. O(registers).
    pub fn include(&mut self, string: &[u8]) -> Result<(), HyperLogLogError> {
        match encoding(string)? {
            Encoding::Dense => {
                self.has_dense = true;
                let groups = string[HEADER_BYTES..].chunks_exact(3);
                for (registers, group) in self.registers.chunks_exact_mut(4).zip(groups) {
                    for (register, value) in registers.iter_mut().zip(unpack(group)) {
                        *register = value.max(*register);
                    }
                }
                Ok(())
            }
            Encoding::Sparse => for_each_run(string, |first, length, value| {
                if value > 0 {
                    for register in &mut self.registers[first..first + length] {
                        *register = value.max(*register);
                    }
                }
            }),
        }
    }

    /// The value of each register.
    pub fn registers(&self) -> &[u8; REGISTER_COUNT] {
        &self.registers
    }

    /// Estimates the number of distinct elements.
    pub fn count(&self) -> u64 {
        let mut histogram = [0u32; REGISTER_VALUES];
        for &value in self.registers.iter() {
            histogram[usize::from(value)] += 1;
        }
        estimate(&histogram)
    }

    /// Raises the registers of `string` to the union's and marks its cached count as outdated.
    ///
    /// It becomes dense if one that was included is dense, or if it grows beyond `sparse_bytes_max`.
    pub fn write_to(&self, string: &mut Vec<u8>, sparse_bytes_max: usize) -> Result<(), HyperLogLogError> {
        encoding(string)?;
        if self.has_dense {
            make_dense(string)?;
        }
        for (index, &value) in self.registers.iter().enumerate() {
            if value > 0 {
                raise(string, index, value, sparse_bytes_max)?;
            }
        }
        mark_outdated(string);
        Ok(())
    }
}

/// Tries the encodings against each other and the estimate against the truth, for PFSELFTEST. Returns what went wrong.
pub fn self_test() -> Result<(), String> {
    const ELEMENTS: u64 = 100_000;
    let failed = |error: HyperLogLogError| format!("TESTFAILED {error}");
    let mut dense = create();
    make_dense(&mut dense).map_err(failed)?;
    let mut sparse = create();
    for element in 1..=ELEMENTS {
        let bytes = element.to_le_bytes();
        add(&mut dense, &bytes, 0).map_err(failed)?;
        add(&mut sparse, &bytes, DENSE_BYTES).map_err(failed)?;
        if !element.is_power_of_two() && element != ELEMENTS {
            continue;
        }
        let estimated = count(&dense).map_err(failed)?;
        if estimated != count(&sparse).map_err(failed)? {
            return Err(format!("TESTFAILED dense and sparse disagree after {element} elements"));
        }
        // Four standard errors of 1.04 / sqrt(registers), and some room for the smallest counts.
        let tolerance = element as f64 * 4.0 * 1.04 / (REGISTER_COUNT as f64).sqrt() + 2.0;
        if (estimated as f64 - element as f64).abs() > tolerance {
            return Err(format!("TESTFAILED too large an error: {estimated} for {element} elements"));
        }
    }
    Ok(())
}

fn mark_outdated(string: &mut [u8]) {
    string[HEADER_BYTES - 1] |= CACHE_OUTDATED_BIT;
}

/// Raises one register to `value`, in either encoding. Returns whether it was lower.
fn raise(
    string: &mut Vec<u8>,
    index: usize,
    value: u8,
    sparse_bytes_max: usize,
) -> Result<bool, HyperLogLogError> {
    if encoding(string)? == Encoding::Sparse {
        if let Some(is_changed) = raise_sparse(string, index, value, sparse_bytes_max)? {
            return Ok(is_changed);
        }
        make_dense(string)?;
    }
    Ok(raise_dense(string, index, value))
}

/// Raises a register of a dense string; whether it was lower.
fn raise_dense(string: &mut [u8], index: usize, value: u8) -> bool {
    let registers = &mut string[HEADER_BYTES..];
    let is_lower = dense_register(registers, index) < value;
    if is_lower {
        set_dense(registers, index, value);
    }
    is_lower
}

/// The four registers in three bytes.
fn unpack(group: &[u8]) -> [u8; 4] {
    let word = u32::from_le_bytes([group[0], group[1], group[2], 0]);
    [word, word >> 6, word >> 12, word >> 18].map(|bits| bits as u8 & 63)
}

fn dense_register(registers: &[u8], index: usize) -> u8 {
    let group = index / 4 * 3;
    unpack(&registers[group..group + 3])[index % 4]
}

fn set_dense(registers: &mut [u8], index: usize, value: u8) {
    let group = &mut registers[index / 4 * 3..][..3];
    let shift = index % 4 * 6;
    let word = u32::from_le_bytes([group[0], group[1], group[2], 0]);
    let word = word & !(63 << shift) | u32::from(value) << shift;
    group.copy_from_slice(&word.to_le_bytes()[..3]);
}

/// One instruction of the sparse encoding; `length` registers each.
#[derive(Clone, Copy)]
enum Opcode {
    Zeros(usize),
    Values { value: u8, length: usize },
}

impl Opcode {
    /// The opcode that `bytes` start with, and its size; `None` at the end.
    fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, HyperLogLogError> {
        Ok(match *bytes {
            [] => None,
            [byte, ..] if byte & 0x80 != 0 => {
                Some((Self::Values { value: (byte >> 2 & 31) + 1, length: usize::from(byte & 3) + 1 }, 1))
            }
            [byte, ..] if byte & 0x40 == 0 => Some((Self::Zeros(usize::from(byte) + 1), 1)),
            [high, low, ..] => Some((Self::Zeros((usize::from(high & 63) << 8 | usize::from(low)) + 1), 2)),
            [_] => return Err(HyperLogLogError::Corrupted),
        })
    }

    fn length(self) -> usize {
        match self {
            Self::Zeros(length) | Self::Values { length, .. } => length,
        }
    }

    /// The value of its registers.
    fn value(self) -> u8 {
        match self {
            Self::Zeros(_) => 0,
            Self::Values { value, .. } => value,
        }
    }

    /// Appends it in its shortest form. An opcode without registers writes nothing.
    fn write(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Zeros(0) | Self::Values { length: 0, .. } => {}
            Self::Zeros(length) if length <= ZERO_LENGTH_MAX => bytes.push((length - 1) as u8),
            Self::Zeros(length) => {
                bytes.extend_from_slice(&[0x40 | ((length - 1) >> 8) as u8, (length - 1) as u8]);
            }
            Self::Values { value, length } => bytes.push(Self::value_byte(value, length)),
        }
    }

    fn value_byte(value: u8, length: usize) -> u8 {
        0x80 | (value - 1) << 2 | (length - 1) as u8
    }

    /// The same kind of registers, but `length` of them.
    fn resized(self, length: usize) -> Self {
        match self {
            Self::Zeros(_) => Self::Zeros(length),
            Self::Values { value, .. } => Self::Values { value, length },
        }
    }
}

/// Calls `visit(first register, length, value)` for each opcode, after making sure that the run stays within the registers.
fn for_each_run(string: &[u8], mut visit: impl FnMut(usize, usize, u8)) -> Result<(), HyperLogLogError> {
    let mut rest = &string[HEADER_BYTES..];
    let mut index = 0;
    while let Some((opcode, bytes)) = Opcode::read(rest)? {
        if index + opcode.length() > REGISTER_COUNT {
            return Err(HyperLogLogError::Corrupted);
        }
        visit(index, opcode.length(), opcode.value());
        index += opcode.length();
        rest = &rest[bytes..];
    }
    if index == REGISTER_COUNT { Ok(()) } else { Err(HyperLogLogError::Corrupted) }
}

/// Raises one register of a sparse string. Returns whether it was lower, or `None` if the string must become dense first.
///
/// Which opcodes result is visible through GET, so this splits and merges exactly where Redis does.
fn raise_sparse(
    string: &mut Vec<u8>,
    index: usize,
    value: u8,
    sparse_bytes_max: usize,
) -> Result<Option<bool>, HyperLogLogError> {
    if value > SPARSE_VALUE_MAX {
        return Ok(None);
    }
    let mut at = HEADER_BYTES;
    let mut first = 0;
    let mut previous = HEADER_BYTES;
    let (opcode, bytes) = loop {
        let Some((opcode, bytes)) = Opcode::read(&string[at..])? else {
            return Err(HyperLogLogError::Corrupted);
        };
        if index < first + opcode.length() {
            break (opcode, bytes);
        }
        previous = at;
        at += bytes;
        first += opcode.length();
    };
    if opcode.value() >= value {
        return Ok(Some(false));
    }
    if opcode.length() == 1 && bytes == 1 {
        string[at] = Opcode::value_byte(value, 1);
    } else {
        let last = first + opcode.length() - 1;
        let mut replacement = Vec::with_capacity(5);
        opcode.resized(index - first).write(&mut replacement);
        Opcode::Values { value, length: 1 }.write(&mut replacement);
        opcode.resized(last - index).write(&mut replacement);
        if replacement.len() > bytes && string.len() + replacement.len() - bytes > sparse_bytes_max {
            return Ok(None);
        }
        string.splice(at..at + bytes, replacement);
    }
    merge_equal_values(string, previous);
    Ok(Some(true))
}

/// Joins neighbouring VAL opcodes of one value near a change, as far as they fit into one.
fn merge_equal_values(string: &mut Vec<u8>, start: usize) {
    /// The opcode before the change, the three that replaced one, and the one behind.
    const STEPS: usize = 5;
    let mut at = start;
    for _ in 0..STEPS {
        let Some(&byte) = string.get(at) else { return };
        if byte & 0x80 == 0 {
            at += if byte & 0x40 != 0 { 2 } else { 1 };
            continue;
        }
        if let Some(&next) = string.get(at + 1)
            && next & 0xfc == byte & 0xfc
        {
            let length = usize::from(byte & 3) + usize::from(next & 3) + 2;
            if length <= VALUE_LENGTH_MAX {
                string[at] = byte & 0xfc | (length - 1) as u8;
                string.remove(at + 1);
                continue;
            }
        }
        at += 1;
    }
}

/// The register of an element, and the value that it offers to it: 1 to 51.
fn index_and_rank(element: &[u8]) -> (usize, u8) {
    let hash = murmur_hash_64a(element, HASH_SEED);
    let index = hash as usize & (REGISTER_COUNT - 1);
    // The extra bit ends the run of zeros when the hash has none left.
    let rest = hash >> INDEX_BITS | 1 << RANK_BITS;
    (index, rest.trailing_zeros() as u8 + 1)
}

/// Austin Appleby's MurmurHash64A, little-endian on every machine.
fn murmur_hash_64a(bytes: &[u8], seed: u64) -> u64 {
    const MULTIPLIER: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
        word = word.wrapping_mul(MULTIPLIER);
        word ^= word >> SHIFT;
        hash = (hash ^ word.wrapping_mul(MULTIPLIER)).wrapping_mul(MULTIPLIER);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let word = rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        hash = (hash ^ word).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ hash >> SHIFT).wrapping_mul(MULTIPLIER);
    hash ^ hash >> SHIFT
}

/// Ertl's estimator, from the number of registers of each value.
fn estimate(histogram: &[u32; REGISTER_VALUES]) -> u64 {
    let registers = REGISTER_COUNT as f64;
    let saturated = f64::from(histogram[RANK_BITS as usize + 1]);
    let mut sum = registers * tau((registers - saturated) / registers);
    for value in (1..=RANK_BITS as usize).rev() {
        sum = (sum + f64::from(histogram[value])) * 0.5;
    }
    sum += registers * sigma(f64::from(histogram[0]) / registers);
    // An infinite sum means nothing was counted; at zero, the conversion saturates, below the cache's top bit.
    (ALPHA_INFINITY * registers * registers / sum).round() as i64 as u64
}

/// The correction for registers that are still zero; `share` is theirs.
fn sigma(share: f64) -> f64 {
    if share == 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut sum) = (share, 1.0, share);
    loop {
        power *= power;
        let before = sum;
        sum += power * weight;
        weight += weight;
        if before == sum {
            return sum;
        }
    }
}

/// The correction for registers at their highest value; `share` is that of the others.
fn tau(share: f64) -> f64 {
    if share == 0.0 || share == 1.0 {
        return 0.0;
    }
    let (mut root, mut weight, mut sum) = (share, 1.0, 1.0 - share);
    loop {
        root = root.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - root) * (1.0 - root) * weight;
        if before == sum {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPARSE_BYTES_MAX: usize = 3000;

    fn with_elements(elements: std::ops::Range<u32>, sparse_bytes_max: usize) -> Vec<u8> {
        let mut string = create();
        for element in elements {
            add(&mut string, element.to_string().as_bytes(), sparse_bytes_max).unwrap();
        }
        string
    }

    fn registers(string: &[u8]) -> Vec<u8> {
        let mut union = Union::new();
        union.include(string).unwrap();
        union.registers().to_vec()
    }

    #[test]
    fn bytes_are_those_of_redis() {
        let mut string = create();
        assert_eq!(string, b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff");
        assert_eq!(add(&mut string, b"a", SPARSE_BYTES_MAX), Ok(true));
        assert_eq!(string, b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80q\xa6\x84NW");
        assert_eq!(decode(&string).unwrap().unwrap(), "Z:12711 v:2,1 Z:3672");
        assert_eq!(add(&mut string, b"a", SPARSE_BYTES_MAX), Ok(false));
        assert_eq!(cached_count(&string), Ok(None));
        store_count(&mut string, 1).unwrap();
        assert_eq!(string, b"HYLL\x01\0\0\0\x01\0\0\0\0\0\0\0q\xa6\x84NW");
        assert_eq!(cached_count(&string), Ok(Some(1)));
    }

    #[test]
    fn other_strings_are_refused() {
        for string in [b"abc".to_vec(), create()[..15].to_vec(), vec![0; DENSE_BYTES], {
            let mut string = create();
            string[ENCODING_AT] = 2;
            string
        }] {
            assert_eq!(encoding(&string), Err(HyperLogLogError::NotHyperLogLog), "{string:?}");
        }
        let mut short_dense = with_elements(0..10, 0);
        short_dense.pop();
        assert_eq!(encoding(&short_dense), Err(HyperLogLogError::NotHyperLogLog));
    }

    #[test]
    fn registers_that_do_not_add_up_are_refused() {
        let header = create()[..HEADER_BYTES].to_vec();
        for opcodes in [
            b"".as_slice(),
            b"\x7f",
            b"\x7f\xfe",
            b"\x7f\xff\x80",
            b"\x7f\xff\x00",
            b"\x40",
            b"\x7f\xff\x7f\xff",
        ] {
            let string = [&header, opcodes].concat();
            assert_eq!(count(&string), Err(HyperLogLogError::Corrupted), "{opcodes:?}");
            assert_eq!(Union::new().include(&string), Err(HyperLogLogError::Corrupted), "{opcodes:?}");
            assert_eq!(make_dense(&mut string.clone()), Err(HyperLogLogError::Corrupted), "{opcodes:?}");
        }
    }

    #[test]
    fn encodings_hold_the_same_registers() {
        let sparse = with_elements(0..1000, usize::MAX);
        let dense = with_elements(0..1000, 0);
        assert_eq!(encoding(&sparse), Ok(Encoding::Sparse));
        assert_eq!(encoding(&dense), Ok(Encoding::Dense));
        assert_eq!(registers(&sparse), registers(&dense));
        assert_eq!(count(&sparse), count(&dense));
        let mut promoted = sparse.clone();
        assert_eq!(make_dense(&mut promoted), Ok(true));
        assert_eq!(make_dense(&mut promoted), Ok(false));
        assert_eq!(promoted, dense);
    }

    /// An element whose register is beyond the last opcode is refused, one before that is not: each alone, as in Redis.
    #[test]
    fn what_adds_up_to_too_few_registers_is_refused_where_it_ends() {
        let mut string = with_elements(0..3, usize::MAX);
        let end = string.len();
        string.truncate(end - 2);
        let before = string.clone();
        let outcomes: Vec<_> =
            (0..100u32).map(|element| add(&mut string, element.to_string().as_bytes(), usize::MAX)).collect();
        assert!(outcomes.contains(&Err(HyperLogLogError::Corrupted)) && outcomes.contains(&Ok(true)));
        assert!(string.len() > before.len());
    }

    #[test]
    fn sparse_never_outgrows_its_limit() {
        let mut string = create();
        for element in 0u32..3000 {
            add(&mut string, &element.to_le_bytes(), SPARSE_BYTES_MAX).unwrap();
            match encoding(&string).unwrap() {
                Encoding::Sparse => assert!(string.len() <= SPARSE_BYTES_MAX),
                Encoding::Dense => assert_eq!(string.len(), DENSE_BYTES),
            }
        }
        assert_eq!(encoding(&string), Ok(Encoding::Dense));
    }

    #[test]
    fn a_union_counts_each_element_once() {
        let (left, right) = (with_elements(0..600, SPARSE_BYTES_MAX), with_elements(300..900, 0));
        let both = with_elements(0..900, SPARSE_BYTES_MAX);
        let mut union = Union::new();
        union.include(&left).unwrap();
        union.include(&right).unwrap();
        assert_eq!(Ok(union.count()), count(&both));
        let mut merged = create();
        union.write_to(&mut merged, SPARSE_BYTES_MAX).unwrap();
        assert_eq!(encoding(&merged), Ok(Encoding::Dense));
        assert_eq!(registers(&merged), registers(&both));
    }

    #[test]
    fn estimates_are_close() {
        assert_eq!(count(&create()), Ok(0));
        assert_eq!(self_test(), Ok(()));
    }

    #[test]
    fn saturated_registers_count_as_much_as_they_can() {
        let mut string = create();
        make_dense(&mut string).unwrap();
        string[HEADER_BYTES..].fill(0xff);
        assert!(count(&string).is_ok());
        for index in 0..REGISTER_COUNT {
            set_dense(&mut string[HEADER_BYTES..], index, 51);
        }
        assert_eq!(count(&string), Ok(i64::MAX as u64));
    }

    #[test]
    fn damaged_bytes_never_panic() {
        let mut seed = 42u64;
        let mut random = move |below: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % below
        };
        let originals =
            [create(), with_elements(0..50, SPARSE_BYTES_MAX), with_elements(0..900, SPARSE_BYTES_MAX)];
        for round in 0..5_000 {
            let mut string = originals[round % originals.len()].clone();
            for _ in 0..=random(4) {
                let at = random(string.len());
                match random(4) {
                    0 => string.truncate(at.max(1)),
                    1 => string.insert(at, random(256) as u8),
                    _ => string[at] = random(256) as u8,
                }
            }
            let _ = count(&string);
            let _ = decode(&string);
            let mut union = Union::new();
            if union.include(&string).is_ok() {
                assert!(union.write_to(&mut string.clone(), 200).is_ok());
            }
            for element in 0..20u32 {
                let _ = add(&mut string, &element.to_le_bytes(), random(400));
            }
            let _ = make_dense(&mut string);
        }
    }
}
