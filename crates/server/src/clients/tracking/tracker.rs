//! A client that tracks, from CLIENT TRACKING ON to its end.
//!
//! One that begins anew is another tracker, so that what is left of the last can be taken out of the table at leisure. It
//! travels with its client's commands, whichever thread runs them.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use parking_lot::Mutex;

/// How a client tracks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes(u8);

impl Modes {
    /// Told of all keys, or those with its prefixes, whatever it has read.
    pub const BCAST: Self = Self(1);
    /// Reads behind CLIENT CACHING YES are remembered, no others.
    pub const OPTIN: Self = Self(1 << 1);
    /// All reads are remembered but those behind CLIENT CACHING NO.
    pub const OPTOUT: Self = Self(1 << 2);
    /// Not told of its own changes.
    pub const NOLOOP: Self = Self(1 << 3);
    /// CLIENT CACHING was given for what comes next.
    pub const CACHING: Self = Self(1 << 4);
    /// It has ended.
    const ENDED: Self = Self(1 << 6);
    /// What follows from all of these: what is read now is remembered.
    const REMEMBERS: Self = Self(1 << 5);

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// All but these.
    #[must_use]
    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of these are set.
    #[inline]
    pub const fn has(self, modes: Self) -> bool {
        self.0 & modes.0 == modes.0
    }

    /// With what follows.
    const fn settled(self) -> Self {
        let is_given = self.has(Self::CACHING);
        let remembers = !self.has(Self::BCAST)
            && (!self.has(Self::OPTIN) || is_given)
            && (!self.has(Self::OPTOUT) || !is_given);
        if remembers { self.with(Self::REMEMBERS) } else { self.without(Self::REMEMBERS) }
    }
}

/// What a tracker has read.
#[derive(Debug, Default)]
struct Read {
    keys: HashSet<Arc<[u8]>>,
    is_over: bool,
}

/// See the module's text.
#[derive(Debug)]
pub struct Tracker {
    client_id: u64,
    modes: AtomicU8,
    /// The keys in whose entries of the table it stands.
    read: Mutex<Read>,
    prefixes: Mutex<BTreeSet<Box<[u8]>>>,
}

impl Tracker {
    /// A client that begins to track.
    pub(super) fn new(client_id: u64, modes: Modes) -> Self {
        Self {
            client_id,
            modes: AtomicU8::new(modes.settled().0),
            read: Mutex::default(),
            prefixes: Mutex::default(),
        }
    }

    /// Who it is.
    pub fn client_id(&self) -> u64 {
        self.client_id
    }

    /// How it tracks.
    #[inline]
    pub fn modes(&self) -> Modes {
        Modes(self.modes.load(Relaxed))
    }

    /// Tracks otherwise from now on. What was said by CLIENT CACHING holds on.
    pub(super) fn set_modes(&self, modes: Modes) {
        let caching = if self.is_caching() { Modes::CACHING } else { Modes::default() };
        self.modes.store(modes.with(caching).settled().0, Relaxed);
    }

    /// Whether CLIENT CACHING was given for what comes next.
    #[inline]
    pub fn is_caching(&self) -> bool {
        self.modes().has(Modes::CACHING)
    }

    /// CLIENT CACHING, or the end of what it was given for.
    pub fn set_caching(&self, is_given: bool) {
        let modes = self.modes();
        let modes = if is_given { modes.with(Modes::CACHING) } else { modes.without(Modes::CACHING) };
        self.modes.store(modes.settled().0, Relaxed);
    }

    /// Whether what the client reads now is to be remembered.
    #[inline]
    pub fn remembers(&self) -> bool {
        self.modes().has(Modes::REMEMBERS)
    }

    /// Whether it tracks no longer: what is left of it in the table concerns nobody.
    pub(super) fn is_over(&self) -> bool {
        self.modes().has(Modes::ENDED)
    }

    /// The prefixes of the keys that it is told of, ascending.
    pub fn prefixes(&self) -> Vec<Box<[u8]>> {
        self.prefixes.lock().iter().cloned().collect()
    }

    /// One prefix more; false if it is there.
    pub(super) fn add_prefix(&self, prefix: &[u8]) -> bool {
        self.prefixes.lock().insert(prefix.into())
    }

    /// Takes all prefixes.
    pub(super) fn take_prefixes(&self) -> BTreeSet<Box<[u8]>> {
        std::mem::take(&mut *self.prefixes.lock())
    }

    /// Remembers that it stands in the entry of this key; how many these are now, or nothing if it has ended.
    pub(super) fn note(&self, key: &Arc<[u8]>) -> Option<usize> {
        let mut read = self.read.lock();
        if read.is_over {
            return None;
        }
        read.keys.insert(key.clone());
        Some(read.keys.len())
    }

    /// Forgets that it stands in the entry of this key.
    pub(super) fn forget(&self, key: &[u8]) {
        self.read.lock().keys.remove(key);
    }

    /// Takes any key but this one.
    pub(super) fn take_other(&self, key: &[u8]) -> Option<Arc<[u8]>> {
        let mut read = self.read.lock();
        let other = read.keys.iter().find(|other| ***other != *key).cloned()?;
        read.keys.remove(&other);
        Some(other)
    }

    /// Takes so many keys at most.
    pub(super) fn take_some(&self, most: usize) -> Vec<Arc<[u8]>> {
        let mut read = self.read.lock();
        let some: Vec<_> = read.keys.iter().take(most).cloned().collect();
        some.iter().for_each(|key| _ = read.keys.remove(key));
        if read.keys.len() < read.keys.capacity() / 8 {
            // Who begins at the front each time is to find something there.
            read.keys.shrink_to_fit();
        }
        some
    }

    /// Takes all keys.
    pub(super) fn take_all(&self) -> HashSet<Arc<[u8]>> {
        std::mem::take(&mut self.read.lock().keys)
    }

    /// Nothing that it reads is remembered any more, whichever thread it is read on.
    pub(super) fn end(&self) {
        self.read.lock().is_over = true;
        self.modes.store(Modes::ENDED.0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_follows_from_the_modes() {
        let check = |modes: Modes, without: bool, with: bool| {
            let tracker = Tracker::new(1, modes);
            assert_eq!(tracker.remembers(), without, "{modes:?}");
            tracker.set_caching(true);
            assert_eq!(tracker.remembers(), with, "{modes:?} behind CLIENT CACHING");
            tracker.set_modes(modes);
            assert_eq!(tracker.remembers(), with, "{modes:?}, said again");
            tracker.set_caching(false);
            assert_eq!(tracker.remembers(), without, "{modes:?} and then");
            tracker.end();
            assert!(!tracker.remembers());
        };
        check(Modes::default(), true, true);
        check(Modes::NOLOOP, true, true);
        check(Modes::OPTIN, false, true);
        check(Modes::OPTOUT, true, false);
        check(Modes::BCAST, false, false);
    }
}
