//! What a server holds, as the model has it: sixteen keys, and who watches them. Cheap to copy: values are shared.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use super::call::{Bytes, KEYS, Key, Keys};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Value {
    Text(Vec<u8>),
    List(VecDeque<Bytes>),
    /// By score, and by member where scores are equal.
    Zset(Vec<(i64, Bytes)>),
    Hash(BTreeMap<Bytes, i64>),
}

/// The window in which a key's time comes, in nanoseconds: not before the first, and by the second at the latest.
pub(super) type Due = (u64, u64);

/// A value, and when its time comes, if it does.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) due: Option<Due>,
    digest: u128,
}

/// A lane's watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Watch {
    lane: usize,
    keys: Keys,
    is_dirty: bool,
}

/// All keys and watches.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    entries: [Option<Rc<Entry>>; KEYS.len()],
    watches: Vec<Watch>,
    /// Whether something has been written since this was last set to false.
    pub(super) is_changed: bool,
}

impl State {
    /// What the key holds.
    pub(super) fn get(&self, key: Key) -> Option<&Entry> {
        self.entries[usize::from(key)].as_deref()
    }

    /// The keys whose time comes.
    pub(super) fn expiring(&self) -> Keys {
        let expires = |key: &usize| self.entries[*key].as_ref().is_some_and(|entry| entry.due.is_some());
        (0..KEYS.len()).filter(expires).fold(0, |keys, key| keys | 1 << key)
    }

    /// Writes a value; the key's time stays as it is.
    pub(super) fn update(&mut self, key: Key, value: Value) {
        let due = self.get(key).and_then(|entry| entry.due);
        self.put(key, value, due);
    }

    /// Writes a value with its time.
    pub(super) fn put(&mut self, key: Key, value: Value, due: Option<Due>) {
        let digest = digest((key, &value, due));
        self.entries[usize::from(key)] = Some(Rc::new(Entry { value, due, digest }));
        self.touch(1 << key);
    }

    /// Removes a key; whether it was there.
    pub(super) fn remove(&mut self, key: Key) -> bool {
        let was_there = self.entries[usize::from(key)].take().is_some();
        if was_there {
            self.touch(1 << key);
        }
        was_there
    }

    fn touch(&mut self, keys: Keys) {
        self.is_changed = true;
        for watch in &mut self.watches {
            watch.is_dirty |= watch.keys & keys != 0;
        }
    }

    /// Has a lane watch more keys.
    pub(super) fn watch(&mut self, lane: usize, keys: Keys) {
        self.is_changed = true;
        match self.watches.iter_mut().find(|watch| watch.lane == lane) {
            Some(watch) => watch.keys |= keys,
            None => {
                self.watches.push(Watch { lane, keys, is_dirty: false });
                self.watches.sort_unstable_by_key(|watch| watch.lane);
            }
        }
    }

    /// Ends a lane's watch; whether what it watched has changed.
    pub(super) fn unwatch(&mut self, lane: usize) -> bool {
        let Some(index) = self.watches.iter().position(|watch| watch.lane == lane) else { return false };
        self.is_changed = true;
        self.watches.remove(index).is_dirty
    }

    /// A number that belongs to what these keys hold, and to the watches of them.
    pub(super) fn digest(&self, keys: Keys) -> u128 {
        let entries = self.entries.iter().enumerate().filter(|(key, _)| keys & 1 << key != 0);
        let held = entries.filter_map(|(_, entry)| entry.as_ref()).fold(0, |sum, entry| sum ^ entry.digest);
        let watches = self.watches.iter().filter(|watch| watch.keys & keys != 0);
        watches.fold(held, |sum, watch| sum ^ digest(watch))
    }
}

/// 128 bits, so that two that differ are never taken for the same.
pub(super) fn digest(of: impl Hash) -> u128 {
    let half = |start: u8| {
        let mut hasher = DefaultHasher::new();
        start.hash(&mut hasher);
        of.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

/// Each key that is there, a line for each, as a history's drawing shows where it starts.
impl std::fmt::Display for State {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        for (name, entry) in KEYS.iter().zip(&self.entries) {
            let Some(entry) = entry else { continue };
            let value = match &entry.value {
                Value::Text(value) => text(value),
                Value::List(list) => list.iter().map(|element| text(element)).collect::<Vec<_>>().join(", "),
                Value::Zset(zset) => {
                    let members = zset.iter().map(|(score, member)| format!("{} at {score}", text(member)));
                    members.collect::<Vec<_>>().join(", ")
                }
                Value::Hash(hash) => {
                    let fields = hash.iter().map(|(field, number)| format!("{}: {number}", text(field)));
                    fields.collect::<Vec<_>>().join(", ")
                }
            };
            let due = entry.due.map_or("", |_| ", which expires");
            writeln!(out, "{name} = {value}{due}")?;
        }
        Ok(())
    }
}
