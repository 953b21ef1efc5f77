//! Moving elements from one end of a list to an end of another, or of the same.
//!
//! LMOVEM is journalled as what older servers know: as the pop and the push that it comes down to; within one list, which keeps
//! its expiry, as one LMOVE for each element, or at one end as the LSETs that turn its elements.

use rustredis_keyspace::types::list::{End, List};
use rustredis_keyspace::{BlockRequest, EventClass, Key, Kind, Value, View};
use rustredis_resp::Reply;

use super::ends::{end, push_event};
use super::pop;
use crate::args::Args;
use crate::error::{CommandError, Outcome};
use crate::rewrite;

/// The ends that a transfer is between.
#[derive(Clone, Copy)]
struct Ends {
    from: End,
    to: End,
}

const RIGHT_TO_LEFT: Ends = Ends { from: End::Back, to: End::Front };

pub(super) fn lmove(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let ends = Ends { from: end(args, 3)?, to: end(args, 4)? };
    if !transfer(view, args, reply, ends)? {
        reply.null();
    }
    Ok(())
}

pub(super) fn rpoplpush(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    if !transfer(view, args, reply, RIGHT_TO_LEFT)? {
        reply.null();
    }
    Ok(())
}

pub(super) fn blmove(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let ends = Ends { from: end(args, 3)?, to: end(args, 4)? };
    let until_ms = args.until_ms(5, view.now_ms())?;
    transfer_or_wait(
        view,
        args,
        reply,
        ends,
        until_ms,
        &[b"LMOVE", args.get(1), args.get(2), args.get(3), args.get(4)],
    )
}

pub(super) fn brpoplpush(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let until_ms = args.until_ms(3, view.now_ms())?;
    transfer_or_wait(view, args, reply, RIGHT_TO_LEFT, until_ms, &[b"RPOPLPUSH", args.get(1), args.get(2)])
}

/// Moves an element, or waits for one; `plain` is the command without the waiting.
fn transfer_or_wait(
    view: &mut View<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    ends: Ends,
    until_ms: u64,
    plain: &[&[u8]],
) -> Outcome {
    if transfer(view, args, reply, ends)? {
        rewrite::instead(view, plain);
    } else {
        view.block(BlockRequest { needs_more_keys: true, ..BlockRequest::new(until_ms, Kind::List) });
    }
    Ok(())
}

/// Moves an element from the list at the first argument to that at the second; whether there was one. What the destination
/// holds is of no interest if the source is missing.
fn transfer(
    view: &mut View<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    ends: Ends,
) -> Result<bool, CommandError> {
    let (source, destination) = (args.key(1), args.key(2));
    let is_refused = view.peek(destination).is_some_and(|entry| entry.kind() != Kind::List);
    let Some(list) = view.collection_mut::<List>(source)? else { return Ok(false) };
    if is_refused {
        return Err(CommandError::WrongType);
    }
    let Some(value) = list.pop(ends.from) else { return Ok(false) };
    push_one(view, destination, ends.to, &value)?;
    view.touch(destination);
    view.notify(EventClass::LIST, push_event(ends.to), destination.bytes);
    // Looked at only now: source and destination may be the same list.
    let is_empty = view.collection_mut::<List>(source)?.is_some_and(|list| list.is_empty());
    pop::removed(view, source, ends.from, 1, is_empty);
    reply.bulk(&value);
    Ok(true)
}

/// How LMOVEM moves several elements.
#[derive(Clone, Copy)]
struct Batch {
    count: usize,
    /// Fewer are not moved (`EXACTLY`).
    is_exact: bool,
    /// They keep their order (`BULK`), which one after the other does not at the same end.
    keeps_order: bool,
}

impl Batch {
    const ONE: Self = Self { count: 1, is_exact: false, keeps_order: false };

    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        if args.len() == 5 {
            return Ok(Self::ONE);
        }
        let is_exact = args.is(5, "exactly");
        let keeps_order = args.is(7, "bulk");
        if args.len() != 8 || !(is_exact || args.is(5, "count")) || !(keeps_order || args.is(7, "obo")) {
            return Err(CommandError::Syntax);
        }
        let count = args.int(6).ok().and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
        Ok(Self { count: count.ok_or(pop::COUNT_NOT_POSITIVE)?, is_exact, keeps_order })
    }
}

pub(super) fn lmovem(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let ends = Ends { from: end(args, 3)?, to: end(args, 4)? };
    let batch = Batch::parse(args)?;
    let (source, destination) = (args.key(1), args.key(2));
    let is_refused = view.peek(destination).is_some_and(|entry| entry.kind() != Kind::List);
    let list = view.collection_mut::<List>(source)?;
    if is_refused && list.is_some() {
        return Err(CommandError::WrongType);
    }
    if batch.is_exact && list.as_ref().is_none_or(|list| list.len() < batch.count) {
        reply.null_array();
        return Ok(());
    }
    let Some(list) = list else {
        reply.array(0);
        return Ok(());
    };
    let count = batch.count.min(list.len());
    // In the order of the destination.
    let mut moved: Vec<Vec<u8>> = (0..count).map_while(|_| list.pop(ends.from)).collect();
    if if batch.keeps_order { ends.from == End::Back } else { ends.to == End::Front } {
        moved.reverse();
    }
    reply.array(moved.len());
    moved.iter().for_each(|element| reply.bulk(element));
    let elements: Vec<&[u8]> = match ends.to {
        End::Front => moved.iter().rev().map(Vec::as_slice).collect(),
        End::Back => moved.iter().map(Vec::as_slice).collect(),
    };
    match view.collection_mut::<List>(destination)? {
        Some(list) => list.push_many(ends.to, elements.iter().copied()),
        None => {
            let mut list = List::new();
            list.push_many(ends.to, elements.iter().copied());
            view.insert(destination, Value::List(list), None);
        }
    }
    let is_same = source.bytes == destination.bytes;
    if is_same && batch.keeps_order && ends.from == ends.to {
        // They are where they were.
        return Ok(());
    }
    view.touch(destination);
    view.notify(EventClass::LIST, push_event(ends.to), destination.bytes);
    let is_empty = view.collection_mut::<List>(source)?.is_some_and(|list| list.is_empty());
    pop::removed(view, source, ends.from, count, is_empty);
    let journal = if is_same && ends.from == ends.to {
        let index = |at: usize| match ends.to {
            End::Front => at as i64,
            End::Back => at as i64 - count as i64,
        };
        let set = |(at, element): (usize, &Vec<u8>)| {
            let mut buffer = itoa::Buffer::new();
            rewrite::words(&[b"LSET", source.bytes, buffer.format(index(at)).as_bytes(), element])
        };
        moved.iter().enumerate().map(set).collect()
    } else if is_same {
        let one = [b"LMOVE", source.bytes, source.bytes, args.get(3), args.get(4)];
        vec![rewrite::words(&one); count]
    } else {
        let (pop, push): (&[u8], &[u8]) = (
            if ends.from == End::Front { b"LPOP" } else { b"RPOP" },
            if ends.to == End::Front { b"LPUSH" } else { b"RPUSH" },
        );
        let popped = [pop, source.bytes, itoa::Buffer::new().format(count).as_bytes()].map(<[u8]>::to_vec);
        let pushed = rewrite::words(&[&[push, destination.bytes], elements.as_slice()].concat());
        vec![popped.to_vec(), pushed]
    };
    view.journal_instead(journal);
    Ok(())
}

fn push_one(view: &mut View<'_>, key: Key<'_>, end: End, value: &[u8]) -> Outcome {
    if let Some(list) = view.collection_mut::<List>(key)? {
        list.push(end, value);
        return Ok(());
    }
    let mut list = List::new();
    list.push(end, value);
    view.insert(key, Value::List(list), None);
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustredis_keyspace::{BlockRequest, Kind};

    use crate::testing::{Harness, check};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    fn harness() -> Harness {
        let mut harness = Harness::new();
        check(&mut harness, "RPUSH list a b c d", ":4");
        check(&mut harness, "SET string value", "+OK");
        harness
    }

    #[test]
    fn an_element_is_moved_between_any_ends() {
        let mut harness = harness();
        check(&mut harness, "LMOVE list other LEFT RIGHT", "$1 a");
        assert_eq!(
            (harness.events(), harness.effects.dirty),
            (vec!["rpush other".to_owned(), "lpop list".to_owned()], 1)
        );
        check(&mut harness, "LMOVE list other right left", "$1 d");
        check(&mut harness, "LMOVE list other left left", "$1 b");
        check(&mut harness, "RPOPLPUSH list other", "$1 c");
        assert_eq!(harness.events(), ["lpush other", "rpop list", "del list"]);
        check(&mut harness, "LRANGE other 0 -1", "*4 $1 c $1 b $1 d $1 a");
        check(&mut harness, "RPOPLPUSH list other", "$-1");
        assert_eq!(harness.effects.dirty, 0);
    }

    #[test]
    fn a_list_is_turned() {
        let mut harness = harness();
        check(&mut harness, "LMOVE list list left right", "$1 a");
        check(&mut harness, "LMOVE list list left left", "$1 b");
        check(&mut harness, "LRANGE list 0 -1", "*4 $1 b $1 c $1 d $1 a");
        check(&mut harness, "RPUSH one a", ":1");
        check(&mut harness, "RPOPLPUSH one one", "$1 a");
        assert_eq!(harness.events(), ["lpush one", "rpop one"]);
        check(&mut harness, "LRANGE one 0 -1", "*1 $1 a");
    }

    #[test]
    fn several_elements_are_moved() {
        let mut harness = Harness::new();
        for (options, reply, list, other, journal) in [
            ("LEFT LEFT", "*1 $1 a", "b c d", "a x", "LPOP list 1; LPUSH other a"),
            ("LEFT LEFT COUNT 2 OBO", "*2 $1 b $1 a", "c d", "b a x", "LPOP list 2; LPUSH other a b"),
            ("LEFT LEFT COUNT 2 BULK", "*2 $1 a $1 b", "c d", "a b x", "LPOP list 2; LPUSH other b a"),
            ("left right exactly 2 obo", "*2 $1 a $1 b", "c d", "x a b", "LPOP list 2; RPUSH other a b"),
            ("RIGHT LEFT COUNT 2 OBO", "*2 $1 c $1 d", "a b", "c d x", "RPOP list 2; LPUSH other d c"),
            ("RIGHT RIGHT COUNT 2 OBO", "*2 $1 d $1 c", "a b", "x d c", "RPOP list 2; RPUSH other d c"),
            ("RIGHT RIGHT COUNT 2 BULK", "*2 $1 c $1 d", "a b", "x c d", "RPOP list 2; RPUSH other c d"),
            (
                "LEFT RIGHT COUNT 9 BULK",
                "*4 $1 a $1 b $1 c $1 d",
                "",
                "x a b c d",
                "LPOP list 4; RPUSH other a b c d",
            ),
        ] {
            harness.run("DEL list other");
            harness.run("RPUSH list a b c d");
            harness.run("RPUSH other x");
            check(&mut harness, &format!("LMOVEM list other {options}"), reply);
            assert_eq!(harness.journal(), journal, "{options}");
            for (key, expected) in [("list", list), ("other", other)] {
                let elements: Vec<&str> = expected.split_whitespace().collect();
                let expected: String = elements.iter().map(|element| format!(" $1 {element}")).collect();
                let expected = format!("*{}{expected}", elements.len());
                check(&mut harness, &format!("LRANGE {key} 0 -1"), &expected);
            }
        }
        harness.run("DEL new");
        check(&mut harness, "LMOVEM other new RIGHT LEFT COUNT 9 OBO", "*5 $1 x $1 a $1 b $1 c $1 d");
        assert_eq!(harness.events(), ["lpush new", "rpop other", "del other"]);
        assert_eq!(harness.effects.dirty, 5);
    }

    #[test]
    fn several_elements_are_turned() {
        let mut harness = harness();
        check(&mut harness, "LMOVEM list list LEFT LEFT EXACTLY 2 OBO", "*2 $1 b $1 a");
        assert_eq!(harness.journal(), "LSET list 0 b; LSET list 1 a");
        check(&mut harness, "LMOVEM list list RIGHT LEFT COUNT 2 BULK", "*2 $1 c $1 d");
        assert_eq!(harness.journal(), "LMOVE list list RIGHT LEFT; LMOVE list list RIGHT LEFT");
        check(&mut harness, "LRANGE list 0 -1", "*4 $1 c $1 d $1 b $1 a");
        check(&mut harness, "LMOVEM list list RIGHT RIGHT COUNT 2 OBO", "*2 $1 a $1 b");
        assert_eq!(harness.journal(), "LSET list -2 a; LSET list -1 b");
        check(&mut harness, "LMOVEM list list RIGHT RIGHT COUNT 2 OBO", "*2 $1 b $1 a");
        check(&mut harness, "LMOVEM list list LEFT LEFT COUNT 9 OBO", "*4 $1 a $1 b $1 d $1 c");
        assert_eq!(harness.events(), ["lpush list", "lpop list"]);
        check(&mut harness, "LMOVEM list list RIGHT RIGHT COUNT 3 BULK", "*3 $1 b $1 d $1 c");
        assert_eq!((harness.effects.dirty, harness.events().len()), (0, 0));
        check(&mut harness, "LRANGE list 0 -1", "*4 $1 a $1 b $1 d $1 c");
    }

    #[test]
    fn what_several_elements_are_is_checked() {
        let mut harness = harness();
        check(&mut harness, "LMOVEM list other LEFT LEFT EXACTLY 5 BULK", "*-1");
        check(&mut harness, "LMOVEM none list LEFT LEFT EXACTLY 1 BULK", "*-1");
        check(&mut harness, "LMOVEM none string LEFT LEFT COUNT 1 BULK", "*0");
        check(&mut harness, "LMOVEM none list LEFT LEFT", "*0");
        check(&mut harness, "LMOVEM list string LEFT LEFT", WRONG_TYPE);
        check(&mut harness, "LMOVEM string list LEFT LEFT", WRONG_TYPE);
        for options in [
            "LEFT up",
            "LEFT LEFT COUNT 2",
            "LEFT LEFT COUNT 2 OBO x",
            "LEFT LEFT OBO COUNT 2",
            "LEFT LEFT BULK",
        ] {
            check(&mut harness, &format!("LMOVEM list other {options}"), "-ERR syntax error");
        }
        for count in ["0", "-1", "x"] {
            let line = format!("LMOVEM list other LEFT LEFT EXACTLY {count} OBO");
            check(&mut harness, &line, "-ERR count should be greater than 0");
        }
        check(&mut harness, "LLEN list", ":4");
    }

    #[test]
    fn the_source_is_looked_at_before_the_destination() {
        let mut harness = harness();
        check(&mut harness, "LMOVE missing list left middle", "-ERR syntax error");
        check(&mut harness, "LMOVE missing string left right", "$-1");
        check(&mut harness, "RPOPLPUSH missing string", "$-1");
        for (source, destination) in [("list", "string"), ("string", "list"), ("string", "string")] {
            check(&mut harness, &format!("LMOVE {source} {destination} left right"), WRONG_TYPE);
            check(&mut harness, &format!("RPOPLPUSH {source} {destination}"), WRONG_TYPE);
            check(&mut harness, &format!("BRPOPLPUSH {source} {destination} 0"), WRONG_TYPE);
        }
        check(&mut harness, "LLEN list", ":4");
    }

    #[test]
    fn a_transfer_that_may_wait_is_journalled_without_the_waiting() {
        let mut harness = harness();
        check(&mut harness, "BLMOVE list other Left Right 0", "$1 a");
        assert_eq!(harness.journal(), "LMOVE list other Left Right");
        check(&mut harness, "BRPOPLPUSH list other 0", "$1 d");
        assert_eq!(harness.journal(), "RPOPLPUSH list other");
        check(&mut harness, "BRPOPLPUSH missing string 2", "(blocked)");
        let until_ms = harness.now_ms + 2000;
        let expected = BlockRequest { needs_more_keys: true, ..BlockRequest::new(until_ms, Kind::List) };
        assert_eq!(harness.effects.block, Some(expected));
        check(&mut harness, "BLMOVE missing string left left 0", "(blocked)");
        check(&mut harness, "BLMOVE list other middle left abc", "-ERR syntax error");
        check(&mut harness, "BLMOVE list other left left abc", "-ERR timeout is not a float or out of range");
    }
}
