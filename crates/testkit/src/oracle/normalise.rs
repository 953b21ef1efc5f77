//! What two right servers may answer differently, all in this one place.
//!
//! *Order*: members of sets, fields of hashes, keys and the like come in any order; they are compared sorted. *Chance*:
//! a random member is compared only by being a member, which the command before it has read. *Time*: a TTL may differ by
//! what passed between two runs. *Versions*: [`DIFFERENCES`] between Redis 7.0, which we compare with, and 7.2, which we
//! are. Everything else must be the same byte for byte.

use std::collections::HashSet;

use super::Coverage;
use crate::{Command, Reply};

/// What a TTL may differ by, in seconds and in milliseconds.
const SECONDS_TOLERATED: i64 = 20;
const MILLISECONDS_TOLERATED: i64 = 20_000;

/// A difference between the versions that is no fault.
struct Difference {
    #[expect(dead_code, reason = "it documents the entry")]
    reason: &'static str,
    applies: fn(&Command) -> bool,
    rule: Rule,
}

enum Rule {
    /// Maps both versions' replies to one.
    Same(fn(&Normaliser, Reply) -> Reply),
    /// What 7.0 answers (the first) may stand against what we answer.
    Instead(fn(&Reply, &Reply) -> bool),
}

const DIFFERENCES: [Difference; 8] = [
    Difference {
        reason: "7.0 writes a double with 17 digits, 7.2 with as few as tell it apart from others",
        applies: |command| ["Z", "BZ", "GEO"].iter().any(|prefix| command.name().starts_with(prefix)),
        rule: Rule::Same(|_, reply| map(reply, &shortest_double)),
    },
    Difference {
        reason: "7.2 keeps small lists and small sets in listpacks, 7.0 only in quicklists and hash tables",
        applies: |command| command.name() == "OBJECT",
        rule: Rule::Same(|normaliser, reply| match (&normaliser.previous, &reply) {
            (Reply::Simple(kind), Reply::Bulk(name)) if kind == "list" && name == b"quicklist" => {
                Reply::bulk("listpack")
            }
            (Reply::Simple(kind), Reply::Bulk(name)) if kind == "set" && name == b"hashtable" => {
                Reply::bulk("listpack")
            }
            _ => reply,
        }),
    },
    Difference {
        reason: "PFADD and PFCOUNT copy a string that was loaded in its short encoding, even where they change nothing",
        applies: |command| command.name() == "OBJECT",
        rule: Rule::Same(|normaliser, reply| match &reply {
            Reply::Bulk(name) if name == b"raw" && normaliser.is_last_counted => Reply::bulk("embstr"),
            _ => reply,
        }),
    },
    Difference {
        reason: "7.2 looks at all arguments before it looks for the key",
        applies: |command| ["BITCOUNT", "BITPOS"].contains(&command.name().as_str()),
        rule: Rule::Instead(|old, new| {
            (old.is_error() || matches!(old, Reply::Integer(0 | -1))) && new.is_error()
        }),
    },
    Difference {
        reason: "7.2 refuses the one RANK that has no opposite, before it looks at the options behind it",
        applies: |command| command.name() == "LPOS",
        rule: Rule::Instead(|_, new| new.to_string().contains("-9223372036854775807 and")),
    },
    Difference {
        reason: "7.2 tells when a consumer was last given something",
        applies: |command| command.name() == "XINFO",
        rule: Rule::Same(|_, reply| without(reply, &["active-time", "inactive"])),
    },
    Difference {
        reason: "7.2 makes a consumer by its first XREADGROUP or XCLAIM, 7.0 only if that gave it something",
        applies: |command| ["XINFO", "XGROUP"].contains(&command.name().as_str()),
        rule: Rule::Same(|_, reply| match without_idle(reply) {
            Reply::Integer(_) => Reply::ok(),
            reply => reply,
        }),
    },
    Difference {
        reason: "SORT turns a sorted set into a skiplist in Redis, and leaves it as it is here",
        applies: |command| command.name() == "OBJECT",
        rule: Rule::Instead(|old, new| *old == Reply::bulk("skiplist") && *new == Reply::bulk("listpack")),
    },
];

/// Normalises the replies of one connection, in their order.
pub(super) struct Normaliser {
    coverage: Coverage,
    /// The commands queued since MULTI.
    queued: Vec<Command>,
    /// The previous reply, as it came.
    previous: Reply,
    /// Keys that PFADD or PFCOUNT has named, and copies of them.
    counted: HashSet<Vec<u8>>,
    /// Whether the command that was normalised last names one of them.
    is_last_counted: bool,
}

impl Normaliser {
    pub(super) fn new(coverage: Coverage) -> Self {
        Self {
            coverage,
            queued: Vec::new(),
            previous: Reply::Null,
            counted: HashSet::new(),
            is_last_counted: false,
        }
    }

    /// The reply as it is compared.
    pub(super) fn reply(&mut self, command: &Command, reply: Reply) -> Reply {
        if reply == Reply::Simple("QUEUED".into()) {
            self.queued.push(command.clone());
            return reply;
        }
        let original = reply.clone();
        let normalised = match (command.name().as_str(), reply) {
            ("EXEC", Reply::Array(replies)) => {
                let queued = std::mem::take(&mut self.queued);
                let pairs = queued.iter().zip(replies);
                Reply::Array(pairs.map(|(command, reply)| self.single(command, reply)).collect())
            }
            // It names the version.
            ("HELLO", Reply::Map(_) | Reply::Array(_)) => Reply::ok(),
            (_, reply) => self.single(command, reply),
        };
        if ["EXEC", "DISCARD", "RESET"].contains(&command.name().as_str()) {
            self.queued.clear();
        }
        self.previous = original;
        normalised
    }

    fn single(&mut self, command: &Command, reply: Reply) -> Reply {
        let names = command.arguments.get(1..).unwrap_or_default();
        if ["PFADD", "PFCOUNT"].contains(&command.name().as_str()) {
            self.counted.extend(names.iter().cloned());
        }
        // A copy is as the original is.
        if let (true, [from, to, ..]) =
            (["COPY", "RENAME", "RENAMENX"].contains(&command.name().as_str()), names)
            && self.counted.contains(from)
        {
            self.counted.insert(to.clone());
        }
        self.is_last_counted = names.iter().any(|name| self.counted.contains(name));
        let mut reply =
            if is_chance(command) { self.chance(command, reply) } else { ordered(command, reply) };
        if self.coverage == Coverage::Redis70 {
            for difference in DIFFERENCES.iter().filter(|difference| (difference.applies)(command)) {
                if let Rule::Same(apply) = difference.rule {
                    reply = apply(self, reply);
                }
            }
        }
        reply
    }

    /// Replaces random members by their number, if they are what they should be.
    fn chance(&self, command: &Command, reply: Reply) -> Reply {
        let drawn = match &reply {
            Reply::Array(elements) | Reply::Set(elements) => elements.clone(),
            Reply::Bulk(_) => vec![reply],
            _ => return reply,
        };
        let all: HashSet<Reply> = match &self.previous {
            Reply::Array(elements) | Reply::Set(elements) => elements.iter().cloned().collect(),
            _ => return Reply::Error(format!("(random members of {})", self.previous)),
        };
        if let Some(stranger) = drawn.iter().find(|member| !all.contains(member)) {
            return Reply::Error(format!("({stranger} is no member)"));
        }
        let may_repeat = command.arguments.get(2).is_some_and(|count| count.starts_with(b"-"));
        if !may_repeat && drawn.iter().collect::<HashSet<_>>().len() < drawn.len() {
            return Reply::Error("(a member comes twice)".to_owned());
        }
        Reply::Simple(format!("({} members)", drawn.len()))
    }
}

/// Whether the servers may hold different data behind this exchange, so that no reply after it tells anything. Redis keeps the
/// registers that it has set before it meets a broken one, though it refuses the command and journals nothing, where we change
/// nothing (it takes a HyperLogLog that SETBIT or the like has damaged); and it adds the time to live of RESTORE past the last
/// millisecond there is, into the past, where ours ends with the last.
pub(super) fn ends_comparison(command: &Command, reply: &Reply, coverage: Coverage) -> bool {
    let is_half_done = || {
        ["PFADD", "PFMERGE"].contains(&command.name().as_str())
            && matches!(reply, Reply::Error(text) if text.starts_with("INVALIDOBJ"))
    };
    let is_past_time = || {
        let ttl = command.arguments.get(2).and_then(|ttl| std::str::from_utf8(ttl).ok());
        let is_far = |ttl: i64| ttl > i64::MAX / 2;
        command.name() == "RESTORE" && ttl.and_then(|ttl| ttl.parse().ok()).is_some_and(is_far)
    };
    coverage == Coverage::Redis70 && (is_half_done() || is_past_time())
}

/// True for commands that answer with a time that passes.
pub(super) fn is_time(command: &Command) -> bool {
    tolerance(command) > 0
}

/// True if two normalised replies are both right.
pub(super) fn agree(command: &Command, expected: &Reply, actual: &Reply, coverage: Coverage) -> bool {
    if expected == actual {
        return true;
    }
    let tolerance = tolerance(command);
    let is_near = |a: &Reply, b: &Reply| match (a, b) {
        (Reply::Integer(a), Reply::Integer(b)) if *a > 0 && *b > 0 => a.abs_diff(*b) <= tolerance as u64,
        _ => a == b,
    };
    let are_near = match (expected, actual) {
        (Reply::Array(a), Reply::Array(b)) if tolerance > 0 && a.len() == b.len() => {
            a.iter().zip(b).all(|(a, b)| is_near(a, b))
        }
        (a, b) => is_near(a, b),
    };
    are_near || (coverage == Coverage::Redis70 && is_accepted(command, expected, actual))
}

fn is_accepted(command: &Command, expected: &Reply, actual: &Reply) -> bool {
    DIFFERENCES.iter().any(|difference| match difference.rule {
        Rule::Instead(accepts) => (difference.applies)(command) && accepts(expected, actual),
        Rule::Same(_) => false,
    })
}

fn tolerance(command: &Command) -> i64 {
    match command.name().as_str() {
        "TTL" | "EXPIRETIME" | "HTTL" | "HEXPIRETIME" => SECONDS_TOLERATED,
        "PTTL" | "PEXPIRETIME" | "HPTTL" | "HPEXPIRETIME" => MILLISECONDS_TOLERATED,
        _ => 0,
    }
}

fn is_chance(command: &Command) -> bool {
    let has_all_popped = || command.arguments.get(2).is_some_and(|count| count == b"10000");
    match command.name().as_str() {
        "SRANDMEMBER" | "HRANDFIELD" | "ZRANDMEMBER" | "RANDOMKEY" => true,
        "SPOP" => !has_all_popped(),
        _ => false,
    }
}

/// What tells how long ago something was, or when, as 0: the times of pending entries, which are the third of four or the second of
/// three.
fn timeless(reply: Reply) -> Reply {
    use Reply::{Array, Bulk, Integer, Map};
    match reply {
        Array(mut parts) => {
            match &mut parts[..] {
                [Bulk(_), Bulk(_), Integer(time), Integer(_)] | [Bulk(_), Integer(time), Integer(_)] => {
                    *time = 0
                }
                parts => {
                    parts.iter_mut().for_each(|part| *part = timeless(std::mem::replace(part, Reply::Null)))
                }
            }
            Array(parts)
        }
        Map(pairs) => Map(pairs.into_iter().map(|(name, value)| (name, timeless(value))).collect()),
        other => other,
    }
}

/// What XINFO tells without consumers that have nothing pending, and without how many there are.
fn without_idle(reply: Reply) -> Reply {
    let is_name = |part: &Reply, name: &str| *part == Reply::bulk(name);
    let is_idle = |reply: &Reply| {
        let parts: Vec<&Reply> = match reply {
            Reply::Array(parts) => parts.iter().collect(),
            Reply::Map(pairs) => pairs.iter().flat_map(|(name, value)| [name, value]).collect(),
            _ => return false,
        };
        let has = |name: &str| parts.iter().any(|part| is_name(part, name));
        let counts = ["pel-count", "pending"];
        has("name")
            && !has("last-delivered-id")
            && parts
                .windows(2)
                .any(|pair| counts.iter().any(|name| is_name(pair[0], name)) && *pair[1] == Reply::Integer(0))
    };
    match reply {
        Reply::Array(parts) => {
            let (mut kept, mut is_count) = (Vec::new(), false);
            for part in parts.into_iter().filter(|part| !is_idle(part)) {
                let is_number = matches!(part, Reply::Integer(_));
                let follows = std::mem::replace(&mut is_count, is_name(&part, "consumers"));
                kept.push(if follows && is_number { Reply::ok() } else { without_idle(part) });
            }
            Reply::Array(kept)
        }
        Reply::Map(pairs) => Reply::Map(
            pairs
                .into_iter()
                .map(|(name, value)| match value {
                    Reply::Integer(_) if is_name(&name, "consumers") => (name, Reply::ok()),
                    value => (name, without_idle(value)),
                })
                .collect(),
        ),
        other => other,
    }
}

/// A map, or a flat one, without what has these names; in all its parts.
fn without(reply: Reply, names: &[&str]) -> Reply {
    let is_named = |name: &Reply| names.iter().any(|other| *name == Reply::bulk(*other));
    match reply {
        Reply::Array(parts) => {
            let (mut kept, mut skips) = (Vec::new(), false);
            for part in parts {
                let is_skipped = std::mem::replace(&mut skips, is_named(&part));
                if !is_skipped && !skips {
                    kept.push(without(part, names));
                }
            }
            Reply::Array(kept)
        }
        Reply::Map(pairs) => {
            let kept = pairs.into_iter().filter(|(name, _)| !is_named(name));
            Reply::Map(kept.map(|(name, value)| (name, without(value, names))).collect())
        }
        other => other,
    }
}

/// Sorts what may come in any order.
fn ordered(command: &Command, reply: Reply) -> Reply {
    let has =
        |word: &str| command.arguments.iter().any(|argument| argument.eq_ignore_ascii_case(word.as_bytes()));
    match command.name().as_str() {
        "KEYS" | "SMEMBERS" | "SUNION" | "SDIFF" | "SINTER" | "HKEYS" | "HVALS" | "SPOP" => sorted(reply),
        "HGETALL" => sorted_pairs(reply),
        // The order of members, the version of the format, the sizes of structures, and seconds are the server's own.
        "DUMP" if !reply.is_null() && !reply.is_error() => Reply::ok(),
        "MEMORY" if matches!(reply, Reply::Integer(bytes) if bytes > 0) => Reply::ok(),
        // All keys of Redis with the same small integer hold one object, as idle as whoever used it last: for hours, maybe.
        "OBJECT" if has("IDLETIME") && matches!(reply, Reply::Integer(0..)) => Reply::ok(),
        "XPENDING" | "XINFO" => without(timeless(reply), &["radix-tree-nodes", "seen-time", "idle"]),
        "SCAN" | "SSCAN" => scanned(reply, sorted),
        "HSCAN" | "ZSCAN" => scanned(reply, sorted_pairs),
        // Equal weights, and sets that are not sorted at all.
        "SORT" | "SORT_RO" if has("nosort") || (has("BY") && has("ALPHA")) => sorted(reply),
        name if name.starts_with("GEO") => match reply {
            Reply::Array(found) if has("ANY") => Reply::Integer(found.len() as i64),
            reply if has("ASC") || has("DESC") || has("COUNT") || name == "GEOPOS" || name == "GEOHASH" => {
                reply
            }
            reply => sorted(reply),
        },
        _ => reply,
    }
}

fn sorted(reply: Reply) -> Reply {
    match reply {
        Reply::Array(mut elements) => {
            elements.sort_unstable();
            Reply::Array(elements)
        }
        Reply::Set(mut elements) => {
            elements.sort_unstable();
            Reply::Set(elements)
        }
        other => other,
    }
}

/// A map, or an array that is a flat one, as sorted pairs of its kind.
fn sorted_pairs(reply: Reply) -> Reply {
    match reply {
        Reply::Map(mut pairs) => {
            pairs.sort_unstable();
            Reply::Map(pairs)
        }
        Reply::Array(elements) => {
            let mut pairs: Vec<Reply> = elements.chunks(2).map(|pair| Reply::Array(pair.to_vec())).collect();
            pairs.sort_unstable();
            Reply::Array(pairs)
        }
        other => other,
    }
}

/// A cursor and what was found.
fn scanned(reply: Reply, order: fn(Reply) -> Reply) -> Reply {
    match reply {
        Reply::Array(parts) => match <[Reply; 2]>::try_from(parts) {
            Ok([cursor, found]) => Reply::Array(vec![cursor, order(found)]),
            Err(parts) => Reply::Array(parts),
        },
        other => other,
    }
}

/// Applies `change` to every reply inside this one that has no parts.
fn map(reply: Reply, change: &dyn Fn(Reply) -> Reply) -> Reply {
    match reply {
        Reply::Array(elements) => {
            Reply::Array(elements.into_iter().map(|element| map(element, change)).collect())
        }
        Reply::Set(elements) => {
            Reply::Set(elements.into_iter().map(|element| map(element, change)).collect())
        }
        other => change(other),
    }
}

fn shortest_double(reply: Reply) -> Reply {
    let shortest = |text: &str| {
        let is_long = text.len() >= 17 && text.bytes().all(|byte| b"0123456789.e+-".contains(&byte));
        text.parse::<f64>().ok().filter(|_| is_long).map(|number| number.to_string())
    };
    match &reply {
        Reply::Bulk(bytes) => std::str::from_utf8(bytes).ok().and_then(shortest).map_or(reply, Reply::bulk),
        Reply::Double(text) => shortest(text).map_or(reply, Reply::Double),
        _ => reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Normalises the replies to these commands, given in turn, and compares the last one.
    fn check(exchange: &[(&str, Reply)], expected: &str) {
        let mut normaliser = Normaliser::new(Coverage::Redis70);
        let replies =
            exchange.iter().map(|(line, reply)| normaliser.reply(&Command::line(line), reply.clone()));
        assert_eq!(replies.last().unwrap().to_string(), expected);
    }

    fn array(texts: &[&str]) -> Reply {
        Reply::Array(texts.iter().map(Reply::bulk).collect())
    }

    #[test]
    fn order() {
        check(&[("SMEMBERS s", array(&["b", "a"]))], "[\"a\", \"b\"]");
        check(&[("LRANGE l 0 -1", array(&["b", "a"]))], "[\"b\", \"a\"]");
        check(&[("HGETALL h", array(&["b", "1", "a", "2"]))], "[[\"a\", \"2\"], [\"b\", \"1\"]]");
        check(
            &[("SSCAN s 0", Reply::Array(vec![Reply::bulk("0"), array(&["b", "a"])]))],
            "[\"0\", [\"a\", \"b\"]]",
        );
    }

    #[test]
    fn chance() {
        let members = || ("SMEMBERS s", array(&["a", "b"]));
        check(&[members(), ("SRANDMEMBER s 2", array(&["b", "a"]))], "+(2 members)");
        check(&[members(), ("SRANDMEMBER s -2", array(&["b", "b"]))], "+(2 members)");
        check(&[members(), ("SRANDMEMBER s 2", array(&["b", "b"]))], "-(a member comes twice)");
        check(&[members(), ("SPOP s", Reply::bulk("c"))], "-(\"c\" is no member)");
        check(&[members(), ("SRANDMEMBER s x", Reply::Error("ERR x".into()))], "-ERR x");
    }

    #[test]
    fn transactions() {
        let queued = || Reply::Simple("QUEUED".into());
        let replies = Reply::Array(vec![array(&["b", "a"]), array(&["b", "a"])]);
        let exchange =
            [("MULTI", Reply::ok()), ("LRANGE l 0 1", queued()), ("KEYS *", queued()), ("EXEC", replies)];
        check(&exchange, "[[\"b\", \"a\"], [\"a\", \"b\"]]");
    }

    #[test]
    fn versions() {
        check(&[("ZSCORE z m", Reply::bulk("0.10000000000000001"))], "\"0.1\"");
        check(&[("GET s", Reply::bulk("0.10000000000000001"))], "\"0.10000000000000001\"");
        check(
            &[("TYPE k", Reply::Simple("set".into())), ("OBJECT ENCODING k", Reply::bulk("hashtable"))],
            "\"listpack\"",
        );
        check(
            &[("TYPE k", Reply::Simple("hash".into())), ("OBJECT ENCODING k", Reply::bulk("hashtable"))],
            "\"hashtable\"",
        );
    }

    #[test]
    fn a_loaded_string_that_was_counted() {
        let (count, encoding) = (("PFCOUNT h", Reply::Integer(1)), Reply::bulk("raw"));
        check(&[count.clone(), ("OBJECT ENCODING h", encoding.clone())], "\"embstr\"");
        check(&[count.clone(), ("OBJECT ENCODING s", encoding.clone())], "\"raw\"");
        let copy = ("COPY h s", Reply::Integer(1));
        check(&[count, copy, ("OBJECT ENCODING s", encoding)], "\"embstr\"");
    }

    #[test]
    fn errors_of_a_later_version() {
        let command = Command::line("BITCOUNT k x");
        let (zero, error) = (Reply::Integer(0), Reply::Error("ERR syntax error".into()));
        assert!(agree(&command, &zero, &error, Coverage::Redis70));
        assert!(!agree(&command, &zero, &error, Coverage::Own));
        assert!(!agree(&command, &error, &zero, Coverage::Redis70));
    }

    #[test]
    fn what_leaves_the_data_open() {
        let ok = Reply::ok();
        assert!(ends_comparison(&Command::line("RESTORE k 9223372036854775807 x"), &ok, Coverage::Redis70));
        assert!(!ends_comparison(&Command::line("RESTORE k 300000000000 x"), &ok, Coverage::Redis70));
    }

    #[test]
    fn a_damaged_hyperloglog() {
        let error = Reply::Error("INVALIDOBJ Corrupted HLL object detected".into());
        let ends = |line: &str, coverage| ends_comparison(&Command::line(line), &error, coverage);
        assert!(ends("PFADD h a", Coverage::Redis70) && !ends("PFADD h a", Coverage::Own));
        assert!(!ends("PFCOUNT h", Coverage::Redis70));
        assert!(!ends_comparison(&Command::line("PFADD h a"), &Reply::Integer(1), Coverage::Redis70));
    }

    #[test]
    fn time() {
        let agree = |line: &str, a: i64, b: i64| {
            super::agree(&Command::line(line), &Reply::Integer(a), &Reply::Integer(b), Coverage::Own)
        };
        assert!(agree("TTL k", 1_000, 1_001) && !agree("TTL k", 1_000, 2_000) && !agree("TTL k", 1, -1));
        assert!(agree("LLEN k", 3, 3) && !agree("LLEN k", 3, 4));
    }
}
