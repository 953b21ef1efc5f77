//! The store: shards of tables, and what belongs to a shard besides its tables.
//!
//! Every engine has the same shards and the same tables; an engine decides only what must be held to enter one (one
//! lock, a lock each, being the thread that owns it). So a [`crate::View`] is one concrete type and a handler is compiled once.
//! The store itself takes no lock: access goes through `unsafe` functions whose contract is "the engine says that the
//! shard is yours", and only `View` calls them.
//!
//! A shard covers all databases: `shard = key_hash(key)` bits (see `placement`), the database chooses a table in it. What guards shard 7
//! guards it in every database, so that MOVE, SWAPDB and transactions over databases need no second order of locks.
//!
//! A table is `hashbrown`'s, and there are many (1,024 by default), so that one that grows moves few entries: no request
//! waits for millions to be moved. They grow one after the other and not all at once: see `placement`. The tables of a database may live elsewhere (in a `DashMap`): a [`Bank`] says where.
//!
//! A database's tables and counts come into being with its first key, for there may be ten thousand databases. Until then its
//! tables are those of one bank that all such databases share and nothing is ever put into: a look into an absent database is
//! the same few instructions as into any other, and nobody who only looks needs to know. An emptied database gives its tables
//! back, under the view of everything that empties it; its counts stay, for they are read without a hold.

use std::any::Any;
use std::cell::UnsafeCell;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crossbeam_utils::CachePadded;

use crate::entry::Entry;
use crate::expiry_index::ExpiryIndex;
use crate::hashing;
use crate::interest::by_key::ByKey;
pub use crate::interest::fate::DbKey;
use crate::interest::queue::Queue;
use crate::interest::watchers::Watchers;
use crate::key::Key;
use crate::prefetch::{prefetch_block, prefetch_line};
use crate::published::{Published, PublishedEntry, PublishedReport, Readers};
use crate::table::Table;

/// Where the tables of one database lie: `stride` bytes apart, one for each shard.
#[derive(Debug)]
pub struct Bank {
    first: *mut Table,
    stride: usize,
    _owner: Box<dyn Any + Send + Sync>,
}

// SAFETY: a bank is only an address; the tables behind it are entered under the engine's rules (see `Store::table`).
unsafe impl Send for Bank {}
// SAFETY: as above.
unsafe impl Sync for Bank {}

/// A table on cache lines of its own. The table stands at its beginning.
#[repr(C, align(128))]
struct Padded(UnsafeCell<Table>);

/// Tables of our own, by address: a box would say that nobody else reaches what is in it, whenever it is moved.
struct OwnTables {
    tables: *mut [Padded],
}

// SAFETY: it owns the tables, which may be dropped by any thread.
unsafe impl Send for OwnTables {}
// SAFETY: entered only through `Store::table`.
unsafe impl Sync for OwnTables {}

impl Drop for OwnTables {
    fn drop(&mut self) {
        // SAFETY: it was made of a box, in `Bank::new` alone, and the bank with the only pointer into it is dropped with it.
        drop(unsafe { Box::from_raw(self.tables) });
    }
}

impl Bank {
    /// Tables of our own.
    pub fn new(shards: usize) -> Self {
        let tables: Box<[_]> = (0..shards).map(|_| Padded(UnsafeCell::new(Table::new()))).collect();
        let tables = Box::into_raw(tables);
        Self {
            first: tables.cast::<Table>(),
            stride: size_of::<Padded>(),
            _owner: Box::new(OwnTables { tables }),
        }
    }

    /// Tables that `owner` keeps at `first + n * stride`.
    ///
    /// # Safety
    /// They stay there as long as `owner` lives, one for each shard, and nobody enters one but as the engine allows.
    pub unsafe fn borrowed(first: *mut Table, stride: usize, owner: Box<dyn Any + Send + Sync>) -> Self {
        Self { first, stride, _owner: owner }
    }
}

/// What a shard carries besides its tables.
#[derive(Default)]
pub struct ShardState {
    /// Keys that expire, so that the next is known.
    pub(crate) expiries: ExpiryIndex,
    /// The same for hashes of which a field expires. An expiry may be out of date; the hash itself knows.
    pub(crate) field_expiries: ExpiryIndex,
    /// Who watches a key.
    pub(crate) watchers: ByKey<Watchers>,
    /// Who waits for a key, the longest first.
    pub(crate) waiters: ByKey<Queue>,
    /// Changes whenever a table of the shard may have moved its entries, so that a SCAN cursor into it starts the shard again.
    pub(crate) layout_version: u16,
    /// What is to be preserved for a snapshot, until it has visited the shard.
    pub(crate) preserving: Option<Box<crate::snapshot::preserving::Preserving>>,
}

/// Bits of `Store::notices`.
pub(crate) mod notice {
    /// A snapshot is under way: a write must look whether its shard preserves.
    pub(crate) const PRESERVING: u8 = 1;
    /// The next change panics before it happens ([`super::Store::inject_panic`]).
    pub(crate) const PANIC_BEFORE: u8 = 1 << 1;
    /// The next change panics once it has happened.
    pub(crate) const PANIC_AFTER: u8 = 1 << 2;
}

/// Where an injected panic strikes, see [`Store::inject_panic`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PanicAt {
    /// Before the next change of a key.
    BeforeChange,
    /// After it.
    AfterChange,
}

/// A database that has had a key. Its counts are read without holding a shard; each is written only by who holds it.
struct Database {
    /// Its tables, until it is emptied.
    bank: Mutex<Option<Bank>>,
    keys: Box<[AtomicU32]>,
    expiries: Box<[AtomicU32]>,
}

impl Database {
    fn new(shards: usize) -> Self {
        let zeros = || (0..shards).map(|_| AtomicU32::new(0)).collect();
        Self { bank: Mutex::new(None), keys: zeros(), expiries: zeros() }
    }
}

/// Makes the tables of a database, all of the same stride.
pub type MakeBank = Box<dyn Fn() -> Bank + Send + Sync>;

/// All shards of all databases.
pub struct Store {
    shift: u32,
    shards: usize,
    /// How far the tables of a bank lie apart.
    stride: usize,
    /// For each database where its tables begin: those of `absent` until it has a key.
    tables: Box<[AtomicPtr<Table>]>,
    databases: Box<[OnceLock<Box<Database>>]>,
    /// A bit for each database that has had a key.
    in_use: Box<[AtomicU64]>,
    /// The tables of all databases that have never had a key: nothing is put into them. There is one for each shard, so
    /// that who holds a shard exclusively has a table that is his alone, whichever the database.
    absent: Bank,
    make_bank: MakeBank,
    states: Box<[CachePadded<UnsafeCell<ShardState>>]>,
    next_expiries: Box<[AtomicU64]>,
    /// Who is to be told of each change of a key: who watches one, waits for changes of one, or has all of them listed. While it is 0
    /// a write need not look.
    pub(crate) change_listeners: AtomicUsize,
    /// Who is to be told of each key that comes into being: who waits for one, or has all changes listed.
    pub(crate) creation_listeners: AtomicUsize,
    /// How many (client, key) pairs are waited for by those who are woken by more than that the key comes into being.
    pub(crate) change_waits: AtomicUsize,
    /// How many have all changes listed.
    pub(crate) listings: AtomicUsize,
    /// How many (client, key) pairs are watched.
    pub watched: AtomicUsize,
    /// How many (client, key) pairs are waited for.
    pub waited: AtomicUsize,
    /// Those of them whom to serve takes more keys than the one that is waited for; while it is 0 a write need not look for them.
    pub far_waited: AtomicUsize,
    /// How many keys are waited for, each in its database.
    pub waited_keys: AtomicUsize,
    tickets: AtomicU64,
    /// Bits of [`notice`]: while one is set, each change is told before it happens.
    pub(crate) notices: AtomicU8,
    graveyard: std::sync::mpsc::Sender<Grave>,
    /// Objects that wait to be freed elsewhere (INFO's `lazyfree_pending_objects`).
    pub lazyfree_pending: Arc<AtomicUsize>,
    /// Objects that were freed elsewhere.
    pub lazyfreed: Arc<AtomicU64>,
    /// What is read without a lock, on an engine that does.
    pub(crate) published: Option<Published>,
}

/// Something whose freeing takes long.
pub type Grave = Box<dyn Send>;

// SAFETY: tables and states are entered only through `table` and `state`, under the engine's rules.
unsafe impl Sync for Store {}
// SAFETY: as above; everything in it is Send.
unsafe impl Send for Store {}

/// Keys whose memory is brought near at once: enough that their cache misses overlap, few enough to stay in the first cache.
pub const TOUCHED_AT_ONCE: usize = 32;
/// Values that take more allocations than this to free are freed on a thread of their own.
pub const LAZYFREE_EFFORT_MIN: usize = 64;
/// Strings of more bytes than this are freed there too: the allocator gives their memory back to the system.
pub const BURIED_BYTES_MIN: usize = 1 << 20;

impl Store {
    /// A store of `shards` (a power of two) with the tables of database 0; those of the others are made when they are
    /// needed. Starts the thread that frees what is big.
    pub fn new(shards: usize, databases: usize, first: Bank, make_bank: MakeBank) -> Self {
        assert!(shards.is_power_of_two() && shards <= 1 << 16, "shards are a power of two up to 65,536");
        assert!(databases > 0, "there is at least one database");
        let absent = make_bank();
        let (graveyard, graves) = std::sync::mpsc::channel::<Grave>();
        let lazyfree_pending = Arc::new(AtomicUsize::new(0));
        let lazyfreed = Arc::new(AtomicU64::new(0));
        let (pending, freed) = (lazyfree_pending.clone(), lazyfreed.clone());
        // If no thread can be had, the channel closes and `bury` frees on the spot.
        let _ = std::thread::Builder::new().name("lazyfree".into()).spawn(move || {
            for grave in graves {
                drop(grave);
                pending.fetch_sub(1, Relaxed);
                freed.fetch_add(1, Relaxed);
            }
        });
        let store = Self {
            shift: 64 - shards.trailing_zeros(),
            shards,
            stride: absent.stride,
            tables: (0..databases).map(|_| AtomicPtr::new(absent.first)).collect(),
            databases: (0..databases).map(|_| OnceLock::new()).collect(),
            in_use: (0..databases.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            absent,
            make_bank,
            states: (0..shards).map(|_| CachePadded::default()).collect(),
            next_expiries: (0..shards).map(|_| AtomicU64::new(u64::MAX)).collect(),
            change_listeners: AtomicUsize::new(0),
            creation_listeners: AtomicUsize::new(0),
            change_waits: AtomicUsize::new(0),
            listings: AtomicUsize::new(0),
            watched: AtomicUsize::new(0),
            waited: AtomicUsize::new(0),
            far_waited: AtomicUsize::new(0),
            waited_keys: AtomicUsize::new(0),
            tickets: AtomicU64::new(0),
            notices: AtomicU8::new(0),
            graveyard,
            lazyfree_pending,
            lazyfreed,
            published: None,
        };
        store.enter_use(0, move || first);
        store
    }

    /// Has strings published that are to be read without a lock; `readers` knows who does. Nobody has the store yet.
    pub fn publish_to(&mut self, readers: Box<dyn Readers>) {
        self.published = Some(Published::new(self.shards, self.databases.len(), readers));
    }

    /// Whether strings are published.
    #[inline]
    pub fn publishes(&self) -> bool {
        self.published.is_some()
    }

    /// What is published; zeros on an engine that does not publish. O(databases that were read x shards).
    pub fn published_report(&self) -> PublishedReport {
        self.published.as_ref().map(Published::report).unwrap_or_default()
    }

    /// Bytes of blocks that were replaced and may still be read.
    pub fn retired_bytes(&self) -> usize {
        self.published.as_ref().map_or(0, Published::retired_bytes)
    }

    /// Frees what was replaced and is read no more.
    pub fn collect_retired(&self) {
        if let Some(published) = &self.published {
            published.collect();
        }
    }

    /// Brings the strings of these keys near that are read without a lock, by their hashes.
    ///
    /// # Safety
    /// The caller is a reader whom the store's [`Readers`] know.
    #[inline]
    pub unsafe fn prefetch_published(&self, db: usize, hashes: impl Iterator<Item = u64> + Clone) {
        let Some(published) = &self.published else { return };
        // SAFETY: the caller's promise.
        unsafe {
            hashes.clone().for_each(|hash| published.prefetch_slot(db, self.shard_of(hash), hash));
            hashes.for_each(|hash| published.prefetch_block(db, self.shard_of(hash), hash));
        }
    }

    /// The string of a key that is published.
    ///
    /// # Safety
    /// The caller is a reader whom the store's [`Readers`] know, for as long as he has what is found.
    #[inline]
    pub unsafe fn find_published(&self, db: usize, key: Key<'_>) -> Option<PublishedEntry<'_>> {
        // SAFETY: the caller's promise.
        unsafe { self.published.as_ref()?.find(db, self.shard_of(key.hash), key) }
    }

    /// Has the next change of a key panic, whoever makes it, once: tests see with it what becomes of a bug in a command.
    pub fn inject_panic(&self, at: PanicAt) {
        match at {
            PanicAt::BeforeChange => _ = self.notices.fetch_or(notice::PANIC_BEFORE, Relaxed),
            PanicAt::AfterChange => {
                // It is found where changes are told, which needs somebody who listens.
                if self.notices.fetch_or(notice::PANIC_AFTER, Relaxed) & notice::PANIC_AFTER == 0 {
                    self.change_listeners.fetch_add(1, Relaxed);
                }
            }
        }
    }

    /// Strikes if a panic was injected there.
    #[cold]
    pub(crate) fn strike(&self, at: PanicAt) {
        let bit = match at {
            PanicAt::BeforeChange => notice::PANIC_BEFORE,
            PanicAt::AfterChange => notice::PANIC_AFTER,
        };
        if self.notices.fetch_and(!bit, Relaxed) & bit != 0 {
            if at == PanicAt::AfterChange {
                self.change_listeners.fetch_sub(1, Relaxed);
            }
            panic!("DEBUG PANIC-AT has asked for this ({at:?})");
        }
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// Number of databases.
    pub fn databases(&self) -> usize {
        self.databases.len()
    }

    /// The databases that have had a key since the start, or since they were emptied, ascending. O(databases / 64), with a step for each. With all shards
    /// held none is missing.
    pub fn databases_in_use(&self) -> impl Iterator<Item = usize> {
        self.in_use.iter().enumerate().flat_map(|(index, word)| {
            let mut bits = word.load(Acquire);
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
                bits &= bits - 1;
                Some(index * 64 + bit)
            })
        })
    }

    /// Makes the tables of `db` if they are not there, before something is put into one of them.
    #[inline]
    pub(crate) fn use_database(&self, db: usize) {
        if self.tables[db].load(Acquire) == self.absent.first {
            self.enter_use(db, &self.make_bank);
        }
    }

    /// Several may come here at once, each with a shard of his own held. All of them find the same tables, and each has made
    /// them known before he lets go of his shard, so who enters that shard next sees them.
    #[cold]
    fn enter_use(&self, db: usize, make_bank: impl FnOnce() -> Bank) {
        let database = self.databases[db].get_or_init(|| Box::new(Database::new(self.shards)));
        let mut bank = database.bank.lock().unwrap_or_else(PoisonError::into_inner);
        let bank = bank.get_or_insert_with(make_bank);
        assert!(bank.stride == self.stride, "all banks are alike");
        self.tables[db].store(bank.first, Release);
        self.in_use[db / 64].fetch_or(1 << (db % 64), Release);
    }

    /// Gives the tables of an empty database back, until it has a key again; the first keeps its own, which hold the locks of
    /// some engines.
    ///
    /// # Safety
    /// The caller has everything, exclusively, and nobody keeps a pointer to one of the tables.
    pub(crate) unsafe fn leave_database(&self, db: usize) {
        if db == 0 {
            return;
        }
        let Some(database) = self.database(db) else { return };
        self.tables[db].store(self.absent.first, Release);
        self.in_use[db / 64].fetch_and(!(1 << (db % 64)), Release);
        drop(database.bank.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Bytes of the tables that databases but the first have because they have had a key, without what grows with the keys.
    pub fn bank_bytes(&self) -> usize {
        self.databases_in_use().filter(|db| *db > 0).count() * self.shards * self.stride
    }

    fn database(&self, db: usize) -> Option<&Database> {
        self.databases[db].get().map(Box::as_ref)
    }

    /// The shard of a key with this hash: the bits below hashbrown's seven, as `DashMap` takes them. The
    /// hash is a [`hashing::key_hash`].
    #[inline]
    pub fn shard_of(&self, hash: u64) -> usize {
        if self.shards == 1 { 0 } else { (hash << 7 >> self.shift) as usize }
    }

    /// The table of `db` in `shard`. Nothing may be put into it before [`Store::use_database`].
    ///
    /// # Safety
    /// The engine says that the shard is the caller's: exclusively to write, shared to read.
    #[inline]
    pub(crate) unsafe fn table(&self, shard: usize, db: usize) -> *mut Table {
        debug_assert!(shard < self.shards);
        // SAFETY: a bank has a table for each shard, and is given back only while everything is held.
        unsafe { self.tables[db].load(Acquire).byte_add(shard * self.stride) }
    }

    /// What `shard` carries besides its tables.
    ///
    /// # Safety
    /// As for `table`.
    #[inline]
    pub(crate) unsafe fn state(&self, shard: usize) -> *mut ShardState {
        self.states[shard].get()
    }

    /// Brings the blocks of the keys with these (shard, hash) near, as far as they are there. At most [`TOUCHED_AT_ONCE`].
    ///
    /// A key is three misses in a row: the table's control bytes say where its slot is, the slot where its block. So all slots
    /// are found and prefetched first, and then all blocks: a processor looks ahead over many short steps, but over few long ones.
    ///
    /// # Safety
    /// As for `table`, to read, for each of the shards.
    #[inline]
    pub unsafe fn prefetch(&self, db: usize, keys: &[(u32, u64)]) {
        let mut slots = [std::ptr::null(); TOUCHED_AT_ONCE];
        let mut count = 0;
        // Looked up once: that the shards are held is as true for the first as for the last.
        let first = self.tables[db].load(Acquire);
        for (shard, hash) in keys {
            // SAFETY: a bank has a table for each shard, and the caller promises that this one may be read.
            let table = unsafe { &*first.byte_add(*shard as usize * self.stride) };
            if let Some(slot) = table.iter_hash(*hash).next() {
                prefetch_line(std::ptr::from_ref(slot).cast());
                slots[count] = slot;
                count += 1;
            }
        }
        for slot in &slots[..count] {
            // SAFETY: found in a table just now, which nobody changes meanwhile.
            let (entry, ()) = unsafe { &**slot };
            prefetch_block(entry.address());
        }
    }

    /// Keys of `db`, as of some moment in each shard; exact while nobody writes. Linear in the shards.
    pub fn keys(&self, db: usize) -> usize {
        let Some(database) = self.database(db) else { return 0 };
        database.keys.iter().map(|count| count.load(Relaxed) as usize).sum()
    }

    /// Keys of `db` that expire.
    pub fn expiring_keys(&self, db: usize) -> usize {
        let Some(database) = self.database(db) else { return 0 };
        database.expiries.iter().map(|count| count.load(Relaxed) as usize).sum()
    }

    /// Keys of `db` in `shard`.
    pub fn keys_in_shard(&self, db: usize, shard: usize) -> usize {
        self.database(db).map_or(0, |database| database.keys[shard].load(Relaxed) as usize)
    }

    /// Keys of `db` in `shard` that expire.
    pub fn expiring_keys_in_shard(&self, db: usize, shard: usize) -> usize {
        self.database(db).map_or(0, |database| database.expiries[shard].load(Relaxed) as usize)
    }

    /// The shard of the `rank`-th key of `db`, for a choice among keys that is fair whatever the shards hold.
    pub fn shard_of_rank(&self, db: usize, mut rank: usize) -> Option<usize> {
        self.database(db)?.keys.iter().position(|count| {
            let count = count.load(Relaxed) as usize;
            let is_here = rank < count;
            rank = rank.wrapping_sub(if is_here { 0 } else { count });
            is_here
        })
    }

    pub(crate) fn set_keys(&self, db: usize, shard: usize, count: usize) {
        if let Some(database) = self.database(db) {
            database.keys[shard].store(count as u32, Relaxed);
        }
    }

    pub(crate) fn set_expiring_keys(&self, db: usize, shard: usize, count: usize) {
        if let Some(database) = self.database(db) {
            database.expiries[shard].store(count as u32, Relaxed);
        }
    }

    /// When something in `shard` expires next, in Unix ms; `u64::MAX` if nothing does. Never too late.
    pub fn next_expiry_ms(&self, shard: usize) -> u64 {
        self.next_expiries[shard].load(Relaxed)
    }

    pub(crate) fn set_next_expiry_ms(&self, shard: usize, at_ms: u64) {
        self.next_expiries[shard].store(at_ms, Relaxed);
    }

    /// The next ticket of one who begins to wait. Taken while his keys' shards are held, so that their queues are in its order.
    pub fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Relaxed)
    }

    /// Frees something big on the thread for that.
    pub fn bury(&self, grave: Grave) {
        self.lazyfree_pending.fetch_add(1, Relaxed);
        if self.graveyard.send(grave).is_err() {
            self.lazyfree_pending.fetch_sub(1, Relaxed);
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("shards", &self.shards)
            .field("databases", &self.databases.len())
            .finish_non_exhaustive()
    }
}

/// How many entries [`for_each_prefetched`] brings near ahead of use.
const PREFETCHED: usize = 16;

/// Calls `each` with every entry of the table, its block brought near before: a walk over blocks that lie anywhere in memory
/// waits for them together and not one after the other.
pub(crate) fn for_each_prefetched(table: &Table, mut each: impl FnMut(&Entry)) {
    let mut slots = table.iter();
    loop {
        let mut ahead: smallvec::SmallVec<[&Entry; PREFETCHED]> = smallvec::SmallVec::new();
        ahead.extend(slots.by_ref().take(PREFETCHED).map(|(entry, ())| entry));
        if ahead.is_empty() {
            return;
        }
        ahead.iter().for_each(|entry| prefetch_block(entry.address()));
        ahead.iter().for_each(|entry| each(entry));
    }
}

/// Adds an entry whose key is not there; whether the table moved its entries for that. A table that is full gets twice the
/// slots, or the same number if most of it is what deletions left. O(1), amortized.
pub(crate) fn insert_unique(table: &mut Table, hash: u64, entry: Entry) -> bool {
    let is_full = table.len() == table.capacity();
    if is_full {
        let keys = table.len() + 1;
        let room = keys_max(table);
        resize(table, if keys > room / 2 { keys.max(room + 1) } else { room });
    }
    table.insert_unique(hash, (entry, ()), |(entry, ())| hashing::key_hash(entry.key()));
    is_full
}

/// How many keys a table has room for, if no slot is lost to deletions: of a power of two slots, of eight bytes and a control
/// byte each, an eighth stays free.
fn keys_max(table: &Table) -> usize {
    let slots = table.allocation_size() / (size_of::<(Entry, ())>() + 1);
    slots.checked_ilog2().map_or(0, |log2| (1 << log2) / 8 * 7)
}

/// Moves the entries into a table with room for `keys`, no fewer than there are. To know its place an entry's key must be
/// read, and it may lie anywhere in memory: `hashbrown`'s own growth waits for these cache misses one after the other, which
/// makes 20,000 keys a stall of milliseconds.
pub(crate) fn resize(table: &mut Table, keys: usize) {
    let mut moved = Table::with_capacity(keys);
    let mut slots = std::mem::take(table).into_iter();
    loop {
        let ahead: smallvec::SmallVec<[Entry; PREFETCHED]> =
            slots.by_ref().take(PREFETCHED).map(|(entry, ())| entry).collect();
        if ahead.is_empty() {
            break;
        }
        ahead.iter().for_each(|entry| prefetch_line(entry.address()));
        for entry in ahead {
            let hash = hashing::key_hash(entry.key());
            moved.insert_unique(hash, (entry, ()), |(entry, ())| hashing::key_hash(entry.key()));
        }
    }
    *table = moved;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: usize) -> (u64, Entry) {
        let key = format!("key:{number}");
        (hashing::key_hash(key.as_bytes()), Entry::string(key.as_bytes(), b"value", None))
    }

    fn has(table: &Table, number: usize) -> bool {
        let (hash, wanted) = entry(number);
        table.find(hash, |(entry, ())| entry.key() == wanted.key()).is_some()
    }

    fn remove(table: &mut Table, number: usize) {
        let (hash, wanted) = entry(number);
        table.find_entry(hash, |(entry, ())| entry.key() == wanted.key()).unwrap().remove();
    }

    #[test]
    fn a_table_grows_as_hashbrown_grows_it() {
        let (mut ours, mut plain) = (Table::new(), Table::new());
        for number in 0..5_000 {
            let (hash, new) = entry(number);
            let was_full = ours.len() == ours.capacity();
            assert_eq!(insert_unique(&mut ours, hash, new), was_full);
            plain.insert_unique(hash, (entry(number).1, ()), |(entry, ())| hashing::key_hash(entry.key()));
            assert_eq!(ours.capacity(), plain.capacity(), "{number}");
        }
        assert!((0..5_000).all(|number| has(&ours, number)));
    }

    #[test]
    fn what_deletions_left_is_used_again() {
        let mut table = Table::new();
        for number in 0..1_000 {
            let (hash, new) = entry(number);
            insert_unique(&mut table, hash, new);
        }
        let capacity = keys_max(&table);
        for number in 0..50_000 {
            remove(&mut table, number);
            let (hash, new) = entry(number + 1_000);
            insert_unique(&mut table, hash, new);
        }
        assert!(keys_max(&table) <= 2 * capacity, "{} and then {}", capacity, keys_max(&table));
        assert!((50_000..51_000).all(|number| has(&table, number)) && !has(&table, 49_999));
    }

    #[test]
    fn the_free_bits_of_a_slot_travel() {
        let mut table = Table::new();
        for number in 0..1_000 {
            let (hash, mut new) = entry(number);
            new.set_free_bits(number as u16);
            insert_unique(&mut table, hash, new);
        }
        resize(&mut table, 3_000);
        for number in 0..1_000 {
            let (hash, wanted) = entry(number);
            let found = table.find(hash, |(entry, ())| entry.key() == wanted.key());
            assert_eq!(found.map(|(entry, ())| entry.free_bits()), Some(number as u16));
        }
    }

    #[test]
    fn a_table_shrinks_to_what_is_asked() {
        let mut table = Table::new();
        for number in 0..1_000 {
            let (hash, new) = entry(number);
            insert_unique(&mut table, hash, new);
        }
        for number in 10..1_000 {
            remove(&mut table, number);
        }
        resize(&mut table, 20);
        assert!(table.capacity() < 50);
        assert!((0..10).all(|number| has(&table, number)) && table.len() == 10);
    }
}
