//! The LZF compression format, as RDB strings have it.
//!
//! ```text
//! 000nnnnn                        n + 1 literal bytes follow
//! nnnooooo oooooooo               copy n + 2 bytes from o + 1 bytes before, n from 1 to 6
//! 111ooooo nnnnnnnn oooooooo      the same with n + 9 bytes
//! ```
//!
//! The compressor is greedy: it looks up the last place where the next three bytes stood, in a table indexed by their hash. It
//! finds about what Redis's finds, though not the same bytes; every LZF reader reads both.

const LITERAL_BYTES_MAX: usize = 32;
const DISTANCE_MAX: usize = 1 << 13;
const MATCH_BYTES_MIN: usize = 3;
/// Copies of fewer bytes have a short form.
const LONG_MATCH_BYTES: usize = 9;
const MATCH_BYTES_MAX: usize = LONG_MATCH_BYTES + 255;
/// The table has about two slots for each byte, within these bounds.
const TABLE_BITS_MIN: u32 = 6;
const TABLE_BITS_MAX: u32 = 13;

/// Compresses into at most `output_bytes_max` bytes; `None` if that is too little. O(length).
pub(super) fn compress(input: &[u8], output_bytes_max: usize) -> Option<Vec<u8>> {
    // Places are kept as 32-bit numbers, so longer strings stay as they are.
    if u32::try_from(input.len()).is_err() {
        return None;
    }
    let mut output = Vec::with_capacity(output_bytes_max.min(input.len()));
    // Place + 1 of the last three bytes with that hash; 0: none.
    let table_bits = (input.len().max(1).ilog2() + 1).clamp(TABLE_BITS_MIN, TABLE_BITS_MAX);
    let mut table = vec![0u32; 1 << table_bits];
    let mut literal_start = 0;
    let mut at = 0;
    while at + MATCH_BYTES_MIN <= input.len() {
        let slot = &mut table[hash(&input[at..], table_bits)];
        let candidate = std::mem::replace(slot, at as u32 + 1) as usize;
        let length = match candidate.checked_sub(1) {
            Some(place) if at - place <= DISTANCE_MAX => common_length(&input[place..], &input[at..]),
            _ => 0,
        };
        if length < MATCH_BYTES_MIN {
            at += 1;
            continue;
        }
        write_literals(&mut output, &input[literal_start..at]);
        write_match(&mut output, at - candidate, length);
        if output.len() > output_bytes_max {
            return None;
        }
        for place in at + 1..(at + length).min(input.len() - MATCH_BYTES_MIN + 1) {
            table[hash(&input[place..], table_bits)] = place as u32 + 1;
        }
        at += length;
        literal_start = at;
    }
    write_literals(&mut output, &input[literal_start..]);
    (output.len() <= output_bytes_max).then_some(output)
}

/// Expands to exactly `length` bytes; `None` if the input is damaged or expands to anything else.
///
/// Allocates no more than the input can expand to, whatever `length` claims.
pub(super) fn decompress(input: &[u8], length: usize) -> Option<Vec<u8>> {
    // Three bytes expand to the most.
    if length > input.len().checked_mul(MATCH_BYTES_MAX)? / 3 + LITERAL_BYTES_MAX {
        return None;
    }
    let mut output = Vec::with_capacity(length);
    let mut rest = input;
    while let Some((&control, after)) = rest.split_first() {
        rest = after;
        if usize::from(control) < LITERAL_BYTES_MAX {
            let (literals, after) = rest.split_at_checked(usize::from(control) + 1)?;
            if output.len() + literals.len() > length {
                return None;
            }
            output.extend_from_slice(literals);
            rest = after;
            continue;
        }
        let mut count = usize::from(control >> 5) + 2;
        if count == LONG_MATCH_BYTES {
            let (&more, after) = rest.split_first()?;
            count += usize::from(more);
            rest = after;
        }
        let (&low, after) = rest.split_first()?;
        rest = after;
        let distance = (usize::from(control & 31) << 8 | usize::from(low)) + 1;
        let start = output.len().checked_sub(distance)?;
        if output.len() + count > length {
            return None;
        }
        copy_within(&mut output, start, count);
    }
    (output.len() == length).then_some(output)
}

/// Appends `count` bytes from `start` on, where the copy may run into what it appends.
fn copy_within(output: &mut Vec<u8>, start: usize, count: usize) {
    let mut left = count;
    while left > 0 {
        // Each round doubles what is there to copy.
        let available = (output.len() - start).min(left);
        output.extend_from_within(start..start + available);
        left -= available;
    }
}

fn hash(bytes: &[u8], table_bits: u32) -> usize {
    let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
    (word.wrapping_mul(0x9e37_79b1) >> (32 - table_bits)) as usize
}

fn common_length(earlier: &[u8], later: &[u8]) -> usize {
    let later = &later[..later.len().min(MATCH_BYTES_MAX)];
    earlier.iter().zip(later).take_while(|(left, right)| left == right).count()
}

fn write_literals(output: &mut Vec<u8>, literals: &[u8]) {
    for run in literals.chunks(LITERAL_BYTES_MAX) {
        output.push((run.len() - 1) as u8);
        output.extend_from_slice(run);
    }
}

/// `distance` counts from 0 for the byte right before.
fn write_match(output: &mut Vec<u8>, distance: usize, length: usize) {
    let high = (distance >> 8) as u8;
    if length < LONG_MATCH_BYTES {
        output.push((length as u8 - 2) << 5 | high);
    } else {
        output.extend_from_slice(&[7 << 5 | high, (length - LONG_MATCH_BYTES) as u8]);
    }
    output.push(distance as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_round_trip(input: &[u8]) {
        let Some(compressed) = compress(input, input.len().saturating_mul(2) + 8) else {
            panic!("{} bytes did not fit", input.len());
        };
        assert_eq!(decompress(&compressed, input.len()).as_deref(), Some(input));
        let exact = compressed.len();
        assert!(compress(input, exact).is_some());
        assert!(exact == 0 || compress(input, exact - 1).is_none());
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let mut seed = 5u64;
        let mut random = move |below: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % below
        };
        for input in [b"".as_slice(), b"a", b"ab", b"abc", b"aaaa", b"abcabcabcabcabcabc"] {
            check_round_trip(input);
        }
        for length in [263, 264, 265, 266, 267, 528, 529, 8191, 8192, 8193, 8194, 8195, 8196, 100_000] {
            check_round_trip(&vec![b'x'; length]);
            let half: Vec<u8> = (0..length).map(|_| random(256) as u8).collect();
            check_round_trip(&[half.clone(), half].concat());
            let letters: Vec<u8> = (0..length).map(|_| b'a' + random(3) as u8).collect();
            check_round_trip(&letters);
        }
    }

    #[test]
    fn repetition_is_found() {
        let text = b"the quick brown fox jumps over the lazy dog; ".repeat(20);
        assert!(compress(&text, text.len()).unwrap().len() < text.len() / 8);
        assert!(compress(&[7; 1000], 1000).unwrap().len() < 20);
    }

    #[test]
    fn what_redis_compressed_is_read() {
        assert_eq!(decompress(b"\x01aa\xe0\x57\x00\x01aa", 100).unwrap(), vec![b'a'; 100]);
    }

    #[test]
    fn damage_is_noticed_and_never_panics() {
        assert_eq!(decompress(b"\x20\x00", 3), None);
        assert_eq!(decompress(b"\x05abc", 6), None);
        assert_eq!(decompress(b"\x00a\xe0", 100), None);
        assert_eq!(decompress(b"\x00a\xe0\xff", 300), None);
        assert_eq!(decompress(b"\x00a", usize::MAX), None);
        assert_eq!(decompress(b"\x02abc", 2), None);
        assert_eq!(decompress(b"\x02abc", 4), None);
        let original = b"abcabcabcabcabc-abcabcabc-0123456789".repeat(5);
        let compressed = compress(&original, 1000).unwrap();
        for place in 0..compressed.len() {
            for flip in [1, 0x20, 0x80, 0xff] {
                let mut damaged = compressed.clone();
                damaged[place] ^= flip;
                if let Some(output) = decompress(&damaged, original.len()) {
                    assert_eq!(output.len(), original.len());
                }
            }
            assert_eq!(decompress(&compressed[..place], original.len()), None);
        }
    }
}
