//! Errands: plain commands of a client whose keys one thread owns, run there while others of the same batch run elsewhere.
//!
//! An errand carries no copies: it names commands of a batch that all its errands share, and its replies go back apart, with where each
//! ends, for the connection puts them in the commands' order.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_engine::{Held, Outcome, Part, catch};
use rustredis_keyspace::Key;
use smallvec::SmallVec;

use crate::request::call;
use crate::request::caller::{Caller, Progress};
use crate::request::context::Context;
use crate::request::origin::Origin;
use crate::request::run;
use crate::request::scratch::Commands;
use crate::request::settle::{count_effects, settle_own};
use crate::request::turn::{TURN_NANOS, Turn};
use crate::request::waiters::needs_everything;
use crate::request::worker::{self, Worker};

/// Room for replies that an errand keeps.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// A batch that several threads read.
pub(crate) struct Shared {
    pub(crate) commands: Commands,
    /// What its arguments lie in.
    pub(crate) input: Vec<u8>,
}

/// Whose an errand is, and what for.
struct Order {
    batch: Arc<Shared>,
    caller: Caller,
}

/// Commands of one client on their way to the thread that owns their keys. It is used again for others.
#[derive(Default)]
pub(crate) struct Errand {
    /// Nothing while it waits to be used.
    order: Option<Order>,
    owner: u16,
    /// Its commands, by their indexes in the batch.
    which: SmallVec<[u32; 4]>,
    /// Whether all of it runs, come what may, for other errands of the batch do; else it stops where the replies should leave first, or
    /// where more is needed than is held.
    is_whole: bool,
    /// Replies to those that have run.
    replies: Vec<u8>,
    /// Where in the replies each ends.
    ends: SmallVec<[u32; 4]>,
    taken: usize,
    progress: Progress,
}

/// The errand of a part, which holds no other kind.
pub(crate) fn of(part: &mut Part) -> &mut Errand {
    let errand: &mut dyn Any = &mut *part.errand;
    errand.downcast_mut().expect("the server has one kind of errand")
}

impl Errand {
    /// Begins to gather commands for an owner.
    pub(crate) fn begin(&mut self, owner: u16) {
        (self.owner, self.taken, self.progress) = (owner, 0, Progress::default());
        self.which.clear();
        self.replies.clear();
        self.ends.clear();
    }

    /// Whose its commands are.
    pub(crate) fn owner(&self) -> u16 {
        self.owner
    }

    /// A command more.
    pub(crate) fn add(&mut self, index: usize) {
        self.which.push(index as u32);
    }

    /// Makes it ready to go.
    pub(crate) fn prepare(&mut self, batch: &Arc<Shared>, caller: &Caller, is_whole: bool) {
        self.order = Some(Order { batch: batch.clone(), caller: caller.clone() });
        self.is_whole = is_whole;
    }

    /// Whether it takes more memory than is kept for the next.
    pub(crate) fn is_big(&self) -> bool {
        self.replies.capacity() > KEPT_BYTES_MAX
    }

    /// Lets go what it was for; what has come of it, besides the replies.
    pub(crate) fn end(&mut self) -> Progress {
        self.order = None;
        self.progress
    }

    /// The reply to its next command; none if that has not run.
    pub(crate) fn next_reply(&mut self) -> Option<&[u8]> {
        let end = *self.ends.get(self.taken)? as usize;
        let begin = self.taken.checked_sub(1).map_or(0, |last| self.ends[last] as usize);
        self.taken += 1;
        Some(&self.replies[begin..end])
    }

    /// Runs commands from the first on that has not run, until all have or it is to stop.
    fn run_some(&mut self, order: &mut Order, worker: &Worker, held: &mut Held<'_>, turn: &Turn) -> Outcome {
        let server = &*worker.server;
        let store = server.engine().store();
        let Order { batch, caller } = order;
        let mut scratch = worker.take_scratch();
        let mut effects = scratch.take_effects();
        effects.notify_mask = server.settings().notify_mask.load(Relaxed);
        let mut outcome = Outcome::Done;
        {
            let effects = &mut *effects;
            let (db, proto) = (caller.db, caller.proto);
            let mut view = held.view(db, worker.now_ms(), &worker.random, effects);
            view.set_no_touch(caller.no_touch);
            let (origin, conversation) = (Origin::Owner, None);
            let mut context = Context {
                server,
                worker: Some(worker),
                caller,
                progress: &mut self.progress,
                conversation,
                origin,
            };
            let before = self.ends.len();
            worker.begun.set(0);
            let whole = catch(|| {
                for index in &self.which[before..] {
                    if self.ends.len() > before && turn.is_over(worker, &self.replies) {
                        if self.is_whole {
                            outcome = Outcome::Paused;
                        }
                        break;
                    }
                    let args = batch.commands.args(*index as usize, &batch.input);
                    // SAFETY: the shards of all its keys are held.
                    unsafe { view.narrow(args.key_refs().first().map(|key| store.shard_of(key.hash))) };
                    if !self.is_whole && needs_everything(&view, args) {
                        break;
                    }
                    view.set_now_ms(worker.now_ms());
                    let row = server.registry().row(batch.commands.prepared[*index as usize].row);
                    run::command(&mut context, &mut view, &mut self.replies, row, args);
                    self.ends.push(self.replies.len() as u32);
                }
            });
            if whole.is_none() {
                let last = self.which[before + call::last_begun(worker.begun.get())];
                let row = server.registry().row(batch.commands.prepared[last as usize].row);
                call::give_up(server, worker, view.effects, row, proto, &mut self.replies);
                self.ends.push(self.replies.len() as u32);
            }
            let stale = std::mem::take(&mut *view.effects.stale.borrow_mut());
            for (db, bytes) in stale {
                let key = Key::new(&bytes);
                // SAFETY: it is one of the keys of its commands.
                unsafe { view.narrow(Some(store.shard_of(key.hash))) };
                view.select(db as usize);
                view.expire_if_due(key);
                settle_own(server, worker, &mut view);
            }
        }
        count_effects(worker, &mut effects);
        scratch.give_effects(effects);
        worker.give_scratch(scratch);
        outcome
    }
}

impl rustredis_engine::Errand for Errand {
    fn run(&mut self, held: &mut Held<'_>) -> Outcome {
        let (Some(worker), Some(mut order)) = (worker::current(), self.order.take()) else {
            return Outcome::Done;
        };
        worker.tick();
        let turn = Turn::until(worker.last_clock() + TURN_NANOS, &self.replies);
        let begun = (worker.begun.get(), worker.reply_begin.get());
        if self.which.len() > 1 {
            let keys = self.which[self.ends.len()..].iter();
            let hashes = keys.filter_map(|index| order.batch.commands.first_key(*index as usize));
            // SAFETY: what is held are the shards of these keys.
            unsafe { held.touch(order.caller.db, hashes) };
        }
        let outcome = loop {
            let before = self.ends.len();
            let outcome = self.run_some(&mut order, &worker, held, &turn);
            let is_over = outcome == Outcome::Paused || self.ends.len() == self.which.len();
            // Behind one that has panicked it goes on.
            if is_over || !self.is_whole || self.ends.len() == before {
                break outcome;
            }
        };
        worker.begun.set(begun.0);
        worker.reply_begin.set(begun.1);
        worker.metrics.flush();
        self.order = Some(order);
        outcome
    }
}
