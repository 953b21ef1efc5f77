//! RESTORE: the first byte chooses a type of value, the rest is its bytes. What is accepted can be written, read again,
//! changed and taken apart like any other value.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rustredis_keyspace::types::list::End;
use rustredis_keyspace::{Entry, Value, digest};
use rustredis_persistence::aof::entry_commands::write_commands;
use rustredis_persistence::aof::reader::{Reader, Record};
use rustredis_persistence::rdb::{Checksum, Compression, dump, restore, seal_dump};

const STRING_BYTES_MAX: u64 = 1 << 20;
const VALUE_TYPES: u8 = 26;

fn write_and_read_again(entry: &Entry) {
    let payload = dump(entry, Compression::Lzf).expect("what was read can be written");
    let again = restore(&payload, Checksum::On, u64::MAX).expect("what was written can be read");
    assert_eq!(digest::of_value(&Entry::new(b"key", again, None)), digest::of_value(entry));
    let mut commands = Vec::new();
    write_commands(entry, &mut commands);
    let mut reader = Reader::new(commands.as_slice(), 0);
    while let Some(record) = reader.next().expect("commands that were written can be read") {
        assert!(matches!(record, Record::Command(_)));
    }
}

fn change_and_empty(value: Value) {
    match value {
        Value::String(..) => {}
        Value::List(mut list) => {
            let count = list.iter().count();
            assert_eq!(count, list.len());
            list.push(End::Front, b"one more");
            list.set(0, b"other");
            assert_eq!(list.pop(End::Front).as_deref(), Some(b"other".as_slice()));
            assert_eq!(list.pop_with(End::Back, usize::MAX, |_| {}), count);
        }
        Value::Set(mut set) => {
            let members: Vec<Vec<u8>> = set.iter().map(|member| member.to_vec()).collect();
            assert_eq!(members.len(), set.len());
            set.insert(b"one more");
            set.remove(b"one more");
            members.iter().for_each(|member| _ = set.remove(member));
            assert!(set.is_empty());
        }
        Value::ZSet(mut zset) => {
            let members: Vec<(Vec<u8>, f64)> =
                zset.iter().map(|(member, score)| (member.to_vec(), score)).collect();
            for (rank, (member, score)) in members.iter().enumerate() {
                assert_eq!((zset.rank(member), zset.score(member)), (Some(rank), Some(*score)));
            }
            zset.insert(b"one more", 0.5);
            members.iter().for_each(|(member, _)| _ = zset.remove(member));
            assert!(zset.len() <= 1);
        }
        Value::Hash(mut hash) => {
            let fields: Vec<Vec<u8>> = hash.iter().map(|(field, ..)| field.to_vec()).collect();
            assert_eq!(fields.len(), hash.len());
            fields.iter().for_each(|field| _ = hash.set_field_expiry(field, Some(1000)));
            assert_eq!(hash.expire_fields(2000, |_| {}), fields.len());
            assert!(hash.is_empty());
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((value_type, bytes)) = input.split_first() else { return };
    let mut payload = vec![value_type % VALUE_TYPES];
    payload.extend_from_slice(bytes);
    seal_dump(&mut payload, 12);
    let Ok(value) = restore(&payload, Checksum::On, STRING_BYTES_MAX) else { return };
    let entry = Entry::new(b"key", value, None);
    write_and_read_again(&entry);
    change_and_empty(entry.into_value());
});
