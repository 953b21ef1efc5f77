//! A key with its value: one heap block, eight bytes in a table.
//!
//! ```text
//! 0        4        8          16         16/24
//! | access | layout | [expiry] | [payload] | [long key length] | key | [value] |
//!   24 bits  flags    unix ms    8 bytes     4 bytes, if the key is longer than 254
//!   + kind   key len
//!            value len
//! ```
//!
//! A string of up to [`EMBEDDED_BYTES_MAX`] bytes lies behind its key, so that a key of 13 and a value of 64 bytes are
//! one block of 96. A longer string is a `Box<Vec<u8>>` in the payload, and a collection, eight bytes whatever its
//! encoding, is the payload itself. Blocks are rounded up to 16 bytes, the allocator's own step, so that a value that
//! changes a little is overwritten in place.
//!
//! The access clock (LRU minutes, or LFU counter and decay time, as Redis has them) is one atomic word with the kind: a
//! reader that holds its shard shared may still touch it.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::slot::Slot;
use crate::types::{hash::Hash, list::List, set::Set, stream::Stream, zset::ZSet};
use crate::value::{Collection, IsRaw, Kind, Value};

/// Longest string that lies in the key's own block.
pub const EMBEDDED_BYTES_MAX: usize = 1024;
const LONG_KEY: u32 = 255;
const HEADER_BYTES: usize = 8;
const BLOCK_ALIGN: usize = 8;

const HAS_EXPIRY: u32 = 1;
const HAS_PAYLOAD: u32 = 2;
const IS_RAW: u32 = 4;
const IS_TEXT: u32 = 8;

/// The bit of a slot that says that readers without a lock may have the block: see `published`.
const PUBLISHED: u16 = 1 << 15;

/// The bits of the access word that say the type.
const KIND: u32 = 7;
/// The bits of it that count reads.
const READS: u32 = 3 << 3;
const ONE_READ: u32 = 1 << 3;

#[repr(C)]
struct Header {
    /// Kind in the low three bits, then two that count reads; access clock from the second byte on.
    access: AtomicU32,
    /// Flags in the low byte, key length in the next, length of the embedded value above.
    layout: u32,
}

/// Owns a key and its value. Eight bytes, what a table has of a key: a [`Slot`]. Never null.
#[repr(transparent)]
pub struct Entry(Slot);

const _: () = assert!(size_of::<(Entry, ())>() == 8, "a slot of a table is eight bytes on every engine");

// SAFETY: an entry owns its block exclusively, and all that it can hold is Send.
unsafe impl Send for Entry {}
// SAFETY: through a shared reference only the atomic access word changes.
unsafe impl Sync for Entry {}

/// Where the parts of a block lie.
struct Parts {
    payload: usize,
    key: usize,
    value: usize,
    total: usize,
}

fn parts(layout: u32, long_key_len: impl FnOnce(usize) -> usize) -> Parts {
    let payload = HEADER_BYTES + if layout & HAS_EXPIRY != 0 { 8 } else { 0 };
    let mut key = payload + if layout & HAS_PAYLOAD != 0 { 8 } else { 0 };
    let mut key_len = layout >> 8 & 0xff;
    if key_len == LONG_KEY {
        key_len = long_key_len(key) as u32;
        key += 4;
    }
    let value = key + key_len as usize;
    Parts { payload, key, value, total: value + (layout >> 16) as usize }
}

fn block_layout(total: usize) -> Layout {
    let size = total.next_multiple_of(16);
    Layout::from_size_align(size, BLOCK_ALIGN).expect("a block is far below isize::MAX")
}

impl Entry {
    /// A key with a string, as `SET` makes it.
    pub fn string(key: &[u8], value: &[u8], expire_at_ms: Option<u64>) -> Self {
        if value.len() > EMBEDDED_BYTES_MAX {
            return Self::new(key, Value::string(value), expire_at_ms);
        }
        let mut entry = Self::block(Kind::String, key, 0, value.len(), expire_at_ms);
        entry.bytes_mut().copy_from_slice(value);
        entry
    }

    /// A key with any value.
    pub fn new(key: &[u8], value: Value, expire_at_ms: Option<u64>) -> Self {
        match value {
            Value::String(bytes, raw) => {
                let flags = if raw == IsRaw::Yes { IS_RAW } else { 0 };
                if bytes.len() <= EMBEDDED_BYTES_MAX {
                    let mut entry = Self::block(Kind::String, key, flags, bytes.len(), expire_at_ms);
                    entry.bytes_mut().copy_from_slice(&bytes);
                    return entry;
                }
                Self::with_payload(Kind::String, key, flags, Box::new(bytes), expire_at_ms)
            }
            Value::List(list) => Self::with_payload(Kind::List, key, 0, list, expire_at_ms),
            Value::Set(set) => Self::with_payload(Kind::Set, key, 0, set, expire_at_ms),
            Value::ZSet(zset) => Self::with_payload(Kind::ZSet, key, 0, zset, expire_at_ms),
            Value::Hash(hash) => Self::with_payload(Kind::Hash, key, 0, hash, expire_at_ms),
            Value::Stream(stream) => Self::with_payload(Kind::Stream, key, 0, stream, expire_at_ms),
        }
    }

    fn with_payload<T>(kind: Kind, key: &[u8], flags: u32, payload: T, expire_at_ms: Option<u64>) -> Self {
        const { assert!(size_of::<T>() == 8 && align_of::<T>() <= 8) };
        let entry = Self::block(kind, key, flags | HAS_PAYLOAD, 0, expire_at_ms);
        // SAFETY: the block has eight aligned bytes for the payload, uninitialised so far.
        unsafe { entry.at(entry.parts().payload).cast::<T>().write(payload) };
        entry
    }

    /// A block with header, expiry and key written; payload and value are not.
    fn block(kind: Kind, key: &[u8], flags: u32, value_len: usize, expire_at_ms: Option<u64>) -> Self {
        debug_assert!(value_len <= EMBEDDED_BYTES_MAX);
        let key_bits = (key.len() as u32).min(LONG_KEY);
        let expiry = if expire_at_ms.is_some() { HAS_EXPIRY } else { 0 };
        let layout = flags | expiry | key_bits << 8 | (value_len as u32) << 16;
        let parts = parts(layout, |_| key.len());
        let block = block_layout(parts.total);
        // SAFETY: the size is at least the header's. All writes lie within `parts.total` bytes of the new block.
        unsafe {
            let start = alloc(block);
            let Some(slot) = NonNull::new(start).map(Slot::new) else { handle_alloc_error(block) };
            start.cast::<Header>().write(Header { access: AtomicU32::new(kind as u32), layout });
            if let Some(at) = expire_at_ms {
                start.add(HEADER_BYTES).cast::<u64>().write(at);
            }
            if key_bits == LONG_KEY {
                start.add(parts.key - 4).cast::<u32>().write_unaligned(key.len() as u32);
            }
            start.add(parts.key).copy_from_nonoverlapping(key.as_ptr(), key.len());
            Self(slot)
        }
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: the block begins with an initialised header.
        unsafe { &*self.0.block().cast::<Header>() }
    }

    /// What follows the header's access word, to change it.
    #[inline]
    fn layout_mut(&mut self) -> &mut u32 {
        self.assert_own();
        self.layout_of_block()
    }

    #[inline]
    fn layout_of_block(&mut self) -> &mut u32 {
        // SAFETY: the block begins with an initialised header, and the entry is borrowed exclusively.
        unsafe { &mut (*self.0.block().cast::<Header>()).layout }
    }

    fn flag(&self, flag: u32) -> bool {
        self.header().layout & flag != 0
    }

    fn at(&self, offset: usize) -> *mut u8 {
        // SAFETY: callers pass offsets within the block.
        unsafe { self.0.block().add(offset) }
    }

    fn parts(&self) -> Parts {
        // SAFETY: a long key's length was written at that offset when the block was made.
        parts(self.header().layout, |offset| unsafe { self.at(offset).cast::<u32>().read_unaligned() }
            as usize)
    }

    /// The address of the block.
    pub fn address(&self) -> *mut u8 {
        self.0.block()
    }

    /// The entry of a block, which another owns already.
    ///
    /// # Safety
    /// The block is an entry's. Of the two, one is forgotten, and neither is used once it is dropped.
    #[inline]
    pub(crate) unsafe fn from_block(block: *mut u8) -> Self {
        // SAFETY: the caller's promise.
        Self(Slot::new(unsafe { NonNull::new_unchecked(block) }))
    }

    /// Whether readers without a lock may have the block: then nothing but its access clock is ever written again.
    #[inline]
    pub fn is_published(&self) -> bool {
        self.free_bits() & PUBLISHED != 0
    }

    pub(crate) fn set_published(&mut self) {
        self.set_free_bits(self.free_bits() | PUBLISHED);
    }

    /// Counts a read, where that matters: what is read three times between two changes is worth publishing. Allowed to any reader;
    /// of two at once one may be forgotten. Writes nothing from the third on.
    #[inline]
    pub fn count_read(&self) {
        let access = &self.header().access;
        let old = access.load(Relaxed);
        if old & READS != READS {
            access.store(old + ONE_READ, Relaxed);
        }
    }

    /// Whether it has been read often since the count began.
    #[inline]
    pub fn is_read_often(&self) -> bool {
        self.header().access.load(Relaxed) & READS == READS
    }

    /// Sets the count to nothing, or to often. Allowed to who holds the shard exclusively.
    #[inline]
    pub(crate) fn set_read_often(&self, is_read_often: bool) {
        let access = &self.header().access;
        let old = access.load(Relaxed);
        let new = if is_read_often { old | READS } else { old & !READS };
        if new != old {
            access.store(new, Relaxed);
        }
    }

    /// A copy of a string with its key, expiry, clock and slot's bits, that nobody else may have.
    pub(crate) fn duplicate(&self) -> Self {
        let layout = self.header().layout;
        let mut copy = if layout & HAS_PAYLOAD != 0 {
            Self::new(self.key(), self.to_value(), self.expire_at_ms())
        } else {
            let flags = layout & (IS_RAW | IS_TEXT);
            let bytes = self.bytes();
            let mut copy = Self::block(self.kind(), self.key(), flags, bytes.len(), self.expire_at_ms());
            copy.bytes_mut().copy_from_slice(bytes);
            copy
        };
        copy.set_clock(self.clock());
        copy.set_free_bits(self.free_bits() & !PUBLISHED);
        copy
    }

    /// Every change of a block passes here, but one in place by the only thread that reads without a lock.
    #[inline]
    fn assert_own(&self) {
        debug_assert!(!self.is_published(), "a block that was published is never written again");
    }

    /// The key's 16 bits in the table: see `slot`. They stay with the key whatever becomes of its value.
    #[inline]
    pub fn free_bits(&self) -> u16 {
        self.0.free_bits()
    }

    /// Sets the key's 16 bits in the table.
    #[inline]
    pub fn set_free_bits(&mut self, bits: u16) {
        self.0.set_free_bits(bits);
    }

    /// Puts another value, with its expiry and clock, in the place of this one, of the same key; the old one. Nobody but the
    /// holder has the new block.
    pub(crate) fn replace(&mut self, mut new: Self) -> Self {
        new.set_free_bits(self.free_bits() & !PUBLISHED);
        std::mem::replace(self, new)
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        let Parts { key, value, .. } = self.parts();
        // SAFETY: the key's bytes were written when the block was made.
        unsafe { std::slice::from_raw_parts(self.at(key), value - key) }
    }

    /// The type of the value.
    #[inline]
    pub fn kind(&self) -> Kind {
        Kind::from_bits((self.header().access.load(Relaxed) & KIND) as u8)
    }

    /// When the key expires, in Unix milliseconds.
    #[inline]
    pub fn expire_at_ms(&self) -> Option<u64> {
        // SAFETY: with the flag, the expiry was written behind the header.
        self.flag(HAS_EXPIRY).then(|| unsafe { self.at(HEADER_BYTES).cast::<u64>().read() })
    }

    /// Whether the key is no more at `now_ms`.
    #[inline]
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expire_at_ms().is_some_and(|at| at <= now_ms)
    }

    /// Sets or clears the expiry. Moves the block if there was none before, or none is left.
    pub(crate) fn set_expire_at_ms(&mut self, expire_at_ms: Option<u64>) {
        self.assert_own();
        match (expire_at_ms, self.flag(HAS_EXPIRY)) {
            // SAFETY: with the flag, there are eight bytes for the expiry behind the header.
            (Some(at), true) => unsafe { self.at(HEADER_BYTES).cast::<u64>().write(at) },
            (None, false) => {}
            _ => self.rebuild(expire_at_ms, None),
        }
    }

    /// Moves everything to a new block with another expiry or length of the embedded value (new bytes are zero).
    fn rebuild(&mut self, expire_at_ms: Option<u64>, value_len: Option<usize>) {
        let old = self.parts();
        let old_len = old.total - old.value;
        let value_len = value_len.unwrap_or(old_len);
        let flags = self.header().layout & (HAS_PAYLOAD | IS_RAW | IS_TEXT);
        let new = Self::block(self.kind(), self.key(), flags, value_len, expire_at_ms);
        new.set_clock(self.clock());
        let parts = new.parts();
        // SAFETY: both ranges lie in their blocks; the payload's ownership moves with its bits, and the old block is
        // freed without dropping it.
        unsafe {
            if flags & HAS_PAYLOAD != 0 {
                new.at(parts.payload).copy_from_nonoverlapping(self.at(old.payload), 8);
            }
            let kept = old_len.min(value_len);
            new.at(parts.value).copy_from_nonoverlapping(self.at(old.value), kept);
            new.at(parts.value + kept).write_bytes(0, value_len - kept);
            let mut old = self.replace(new);
            old.free_block();
            std::mem::forget(old);
        }
    }

    /// Frees the block and not what the payload owns.
    ///
    /// # Safety
    /// The payload was moved away, and the entry is forgotten afterwards.
    unsafe fn free_block(&mut self) {
        let layout = block_layout(self.parts().total);
        // SAFETY: the block was allocated with the layout that its header gives.
        unsafe { dealloc(self.0.block(), layout) };
    }

    /// The 24-bit access clock: see `access_clock`.
    #[inline]
    pub fn clock(&self) -> u32 {
        self.header().access.load(Relaxed) >> 8
    }

    /// Sets the access clock. Allowed to a reader: the kind beside it never changes. Writes nothing if it is the same.
    #[inline]
    pub fn set_clock(&self, clock: u32) {
        let access = &self.header().access;
        let old = access.load(Relaxed);
        let new = clock << 8 | old & 0xff;
        if new != old {
            access.store(new, Relaxed);
        }
    }

    /// Sets the access clock of a key that was changed; reads are counted anew.
    #[inline]
    pub(crate) fn renew_clock(&self, clock: u32) {
        let access = &self.header().access;
        access.store(clock << 8 | access.load(Relaxed) & KIND, Relaxed);
    }

    /// The bytes of a string. Empty for another type, which callers rule out.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        let parts = self.parts();
        if self.flag(HAS_PAYLOAD) {
            return self.payload_as::<Box<Vec<u8>>>(Kind::String).map_or(&[], |bytes| bytes.as_slice());
        }
        // SAFETY: the embedded value's bytes were written before the entry was handed out.
        unsafe { std::slice::from_raw_parts(self.at(parts.value), parts.total - parts.value) }
    }

    /// The bytes of a string, to change in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let parts = self.parts();
        if self.flag(HAS_PAYLOAD) {
            return self
                .payload_as_mut::<Box<Vec<u8>>>(Kind::String)
                .map_or(&mut [], |bytes| bytes.as_mut_slice());
        }
        // SAFETY: as in `bytes`; callers that just made the block overwrite the uninitialised value whole.
        unsafe { std::slice::from_raw_parts_mut(self.at(parts.value), parts.total - parts.value) }
    }

    /// Whether a string was edited in place, so that its encoding is `raw`.
    pub fn is_raw(&self) -> bool {
        self.flag(IS_RAW)
    }

    /// Says whether the string counts as edited in place.
    pub fn set_raw(&mut self, raw: IsRaw) {
        let layout = self.layout_mut();
        *layout = *layout & !(IS_RAW | IS_TEXT) | if raw == IsRaw::Yes { IS_RAW } else { 0 };
    }

    /// Whether a string stays `embstr` although it reads as an integer.
    pub fn is_text(&self) -> bool {
        self.flag(IS_TEXT)
    }

    /// Says that the string stays `embstr` until it is next changed: INCRBYFLOAT's sums are never `int`.
    pub fn set_text(&mut self) {
        *self.layout_mut() |= IS_TEXT;
    }

    /// Replaces a string by another, in place where the block's size stays the same. The expiry stays.
    pub fn set_bytes(&mut self, value: &[u8]) {
        self.assert_own();
        if self.set_bytes_in_place(value) {
            return;
        }
        let clock = self.clock();
        let new = Self::string(self.key(), value, self.expire_at_ms());
        new.set_clock(clock);
        self.replace(new);
    }

    /// Replaces a string by another if the block's size stays the same; whether it does. Nobody reads the block meanwhile, published or
    /// not.
    #[inline(always)]
    pub(crate) fn set_bytes_in_place(&mut self, value: &[u8]) -> bool {
        debug_assert_eq!(self.kind(), Kind::String);
        let parts = self.parts();
        let total = parts.value + value.len();
        let is_in_place = !self.flag(HAS_PAYLOAD)
            && value.len() <= EMBEDDED_BYTES_MAX
            && block_layout(total).size() == block_layout(parts.total).size();
        if is_in_place {
            let layout = self.layout_of_block();
            *layout = *layout & 0xffff & !(IS_RAW | IS_TEXT) | (value.len() as u32) << 16;
            // SAFETY: the value fits into the block, whose size in the header's terms stays the same.
            unsafe { self.at(parts.value).copy_from_nonoverlapping(value.as_ptr(), value.len()) };
        }
        is_in_place
    }

    /// Makes a string `len` bytes long; new bytes are zero. It counts as edited in place afterwards.
    pub fn resize(&mut self, len: usize) {
        debug_assert_eq!(self.kind(), Kind::String);
        self.set_raw(IsRaw::Yes);
        if let Some(bytes) = self.payload_as_mut::<Box<Vec<u8>>>(Kind::String) {
            bytes.resize(len, 0);
            return;
        }
        let parts = self.parts();
        let old_len = parts.total - parts.value;
        if len > EMBEDDED_BYTES_MAX {
            let mut bytes = Vec::with_capacity(len);
            bytes.extend_from_slice(self.bytes());
            bytes.resize(len, 0);
            let clock = self.clock();
            let new = Self::new(self.key(), Value::String(bytes, IsRaw::Yes), self.expire_at_ms());
            new.set_clock(clock);
            self.replace(new);
        } else if block_layout(parts.value + len).size() == block_layout(parts.total).size() {
            let layout = self.layout_mut();
            *layout = *layout & 0xffff | (len as u32) << 16;
            // SAFETY: the new length fits into the block, and what is new is written.
            unsafe { self.at(parts.value + old_len).write_bytes(0, len.saturating_sub(old_len)) };
        } else {
            self.rebuild(self.expire_at_ms(), Some(len));
        }
    }

    /// Appends to a string. Amortised linear in what is appended.
    pub fn append(&mut self, suffix: &[u8]) {
        if let Some(bytes) = self.payload_as_mut::<Box<Vec<u8>>>(Kind::String) {
            bytes.extend_from_slice(suffix);
            self.set_raw(IsRaw::Yes);
            return;
        }
        let old_len = self.bytes().len();
        self.resize(old_len + suffix.len());
        self.bytes_mut()[old_len..].copy_from_slice(suffix);
    }

    fn payload_as<T>(&self, kind: Kind) -> Option<&T> {
        if self.kind() != kind || !self.flag(HAS_PAYLOAD) {
            return None;
        }
        // SAFETY: a payload of this kind is a `T`: each caller names the type that `new` stores for the kind.
        Some(unsafe { &*self.at(self.parts().payload).cast::<T>() })
    }

    fn payload_as_mut<T>(&mut self, kind: Kind) -> Option<&mut T> {
        self.assert_own();
        if self.kind() != kind || !self.flag(HAS_PAYLOAD) {
            return None;
        }
        // SAFETY: as in `payload_as`, and the entry is borrowed exclusively.
        Some(unsafe { &mut *self.at(self.parts().payload).cast::<T>() })
    }

    /// The collection, if it is of this type.
    pub fn collection<T: Collection>(&self) -> Option<&T> {
        self.payload_as::<T>(T::KIND)
    }

    /// The collection, to change, if it is of this type.
    pub fn collection_mut<T: Collection>(&mut self) -> Option<&mut T> {
        self.payload_as_mut::<T>(T::KIND)
    }

    /// A copy of the value.
    pub fn to_value(&self) -> Value {
        match self.kind() {
            Kind::List => self.collection::<List>().map(|list| Value::List(list.clone())),
            Kind::Set => self.collection::<Set>().map(|set| Value::Set(set.clone())),
            Kind::ZSet => self.collection::<ZSet>().map(|zset| Value::ZSet(zset.clone())),
            Kind::Hash => self.collection::<Hash>().map(|hash| Value::Hash(hash.clone())),
            Kind::Stream => self.collection::<Stream>().map(|stream| Value::Stream(stream.clone())),
            Kind::String => None,
        }
        .unwrap_or_else(|| {
            Value::String(self.bytes().to_vec(), if self.is_raw() { IsRaw::Yes } else { IsRaw::No })
        })
    }

    /// Takes the value out; the key goes.
    pub fn into_value(self) -> Value {
        self.assert_own();
        if !self.flag(HAS_PAYLOAD) {
            return self.to_value();
        }
        let mut this = std::mem::ManuallyDrop::new(self);
        let payload = this.at(this.parts().payload);
        // SAFETY: the payload's type follows from the kind; it is moved out and the block freed without dropping it.
        unsafe {
            let value = match this.kind() {
                Kind::List => Value::List(payload.cast::<List>().read()),
                Kind::Set => Value::Set(payload.cast::<Set>().read()),
                Kind::ZSet => Value::ZSet(payload.cast::<ZSet>().read()),
                Kind::Hash => Value::Hash(payload.cast::<Hash>().read()),
                Kind::Stream => Value::Stream(payload.cast::<Stream>().read()),
                Kind::String => {
                    let raw = if this.is_raw() { IsRaw::Yes } else { IsRaw::No };
                    Value::String(*payload.cast::<Box<Vec<u8>>>().read(), raw)
                }
            };
            this.free_block();
            value
        }
    }

    /// Allocations that freeing it takes.
    pub fn effort(&self) -> usize {
        match self.kind() {
            Kind::List => self.collection::<List>().map_or(1, List::effort),
            Kind::Set => self.collection::<Set>().map_or(1, Set::effort),
            Kind::ZSet => self.collection::<ZSet>().map_or(1, ZSet::effort),
            Kind::Hash => self.collection::<Hash>().map_or(1, Hash::effort),
            Kind::Stream => self.collection::<Stream>().map_or(1, Stream::effort),
            Kind::String => 1 + self.bytes().len() / (1 << 20),
        }
    }

    /// Bytes that the key and its value take, without the table's slot (`MEMORY USAGE`).
    pub fn memory_bytes(&self) -> usize {
        let block = block_layout(self.parts().total).size();
        block
            + match self.kind() {
                Kind::List => self.collection::<List>().map_or(0, List::memory_bytes),
                Kind::Set => self.collection::<Set>().map_or(0, Set::memory_bytes),
                Kind::ZSet => self.collection::<ZSet>().map_or(0, ZSet::memory_bytes),
                Kind::Hash => self.collection::<Hash>().map_or(0, Hash::memory_bytes),
                Kind::Stream => self.collection::<Stream>().map_or(0, Stream::memory_bytes),
                Kind::String => self
                    .payload_as::<Box<Vec<u8>>>(Kind::String)
                    .map_or(0, |bytes| size_of::<Vec<u8>>() + bytes.capacity()),
            }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // A panic amid a change may lose one that the index still names: then its memory is lost too.
        if self.is_published() && std::thread::panicking() {
            return;
        }
        // SAFETY: the payload is dropped once, as what its kind says, and the block freed after it.
        unsafe {
            if self.flag(HAS_PAYLOAD) {
                let payload = self.at(self.parts().payload);
                match self.kind() {
                    Kind::List => payload.cast::<List>().drop_in_place(),
                    Kind::Set => payload.cast::<Set>().drop_in_place(),
                    Kind::ZSet => payload.cast::<ZSet>().drop_in_place(),
                    Kind::Hash => payload.cast::<Hash>().drop_in_place(),
                    Kind::Stream => payload.cast::<Stream>().drop_in_place(),
                    Kind::String => payload.cast::<Box<Vec<u8>>>().drop_in_place(),
                }
            }
            self.free_block();
        }
    }
}

/// Entries are the same if their keys are.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

/// An entry hashes to the hash of its key: a hasher that passes a `u64` through gives `hashing::key_hash`.
impl std::hash::Hash for Entry {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(crate::hashing::key_hash(self.key()));
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &String::from_utf8_lossy(self.key()))
            .field("kind", &self.kind())
            .field("expire_at_ms", &self.expire_at_ms())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_keeps_key_value_and_expiry_through_edits() {
        for key_len in [0, 1, 13, 254, 255, 256, 70_000] {
            let key = vec![b'k'; key_len];
            for value_len in [0, 1, 64, 1023, 1024, 1025, 5000] {
                let value = vec![b'v'; value_len];
                let mut entry = Entry::string(&key, &value, None);
                entry.set_clock(77);
                assert_eq!((entry.key(), entry.bytes()), (key.as_slice(), value.as_slice()));
                entry.set_expire_at_ms(Some(5));
                assert_eq!((entry.bytes(), entry.expire_at_ms()), (value.as_slice(), Some(5)));
                entry.append(b"xyz");
                assert_eq!(entry.bytes(), [&value[..], b"xyz"].concat());
                entry.resize(1100);
                assert_eq!(entry.bytes().len(), 1100);
                entry.set_bytes(b"short");
                assert_eq!((entry.bytes(), entry.is_raw()), (&b"short"[..], false));
                entry.set_expire_at_ms(None);
                assert_eq!((entry.key(), entry.bytes(), entry.clock()), (key.as_slice(), &b"short"[..], 77));
            }
        }
    }

    #[test]
    fn the_free_bits_are_the_key_s() {
        let mut entry = Entry::string(b"key", b"value", None);
        entry.set_free_bits(0x2bcd);
        entry.set_expire_at_ms(Some(5));
        entry.append(&[b'x'; 100]);
        entry.resize(2_000);
        entry.set_bytes(b"short");
        let old = entry.replace(Entry::string(b"key", b"other", None));
        assert_eq!((entry.key(), entry.bytes(), entry.free_bits()), (&b"key"[..], &b"other"[..], 0x2bcd));
        assert_eq!((old.bytes(), old.expire_at_ms()), (&b"short"[..], Some(5)));
        assert!(matches!(old.into_value(), Value::String(bytes, _) if bytes == b"short"));
    }

    #[test]
    fn a_small_string_costs_one_block() {
        assert_eq!(Entry::string(b"key:000000001", &[b'x'; 64], None).memory_bytes(), 96);
        assert_eq!(size_of::<Entry>(), 8);
        assert_eq!(size_of::<Option<Entry>>(), 8);
    }
}
