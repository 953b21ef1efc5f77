//! Moving an element from one end of a list to an end of another, or of the same.

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
