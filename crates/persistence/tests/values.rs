//! Values to bytes and back, bytes that redis-server 7.0.15 takes for values, and bytes that nobody should.
//!
//! `payloads.tsv` has DUMP payloads of every type that it reads: a name, DEBUG DIGEST-VALUE after a RESTORE there, and the
//! payload in hexadecimal digits. What it no longer writes itself was put together by the format's description.

#![allow(clippy::unwrap_used, reason = "tests")]

use rustredis_keyspace::types::hash::Hash;
use rustredis_keyspace::types::list::{End, List};
use rustredis_keyspace::types::set::Set;
use rustredis_keyspace::types::stream::{Group, Stream, StreamId};
use rustredis_keyspace::types::zset::ZSet;
use rustredis_keyspace::{Entry, Random, Value, digest};
use rustredis_persistence::rdb::{
    Checksum, Compression, FileReader, FileWriter, Part, RdbError, Usage, dump, restore, seal_dump,
    value_type,
};

const STRING_BYTES_MAX: u64 = 512 << 20;
const FOOTER_BYTES: usize = 10;

/// Name, digest and payload.
fn payloads() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    include_str!("payloads.tsv")
        .lines()
        .map(|line| {
            let [name, digest, digits] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            (name, digest, digits.as_bytes().chunks(2).map(byte).collect())
        })
        .collect()
}

fn entry(value: Value) -> Entry {
    Entry::new(b"key", value, None)
}

fn digest_of(entry: &Entry) -> String {
    digest::of_value(entry).to_hex()
}

/// A value of each kind and encoding, small and large.
fn values() -> Vec<Value> {
    let mut values =
        vec![Value::string(""), Value::string("-12"), Value::string("text"), Value::string([7; 5000])];
    for count in [1, 5, 129, 700] {
        let texts: Vec<String> = (0..count).map(|number| format!("member {number}")).collect();
        let (mut list, mut set, mut integers, mut zset, mut hash) =
            (List::new(), Set::new(), Set::new(), ZSet::new(), Hash::new());
        for (number, text) in texts.iter().enumerate() {
            list.push(End::Back, text.as_bytes());
            list.push(End::Front, number.to_string().as_bytes());
            set.insert(text.as_bytes());
            integers.insert(number.to_string().as_bytes());
            zset.insert(text.as_bytes(), number as f64 / 7.0);
            zset.insert(number.to_string().as_bytes(), f64::INFINITY);
            hash.set(text.as_bytes(), &[b'v'; 30]);
            hash.set(number.to_string().as_bytes(), number.to_string().as_bytes());
        }
        list.push(End::Back, &[b'p'; 20_000]);
        let mut expiring = hash.clone();
        expiring.set_field_expiry(b"0", Some(5_000_000));
        expiring.set_field_expiry(b"member 0", Some(4_000_000));
        let mut persisted = expiring.clone();
        persisted.set_field_expiry(b"0", None);
        persisted.set_field_expiry(b"member 0", None);
        values.extend([Value::List(list), Value::Set(set), Value::Set(integers), Value::ZSet(zset)]);
        values.extend([Value::Hash(hash), Value::Hash(expiring), Value::Hash(persisted)]);
        values.push(Value::Stream(stream(count)));
    }
    values
}

#[test]
fn payloads_of_redis_are_read() {
    for (name, digest, payload) in payloads() {
        let value = restore(&payload, Checksum::On, STRING_BYTES_MAX)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(digest_of(&entry(value)), digest, "{name}");
    }
}

#[test]
fn what_is_written_is_read() {
    let of_redis = payloads()
        .into_iter()
        .map(|(_, _, payload)| restore(&payload, Checksum::On, STRING_BYTES_MAX).unwrap());
    for value in values().into_iter().chain(of_redis) {
        let entry = entry(value);
        for compression in [Compression::Off, Compression::Lzf] {
            let payload = dump(&entry, compression).unwrap();
            let read = self::entry(restore(&payload, Checksum::On, STRING_BYTES_MAX).unwrap());
            assert_eq!(digest_of(&read), digest_of(&entry), "{entry:?}");
        }
    }
}

#[test]
fn expiries_of_fields_are_read() {
    for fields in [2, 500] {
        let mut hash = Hash::new();
        (0..fields).for_each(|field: u64| {
            hash.set(field.to_string().as_bytes(), b"value");
            hash.set_field_expiry(
                field.to_string().as_bytes(),
                field.is_multiple_of(2).then_some(1000 + field),
            );
        });
        let payload = dump(&entry(Value::Hash(hash.clone())), Compression::Off).unwrap();
        assert_eq!(payload[payload.len() - FOOTER_BYTES], 12, "the version that has them first");
        let Value::Hash(read) = restore(&payload, Checksum::On, STRING_BYTES_MAX).unwrap() else { panic!() };
        for field in 0..fields {
            let field = field.to_string();
            assert_eq!(read.field_expiry(field.as_bytes()), hash.field_expiry(field.as_bytes()), "{field}");
        }
    }
}

/// The value type and the bytes behind it, as a payload.
fn sealed(content: &[u8]) -> Vec<u8> {
    let mut payload = content.to_vec();
    seal_dump(&mut payload, 12);
    payload
}

#[test]
fn nonsense_is_refused() {
    let check = |content: &[u8]| {
        assert!(restore(&sealed(content), Checksum::On, STRING_BYTES_MAX).is_err(), "{content:?}");
    };
    // A length that promises more than there is, for every type, and for nodes of lists.
    for value_type in 0..=u8::MAX {
        check(&[value_type]);
        check(&[value_type, 0x81, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, b'a', 1, b'b']);
        check(&[value_type, 2, 2, 0x81, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, b'a']);
        if value_type != value_type::STRING {
            check(&[value_type, 0]);
        }
    }
    // Twice the same.
    check(b"\x02\x02\x01a\x01a");
    check(b"\x04\x02\x01f\x01v\x01f\x01w");
    check(b"\x03\x02\x01a\x011\x01a\x012");
    // Scores that are none.
    check(b"\x03\x01\x01a\xfd");
    check(b"\x03\x01\x01a\x03abc");
    check(&[b"\x05\x01\x01a".as_slice(), &f64::NAN.to_le_bytes()].concat());
    // Something behind the value.
    check(b"\x00\x01a\x00");
    // A node of a list that is neither plain nor packed.
    check(b"\x12\x01\x03\x01a");
    // Strings that a client may not have.
    assert!(restore(&sealed(b"\x00\x05hello"), Checksum::On, 4).is_err());
    // A stream that ends too soon, one whose node is none, and one that counts other than there are.
    check(b"\x0f\x00");
    check(b"\x0f\x01\x01a\x01b\x00\x00\x00\x00");
    check(b"\x0f\x00\x05\x00\x00\x00");
    // What modules have is known, and not supported.
    assert!(matches!(
        restore(&sealed(b"\x07\x00"), Checksum::On, STRING_BYTES_MAX),
        Err(RdbError::Unsupported { .. })
    ));
}

/// Damages a payload's content in one of a few ways.
fn damage(content: &mut Vec<u8>, random: &Random, others: &[Vec<u8>]) {
    for _ in 0..=random.below(3) {
        let at = random.below(content.len().max(1));
        match random.below(7) {
            0 if at < content.len() => content[at] ^= 1 << random.below(8),
            1 if at < content.len() => content[at] = random.next() as u8,
            2 => content.truncate(at),
            3 => content.insert(at.min(content.len()), random.next() as u8),
            4 if at < content.len() => {
                content.remove(at);
            }
            5 if at < content.len() => {
                let special = [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xc0, 0xc3, 0xf0, 0xfe, 0xff];
                content[at] = special[random.below(special.len())];
            }
            _ => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.len());
                let count = random.below((other.len() - from).min(40) + 1);
                content.splice(
                    at.min(content.len())..at.min(content.len()),
                    other[from..from + count].iter().copied(),
                );
            }
        }
    }
}

/// Whatever is accepted is a value like any other: it can be read, written, changed and read again.
fn use_value(value: Value) {
    let entry = entry(value);
    let payload = dump(&entry, Compression::Lzf).unwrap();
    let again = self::entry(restore(&payload, Checksum::On, STRING_BYTES_MAX).unwrap());
    assert_eq!(digest_of(&again), digest_of(&entry));
    match again.into_value() {
        Value::String(..) => {}
        Value::List(mut list) => {
            let count = list.len();
            list.push(End::Back, b"one more");
            assert_eq!((list.pop(End::Back).unwrap(), list.iter().count()), (b"one more".to_vec(), count));
            while list.pop(End::Front).is_some() {}
        }
        Value::Set(mut set) => {
            let members: Vec<Vec<u8>> = set.iter().map(|member| member.to_vec()).collect();
            assert!(members.iter().all(|member| set.remove(member)) && set.is_empty());
        }
        Value::ZSet(mut zset) => {
            let members: Vec<Vec<u8>> = zset.iter().map(|(member, _)| member.to_vec()).collect();
            assert!(members.iter().enumerate().all(|(rank, member)| zset.rank(member) == Some(rank)));
            assert!(members.iter().all(|member| zset.remove(member).is_some()) && zset.is_empty());
        }
        Value::Hash(mut hash) => {
            hash.expire_fields(u64::MAX, |_| {});
            let fields: Vec<Vec<u8>> = hash.iter().map(|(field, ..)| field.to_vec()).collect();
            assert!(fields.iter().all(|field| hash.remove(field)) && hash.is_empty());
        }
        Value::Stream(mut stream) => {
            let ids: Vec<StreamId> = all_ids(&stream);
            assert_eq!(stream.range(StreamId::MIN..=StreamId::MAX).rev().count(), ids.len());
            assert!(ids.iter().all(|id| stream.delete(*id)) && stream.is_empty());
            if let Some(id) = stream.next_id(5) {
                stream.append(id, [(&b"name"[..], &b"value"[..])].into_iter());
                assert_eq!(all_ids(&stream), [id]);
            }
        }
    }
}

fn all_ids(stream: &Stream) -> Vec<StreamId> {
    stream.range(StreamId::MIN..=StreamId::MAX).map(|entry| entry.id).collect()
}

/// A stream of so many entries, some deleted, with groups of which one has pending entries.
fn stream(count: u64) -> Stream {
    let mut stream = Stream::new();
    for number in 1..=count {
        let (value, other) = (number.to_string(), number % 3);
        let fields =
            [(&b"name"[..], value.as_bytes()), (if other == 0 { b"x" } else { b"y" }, &b"long value"[..])];
        stream.append(StreamId::new(number / 3, number), fields.into_iter());
    }
    for number in (1..=count).filter(|number| number % 7 == 5) {
        stream.delete(StreamId::new(number / 3, number));
        stream.note_deleted(StreamId::new(number / 3, number));
    }
    let mut group = Group::new(StreamId::new(count / 6, 1), Some(count / 2));
    let (first, second) = (group.create(b"first", 1_000), group.create(b"", 2_000));
    group.create(b"idle", 3_000);
    for number in 1..=count / 2 {
        let consumer = if number % 2 == 0 { first } else { second };
        group.assign(StreamId::new(number / 3, number), consumer, 5_000 + number, number);
    }
    stream.put_group(b"group", group);
    stream.put_group(b"", Group::new(StreamId::MAX, None));
    stream
}

#[test]
fn streams_keep_their_groups() {
    for count in [0, 1, 5, 129, 700] {
        let stream = stream(count);
        let payload = dump(&entry(Value::Stream(stream.clone())), Compression::Lzf).unwrap();
        let Value::Stream(read) = restore(&payload, Checksum::On, STRING_BYTES_MAX).unwrap() else {
            panic!()
        };
        assert_eq!((read.len(), read.marks()), (stream.len(), stream.marks()));
        assert_eq!(all_ids(&read), all_ids(&stream));
        // When a consumer was active is not kept.
        let told = |stream: &Stream| {
            let groups = stream.groups().map(|(name, group)| {
                let consumers: Vec<_> = group
                    .consumers()
                    .map(|consumer| (consumer.name.clone(), consumer.seen_ms, consumer.pending().clone()))
                    .collect();
                let pending: Vec<_> = group
                    .pending()
                    .iter()
                    .map(|(id, of)| {
                        (*id, group.consumer(of.consumer).name.clone(), of.delivered_ms, of.deliveries)
                    })
                    .collect();
                (name.to_vec(), group.last_id, group.entries_read, consumers, pending)
            });
            groups.collect::<Vec<_>>()
        };
        assert_eq!(told(&read), told(&stream));
    }
}

#[test]
fn damaged_payloads_do_no_harm() {
    const ROUNDS: usize = 1500;
    let random = Random::new(20_260_710);
    let own = values().into_iter().map(|value| dump(&entry(value), Compression::Off).unwrap());
    let mut contents: Vec<Vec<u8>> =
        payloads().into_iter().map(|(_, _, payload)| payload).chain(own).collect();
    contents.retain(|payload| payload.len() < 4000);
    contents.iter_mut().for_each(|payload| payload.truncate(payload.len() - FOOTER_BYTES));
    let mut accepted = 0;
    for content in &contents {
        for _ in 0..ROUNDS {
            let mut damaged = content.clone();
            damage(&mut damaged, &random, &contents);
            if let Ok(value) = restore(&sealed(&damaged), Checksum::On, 1 << 20) {
                use_value(value);
                accepted += 1;
            }
        }
    }
    assert!(accepted > ROUNDS, "so little damage goes unnoticed that the test shows nothing: {accepted}");
}

fn file(entries: &[Entry]) -> Vec<u8> {
    let mut writer = FileWriter::begin(Vec::new(), 12, Compression::Lzf).unwrap();
    writer.aux("redis-ver", "7.2.4").unwrap();
    writer.select(3, entries.len(), 1).unwrap();
    let usages = [None, Some(Usage::Idle(70)), Some(Usage::Frequency(5))];
    for (entry, usage) in entries.iter().zip(usages.into_iter().cycle()) {
        writer.entry(entry, usage).unwrap();
    }
    writer.finish(Checksum::On).unwrap()
}

fn parts(file: &[u8]) -> Result<Vec<Part>, RdbError> {
    let mut reader = FileReader::begin(file, STRING_BYTES_MAX, Checksum::On)?;
    let mut parts = Vec::new();
    while let Some(part) = reader.next() {
        parts.push(part?);
    }
    Ok(parts)
}

#[test]
fn files_are_read_as_written() {
    let entries: Vec<Entry> = values()
        .into_iter()
        .enumerate()
        .map(|(number, value)| {
            Entry::new(number.to_string().as_bytes(), value, (number % 2 == 1).then_some(number as u64))
        })
        .collect();
    let parts = parts(&file(&entries)).unwrap();
    assert!(matches!(&parts[0], Part::Aux { name, value } if name == b"redis-ver" && value == b"7.2.4"));
    assert!(matches!(parts[1], Part::Select(3)));
    assert!(matches!(parts[2], Part::Resize { expiring_keys: 1, .. }));
    assert_eq!(parts.len(), entries.len() + 3);
    for (part, entry) in parts.into_iter().skip(3).zip(&entries) {
        let Part::Key(key) = part else { panic!("{part:?}") };
        let read = key.entry;
        let number: usize = std::str::from_utf8(read.key()).unwrap().parse().unwrap();
        assert_eq!(key.usage, [None, Some(Usage::Idle(70)), Some(Usage::Frequency(5))][number % 3]);
        assert_eq!((read.key(), read.expire_at_ms()), (entry.key(), entry.expire_at_ms()));
        assert_eq!(digest_of(&read), digest_of(entry));
    }
}

#[test]
fn damaged_files_are_noticed() {
    let whole = file(&[Entry::string(b"key", b"value", Some(77)), entry(values().swap_remove(4))]);
    for at in 0..whole.len() {
        assert!(parts(&whole[..at]).is_err(), "cut at {at}");
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert!(parts(&damaged).is_err(), "damaged at {at}");
    }
}

#[test]
fn old_files_have_seconds_and_no_checksum() {
    let parts = parts(b"REDIS0003\xfe\x02\xfd\x0a\0\0\0\x00\x01k\x01v\x02\x01e\x00\xff").unwrap();
    let [Part::Select(2), Part::Key(key), Part::EmptyKey(empty)] = &parts[..] else { panic!("{parts:?}") };
    assert_eq!((key.entry.key(), key.entry.expire_at_ms()), (b"k".as_slice(), Some(10_000)));
    assert_eq!(empty, b"e", "a set without members");
}
