//! Writes values: which of RDB's types a value takes, and its bytes.
//!
//! A value is written as version 10 has it, so that Redis 7.0 loads it, and as it lies in memory: a listpack, an intset
//! or a list's node is one string. Two encodings are younger than that. A set in a listpack (7.2) is written member by
//! member. A hash of which fields expire (7.4) has no older form: its type is one of version 12, and a hash whose last
//! expiring field is gone is written as an ordinary one.

use std::io::Write;

use rustredis_keyspace::types::hash::Hash;
use rustredis_keyspace::types::intset::IntSet;
use rustredis_keyspace::types::list::{List, NodeRef};
use rustredis_keyspace::types::listpack::{Element, Listpack};
use rustredis_keyspace::types::set::Set;
use rustredis_keyspace::types::stream::Stream;
use rustredis_keyspace::types::zset::{Order, ZSet};
use rustredis_keyspace::{Entry, Kind};

use super::{Compression, RdbError, Writer, quicklist_node, seal_dump, stream, value_type};

/// The version of everything that is not younger: that of Redis 7.0.
pub const VERSION_WRITTEN: u16 = 10;
/// The version of hashes with expiring fields: that of Redis 7.4.
pub const VERSION_WITH_FIELD_EXPIRY: u16 = 12;

/// A value in the form in which it is written.
#[derive(Clone, Copy)]
pub struct Encoded<'a>(Form<'a>);

#[derive(Clone, Copy)]
enum Form<'a> {
    String(&'a [u8]),
    List(&'a List),
    IntSet(&'a IntSet),
    Set(&'a Set),
    ZSetListpack(&'a Listpack),
    ZSet(&'a ZSet),
    HashListpack(&'a Listpack),
    Hash(&'a Hash),
    HashListpackEx(&'a Listpack, u64),
    HashMetadata(&'a Hash, u64),
    Stream(&'a Stream),
}

impl<'a> Encoded<'a> {
    /// The form of an entry's value.
    pub fn of(entry: &'a Entry) -> Self {
        let form = match entry.kind() {
            Kind::String => Some(Form::String(entry.bytes())),
            Kind::List => entry.collection().map(Form::List),
            Kind::Set => entry.collection::<Set>().map(|set| match set.as_intset() {
                Some(integers) => Form::IntSet(integers),
                None => Form::Set(set),
            }),
            Kind::ZSet => entry.collection::<ZSet>().map(|zset| match zset.as_listpack() {
                Some(listpack) => Form::ZSetListpack(listpack),
                None => Form::ZSet(zset),
            }),
            Kind::Hash => entry.collection::<Hash>().map(form_of_hash),
            Kind::Stream => entry.collection().map(Form::Stream),
        };
        Self(form.unwrap_or(Form::String(&[])))
    }

    /// Its first byte, one of [`value_type`].
    pub fn value_type(&self) -> u8 {
        match self.0 {
            Form::String(_) => value_type::STRING,
            Form::List(_) => value_type::LIST_QUICKLIST_2,
            Form::IntSet(_) => value_type::SET_INTSET,
            Form::Set(_) => value_type::SET,
            Form::ZSetListpack(_) => value_type::ZSET_LISTPACK,
            Form::ZSet(_) => value_type::ZSET_2,
            Form::HashListpack(_) => value_type::HASH_LISTPACK,
            Form::Hash(_) => value_type::HASH,
            Form::HashListpackEx(..) => value_type::HASH_LISTPACK_EX,
            Form::HashMetadata(..) => value_type::HASH_METADATA,
            Form::Stream(_) => value_type::STREAM_LISTPACKS_2,
        }
    }

    /// The version that first had this form, at least [`VERSION_WRITTEN`].
    pub fn version(&self) -> u16 {
        match self.0 {
            Form::HashListpackEx(..) | Form::HashMetadata(..) => VERSION_WITH_FIELD_EXPIRY,
            _ => VERSION_WRITTEN,
        }
    }

    /// Writes the value, without its type. O(bytes).
    pub fn write<W: Write>(&self, writer: &mut Writer<W>) -> Result<(), RdbError> {
        match self.0 {
            Form::String(bytes) => writer.write_string(bytes),
            Form::List(list) => write_list(writer, list),
            Form::IntSet(integers) => writer.write_string(integers.as_bytes()),
            Form::Set(set) => {
                writer.write_length(set.len() as u64)?;
                set.iter().try_for_each(|member| write_element(writer, member))
            }
            Form::ZSetListpack(listpack) | Form::HashListpack(listpack) => {
                writer.write_string(listpack.as_bytes())
            }
            Form::ZSet(zset) => {
                writer.write_length(zset.len() as u64)?;
                // From the highest down, as Redis does: who loads it inserts at the front of a list.
                zset.range(0..zset.len(), Order::Descending).try_for_each(|(member, score)| {
                    write_element(writer, member)?;
                    writer.write_double(score)
                })
            }
            Form::Hash(hash) => {
                writer.write_length(hash.len() as u64)?;
                hash.iter().try_for_each(|(field, value, _)| {
                    write_element(writer, field)?;
                    write_element(writer, value)
                })
            }
            Form::HashListpackEx(listpack, first_expiry_ms) => {
                writer.write_millis(first_expiry_ms as i64)?;
                writer.write_string(listpack.as_bytes())
            }
            Form::HashMetadata(hash, first_expiry_ms) => write_metadata(writer, hash, first_expiry_ms),
            Form::Stream(stream) => stream::write(writer, stream),
        }
    }
}

fn form_of_hash(hash: &Hash) -> Form<'_> {
    match (hash.next_expiry(), hash.as_listpack(), hash.as_listpack_ex()) {
        (None, Some(listpack), _) => Form::HashListpack(listpack),
        (None, None, _) => Form::Hash(hash),
        (Some(first_expiry_ms), _, Some(listpack)) => Form::HashListpackEx(listpack, first_expiry_ms),
        (Some(first_expiry_ms), _, None) => Form::HashMetadata(hash, first_expiry_ms),
    }
}

fn write_element<W: Write>(writer: &mut Writer<W>, element: Element<'_>) -> Result<(), RdbError> {
    match element {
        Element::Str(text) => writer.write_string(text),
        Element::Int(integer) => writer.write_integer_string(integer),
    }
}

fn write_list<W: Write>(writer: &mut Writer<W>, list: &List) -> Result<(), RdbError> {
    let mut nodes = list.nodes();
    writer.write_length(nodes.len() as u64)?;
    nodes.try_for_each(|node| {
        let (container, bytes) = match node {
            NodeRef::Plain(value) => (quicklist_node::PLAIN, value),
            NodeRef::Packed(listpack) => (quicklist_node::PACKED, listpack.as_bytes()),
        };
        writer.write_length(container)?;
        writer.write_string(bytes)
    })
}

/// Expiries are written relative to the first: 0 for none, 1 for the first itself.
fn write_metadata<W: Write>(
    writer: &mut Writer<W>,
    hash: &Hash,
    first_expiry_ms: u64,
) -> Result<(), RdbError> {
    writer.write_millis(first_expiry_ms as i64)?;
    writer.write_length(hash.len() as u64)?;
    hash.iter().try_for_each(|(field, value, expiry_ms)| {
        writer.write_length(expiry_ms.map_or(0, |at_ms| at_ms.saturating_sub(first_expiry_ms) + 1))?;
        write_element(writer, field)?;
        write_element(writer, value)
    })
}

/// An entry's value as a DUMP payload. O(bytes).
///
/// # Errors
/// The writer's, of which there are none for a vector.
pub fn dump(entry: &Entry, compression: Compression) -> Result<Vec<u8>, RdbError> {
    let encoded = Encoded::of(entry);
    let mut writer = Writer::new(Vec::new(), compression);
    writer.write_byte(encoded.value_type())?;
    encoded.write(&mut writer)?;
    let mut payload = writer.into_sink()?;
    seal_dump(&mut payload, encoded.version());
    Ok(payload)
}
