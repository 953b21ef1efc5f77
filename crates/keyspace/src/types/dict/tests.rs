use super::*;
use crate::random::{assert_uniform, seeded};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

thread_local! {
    /// How often a key was asked for: once per element hashed or compared.
    static KEYS_READ: Cell<usize> = const { Cell::new(0) };
}

/// An element whose key is a number; eight bytes, as all elements in use are.
#[derive(Debug, Clone, PartialEq)]
struct Number(Box<(u64, u32)>);

// SAFETY: a box of a type with the alignment eight is such an address, and owns what is there.
unsafe impl ThinPointer for Number {}

impl Number {
    fn new(number: u64) -> Self {
        Self::with_value(number, 0)
    }

    fn with_value(number: u64, value: u32) -> Self {
        Self(Box::new((number.to_le(), value)))
    }

    fn number(&self) -> u64 {
        u64::from_le(self.0.0)
    }
}

impl Member for Number {
    fn key(&self) -> &[u8] {
        KEYS_READ.set(KEYS_READ.get() + 1);
        // SAFETY: these are the bytes of the number.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(&self.0.0).cast(), 8) }
    }
}

fn dict_of(numbers: impl IntoIterator<Item = u64>) -> Dict<Number> {
    let mut dict = Dict::new();
    numbers.into_iter().for_each(|number| assert!(dict.insert(Number::new(number)).is_none()));
    dict
}

/// What must hold at any time.
fn check_invariants(dict: &Dict<Number>) {
    let segments = dict.segments.len();
    let mut len = 0;
    let mut block_bytes = 0;
    let mut weights = 0;
    for index in 0..segments {
        let segment = dict.segments.get(index);
        assert!(segment.len() <= dict.densest * dict.weight(index));
        assert!(segment.capacity() <= segment.len() + segment.len() / 8 + 16);
        for (slot, element) in segment.as_slice().iter().enumerate() {
            let hash = hashing::hash(&element.number().to_le_bytes());
            assert_eq!((dict.segment_of(hash), segment.fingerprint(slot)), (index, fingerprint(hash)));
        }
        len += segment.len();
        block_bytes += segment.block_bytes();
        weights += dict.weight(index);
    }
    assert_eq!((dict.len(), dict.block_bytes), (len, block_bytes));
    if segments > 0 {
        assert_eq!(weights, segments.next_power_of_two());
        assert!(len <= segments * SPLIT_ABOVE);
        assert!(segments == 1 || len >= segments * MERGE_BELOW);
    }
}

#[test]
fn behaves_as_a_map() {
    let mut random = seeded(11);
    let mut dict = Dict::new();
    let mut model = BTreeMap::new();
    for step in 0..60_000u32 {
        // The range of keys makes the dict swell and shrink in waves.
        let range = [4_000, 300, 20_000, 40][step as usize / 5_000 % 4];
        let number = random::below(range, &mut random);
        let key = number.to_le_bytes();
        let is_growing = step / 2_500 % 2 == 0;
        match random::below(8, &mut random) {
            0 => {
                let replaced = dict.insert(Number::with_value(number, step)).map(|element| element.0.1);
                assert_eq!(replaced, model.insert(number, step));
            }
            1 => match (dict.entry(&key), model.entry(number)) {
                (Entry::Occupied(element), std::collections::btree_map::Entry::Occupied(mut expected)) => {
                    assert_eq!(element.0.1, *expected.get());
                    element.0.1 = step;
                    expected.insert(step);
                }
                (Entry::Vacant(place), std::collections::btree_map::Entry::Vacant(expected)) => {
                    place.insert(Number::with_value(number, step));
                    expected.insert(step);
                }
                _ => panic!("only one of them has {number}"),
            },
            2 => {
                if let Some(removed) = dict.remove_random(&mut random) {
                    assert_eq!(model.remove(&removed.number()), Some(removed.0.1));
                }
            }
            3 => {
                assert_eq!(dict.get(&key).map(|element| element.0.1), model.get(&number).copied());
                assert_eq!(dict.get_mut(&key).is_some(), model.contains_key(&number));
            }
            _ if is_growing => {
                dict.insert(Number::with_value(number, step));
                model.insert(number, step);
            }
            _ => {
                assert_eq!(dict.remove(&key).map(|element| element.0.1), model.remove(&number));
            }
        }
        if step % 100 == 0 {
            check_invariants(&dict);
            let mut all: Vec<_> = dict.iter().map(|element| (element.number(), element.0.1)).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(model.iter().map(|(number, value)| (*number, *value))));
            assert_eq!(dict.iter().len(), model.len());
        }
    }
}

#[test]
fn shrinks_to_nothing() {
    let mut dict = dict_of(0..10_000);
    for number in 0..10_000u64 {
        assert!(dict.remove(&number.to_le_bytes()).is_some());
    }
    check_invariants(&dict);
    assert_eq!(dict.segments.len(), 1);
    assert!(dict.memory_bytes() < 200, "{}", dict.memory_bytes());
    assert!(dict.is_empty() && dict.iter().next().is_none() && dict.random(&mut seeded(1)).is_none());
    assert_eq!(dict.scan(0, 10, |_| panic!("nothing is there")), 0);
}

#[test]
fn no_operation_among_millions_touches_many_elements() {
    const ELEMENTS: u64 = 2_000_000;
    let mut dict = Dict::with_capacity(0);
    let mut most = 0;
    let mut total = 0;
    for number in 0..ELEMENTS {
        KEYS_READ.set(0);
        dict.insert(Number::new(number));
        most = most.max(KEYS_READ.get());
        total += KEYS_READ.get();
    }
    // One segment of at most some hundred elements is rehashed, and two of the words are those of the insertion.
    assert!(most < 160, "{most} keys were read by one insertion");
    assert!(total < 5 * ELEMENTS as usize, "{total} keys were read by all insertions");
    let bytes_each = dict.memory_bytes() as f64 / ELEMENTS as f64;
    assert!((9.0..11.5).contains(&bytes_each), "{bytes_each} bytes for each element");
    assert!(dict.segments.chunks.len() > 10, "the list of segments has several chunks");

    let copy = dict.clone();
    most = 0;
    for number in 0..ELEMENTS {
        KEYS_READ.set(0);
        dict.remove(&number.to_le_bytes());
        most = most.max(KEYS_READ.get());
    }
    assert!(most < 10, "{most} keys were read by one removal");
    assert!(dict.is_empty());
    assert_eq!(copy.len(), ELEMENTS as usize);
    assert!((0..ELEMENTS).all(|number| copy.get(&number.to_le_bytes()).is_some()));
}

#[test]
fn capacity_saves_splitting() {
    let mut dict = Dict::with_capacity(100_000);
    assert_eq!(dict.segments.len(), 3125);
    KEYS_READ.set(0);
    (0..100_000).for_each(|number| assert!(dict.insert(Number::new(number)).is_none()));
    assert_eq!(dict.segments.len(), 3125);
    check_invariants(&dict);
    assert_eq!(Dict::<Number>::with_capacity(usize::MAX).segments.len(), SEGMENTS_PREPARED_MAX);
}

#[test]
fn small_dicts_are_small() {
    assert_eq!(Dict::<Number>::new().memory_bytes(), 0);
    assert!(dict_of(0..8).memory_bytes() <= 80 + 4 * 8);
    for len in [200, 1_000, 10_000] {
        let bytes_each = dict_of(0..len).memory_bytes() as f64 / len as f64;
        assert!(bytes_each < 11.6, "{bytes_each} bytes for each of {len} elements");
    }
}

/// Scans to the end, `between` each two calls; what was visited, and the number of calls.
fn scan_all(
    dict: &mut Dict<Number>,
    count: usize,
    mut between: impl FnMut(&mut Dict<Number>),
) -> (Vec<u64>, usize) {
    let mut visited = Vec::new();
    let mut cursor = 0;
    for call in 1.. {
        let before = visited.len();
        cursor = dict.scan(cursor, count, |element| visited.push(element.number()));
        assert!(visited.len() - before <= count.max(1), "no two hashes here agree in 48 bits");
        assert!(cursor < 1 << CURSOR_BITS);
        if cursor == 0 {
            return (visited, call);
        }
        between(dict);
    }
    unreachable!("the range has no end")
}

#[test]
fn scan_visits_each_element_once() {
    for len in [0u64, 1, 20, 33, 500, 5_000] {
        let mut dict = dict_of(0..len);
        for count in [0, 1, 7, 10, 100, 10_000] {
            let (mut visited, calls) = scan_all(&mut dict, count, |_| ());
            visited.sort_unstable();
            assert!(visited.into_iter().eq(0..len), "{len} elements, {count} a call");
            assert!(calls <= len as usize / count.max(1) + 2);
        }
    }
}

#[test]
fn scan_goes_in_the_order_of_the_cursor() {
    let mut dict = dict_of(0..3_000);
    let (visited, _) = scan_all(&mut dict, 1, |_| ());
    let cursors: Vec<u64> =
        visited.iter().map(|number| cursor_of(hashing::hash(&number.to_le_bytes()))).collect();
    assert!(cursors.is_sorted());
}

#[test]
fn scan_is_exact_while_the_dict_grows_and_shrinks() {
    let mut random = seeded(21);
    for (steady, change) in [(1_000u64, 200u64), (10, 3_000), (5_000, 20)] {
        for count in [1, 10, 300] {
            let mut dict = dict_of(0..steady);
            let mut added = BTreeSet::new();
            let mut next_new = steady;
            let mut is_growing = true;
            let (mut visited, _) = scan_all(&mut dict, count, |dict| {
                for _ in 0..random::below(change, &mut random) {
                    if is_growing {
                        dict.insert(Number::new(next_new));
                        added.insert(next_new);
                        next_new += 1;
                    } else if let Some(number) = added.pop_first() {
                        dict.remove(&number.to_le_bytes());
                    }
                }
                let limit = 20 * steady as usize + 2_000;
                is_growing = added.is_empty() || is_growing && added.len() < limit;
            });
            let times = visited.len();
            visited.sort_unstable();
            visited.dedup();
            // What comes and goes is visited at most once as well, for it is never added again.
            assert_eq!(visited.len(), times);
            assert!(visited.into_iter().filter(|number| *number < steady).eq(0..steady));
        }
    }
}

#[test]
fn scan_ends_at_a_cursor_out_of_range() {
    let dict = dict_of(0..100);
    for cursor in [1 << CURSOR_BITS, u64::MAX] {
        assert_eq!(dict.scan(cursor, 10, |_| panic!("nothing is there")), 0);
    }
    let mut visited = 0;
    assert_eq!(dict.scan((1 << CURSOR_BITS) - 1, usize::MAX, |_| visited += 1), 0);
    assert!(visited <= 1);
}

#[test]
fn random_is_uniform() {
    let mut random = seeded(31);
    // 1000 elements have 32 segments; 1300 have 41, so that some are twice as wide as others.
    for len in [3u64, 40, 1_000, 1_300] {
        let mut dict = dict_of(0..len * 2);
        (len..len * 2).for_each(|number| assert!(dict.remove(&number.to_le_bytes()).is_some()));
        let mut counts = vec![0; len as usize];
        for _ in 0..len * 100 {
            let element = dict.random(&mut random).unwrap();
            counts[element.number() as usize] += 1;
        }
        assert_uniform(&counts);
    }
}

#[test]
fn random_needs_few_words() {
    let dict = dict_of(0..100_000);
    let mut random = seeded(32);
    let mut words = 0;
    for _ in 0..10_000 {
        dict.random(&mut || {
            words += 1;
            random()
        });
    }
    assert!(words < 10_000 * 8, "{words} words for 10000 choices");
}

#[test]
fn samples_are_distinct_and_uniform() {
    let mut random = seeded(33);
    let dict = dict_of(0..1_000);
    for count in [0, 1, 10, 124, 125, 126, 999, 1_000, 2_000] {
        let mut numbers: Vec<u64> = dict.sample(count, &mut random).into_iter().map(Number::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count.min(1_000));
    }
    for count in [100, 200] {
        let mut counts = vec![0; 1_000];
        for _ in 0..500 {
            dict.sample(count, &mut random).iter().for_each(|element| counts[element.number() as usize] += 1);
        }
        // Drawn without replacement, so somewhat more even than independent draws; still within the bounds.
        assert_uniform(&counts);
    }
}

#[test]
fn removing_at_random_is_uniform() {
    let mut random = seeded(34);
    let mut counts = vec![0; 50];
    for _ in 0..2_000 {
        let mut dict = dict_of(0..50);
        let first = dict.remove_random(&mut random).unwrap();
        assert!(dict.get(&first.number().to_le_bytes()).is_none());
        counts[first.number() as usize] += 1;
    }
    assert_uniform(&counts);
}

#[test]
fn finds_by_hash_and_condition() {
    let mut dict = dict_of(0..100);
    let hash = hashing::hash(&5u64.to_le_bytes());
    assert_eq!(dict.find(hash, |element| element.number() == 5).map(Number::number), Some(5));
    assert!(dict.find(hash, |_| false).is_none());
    assert_eq!(dict.remove_found(hash, |_| true).map(|element| element.number()), Some(5));
    assert!(dict.find(hash, |_| true).is_none());
}

#[test]
fn dicts_can_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<Dict<Number>>();
}
