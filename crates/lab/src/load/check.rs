//! Whether a reply is what its command must answer: its type, and for values every byte.

use crate::load::mix::Expect;
use crate::load::reply::{Reply, ReplyKind, Scanner};
use crate::load::value::is_part;

/// Bytes of a reply that a reader of an error is shown.
const SHOWN_BYTES: usize = 100;

/// What a reply is compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Awaited<'a> {
    pub(crate) expect: Expect,
    /// The command's keys, as many as [`Expect::keys`] says; of EXEC those of all commands before it.
    pub(crate) keys: &'a [u64],
    /// Of EXEC: what the commands before it answer.
    pub(crate) queued: &'a [Expect],
    /// Lengths that values may have; empty: any.
    pub(crate) lengths: &'a [usize],
}

/// Whether the reply is what the command must answer; true for a read of a key that is not there. `bytes` begins with the
/// reply.
pub(crate) fn check(awaited: Awaited<'_>, reply: &Reply, bytes: &[u8]) -> Result<bool, String> {
    if reply.kind == ReplyKind::Error {
        return Err(shown(&bytes[reply.body.clone()]));
    }
    if let Some(inner) = &reply.inner_error {
        return Err(shown(&bytes[inner.clone()]));
    }
    let body = &bytes[reply.body.clone()];
    let kind = reply.kind;
    let is_miss = match awaited.expect {
        Expect::Ok | Expect::Discard(_) => (kind == ReplyKind::Simple && body == b"OK").then_some(false),
        Expect::Queued => (kind == ReplyKind::Simple && body == b"QUEUED").then_some(false),
        Expect::Integer => (kind == ReplyKind::Scalar && is_integer(body)).then_some(false),
        Expect::Array => (kind == ReplyKind::Aggregate).then_some(false),
        Expect::Any => Some(false),
        Expect::Text => matches!(kind, ReplyKind::Bulk | ReplyKind::Nil).then_some(kind == ReplyKind::Nil),
        Expect::Value => return value(awaited, kind, body),
        Expect::Part(first, last) => return part(awaited, kind, body, first, last),
        Expect::Values(count) if kind == ReplyKind::Aggregate && reply.elements == usize::from(count) => {
            return elements(awaited, reply, bytes, |_| Expect::Value);
        }
        Expect::Exec(count) if kind == ReplyKind::Aggregate && reply.elements == usize::from(count) => {
            return elements(awaited, reply, bytes, |index| awaited.queued[index]);
        }
        Expect::Values(_) | Expect::Exec(_) => None,
    };
    is_miss.ok_or_else(|| {
        format!("wrong reply: {kind:?} {} to a command that answers {:?}", shown(body), awaited.expect)
    })
}

fn is_integer(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| text.parse::<i64>().is_ok())
}

fn value(awaited: Awaited<'_>, kind: ReplyKind, body: &[u8]) -> Result<bool, String> {
    let [key] = awaited.keys else { return Err("a value without its key".to_owned()) };
    match kind {
        ReplyKind::Nil => Ok(true),
        ReplyKind::Bulk if !is_part(body, *key, body.len(), 0) => {
            Err(format!("wrong reply: {} is not the value of key {key}", shown(body)))
        }
        ReplyKind::Bulk if !awaited.lengths.is_empty() && !awaited.lengths.contains(&body.len()) => Err(
            format!("wrong reply: a value of {} bytes, and {:?} were written", body.len(), awaited.lengths),
        ),
        ReplyKind::Bulk => Ok(false),
        _ => Err(format!("wrong reply: {kind:?} {} instead of a value", shown(body))),
    }
}

/// GETRANGE: an empty one is a miss, unless it was asked for.
fn part(awaited: Awaited<'_>, kind: ReplyKind, body: &[u8], first: i64, last: i64) -> Result<bool, String> {
    let [key] = awaited.keys else { return Err("a part of a value without its key".to_owned()) };
    if kind != ReplyKind::Bulk {
        return Err(format!("wrong reply: {kind:?} {} instead of a part of a value", shown(body)));
    }
    let is_of = |bytes: &usize| {
        let length = *bytes as i64;
        let place = |position: i64| if position < 0 { (position + length).max(0) } else { position };
        let (start, end) = (place(first), (place(last) + 1).min(length));
        let wanted = (end - start).max(0);
        body.len() as i64 == wanted && (wanted == 0 || is_part(body, *key, *bytes, start.max(0) as usize))
    };
    // What is not there is empty; and where nobody knows the lengths, a part may be of any.
    if body.is_empty() || awaited.lengths.is_empty() || awaited.lengths.iter().any(is_of) {
        Ok(body.is_empty() && !awaited.lengths.iter().any(is_of))
    } else {
        Err(format!("wrong reply: {} is not that part of the value of key {key}", shown(body)))
    }
}

/// Each element as the reply of its own command.
fn elements(
    awaited: Awaited<'_>,
    reply: &Reply,
    bytes: &[u8],
    expect: impl Fn(usize) -> Expect,
) -> Result<bool, String> {
    let mut rest = &bytes[reply.body.end + 2..reply.bytes];
    let mut keys = awaited.keys;
    let mut is_miss = false;
    for index in 0..reply.elements {
        let element = Scanner::default().scan(rest).ok().flatten();
        let Some(element) = element else { return Err("an element that is none".to_owned()) };
        let expect = expect(index);
        let (own, others) = keys.split_at_checked(expect.keys()).unwrap_or((keys, &[]));
        is_miss |= check(Awaited { expect, keys: own, queued: &[], ..awaited }, &element, rest)?;
        (rest, keys) = (&rest[element.bytes..], others);
    }
    Ok(is_miss)
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::value::value;

    fn checked(expect: Expect, keys: &[u64], bytes: &[u8]) -> Result<bool, String> {
        let reply = Scanner::default().scan(bytes).unwrap().unwrap();
        let queued = [Expect::Integer, Expect::Value];
        check(Awaited { expect, keys, queued: &queued, lengths: &[64, 100] }, &reply, bytes)
    }

    fn bulk(bytes: &[u8]) -> Vec<u8> {
        [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
    }

    fn is_wrong(result: &Result<bool, String>) -> bool {
        result.as_ref().is_err_and(|text| text.starts_with("wrong reply"))
    }

    #[test]
    fn replies_must_be_what_their_command_answers() {
        assert_eq!(checked(Expect::Ok, &[], b"+OK\r\n"), Ok(false));
        assert_eq!(checked(Expect::Integer, &[], b"-ERR no\r\n"), Err("ERR no".to_owned()));
        assert!(is_wrong(&checked(Expect::Queued, &[], b"+OK\r\n")));
        assert_eq!(checked(Expect::Integer, &[], b":-12\r\n"), Ok(false));
        assert!(is_wrong(&checked(Expect::Integer, &[], b":many\r\n")));
        assert!(is_wrong(&checked(Expect::Integer, &[], b"#t\r\n")));
        assert_eq!(checked(Expect::Array, &[], b"*1\r\n-ERR in\r\n"), Err("ERR in".to_owned()));
        assert_eq!(checked(Expect::Text, &[], b"$1\r\nx\r\n"), Ok(false));
    }

    #[test]
    fn a_value_must_be_its_keys_and_whole() {
        let of = |bytes: &[u8]| checked(Expect::Value, &[7], &bulk(bytes));
        assert_eq!(of(&value(7, 64)), Ok(false));
        assert_eq!(checked(Expect::Value, &[7], b"$-1\r\n"), Ok(true));
        assert!(is_wrong(&of(&value(8, 64))), "another key's");
        assert!(is_wrong(&of(&value(7, 64)[..63])), "a part of it");
        assert!(is_wrong(&of(&value(7, 63))), "a length that nobody wrote");
        assert!(is_wrong(&of(b"xxx")));
    }

    #[test]
    fn each_value_of_mget_is_checked() {
        let reply = |values: [Vec<u8>; 2]| {
            checked(Expect::Values(2), &[1, 2], &[b"*2\r\n".to_vec(), values.concat()].concat())
        };
        assert_eq!(reply([bulk(&value(1, 64)), bulk(&value(2, 100))]), Ok(false));
        assert_eq!(reply([bulk(&value(1, 64)), b"$-1\r\n".to_vec()]), Ok(true));
        assert!(is_wrong(&reply([bulk(&value(2, 64)), bulk(&value(1, 64))])), "in the wrong order");
        assert!(is_wrong(&checked(Expect::Values(2), &[1, 2], b"*1\r\n$-1\r\n")), "too few");
    }

    #[test]
    fn a_part_must_be_of_its_place() {
        let of = |first, last, bytes: &[u8]| checked(Expect::Part(first, last), &[5], &bulk(bytes));
        let (short, long) = (value(5, 64), value(5, 100));
        assert_eq!(of(10, 19, &short[10..20]), Ok(false));
        assert_eq!(of(-10, -1, &long[90..]), Ok(false));
        assert_eq!(of(50, 200, &long[50..]), Ok(false));
        assert_eq!(of(200, 300, b""), Ok(false));
        assert_eq!(of(0, 9, b""), Ok(true), "the key is not there");
        assert!(is_wrong(&of(10, 19, &short[11..21])));
        assert!(is_wrong(&of(10, 19, &short[10..19])));
    }

    #[test]
    fn exec_answers_for_what_was_queued() {
        let of =
            |value: &[u8]| checked(Expect::Exec(2), &[3], &[b"*2\r\n:1\r\n".to_vec(), bulk(value)].concat());
        assert_eq!(of(&value(3, 64)), Ok(false));
        assert!(is_wrong(&of(&value(4, 64))));
        assert!(is_wrong(&checked(Expect::Exec(2), &[3], b"*-1\r\n")), "a transaction that was given up");
    }
}
