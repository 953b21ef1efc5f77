//! Serving who waits for a key, in the settling of whoever made or changed it: the view is still held, so nobody sees the key before.
//!
//! A waiter is served with the key of which something became and no other, whatever his other keys hold, as in Redis: his command
//! runs again, with his protocol and with that key as the only one that a plan names. So what is served does not depend on
//! which shards the view happens to cover.

use std::sync::atomic::Ordering::Relaxed;

use rustredis_commands::{Args, KeyRef};
use rustredis_engine::faults::{Fault, has};
use rustredis_keyspace::{Fate, Key, Kind, Ready, View};
use rustredis_metrics::CommandId;
use rustredis_resp::Reply;

use crate::clients::blocked::BlockedClient;
use crate::request::caller::Progress;
use crate::request::context::Context;
use crate::request::faults;
use crate::request::origin::Origin;
use crate::request::permission::{self, Place};
use crate::request::run;
use crate::request::worker::Worker;
use crate::start::server::Server;

/// Whether somebody waits for one of these keys whom to serve takes more than the view covers.
#[inline]
pub fn needs_everything(view: &View<'_>, args: Args<'_>) -> bool {
    view.store().far_waited.load(Relaxed) != 0 && args.keys().any(|key| view.has_far_waiters(key))
}

/// Serves who waits for what has become of keys, in the order of the keys and of the waiting; a command that is served
/// may make further keys ready.
pub fn serve_all(server: &Server, worker: &Worker, view: &mut View<'_>) {
    if view.effects.ready.is_empty() {
        return;
    }
    // What was done may have taken long: a key that has expired meanwhile serves nobody, as in Redis.
    worker.read_clock();
    view.set_now_ms(worker.now_ms());
    let selected = view.db();
    while !view.effects.ready.is_empty() {
        for Ready { key: (db, bytes), fate } in std::mem::take(&mut view.effects.ready) {
            view.select(db as usize);
            serve_key(server, worker, view, Key::new(&bytes), fate);
        }
    }
    view.select(selected);
}

/// Serves those who wait for this fate of the key; unless it is the key's end, for as long as it is there.
fn serve_key(server: &Server, worker: &Worker, view: &mut View<'_>, key: Key<'_>, fate: Fate) {
    let mut ticket = 0;
    while let Some(waiter) = view.next_waiter(key, fate, ticket) {
        ticket = waiter.ticket() + 1;
        let kind = view.peek(key).map(|entry| entry.kind());
        if kind.is_none() && !fate.is_end() {
            return;
        }
        if let Some(blocked) = waiter.as_any().downcast_ref::<BlockedClient>()
            && waiter.wants(kind)
            && (end_wait(blocked, kind) || blocked.claim() && serve(server, worker, view, blocked, key))
        {
            view.stop_waiting(key, &*waiter);
        }
    }
}

/// Ends the wait of a client that waits for the end of its key too, if it is gone, or another type's; whether that was so.
fn end_wait(blocked: &BlockedClient, kind: Option<Kind>) -> bool {
    kind != Some(blocked.kind) && blocked.fail("UNBLOCKED the stream key no longer exists")
}

/// The arguments of a waiting command with this key alone, and besides it the destination if it has one.
fn served_with<'a>(blocked: &'a BlockedClient, key: Key<'_>, only: &'a mut [KeyRef; 1]) -> Args<'a> {
    let args = blocked.args.args();
    let mut refs = args.key_refs().iter();
    let is_it = |of: &&KeyRef| of.hash == key.hash && args.get(of.argument as usize) == key.bytes;
    match refs.find(is_it) {
        Some(found) if !blocked.needs_more_keys => {
            *only = [*found];
            args.with_keys(only)
        }
        _ => args,
    }
}

/// Runs a waiting command with a key that is ready; whether it was served.
fn serve(
    server: &Server,
    worker: &Worker,
    view: &mut View<'_>,
    blocked: &BlockedClient,
    key: Key<'_>,
) -> bool {
    let row = server.registry().row(blocked.row);
    let mut only = [KeyRef { argument: 0, hash: 0 }];
    let args = served_with(blocked, key, &mut only);
    let (mut caller, mut progress, mut output) = (blocked.caller.clone(), Progress::default(), Vec::new());
    caller.follow(server.users());
    if let Err(denied) = permission::ask(server, &caller, row, args, Place::TopLevel) {
        let error = permission::refusal(&caller, denied, row);
        Reply::new(&mut output, caller.proto).error(&error.wire());
        run::count_error(server, worker, &error);
        worker.metrics.reject(CommandId(row.id));
        blocked.serve(output, progress);
        return true;
    }
    let mut context = Context {
        server,
        worker: Some(worker),
        caller: &mut caller,
        progress: &mut progress,
        conversation: None,
        origin: Origin::Waiter,
    };
    // It begins now.
    worker.read_clock();
    let list = if has(Fault::WaiterOutside) { faults::copy_of(view, key) } else { None };
    run::guarded(&mut context, view, &mut output, row, args);
    // Whoever serves it has made a change of his own, which was journalled.
    view.effects.touch();
    if view.effects.block.take().is_some() {
        blocked.release();
        return false;
    }
    blocked.serve(output, progress);
    if list.is_some() {
        faults::take_later(view, key, list);
    }
    true
}
