//! Loading: entries that come from a file, straight into the store.
//!
//! Loading is no change that anybody waits for, watches or is told of: an entry goes straight into its table, and the
//! indexes of expiry learn of it. What a command stores goes through `View::insert`.

use crate::entry::Entry;
use crate::hashing;
use crate::key::Key;
use crate::placement;
use crate::store;
use crate::types::hash::Hash;
use crate::view::View;

impl View<'_> {
    /// Makes room for so many keys in the selected database, spread over the shards that the view covers. No more than
    /// the file can hold, please: memory is taken at once.
    pub fn reserve(&mut self, keys: usize) {
        let shards: Vec<usize> =
            (0..self.store().shards()).filter(|shard| self.covered().has(*shard)).collect();
        let all = self.store().shards();
        for shard in shards {
            let each = (keys as f64 * placement::share_of(shard, all)) as usize;
            self.table_to_fill(shard).reserve(each, |(entry, ())| hashing::key_hash(entry.key()));
            self.layout_changed(shard);
        }
    }

    /// Adds an entry, with the access clock that it has, to the selected database; `hash` is its key's. Gives it back if
    /// the key is there. O(1).
    pub fn load(&mut self, hash: u64, entry: Entry) -> Result<(), Entry> {
        let shard = self.store().shard_of(hash);
        self.before_change(shard, Key { bytes: entry.key(), hash });
        let table = self.table(shard);
        if table.find(hash, |(other, ())| other.key() == entry.key()).is_some() {
            return Err(entry);
        }
        let expire_at_ms = entry.expire_at_ms();
        let field_expiry_ms = entry.collection::<Hash>().and_then(Hash::next_expiry);
        let table = self.table_to_fill(shard);
        let has_moved = store::insert_unique(table, hash, entry);
        let keys = table.len();
        if has_moved {
            self.layout_changed(shard);
        }
        self.store().set_keys(self.db(), shard, keys);
        self.index_expiry(shard, hash, None, expire_at_ms);
        if let Some(at_ms) = field_expiry_ms {
            self.track_field_expiry(Key { bytes: &[], hash }, at_ms);
        }
        Ok(())
    }
}
