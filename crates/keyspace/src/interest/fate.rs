//! What becomes of keys, as it is noted, and what the notes of a key come to.
//!
//! What is noted is simple (made, written, gone); what it comes to for a key is computed when the list is taken, for a command may
//! delete and make the same key.

use std::collections::HashMap;

/// A key of some database, as watchers and waiters name it.
pub type DbKey = (u32, Box<[u8]>);

/// What has become of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It came into being.
    Created,
    /// Its value or its expiry was changed, or replaced.
    Written,
    /// It was deleted, moved away or renamed.
    Deleted,
    /// Its time had come.
    Expired,
    /// It made room for others.
    Evicted,
}

impl Fate {
    /// Whether the key is gone.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Deleted | Self::Expired | Self::Evicted)
    }
}

/// A change of the data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Of one key.
    Key(DbKey, Fate),
    /// All keys of a database are gone.
    Emptied(u32),
    /// Two databases have changed places, with their keys.
    Swapped(u32, u32),
}

/// What the notes of each key come to, in the order of the first of each. A whole database's change stands where it
/// happened. O(n).
pub(crate) fn settled(notes: Vec<Change>) -> Vec<Change> {
    if notes.len() < 2 {
        return notes;
    }
    let mut settled: Vec<Option<Change>> = Vec::with_capacity(notes.len());
    let mut places: HashMap<DbKey, usize> = HashMap::new();
    for note in notes {
        let Change::Key(key, fate) = note else {
            places.clear();
            settled.push(Some(note));
            continue;
        };
        match places.get(&key) {
            None => {
                places.insert(key.clone(), settled.len());
                settled.push(Some(Change::Key(key, fate)));
            }
            Some(place) => {
                let before = match &settled[*place] {
                    Some(Change::Key(_, before)) => Some(*before),
                    _ => None,
                };
                settled[*place] = together(before, fate).map(|fate| Change::Key(key, fate));
            }
        }
    }
    settled.into_iter().flatten().collect()
}

/// What two fates come to, one after the other; none if the key is as absent as it was.
fn together(before: Option<Fate>, after: Fate) -> Option<Fate> {
    let was_there = before.is_some_and(|before| before != Fate::Created);
    match (was_there, after.is_end()) {
        (false, false) => Some(Fate::Created),
        (false, true) => None,
        (true, false) => Some(Fate::Written),
        // Who removes a key tells its end, and a command that reports what it did tells it again.
        (true, true) => Some(before.filter(|before| before.is_end()).unwrap_or(after)),
    }
}
