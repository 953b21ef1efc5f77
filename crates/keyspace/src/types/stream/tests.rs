//! A stream beside a model: entries in a map.

use std::collections::BTreeMap;

use super::*;
use crate::random::Random;
use crate::types::listpack::Listpack;

type Words = Vec<(Vec<u8>, Vec<u8>)>;

fn add(stream: &mut Stream, id: StreamId, fields: &Words) {
    stream.append(id, fields.iter().map(|(name, value)| (&name[..], &value[..])));
}

fn words(entry: &Entry<'_>) -> Words {
    entry.fields.clone().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// Compares all that can be read with the model.
#[track_caller]
fn check(stream: &Stream, model: &BTreeMap<StreamId, Words>) {
    assert_eq!(stream.len(), model.len() as u64);
    let all = StreamId::MIN..=StreamId::MAX;
    let forwards: Vec<_> = stream.range(all.clone()).map(|entry| (entry.id, words(&entry))).collect();
    let expected: Vec<_> = model.iter().map(|(id, words)| (*id, words.clone())).collect();
    assert_eq!(forwards, expected);
    let mut backwards: Vec<_> = stream.range(all).rev().map(|entry| (entry.id, words(&entry))).collect();
    backwards.reverse();
    assert_eq!(backwards, expected);
    let first = model.keys().next().copied().unwrap_or(StreamId::MIN);
    assert_eq!(stream.marks().first_id, first);
    let nodes: Vec<_> = stream
        .nodes()
        .map(|(base, list)| (base, Listpack::from_bytes(list.as_bytes()).expect("it is a listpack")))
        .collect();
    let again = Stream::from_nodes(nodes, stream.len(), stream.marks()).expect("its nodes are a stream's");
    assert_eq!(again.range(StreamId::MIN..=StreamId::MAX).count(), model.len());
}

#[test]
fn a_stream_is_as_a_map_of_entries() {
    let random = Random::new(7);
    let below = |count: u64| random.next() % count;
    for _ in 0..if cfg!(miri) { 1 } else { 12 } {
        let (mut stream, mut model) = (Stream::new(), BTreeMap::new());
        let mut last = StreamId::MIN;
        for step in 0..if cfg!(miri) { 150 } else { 3_000 } {
            match below(20) {
                0..12 => {
                    last = match below(4) {
                        0 => StreamId::new(last.ms + 1 + below(300), below(3)),
                        _ => last.next().expect("there are more"),
                    };
                    let fields: Words = (0..below(4) + 1)
                        .map(|field| {
                            let name = if below(5) == 0 { below(9) } else { field };
                            let value = if below(30) == 0 {
                                vec![b'v'; 500]
                            } else {
                                below(300).to_string().into_bytes()
                            };
                            (name.to_string().into_bytes(), value)
                        })
                        .collect();
                    add(&mut stream, last, &fields);
                    model.insert(last, fields);
                }
                12..17 => {
                    let keys: Vec<StreamId> = model.keys().copied().collect();
                    if !keys.is_empty() {
                        let id = keys[below(keys.len() as u64) as usize];
                        assert!(stream.delete(id));
                        assert!(!stream.delete(id));
                        model.remove(&id);
                    }
                }
                17 => {
                    let count = model.len() as u64 * (7 + below(3)) / 10;
                    let trim = Trim { keep: Keep::Newest(count), is_approximate: below(2) == 0, limit: 0 };
                    let removed = stream.trim(trim);
                    for _ in 0..removed {
                        model.pop_first();
                    }
                    assert!(trim.is_approximate || model.len() as u64 == count);
                }
                18 => {
                    let from = StreamId::new(last.ms.saturating_sub(below(2_000)), 0);
                    let trim =
                        Trim { keep: Keep::From(from), is_approximate: below(2) == 0, limit: below(2) * 50 };
                    for _ in 0..stream.trim(trim) {
                        let (id, _) = model.pop_first().expect("it was there");
                        assert!(id < from);
                    }
                    let is_exact = !trim.is_approximate && trim.limit == 0;
                    assert!(!is_exact || model.keys().all(|id| *id >= from));
                }
                _ => {
                    let start = StreamId::new(below(last.ms + 1), below(3));
                    let end = StreamId::new(start.ms + below(500), below(3));
                    let found: Vec<StreamId> = stream.range(start..=end).map(|entry| entry.id).collect();
                    let mut back: Vec<StreamId> =
                        stream.range(start..=end).rev().map(|entry| entry.id).collect();
                    back.reverse();
                    let expected: Vec<StreamId> = if start > end {
                        Vec::new()
                    } else {
                        model.range(start..=end).map(|(id, _)| *id).collect()
                    };
                    assert_eq!((&found, &back), (&expected, &expected));
                    assert_eq!(stream.get(start).is_some(), model.contains_key(&start));
                }
            }
            if step % 100 == 0 {
                check(&stream, &model);
            }
        }
        check(&stream, &model);
        assert_eq!(stream.clone().len(), model.len() as u64);
    }
}

#[test]
fn both_ends_meet() {
    let mut stream = Stream::new();
    for number in 1..=350 {
        add(&mut stream, StreamId::new(number, 0), &vec![(b"f".to_vec(), b"v".to_vec())]);
    }
    let mut range = stream.range(StreamId::new(3, 0)..=StreamId::new(340, 9));
    let mut seen = Vec::new();
    while let Some(front) = range.next() {
        seen.push(front.id.ms);
        seen.extend(range.next_back().map(|entry| entry.id.ms));
    }
    seen.sort_unstable();
    assert_eq!(seen, (3..=340).collect::<Vec<_>>());
}

#[test]
fn broken_nodes_are_refused() {
    let mut stream = Stream::new();
    for number in 1..=5 {
        add(&mut stream, StreamId::new(number, 0), &vec![(b"name".to_vec(), b"value".to_vec())]);
    }
    add(&mut stream, StreamId::new(9, 0), &vec![(b"other".to_vec(), b"1".to_vec())]);
    assert!(stream.delete(StreamId::new(2, 0)));
    let (base, list) = stream.nodes().next().expect("there is a node");
    let elements: Vec<Vec<u8>> = list.iter().map(|element| element.to_vec()).collect();
    let read = |elements: &[Vec<u8>], length| {
        let list: Listpack = elements.iter().map(|element| &element[..]).collect();
        Stream::from_nodes([(base, list)], length, stream.marks())
    };
    assert!(read(&elements, 5).is_some() && read(&elements, 4).is_none());
    let mut refused = 0;
    for (at, element) in elements.iter().enumerate() {
        for other in ["-1", "0", "1", "7", "99", "x", "9223372036854775807"] {
            let mut broken = elements.clone();
            broken[at] = other.as_bytes().to_vec();
            match read(&broken, 5) {
                None => refused += 1,
                // What is taken can be read to its end.
                Some(stream) => {
                    let entries =
                        stream.range(StreamId::MIN..=StreamId::MAX).map(|entry| words(&entry).len());
                    assert_eq!(entries.count(), 5, "{at}: {:?} -> {other}", element);
                }
            }
        }
        let mut shorter = elements.clone();
        shorter.remove(at);
        if let Some(stream) = read(&shorter, 5) {
            stream.range(StreamId::MIN..=StreamId::MAX).for_each(|entry| drop(words(&entry)));
        }
    }
    assert!(refused > elements.len() * 3, "{refused} of {}", elements.len() * 7);
}

#[test]
fn groups_keep_what_is_pending_with_its_consumer() {
    let mut group = Group::new(StreamId::MIN, Some(0));
    let (first, second) = (group.create(b"first", 1), group.create(b"second", 2));
    for number in 1..=4 {
        assert_eq!(group.assign(StreamId::new(number, 0), first, 5, 1), None);
    }
    let before = group.assign(StreamId::new(2, 0), second, 6, 2);
    assert_eq!(before, Some(Pending { consumer: first, delivered_ms: 5, deliveries: 1 }));
    assert_eq!((group.consumer(first).pending().len(), group.consumer(second).pending().len()), (3, 1));
    assert!(
        group.acknowledge(StreamId::new(1, 0)).is_some() && group.acknowledge(StreamId::new(1, 0)).is_none()
    );
    assert_eq!(group.remove(first), 2);
    assert_eq!(group.pending().keys().copied().collect::<Vec<_>>(), [StreamId::new(2, 0)]);
    let third = group.create(b"third", 3);
    assert_eq!(third, first, "a place is used again");
    assert_eq!(
        group.consumers().map(|consumer| &*consumer.name).collect::<Vec<_>>(),
        [&b"second"[..], b"third"]
    );
}
