//! Taking elements from the ends, at once or as soon as there are some.
//!
//! A waiting command is run again when one of its keys came into being, with that key as the only one that its plan names:
//! what the others hold is of no interest.

use rustredis_keyspace::types::list::{End, List};
use rustredis_keyspace::{BlockRequest, EventClass, Key, Kind, View};
use rustredis_resp::Reply;

use super::ends::{end, pop_event};
use crate::args::Args;
use crate::error::{CommandError, Outcome};
use crate::{element, rewrite};

pub(super) fn lpop(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop(view, args, reply, End::Front)
}

pub(super) fn rpop(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop(view, args, reply, End::Back)
}

fn pop(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>, end: End) -> Outcome {
    match args.len() {
        2 => pop_one(view, args.key(1), reply, end),
        3 => pop_count(view, args, reply, end),
        _ => {
            let name = String::from_utf8_lossy(args.get(0)).to_lowercase();
            Err(CommandError::Arity(name))
        }
    }
}

fn pop_one(view: &mut View<'_>, key: Key<'_>, reply: &mut Reply<'_>, end: End) -> Outcome {
    let Some(list) = view.collection_mut::<List>(key)? else {
        reply.null();
        return Ok(());
    };
    reply.bulk_or_null(list.pop(end).as_deref());
    let is_empty = list.is_empty();
    removed(view, key, end, 1, is_empty);
    Ok(())
}

fn pop_count(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>, end: End) -> Outcome {
    let key = args.key(1);
    let count = args.int(2).ok().and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(CommandError::NotPositive)?;
    let Some(list) = view.collection_mut::<List>(key)? else {
        reply.null_array();
        return Ok(());
    };
    if count == 0 {
        reply.array(0);
        return Ok(());
    }
    let popped = reply_popped(list, end, count, reply);
    let is_empty = list.is_empty();
    removed(view, key, end, popped, is_empty);
    Ok(())
}

/// Takes up to `count` elements into an array; how many they were.
fn reply_popped(list: &mut List, end: End, count: usize, reply: &mut Reply<'_>) -> usize {
    reply.array(count.min(list.len()));
    list.pop_with(end, count, |popped| element::bulk(reply, popped))
}

/// The error of a number of elements that is not positive, or no number.
pub(super) const COUNT_NOT_POSITIVE: CommandError = CommandError::text("ERR count should be greater than 0");

/// What follows when `count` elements were taken from an end of a list.
pub(super) fn removed(view: &mut View<'_>, key: Key<'_>, end: End, count: usize, is_empty: bool) {
    view.changed(key, EventClass::LIST, pop_event(end));
    view.add_dirty(count as u64 - 1);
    if is_empty {
        view.remove_if_empty::<List>(key);
    }
}

pub(super) fn lmpop(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (end, count) = parse_lmpop(args, 1)?;
    if !pop_from_first(view, args, reply, end, Some(count))? {
        reply.null_array();
    }
    Ok(())
}

pub(super) fn blmpop(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (end, count) = parse_lmpop(args, 2)?;
    let until_ms = args.until_ms(1, view.now_ms())?;
    if !pop_from_first(view, args, reply, end, Some(count))? {
        wait(view, until_ms);
    }
    Ok(())
}

pub(super) fn blpop(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    blocking_pop(view, args, reply, End::Front)
}

pub(super) fn brpop(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    blocking_pop(view, args, reply, End::Back)
}

fn blocking_pop(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>, end: End) -> Outcome {
    let until_ms = args.until_ms(args.len() - 1, view.now_ms())?;
    if !pop_from_first(view, args, reply, end, None)? {
        wait(view, until_ms);
    }
    Ok(())
}

fn wait(view: &mut View<'_>, until_ms: u64) {
    view.block(BlockRequest::new(until_ms, Kind::List));
}

/// What stands behind the keys that argument `numkeys` counts: the end, and how many elements.
fn parse_lmpop(args: Args<'_>, numkeys: usize) -> Result<(End, usize), CommandError> {
    let positive = |index, error| {
        let value = args.int(index).ok().and_then(|value| usize::try_from(value).ok());
        value.filter(|value| *value > 0).ok_or(error)
    };
    let keys = positive(numkeys, CommandError::NumKeys)?;
    let direction = keys.saturating_add(numkeys + 1);
    if direction >= args.len() {
        return Err(CommandError::Syntax);
    }
    let end = end(args, direction)?;
    let option = direction + 1;
    if option == args.len() {
        return Ok((end, 1));
    }
    if !args.is(option, "count") || option + 1 == args.len() {
        return Err(CommandError::Syntax);
    }
    let count = positive(option + 1, COUNT_NOT_POSITIVE)?;
    if option + 2 < args.len() { Err(CommandError::Syntax) } else { Ok((end, count)) }
}

/// Takes from the first of the keys that has a list: one element, or up to `count` in an array; whether there was one.
fn pop_from_first(
    view: &mut View<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    end: End,
    count: Option<usize>,
) -> Result<bool, CommandError> {
    for key in args.keys() {
        let Some(list) = view.collection_mut::<List>(key)? else { continue };
        reply.array(2);
        reply.bulk(key.bytes);
        let popped = match count {
            Some(count) => reply_popped(list, end, count, reply),
            None => {
                reply.bulk_or_null(list.pop(end).as_deref());
                1
            }
        };
        let is_empty = list.is_empty();
        removed(view, key, end, popped, is_empty);
        let (name, popped) = (pop_event(end).to_uppercase(), popped.to_string());
        let plain = [name.as_bytes(), key.bytes, popped.as_bytes()];
        rewrite::instead(view, if count.is_some() { &plain } else { &plain[..2] });
        return Ok(true);
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use rustredis_keyspace::{BlockRequest, Kind};

    use crate::testing::{Harness, check};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    fn harness() -> Harness {
        let mut harness = Harness::new();
        check(&mut harness, "RPUSH list a b c d e", ":5");
        check(&mut harness, "SET string value", "+OK");
        harness
    }

    #[test]
    fn one_element_is_taken() {
        let mut harness = harness();
        check(&mut harness, "LPOP list", "$1 a");
        assert_eq!((harness.events(), harness.effects.dirty), (vec!["lpop list".to_owned()], 1));
        check(&mut harness, "RPOP list", "$1 e");
        assert_eq!(harness.events(), ["rpop list"]);
        check(&mut harness, "LPOP missing", "$-1");
        assert_eq!(harness.effects.dirty, 0);
        check(&mut harness, "LPOP string", WRONG_TYPE);
        check(&mut harness, "LPOP list 1 2", "-ERR wrong number of arguments for 'lpop' command");
    }

    #[test]
    fn the_key_goes_with_the_last_element() {
        let mut harness = Harness::new();
        check(&mut harness, "RPUSH list 1 2", ":2");
        check(&mut harness, "LPOP list", "$1 1");
        check(&mut harness, "RPOP list 1", "*1 $1 2");
        assert_eq!(harness.events(), ["rpop list", "del list"]);
        check(&mut harness, "LPUSHX list 1", ":0");
    }

    #[test]
    fn several_elements_are_taken() {
        let mut harness = harness();
        check(&mut harness, "LPOP list 2", "*2 $1 a $1 b");
        assert_eq!((harness.events(), harness.effects.dirty), (vec!["lpop list".to_owned()], 2));
        check(&mut harness, "RPOP list 100", "*3 $1 e $1 d $1 c");
        assert_eq!(harness.effects.dirty, 3);
    }

    #[test]
    fn a_count_is_checked_before_the_key() {
        let mut harness = harness();
        let out_of_range = "-ERR value is out of range, must be positive";
        for count in ["abc", "-1", "99999999999999999999"] {
            check(&mut harness, &format!("LPOP missing {count}"), out_of_range);
            check(&mut harness, &format!("RPOP string {count}"), out_of_range);
        }
        check(&mut harness, "LPOP list 0", "*0");
        assert_eq!(harness.effects.dirty, 0);
        check(&mut harness, "LPOP missing 0", "*-1");
        check(&mut harness, "LPOP missing 2", "*-1");
        check(&mut harness, "LPOP string 0", WRONG_TYPE);
    }

    #[test]
    fn lmpop_takes_from_the_first_list() {
        let mut harness = harness();
        check(&mut harness, "LMPOP 2 missing list RIGHT COUNT 2", "*2 $4 list *2 $1 e $1 d");
        assert_eq!((harness.events(), harness.effects.dirty), (vec!["rpop list".to_owned()], 2));
        assert_eq!(harness.journal(), "RPOP list 2");
        check(&mut harness, "LMPOP 2 list string left", "*2 $4 list *1 $1 a");
        check(&mut harness, "LMPOP 2 missing string left", WRONG_TYPE);
        check(&mut harness, "LMPOP 1 list left count 9", "*2 $4 list *2 $1 b $1 c");
        assert_eq!(harness.events(), ["lpop list", "del list"]);
        check(&mut harness, "LMPOP 1 list left", "*-1");
    }

    #[test]
    fn the_words_of_lmpop_are_checked() {
        let mut harness = harness();
        let mut check = |words: &str, expected: &str| {
            for command in ["LMPOP", "BLMPOP 1", "BLMPOP abc"] {
                check(&mut harness, &format!("{command} {words}"), expected);
            }
        };
        let (numkeys, syntax) = ("-ERR numkeys should be greater than 0", "-ERR syntax error");
        let count = "-ERR count should be greater than 0";
        check("0 list left", numkeys);
        check("-1 list left", numkeys);
        check("abc list left", numkeys);
        check("1 list middle", syntax);
        check("2 list left", syntax);
        check("9223372036854775807 list left", syntax);
        check("1 list left count", syntax);
        check("1 list left count 0", count);
        check("1 list left count -1", count);
        check("1 list left count abc", count);
        check("1 list left count 1 count 2", syntax);
        check("1 list left count 0 count 2", count);
        check("1 list left other 1", syntax);
    }

    #[test]
    fn what_is_there_is_taken_without_waiting() {
        let mut harness = harness();
        check(&mut harness, "BLPOP missing list string 0", "*2 $4 list $1 a");
        assert_eq!((harness.journal(), harness.effects.dirty), ("LPOP list".to_owned(), 1));
        check(&mut harness, "BRPOP list 0", "*2 $4 list $1 e");
        assert_eq!(
            (harness.journal(), harness.events()),
            ("RPOP list".to_owned(), vec!["rpop list".to_owned()])
        );
        check(&mut harness, "BLMPOP 0 2 missing list right count 2", "*2 $4 list *2 $1 d $1 c");
        assert_eq!(harness.journal(), "RPOP list 2");
        check(&mut harness, "BLPOP missing string 0", WRONG_TYPE);
    }

    #[test]
    fn what_is_not_there_is_waited_for() {
        let mut harness = harness();
        check(&mut harness, "BLPOP missing other 1.5", "(blocked)");
        let until_ms = harness.now_ms + 1500;
        let expected = BlockRequest::new(until_ms, Kind::List);
        assert_eq!(harness.effects.block, Some(expected.clone()));
        check(&mut harness, "BLMPOP 0 1 missing left", "(blocked)");
        assert_eq!(harness.effects.block, Some(BlockRequest { until_ms: 0, ..expected }));
        check(&mut harness, "BRPOP missing -1", "-ERR timeout is negative");
        check(&mut harness, "BRPOP missing abc", "-ERR timeout is not a float or out of range");
        check(&mut harness, "BLMPOP abc 1 missing left", "-ERR timeout is not a float or out of range");
    }
}
