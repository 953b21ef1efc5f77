//! Reads values of every type that any version has had, and believes none of them.
//!
//! What is malformed, contradicts itself or is there twice is an error; nothing is repaired or guessed. Memory is taken
//! as elements arrive, never because a length promises them: a promised count is at most a hint, capped.
//! A collection of no elements is not an error of the format (old versions wrote some); it is no value either.

use std::io::BufRead;

use rustredis_keyspace::Value;
use rustredis_keyspace::types::hash::Hash;
use rustredis_keyspace::types::intset::IntSet;
use rustredis_keyspace::types::list::{End, List, ListNode};
use rustredis_keyspace::types::listpack::Listpack;
use rustredis_keyspace::types::set::Set;
use rustredis_keyspace::types::zset::{Builder, ZSet};

use super::{Checksum, RdbError, Reader, open_dump, quicklist_node, stream, value_type, ziplist};

/// The most elements that are made room for before they are read.
const HINT_MAX: u64 = 1 << 12;

/// Reads a value of this type; `None` if it has no elements. O(bytes), times log n where repetition is looked for.
///
/// # Errors
/// `Unsupported` for modules, `Malformed` for what is no value of that type.
pub fn read_value<R: BufRead>(reader: &mut Reader<R>, value_type: u8) -> Result<Option<Value>, RdbError> {
    let offset = reader.offset();
    let malformed = |expected| RdbError::Malformed { offset, expected };
    Ok(match value_type {
        value_type::STRING => Some(Value::string(reader.read_string()?)),
        value_type::LIST => some_list(read_plain_list(reader)?),
        value_type::LIST_ZIPLIST => {
            let listpack = ziplist::to_listpack(&reader.read_string()?).ok_or(malformed("a ziplist"))?;
            some_list(List::from_nodes([ListNode::Packed(listpack)]))
        }
        value_type::LIST_QUICKLIST => some_list(read_quicklist(reader, |reader| {
            let offset = reader.offset();
            let listpack = ziplist::to_listpack(&reader.read_string()?);
            listpack.map(ListNode::Packed).ok_or(RdbError::Malformed { offset, expected: "a ziplist" })
        })?),
        value_type::LIST_QUICKLIST_2 => some_list(read_quicklist(reader, read_quicklist_node)?),
        value_type::SET => read_set(reader)?,
        value_type::SET_INTSET => {
            let integers = IntSet::from_bytes(&reader.read_string()?).map_err(|_| malformed("an intset"))?;
            (!integers.is_empty()).then(|| Value::Set(Set::from_intset(integers)))
        }
        value_type::SET_LISTPACK => {
            let members = read_listpack(reader)?;
            let set = Set::from_listpack(members).ok_or(malformed("distinct members"))?;
            (!set.is_empty()).then_some(Value::Set(set))
        }
        value_type::ZSET | value_type::ZSET_2 => read_zset(reader, value_type)?,
        value_type::ZSET_LISTPACK => some_zset(read_listpack(reader)?, offset)?,
        value_type::ZSET_ZIPLIST => {
            let pairs = ziplist::to_listpack(&reader.read_string()?).ok_or(malformed("a ziplist"))?;
            some_zset(pairs, offset)?
        }
        value_type::HASH => read_hash(reader)?,
        value_type::HASH_ZIPMAP => {
            let pairs = ziplist::zipmap_to_listpack(&reader.read_string()?).ok_or(malformed("a zipmap"))?;
            hash_of_zipmap(&pairs, offset)?
        }
        value_type::HASH_ZIPLIST => {
            let pairs = ziplist::to_listpack(&reader.read_string()?).ok_or(malformed("a ziplist"))?;
            some_hash(Hash::from_listpack(pairs), offset)?
        }
        value_type::HASH_LISTPACK => some_hash(Hash::from_listpack(read_listpack(reader)?), offset)?,
        value_type::HASH_LISTPACK_EX => {
            // The first expiry stands in the listpack too.
            reader.read_millis()?;
            some_hash(Hash::from_listpack_ex(read_listpack(reader)?), offset)?
        }
        value_type::HASH_LISTPACK_EX_PRE_RELEASE => {
            some_hash(Hash::from_listpack_ex(read_listpack(reader)?), offset)?
        }
        value_type::HASH_METADATA => {
            let base = reader.read_millis()?;
            let base = u64::try_from(base).map_err(|_| malformed("an expiry"))?;
            // Relative to the first expiry, and 1 is that itself.
            read_expiring_hash(reader, |expiry| expiry.checked_sub(1).map(|after| after.checked_add(base)))?
        }
        value_type::HASH_METADATA_PRE_RELEASE => {
            read_expiring_hash(reader, |expiry| (expiry != 0).then_some(Some(expiry)))?
        }
        value_type::STREAM_LISTPACKS | value_type::STREAM_LISTPACKS_2 | value_type::STREAM_LISTPACKS_3 => {
            Some(Value::Stream(stream::read(reader, value_type)?))
        }
        value_type::MODULE_2 | value_type::MODULE_PRE_RELEASE => {
            return Err(RdbError::Unsupported { offset, what: "a module's value" });
        }
        _ => return Err(malformed("a type of value")),
    })
}

/// The value of a DUMP payload.
///
/// # Errors
/// Those of [`open_dump`], those of [`read_value`], and `Malformed` for a value of no elements or with bytes behind it.
pub fn restore(payload: &[u8], checksum: Checksum, string_bytes_max: u64) -> Result<Value, RdbError> {
    let (_, content) = open_dump(payload, checksum)?;
    let mut reader = Reader::new(content, string_bytes_max);
    let value_type = reader.read_byte()?;
    let value = read_value(&mut reader, value_type)?;
    let offset = reader.offset();
    if !reader.into_source().is_empty() {
        return Err(RdbError::Malformed { offset, expected: "the end of the payload" });
    }
    value.ok_or(RdbError::Malformed { offset: 0, expected: "at least one element" })
}

fn read_listpack<R: BufRead>(reader: &mut Reader<R>) -> Result<Listpack, RdbError> {
    let offset = reader.offset();
    Listpack::from_bytes(&reader.read_string()?)
        .map_err(|_| RdbError::Malformed { offset, expected: "a listpack" })
}

fn some_list(list: List) -> Option<Value> {
    (!list.is_empty()).then_some(Value::List(list))
}

fn read_plain_list<R: BufRead>(reader: &mut Reader<R>) -> Result<List, RdbError> {
    let mut list = List::new();
    for _ in 0..reader.read_length()? {
        list.push(End::Back, &reader.read_string()?);
    }
    Ok(list)
}

fn read_quicklist<R: BufRead>(
    reader: &mut Reader<R>,
    read_node: impl Fn(&mut Reader<R>) -> Result<ListNode, RdbError>,
) -> Result<List, RdbError> {
    let nodes = (0..reader.read_length()?).map(|_| read_node(reader));
    Ok(List::from_nodes(nodes.collect::<Result<Vec<_>, _>>()?))
}

fn read_quicklist_node<R: BufRead>(reader: &mut Reader<R>) -> Result<ListNode, RdbError> {
    let offset = reader.offset();
    match reader.read_length()? {
        quicklist_node::PLAIN => Ok(ListNode::Plain(reader.read_string()?)),
        quicklist_node::PACKED => read_listpack(reader).map(ListNode::Packed),
        _ => Err(RdbError::Malformed { offset, expected: "a kind of a list's node" }),
    }
}

fn read_set<R: BufRead>(reader: &mut Reader<R>) -> Result<Option<Value>, RdbError> {
    let count = reader.read_length()?;
    let mut set = None;
    for _ in 0..count {
        let offset = reader.offset();
        let member = reader.read_string()?;
        let set = set.get_or_insert_with(|| Set::with_hint(&member, count.min(HINT_MAX) as usize));
        if !set.insert(&member) {
            return Err(RdbError::Malformed { offset, expected: "another member" });
        }
    }
    Ok(set.map(Value::Set))
}

fn read_zset<R: BufRead>(reader: &mut Reader<R>, value_type: u8) -> Result<Option<Value>, RdbError> {
    let count = reader.read_length()?;
    let mut builder = Builder::with_capacity(count.min(HINT_MAX) as usize);
    for _ in 0..count {
        let offset = reader.offset();
        let member = reader.read_string()?;
        let score = match value_type {
            value_type::ZSET_2 => reader.read_double()?,
            _ => reader.read_double_text()?,
        };
        if score.is_nan() {
            return Err(RdbError::Malformed { offset, expected: "a score that is a number" });
        }
        if !builder.insert(&member, score) {
            return Err(RdbError::Malformed { offset, expected: "another member" });
        }
    }
    Ok((!builder.is_empty()).then(|| Value::ZSet(builder.finish())))
}

fn some_zset(pairs: Listpack, offset: u64) -> Result<Option<Value>, RdbError> {
    let zset = ZSet::from_listpack(pairs)
        .map_err(|_| RdbError::Malformed { offset, expected: "members and scores in order" })?;
    Ok((!zset.is_empty()).then_some(Value::ZSet(zset)))
}

fn read_hash<R: BufRead>(reader: &mut Reader<R>) -> Result<Option<Value>, RdbError> {
    let count = reader.read_length()?;
    let mut hash = Hash::with_capacity(count.min(HINT_MAX) as usize);
    for _ in 0..count {
        let offset = reader.offset();
        let (field, value) = (reader.read_string()?, reader.read_string()?);
        if !hash.set(&field, &value) {
            return Err(RdbError::Malformed { offset, expected: "another field" });
        }
    }
    Ok((!hash.is_empty()).then_some(Value::Hash(hash)))
}

/// `expiry_of` gives what a field's number means: nothing, or a Unix time in ms if that is possible.
fn read_expiring_hash<R: BufRead>(
    reader: &mut Reader<R>,
    expiry_of: impl Fn(u64) -> Option<Option<u64>>,
) -> Result<Option<Value>, RdbError> {
    let count = reader.read_length()?;
    let mut hash = Hash::with_capacity(count.min(HINT_MAX) as usize);
    for _ in 0..count {
        let offset = reader.offset();
        let expiry = expiry_of(reader.read_length()?);
        let (field, value) = (reader.read_string()?, reader.read_string()?);
        if !hash.set(&field, &value) {
            return Err(RdbError::Malformed { offset, expected: "another field" });
        }
        if let Some(expiry_ms) = expiry {
            let expiry_ms = expiry_ms.filter(|at_ms| i64::try_from(*at_ms).is_ok());
            let expiry_ms = expiry_ms.ok_or(RdbError::Malformed { offset, expected: "an expiry" })?;
            hash.set_field_expiry(&field, Some(expiry_ms));
        }
    }
    Ok((!hash.is_empty()).then_some(Value::Hash(hash)))
}

/// A zipmap has no bound to the length of its values, so the encoding follows from each.
fn hash_of_zipmap(pairs: &Listpack, offset: u64) -> Result<Option<Value>, RdbError> {
    let mut hash = Hash::new();
    let mut elements = pairs.iter();
    let mut buffers = [[0; 20]; 2];
    let [field_buffer, value_buffer] = &mut buffers;
    while let (Some(field), Some(value)) = (elements.next(), elements.next()) {
        if !hash.set(field.as_bytes(field_buffer), value.as_bytes(value_buffer)) {
            return Err(RdbError::Malformed { offset, expected: "distinct fields" });
        }
    }
    Ok((!hash.is_empty()).then_some(Value::Hash(hash)))
}

fn some_hash(hash: Option<Hash>, offset: u64) -> Result<Option<Value>, RdbError> {
    let hash =
        hash.ok_or(RdbError::Malformed { offset, expected: "distinct fields, each with its value" })?;
    Ok((!hash.is_empty()).then_some(Value::Hash(hash)))
}
