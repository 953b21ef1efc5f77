//! What a command says of its changes: counted, told to watchers, published, journalled.
//!
//! Who watches a key is told on the spot, for that is done while the view is held; the rest is collected in the effects.

use std::sync::atomic::Ordering::Relaxed;

use super::View;
use crate::access_clock::{self, ACCESS_POLICY};
use crate::effects::{BlockRequest, Event, EventClass, Propagation};
use crate::interest::fate::Fate;
use crate::key::Key;

impl View<'_> {
    /// Reports a change of the key: it counts as dirty, watchers are touched, and the event is published.
    #[inline]
    pub fn changed(&mut self, key: Key<'_>, class: EventClass, event: &'static str) {
        self.changed_silently(key);
        self.notify(class, event, key.bytes);
    }

    /// Reports a change that has no event of its own.
    #[inline]
    pub fn changed_silently(&mut self, key: Key<'_>) {
        self.effects.leave();
        self.effects.dirty += 1;
        self.date_change(key);
        self.note(key, Fate::Written);
    }

    /// Reports a change of what stands beside the value, which nobody sees who reads that (a stream's groups): it is counted and
    /// the event is published, and neither who watches the key is told nor who has read it.
    pub fn changed_beside(&mut self, key: Key<'_>, class: EventClass, event: &'static str) {
        self.count_beside(key, 1);
        self.notify(class, event, key.bytes);
    }

    /// As [`View::changed_beside`], for changes that have no event.
    pub fn count_beside(&mut self, key: Key<'_>, count: u64) {
        self.add_dirty(count);
        self.date_change(key);
    }

    /// The key has changed now, where its clock tells of changes.
    #[inline]
    fn date_change(&self, key: Key<'_>) {
        if ACCESS_POLICY.is_lrm.load(Relaxed)
            && let Some(entry) = self.lookup(key)
        {
            entry.set_clock(access_clock::new_clock(self.clock_ms()));
        }
    }

    /// Wakes who waits for changes of the key.
    pub fn wake(&mut self, key: Key<'_>) {
        self.signal_written(key);
    }

    /// Touches who watches the key, for a change that is counted with that of another key (LMOVE's destination).
    pub fn touch(&mut self, key: Key<'_>) {
        self.date_change(key);
        self.note(key, Fate::Written);
    }

    /// Counts `count` changes more, where Redis counts each element.
    pub fn add_dirty(&mut self, count: u64) {
        self.effects.leave();
        self.effects.dirty += count;
    }

    /// Publishes an event without counting a change.
    #[inline]
    pub fn notify(&mut self, class: EventClass, name: &'static str, key: &[u8]) {
        if self.effects.notify_mask & class.0 != 0 {
            self.effects.leave();
            self.effects.events.push(Event { class, name, db: self.db, key: key.into() });
        }
    }

    /// Journals these commands in the place of the one that runs (a relative time made absolute, a random choice named).
    pub fn journal_instead(&mut self, commands: Vec<Vec<Vec<u8>>>) {
        self.effects.leave();
        self.effects.propagation = Propagation::Instead(commands);
    }

    /// Says that what is journalled is in words which servers before Redis 7.4 do not know.
    pub fn journal_is_newer(&mut self) {
        self.effects.is_newer = true;
    }

    /// Says that the command found nothing and waits for one of its keys.
    pub fn block(&mut self, request: BlockRequest) {
        self.effects.leave();
        self.effects.block = Some(request);
    }
}
