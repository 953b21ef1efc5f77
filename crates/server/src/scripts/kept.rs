//! What a thread has of scripts: its interpreters, and which scripts it has used.
//!
//! EVAL sends its text each time. The thread finds the script by a hash of the text and compares the whole text, which costs less than its SHA-1
//! (0.3 against 3 us for 1 KB).

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rustredis_commands::{KeyRef, Recent};
use rustredis_keyspace::hashing;
use rustredis_resp::Span;
use rustredis_scripting::machine::{Limits, Machines};

use crate::scripts::known::{Entry, Known, Sha};

/// Scripts that a thread remembers; with more it looks which were forgotten.
const REMEMBERED_MAX: usize = 1024;

/// See the module's text.
#[derive(Default)]
pub struct Kept {
    machines: OnceCell<Machines>,
    remembered: RefCell<Remembered>,
    /// Bytes of the interpreters that others were told.
    told_bytes: Cell<usize>,
    buffers: Cell<Buffers>,
}

/// Room for what a script calls, lent to it while it runs.
#[derive(Default)]
pub struct Buffers {
    /// The words of the call, one behind the other.
    pub text: Vec<u8>,
    /// Where they are.
    pub spans: Vec<Span>,
    /// Its keys.
    pub keys: Vec<KeyRef>,
    /// The command that was called last: many call one over and over, and many scripts begin alike.
    pub recent: Recent,
}

/// Capacity of a text, and words of a call, for which room is kept.
const KEPT_BYTES_MAX: usize = 64 << 10;
const KEPT_WORDS_MAX: usize = 4 << 10;

/// So many bytes more or less are told.
const TOLD_BYTES: usize = 16 << 10;

/// Scripts by the hashes of their texts, and by those of their names.
#[derive(Default)]
struct Remembered {
    by_text: HashMap<u64, Arc<Entry>, BuildHasherDefault<Hashed>>,
    by_sha: HashMap<u64, Arc<Entry>, BuildHasherDefault<Hashed>>,
}

/// What is hashed already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, _: &[u8]) {
        unreachable!("the keys are numbers");
    }

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

impl Kept {
    /// The interpreters, which begin with the first script.
    pub fn machines(&self, limits: &Arc<Limits>) -> &Machines {
        self.machines.get_or_init(|| Machines::new(limits.clone()))
    }

    /// Lends room for calls; another script that begins meanwhile has room of its own.
    #[inline]
    pub fn take_buffers(&self) -> Buffers {
        self.buffers.take()
    }

    /// Takes the room back.
    #[inline]
    pub fn give_buffers(&self, buffers: Buffers) {
        if buffers.text.capacity() <= KEPT_BYTES_MAX && buffers.spans.capacity() <= KEPT_WORDS_MAX {
            self.buffers.set(buffers);
        }
    }

    /// Adds what the interpreters have become bigger to a sum over all threads.
    pub fn tell_size(&self, sum: &AtomicUsize) {
        let bytes = self.machines.get().map_or(0, Machines::memory_bytes);
        let told = self.told_bytes.get();
        if bytes.abs_diff(told) >= TOLD_BYTES {
            // Wraps around where it is less.
            sum.fetch_add(bytes.wrapping_sub(told), Relaxed);
            self.told_bytes.set(bytes);
        }
    }

    /// Gives the interpreters up, and what they have compiled.
    pub fn flush(&self) {
        self.remembered.take();
        if let Some(machines) = self.machines.get() {
            machines.flush();
        }
    }

    /// The script with this text, if it was used here and is known still.
    pub fn find_text(&self, text: &[u8]) -> Option<Arc<Entry>> {
        let remembered = self.remembered.borrow();
        let entry = remembered.by_text.get(&hashing::hash(text))?;
        (!entry.is_forgotten() && entry.script.text() == text).then(|| entry.clone())
    }

    /// The script with this SHA-1, if it is known.
    pub fn find_sha(&self, known: &Known, sha: &Sha) -> Option<Arc<Entry>> {
        if let Some(entry) = self.remembered.borrow().by_sha.get(&hashing::hash(sha))
            && entry.script.sha() == sha
            && !entry.is_forgotten()
        {
            return Some(entry.clone());
        }
        let entry = known.find(sha)?;
        self.remember(&entry);
        Some(entry)
    }

    /// Remembers a script that is known.
    pub fn remember(&self, entry: &Arc<Entry>) {
        let Remembered { by_text, by_sha } = &mut *self.remembered.borrow_mut();
        if by_sha.len() >= REMEMBERED_MAX {
            by_sha.retain(|_, entry| !entry.is_forgotten());
            by_text.retain(|_, entry| !entry.is_forgotten());
        }
        by_text.insert(hashing::hash(entry.script.text()), entry.clone());
        by_sha.insert(hashing::hash(entry.script.sha()), entry.clone());
    }
}
