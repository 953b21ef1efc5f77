//! Both encodings against a sorted vector, operation by operation.

use super::*;
use crate::random::{assert_uniform, seeded};
use std::collections::{BTreeMap, BTreeSet, HashSet};

fn check_invariants(zset: &ZSet) {
    match zset.0.get() {
        Repr::First(listpack) => assert_eq!(compact::validate(listpack), Ok(())),
        Repr::Second(table) => table.check(),
        Repr::Third(never) => match *never {},
    }
}

fn owned((member, score): (Element<'_>, f64)) -> (Vec<u8>, f64) {
    (member.to_vec(), score)
}

/// A set and the same as a plain vector, sorted.
struct Model {
    zset: ZSet,
    scores: BTreeMap<Vec<u8>, f64>,
}

impl Model {
    fn sorted(&self) -> Vec<(Vec<u8>, f64)> {
        let mut sorted: Vec<_> = self.scores.clone().into_iter().collect();
        sorted.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap().then_with(|| a.0.cmp(&b.0)));
        sorted
    }

    fn insert(&mut self, member: &[u8], score: f64) {
        let expected = match self.scores.get(member) {
            None => Change::Added,
            Some(old) if *old == score => Change::Unchanged,
            Some(_) => Change::Updated,
        };
        assert_eq!(self.zset.insert(member, score), expected);
        if expected != Change::Unchanged {
            self.scores.insert(member.to_vec(), score);
        }
    }

    fn increment(&mut self, member: &[u8], by: f64) {
        let old = self.scores.get(member).copied();
        let new = old.unwrap_or(0.0) + by;
        let mut seen = None;
        let change = self.zset.update_with(member, |present| {
            seen = Some(present);
            Some(new)
        });
        assert_eq!(seen, Some(old));
        assert_eq!(change == Change::Added, old.is_none());
        self.scores.insert(member.to_vec(), new);
        assert_eq!(self.zset.update_with(member, |_| None), Change::Unchanged);
    }

    fn remove(&mut self, member: &[u8]) {
        assert_eq!(self.zset.remove(member), self.scores.remove(member));
    }

    fn remove_range(&mut self, ranks: Range<usize>) {
        let sorted = self.sorted();
        let expected = &sorted[ranks.start.min(sorted.len())..ranks.end.min(sorted.len())];
        let mut removed = Vec::new();
        let count = self.zset.remove_range(ranks, |member, score| removed.push((member.to_vec(), score)));
        assert_eq!((count, &removed[..]), (expected.len(), expected));
        removed.iter().for_each(|(member, _)| _ = self.scores.remove(member));
    }

    fn pop(&mut self, order: Order, count: usize) {
        let mut expected = self.sorted();
        if order == Order::Descending {
            expected.reverse();
        }
        expected.truncate(count);
        let mut popped = Vec::new();
        let number = self.zset.pop(order, count, |member, score| popped.push((member.to_vec(), score)));
        assert_eq!((number, &popped), (expected.len(), &expected));
        popped.iter().for_each(|(member, _)| _ = self.scores.remove(member));
    }

    fn check_ranges(&self, scores: &ScoreRange, lex: &LexRange<'_>, ranks: Range<usize>) {
        let sorted = self.sorted();
        let check = |ranks: Range<usize>, expected: Vec<&(Vec<u8>, f64)>| {
            assert!(
                self.zset
                    .range(ranks.clone(), Order::Ascending)
                    .map(owned)
                    .eq(expected.iter().copied().cloned())
            );
            let reverse = self.zset.range(ranks.clone(), Order::Descending);
            assert_eq!(reverse.len(), expected.len());
            assert!(reverse.map(owned).eq(expected.iter().rev().copied().cloned()));
        };
        check(ranks.clone(), sorted.iter().skip(ranks.start).take(ranks.len()).collect());
        let by_score: Vec<_> = sorted.iter().filter(|entry| scores.contains(entry.1)).collect();
        assert_eq!(self.zset.ranks_by_score(scores).len(), by_score.len());
        check(self.zset.ranks_by_score(scores), by_score);
        if sorted.windows(2).all(|pair| pair[0].1 == pair[1].1) {
            let by_lex: Vec<_> = sorted.iter().filter(|entry| lex.contains(&entry.0)).collect();
            assert_eq!(self.zset.ranks_by_lex(lex).len(), by_lex.len());
            check(self.zset.ranks_by_lex(lex), by_lex);
        } else {
            // Unspecified, but a range that exists.
            assert!(self.zset.ranks_by_lex(lex).end <= sorted.len());
        }
    }

    fn check(&self) {
        check_invariants(&self.zset);
        let sorted = self.sorted();
        assert_eq!(self.zset.len(), sorted.len());
        assert!(self.zset.iter().map(owned).eq(sorted.iter().cloned()));
        for (rank, (member, score)) in sorted.iter().enumerate() {
            assert_eq!(self.zset.rank(member), Some(rank));
            assert_eq!(self.zset.score(member), Some(*score));
        }
        for copy in [self.zset.clone(), rebuilt(&self.zset, &mut seeded(sorted.len() as u64))] {
            check_invariants(&copy);
            assert!(copy.iter().map(owned).eq(sorted.iter().cloned()));
        }
    }
}

/// The same set, built in random order.
fn rebuilt(zset: &ZSet, random: &mut impl FnMut() -> u64) -> ZSet {
    let mut entries: Vec<_> = zset.iter().map(owned).collect();
    entries.sort_by_cached_key(|_| random());
    let mut builder = Builder::new();
    for (member, score) in entries {
        assert!(builder.insert(&member, -score));
        assert!(!builder.merge(&member, score, |old, new| {
            assert_eq!(old, -score);
            new
        }));
    }
    assert_eq!(builder.len(), zset.len());
    builder.finish()
}

/// Integers, text, and now and then one too long for a listpack if `long` is allowed.
fn random_member(random: &mut impl FnMut() -> u64, members: u64, long: bool) -> Vec<u8> {
    let number = random() % members;
    match number % 4 {
        0 => number.to_string().into_bytes(),
        1 => format!("-{number}").into_bytes(),
        2 if long && random().is_multiple_of(200) => vec![b'x'; 60 + (number % 300) as usize],
        _ => format!("member:{number}\0").into_bytes(),
    }
}

fn random_score(random: &mut impl FnMut() -> u64, scores: u64) -> f64 {
    let number = random() % scores;
    match number % 7 {
        _ if scores == 1 => 5.0,
        0 => number as f64 / 8.0,
        1 => -(number as f64),
        2 => number as f64 * 1e18,
        3 if random().is_multiple_of(10) => f64::INFINITY,
        4 if random().is_multiple_of(10) => f64::NEG_INFINITY,
        5 if random().is_multiple_of(10) => 0.1,
        _ => number as f64,
    }
}

fn random_score_bound(random: &mut impl FnMut() -> u64, scores: u64) -> ScoreBound {
    let score = random_score(random, scores);
    if random().is_multiple_of(2) { ScoreBound::Inclusive(score) } else { ScoreBound::Exclusive(score) }
}

fn random_lex_bound<'a>(random: &mut impl FnMut() -> u64, member: &'a [u8]) -> LexBound<'a> {
    match random() % 6 {
        0 => LexBound::Min,
        1 => LexBound::Max,
        2 | 3 => LexBound::Inclusive(member),
        _ => LexBound::Exclusive(member),
    }
}

#[test]
fn random_operations_agree_with_a_sorted_vector() {
    // (seed, distinct members, distinct scores, long members): a listpack throughout, both encodings, the large one.
    let runs = [
        (1, 60, 30, false),
        (2, 100, 1, false),
        (3, 100, 50, true),
        (4, 400, 1, true),
        (5, 400, 20, false),
        (6, 3_000, 1_000_000, true),
    ];
    let mut encodings = BTreeSet::new();
    for (seed, members, scores, long) in runs {
        let random = &mut seeded(seed);
        let mut model = Model { zset: ZSet::new(), scores: BTreeMap::new() };
        for step in 0..6_000 {
            let member = random_member(random, members, long);
            let length = model.scores.len() as u64;
            let rank = (random() % (length + 3)) as usize;
            match random() % 20 {
                0..=9 => model.insert(&member, random_score(random, scores)),
                10 | 11 if scores > 1 => model.increment(&member, random() as u32 as f64 / 65_536.0 - 9.0),
                12..=14 => model.remove(&member),
                15 if random().is_multiple_of(20) => {
                    model.remove_range(rank..rank + (random() % 40) as usize)
                }
                16 if random().is_multiple_of(4) => model.pop(Order::Ascending, (random() % 5) as usize),
                17 if random().is_multiple_of(4) => model.pop(Order::Descending, (random() % 5) as usize),
                _ => {
                    let range = ScoreRange {
                        min: random_score_bound(random, scores),
                        max: random_score_bound(random, scores),
                    };
                    let other = random_member(random, members, long);
                    let lex = LexRange {
                        min: random_lex_bound(random, &member),
                        max: random_lex_bound(random, &other),
                    };
                    model.check_ranges(&range, &lex, rank..rank + (random() % 100) as usize);
                }
            }
            if step % 100 == 0 {
                model.check();
            }
            encodings.insert((seed, model.zset.encoding()));
        }
        model.check();
        let length = model.scores.len();
        model.remove_range(0..length);
        model.check();
    }
    let compact_only: Vec<_> = [1, 2].map(|seed| (seed, "listpack")).to_vec();
    let both = [3, 4, 5, 6].into_iter().flat_map(|seed| [(seed, "listpack"), (seed, "skiplist")]);
    assert!(encodings.into_iter().eq(compact_only.into_iter().chain(both)));
}

/// A set of that many members, `member:0` with score 0 and so on.
fn numbered(members: usize) -> ZSet {
    let mut zset = ZSet::new();
    for number in 0..members {
        assert_eq!(zset.insert(format!("member:{number}").as_bytes(), number as f64), Change::Added);
    }
    zset
}

#[test]
fn converts_once_at_the_limits() {
    assert_eq!(numbered(128).encoding(), "listpack");
    let mut zset = numbered(129);
    assert_eq!(zset.encoding(), "skiplist");
    zset.remove_range(0..128, |_, _| ());
    assert_eq!((zset.len(), zset.encoding()), (1, "skiplist"));
    assert_eq!(
        (zset.clone().encoding(), rebuilt(&zset, &mut seeded(1)).encoding()),
        ("skiplist", "listpack")
    );

    let mut zset = ZSet::new();
    zset.insert(&[b'a'; 64], 1.0);
    assert_eq!(zset.encoding(), "listpack");
    zset.insert(&[b'a'; 65], 1.0);
    assert_eq!((zset.len(), zset.encoding()), (2, "skiplist"));
    assert_eq!(rebuilt(&zset, &mut seeded(1)).encoding(), "skiplist");
}

#[test]
fn zeros_of_both_signs_are_the_same_score() {
    let check = |members: usize, kept: f64| {
        let mut zset = numbered(members);
        assert_eq!(zset.insert(b"zero", -0.0), Change::Added);
        assert_eq!(zset.insert(b"zero", 0.0), Change::Unchanged);
        assert_eq!(zset.score(b"zero").map(f64::is_sign_negative), Some(kept.is_sign_negative()));
        assert_eq!(zset.insert(b"member:0", -0.0), Change::Unchanged);
        assert_eq!(zset.rank(b"zero"), Some(1));
        let zero = ScoreBound::Inclusive(-0.0);
        assert_eq!(zset.ranks_by_score(&ScoreRange { min: zero, max: zero }), 0..2);
    };
    // The compact encoding stores an integer, which has no -0: Redis's too.
    check(10, 0.0);
    check(200, -0.0);
}

#[test]
fn a_listpack_from_outside_is_checked_and_converted() {
    let listpack = |entries: Range<usize>| {
        let texts: Vec<_> = entries.flat_map(|number| [format!("{number:04}"), number.to_string()]).collect();
        texts.iter().map(String::as_bytes).collect::<Listpack>()
    };
    let check = |entries: Range<usize>, encoding| {
        let zset = ZSet::from_listpack(listpack(entries.clone())).unwrap();
        check_invariants(&zset);
        assert_eq!((zset.len(), zset.encoding()), (entries.len(), encoding));
        assert_eq!(zset.as_listpack().is_some(), encoding == "listpack");
    };
    check(0..0, "listpack");
    check(0..128, "listpack");
    check(0..129, "skiplist");
    let mut broken = listpack(0..3);
    broken.push_back(b"x");
    assert_eq!(ZSet::from_listpack(broken).err(), Some(ZSetError::Odd));
}

#[test]
fn random_choices_are_uniform() {
    for members in [10, 300] {
        let zset = numbered(members);
        let random = &mut seeded(7);
        let mut drawn = vec![0; members];
        (0..members * 100).for_each(|_| drawn[zset.random(random).unwrap().1 as usize] += 1);
        assert_uniform(&drawn);
        let mut sampled = vec![0; members];
        for _ in 0..members * 20 {
            let sample = zset.sample(5, random);
            assert_eq!(sample.iter().map(|(member, _)| member.to_vec()).collect::<HashSet<_>>().len(), 5);
            sample.into_iter().for_each(|(_, score)| sampled[score as usize] += 1);
        }
        assert!(sampled.iter().all(|&count| (50..=150).contains(&count)), "{sampled:?}");
        assert_eq!(zset.sample(members + 1, random).len(), members);
    }
    assert!(ZSet::new().random(&mut seeded(1)).is_none());
}

#[test]
fn a_scan_returns_what_stays_while_the_set_changes() {
    for members in [100, 5_000] {
        let mut zset = numbered(members);
        let mut seen = HashSet::new();
        let mut cursor = 0;
        let mut gone = members;
        loop {
            cursor =
                zset.scan(cursor, 10, |member, score| _ = seen.insert((member.to_vec(), score as usize)));
            if cursor == 0 {
                break;
            }
            // The upper half leaves meanwhile.
            if gone > members / 2 {
                gone -= 10;
                zset.remove_range(gone..gone + 10, |_, _| ());
            }
        }
        assert!(
            (0..members / 2).all(|number| seen.contains(&(format!("member:{number}").into_bytes(), number)))
        );
    }
}

#[test]
fn memory_is_counted_as_it_changes() {
    let mut zset = numbered(1_000);
    let before = (zset.memory_bytes(), zset.effort());
    assert!(before.0 > 1_000 * (24 + 8 + 16) && before.0 < 1_000 * 100, "{before:?}");
    zset.insert(&[b'x'; 10_000], 3.0);
    assert!(zset.memory_bytes() > before.0 + 10_000);
    zset.remove(&[b'x'; 10_000]);
    assert!(zset.memory_bytes().abs_diff(before.0) < 2_000);
    zset.pop(Order::Ascending, 990, |_, _| ());
    assert!(zset.memory_bytes() < 10_000 && zset.effort() < 100);
    assert_eq!(numbered(3).effort(), 1);
}
