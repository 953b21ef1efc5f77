//! Streams in RDB files and DUMP payloads.
//!
//! ```text
//! nodes    how many, then the ID (16 bytes, big endian) and the listpack of each, as strings
//! marks    length, last ID; since 7.0: first ID, greatest deleted ID, entries added
//! groups   how many; of each: name, last ID, since 7.0 entries read, what is pending, consumers
//! pending  how many; of each: ID (16 bytes), time of delivery (8 bytes), deliveries
//! consumer name, time seen (8 bytes), since 7.2 time active (8 bytes), the IDs (16 bytes) of what it has pending
//! ```
//!
//! They are written as 7.0 has them: the time at which a consumer was active last is not kept then.

use std::io::{BufRead, Write};

use rustredis_keyspace::types::listpack::Listpack;
use rustredis_keyspace::types::stream::{COUNT_MAX, Group, Marks, Stream, StreamId};

use super::{RdbError, Reader, Writer, value_type};

/// What stands for a number of entries read that is not known.
const UNKNOWN: u64 = u64::MAX;

pub(super) fn write<W: Write>(writer: &mut Writer<W>, stream: &Stream) -> Result<(), RdbError> {
    let nodes = stream.nodes();
    writer.write_length(nodes.len() as u64)?;
    for (base, listpack) in nodes {
        writer.write_string(&base.to_bytes())?;
        writer.write_string(listpack.as_bytes())?;
    }
    let marks = stream.marks();
    writer.write_length(stream.len())?;
    for id in [marks.last_id, marks.first_id, marks.max_deleted_id] {
        write_id(writer, id)?;
    }
    writer.write_length(marks.entries_added)?;
    let groups = stream.groups();
    writer.write_length(groups.len() as u64)?;
    for (name, group) in groups {
        writer.write_string(name)?;
        write_id(writer, group.last_id)?;
        writer.write_length(group.entries_read.unwrap_or(UNKNOWN))?;
        write_group(writer, group)?;
    }
    Ok(())
}

fn write_id<W: Write>(writer: &mut Writer<W>, id: StreamId) -> Result<(), RdbError> {
    writer.write_length(id.ms)?;
    writer.write_length(id.seq)
}

fn write_group<W: Write>(writer: &mut Writer<W>, group: &Group) -> Result<(), RdbError> {
    writer.write_length(group.pending().len() as u64)?;
    for (id, pending) in group.pending() {
        writer.write_bytes(&id.to_bytes())?;
        writer.write_millis(pending.delivered_ms as i64)?;
        writer.write_length(pending.deliveries)?;
    }
    let consumers = group.consumers();
    writer.write_length(consumers.len() as u64)?;
    for consumer in consumers {
        writer.write_string(&consumer.name)?;
        writer.write_millis(consumer.seen_ms as i64)?;
        writer.write_length(consumer.pending().len() as u64)?;
        for id in consumer.pending() {
            writer.write_bytes(&id.to_bytes())?;
        }
    }
    Ok(())
}

/// Reads a stream of one of the three types. O(bytes), and log n for each pending entry.
///
/// # Errors
/// `Malformed` for what is none, or contradicts itself.
pub(super) fn read<R: BufRead>(reader: &mut Reader<R>, value_type: u8) -> Result<Stream, RdbError> {
    let offset = reader.offset();
    let has_marks = value_type != value_type::STREAM_LISTPACKS;
    let mut nodes = Vec::new();
    for _ in 0..reader.read_length()? {
        let base = reader.read_string()?;
        let base = base.try_into().map_err(|_| malformed(reader, "the ID of a stream's node"))?;
        let listpack = Listpack::from_bytes(&reader.read_string()?);
        let listpack = listpack.map_err(|_| malformed(reader, "a listpack"))?;
        nodes.push((StreamId::from_bytes(base), listpack));
    }
    let length = reader.read_length()?;
    let last_id = read_id(reader)?;
    let mut marks = Marks { last_id, entries_added: length, ..Marks::default() };
    if has_marks {
        marks.first_id = read_id(reader)?;
        marks.max_deleted_id = read_id(reader)?;
        marks.entries_added = reader.read_length()?.min(COUNT_MAX);
    }
    let mut stream = Stream::from_nodes(nodes, length, marks)
        .ok_or(RdbError::Malformed { offset, expected: "a stream's nodes" })?;
    for _ in 0..reader.read_length()? {
        let name = reader.read_string()?;
        let last_id = read_id(reader)?;
        let entries_read = if has_marks {
            // What is more is not known either.
            Some(reader.read_length()?).filter(|read| *read <= COUNT_MAX)
        } else {
            stream.entries_up_to(last_id)
        };
        if stream.group(&name).is_some() {
            return Err(malformed(reader, "another group of the stream"));
        }
        let mut group = Group::new(last_id, entries_read);
        read_group(reader, &mut group, value_type)?;
        stream.put_group(&name, group);
    }
    Ok(stream)
}

fn malformed<R: BufRead>(reader: &Reader<R>, expected: &'static str) -> RdbError {
    RdbError::Malformed { offset: reader.offset(), expected }
}

fn read_id<R: BufRead>(reader: &mut Reader<R>) -> Result<StreamId, RdbError> {
    Ok(StreamId::new(reader.read_length()?, reader.read_length()?))
}

fn read_time<R: BufRead>(reader: &mut Reader<R>) -> Result<u64, RdbError> {
    Ok(u64::try_from(reader.read_millis()?).unwrap_or(0))
}

fn read_group<R: BufRead>(reader: &mut Reader<R>, group: &mut Group, value_type: u8) -> Result<(), RdbError> {
    let mut pending = Vec::new();
    for _ in 0..reader.read_length()? {
        let id = StreamId::from_bytes(reader.read_array()?);
        let delivered_ms = read_time(reader)?;
        pending.push((id, delivered_ms, reader.read_length()?));
    }
    if !pending.is_sorted_by(|one, next| one.0 < next.0) {
        return Err(malformed(reader, "pending entries in order"));
    }
    let mut assigned = 0;
    for _ in 0..reader.read_length()? {
        let name = reader.read_string()?;
        let seen_ms = read_time(reader)?;
        // The best that is known of versions that had no such time.
        let mut active_ms = Some(seen_ms);
        if value_type == value_type::STREAM_LISTPACKS_3 {
            active_ms = u64::try_from(reader.read_millis()?).ok();
        }
        if group.find(&name).is_some() {
            return Err(malformed(reader, "another consumer of the group"));
        }
        let consumer = group.create(&name, seen_ms);
        group.consumer_mut(consumer).active_ms = active_ms;
        for _ in 0..reader.read_length()? {
            let id = StreamId::from_bytes(reader.read_array()?);
            let found = pending.binary_search_by_key(&id, |pending| pending.0);
            let (_, delivered_ms, deliveries) =
                pending[found.map_err(|_| malformed(reader, "an entry that is pending"))?];
            if group.assign(id, consumer, delivered_ms, deliveries).is_some() {
                return Err(malformed(reader, "an entry that no other consumer has"));
            }
            assigned += 1;
        }
    }
    // An entry that is pending and nobody's would be lost.
    if assigned == pending.len() {
        Ok(())
    } else {
        Err(malformed(reader, "a consumer for each pending entry"))
    }
}
