//! A key as the commands that make it, for a base without RDB (`aof-use-rdb-preamble no`).
//!
//! One command for [`ITEMS_PER_COMMAND`] elements, members or fields, so that no reader has to take a big collection at
//! once; the expiries follow, of the key and of each field that has one. Scores have 17 digits, which read back as
//! exactly the same number.

use rustredis_keyspace::types::hash::Hash;
use rustredis_keyspace::types::list::List;
use rustredis_keyspace::types::listpack::Element;
use rustredis_keyspace::types::set::Set;
use rustredis_keyspace::types::stream::{Stream, StreamId};
use rustredis_keyspace::types::zset::{Order, ZSet};
use rustredis_keyspace::{Entry, Kind};
use rustredis_resp::number::{DOUBLE_BYTES_MAX, INTEGER_BYTES_MAX, format_double};
use rustredis_resp::request::write_request;
use rustredis_resp::{Proto, Reply};

/// Elements, members or fields of one command, as in Redis.
pub const ITEMS_PER_COMMAND: usize = 64;

/// Appends the commands that make the entry, in the selected database. O(bytes).
pub fn write_commands(entry: &Entry, out: &mut Vec<u8>) {
    let key = entry.key();
    match entry.kind() {
        Kind::String => write_request(out, &[b"SET", key, entry.bytes()]),
        Kind::List => entry.collection::<List>().into_iter().for_each(|list| {
            write_batches(out, b"RPUSH", key, 1, list.len(), list.iter(), write_element);
        }),
        Kind::Set => entry.collection::<Set>().into_iter().for_each(|set| {
            write_batches(out, b"SADD", key, 1, set.len(), set.iter(), write_element);
        }),
        Kind::ZSet => entry.collection::<ZSet>().into_iter().for_each(|zset| {
            let entries = zset.range(0..zset.len(), Order::Ascending);
            write_batches(out, b"ZADD", key, 2, zset.len(), entries, |command, (member, score)| {
                let mut text = Vec::with_capacity(DOUBLE_BYTES_MAX);
                format_double(score, &mut text);
                command.bulk(&text);
                write_element(command, member);
            });
        }),
        Kind::Hash => entry.collection::<Hash>().into_iter().for_each(|hash| write_hash(out, key, hash)),
        Kind::Stream => {
            entry.collection::<Stream>().into_iter().for_each(|stream| write_stream(out, key, stream));
        }
    }
    if let Some(at_ms) = entry.expire_at_ms() {
        write_request(out, &[b"PEXPIREAT", key, itoa::Buffer::new().format(at_ms).as_bytes()]);
    }
}

fn write_hash(out: &mut Vec<u8>, key: &[u8], hash: &Hash) {
    write_batches(out, b"HMSET", key, 2, hash.len(), hash.iter(), |command, (field, value, _)| {
        write_element(command, field);
        write_element(command, value);
    });
    let mut buffer = [0; INTEGER_BYTES_MAX];
    for (field, _, expiry_ms) in hash.iter() {
        if let Some(at_ms) = expiry_ms {
            let mut formatter = itoa::Buffer::new();
            let at_ms = formatter.format(at_ms).as_bytes();
            let field = field.as_bytes(&mut buffer);
            write_request(out, &[b"HPEXPIREAT", key, at_ms, b"FIELDS", b"1", field]);
        }
    }
}

/// Entries, marks, groups, consumers, what they have pending. What is pending of an entry that is gone cannot be said so, as in Redis.
fn write_stream(out: &mut Vec<u8>, key: &[u8], stream: &Stream) {
    let id_of = |id: StreamId| id.to_string().into_bytes();
    for entry in stream.range(StreamId::MIN..=StreamId::MAX) {
        let mut command = Reply::new(out, Proto::Resp2);
        command.array(3 + 2 * entry.fields.len());
        command.bulk(b"XADD");
        command.bulk(key);
        command.bulk(&id_of(entry.id));
        for (name, value) in entry.fields {
            write_element(&mut command, name);
            write_element(&mut command, value);
        }
    }
    if stream.is_empty() {
        // An entry that goes at once.
        write_request(out, &[b"XADD", key, b"MAXLEN", b"0", b"0-1", b"x", b"y"]);
    }
    let marks = stream.marks();
    let (last_id, max_deleted_id) = (id_of(marks.last_id), id_of(marks.max_deleted_id));
    let added = marks.entries_added.to_string();
    write_request(
        out,
        &[b"XSETID", key, &last_id, b"ENTRIESADDED", added.as_bytes(), b"MAXDELETEDID", &max_deleted_id],
    );
    for (name, group) in stream.groups() {
        let last_id = id_of(group.last_id);
        let read = group.entries_read.map_or(-1, |read| read as i64).to_string();
        write_request(out, &[b"XGROUP", b"CREATE", key, name, &last_id, b"ENTRIESREAD", read.as_bytes()]);
        for consumer in group.consumers() {
            write_request(out, &[b"XGROUP", b"CREATECONSUMER", key, name, &consumer.name]);
        }
        for (id, pending) in group.pending() {
            let (time, count) = (pending.delivered_ms.to_string(), pending.deliveries.to_string());
            let consumer = &group.consumer(pending.consumer).name;
            write_request(
                out,
                &[
                    b"XCLAIM",
                    key,
                    name,
                    consumer,
                    b"0",
                    &id_of(*id),
                    b"TIME",
                    time.as_bytes(),
                    b"RETRYCOUNT",
                    count.as_bytes(),
                    b"JUSTID",
                    b"FORCE",
                ],
            );
        }
    }
}

/// Writes `count` items, each of `words` words, over as many commands as it takes.
fn write_batches<T>(
    out: &mut Vec<u8>,
    name: &[u8],
    key: &[u8],
    words: usize,
    count: usize,
    items: impl Iterator<Item = T>,
    write: impl Fn(&mut Reply<'_>, T),
) {
    let mut command = Reply::new(out, Proto::Resp2);
    for (index, item) in items.enumerate() {
        if index % ITEMS_PER_COMMAND == 0 {
            command.array(2 + words * (count - index).min(ITEMS_PER_COMMAND));
            command.bulk(name);
            command.bulk(key);
        }
        write(&mut command, item);
    }
}

fn write_element(command: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Str(text) => command.bulk(text),
        Element::Int(integer) => command.bulk_int(integer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aof::reader::{Reader, Record};
    use rustredis_keyspace::Value;
    use rustredis_keyspace::types::list::End;

    /// The commands, their words joined by spaces; of long ones the first words and how many there are.
    #[track_caller]
    fn check(value: Value, expire_at_ms: Option<u64>, expected: &[&str]) {
        let mut file = Vec::new();
        write_commands(&Entry::new(b"key", value, expire_at_ms), &mut file);
        let mut reader = Reader::new(file.as_slice(), 0);
        let mut commands = Vec::new();
        while let Some(Record::Command(command)) = reader.next().unwrap() {
            let words: Vec<_> = command.arguments().map(String::from_utf8_lossy).collect();
            commands.push(match words.len() {
                ..10 => words.join(" "),
                count => format!("{} .. {count}", words[..3].join(" ")),
            });
        }
        commands.sort_unstable_by_key(|command| command.starts_with("HP"));
        assert_eq!(commands, expected);
    }

    #[test]
    fn each_type_has_its_command() {
        check(Value::string(""), None, &["SET key "]);
        check(Value::string("-12"), Some(7), &["SET key -12", "PEXPIREAT key 7"]);
        let mut list = List::new();
        list.push_many(End::Back, [b"a".as_slice(), b"12", b""].into_iter());
        check(Value::List(list), None, &["RPUSH key a 12 "]);
        let mut set = Set::new();
        set.insert(b"7");
        check(Value::Set(set.clone()), Some(9), &["SADD key 7", "PEXPIREAT key 9"]);
        set.insert(b"x");
        check(Value::Set(set), None, &["SADD key 7 x"]);
        let mut hash = Hash::new();
        hash.set(b"f", b"v");
        hash.set(b"5", b"w");
        check(Value::Hash(hash.clone()), None, &["HMSET key f v 5 w"]);
        hash.set_field_expiry(b"5", Some(1_700_000_000_000));
        hash.set_field_expiry(b"f", Some(1_600_000_000_000));
        check(
            Value::Hash(hash),
            None,
            &[
                "HMSET key f v 5 w",
                "HPEXPIREAT key 1600000000000 FIELDS 1 f",
                "HPEXPIREAT key 1700000000000 FIELDS 1 5",
            ],
        );
    }

    #[test]
    fn scores_come_back_exactly() {
        let scores = [
            f64::NEG_INFINITY,
            -1.5,
            -0.0,
            5e-324,
            f64::MIN_POSITIVE,
            0.1,
            0.1 + 0.2,
            1.0 / 3.0,
            9_007_199_254_740_993.0,
            1e17,
            f64::MAX,
            f64::INFINITY,
        ];
        for (number, score) in scores.into_iter().enumerate() {
            let mut zset = ZSet::new();
            zset.insert(b"m", score);
            // Beyond the compact encoding, which has its own text of a score.
            (0..if number % 2 == 0 { 0 } else { 200 }).for_each(|number| {
                zset.insert(number.to_string().as_bytes(), f64::MAX);
            });
            let mut file = Vec::new();
            write_commands(&Entry::new(b"key", Value::ZSet(zset), None), &mut file);
            let mut reader = Reader::new(file.as_slice(), 0);
            let mut found = None;
            while let Some(Record::Command(command)) = reader.next().unwrap() {
                let words: Vec<&[u8]> = command.arguments().collect();
                let pair = words[2..].chunks(2).find(|pair| pair[1] == b"m");
                found = found.or(pair.map(|pair| rustredis_resp::number::parse_f64(pair[0]).unwrap()));
            }
            assert!(found.is_some_and(|found| found == score), "{score}: {found:?}");
        }
    }

    #[test]
    fn big_ones_take_many_commands() {
        let (mut list, mut zset, mut hash) = (List::new(), ZSet::new(), Hash::new());
        for number in 0..130 {
            let text = format!("{number:03}");
            list.push(End::Back, text.as_bytes());
            zset.insert(text.as_bytes(), f64::from(number));
            hash.set(text.as_bytes(), b"v");
        }
        check(Value::List(list), None, &["RPUSH key 000 .. 66", "RPUSH key 064 .. 66", "RPUSH key 128 129"]);
        check(
            Value::ZSet(zset),
            None,
            &["ZADD key 0 .. 130", "ZADD key 64 .. 130", "ZADD key 128 128 129 129"],
        );
        check(
            Value::Hash(hash),
            None,
            &["HMSET key 000 .. 130", "HMSET key 064 .. 130", "HMSET key 128 v 129 v"],
        );
    }
}
