//! What a command did goes into the journal: its part in `settle`, with the view still held.
//!
//! The effects of a step gather in the unit of the worker, and are committed to its lane as one entry. With `appendfsync always`
//! the session remembers up to which place its replies depend on the journal: of its own writes, and of the last writes to the
//! shards that it has read, for what a reply shows must not vanish. Waiting for that place is [`durability`]'s part.
//!
//! [`durability`]: crate::request::durability

use std::sync::Once;

use rustredis_commands::{Args, Row};
use rustredis_engine::faults::{Fault, has};
use rustredis_keyspace::effects::Propagation;
use rustredis_keyspace::{Access, Covered, View};
use rustredis_persistence::journal::{ANY_DB, Audience, Place, Touched, Unit};

use crate::request::caller::Progress;
use crate::request::worker::Worker;
use crate::start::server::Server;

/// Called before the worker's thread sleeps: whoever waits for a sync waits for all that has gathered, and not for more.
pub fn before_sleep(worker: &Worker) {
    if worker.lane.is_fresh.get() {
        let durability = worker.server.durability();
        let is_awaited = durability.durable.is_awaited();
        worker.lane.is_fresh.set(is_awaited && !durability.journal.wake_for_group());
    }
}

/// Puts what a command did into the journal's unit, and commits that unless a step gathers. `None` for what nobody commanded:
/// expiry and eviction. The place of the unit, 0 if none was committed.
pub fn record(
    server: &Server,
    worker: &Worker,
    view: &mut View<'_>,
    command: Option<(&Row, Args<'_>)>,
) -> Place {
    let db = view.db();
    let effects = &mut *view.effects;
    let mut unit = worker.lane.unit.borrow_mut();
    for (db, key) in effects.expired.drain(..) {
        unit.add(db as usize, [b"DEL".as_slice(), &key].into_iter());
    }
    for ((db, key), fields) in effects.expired_fields_of.drain(..) {
        let words: Vec<&[u8]> =
            [b"HDEL".as_slice(), &key].into_iter().chain(fields.iter().map(Vec::as_slice)).collect();
        unit.add(db as usize, words.into_iter());
    }
    if effects.dirty > 0
        && let Some((row, args)) = command
        && row.is_journalled()
        && worker.lane.audience.get().is_some()
    {
        match &effects.propagation {
            Propagation::Verbatim => unit.add(db, args.from(0)),
            Propagation::Instead(commands) => {
                if effects.is_newer {
                    tell_newer();
                }
                for words in commands {
                    unit.add(db, words.iter().map(Vec::as_slice));
                }
            }
        }
    }
    drop(unit);
    if worker.steps.is_inside() { 0 } else { commit(server, worker, view, command) }
}

/// Commits the unit, if there is something in it; its place, or 0.
pub fn commit(server: &Server, worker: &Worker, view: &View<'_>, command: Option<(&Row, Args<'_>)>) -> Place {
    let mut unit = worker.lane.unit.borrow_mut();
    if unit.is_empty() {
        return 0;
    }
    let store = server.engine().store();
    let journal = &server.durability().journal;
    let second = worker.now_ms() / 1000;
    let mut append = |touched: Touched<&mut dyn Iterator<Item = usize>>| {
        let audience = worker.lane.audience.get().unwrap_or(Audience::Both);
        journal.append(worker.index, &mut unit, audience, touched, second)
    };
    // The keys say more precisely than a view of the one lock who must wait for this.
    let keys = command.filter(|(row, args)| row.reaches_keys_alone(*args)).map(|(_, args)| args.key_refs());
    let place = match (keys, view.covered()) {
        (Some(keys), covered) if !keys.is_empty() => {
            // A waiter that is served names keys whose shards somebody else may hold, who has a place of his own for them.
            let shards = keys.iter().map(|key| store.shard_of(key.hash));
            append(Touched::Shards(&mut shards.filter(|shard| covered.has(*shard))))
        }
        (_, Covered::One(shard)) => append(Touched::Shards(&mut std::iter::once(shard))),
        (_, Covered::Many(shards)) => {
            append(Touched::Shards(&mut shards.iter().map(|shard| *shard as usize)))
        }
        (_, Covered::All | Covered::None) => append(Touched::Everything),
    };
    worker.lane.is_fresh.set(true);
    place
}

/// Has replicas get a command that changes no key (PUBLISH, and PING without a database): behind the step under way, if there is
/// one.
pub fn announce<'w>(
    server: &Server,
    worker: &Worker,
    db: Option<usize>,
    words: impl ExactSizeIterator<Item = &'w [u8]>,
) {
    let journal = &server.durability().journal;
    if journal.is_on() && journal.is_heard_by(Audience::Replicas) {
        worker.lane.announcements.borrow_mut().add(db.unwrap_or(ANY_DB), words);
        if !worker.steps.is_inside() {
            commit_announcements(server, worker);
        }
    }
}

/// Commits what was announced, if there is something.
pub fn commit_announcements(server: &Server, worker: &Worker) {
    let mut unit = worker.lane.announcements.borrow_mut();
    if !unit.is_empty() {
        let touched = Touched::Shards(std::iter::empty());
        let second = worker.now_ms() / 1000;
        server.durability().journal.append(worker.index, &mut unit, Audience::Replicas, touched, second);
    }
}

/// Puts a command into the journal that replicas alone get, if there is anybody. The view covers everything.
pub fn tell_replicas<'w>(
    server: &Server,
    worker: &Worker,
    db: usize,
    words: impl ExactSizeIterator<Item = &'w [u8]>,
) {
    let journal = &server.durability().journal;
    if journal.is_heard_by(Audience::Replicas) {
        let mut unit = Unit::default();
        unit.add(db, words);
        let touched = Touched::Everything::<std::iter::Empty<usize>>;
        journal.append(worker.index, &mut unit, Audience::Replicas, touched, worker.now_ms() / 1000);
        worker.lane.is_fresh.set(true);
    }
}

/// Notes up to which place the reply of a command that has run depends on the journal. The view is still held.
pub fn depend(server: &Server, progress: &mut Progress, row: &Row, args: Args<'_>) {
    if has(Fault::EarlyRead) && row.access == Access::Read {
        return;
    }
    let journal = &server.durability().journal;
    let store = server.engine().store();
    let place = if row.reaches_keys_alone(args) {
        args.key_refs().iter().map(|key| journal.last_of_shard(store.shard_of(key.hash))).max().unwrap_or(0)
    } else {
        journal.last()
    };
    progress.depend_on(place);
}

/// Says in the log, once, that servers before 7.4 cannot load what is being written.
#[cold]
fn tell_newer() {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        tracing::warn!("Fields of hashes expire: servers before Redis 7.4 cannot load the append-only file");
    });
}
