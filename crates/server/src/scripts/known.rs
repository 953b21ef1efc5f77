//! The scripts that clients have sent, by the SHA-1 of their texts.
//!
//! All threads share one table. Beside it each thread has one of its own ([`crate::scripts::kept`]), which it asks first: a script that is
//! forgotten here is marked, and so forgotten there.
//!
//! What EVAL brings is kept as long as there are few: of more than [`UNLOADED_MAX`] the one that was used longest ago goes. What SCRIPT
//! LOAD brings stays until SCRIPT FLUSH, for its client counts on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use rustredis_scripting::script::Script;

/// Most scripts of EVAL that are kept.
pub const UNLOADED_MAX: usize = 500;

/// The SHA-1 of a text: forty hexadecimal digits in small case.
pub type Sha = [u8; 40];

/// A script that is known.
pub struct Entry {
    /// It.
    pub script: Arc<Script>,
    /// Whether SCRIPT LOAD brought it.
    is_loaded: AtomicBool,
    /// Unix ms of its last use, about.
    used_ms: AtomicU64,
    is_forgotten: AtomicBool,
    /// Whether it was seen to touch a key that it had not declared, though it was to be tried.
    strays: AtomicBool,
}

impl Entry {
    /// Whether it is no longer known.
    #[inline]
    pub fn is_forgotten(&self) -> bool {
        self.is_forgotten.load(Relaxed)
    }

    /// Notes that it is used. Written once a millisecond at most, for all threads share it.
    #[inline]
    pub fn note_use(&self, now_ms: u64) {
        if self.used_ms.load(Relaxed) != now_ms {
            self.used_ms.store(now_ms, Relaxed);
        }
    }

    /// Whether it touches keys that it has not declared.
    pub fn strays(&self) -> bool {
        self.strays.load(Relaxed)
    }

    /// Notes that it does.
    pub fn note_stray(&self) {
        self.strays.store(true, Relaxed);
    }

    /// About the bytes that it takes.
    fn memory_bytes(&self) -> usize {
        self.script.text().len() + size_of::<Script>() + size_of::<Self>() + size_of::<Sha>()
    }
}

/// See the module's text.
#[derive(Default)]
pub struct Known {
    by_sha: Mutex<HashMap<Sha, Arc<Entry>>>,
    evicted: AtomicU64,
}

/// How many are known, and what they take.
#[derive(Clone, Copy, Debug, Default)]
pub struct Size {
    /// Scripts.
    pub scripts: usize,
    /// About their bytes.
    pub bytes: usize,
    /// How many were forgotten for others.
    pub evicted: u64,
}

impl Known {
    /// The script with this SHA-1.
    pub fn find(&self, sha: &Sha) -> Option<Arc<Entry>> {
        self.by_sha.lock().get(sha).cloned()
    }

    /// Keeps a script, unless it is there already.
    pub fn keep(&self, script: Arc<Script>, is_loaded: bool, now_ms: u64) -> Arc<Entry> {
        let mut by_sha = self.by_sha.lock();
        let sha = *script.sha();
        let entry = by_sha.entry(sha).or_insert_with(|| {
            Arc::new(Entry {
                script,
                is_loaded: AtomicBool::new(false),
                used_ms: AtomicU64::new(now_ms),
                is_forgotten: AtomicBool::new(false),
                strays: AtomicBool::new(false),
            })
        });
        let entry = entry.clone();
        if is_loaded {
            entry.is_loaded.store(true, Relaxed);
        }
        self.evict(&mut by_sha, &sha);
        entry
    }

    /// Forgets the one that was used longest ago, but not `newest`, if there are too many that nobody counts on.
    fn evict(&self, by_sha: &mut HashMap<Sha, Arc<Entry>>, newest: &Sha) {
        if by_sha.len() <= UNLOADED_MAX {
            return;
        }
        let unloaded = by_sha.iter().filter(|(_, entry)| !entry.is_loaded.load(Relaxed));
        if unloaded.clone().count() <= UNLOADED_MAX {
            return;
        }
        let oldest = unloaded
            .filter(|(sha, _)| *sha != newest)
            .min_by_key(|(_, entry)| entry.used_ms.load(Relaxed))
            .map(|(sha, _)| *sha);
        if let Some(entry) = oldest.and_then(|sha| by_sha.remove(&sha)) {
            entry.is_forgotten.store(true, Relaxed);
            self.evicted.fetch_add(1, Relaxed);
        }
    }

    /// Forgets all.
    pub fn flush(&self) {
        for entry in std::mem::take(&mut *self.by_sha.lock()).into_values() {
            entry.is_forgotten.store(true, Relaxed);
        }
    }

    /// How many there are.
    pub fn size(&self) -> Size {
        let by_sha = self.by_sha.lock();
        Size {
            scripts: by_sha.len(),
            bytes: by_sha.values().map(|entry| entry.memory_bytes()).sum(),
            evicted: self.evicted.load(Relaxed),
        }
    }

    /// All of them, in the order of their SHA-1.
    pub fn all(&self) -> Vec<Arc<Entry>> {
        let mut all: Vec<_> = self.by_sha.lock().values().cloned().collect();
        all.sort_unstable_by_key(|entry| *entry.script.sha());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(number: usize) -> Arc<Script> {
        Arc::new(Script::new(format!("return {number}").as_bytes(), |_| Ok(())).unwrap())
    }

    #[test]
    fn what_was_used_longest_ago_goes_and_what_was_loaded_stays() {
        let known = Known::default();
        let loaded = known.keep(script(0), true, 0);
        let oldest = known.keep(script(1), false, 1);
        let second = known.keep(script(2), false, 2);
        for number in 3..=UNLOADED_MAX {
            known.keep(script(number), false, number as u64);
        }
        assert_eq!((known.size().scripts, known.size().evicted), (UNLOADED_MAX + 1, 0));
        oldest.note_use(1_000);
        known.keep(script(UNLOADED_MAX + 1), false, 1_001);
        assert!(second.is_forgotten() && !oldest.is_forgotten() && !loaded.is_forgotten());
        assert_eq!((known.size().scripts, known.size().evicted), (UNLOADED_MAX + 1, 1));
        known.flush();
        assert!(loaded.is_forgotten() && known.find(loaded.script.sha()).is_none());
    }
}
