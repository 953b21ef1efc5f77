//! Errands: a run of a client's plain commands whose keys another thread owns, run there as one message.

use std::sync::atomic::Ordering::Relaxed;

use rustredis_commands::OwnedArgs;
use rustredis_engine::{Held, catch};
use rustredis_keyspace::Key;

use crate::request::call;
use crate::request::caller::{Caller, Progress};
use crate::request::context::Context;
use crate::request::origin::Origin;
use crate::request::run;
use crate::request::settle::{count_effects, settle_own};
use crate::request::turn::{TURN_NANOS, Turn};
use crate::request::waiters::needs_everything;
use crate::request::worker;
use crate::start::server::Server;

/// Commands of one client on their way to the thread that owns their keys.
pub(crate) struct Errand {
    caller: Caller,
    /// Rows, and arguments.
    pub(crate) commands: Vec<(u16, OwnedArgs)>,
}

/// What came of an errand.
pub(crate) struct Done {
    pub(crate) replies: Vec<u8>,
    /// How many of the commands ran.
    pub(crate) ran: usize,
    pub(crate) progress: Progress,
}

impl Errand {
    pub(crate) fn new(caller: Caller) -> Self {
        Self { caller, commands: Vec::new() }
    }

    /// Runs the commands on the owner's thread. It stops before one that needs more than is held, and when the replies should
    /// leave first.
    pub(crate) fn run(mut self, server: &Server, held: &mut Held<'_>) -> Option<Done> {
        let worker = worker::current()?;
        let proto = self.caller.proto;
        let mut progress = Progress::default();
        let mut scratch = worker.take_scratch();
        let mut replies = Vec::new();
        let ran;
        worker.tick();
        let turn = Turn::until(worker.last_clock() + TURN_NANOS, &replies);
        let mut effects = scratch.take_effects();
        {
            let effects = &mut *effects;
            effects.notify_mask = server.settings().notify_mask.load(Relaxed);
            let mut view = held.view(self.caller.db, worker.now_ms(), &worker.random, effects);
            view.no_touch = self.caller.no_touch;
            worker.begun.set(0);
            let mut context = Context {
                server,
                worker: Some(&worker),
                caller: &mut self.caller,
                progress: &mut progress,
                conversation: None,
                origin: Origin::Owner,
            };
            let whole = catch(|| {
                for (row, args) in &self.commands {
                    let args = args.args();
                    let is_over = worker.begun.get() > 0 && turn.is_over(&worker, &replies);
                    if needs_everything(&view, args) || is_over {
                        break;
                    }
                    view.set_now_ms(worker.now_ms());
                    let row = server.registry().row(*row);
                    run::command(&mut context, &mut view, &mut replies, row, args);
                }
            });
            ran = worker.begun.get();
            if whole.is_none() {
                let row = server.registry().row(self.commands[call::last_begun(ran)].0);
                call::give_up(server, &worker, view.effects, row, proto, &mut replies);
            }
            let stale = std::mem::take(&mut *view.effects.stale.borrow_mut());
            for (db, bytes) in stale {
                view.select(db as usize);
                view.expire_if_due(Key::new(&bytes));
                settle_own(server, &worker, &mut view);
            }
        }
        count_effects(&worker, &mut effects);
        scratch.give_effects(effects);
        worker.give_scratch(scratch);
        worker.metrics.flush();
        Some(Done { replies, ran, progress })
    }
}
