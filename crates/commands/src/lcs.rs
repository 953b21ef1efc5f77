//! The longest common subsequence of two byte strings, for LCS.
//!
//! Redis fills a table of 32-bit lengths, and refuses inputs whose table would exceed proto-max-bulk-len. Here a row of the
//! table is a bit vector that tells where the length grows from one column to the next, and a whole row follows from the one above
//! by an addition and a few logic operations on words (Crochemore et al., "A fast and practical bit-vector algorithm for the
//! longest common subsequence problem", 2001). That takes a 64th of the time and at most a 16th of the memory. The refusal
//! stays where Redis has it, because it is also what bounds the time; see [`check_size`].
//!
//! Of several longest subsequences, the one that Redis shows is found: its way back through the table goes up only where the
//! left neighbour is shorter, and that is just what a row's bits say.

use std::fmt;

/// Two equal ranges, first and last index each, as LCS IDX replies them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// First index in the left string.
    pub left_first: usize,
    /// First index in the right string.
    pub right_first: usize,
    /// The number of equal bytes, at least 1.
    pub length: usize,
}

impl Match {
    /// Last index in the left string.
    pub fn left_last(&self) -> usize {
        self.left_first + self.length - 1
    }

    /// Last index in the right string.
    pub fn right_last(&self) -> usize {
        self.right_first + self.length - 1
    }
}

/// The strings are too long for the table that Redis would need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
    }
}

impl std::error::Error for TooLong {}

/// Refuses lengths whose table of 32-bit numbers would exceed `table_bytes_max` (proto-max-bulk-len).
pub fn check_size(left_bytes: usize, right_bytes: usize, table_bytes_max: u64) -> Result<(), TooLong> {
    let cells = (left_bytes as u128 + 1).saturating_mul(right_bytes as u128 + 1);
    if cells.saturating_mul(4) > u128::from(table_bytes_max) { Err(TooLong) } else { Ok(()) }
}

/// The length of the longest common subsequence. O(left * right / 64) time, O(256 * right) bits.
pub fn length(left: &[u8], right: &[u8]) -> usize {
    let mut row = Row::new(left, right);
    for &byte in left {
        row.advance(byte);
    }
    row.length()
}

/// The equal ranges that make up the longest common subsequence, from the end of the strings to their start.
///
/// O(left * right / 64) time, a bit for each pair of bytes. Their lengths' sum is the subsequence's length.
pub fn matches(left: &[u8], right: &[u8]) -> Vec<Match> {
    if left.is_empty() || right.is_empty() {
        return Vec::new();
    }
    let mut row = Row::new(left, right);
    let mut table = BitTable::with_capacity(left.len() * right.len());
    for &byte in left {
        row.advance(byte);
        row.store(&mut table);
    }
    let (mut row_end, mut column_end) = (left.len(), right.len());
    let mut matches = Vec::new();
    let mut run = 0;
    while row_end > 0 && column_end > 0 {
        if left[row_end - 1] == right[column_end - 1] {
            run += 1;
            row_end -= 1;
            column_end -= 1;
            continue;
        }
        if run > 0 {
            matches.push(Match { left_first: row_end, right_first: column_end, length: run });
            run = 0;
        }
        if table.is_clear((row_end - 1) * right.len() + column_end - 1) {
            row_end -= 1;
        } else {
            column_end -= 1;
        }
    }
    if run > 0 {
        matches.push(Match { left_first: row_end, right_first: column_end, length: run });
    }
    matches
}

/// The longest common subsequence itself, from what [`matches`] found in the left string.
pub fn subsequence(left: &[u8], matches: &[Match]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(matches.iter().map(|range| range.length).sum());
    for range in matches.iter().rev() {
        bytes.extend_from_slice(&left[range.left_first..=range.left_last()]);
    }
    bytes
}

/// A row of the table: bit `n` is clear where the length grows from column `n` to the next.
struct Row {
    words: Vec<u64>,
    columns: usize,
    /// For each byte value in the left string, where the right string has it: which of the vectors in `places`.
    vectors: [Option<u8>; 256],
    places: Vec<u64>,
}

impl Row {
    /// The row above the first byte of `left`.
    fn new(left: &[u8], right: &[u8]) -> Self {
        let word_count = right.len().div_ceil(64);
        let mut row = Self {
            words: vec![u64::MAX; word_count],
            columns: right.len(),
            vectors: [None; 256],
            places: Vec::new(),
        };
        let mut vector_count = 0usize;
        for &byte in left {
            let vector = &mut row.vectors[usize::from(byte)];
            if vector.is_none() {
                *vector = Some(vector_count as u8);
                vector_count += 1;
            }
        }
        row.places.resize(vector_count * word_count, 0);
        for (column, &byte) in right.iter().enumerate() {
            if let Some(vector) = row.vectors[usize::from(byte)] {
                row.places[usize::from(vector) * word_count + column / 64] |= 1 << (column % 64);
            }
        }
        row
    }

    /// Goes on to the next row, that of `byte`, which is one of the left string's.
    fn advance(&mut self, byte: u8) {
        let vector = self.vectors[usize::from(byte)].expect("each byte of the left string has a vector");
        let places = &self.places[usize::from(vector) * self.words.len()..];
        let mut carry = false;
        for (word, &places) in self.words.iter_mut().zip(places) {
            let (sum, first) = word.overflowing_add(*word & places);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            carry = first || second;
            *word = sum | (*word & !places);
        }
    }

    fn store(&self, table: &mut BitTable) {
        let mut columns = self.columns;
        for &word in &self.words {
            table.push(word, columns.min(64));
            columns = columns.saturating_sub(64);
        }
    }

    /// The length in the last column.
    fn length(&self) -> usize {
        let mut columns = self.columns;
        let mut length = 0;
        for &word in &self.words {
            let unused = 64 - columns.min(64);
            length += (!word << unused).count_ones() as usize;
            columns = columns.saturating_sub(64);
        }
        length
    }
}

/// The rows' bits, one row right behind the other, so that short rows waste nothing.
struct BitTable {
    words: Vec<u64>,
    bits: usize,
}

impl BitTable {
    fn with_capacity(bits: usize) -> Self {
        Self { words: Vec::with_capacity(bits.div_ceil(64)), bits: 0 }
    }

    /// Appends the lowest `count` bits, 1 to 64.
    fn push(&mut self, word: u64, count: usize) {
        let word = word & (u64::MAX >> (64 - count));
        let used = self.bits % 64;
        if used == 0 {
            self.words.push(word);
        } else {
            let place = self.words.len() - 1;
            self.words[place] |= word << used;
            if used + count > 64 {
                self.words.push(word >> (64 - used));
            }
        }
        self.bits += count;
    }

    fn is_clear(&self, place: usize) -> bool {
        self.words[place / 64] >> (place % 64) & 1 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ranges by the full table of lengths.
    fn model(left: &[u8], right: &[u8]) -> Vec<Match> {
        let mut table = vec![vec![0usize; right.len() + 1]; left.len() + 1];
        for (row, &byte) in left.iter().enumerate() {
            for (column, &other) in right.iter().enumerate() {
                table[row + 1][column + 1] = if byte == other {
                    table[row][column] + 1
                } else {
                    table[row][column + 1].max(table[row + 1][column])
                };
            }
        }
        let (mut row, mut column) = (left.len(), right.len());
        let mut matches: Vec<Match> = Vec::new();
        while row > 0 && column > 0 {
            if left[row - 1] == right[column - 1] {
                (row, column) = (row - 1, column - 1);
                match matches.last_mut() {
                    Some(last) if last.left_first == row + 1 && last.right_first == column + 1 => {
                        *last = Match { left_first: row, right_first: column, length: last.length + 1 };
                    }
                    _ => matches.push(Match { left_first: row, right_first: column, length: 1 }),
                }
            } else if table[row - 1][column] > table[row][column - 1] {
                row -= 1;
            } else {
                column -= 1;
            }
        }
        matches
    }

    #[track_caller]
    fn check(left: &str, right: &str, expected: &str) {
        let matches = matches(left.as_bytes(), right.as_bytes());
        assert_eq!(String::from_utf8(subsequence(left.as_bytes(), &matches)).unwrap(), expected);
        assert_eq!(length(left.as_bytes(), right.as_bytes()), expected.len());
    }

    #[test]
    fn known_subsequences() {
        check("ohmytext", "mynewtext", "mytext");
        check("", "abc", "");
        check("abc", "", "");
        check("abc", "xyz", "");
        check("same", "same", "same");
        let ranges = matches(b"ohmytext", b"mynewtext");
        let ranges: Vec<_> = ranges
            .iter()
            .map(|range| (range.left_first, range.left_last(), range.right_first, range.right_last()))
            .collect();
        assert_eq!(ranges, [(4, 7, 5, 8), (2, 3, 0, 1)]);
    }

    #[test]
    fn ranges_are_those_of_the_full_table() {
        let mut seed = 3u64;
        let mut random = move |below: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % below
        };
        for round in 0..3_000 {
            let length_max = [4, 20, 70, 200][round % 4];
            let letters = 1 + random(if round % 3 == 0 { 200 } else { 4 });
            let mut text = || {
                let length = random(length_max);
                (0..length).map(|_| random(letters) as u8).collect::<Vec<u8>>()
            };
            let (left, right) = (text(), text());
            let found = matches(&left, &right);
            assert_eq!(found, model(&left, &right), "{left:?} {right:?}");
            assert_eq!(length(&left, &right), subsequence(&left, &found).len(), "{left:?} {right:?}");
        }
    }

    #[test]
    fn sizes_are_refused_where_redis_refuses_them() {
        const BULK_BYTES_MAX: u64 = 512 * 1024 * 1024;
        assert_eq!(check_size(11_584, 11_584, BULK_BYTES_MAX), Ok(()));
        assert_eq!(check_size(11_585, 11_585, BULK_BYTES_MAX), Err(TooLong));
        assert_eq!(check_size(134_217_727, 1, BULK_BYTES_MAX), Err(TooLong));
        assert_eq!(check_size(usize::MAX, usize::MAX, BULK_BYTES_MAX), Err(TooLong));
    }
}
