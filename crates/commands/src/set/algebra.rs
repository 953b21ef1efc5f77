//! Intersection, union and difference.
//!
//! Nothing is copied to be answered: members go from the sets into the reply. A union, and a difference from a large set,
//! must know what has been met already: that is a table of references, one hash for each member ([`Met`]). Only a result
//! that is to be stored is built, as a new set, so that it gets the smallest encoding.
//!
//! The intersection goes through the smallest set and asks the others in the order of their sizes; the union puts
//! all but the largest into the table. A set that is named twice counts once.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use rustredis_keyspace::types::listpack::Element;
use rustredis_keyspace::types::set::Set;
use rustredis_keyspace::{EventClass, Key, Value, View, hashing};
use rustredis_resp::Reply;
use rustredis_resp::reply::Aggregate;
use smallvec::SmallVec;

use crate::args::Args;
use crate::element;
use crate::error::{CommandError, Outcome};
use crate::hyperloglog;

/// The sets that a command names, in its order; `None` for a key that is missing.
type Operands<'v> = SmallVec<[Option<&'v Set>; 8]>;

pub(super) fn sinter(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    answer(reply, intersection(&operands(view, args.keys())?));
    Ok(())
}

pub(super) fn sunion(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    answer(reply, union(&operands(view, args.keys())?));
    Ok(())
}

pub(super) fn sdiff(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    answer(reply, difference(&operands(view, args.keys())?));
    Ok(())
}

pub(super) fn sintercard(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let counting = Counting::parse(args, Approximation::Refused)?;
    let members = intersection(&operands(view, args.keys())?);
    reply.count(members.take(counting.limit).count());
    Ok(())
}

pub(super) fn sunioncard(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let counting = Counting::parse(args, Approximation::Allowed)?;
    let operands = operands(view, args.keys())?;
    let count = if counting.is_approximate {
        let mut met = hyperloglog::Union::new();
        let members = distinct_by_size(&operands).into_iter().flatten();
        members.for_each(|member| met.add(member.as_bytes(&mut [0; 20])));
        usize::try_from(met.count()).unwrap_or(usize::MAX).min(counting.limit)
    } else {
        union(&operands).take(counting.limit).count()
    };
    reply.count(count);
    Ok(())
}

pub(super) fn sdiffcard(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let counting = Counting::parse(args, Approximation::Refused)?;
    let members = difference(&operands(view, args.keys())?);
    reply.count(members.take(counting.limit).count());
    Ok(())
}

/// Whether the word APPROX exists.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Approximation {
    Allowed,
    Refused,
}

/// What stands behind the keys of SINTERCARD and its like.
struct Counting {
    /// How far is counted.
    limit: usize,
    is_approximate: bool,
}

impl Counting {
    fn parse(args: Args<'_>, approximation: Approximation) -> Result<Self, CommandError> {
        let keys = args.int(1).ok().and_then(|keys| usize::try_from(keys).ok()).filter(|keys| *keys > 0);
        let keys = keys.ok_or(CommandError::NumKeys)?;
        if keys > args.len() - 2 {
            return Err(CommandError::text("ERR Number of keys can't be greater than number of args"));
        }
        let mut counting = Self { limit: usize::MAX, is_approximate: false };
        let mut index = keys + 2;
        while index < args.len() {
            if approximation == Approximation::Allowed && args.is(index, "approx") {
                counting.is_approximate = true;
                index += 1;
                continue;
            }
            if index + 1 == args.len() || !args.is(index, "limit") {
                return Err(CommandError::Syntax);
            }
            let limit = args.int(index + 1).ok().and_then(|limit| usize::try_from(limit).ok());
            let limit = limit.ok_or(CommandError::text("ERR LIMIT can't be negative"))?;
            // 0 is none.
            counting.limit = if limit == 0 { usize::MAX } else { limit };
            index += 2;
        }
        Ok(counting)
    }
}

pub(super) fn sinterstore(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut result = Set::new();
    intersection(&operands(view, args.keys().skip(1))?).for_each(|member| _ = result.insert_element(member));
    store(view, args.key(1), result, "sinterstore", reply);
    Ok(())
}

pub(super) fn sunionstore(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let sets = distinct_by_size(&operands(view, args.keys().skip(1))?);
    // The result has all the members of the largest set: the encoding that they would need, it needs at least.
    let mut result = match sets.last().and_then(|largest| largest.iter().next().zip(Some(largest.len()))) {
        Some((member, members)) => Set::with_hint(member.as_bytes(&mut [0; 20]), members),
        None => Set::new(),
    };
    sets.into_iter().rev().flatten().for_each(|member| _ = result.insert_element(member));
    store(view, args.key(1), result, "sunionstore", reply);
    Ok(())
}

pub(super) fn sdiffstore(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut result = Set::new();
    difference(&operands(view, args.keys().skip(1))?).for_each(|member| _ = result.insert_element(member));
    store(view, args.key(1), result, "sdiffstore", reply);
    Ok(())
}

/// Stores a result; an empty one deletes the destination.
fn store(view: &mut View<'_>, destination: Key<'_>, result: Set, event: &'static str, reply: &mut Reply<'_>) {
    reply.count(result.len());
    if !result.is_empty() {
        view.insert(destination, Value::Set(result), None);
        view.changed(destination, EventClass::SET, event);
    } else if view.delete(destination) {
        view.changed(destination, EventClass::GENERIC, "del");
    }
}

/// Looks all the keys up, so that one of another type is an error wherever it stands.
fn operands<'v, 'k>(
    view: &'v View<'_>,
    keys: impl Iterator<Item = Key<'k>>,
) -> Result<Operands<'v>, CommandError> {
    keys.map(|key| view.collection::<Set>(key).map_err(CommandError::from)).collect()
}

/// Answers a set of distinct members.
fn answer<'v>(reply: &mut Reply<'_>, members: impl Iterator<Item = Element<'v>>) {
    let mark = reply.mark();
    let mut count = 0;
    members.for_each(|member| {
        element::bulk(reply, member);
        count += 1;
    });
    reply.close(mark, Aggregate::Set, count);
}

/// The sets that are there, the smallest first, each once.
fn distinct_by_size<'v>(operands: &[Option<&'v Set>]) -> SmallVec<[&'v Set; 8]> {
    let mut sets: SmallVec<[&'v Set; 8]> = operands.iter().copied().flatten().collect();
    sets.sort_unstable_by_key(|set| (set.len(), std::ptr::from_ref(*set)));
    sets.dedup_by(|one, other| std::ptr::eq(*one, *other));
    sets
}

/// The members that all of the sets have.
fn intersection<'v>(operands: &[Option<&'v Set>]) -> impl Iterator<Item = Element<'v>> + use<'v> {
    let has_missing = operands.iter().any(Option::is_none);
    let mut others = distinct_by_size(if has_missing { &[] } else { operands });
    let smallest = (!others.is_empty()).then(|| others.remove(0));
    let members = smallest.into_iter().flatten();
    members.filter(move |member| others.iter().all(|set| set.contains_element(*member)))
}

/// The members that any of the sets has, each once.
fn union<'v>(operands: &[Option<&'v Set>]) -> impl Iterator<Item = Element<'v>> + use<'v> {
    let mut sets = distinct_by_size(operands);
    let largest = sets.pop();
    let mut met = Met::with_capacity(sets.iter().map(|set| set.len()).sum());
    let smaller = sets.into_iter().flatten().map(|member| (member, IsLast::No));
    // What is only looked up need not be entered: the largest set comes last.
    let all = smaller.chain(largest.into_iter().flatten().map(|member| (member, IsLast::Yes)));
    all.filter(move |(member, is_last)| match is_last {
        IsLast::No => met.insert(*member),
        IsLast::Yes => !met.contains(*member),
    })
    .map(|(member, _)| member)
}

/// Whether a member is of the last set of a union.
enum IsLast {
    No,
    Yes,
}

/// The members of the first set that none of the others has.
fn difference<'v>(operands: &[Option<&'v Set>]) -> impl Iterator<Item = Element<'v>> + use<'v> {
    let (first, others) = operands.split_first().map_or((None, &[][..]), |(first, others)| (*first, others));
    let others = distinct_by_size(others);
    let members = first.map_or(0, Set::len);
    let subtrahends: usize = others.iter().map(|set| set.len()).sum();
    // One lookup for each member and set, half of which finds something; or an entry for each member of the others, and a
    // lookup for each of the first set.
    let is_table_cheaper = members.saturating_mul(others.len()) / 2 > members + subtrahends;
    let met = is_table_cheaper.then(|| {
        let mut met = Met::with_capacity(subtrahends);
        others.iter().copied().flatten().for_each(|member| _ = met.insert(member));
        met
    });
    first.into_iter().flatten().filter(move |member| match &met {
        Some(met) => !met.contains(*member),
        // The largest is the likeliest to have it.
        None => !others.iter().rev().any(|set| set.contains_element(*member)),
    })
}

/// Members that were met, by reference.
struct Met<'v>(HashSet<Text<'v>, BuildHasherDefault<PassThrough>>);

impl<'v> Met<'v> {
    fn with_capacity(members: usize) -> Self {
        Self(HashSet::with_capacity_and_hasher(members, BuildHasherDefault::default()))
    }

    /// Enters a member; whether it is new.
    fn insert(&mut self, member: Element<'v>) -> bool {
        self.0.insert(Text(member))
    }

    fn contains(&self, member: Element<'v>) -> bool {
        self.0.contains(&Text(member))
    }
}

/// A member that is the same as another if its text is: one set keeps 12 as an integer, the other as a string.
struct Text<'v>(Element<'v>);

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self.0, other.0) {
            (Element::Str(one), other) | (other, Element::Str(one)) => other.eq_bytes(one),
            (Element::Int(one), Element::Int(other)) => one == other,
        }
    }
}

impl Eq for Text<'_> {}

impl Hash for Text<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(hashing::hash(self.0.as_bytes(&mut [0; 20])));
    }
}

/// Takes the seeded hash as it is.
#[derive(Default)]
struct PassThrough(u64);

impl Hasher for PassThrough {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = hashing::hash(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rustredis_resp::Proto;

    use crate::testing::{Harness, check};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    fn harness() -> Harness {
        let mut harness = Harness::new();
        check(&mut harness, "SADD a 1 2 3 4", ":4");
        check(&mut harness, "SADD b 3 4 x", ":3");
        check(&mut harness, "SADD c 4 x y", ":3");
        check(&mut harness, "SET string value", "+OK");
        harness
    }

    /// Runs a command that answers members, in RESP2, and puts them in order.
    fn members(harness: &mut Harness, line: &str) -> Vec<String> {
        let reply = harness.run(line);
        let mut members: Vec<String> = reply.lines().skip(2).step_by(2).map(str::to_owned).collect();
        assert_eq!(reply.lines().next(), Some(format!("*{}", members.len()).as_str()));
        members.sort_unstable();
        members
    }

    #[track_caller]
    fn check_members(harness: &mut Harness, line: &str, expected: &str) {
        assert_eq!(members(harness, line).join(" "), expected, "{line}");
    }

    #[test]
    fn sets_are_intersected() {
        let mut harness = harness();
        check_members(&mut harness, "SINTER a", "1 2 3 4");
        check_members(&mut harness, "SINTER a b", "3 4");
        check_members(&mut harness, "SINTER a b c", "4");
        check_members(&mut harness, "SINTER c c c", "4 x y");
        check_members(&mut harness, "SINTER a missing", "");
        check_members(&mut harness, "SINTER missing", "");
        check(&mut harness, "SINTERCARD 2 a b", ":2");
        check(&mut harness, "SINTERCARD 2 a b LIMIT 1", ":1");
        check(&mut harness, "SINTERCARD 2 a b limit 0", ":2");
        check(&mut harness, "SINTERCARD 2 a b limit 1 limit 9", ":2");
        check(&mut harness, "SINTERCARD 2 a missing", ":0");
    }

    #[test]
    fn unions_and_differences_are_counted() {
        let mut harness = harness();
        for (line, expected) in [
            ("SUNIONCARD 1 a", ":4"),
            ("SUNIONCARD 3 a b c", ":6"),
            ("SUNIONCARD 3 a missing a LIMIT 3", ":3"),
            ("SUNIONCARD 2 a b limit 0", ":5"),
            ("SUNIONCARD 3 a b c APPROX", ":6"),
            ("SUNIONCARD 3 a b c LIMIT 4 approx", ":4"),
            ("SUNIONCARD 1 missing", ":0"),
            ("SDIFFCARD 2 a b", ":2"),
            ("SDIFFCARD 3 a b c LIMIT 1", ":1"),
            ("SDIFFCARD 2 missing a", ":0"),
            ("SDIFFCARD 1 c limit 0", ":3"),
            ("SDIFFCARD 1 a APPROX", "-ERR syntax error"),
            ("SUNIONCARD 1 a APPROX LIMIT", "-ERR syntax error"),
            ("SUNIONCARD 1 a LIMIT -1", "-ERR LIMIT can't be negative"),
            ("SUNIONCARD 0 a", "-ERR numkeys should be greater than 0"),
            ("SDIFFCARD 3 a b", "-ERR Number of keys can't be greater than number of args"),
            ("SUNIONCARD 2 a string APPROX", WRONG_TYPE),
            ("SDIFFCARD 2 missing string", WRONG_TYPE),
        ] {
            check(&mut harness, line, expected);
        }
        let numbers: Vec<String> = (0..20_000).map(|number| number.to_string()).collect();
        for (key, part) in [("first", &numbers[..15_000]), ("second", &numbers[5_000..])] {
            harness.run(&format!("SADD {key} {}", part.join(" ")));
        }
        check(&mut harness, "SUNIONCARD 2 first second", ":20000");
        let about = harness.run("SUNIONCARD 2 first second APPROX");
        let about: i64 = about.trim_start_matches(':').trim().parse().unwrap();
        assert!((about - 20_000).abs() < 700, "{about}");
    }

    #[test]
    fn sets_are_united() {
        let mut harness = harness();
        check_members(&mut harness, "SUNION a", "1 2 3 4");
        check_members(&mut harness, "SUNION a b", "1 2 3 4 x");
        check_members(&mut harness, "SUNION c b missing a b", "1 2 3 4 x y");
        check_members(&mut harness, "SUNION missing", "");
    }

    #[test]
    fn sets_are_subtracted() {
        let mut harness = harness();
        check_members(&mut harness, "SDIFF a", "1 2 3 4");
        check_members(&mut harness, "SDIFF a b", "1 2");
        check_members(&mut harness, "SDIFF b missing c a", "");
        check_members(&mut harness, "SDIFF c a", "x y");
        check_members(&mut harness, "SDIFF c c", "");
        check_members(&mut harness, "SDIFF missing a", "");
    }

    #[test]
    fn another_type_is_refused_wherever_it_stands() {
        let mut harness = harness();
        for keys in ["missing string", "string missing", "a string"] {
            for command in [
                "SINTER",
                "SUNION",
                "SDIFF",
                "SINTERCARD 2",
                "SINTERSTORE d",
                "SUNIONSTORE d",
                "SDIFFSTORE d",
            ] {
                check(&mut harness, &format!("{command} {keys}"), WRONG_TYPE);
            }
        }
    }

    #[test]
    fn the_words_of_sintercard_are_checked() {
        let mut harness = harness();
        check(&mut harness, "SINTERCARD 0 a", "-ERR numkeys should be greater than 0");
        check(&mut harness, "SINTERCARD abc a", "-ERR numkeys should be greater than 0");
        check(&mut harness, "SINTERCARD 3 a b", "-ERR Number of keys can't be greater than number of args");
        check(&mut harness, "SINTERCARD 1 a limit -1", "-ERR LIMIT can't be negative");
        check(&mut harness, "SINTERCARD 1 a limit abc", "-ERR LIMIT can't be negative");
        check(&mut harness, "SINTERCARD 1 a limit", "-ERR syntax error");
        check(&mut harness, "SINTERCARD 1 a other 1", "-ERR syntax error");
    }

    #[test]
    fn a_result_is_a_set_in_resp3() {
        let mut harness = harness();
        harness.proto = Proto::Resp3;
        check(&mut harness, "SINTER a b", "~2 $1 3 $1 4");
        check(&mut harness, "SDIFF a b c", "~2 $1 1 $1 2");
        check(&mut harness, "SUNION a", "~4 $1 1 $1 2 $1 3 $1 4");
        check(&mut harness, "SINTER missing", "~0");
    }

    #[test]
    fn a_result_is_stored() {
        let mut harness = harness();
        check(&mut harness, "SINTERSTORE d a b", ":2");
        assert_eq!((harness.events(), harness.effects.dirty), (vec!["sinterstore d".to_owned()], 1));
        check_members(&mut harness, "SMEMBERS d", "3 4");
        check(&mut harness, "SUNIONSTORE d a b c", ":6");
        assert_eq!(harness.events(), ["sunionstore d"]);
        check_members(&mut harness, "SMEMBERS d", "1 2 3 4 x y");
        check(&mut harness, "SDIFFSTORE string a b", ":2");
        assert_eq!(harness.events(), ["sdiffstore string"]);
        check_members(&mut harness, "SMEMBERS string", "1 2");
        // The destination may be a source.
        check(&mut harness, "SUNIONSTORE a a b", ":5");
        check_members(&mut harness, "SMEMBERS a", "1 2 3 4 x");
    }

    #[test]
    fn an_empty_result_deletes_the_destination() {
        let mut harness = harness();
        for command in ["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"] {
            check(&mut harness, "SET d value", "+OK");
            check(&mut harness, &format!("{command} d missing other"), ":0");
            assert_eq!((harness.events(), harness.effects.dirty), (vec!["del d".to_owned()], 1));
            check(&mut harness, &format!("{command} d missing other"), ":0");
            assert_eq!((harness.events(), harness.effects.dirty), (vec![], 0));
        }
    }

    #[test]
    fn large_sets_of_all_encodings_agree_with_a_model() {
        let mut harness = Harness::new();
        let sets: [(&str, Vec<String>); 5] = [
            ("integers", (0..400).map(|n| n.to_string()).collect()),
            ("manyintegers", (300..2300).step_by(2).map(|n| n.to_string()).collect()),
            ("mixed", (350..420).map(|n| n.to_string()).chain(["x".to_owned()]).collect()),
            ("table", (0..1000).map(|n| if n % 3 == 0 { n.to_string() } else { format!("m{n}") }).collect()),
            ("single", vec!["m1".to_owned()]),
        ];
        for (name, members) in &sets {
            check(
                &mut harness,
                &format!("SADD {name} {}", members.join(" ")),
                &format!(":{}", members.len()),
            );
        }
        let model: Vec<BTreeSet<String>> =
            sets.iter().map(|(_, members)| members.iter().cloned().collect()).collect();
        // Each choice of three operands, repetitions among them, and one of all, in which a table pays for the difference.
        let mut choices: Vec<Vec<usize>> = (0..125).map(|n| vec![n % 5, n / 5 % 5, n / 25]).collect();
        choices.push(vec![3, 0, 4, 2, 4, 4]);
        choices.push(vec![1, 2, 4, 0, 3]);
        choices.push(vec![3, 4, 2, 0]);
        for choice in choices {
            let keys = choice.iter().map(|index| sets[*index].0).collect::<Vec<_>>().join(" ");
            let all = |fold: fn(&BTreeSet<String>, &BTreeSet<String>) -> BTreeSet<String>| {
                choice[1..]
                    .iter()
                    .fold(model[choice[0]].clone(), |result, index| fold(&result, &model[*index]))
            };
            for (command, expected) in [
                ("SINTER", all(|one, other| one & other)),
                ("SUNION", all(|one, other| one | other)),
                ("SDIFF", all(|one, other| one - other)),
            ] {
                let expected: Vec<String> = expected.into_iter().collect();
                assert_eq!(members(&mut harness, &format!("{command} {keys}")), expected, "{command} {keys}");
                check(
                    &mut harness,
                    &format!("{command}STORE stored {keys}"),
                    &format!(":{}", expected.len()),
                );
                assert_eq!(members(&mut harness, "SMEMBERS stored"), expected, "{command}STORE {keys}");
            }
        }
    }
}
