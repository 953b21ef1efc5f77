//! Commands that read strings without a lock, on the engine that publishes them.
//!
//! The keys are looked up first. Are all of them published, the command runs over what was found, as it runs over what is held; is one
//! not, or is its time over, the command takes the locks.
//!
//! **What is published.** Strings that are read more often than they are changed: a string that was read three times since its last change
//! is published behind the third, and what a write has withdrawn is published anew behind the write, if it was read three times without a
//! lock since it was published before. What is written as often as read stays with the locks, and pays nothing but the count. Publishing is a
//! step behind a command of its own, never within a transaction: see `rustredis_keyspace::published`.

use std::sync::atomic::Ordering::Relaxed;

use rustredis_commands::Args;
use rustredis_engine::Reading;
use rustredis_engine::faults::{Fault, has, pause};
use rustredis_keyspace::{Access, Covered, Effects, PublishedEntry, View};
use smallvec::SmallVec;

use crate::request::caller::Caller;
use crate::request::connection::Connection;
use crate::request::origin::Origin;
use crate::request::run;
use crate::request::scratch::{NO_ROW, Prepared, Scratch};
use crate::request::turn::Turn;
use crate::request::worker::Worker;
use crate::start::server::Server;

/// Commands that are looked up ahead at a time.
const AHEAD: usize = rustredis_keyspace::store::TOUCHED_AT_ONCE;
/// Keys that a command reads without a lock; who names more takes locks.
const KEYS_MAX: u32 = 32;

type Found<'r> = SmallVec<[PublishedEntry<'r>; 4]>;

impl Connection {
    /// Runs the next plain commands without a lock, as far as they read what is published; how many that were, which may be none. Up to
    /// `looked` their keys are near already.
    #[allow(clippy::too_many_arguments, reason = "what is lent by the caller is borrowed apart")]
    pub(super) fn run_lockless(
        &mut self,
        server: &Server,
        worker: &Worker,
        scratch: &Scratch,
        effects: &mut Effects,
        first: usize,
        looked: &mut usize,
        input: &[u8],
        turn: &Turn,
    ) -> usize {
        let end = first + scratch.lockless(server.registry(), first, AHEAD, KEYS_MAX);
        let is_rest = end - first == AHEAD.min(scratch.allowed().len() - first);
        // Who is alone has all shards of a pipeline with one hold; who waits for keys that are elsewhere is looked for under a lock.
        if end == first
            || server.engine().holds_groups() && !is_rest
            || server.engine().store().far_waited.load(Relaxed) != 0
            // A read that is remembered holds its key meanwhile: else a change might come between the two.
            || self.session.caller.remembers_reads()
        {
            return 0;
        }
        let Some(reading) = server.engine().read_published() else { return 0 };
        let db = self.session.caller.db;
        // Once for each, however often one of them has to take a lock.
        let new = first.max(*looked)..end;
        if new.len() > 1 {
            reading.touch(db, scratch.keys_of(new).iter().map(|key| key.hash));
        }
        *looked = end.max(*looked);
        let no_touch = self.session.caller.no_touch;
        let mut context = self.session.context(server, worker, Origin::Client);
        for index in first..end {
            let row = server.registry().row(scratch.prepared[index].row);
            let args = scratch.args(index, input);
            let Some(found) = find(&reading, db, worker.now_ms(), args) else { return index - first };
            let mut view = reading.view(&found, db, worker.now_ms(), &worker.random, effects);
            view.set_no_touch(no_touch);
            run::clients(worker, &mut context, &mut view, &mut self.output, row, args);
            if turn.is_over(worker, &self.output) {
                return index + 1 - first;
            }
        }
        end - first
    }
}

impl Scratch {
    /// How many commands from `first` on may run without a lock, at most `most`.
    fn lockless(
        &self,
        registry: &rustredis_commands::Registry,
        first: usize,
        most: usize,
        keys_max: u32,
    ) -> usize {
        let is_lockless = |row: u16, keys: u32| {
            row != NO_ROW && (1..=keys_max).contains(&keys) && registry.row(row).is_lockless
        };
        let next = self.allowed()[first..].iter().take(most);
        next.take_while(|prepared| is_lockless(prepared.row, prepared.keys)).count()
    }
}

/// The strings at all keys of a command, as they were at one moment; `None` if one of them is not published, or is no more.
#[inline]
fn find<'r>(reading: &'r Reading<'_>, db: usize, now_ms: u64, args: Args<'_>) -> Option<Found<'r>> {
    let mut found = Found::new();
    for key in args.keys() {
        if has(Fault::UncheckedReading) && !found.is_empty() {
            pause();
        }
        found.push(reading.find(db, key, now_ms)?);
    }
    let is_one = found.len() == 1 || has(Fault::UncheckedReading);
    (is_one || args.keys().zip(&found).all(|(key, found)| reading.is_still(db, key, found))).then_some(found)
}

/// Makes a view that a worker's plain commands run over the caller's.
#[inline]
pub(super) fn prepare(view: &mut View<'_>, server: &Server, caller: &Caller) {
    view.set_no_touch(caller.no_touch);
    if server.engine().reads_alone() {
        // SAFETY: commands run on workers, of which there is one, and it has no reading while it holds a shard.
        unsafe { view.be_alone() };
    }
}

/// Whether all these commands read strings and do nothing else.
#[cold]
pub(super) fn read_strings(server: &Server, commands: &[Prepared]) -> bool {
    commands.iter().all(|prepared| prepared.row != NO_ROW && server.registry().row(prepared.row).is_lockless)
}

/// How many commands from `first` on, at most `most`, should share a hold, or be brought near together: those behind a write that read strings
/// may need no lock.
#[inline]
pub(super) fn run_of_a_kind(server: &Server, scratch: &Scratch, first: usize, most: usize) -> usize {
    let is_lockless = |row: u16| row != NO_ROW && server.registry().row(row).is_lockless;
    if !server.engine().store().publishes()
        || server.engine().holds_groups()
        || is_lockless(scratch.prepared[first].row)
    {
        return most;
    }
    let run = scratch.prepared[first..].iter().take(most);
    run.take_while(|prepared| !is_lockless(prepared.row)).count()
}

/// Follows a command that has run under locks and answered so many bytes: what it has read is published if it is read often, and so
/// is what it has withdrawn to change it. Whether that is still to be done, under an exclusive hold.
#[inline]
pub(super) fn follow(view: &mut View<'_>, args: Args<'_>, answered: usize) -> bool {
    let is_read_often = view.effects.is_read_often.take();
    if view.access() == Access::Read {
        return is_read_often;
    }
    if view.effects.withdrawn.take() || is_read_often {
        args.keys().for_each(|key| view.publish(key, answered));
    }
    false
}

/// Publishes the keys of a command that has read them often, and answered so many bytes.
#[cold]
pub(super) fn publish(
    server: &Server,
    worker: &Worker,
    effects: &mut Effects,
    db: usize,
    args: Args<'_>,
    answered: usize,
) {
    for key in args.keys() {
        let covered = Covered::One(server.engine().store().shard_of(key.hash));
        if let Some(mut held) = server.engine().hold(covered, Access::Write) {
            held.view(db, worker.now_ms(), &worker.random, effects).publish(key, answered);
        }
    }
}
