//! Something for each of some keys of a shard, whether they exist or not.

use hashbrown::HashTable;

use crate::hashing;
use crate::key::Key;

/// Slots below which a table is left as it is.
const SLOTS_KEPT: usize = 64;

/// Something for each of some keys.
pub(crate) struct ByKey<T>(HashTable<(Box<[u8]>, T)>);

impl<T> Default for ByKey<T> {
    fn default() -> Self {
        Self(HashTable::new())
    }
}

fn hash_of<T>((bytes, _): &(Box<[u8]>, T)) -> u64 {
    hashing::key_hash(bytes)
}

impl<T> ByKey<T> {
    #[inline]
    pub(crate) fn get(&self, key: Key<'_>) -> Option<&T> {
        self.0.find(key.hash, |(bytes, _)| **bytes == *key.bytes).map(|(_, what)| what)
    }

    /// What is kept for the key, which comes into being if nothing was.
    pub(crate) fn get_or_default(&mut self, key: Key<'_>) -> &mut T
    where
        T: Default,
    {
        let entry = self.0.entry(key.hash, |(bytes, _)| **bytes == *key.bytes, hash_of);
        let (_, what) = entry.or_insert_with(|| (key.bytes.into(), T::default())).into_mut();
        what
    }

    /// Lets `change` change what is kept for the key, if something is, and forgets it if it says that nothing is left.
    pub(crate) fn update(&mut self, key: Key<'_>, change: impl FnOnce(&mut T) -> bool) {
        let Ok(mut found) = self.0.find_entry(key.hash, |(bytes, _)| **bytes == *key.bytes) else { return };
        if !change(&mut found.get_mut().1) {
            return;
        }
        found.remove();
        if self.0.capacity() > SLOTS_KEPT && self.0.len() < self.0.capacity() / 8 {
            self.0.shrink_to(2 * self.0.len(), hash_of);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &T)> {
        self.0.iter().map(|(bytes, what)| (&**bytes, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_takes_no_room() {
        let mut table: ByKey<u32> = ByKey::default();
        let names: Vec<String> = (0..10_000).map(|number| format!("key:{number}")).collect();
        for name in &names {
            *table.get_or_default(Key::new(name.as_bytes())) += 1;
            *table.get_or_default(Key::new(name.as_bytes())) += 1;
        }
        assert_eq!(table.iter().map(|(_, count)| count).sum::<u32>(), 20_000);
        for name in &names[1..] {
            table.update(Key::new(name.as_bytes()), |count| {
                *count -= 2;
                *count == 0
            });
        }
        assert_eq!(table.get(Key::new(b"key:0")), Some(&2));
        assert_eq!(table.get(Key::new(b"key:1")), None);
        assert!(table.0.capacity() <= SLOTS_KEPT, "{} slots for one key", table.0.capacity());
    }
}
