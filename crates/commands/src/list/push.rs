//! Adding elements at the ends.

use rustredis_keyspace::types::list::{End, List};
use rustredis_keyspace::{EventClass, Value, View};
use rustredis_resp::Reply;

use super::ends::push_event;
use crate::args::Args;
use crate::error::Outcome;

/// What a push does if there is no list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IfMissing {
    Create,
    Leave,
}

pub(super) fn lpush(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    push(view, args, reply, End::Front, IfMissing::Create)
}

pub(super) fn rpush(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    push(view, args, reply, End::Back, IfMissing::Create)
}

pub(super) fn lpushx(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    push(view, args, reply, End::Front, IfMissing::Leave)
}

pub(super) fn rpushx(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    push(view, args, reply, End::Back, IfMissing::Leave)
}

fn push(
    view: &mut View<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    end: End,
    if_missing: IfMissing,
) -> Outcome {
    let key = args.key(1);
    let elements = args.from(2);
    let count = elements.len() as u64;
    let length = match view.collection_mut::<List>(key)? {
        Some(list) => {
            list.push_many(end, elements);
            list.len()
        }
        None if if_missing == IfMissing::Leave => {
            reply.int(0);
            return Ok(());
        }
        None => {
            let mut list = List::new();
            list.push_many(end, elements);
            let length = list.len();
            view.insert(key, Value::List(list), None);
            length
        }
    };
    view.changed(key, EventClass::LIST, push_event(end));
    view.add_dirty(count - 1);
    reply.count(length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Harness, check};

    #[test]
    fn elements_go_in_one_by_one() {
        let mut harness = Harness::new();
        check(&mut harness, "RPUSH list a b", ":2");
        assert_eq!((harness.events(), harness.effects.dirty), (vec!["rpush list".to_owned()], 2));
        check(&mut harness, "LPUSH list 1 2", ":4");
        assert_eq!((harness.events(), harness.effects.dirty), (vec!["lpush list".to_owned()], 2));
        check(&mut harness, "LRANGE list 0 -1", "*4 $1 2 $1 1 $1 a $1 b");
    }

    #[test]
    fn a_push_with_x_makes_no_list() {
        let mut harness = Harness::new();
        check(&mut harness, "LPUSHX list a", ":0");
        check(&mut harness, "RPUSHX list a", ":0");
        assert_eq!(harness.effects.dirty, 0);
        check(&mut harness, "LLEN list", ":0");
        check(&mut harness, "RPUSH list a", ":1");
        check(&mut harness, "RPUSHX list b c", ":3");
        check(&mut harness, "LPUSHX list 0", ":4");
        check(&mut harness, "LRANGE list 0 -1", "*4 $1 0 $1 a $1 b $1 c");
    }

    #[test]
    fn other_types_are_refused() {
        let mut harness = Harness::new();
        check(&mut harness, "SET string value", "+OK");
        for command in ["LPUSH", "RPUSH", "LPUSHX", "RPUSHX"] {
            check(
                &mut harness,
                &format!("{command} string a"),
                "-WRONGTYPE Operation against a key holding the wrong kind of value",
            );
        }
    }
}
