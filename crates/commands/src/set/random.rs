//! Random members, taken or answered.
//!
//! What SPOP took is journalled by name: SREM, or DEL for the whole set, so that a replay takes the same.

use rustredis_keyspace::types::set::Set;
use rustredis_keyspace::{EventClass, Key, View};
use rustredis_resp::Reply;

use super::members::removed;
use crate::args::Args;
use crate::error::{CommandError, Outcome};
use crate::{element, rewrite};

/// How many members a journalled SREM names at most.
const SREM_MEMBERS_MAX: usize = 1024;

pub(super) fn spop(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match args.len() {
        2 => pop_one(view, args.key(1), reply),
        3 => pop_count(view, args, reply),
        _ => Err(CommandError::Syntax),
    }
}

fn pop_one(view: &mut View<'_>, key: Key<'_>, reply: &mut Reply<'_>) -> Outcome {
    let random = view.random();
    let Some(set) = view.collection_mut::<Set>(key)? else {
        reply.null();
        return Ok(());
    };
    let member = set.pop_random(&mut || random.next()).unwrap_or_default();
    let is_empty = set.is_empty();
    reply.bulk(&member);
    removed(view, key, "spop", 1, is_empty);
    view.journal_instead(vec![vec![b"SREM".to_vec(), key.bytes.to_vec(), member]]);
    Ok(())
}

fn pop_count(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let count = args.int(2).ok().and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(CommandError::NotPositive)?;
    let random = view.random();
    let set = view.collection_mut::<Set>(key)?.filter(|_| count > 0);
    let Some(set) = set else {
        reply.set(0);
        return Ok(());
    };
    if count >= set.len() {
        pop_all(view, key, reply);
        return Ok(());
    }
    reply.set(count);
    let mut members = Vec::with_capacity(count);
    for _ in 0..count {
        let member = set.pop_random(&mut || random.next()).unwrap_or_default();
        reply.bulk(&member);
        members.push(member);
    }
    removed(view, key, "spop", count, false);
    journal_removal(view, key, members);
    Ok(())
}

fn pop_all(view: &mut View<'_>, key: Key<'_>, reply: &mut Reply<'_>) {
    let count = view.peek(key).and_then(|entry| entry.collection::<Set>()).map_or(0, |set| {
        reply.set(set.len());
        set.iter().for_each(|member| element::bulk(reply, member));
        set.len()
    });
    removed(view, key, "spop", count, false);
    view.delete(key);
    view.notify(EventClass::GENERIC, "del", key.bytes);
    rewrite::del(view, key);
}

fn journal_removal(view: &mut View<'_>, key: Key<'_>, members: Vec<Vec<u8>>) {
    let mut members = members.into_iter().peekable();
    let mut commands = Vec::new();
    while members.peek().is_some() {
        let mut command = rewrite::words(&[b"SREM", key.bytes]);
        command.extend(members.by_ref().take(SREM_MEMBERS_MAX));
        commands.push(command);
    }
    view.journal_instead(commands);
}

pub(super) fn srandmember(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match args.len() {
        2 => {}
        3 => return draw_count(view, args, reply),
        _ => return Err(CommandError::Syntax),
    }
    let random = view.random();
    let set = view.collection::<Set>(args.key(1))?;
    element::bulk_or_null(reply, set.and_then(|set| set.random(&mut || random.next())));
    Ok(())
}

fn draw_count(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let signed = args.int(2)?;
    if signed == i64::MIN {
        return Err(CommandError::OutOfLongRange);
    }
    let count = usize::try_from(signed.unsigned_abs()).unwrap_or(usize::MAX);
    let random = view.random();
    let mut next = || random.next();
    let Some(set) = view.collection::<Set>(args.key(1))? else {
        reply.array(0);
        return Ok(());
    };
    if signed < 0 {
        return draw_independently(set, count, &mut next, reply);
    }
    let count = count.min(set.len());
    reply.array(count);
    if count == set.len() {
        set.iter().for_each(|member| element::bulk(reply, member));
    } else {
        set.sample(count, &mut next).into_iter().for_each(|member| element::bulk(reply, member));
    }
    Ok(())
}

fn draw_independently(
    set: &Set,
    count: usize,
    random: &mut impl FnMut() -> u64,
    reply: &mut Reply<'_>,
) -> Outcome {
    reply.array(count);
    for _ in 0..count {
        if let Some(member) = set.random(random) {
            element::bulk(reply, member);
        }
        if reply.is_full() {
            return Err(CommandError::OutOfRange);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rustredis_resp::Proto;

    use crate::testing::{Harness, check};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    fn harness(members: usize) -> Harness {
        let mut harness = Harness::new();
        let names: Vec<String> = (0..members).map(|n| format!("m{n}")).collect();
        check(&mut harness, &format!("SADD set {}", names.join(" ")), &format!(":{members}"));
        check(&mut harness, "SET string value", "+OK");
        harness
    }

    /// The members in a reply that is an array or a set.
    fn members(reply: &str) -> Vec<String> {
        reply.lines().skip(2).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn each_member_is_taken_once() {
        let mut harness = harness(300);
        let mut taken = BTreeSet::new();
        for left in (0..300).rev() {
            let reply = harness.run("SPOP set");
            let member = reply.lines().nth(1).unwrap().to_owned();
            assert_eq!(harness.journal(), format!("SREM set {member}"));
            assert!(taken.insert(member));
            let last = if left == 0 { &["spop set", "del set"][..] } else { &["spop set"] };
            assert_eq!(
                (harness.events(), harness.effects.dirty),
                (last.iter().map(|event| (*event).to_owned()).collect(), 1)
            );
        }
        check(&mut harness, "SPOP set", "$-1");
        assert_eq!(harness.effects.dirty, 0);
    }

    #[test]
    fn several_members_are_taken() {
        for size in [5, 300, 3000] {
            let mut harness = harness(size);
            let taken = members(&harness.run(&format!("SPOP set {}", size - 2)));
            assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), size - 2);
            assert_eq!(
                (harness.events(), harness.effects.dirty),
                (vec!["spop set".to_owned()], size as u64 - 2)
            );
            let commands: Vec<String> =
                taken.chunks(1024).map(|members| format!("SREM set {}", members.join(" "))).collect();
            assert_eq!(harness.journal(), commands.join("; "));
            let rest = members(&harness.run("SPOP set 2"));
            assert_eq!(rest.len(), 2);
            assert!(rest.iter().all(|member| !taken.contains(member)));
            assert_eq!(harness.events(), ["spop set", "del set"]);
            assert_eq!((harness.journal(), harness.effects.dirty), ("DEL set".to_owned(), 2));
            check(&mut harness, "SCARD set", ":0");
        }
    }

    #[test]
    fn the_arguments_of_spop_are_checked() {
        let mut harness = harness(3);
        check(&mut harness, "SPOP set 0", "*0");
        check(&mut harness, "SPOP missing 2", "*0");
        check(&mut harness, "SPOP missing abc", "-ERR value is out of range, must be positive");
        check(&mut harness, "SPOP string -1", "-ERR value is out of range, must be positive");
        check(&mut harness, "SPOP set 1 2", "-ERR syntax error");
        check(&mut harness, "SPOP string", WRONG_TYPE);
        check(&mut harness, "SPOP string 0", WRONG_TYPE);
        harness.proto = Proto::Resp3;
        check(&mut harness, "SPOP missing 2", "~0");
        check(&mut harness, "SPOP missing", "_");
        assert!(harness.run("SPOP set 2").starts_with("~2\r\n"));
    }

    #[test]
    fn a_positive_count_draws_distinct_members() {
        let mut harness = harness(50);
        for count in [1, 5, 49, 50] {
            let drawn = members(&harness.run(&format!("SRANDMEMBER set {count}")));
            assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), count);
        }
        assert_eq!(members(&harness.run("SRANDMEMBER set 51")).len(), 50);
        check(&mut harness, "SRANDMEMBER set 0", "*0");
        check(&mut harness, "SRANDMEMBER missing 5", "*0");
        check(&mut harness, "SRANDMEMBER missing", "$-1");
        check(&mut harness, "SCARD set", ":50");
    }

    #[test]
    fn a_negative_count_draws_independently() {
        let mut harness = harness(10);
        let drawn = members(&harness.run("SRANDMEMBER set -1000"));
        assert_eq!(drawn.len(), 1000);
        assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), 10);
        check(&mut harness, "SRANDMEMBER missing -5", "*0");
    }

    #[test]
    fn the_arguments_of_srandmember_are_checked() {
        let mut harness = harness(1);
        check(&mut harness, "SRANDMEMBER set", "$2 m0");
        check(&mut harness, "SRANDMEMBER missing abc", "-ERR value is not an integer or out of range");
        check(
            &mut harness,
            "SRANDMEMBER missing -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        );
        check(&mut harness, "SRANDMEMBER set 1 2", "-ERR syntax error");
        check(&mut harness, "SRANDMEMBER string", WRONG_TYPE);
        check(&mut harness, "SRANDMEMBER string 1", WRONG_TYPE);
        harness.proto = Proto::Resp3;
        check(&mut harness, "SRANDMEMBER set 2", "*1 $2 m0");
    }
}
