use super::*;
use crate::random::{assert_uniform, seeded};
use std::collections::{BTreeMap, BTreeSet};

const ENCODINGS: [&str; 3] = ["listpack", "listpackex", "hashtable"];

fn text(prefix: &str, number: u64) -> Vec<u8> {
    // Some are stored as integers.
    if number.is_multiple_of(3) { number.to_string().into() } else { format!("{prefix} {number}").into() }
}

fn hash_of(encoding: &str, fields: u64) -> Hash {
    let mut hash = Hash::new();
    if encoding == "hashtable" {
        hash.set(b"long", &[0; 100]);
        hash.remove(b"long");
    }
    (0..fields).for_each(|number| assert!(hash.set(&text("field", number), &text("value", number))));
    if encoding == "listpackex" {
        hash.set_field_expiry(b"0", Some(1));
        hash.set_field_expiry(b"0", None);
    }
    assert_eq!(hash.encoding(), encoding);
    hash
}

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

fn contents(fields: impl Iterator<Item = (Vec<u8>, Vec<u8>, Option<u64>)>) -> Model {
    let mut model = Model::new();
    for (field, value, expiry_ms) in fields {
        assert!(model.insert(field, (value, expiry_ms)).is_none(), "a field came twice");
    }
    model
}

fn check(hash: &Hash, model: &Model, now_ms: u64) {
    let all =
        |hash: &Hash| contents(hash.iter().map(|(field, value, at)| (field.to_vec(), value.to_vec(), at)));
    assert_eq!(&all(hash), model);
    assert_eq!(&all(&hash.clone()), model);
    assert_eq!((hash.len(), hash.is_empty()), (model.len(), model.is_empty()));
    assert_eq!(hash.next_expiry(), model.values().filter_map(|(_, expiry_ms)| *expiry_ms).min());
    for (field, (value, expiry_ms)) in model {
        assert_eq!(hash.get(field).unwrap().to_vec(), *value);
        assert_eq!(hash.value_len(field), value.len());
        assert_eq!(hash.field_expiry(field), FieldExpiry::from(*expiry_ms));
        let is_live = expiry_ms.is_none_or(|expiry_ms| expiry_ms > now_ms);
        assert_eq!(hash.get_at(field, now_ms).is_some(), is_live);
    }
    let live = model.values().filter(|(_, expiry_ms)| expiry_ms.is_none_or(|expiry_ms| expiry_ms > now_ms));
    assert_eq!(hash.iter_at(now_ms).count(), live.count());
}

#[test]
fn behaves_as_a_map_with_expiries() {
    for (encoding, range) in [("listpack", 120), ("listpackex", 120), ("hashtable", 1_500)] {
        let mut random = seeded(51);
        let mut hash = hash_of(encoding, 1);
        let mut model = contents([(b"0".to_vec(), b"0".to_vec(), None)].into_iter());
        let has_expiries = encoding != "listpack";
        let mut now_ms = 1_700_000_000_000;
        for step in 0..8_000 {
            let field = text("field", random::below(range, &mut random));
            let value = text("value", random::below(1_000, &mut random));
            match random::below(10, &mut random) {
                0..3 => {
                    assert_eq!(hash.set(&field, &value), !model.contains_key(&field));
                    model.insert(field, (value, None));
                }
                3 => {
                    assert_eq!(hash.set_keeping_expiry(&field, &value), !model.contains_key(&field));
                    model.entry(field).or_default().0 = value;
                }
                4..6 => assert_eq!(hash.remove(&field), model.remove(&field).is_some()),
                6..9 if has_expiries => {
                    // Few distinct times, so that many fields share one.
                    let after_ms = random::below(100, &mut random);
                    let expiry_ms = (after_ms != 0).then_some(now_ms + after_ms);
                    let before = hash.set_field_expiry(&field, expiry_ms);
                    let expected = model.get_mut(&field).map(|(_, at)| std::mem::replace(at, expiry_ms));
                    assert_eq!(before, expected.map_or(FieldExpiry::NoField, FieldExpiry::from));
                }
                9 if has_expiries => {
                    now_ms += random::below(40, &mut random);
                    let mut removed = BTreeSet::new();
                    let count = hash.expire_fields(now_ms, |field| assert!(removed.insert(field.to_vec())));
                    assert_eq!(count, removed.len());
                    let mut due = BTreeSet::new();
                    model.retain(|field, (_, at)| {
                        let is_due = at.is_some_and(|at| at <= now_ms);
                        !(is_due && due.insert(field.clone()))
                    });
                    assert_eq!(removed, due);
                }
                _ => assert_eq!(
                    hash.get(&field).map(Element::to_vec),
                    model.get(&field).map(|it| it.0.clone())
                ),
            }
            if step % 50 == 0 {
                check(&hash, &model, now_ms + 20);
            }
        }
        assert_eq!(hash.encoding(), encoding);
    }
}

#[test]
fn encodings_follow_redis() {
    let check = |fields: u64, last: (&str, &str), expected: &str| {
        let mut hash = Hash::new();
        (0..fields).for_each(|number| assert!(hash.set(number.to_string().as_bytes(), b"v")));
        hash.set(last.0.as_bytes(), last.1.as_bytes());
        assert_eq!(hash.encoding(), expected);
    };
    let [short, long] = [64, 65].map(|len| "x".repeat(len));
    check(511, ("f", "v"), "listpack");
    check(512, ("f", "v"), "hashtable");
    check(512, ("0", "changed"), "listpack");
    check(5, (&short, &short), "listpack");
    check(5, (&long, "v"), "hashtable");
    check(5, ("f", &long), "hashtable");
    check(5, ("0", &long), "hashtable");
}

#[test]
fn an_expiry_changes_the_encoding_once() {
    let mut hash = hash_of("listpack", 3);
    assert_eq!(hash.set_field_expiry(b"none", Some(5)), FieldExpiry::NoField);
    assert_eq!(hash.set_field_expiry(b"0", None), FieldExpiry::Never);
    assert_eq!(hash.encoding(), "listpack");
    assert_eq!(hash.set_field_expiry(b"0", Some(5)), FieldExpiry::Never);
    assert_eq!(hash.encoding(), "listpackex");
    assert_eq!(hash.set_field_expiry(b"0", None), FieldExpiry::At(5));
    assert_eq!((hash.encoding(), hash.next_expiry()), ("listpackex", None));
    hash.set_field_expiry(b"0", Some(7));
    hash.set(b"long", &[b'x'; 65]);
    assert_eq!((hash.encoding(), hash.next_expiry()), ("hashtable", Some(7)));
    let mut hash = hash_of("listpackex", 512);
    hash.set_field_expiry(b"3", Some(9));
    hash.set(b"one more", b"");
    assert_eq!((hash.encoding(), hash.next_expiry()), ("hashtable", Some(9)));
}

#[test]
fn expiries_out_of_range_are_the_nearest() {
    for encoding in ["listpackex", "hashtable"] {
        let mut hash = hash_of(encoding, 1);
        for (given, expected) in [(0, 1), (u64::MAX, i64::MAX as u64)] {
            hash.set_field_expiry(b"0", Some(given));
            assert_eq!(hash.field_expiry(b"0"), FieldExpiry::At(expected));
            assert_eq!(hash.next_expiry(), Some(expected));
        }
    }
}

#[test]
fn a_field_expires_at_its_time() {
    for encoding in ["listpackex", "hashtable"] {
        let mut hash = hash_of(encoding, 2);
        hash.set_field_expiry(b"0", Some(1_000));
        assert!(hash.get_at(b"0", 999).is_some() && hash.get_at(b"0", 1_000).is_none());
        assert_eq!(hash.expire_fields(999, |_| panic!("it is too early")), 0);
        assert_eq!(hash.expire_fields(1_000, |field| assert_eq!(field, b"0")), 1);
        assert!(!hash.contains(b"0"));
        assert_eq!((hash.len(), hash.next_expiry()), (1, None));
    }
}

#[test]
fn fields_expire_in_portions_and_in_order() {
    for encoding in ["listpackex", "hashtable"] {
        let mut hash = hash_of(encoding, 100);
        for number in 0..90 {
            hash.set_field_expiry(&text("field", number), Some(1 + number / 30));
        }
        let mut removed = Vec::new();
        let mut counts = Vec::new();
        while hash.next_expiry().is_some_and(|expiry_ms| expiry_ms <= 2) {
            counts.push(hash.expire_some_fields(2, 25, |field| removed.push(field.to_vec())));
        }
        assert_eq!(counts, [25, 25, 10]);
        let (first, second) = removed.split_at(30);
        for (portion, numbers) in [(first, 0..30), (second, 30..60)] {
            let expected: BTreeSet<_> = numbers.map(|number| text("field", number)).collect();
            assert_eq!(BTreeSet::from_iter(portion.iter().cloned()), expected);
        }
        assert_eq!((hash.len(), hash.next_expiry()), (40, Some(3)));
    }
}

#[test]
fn scans_reach_everything() {
    for encoding in ENCODINGS {
        let hash = hash_of(encoding, 100);
        let (mut visited, mut cursor, mut calls) = (Vec::new(), 0, 0);
        loop {
            cursor = hash.scan(cursor, 10, |field, value, expiry_ms| {
                visited.push((field.to_vec(), value.to_vec(), expiry_ms));
            });
            calls += 1;
            if cursor == 0 {
                break;
            }
        }
        check(&hash, &contents(visited.into_iter()), 0);
        assert_eq!(calls > 1, encoding == "hashtable");
    }
}

#[test]
fn random_fields_are_uniform_and_have_their_values() {
    let mut random = seeded(52);
    for encoding in ENCODINGS {
        let hash = hash_of(encoding, 50);
        let mut counts = [[0; 50]; 2];
        let mut count = |row: usize, (field, value): (Element<'_>, Element<'_>)| {
            let number = (0..50).find(|number| text("field", *number) == field.to_vec()).unwrap();
            assert_eq!(value.to_vec(), text("value", number));
            counts[row][number as usize] += 1;
        };
        for _ in 0..1_000 {
            count(0, hash.random(&mut random).unwrap());
            hash.sample(5, &mut random).into_iter().for_each(|pair| count(1, pair));
        }
        counts.iter().for_each(|counts| assert_uniform(counts));
        for count in [0, 1, 49, 50, 51] {
            let sample = hash.sample(count, &mut random);
            let fields: BTreeSet<_> = sample.into_iter().map(|(field, _)| field.to_vec()).collect();
            assert_eq!(fields.len(), count.min(50));
        }
        assert!(Hash::new().random(&mut random).is_none());
    }
}

#[test]
fn memory_is_counted() {
    let mut hash = Hash::new();
    for number in 1..=5 {
        hash.set(format!("f{number}").as_bytes(), format!("v{number}").as_bytes());
    }
    assert_eq!((hash.memory_bytes(), hash.effort()), (48, 1));

    let mut hash = hash_of("hashtable", 1_000);
    let plain = hash.memory_bytes();
    let blocks: usize = hash.iter().map(|(field, value, _)| capacity(field.len() + value.len() + 2)).sum();
    assert!(plain > blocks + 9 * 1_000 && plain < blocks + 12 * 1_000 + 200);
    for number in 0..1_000 {
        hash.set_field_expiry(&text("field", number), Some(5 + number));
    }
    assert!(hash.memory_bytes() > plain + 1_000 * 24);
    assert!(hash.effort() > 1_000);
    for number in 0..1_000 {
        hash.set(&text("field", number), &text("value", number));
    }
    assert_eq!(hash.memory_bytes(), plain);
    (0..1_000).for_each(|number| assert!(hash.remove(&text("field", number))));
    assert!(hash.memory_bytes() < 400, "{}", hash.memory_bytes());
}

#[test]
fn takes_over_what_files_hold() {
    let pack = |elements: &[&str]| elements.iter().map(|element| element.as_bytes()).collect::<Listpack>();
    let pairs = pack(&["f", "1", "g", "v"]);
    let hash = Hash::from_listpack(pairs.clone()).unwrap();
    assert_eq!(hash.as_listpack(), Some(&pairs));
    assert!(hash.as_listpack_ex().is_none());
    assert!(Hash::from_listpack(pack(&["f", "v", "g"])).is_none());
    assert!(Hash::from_listpack(pack(&["f", "v", "f", "w"])).is_none());
    let many: Vec<String> = (0..513 * 2).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let hash = Hash::from_listpack(pack(&many)).unwrap();
    assert_eq!((hash.encoding(), hash.len()), ("hashtable", 513));

    let ordered = pack(&["f", "v", "5", "g", "v", "7", "h", "v", "0"]);
    let hash = Hash::from_listpack_ex(ordered.clone()).unwrap();
    assert_eq!((hash.encoding(), hash.next_expiry()), ("listpackex", Some(5)));
    assert_eq!(hash.as_listpack_ex(), Some(&ordered));
    let unordered = pack(&["h", "v", "0", "g", "v", "7", "f", "v", "5"]);
    assert_eq!(Hash::from_listpack_ex(unordered).unwrap().as_listpack_ex(), Some(&ordered));
    for broken in [&["f", "v"][..], &["f", "v", "x"], &["f", "v", "-1"], &["f", "v", "0", "f", "w", "0"]] {
        assert!(Hash::from_listpack_ex(pack(broken)).is_none(), "{broken:?}");
    }
    let many: Vec<String> =
        (0..513).flat_map(|number| [number, 1, number + 1].map(|it| it.to_string())).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let hash = Hash::from_listpack_ex(pack(&many)).unwrap();
    assert_eq!((hash.encoding(), hash.len(), hash.next_expiry()), ("hashtable", 513, Some(1)));
}

#[test]
fn capacity_chooses_the_encoding() {
    assert_eq!(Hash::with_capacity(512).encoding(), "listpack");
    assert_eq!(Hash::with_capacity(513).encoding(), "hashtable");
    assert!(Hash::with_capacity(usize::MAX).is_empty());
}
