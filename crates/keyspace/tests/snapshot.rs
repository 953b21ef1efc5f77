//! A snapshot holds the keys as they were when it began, whatever happens to them until their shard is visited.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use rustredis_keyspace::snapshot::{Encode, Handover, Preserved};
use rustredis_keyspace::{Access, Bank, Covered, Effects, Entry, Key, Random, Store, View};

const SHARDS: usize = 8;
const DATABASES: usize = 3;
const KEYS: usize = 200;

/// The value of each key of each database.
type Data = BTreeMap<(usize, Vec<u8>), Vec<u8>>;

/// As `key=value;`.
fn encode(entry: &Entry, out: &mut Vec<u8>) {
    out.extend_from_slice(entry.key());
    out.push(b'=');
    out.extend_from_slice(entry.bytes());
    out.push(b';');
}

fn add(data: &mut Data, db: usize, encoded: &[u8]) {
    for item in encoded.split(|byte| *byte == b';').filter(|item| !item.is_empty()) {
        let at = item.iter().position(|byte| *byte == b'=').unwrap();
        let before = data.insert((db, item[..at].to_vec()), item[at + 1..].to_vec());
        assert_eq!(before, None, "a key is in the snapshot twice: {item:?}");
    }
}

fn data_of(view: &mut View<'_>) -> Data {
    let mut data = Data::new();
    for db in 0..DATABASES {
        view.select(db);
        let mut encoded = Vec::new();
        view.for_each(|entry| encode(entry, &mut encoded));
        add(&mut data, db, &encoded);
    }
    data
}

/// Something that a command might do.
fn change(view: &mut View<'_>, random: &Random, number: usize) {
    let name = || format!("key:{}", random.below(KEYS)).into_bytes();
    let (first, second) = (name(), name());
    let (first, second) = (Key::new(&first), Key::new(&second));
    view.select(random.below(DATABASES));
    match random.below(40) {
        0 => _ = view.clear(),
        1 => view.swap_databases(random.below(DATABASES), random.below(DATABASES)),
        2..=9 => _ = view.delete(first),
        10..=13 => {
            if let Some(entry) = view.remove(first) {
                view.set_string(second, entry.bytes(), None);
            }
        }
        14..=17 => {
            if let Ok(Some(entry)) = view.string_mut(first) {
                entry.set_bytes(format!("changed {number}").as_bytes());
            }
        }
        18..=20 => _ = view.set_expiry(first, Some(u64::MAX / 2)),
        _ => view.set_string(first, format!("value {number}").as_bytes(), None),
    }
}

#[test]
fn it_is_of_one_moment() {
    for seed in 0..200 {
        let random = Random::new(seed);
        let store = Store::new(SHARDS, DATABASES, Bank::new(SHARDS), Box::new(|| Bank::new(SHARDS)));
        let mut effects = Effects::default();
        // SAFETY: there is one thread and one view.
        let mut view = unsafe { View::new(&store, Covered::All, Access::Write, 0, 1, &random, &mut effects) };
        (0..300).for_each(|number| change(&mut view, &random, number));
        let expected = data_of(&mut view);

        let handover = Arc::new(Handover::default());
        let encoding: Arc<Encode> = Arc::new(encode);
        view.begin_snapshot(&encoding, &handover);
        let mut snapshot = Data::new();
        for shard in 0..SHARDS {
            (0..random.below(120)).for_each(|number| change(&mut view, &random, 1000 + number));
            view.visit_shard(shard, |db, entry| {
                let mut encoded = Vec::new();
                encode(entry, &mut encoded);
                add(&mut snapshot, db, &encoded);
            });
        }
        for part in handover.take() {
            match part {
                Preserved::Encoded { db, bytes, .. } => add(&mut snapshot, db, &bytes),
                Preserved::Emptied(emptied) => {
                    let mut encoded = Vec::new();
                    emptied.for_each(|entry| encode(entry, &mut encoded));
                    add(&mut snapshot, emptied.db, &encoded);
                }
            }
        }
        store.end_snapshot();
        assert_eq!(snapshot, expected, "seed {seed}");
    }
}
