//! Client-side caching: who is told of changes of which keys (CLIENT TRACKING).
//!
//! In default mode a read is remembered while its view is still held (`crate::request::run`), and who changes a key tells its readers
//! in his settling, while he holds it. So a read is remembered before a change or comes behind it, as the holder of the shard decides.
//! What is told goes into the client's mailbox, and a connection takes mail only where no reply of its own is on its way: behind
//! a value stands each message of a change that came after it was read.
//!
//! Changes are listed only while somebody tracks ([`View::begin_listing`]). An entry of a key is made when a client reads it and
//! goes when its readers are told, or with them: what a tracker has read it knows itself, so that nothing of it stays behind.
//! Redis leaves it until the key changes; then no client could have a bound of its own.

mod message;
mod prefixes;
mod table;
mod tracker;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::{Mutex, RwLock};
use rustredis_keyspace::{Change, Fate, Key, View};
use rustredis_metrics::rows::{Row, gauge};
use tokio::sync::Notify;

use crate::clients::client::{Client, flags};
use crate::clients::connected::Clients;
use crate::clock::now_ms;
use message::Message;
use prefixes::Prefixes;
use table::Table;
pub use tracker::{Modes, Tracker};

/// Keys that are forgotten before others of the thread have their turn.
const SWEPT_AT_ONCE: usize = 128;
/// Keys that a read forgets for one that is new, where there are too many.
const FORGOTTEN_AT_ONCE: usize = 2;

/// See the module's text.
#[derive(Debug)]
pub struct Tracking {
    clients: Arc<Clients>,
    table: Table,
    /// Most keys of the table; 0 is no limit.
    keys_max: AtomicUsize,
    /// Most keys of one client.
    client_keys_max: AtomicUsize,
    prefixes: RwLock<Prefixes>,
    prefix_count: AtomicUsize,
    trackers: Mutex<Trackers>,
    /// Those that have ended, whose keys are still in the table.
    leaving: Mutex<Vec<Arc<Tracker>>>,
    /// There is something to sweep, or nobody tracks any more.
    pub work: Notify,
}

#[derive(Debug, Default)]
struct Trackers {
    by_client: BTreeMap<u64, Arc<Tracker>>,
    is_listing: bool,
}

/// What is told of tracking.
#[derive(Clone, Copy, Debug)]
pub struct TrackingNow {
    keys: usize,
    items: usize,
    prefixes: usize,
}

impl TrackingNow {
    /// Looks.
    pub fn of(tracking: &Tracking) -> Self {
        Self {
            keys: tracking.table.keys(),
            items: tracking.table.items(),
            prefixes: tracking.prefix_count.load(Relaxed),
        }
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        gauge("tracking_total_keys", "Keys that clients are told of.", |at| at.keys.into()),
        gauge("tracking_total_items", "Pairs of such a key and a client.", |at| at.items.into()),
        gauge("tracking_total_prefixes", "Prefixes of keys that clients are told of.", |at| {
            at.prefixes.into()
        }),
    ];
}

/// How a client asks to track.
#[derive(Debug, Default)]
pub struct Wish<'a> {
    /// How.
    pub modes: Modes,
    /// The client that is told in its place; 0 for none.
    pub redirect: u64,
    /// The prefixes of the keys that it is told of, in BCAST mode; all keys without one.
    pub prefixes: Vec<&'a [u8]>,
}

/// What was forgotten all at once, to be freed where nobody waits.
type Forgotten = Box<dyn Send>;

impl Tracking {
    /// Nobody tracks.
    pub fn new(clients: Arc<Clients>) -> Self {
        Self {
            clients,
            table: Table::new(),
            keys_max: AtomicUsize::new(0),
            client_keys_max: AtomicUsize::new(0),
            prefixes: RwLock::default(),
            prefix_count: AtomicUsize::new(0),
            trackers: Mutex::default(),
            leaving: Mutex::default(),
            work: Notify::new(),
        }
    }

    /// How many keys are remembered, of all clients and of each; 0 is no limit.
    pub fn set_limits(&self, keys_max: usize, client_keys_max: usize) {
        self.keys_max.store(keys_max, Relaxed);
        self.client_keys_max.store(client_keys_max, Relaxed);
        self.work.notify_one();
    }

    /// A client begins to track, or goes on otherwise if it does already. The view covers everything.
    pub fn begin(
        &self,
        view: &mut View<'_>,
        client: &Client,
        now: Option<Arc<Tracker>>,
        wish: &Wish<'_>,
    ) -> Arc<Tracker> {
        let tracker = match now {
            Some(tracker) => {
                tracker.set_modes(wish.modes);
                tracker
            }
            None => Arc::new(Tracker::new(client.id, wish.modes)),
        };
        client.redirect.store(wish.redirect, Relaxed);
        client.set_flag(flags::BROKEN_REDIRECT, false);
        client.set_flag(flags::TRACKING, true);
        client.set_flag(flags::BROADCAST, wish.modes.has(Modes::BCAST));
        let mut trackers = self.trackers.lock();
        if !std::mem::replace(&mut trackers.is_listing, true) {
            view.begin_listing();
        }
        trackers.by_client.insert(client.id, tracker.clone());
        drop(trackers);
        if wish.modes.has(Modes::BCAST) {
            let all: &[&[u8]] = &[b""];
            let wanted = if wish.prefixes.is_empty() { all } else { &wish.prefixes };
            let mut prefixes = self.prefixes.write();
            wanted.iter().filter(|prefix| tracker.add_prefix(prefix)).for_each(|prefix| {
                prefixes.add(prefix, &tracker);
            });
            self.prefix_count.store(prefixes.len(), Relaxed);
        }
        tracker
    }

    /// A client ends to track.
    pub fn end(&self, client: &Client, tracker: Arc<Tracker>) {
        tracker.end();
        client.set_flag(flags::TRACKING | flags::BROADCAST | flags::BROKEN_REDIRECT, false);
        let own = tracker.take_prefixes();
        if !own.is_empty() {
            let mut prefixes = self.prefixes.write();
            own.iter().for_each(|prefix| prefixes.remove(prefix, &tracker));
            self.prefix_count.store(prefixes.len(), Relaxed);
        }
        self.trackers.lock().by_client.remove(&client.id);
        self.leaving.lock().push(tracker);
        self.work.notify_one();
    }

    /// The tracker's client has read these keys; their view is still held.
    #[cold]
    pub fn remember<'k>(&self, tracker: &Arc<Tracker>, keys: impl Iterator<Item = Key<'k>>) {
        for key in keys {
            if let Some(read) = self.table.add(key, tracker) {
                self.keep_limits(tracker, key, read);
            }
        }
    }

    /// Forgets others for a key that is new, the client's so-and-so-many-th, where there are too many.
    fn keep_limits(&self, tracker: &Arc<Tracker>, key: Key<'_>, read: usize) {
        let client_keys_max = self.client_keys_max.load(Relaxed);
        if client_keys_max > 0 {
            for _ in 0..read.saturating_sub(client_keys_max).min(FORGOTTEN_AT_ONCE) {
                self.forget_one(tracker, key.bytes);
            }
        }
        for _ in 0..self.excess().min(FORGOTTEN_AT_ONCE) {
            self.forget_any(key.bytes);
        }
    }

    /// Keys that the table has too many.
    fn excess(&self) -> usize {
        match self.keys_max.load(Relaxed) {
            0 => 0,
            keys_max => self.table.keys().saturating_sub(keys_max),
        }
    }

    /// Forgets any key but this one of a tracker, which is told.
    fn forget_one(&self, tracker: &Arc<Tracker>, but: &[u8]) {
        if let Some(name) = tracker.take_other(but) {
            self.table.remove(Key::new(&name), tracker, || {
                Message::of(&[&name], now_ms()).send(&self.clients, tracker);
            });
        }
    }

    /// Forgets any key but this one, and tells its readers.
    fn forget_any(&self, but: &[u8]) {
        let now_ms = now_ms();
        self.table.take_other(but, |tracker, name| {
            Message::of(&[name], now_ms).send(&self.clients, tracker);
        });
    }

    /// Tells each who has read it what a command of this client has changed, if it was one's. The view of the changes is still held. What
    /// was forgotten all at once is given back.
    pub fn tell_readers(&self, changes: &[Change], by: Option<u64>) -> Option<Forgotten> {
        let now_ms = now_ms();
        let mut forgotten = None;
        for change in changes {
            match change {
                Change::Key((_, name), fate) => {
                    let by = by.filter(|_| is_own(*fate));
                    let keys: &[&[u8]] = &[name];
                    let mut message = Message::of(keys, now_ms);
                    self.table.take(Key::new(name), |tracker| {
                        if !is_left_out(tracker, by) {
                            message.send(&self.clients, tracker);
                        }
                    });
                }
                Change::Emptied(_) | Change::Swapped(..) if forgotten.is_none() => {
                    forgotten = Some(self.forget_all(now_ms));
                }
                Change::Emptied(_) | Change::Swapped(..) => {}
            }
        }
        forgotten
    }

    /// Forgets all keys, and tells each who tracks, in whatever mode. The view covers everything, so nobody reads meanwhile.
    fn forget_all(&self, now_ms: u64) -> Forgotten {
        let mut message = Message::of_everything(now_ms);
        let trackers = self.trackers.lock();
        let read: Vec<HashSet<Arc<[u8]>>> = trackers.by_client.values().map(|it| it.take_all()).collect();
        let entries = self.table.take_all();
        trackers.by_client.values().for_each(|tracker| message.send(&self.clients, tracker));
        Box::new((read, entries))
    }

    /// Tells what a step has changed by the keys' prefixes: one message for each prefix, in which a key stands once. The view of the
    /// changes is still held.
    pub fn broadcast(&self, changes: &[Change], by: Option<u64>) {
        if self.prefix_count.load(Relaxed) == 0 {
            return;
        }
        let (prefixes, now_ms) = (self.prefixes.read(), now_ms());
        // For each prefix the keys, ascending, with whether the change is the client's own.
        let mut told: HashMap<&[u8], BTreeMap<&[u8], bool>> = HashMap::new();
        for change in changes {
            let Change::Key((_, name), fate) = change else { continue };
            for prefix in prefixes.of(name) {
                *told.entry(prefix).or_default().entry(name).or_insert(true) &= is_own(*fate);
            }
        }
        for (prefix, keys) in told {
            let all: Vec<&[u8]> = keys.keys().copied().collect();
            let not_own: Vec<&[u8]> =
                keys.iter().filter(|(_, is_own)| !**is_own).map(|(key, _)| *key).collect();
            let (mut of_all, mut of_not_own) = (Message::of(&all, now_ms), Message::of(&not_own, now_ms));
            for tracker in prefixes.trackers(prefix) {
                if !is_left_out(tracker, by) {
                    of_all.send(&self.clients, tracker);
                } else if !not_own.is_empty() {
                    of_not_own.send(&self.clients, tracker);
                }
            }
        }
    }

    /// Forgets some keys that are too many, or whose trackers have ended; whether there are more.
    pub fn sweep(&self) -> bool {
        let excess = self.excess();
        (0..excess.min(SWEPT_AT_ONCE)).for_each(|_| self.forget_any(b""));
        let leaving = self.leaving.lock().last().cloned();
        if let Some(tracker) = &leaving {
            let some = tracker.take_some(SWEPT_AT_ONCE);
            some.iter().for_each(|name| self.table.remove(Key::new(name), tracker, || ()));
            if some.is_empty() {
                self.leaving.lock().retain(|other| !Arc::ptr_eq(other, tracker));
            }
        }
        excess > SWEPT_AT_ONCE || leaving.is_some()
    }

    /// Whether changes are listed for nobody.
    pub fn is_idle(&self) -> bool {
        let trackers = self.trackers.lock();
        trackers.is_listing && trackers.by_client.is_empty()
    }

    /// Has changes listed no longer, if nobody tracks any more. The view covers everything.
    pub fn end_listing(&self, view: &mut View<'_>) {
        let mut trackers = self.trackers.lock();
        if trackers.is_listing && trackers.by_client.is_empty() {
            view.end_listing();
            trackers.is_listing = false;
        }
    }
}

/// Whether a change with this fate is its client's own: what has expired, or made room, nobody has changed.
fn is_own(fate: Fate) -> bool {
    !matches!(fate, Fate::Expired | Fate::Evicted)
}

/// Whether a tracker does not want to be told of what its own client has changed, and this one has.
fn is_left_out(tracker: &Tracker, by: Option<u64>) -> bool {
    by == Some(tracker.client_id()) && tracker.modes().has(Modes::NOLOOP)
}
