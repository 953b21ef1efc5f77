//! What seeded faults do on the way of a request: see [`rustredis_engine::faults`]. In a build without them nothing here is called.

use rustredis_commands::Args;
use rustredis_engine::faults::pause;
use rustredis_keyspace::types::list::{End, List};
use rustredis_keyspace::{Access, Covered, Effects, Key, Overdue, Value, View};

use crate::request::worker::{self, Worker};

/// What a key held at some time, and when it expires.
pub(crate) type Stale = Option<(Value, Option<u64>)>;

/// Reads what the first key holds, and lets go of it again.
pub(crate) fn read_ahead(worker: &Worker, db: usize, args: Args<'_>, effects: &mut Effects) -> Stale {
    let key = args.keys().next()?;
    let engine = worker.server.engine();
    let mut held = engine.hold(Covered::One(engine.store().shard_of(key.hash)), Access::Read)?;
    let stale = copy_of(&held.view(db, worker.now_ms(), &worker.random, effects), key);
    drop(held);
    pause();
    stale
}

/// What a key holds, and when it expires.
pub(crate) fn copy_of(view: &View<'_>, key: Key<'_>) -> Stale {
    view.peek(key).map(|entry| (entry.to_value(), entry.expire_at_ms()))
}

/// Has a write find what was read ahead.
pub(crate) fn write_back(view: &mut View<'_>, args: Args<'_>, stale: Stale) {
    if let (Some((value, expire_at_ms)), Some(key)) = (stale, args.keys().next())
        && view.exists(key)
    {
        view.remove(key);
        view.insert(key, value, expire_at_ms);
        // Nothing has become of the key that anybody is to be told of.
        view.effects.ready.clear();
    }
}

/// Has every second reader see keys whose time has come.
pub(crate) fn show_expired(view: &mut View<'_>, access: Access) {
    if access == Access::Read && view.random().next() % 2 == 0 {
        view.set_overdue(Overdue::Keep);
    }
}

/// Puts a list back as it was before a waiter took its first element, which is taken out a little later.
pub(crate) fn take_later(view: &mut View<'_>, key: Key<'_>, list: Stale) {
    let Some((value, expire_at_ms)) = list else { return };
    view.remove(key);
    view.insert(key, value, expire_at_ms);
    let (db, bytes) = (view.db(), key.bytes.to_vec());
    tokio::task::spawn_local(async move {
        let (Some(worker), key) = (worker::current(), Key::new(&bytes)) else { return };
        let engine = worker.server.engine();
        let shard = engine.store().shard_of(key.hash);
        let mut held = engine.borrow(Covered::One(shard), Access::Write).await;
        let mut effects = Effects::default();
        let mut view = held.view(db, worker.now_ms(), &worker.random, &mut effects);
        if let Ok(Some(list)) = view.collection_mut::<List>(key) {
            list.pop(End::Front);
            view.remove_if_empty::<List>(key);
        }
    });
}
