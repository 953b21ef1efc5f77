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
//!
//! What makes it fast: the table is the thread's and is not cleared between strings (see [`Places`]), equal bytes are counted
//! eight at a time, and of a match only the last places go into the table. Both directions copy pieces of a fixed size, which
//! are moves in registers, wherever there is room for more than is wanted.

use std::cell::RefCell;

const LITERAL_BYTES_MAX: usize = 32;
const DISTANCE_MAX: usize = 1 << 13;
const MATCH_BYTES_MIN: usize = 3;
/// Copies of fewer bytes have a short form.
const LONG_MATCH_BYTES: usize = 9;
const MATCH_BYTES_MAX: usize = LONG_MATCH_BYTES + 255;
const TABLE_BITS: u32 = 16;
/// Bytes that are compared, and copied within the output, at once.
const STEP_BYTES: usize = 8;
/// Of a match, how many of the last places are remembered.
const REMEMBERED: usize = 2;

/// Where the three bytes with a hash stood last.
///
/// Places are counted on from string to string, with a gap of more than the longest distance, so what earlier strings have left
/// is too far away to be a match, and a string of thirty bytes need not wait for a table to be cleared.
struct Places {
    last: Box<Table>,
    /// The place of the next string's first byte.
    next: u32,
}

/// Too far from 0, which stands for no place.
const FIRST_PLACE: u32 = DISTANCE_MAX as u32 + 1;
const INPUT_BYTES_MAX: usize = (u32::MAX - 2 * FIRST_PLACE) as usize;

thread_local! {
    static PLACES: RefCell<Places> = RefCell::new(Places::new());
}

impl Places {
    fn new() -> Self {
        Self { last: Box::new([0; 1 << TABLE_BITS]), next: FIRST_PLACE }
    }

    /// The place of the first byte of a string of this many bytes, no more than [`INPUT_BYTES_MAX`].
    fn begin(&mut self, bytes: u32) -> u32 {
        let after = |begin: u32| begin.checked_add(bytes)?.checked_add(FIRST_PLACE);
        if after(self.next).is_none() {
            self.last.fill(0);
            self.next = FIRST_PLACE;
        }
        let begin = self.next;
        self.next = after(begin).expect("the longest string has room behind the first place");
        begin
    }
}

type Table = [u32; 1 << TABLE_BITS];

/// Where the first three bytes of the word stood last; from now on that is `place`.
#[inline]
fn replace(last: &mut Table, word: u32, place: u32) -> u32 {
    let hash = (word << 8).wrapping_mul(0x9e37_79b1) >> (32 - TABLE_BITS);
    std::mem::replace(&mut last[hash as usize], place)
}

/// Compresses into at most `output_bytes_max` bytes; `None` if that is too little. O(length).
pub(super) fn compress(input: &[u8], output_bytes_max: usize) -> Option<Vec<u8>> {
    // Places are 32-bit numbers, so longer strings stay as they are.
    if input.len() > INPUT_BYTES_MAX {
        return None;
    }
    PLACES.with_borrow_mut(|places| compress_with(places, input, output_bytes_max))
}

fn compress_with(places: &mut Places, input: &[u8], output_bytes_max: usize) -> Option<Vec<u8>> {
    let first = places.begin(input.len() as u32);
    let last = &mut *places.last;
    // All of the output is there from the start, so that pieces can be copied that are longer than wanted.
    let output_bytes_max = output_bytes_max.min(input.len() + input.len().div_ceil(LITERAL_BYTES_MAX));
    let mut output = vec![0; output_bytes_max];
    let room = output.as_mut_slice();
    let mut length = 0;
    let mut literal_start = 0;
    let mut at = 0;
    while let Some(word) = word_at(input, at) {
        let place = first + at as u32;
        let distance = place.wrapping_sub(replace(last, word, place)) as usize;
        // One branch for both conditions, which is foreseeable: half of the places in the table are near, at random.
        let is_far = distance > DISTANCE_MAX;
        let earlier = word_at(input, if is_far { at } else { at - distance })?;
        let difference = earlier ^ word;
        if u32::from(is_far) | difference << 8 != 0 {
            at += 1;
            continue;
        }
        // The most frequent length is guessed by the processor, which goes on before it knows.
        let bytes = if difference != 0 { MATCH_BYTES_MIN } else { common_length(input, at - distance, at) };
        length += write_literals(room.get_mut(length..)?, &input[literal_start..], at - literal_start)?;
        length += write_match(room.get_mut(length..)?, distance - 1, bytes)?;
        at += bytes;
        literal_start = at;
        for before in (1..=REMEMBERED).rev() {
            if let Some(word) = word_at(input, at - before) {
                replace(last, word, first + (at - before) as u32);
            }
        }
    }
    length += write_literals(room.get_mut(length..)?, &input[literal_start..], input.len() - literal_start)?;
    output.truncate(length);
    Some(output)
}

/// Three bytes that are looked up, in the lower bits, and the next one, which is not looked at; `None` where so many are not
/// left. A read of four is one instruction.
#[inline]
fn word_at(input: &[u8], at: usize) -> Option<u32> {
    input.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

/// How many bytes from `later` on are those from `earlier` on, of which the first three are known to be.
#[inline]
fn common_length(input: &[u8], earlier: usize, later: usize) -> usize {
    let later = &input[later..];
    let later = &later[..later.len().min(MATCH_BYTES_MAX)];
    let earlier = &input[earlier..][..later.len()];
    let mut length = MATCH_BYTES_MIN;
    while let (Some(left), Some(right)) = (step_at(earlier, length), step_at(later, length)) {
        let difference = u64::from_le_bytes(left) ^ u64::from_le_bytes(right);
        if difference != 0 {
            return length + difference.trailing_zeros() as usize / 8;
        }
        length += STEP_BYTES;
    }
    let rest = earlier[length..].iter().zip(&later[length..]);
    length + rest.take_while(|(left, right)| left == right).count()
}

#[inline]
fn step_at(bytes: &[u8], at: usize) -> Option<[u8; STEP_BYTES]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Writes the first `count` bytes of `literals`; how many bytes that took, `None` if there is no room.
#[inline]
fn write_literals(room: &mut [u8], literals: &[u8], count: usize) -> Option<usize> {
    // Without a branch on whether there are any, which nobody could foresee.
    if count <= LITERAL_BYTES_MAX
        && let (Some((control, room)), Some(literals)) = (room.split_first_mut(), literals.first_chunk())
        && let Some(run) = room.first_chunk_mut::<LITERAL_BYTES_MAX>()
    {
        *control = (count as u8).wrapping_sub(1);
        *run = *literals;
        return Some(count + usize::from(count > 0));
    }
    let mut done = 0;
    let mut length = 0;
    while done < count {
        let run = (count - done).min(LITERAL_BYTES_MAX);
        let (control, room) = room.get_mut(length..)?.split_first_mut()?;
        *control = (run - 1) as u8;
        copy_literals(room, &literals[done..], run)?;
        length += 1 + run;
        done += run;
    }
    Some(length)
}

/// Writes a match, of which `distance` counts from 0 for the byte right before; how many bytes that took.
#[inline]
fn write_match(room: &mut [u8], distance: usize, length: usize) -> Option<usize> {
    let (high, low) = ((distance >> 8) as u8, distance as u8);
    if length < LONG_MATCH_BYTES {
        *room.first_chunk_mut()? = [(length as u8 - 2) << 5 | high, low];
        return Some(2);
    }
    *room.first_chunk_mut()? = [7 << 5 | high, (length - LONG_MATCH_BYTES) as u8, low];
    Some(3)
}

/// Copies `count` bytes, no more than [`LITERAL_BYTES_MAX`], to where more may be overwritten; `None` if there are not so many
/// on either side.
#[inline]
fn copy_literals(to: &mut [u8], from: &[u8], count: usize) -> Option<()> {
    if let (Some(to), Some(from)) =
        (to.first_chunk_mut::<LITERAL_BYTES_MAX>(), from.first_chunk::<LITERAL_BYTES_MAX>())
    {
        *to = *from;
    } else {
        to.get_mut(..count)?.copy_from_slice(from.get(..count)?);
    }
    Some(())
}

/// Expands to exactly `length` bytes; `None` if the input is damaged or expands to anything else.
///
/// Allocates no more than the input can expand to, whatever `length` claims.
pub(super) fn decompress(input: &[u8], length: usize) -> Option<Vec<u8>> {
    // Three bytes expand to the most.
    if length > input.len().checked_mul(MATCH_BYTES_MAX)? / 3 + LITERAL_BYTES_MAX {
        return None;
    }
    let mut output = vec![0; length];
    let mut at = 0;
    let mut rest = input;
    while let Some((&control, after)) = rest.split_first() {
        rest = after;
        if usize::from(control) < LITERAL_BYTES_MAX {
            let count = usize::from(control) + 1;
            let room = output.get_mut(at..)?;
            if room.len() < count {
                return None;
            }
            copy_literals(room, rest, count)?;
            rest = rest.get(count..)?;
            at += count;
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
        if distance > at || count > length - at {
            return None;
        }
        copy_within(&mut output, at, distance, count);
        at += count;
    }
    (at == length).then_some(output)
}

/// Copies `count` bytes from `distance` before `at` to there, where the copy may run into what it writes, and may write more as
/// long as there is room.
#[inline]
fn copy_within(output: &mut [u8], at: usize, distance: usize, count: usize) {
    let (mut at, end, start) = (at, at + count, at - distance);
    // Near copies repeat a few bytes; each round doubles what is there to copy.
    while at - start < STEP_BYTES && at < end {
        let available = (at - start).min(end - at);
        output.copy_within(start..start + available, at);
        at += available;
    }
    let mut from = start;
    while at < end {
        let Some(room) = output.get_mut(at..).and_then(|room| room.first_chunk_mut()) else { break };
        let _: &mut [u8; STEP_BYTES] = room;
        let Some(step) = step_at(output, from) else { break };
        output[at..at + STEP_BYTES].copy_from_slice(&step);
        at += STEP_BYTES;
        from += STEP_BYTES;
    }
    while at < end {
        output[at] = output[from];
        at += 1;
        from += 1;
    }
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

    fn numbers(mut seed: u64) -> impl FnMut(u64) -> u64 {
        move |below| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % below
        }
    }

    /// Pieces of random bytes, of few letters, of one byte, and of what stood before at any distance.
    fn mixture(random: &mut impl FnMut(u64) -> u64, bytes: usize) -> Vec<u8> {
        let mut text: Vec<u8> = Vec::new();
        while text.len() < bytes {
            let scale = 1 + random(10);
            let count = 1 + random(1 << scale);
            let (kind, letters) = (random(4), 1 + random(5));
            let back = 1 + random((text.len() as u64).max(1)) as usize;
            for _ in 0..count {
                let byte = match kind {
                    0 => random(256) as u8,
                    1 => b'a' + random(letters) as u8,
                    2 => b'=',
                    _ => text.len().checked_sub(back).map_or(b'-', |place| text[place]),
                };
                text.push(byte);
            }
        }
        text.truncate(bytes);
        text
    }

    #[test]
    fn mixtures_come_back() {
        let mut random = numbers(23);
        for round in 0..4_000 {
            let bytes = random(if round % 100 == 0 { 60_000 } else { 600 }) as usize;
            check_round_trip(&mixture(&mut random, bytes));
        }
    }

    #[test]
    fn what_an_earlier_string_left_is_no_match() {
        let mut places = Places::new();
        let text: Vec<u8> = mixture(&mut numbers(7), 9_000);
        let alone = compress_with(&mut places, &text, text.len()).unwrap();
        // Places are counted on beyond what they can be, and begin again.
        for _ in 0..3 {
            places.next = u32::MAX - FIRST_PLACE - 9_005;
            for length in [0, 1, 5, 8_192, 9_000, 9_000] {
                let text = &text[..length];
                if let Some(compressed) = compress_with(&mut places, text, 2 * length + 8) {
                    assert_eq!(decompress(&compressed, length).as_deref(), Some(text));
                }
            }
            assert_eq!(compress_with(&mut places, &text, text.len()).as_deref(), Some(alone.as_slice()));
        }
    }

    #[test]
    fn hostile_input_never_panics() {
        let mut random = numbers(91);
        for _ in 0..20_000 {
            let bytes = random(80) as usize;
            // Controls of all three kinds, rather than literals alone.
            let input: Vec<u8> =
                (0..bytes).map(|_| (random(256) & random(256)) as u8 | (random(8) as u8) << 5).collect();
            for length in [random(100) as usize, random(4_000) as usize, usize::MAX] {
                if let Some(output) = decompress(&input, length) {
                    assert_eq!(output.len(), length);
                }
            }
        }
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let mut random = numbers(5);
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
