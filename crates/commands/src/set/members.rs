//! Commands on the members of one set, and from one set to another.

use rustredis_keyspace::types::set::Set;
use rustredis_keyspace::{EventClass, Key, Kind, Value, View};
use rustredis_resp::Reply;

use crate::args::Args;
use crate::element;
use crate::error::{CommandError, Outcome};
use crate::scan::{self, Grammar, Scan};

pub(super) fn sadd(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let members = args.from(2);
    let added = match view.collection_mut::<Set>(key)? {
        Some(set) => members.filter(|member| set.insert(member)).count(),
        None => {
            let mut set = Set::with_hint(args.get(2), members.len());
            let added = members.filter(|member| set.insert(member)).count();
            view.insert(key, Value::Set(set), None);
            added
        }
    };
    if added > 0 {
        view.changed(key, EventClass::SET, "sadd");
        view.add_dirty(added as u64 - 1);
    }
    reply.count(added);
    Ok(())
}

pub(super) fn srem(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let Some(set) = view.collection_mut::<Set>(key)? else {
        reply.int(0);
        return Ok(());
    };
    let removed = args.from(2).filter(|member| set.remove(member)).count();
    if removed > 0 {
        let is_empty = set.is_empty();
        self::removed(view, key, "srem", removed, is_empty);
    }
    reply.count(removed);
    Ok(())
}

/// What follows when `count` members were taken from a set.
pub(super) fn removed(view: &mut View<'_>, key: Key<'_>, event: &'static str, count: usize, is_empty: bool) {
    view.changed(key, EventClass::SET, event);
    view.add_dirty(count as u64 - 1);
    if is_empty {
        view.remove_if_empty::<Set>(key);
    }
}

pub(super) fn smove(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (source, destination, member) = (args.key(1), args.key(2), args.get(3));
    let is_refused = view.peek(destination).is_some_and(|entry| entry.kind() != Kind::Set);
    let Some(set) = view.collection_mut::<Set>(source)? else {
        reply.int(0);
        return Ok(());
    };
    if is_refused {
        return Err(CommandError::WrongType);
    }
    if source.bytes == destination.bytes {
        reply.count(usize::from(set.contains(member)));
        return Ok(());
    }
    if !set.remove(member) {
        reply.int(0);
        return Ok(());
    }
    let is_empty = set.is_empty();
    removed(view, source, "srem", 1, is_empty);
    let is_added = match view.collection_mut::<Set>(destination)? {
        Some(set) => set.insert(member),
        None => {
            let mut set = Set::with_hint(member, 1);
            set.insert(member);
            view.insert(destination, Value::Set(set), None);
            true
        }
    };
    if is_added {
        view.changed(destination, EventClass::SET, "sadd");
    }
    reply.int(1);
    Ok(())
}

pub(super) fn sismember(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let set = view.collection::<Set>(args.key(1))?;
    reply.count(usize::from(set.is_some_and(|set| set.contains(args.get(2)))));
    Ok(())
}

pub(super) fn smismember(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let set = view.collection::<Set>(args.key(1))?;
    let members = args.from(2);
    reply.array(members.len());
    for member in members {
        reply.count(usize::from(set.is_some_and(|set| set.contains(member))));
    }
    Ok(())
}

pub(super) fn smembers(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let set = view.collection::<Set>(args.key(1))?;
    reply.set(set.map_or(0, Set::len));
    set.into_iter().flatten().for_each(|member| element::bulk(reply, member));
    Ok(())
}

pub(super) fn scard(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.count(view.collection::<Set>(args.key(1))?.map_or(0, Set::len));
    Ok(())
}

pub(super) fn sscan(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    // A missing key hides wrong options, though no wrong cursor.
    scan::cursor(args, 2)?;
    let Some(set) = view.collection::<Set>(args.key(1))? else {
        Scan::answer(reply, |_| (0, 0));
        return Ok(());
    };
    let scan = Scan::parse(args, 2, Grammar::Members)?;
    Scan::answer(reply, |members| {
        let mut count = 0;
        let cursor = set.scan(scan.cursor, scan.count, |member| {
            if scan.matches(member.as_bytes(&mut [0; 20])) {
                element::bulk(members, member);
                count += 1;
            }
        });
        (cursor, count)
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustredis_resp::Proto;

    use crate::testing::{Harness, check};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    fn harness() -> Harness {
        let mut harness = Harness::new();
        check(&mut harness, "SADD set 1 2 3", ":3");
        check(&mut harness, "SET string value", "+OK");
        harness
    }

    #[test]
    fn members_are_added_once() {
        let mut harness = Harness::new();
        check(&mut harness, "SADD set a b a", ":2");
        assert_eq!((harness.events(), harness.effects.dirty), (vec!["sadd set".to_owned()], 2));
        check(&mut harness, "SADD set a b", ":0");
        assert_eq!((harness.events(), harness.effects.dirty), (vec![], 0));
        check(&mut harness, "SADD set b c", ":1");
        check(&mut harness, "SCARD set", ":3");
        check(&mut harness, "SET string value", "+OK");
        check(&mut harness, "SADD string a", WRONG_TYPE);
    }

    #[test]
    fn members_are_removed() {
        let mut harness = harness();
        check(&mut harness, "SREM set 1 9 1", ":1");
        assert_eq!((harness.events(), harness.effects.dirty), (vec!["srem set".to_owned()], 1));
        check(&mut harness, "SREM set 9", ":0");
        assert_eq!((harness.events(), harness.effects.dirty), (vec![], 0));
        check(&mut harness, "SREM set 2 3 4", ":2");
        assert_eq!(
            (harness.events(), harness.effects.dirty),
            (vec!["srem set".to_owned(), "del set".to_owned()], 2)
        );
        check(&mut harness, "SREM set 2", ":0");
        check(&mut harness, "SREM string 2", WRONG_TYPE);
    }

    #[test]
    fn a_member_is_moved() {
        let mut harness = harness();
        check(&mut harness, "SMOVE set other 1", ":1");
        assert_eq!(
            (harness.events(), harness.effects.dirty),
            (vec!["srem set".to_owned(), "sadd other".to_owned()], 2)
        );
        check(&mut harness, "SADD other 2", ":1");
        check(&mut harness, "SMOVE set other 2", ":1");
        assert_eq!((harness.events(), harness.effects.dirty), (vec!["srem set".to_owned()], 1));
        check(&mut harness, "SMOVE set other 9", ":0");
        check(&mut harness, "SMOVE set set 3", ":1");
        check(&mut harness, "SMOVE set set 9", ":0");
        assert_eq!(harness.effects.dirty, 0);
        check(&mut harness, "SMOVE set other 3", ":1");
        assert_eq!(harness.events(), ["srem set", "del set", "sadd other"]);
        check(&mut harness, "SMEMBERS other", "*3 $1 1 $1 2 $1 3");
    }

    #[test]
    fn the_source_of_a_move_is_looked_at_first() {
        let mut harness = harness();
        check(&mut harness, "SMOVE missing string x", ":0");
        check(&mut harness, "SMOVE set string 9", WRONG_TYPE);
        check(&mut harness, "SMOVE string set x", WRONG_TYPE);
        check(&mut harness, "SMOVE string string x", WRONG_TYPE);
    }

    #[test]
    fn members_are_asked_for() {
        let mut harness = harness();
        check(&mut harness, "SISMEMBER set 1", ":1");
        check(&mut harness, "SISMEMBER set 9", ":0");
        check(&mut harness, "SISMEMBER missing 9", ":0");
        check(&mut harness, "SMISMEMBER set 1 9 2", "*3 :1 :0 :1");
        check(&mut harness, "SMISMEMBER missing 1 9", "*2 :0 :0");
        check(&mut harness, "SMEMBERS set", "*3 $1 1 $1 2 $1 3");
        check(&mut harness, "SMEMBERS missing", "*0");
        check(&mut harness, "SCARD missing", ":0");
        for command in ["SISMEMBER string 1", "SMISMEMBER string 1", "SMEMBERS string", "SCARD string"] {
            check(&mut harness, command, WRONG_TYPE);
        }
        harness.proto = Proto::Resp3;
        check(&mut harness, "SMEMBERS set", "~3 $1 1 $1 2 $1 3");
        check(&mut harness, "SMISMEMBER set 1 9", "*2 :1 :0");
    }

    #[test]
    fn a_small_set_is_scanned_at_once() {
        let mut harness = harness();
        check(&mut harness, "SSCAN set 0", "*2 $1 0 *3 $1 1 $1 2 $1 3");
        check(&mut harness, "SSCAN set 0 COUNT 1 MATCH [12]", "*2 $1 0 *2 $1 1 $1 2");
        check(&mut harness, "SSCAN missing 7", "*2 $1 0 *0");
        check(&mut harness, "SSCAN missing 0 OTHER", "*2 $1 0 *0");
        check(&mut harness, "SSCAN missing x", "-ERR invalid cursor");
        check(&mut harness, "SSCAN set 0 OTHER", "-ERR syntax error");
        check(&mut harness, "SSCAN string 0", WRONG_TYPE);
    }

    #[test]
    fn a_large_set_is_scanned_in_pages() {
        let mut harness = Harness::new();
        let members: Vec<String> = (0..1000).map(|n| format!("member:{n:04}")).collect();
        check(&mut harness, &format!("SADD set {}", members.join(" ")), ":1000");
        let (mut found, mut cursor, mut pages) = (Vec::new(), "0".to_owned(), 0);
        loop {
            let reply = harness.run(&format!("SSCAN set {cursor} COUNT 50 MATCH *0"));
            let lines: Vec<&str> = reply.lines().collect();
            cursor = lines[2].to_owned();
            found.extend(lines[4..].iter().skip(1).step_by(2).map(|member| (*member).to_owned()));
            pages += 1;
            if cursor == "0" {
                break;
            }
        }
        found.sort_unstable();
        assert_eq!(found, members.iter().filter(|name| name.ends_with('0')).cloned().collect::<Vec<_>>());
        assert!((15..=25).contains(&pages), "{pages} pages");
    }
}
