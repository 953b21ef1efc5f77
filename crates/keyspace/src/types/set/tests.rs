use super::*;
use crate::random::{assert_uniform, seeded};
use std::collections::BTreeSet;

/// The members that a test fills a set of this encoding with.
fn member(encoding: &str, number: u64) -> Vec<u8> {
    match encoding {
        "intset" => number.to_string().into_bytes(),
        "listpack" if number.is_multiple_of(2) => number.to_string().into_bytes(),
        "listpack" => format!("member {number}").into_bytes(),
        _ => format!("member {number} {}", "of a length that no listpack takes ".repeat(2)).into_bytes(),
    }
}

fn set_of(encoding: &str, count: u64) -> Set {
    let mut set = Set::new();
    (0..count).for_each(|number| assert!(set.insert(&member(encoding, number))));
    assert!(count < 2 || set.encoding() == encoding, "{} instead of {encoding}", set.encoding());
    set
}

const ENCODINGS: [&str; 3] = ["intset", "listpack", "hashtable"];

fn sorted(members: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let mut members: Vec<_> = members.collect();
    members.sort_unstable();
    members
}

#[test]
fn behaves_as_a_set() {
    for (encoding, range) in [("intset", 400), ("listpack", 100), ("hashtable", 2_000)] {
        let mut random = seeded(41);
        let mut set = Set::with_hint(&member(encoding, 1), range);
        let mut model = BTreeSet::new();
        for step in 0..6_000 {
            let member = member(encoding, random::below(range as u64, &mut random));
            match random::below(8, &mut random) {
                0..4 => assert_eq!(set.insert(&member), model.insert(member)),
                4..7 => assert_eq!(set.remove(&member), model.remove(&member)),
                _ => {
                    let popped = set.pop_random(&mut random);
                    assert!(popped.is_none_or(|popped| model.remove(&popped)));
                }
            }
            if step % 100 == 0 {
                assert_eq!(set.len(), model.len());
                assert!(sorted(set.iter().map(Element::to_vec)).iter().eq(model.iter()));
                assert!(sorted(set.clone().iter().map(Element::to_vec)).iter().eq(model.iter()));
                assert!(model.iter().all(|member| set.contains(member)));
                assert!(set.iter().all(|member| set.contains_element(member)));
            }
        }
        assert_eq!(set.encoding(), encoding);
    }
}

#[test]
fn encodings_follow_redis() {
    let check = |members: &mut dyn Iterator<Item = String>, expected: &str| {
        let mut set = Set::new();
        members.for_each(|member| assert!(set.insert(member.as_bytes())));
        assert_eq!(set.encoding(), expected);
    };
    let numbers = |count: u64| (0..count).map(|number| number.to_string());
    let text = || std::iter::once("text".to_owned());
    check(&mut numbers(512), "intset");
    check(&mut numbers(513), "hashtable");
    check(&mut numbers(127).chain(text()), "listpack");
    check(&mut numbers(128).chain(text()), "hashtable");
    check(&mut text().chain(numbers(127)), "listpack");
    check(&mut text().chain(numbers(128)), "hashtable");
    check(&mut std::iter::once("x".repeat(64)), "listpack");
    check(&mut std::iter::once("x".repeat(65)), "hashtable");
    check(&mut numbers(5).chain(std::iter::once("x".repeat(65))), "hashtable");
    // These are no integers to Redis either.
    for member in ["", "01", "+1", "-0", " 1", "9223372036854775808", "1.0"] {
        check(&mut std::iter::once(member.to_owned()), "listpack");
    }
    check(&mut ["-9223372036854775808", "9223372036854775807"].into_iter().map(str::to_owned), "intset");
}

#[test]
fn a_member_that_is_there_converts_nothing() {
    let mut set = set_of("listpack", 128);
    assert!(!set.insert(b"0") && !set.insert(b"member 1"));
    assert_eq!(set.encoding(), "listpack");
    assert!(set.insert(b"1"));
    assert_eq!(set.encoding(), "hashtable");
    assert!(!set.insert(b"0") && !set.insert(b"member 1"));
    // It does not return either.
    while set.len() > 1 {
        set.pop_random(&mut seeded(1));
    }
    assert_eq!(set.encoding(), "hashtable");
}

#[test]
fn hints_choose_the_encoding() {
    let check = |first: &str, members: usize, expected: &str| {
        assert_eq!(Set::with_hint(first.as_bytes(), members).encoding(), expected, "{first} {members}");
    };
    check("1", 1, "intset");
    check("1", 512, "intset");
    check("1", 513, "hashtable");
    check("a", 128, "listpack");
    check("a", 129, "hashtable");
    check("a", usize::MAX, "hashtable");
}

#[test]
fn integers_are_found_as_text_in_every_encoding() {
    for encoding in ENCODINGS {
        let mut set = set_of(encoding, 20);
        set.insert_element(Element::Int(-77));
        assert!(set.contains(b"-77") && set.contains_element(Element::Int(-77)));
        assert!(set.contains_element(Element::Str(b"-77")));
        assert!(!set.insert_element(Element::Str(b"-77")));
        assert!(!set.contains(b"-077"));
        assert!(set.remove(b"-77"));
        assert_eq!(set.encoding(), encoding);
    }
}

#[test]
fn scans_reach_everything() {
    for encoding in ENCODINGS {
        let set = set_of(encoding, 100);
        let (mut visited, mut cursor, mut calls) = (Vec::new(), 0, 0);
        loop {
            cursor = set.scan(cursor, 10, |member| visited.push(member.to_vec()));
            calls += 1;
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(sorted(visited.into_iter()), sorted(set.iter().map(Element::to_vec)));
        assert_eq!(calls > 1, encoding == "hashtable");
    }
}

#[test]
fn random_members_are_uniform() {
    let mut random = seeded(42);
    for encoding in ENCODINGS {
        let set = set_of(encoding, 50);
        let all: Vec<Vec<u8>> = set.iter().map(Element::to_vec).collect();
        let index_of = |member: &[u8]| all.iter().position(|other| other == member).unwrap();
        let mut counts = [[0; 50]; 3];
        for _ in 0..1_000 {
            counts[0][index_of(&set.random(&mut random).unwrap().to_vec())] += 1;
            counts[1][index_of(&set.clone().pop_random(&mut random).unwrap())] += 1;
            for member in set.sample(5, &mut random) {
                counts[2][index_of(&member.to_vec())] += 1;
            }
        }
        counts.iter().for_each(|counts| assert_uniform(counts));
        for count in [0, 1, 49, 50, 51] {
            let sample = sorted(set.sample(count, &mut random).into_iter().map(Element::to_vec));
            assert_eq!(BTreeSet::from_iter(sample).len(), count.min(50));
        }
    }
}

#[test]
fn an_empty_set_has_nothing_to_give() {
    let mut random = seeded(43);
    for encoding in ENCODINGS {
        let mut set = set_of(encoding, 3);
        while set.pop_random(&mut random).is_some() {}
        assert!(set.is_empty() && set.iter().next().is_none());
        assert!(set.random(&mut random).is_none() && set.sample(3, &mut random).is_empty());
        assert_eq!(set.scan(0, 10, |_| panic!("nothing is there")), 0);
        assert!(!set.remove(b"1") && !set.contains(b"1"));
    }
}

#[test]
fn memory_is_counted() {
    let mut set = set_of("hashtable", 1_000);
    let full = set.memory_bytes();
    let blocks: usize = set.iter().map(|member| capacity(member.len() + 1)).sum();
    assert!(full > blocks + 9 * 1_000 && full < blocks + 12 * 1_000 + 200);
    assert_eq!(set.clone().len(), 1_000);
    assert!(set.effort() > 1_000 && set.effort() < 1_100);
    while set.pop_random(&mut seeded(44)).is_some() {}
    assert!(set.memory_bytes() < 400, "{}", set.memory_bytes());
    assert_eq!(set_of("listpack", 2).memory_bytes(), 32);
    assert_eq!(set_of("listpack", 2).effort(), 1);
    assert!(set_of("intset", 3).memory_bytes() <= 64);
}

#[test]
fn takes_over_what_files_hold() {
    let pack: Listpack = [b"a".as_slice(), b"1", b"b"].into_iter().collect();
    let set = Set::from_listpack(pack.clone()).unwrap();
    assert_eq!((set.encoding(), set.len()), ("listpack", 3));
    assert_eq!(set.as_listpack().unwrap(), &pack);
    let twice: Listpack = [b"a".as_slice(), b"1", b"a"].into_iter().collect();
    assert!(Set::from_listpack(twice).is_none());
    let numbers: Vec<String> = (0..129).map(|number| number.to_string()).collect();
    let many: Listpack = numbers.iter().map(String::as_bytes).collect();
    let set = Set::from_listpack(many).unwrap();
    assert_eq!((set.encoding(), set.len()), ("hashtable", 129));

    let mut integers = IntSet::new();
    (0..512).for_each(|integer| assert!(integers.insert(integer)));
    assert_eq!(Set::from_intset(integers.clone()).as_intset().unwrap().len(), 512);
    assert!(integers.insert(512));
    let set = Set::from_intset(integers);
    assert_eq!((set.encoding(), set.len()), ("hashtable", 513));
}
