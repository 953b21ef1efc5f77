//! Settling: what follows from what a command did, with the view still held.

use rustredis_commands::{Args, Row};
use rustredis_engine::faults::{Fault, has};
use rustredis_keyspace::effects::Propagation;
use rustredis_keyspace::{Access, Covered, Effects, Key, View};
use rustredis_persistence::journal::Place;

use crate::clients::client::Client;
use crate::request::record;
use crate::request::waiters;
use crate::request::worker::Worker;
use crate::start::server::Server;
use crate::upkeep::stats::bump;

/// Acts on what a command did, with the view still held: watchers were touched by the view; here follow the journal,
/// keyspace events, clients that track and, unless they are somebody else's to serve, waiters. The only place for effects. `None` for what
/// nobody commanded. The journal's place of it; 0 if there is none, or none yet.
pub fn settle(
    server: &Server,
    worker: &Worker,
    view: &mut View<'_>,
    command: Option<(&Row, Args<'_>)>,
    by: Option<&Client>,
    serves_waiters: bool,
) -> Place {
    let place = settle_change(server, worker, view, command, by);
    if !view.effects.ready.is_empty() && serves_waiters && !worker.steps.is_inside() {
        // Who is to wait may have changed something before (XREADGROUP makes a consumer).
        let block = view.effects.block.take();
        waiters::serve_all(server, worker, view);
        view.effects.block = block;
    }
    place
}

/// Settles what nobody commanded: expiry and eviction.
pub fn settle_own(server: &Server, worker: &Worker, view: &mut View<'_>) {
    settle(server, worker, view, None, None, true);
}

/// Settles what a step of this client has gathered, at its end.
pub fn settle_step(server: &Server, worker: &Worker, view: &mut View<'_>, by: &Client) -> Place {
    if worker.steps.is_inside() {
        return 0;
    }
    if view.effects.has_changes() {
        tell_trackers(server, worker, view, Some(by));
    }
    let place = record::commit(server, worker, view, None);
    record::commit_announcements(server, worker);
    waiters::serve_all(server, worker, view);
    place
}

/// The journal's and the events' part of [`settle`].
fn settle_change(
    server: &Server,
    worker: &Worker,
    view: &mut View<'_>,
    command: Option<(&Row, Args<'_>)>,
    by: Option<&Client>,
) -> Place {
    if !view.effects.stale.get_mut().is_empty() && command.is_some_and(|(row, _)| row.is_journalled()) {
        view.expire_found();
    }
    bump(&worker.stats().dirty, view.effects.dirty);
    let mut place = 0;
    if server.durability().journal.is_on() {
        place = record::record(server, worker, view, command);
    } else {
        view.effects.expired.clear();
        view.effects.expired_fields_of.clear();
    }
    if !view.effects.events.is_empty() {
        publish_events(server, view);
    }
    if view.effects.has_changes() {
        tell_trackers(server, worker, view, by);
    }
    if std::mem::take(&mut view.effects.has_flushed_all) {
        worker.flushed.set(server.snapshots().note_flushed());
    }
    // Looked at before it is written: what is not there need not be dropped.
    if view.effects.propagation != Propagation::Verbatim {
        view.effects.propagation = Propagation::Verbatim;
    }
    view.effects.is_newer = false;
    view.effects.dirty = 0;
    place
}

fn publish_events(server: &Server, view: &mut View<'_>) {
    for event in view.effects.events.drain(..) {
        server.pubsub().publish_event(&event);
    }
}

/// Tells clients that track what has changed: who has read it, of each command, for what is read again behind it in the same step is
/// as it is left; who hears of all keys, of a step as a whole.
#[cold]
fn tell_trackers(server: &Server, worker: &Worker, view: &mut View<'_>, by: Option<&Client>) {
    let by = by.map(|client| client.id);
    let forgotten = server.tracking().tell_readers(view.effects.untold_changes(), by);
    forgotten.into_iter().for_each(|forgotten| view.store().bury(forgotten));
    if !worker.steps.is_inside() {
        server.tracking().broadcast(&view.effects.take_changes(), by);
    }
}

/// Deletes keys that readers found expired, as far as their shards can be held here.
pub(crate) fn expire_stale(server: &Server, worker: &Worker, effects: &mut Effects) {
    if effects.stale.borrow().is_empty() {
        return;
    }
    let stale = std::mem::take(&mut *effects.stale.borrow_mut());
    if has(Fault::ExpiredReturns) {
        return;
    }
    for (db, bytes) in stale {
        let key = Key::new(&bytes);
        let covered = Covered::One(server.engine().store().shard_of(key.hash));
        if let Some(mut held) = server.engine().hold(covered, Access::Write) {
            let mut view = held.view(db as usize, worker.now_ms(), &worker.random, effects);
            view.expire_if_due(key);
            settle_own(server, worker, &mut view);
        }
    }
}

/// Moves the counters of reads and expirations to the worker's statistics.
pub(crate) fn count_effects(worker: &Worker, effects: &mut Effects) {
    let stats = worker.stats();
    bump(&stats.hits, effects.hits.take());
    bump(&stats.misses, effects.misses.take());
    bump(&stats.expired_keys, std::mem::take(&mut effects.expired_keys));
    bump(&stats.expired_fields, std::mem::take(&mut effects.expired_fields));
}
