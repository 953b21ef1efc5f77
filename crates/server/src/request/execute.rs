//! The way of a request: parse, admit, plan, run, settle, flush.
//!
//! The commands of a read are executed as a batch. Each is resolved and its keys hashed; then the memory of the keys is
//! touched ahead, so that the cache misses of a pipeline overlap; then they run in order. Neighbours that need the same
//! hold share it. The common case, plain commands over keys in a session without peculiarities, is the short way through
//! this file; everything else takes [`Connection::execute_one`], which knows all the checks.
//!
//! Effects happen in one place: [`settle`], with the view still held.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_commands::plan::cover;
use rustredis_commands::{Args, CommandError, Flags, Plan, PlanContext, Row, Rules};
use rustredis_engine::catch;
use rustredis_engine::faults::{Fault, has};
use rustredis_keyspace::store::TOUCHED_AT_ONCE;
use rustredis_keyspace::{Access, Covered, Effects, Key};
use rustredis_metrics::CommandId;
use rustredis_resp::Reply;

use crate::clients::blocked::BlockedClient;
use crate::clients::client::{Client, flags};
use crate::clock::now_ms;
use crate::gate;
use crate::request::admit::{self, Asked};
use crate::request::call;
use crate::request::connection::Connection;
use crate::request::conversation::{ReplyMode, Wait};
use crate::request::faults;
use crate::request::lockless;
use crate::request::origin::Origin;
use crate::request::redact;
use crate::request::run::{self, count_error};
use crate::request::scratch::{NO_ROW, Scratch};
use crate::request::script;
use crate::request::settle::{count_effects, expire_stale, settle_own};
use crate::request::transaction;
use crate::request::turn::Turn;
use crate::request::waiters::needs_everything;
use crate::request::worker::Worker;
use crate::start::ending;
use crate::start::server::Server;
use crate::upkeep::stats::bump;

/// How a batch went.
#[derive(Debug)]
pub enum Flow {
    /// All commands have run.
    Done,
    /// The client waits since the command before this index.
    Blocked(usize, Blocked),
    /// The connection ends; what was replied is sent first.
    Close,
}

/// A wait that has begun.
#[derive(Debug)]
pub struct Blocked {
    /// What was registered.
    pub waiter: Arc<BlockedClient>,
    /// When it ends by itself, in Unix ms; 0 never.
    pub until_ms: u64,
}

/// Commands that are touched ahead at a time.
const TOUCH_AHEAD: usize = TOUCHED_AT_ONCE;

/// Whether a hold of these shards serves a command with these arguments too, as far as can be told at a glance.
#[inline]
fn covers(server: &Server, covered: Covered<'_>, args: Args<'_>) -> bool {
    let store = server.engine().store();
    match covered {
        Covered::All => true,
        Covered::One(shard) => args.key_refs().iter().all(|key| store.shard_of(key.hash) == shard),
        Covered::None | Covered::Many(_) => false,
    }
}

impl Connection {
    /// Runs the commands of the batch in order; replies go to `self.output`.
    pub async fn execute(&mut self, scratch: &mut Scratch, input: &mut Vec<u8>) -> Flow {
        let server = self.server.clone();
        let worker = self.worker.clone();
        // What other threads' clients have sent here before this was read comes before it.
        server.engine().serve();
        worker.tick();
        self.begin_turn();
        self.session.caller.client.active_ms.store(worker.now_ms(), Relaxed);
        scratch.prepare(server.registry(), input);
        if server.durability().journal.is_full()
            && scratch.writes(server.registry())
            && !self.wait_for_room().await
        {
            return Flow::Close;
        }
        let count = scratch.batch.len();
        let has_owners = server.engine().owners() > 1;
        let mut index = 0;
        while index < count {
            if worker.last_clock() >= self.turn_ends.get() {
                self.let_others().await;
                if self.session.caller.client.is_killed() {
                    self.finish_batch(&worker, scratch, index);
                    return Flow::Close;
                }
            }
            if self.pending() > self.flush_bytes()
                && (!self.wait_until_durable().await || !self.relieve().unwrap_or(false))
            {
                self.finish_batch(&worker, scratch, index);
                return Flow::Close;
            }
            if self.session.caller.follow(server.users()) {
                scratch.forget_allowed();
                if self.session.caller.client.is_killed() {
                    self.finish_batch(&worker, scratch, index);
                    return Flow::Close;
                }
            }
            if self.session.is_plain()
                && admit::is_free(&server, input.len(), count)
                && self.is_allowed(&server, scratch, index, input)
            {
                if has_owners
                    && let Some(ran) = self.run_scattered(&server, &worker, scratch, index, input).await
                {
                    index += ran;
                    worker.tick();
                    continue;
                }
                let ran = if scratch.script(server.registry(), index, input).is_some() {
                    script::run_short(self, &server, &worker, scratch, index, input).await
                } else {
                    self.run_plain(&server, &worker, scratch, index, input)
                };
                index += ran;
                if ran > 0 {
                    continue;
                }
            }
            let flow = self.execute_one(&server, &worker, scratch, index, input).await;
            // It may have made another user of the caller, or brought him elsewhere.
            scratch.forget_allowed();
            index += 1;
            match flow {
                Next::Go => {}
                Next::Wait(blocked) => {
                    self.finish_batch(&worker, scratch, index);
                    return Flow::Blocked(index, blocked);
                }
            }
            if self.session.conversation.after.closes || self.session.caller.client.is_killed() {
                self.finish_batch(&worker, scratch, index);
                return Flow::Close;
            }
        }
        self.finish_batch(&worker, scratch, count);
        Flow::Done
    }

    /// Whether the caller may run the command at `index` as a plain one; looks ahead for those behind it.
    #[inline]
    fn is_allowed(&self, server: &Server, scratch: &mut Scratch, index: usize, input: &[u8]) -> bool {
        let caller = &self.session.caller;
        match &caller.restricted {
            None => {
                scratch.allow_all();
                true
            }
            Some(user) => scratch.allow(server.registry(), user, caller.db, index, input),
        }
    }

    fn finish_batch(&mut self, worker: &Worker, scratch: &Scratch, commands: usize) {
        worker.metrics.flush();
        bump(&worker.stats().commands, commands as u64);
        let client = &self.session.caller.client;
        bump(&client.commands, commands as u64);
        let last = commands.checked_sub(1).map_or(NO_ROW, |last| scratch.prepared[last].row);
        client.last_command.store(last, Relaxed);
    }

    /// Runs the longest row of plain commands from `first` on; how many that were. Stops where a command needs the long way
    /// or shards of another thread, where the replies should leave first, and behind one that panicked.
    fn run_plain(
        &mut self,
        server: &Server,
        worker: &Worker,
        scratch: &mut Scratch,
        first: usize,
        input: &[u8],
    ) -> usize {
        let mut effects = scratch.take_effects();
        effects.notify_mask = server.settings().notify_mask.load(Relaxed);
        worker.begun.set(0);
        let ran = catch(|| self.run_holds(server, worker, scratch, &mut effects, first, input));
        let ran = ran.unwrap_or_else(|| {
            let begun = worker.begun.get();
            let last = call::last_begun(begun);
            let row = server.registry().row(scratch.prepared[first + last].row);
            call::give_up(server, worker, &mut effects, row, self.session.caller.proto, &mut self.output);
            begun
        });
        expire_stale(server, worker, &mut effects);
        count_effects(worker, &mut effects);
        scratch.give_effects(effects);
        ran
    }

    /// The holds of [`Connection::run_plain`], one after the other.
    fn run_holds(
        &mut self,
        server: &Server,
        worker: &Worker,
        scratch: &mut Scratch,
        effects: &mut Effects,
        first: usize,
        input: &[u8],
    ) -> usize {
        let count = scratch.batch.len();
        let mut touched = first;
        let mut index = first;
        let turn = Turn::until(self.turn_ends.get(), &self.output);
        let mut shards = std::mem::take(&mut scratch.shards);
        let mut next = scratch.plain(server.registry(), index, input);
        let publishes = server.engine().store().publishes();
        let mut looked = first;
        // A round for each hold.
        'holds: while let Some((mut row, mut args)) = next {
            if publishes && row.is_lockless {
                let ran =
                    self.run_lockless(server, worker, scratch, effects, index, &mut looked, input, &turn);
                index += ran;
                if turn.is_over(worker, &self.output) {
                    break;
                }
                if ran > 0 {
                    next = scratch.plain(server.registry(), index, input);
                    continue;
                }
            }
            if server.engine().holds_groups() && count - index > 1 {
                let ran = self.run_group(server, worker, scratch, effects, &mut shards, index, input, &turn);
                index += ran;
                if turn.is_over(worker, &self.output) {
                    break;
                }
                if ran > 0 {
                    next = scratch.plain(server.registry(), index, input);
                    continue;
                }
                touched = index + 1;
            } else if count - first > 1 && index >= touched {
                touched =
                    index + lockless::run_of_a_kind(server, scratch, index, TOUCH_AHEAD.min(count - index));
                self.touch(server, scratch, index..touched);
            }
            let covered = cover(server.engine().store(), args.key_refs(), &mut shards);
            let access = row.access;
            let is_stale = has(Fault::StaleWrite) && access == Access::Write;
            let stale = is_stale.then(|| faults::read_ahead(worker, self.session.caller.db, args, effects));
            let Some(mut held) = server.engine().hold(covered, access) else { break };
            if publishes && row.is_lockless {
                held.count_fallback();
            }
            let mut view = held.view(self.session.caller.db, worker.now_ms(), &worker.random, effects);
            lockless::prepare(&mut view, server, &self.session.caller);
            if let Some(stale) = stale {
                faults::write_back(&mut view, args, stale);
            }
            if has(Fault::ExpiredReturns) {
                faults::show_expired(&mut view, access);
            }
            let mut context = self.session.context(server, worker, Origin::Client);
            // Neighbours that need no more than what is held run under the same hold.
            loop {
                if needs_everything(&view, args) {
                    break 'holds;
                }
                run::clients(worker, &mut context, &mut view, &mut self.output, row, args);
                index += 1;
                let answered = self.output.len() - worker.reply_begin.get();
                if publishes && lockless::follow(&mut view, args, answered) {
                    drop(held);
                    lockless::publish(server, worker, effects, self.session.caller.db, args, answered);
                    next = scratch.plain(server.registry(), index, input);
                    if turn.is_over(worker, &self.output) {
                        break 'holds;
                    }
                    break;
                }
                if turn.is_over(worker, &self.output) {
                    break 'holds;
                }
                next = scratch.plain(server.registry(), index, input);
                match next {
                    Some((next_row, next_args))
                        if (next_row.access == access || view.access() == Access::Write)
                            && (index < touched || count - first == 1)
                            && covers(server, view.covered(), next_args) =>
                    {
                        (row, args) = (next_row, next_args);
                    }
                    _ => break,
                }
                view.set_now_ms(worker.now_ms());
            }
        }
        scratch.shards = shards;
        index - first
    }

    /// Runs the next plain commands with one key or none under one hold of all their shards, where the engine advises that; how
    /// many that were, which may be none.
    #[allow(clippy::too_many_arguments, reason = "what is lent by the caller is borrowed apart")]
    fn run_group(
        &mut self,
        server: &Server,
        worker: &Worker,
        scratch: &Scratch,
        effects: &mut Effects,
        shards: &mut Vec<u32>,
        first: usize,
        input: &[u8],
        turn: &Turn,
    ) -> usize {
        let publishes = server.engine().store().publishes();
        let mut access = Access::Read;
        let mut end = first;
        let most = lockless::run_of_a_kind(server, scratch, first, TOUCH_AHEAD);
        for prepared in scratch.allowed()[first..].iter().take(most) {
            if prepared.row == NO_ROW || prepared.keys > 1 {
                break;
            }
            let row = server.registry().row(prepared.row);
            if !row.is_plain {
                break;
            }
            if row.access == Access::Write {
                access = Access::Write;
            }
            end += 1;
        }
        // Who is alone may as well have them exclusively, to publish what is read often.
        let reads_strings = publishes && lockless::read_strings(server, &scratch.prepared[first..end]);
        if reads_strings {
            access = Access::Write;
        }
        if end - first < 2 {
            return 0;
        }
        let keys = scratch.keys_of(first..end);
        let Some(mut held) = server.engine().hold(cover(server.engine().store(), keys, shards), access)
        else {
            return 0;
        };
        // SAFETY: what is held are the shards of these keys.
        unsafe { held.touch(self.session.caller.db, keys.iter().map(|key| key.hash)) };
        let store = server.engine().store();
        let mut view = held.view(self.session.caller.db, worker.now_ms(), &worker.random, effects);
        lockless::prepare(&mut view, server, &self.session.caller);
        if !reads_strings {
            view.count_no_reads();
        }
        let mut context = self.session.context(server, worker, Origin::Client);
        for index in first..end {
            let row = server.registry().row(scratch.prepared[index].row);
            let args = scratch.args(index, input);
            // SAFETY: the shards of all these keys are held.
            unsafe { view.narrow(args.key_refs().first().map(|key| store.shard_of(key.hash))) };
            if needs_everything(&view, args) {
                return index - first;
            }
            run::clients(worker, &mut context, &mut view, &mut self.output, row, args);
            if publishes {
                lockless::follow(&mut view, args, self.output.len() - worker.reply_begin.get());
            }
            if turn.is_over(worker, &self.output) {
                return index + 1 - first;
            }
            view.set_now_ms(worker.now_ms());
        }
        end - first
    }

    /// Brings the memory of these commands' keys near.
    fn touch(&self, server: &Server, scratch: &Scratch, range: std::ops::Range<usize>) {
        server.engine().touch(self.session.caller.db, scratch.keys_of(range).iter().map(|key| key.hash));
    }

    /// One command by the long way: every check, every kind of command.
    async fn execute_one(
        &mut self,
        server: &Arc<Server>,
        worker: &Worker,
        scratch: &mut Scratch,
        index: usize,
        input: &[u8],
    ) -> Next {
        if self.session.conversation.reply_mode == ReplyMode::SkipNext {
            self.session.conversation.reply_mode = ReplyMode::Skip;
        }
        let is_silent = self.session.conversation.reply_mode != ReplyMode::On;
        let mut before = self.output.len();
        let mut effects = scratch.take_effects();
        effects.notify_mask = server.settings().notify_mask.load(Relaxed);
        let next = match scratch.row(index).map_err(Clone::clone) {
            Ok(id) => {
                let row = server.registry().row(id);
                self.session.caller.client.last_command.store(id, Relaxed);
                let mut shards = std::mem::take(&mut scratch.shards);
                let args = scratch.args(index, input);
                if admit::is_held_back(server, worker, &self.session, row, args) {
                    // What was answered before leaves first; an error shows itself when the pause is over.
                    let _ = self.deliver();
                    before = self.output.len();
                }
                let next = self.admit_and_run(server, worker, row, args, &mut effects, &mut shards).await;
                scratch.shards = shards;
                // A confirmation of SUBSCRIBE is a push message, and CLIENT REPLY is about replies.
                self.after_reply(before, is_silent && !is_answered_by_push(row), &next);
                next
            }
            Err(_) if is_http(scratch.args(index, input)) => {
                self.session.conversation.after.closes = true;
                tell_of_http(server, &self.session.caller.client);
                Next::Go
            }
            Err(error) => {
                let row = match &error {
                    CommandError::Arity(name) => server.registry().find_full(name),
                    _ => None,
                };
                self.refuse(server, worker, row, &error);
                self.after_reply(before, is_silent, &Next::Go);
                Next::Go
            }
        };
        if self.session.caller.is_caching()
            && matches!(next, Next::Go)
            && !is_of_client(server, scratch, index)
        {
            self.session.end_caching();
        }
        if std::mem::take(&mut self.session.conversation.after.ends_watches) {
            transaction::unwatch_all(self, server, worker, &mut effects).await;
        }
        count_effects(worker, &mut effects);
        scratch.give_effects(effects);
        next
    }

    /// Drops a reply that the client does not want, and adds the messages that its own command caused: they follow the reply.
    fn after_reply(&mut self, before: usize, is_silent: bool, next: &Next) {
        if is_silent && self.session.conversation.reply_mode != ReplyMode::On {
            self.output.truncate(before);
        }
        if self.session.conversation.reply_mode == ReplyMode::Skip && matches!(next, Next::Go) {
            self.session.conversation.reply_mode = ReplyMode::On;
        }
        let client = &self.session.caller.client;
        if client.has_mail() {
            client.take_mail(&mut self.output, usize::MAX);
        }
    }

    async fn admit_and_run(
        &mut self,
        server: &Arc<Server>,
        worker: &Worker,
        row: &Row,
        args: Args<'_>,
        effects: &mut Effects,
        shards: &mut Vec<u32>,
    ) -> Next {
        let socket = self.outlet.stream();
        let asked = Asked { server, worker, session: &self.session, socket, row, args };
        match admit::admit(asked).await {
            Ok(admit::Verdict::Run) => {}
            Ok(admit::Verdict::Queue) => {
                transaction::queue(&mut self.session.conversation, row, args);
                Reply::new(&mut self.output, self.session.caller.proto).simple("QUEUED");
                return Next::Go;
            }
            Err(error) => {
                self.refuse(server, worker, Some(row), &error);
                return Next::Go;
            }
        }
        if self.session.caller.tracker.is_some() && self.session.conversation.reply_mode == ReplyMode::On {
            // What made room for the command is told before its reply.
            self.session.caller.client.take_mail(&mut self.output, usize::MAX);
        }
        let blocked = if row.command.rules.has(Rules::RUNS_QUEUE) {
            transaction::execute(self, server, worker, row, args, effects).await;
            if server.gate().has(gate::MONITORED) {
                self.show(server, row, args);
            }
            None
        } else if row.command.rules.has(Rules::RUNS_SCRIPT) {
            let ran = script::execute(self, server, worker, row, args, effects, shards).await;
            if let Err(error) = ran {
                self.refuse(server, worker, Some(row), &error);
            }
            None
        } else {
            match self.run_held(server, worker, row, args, effects, shards).await {
                Ok(blocked) => blocked,
                Err(error) => {
                    self.refuse(server, worker, Some(row), &error);
                    None
                }
            }
        };
        if let Some(flushed) = worker.flushed.take() {
            server.rdb().save_flushed(flushed).await;
        }
        if let Some(wait) = self.session.conversation.after.wait.take() {
            self.wait_behind(server, worker, row, wait).await;
        }
        self.expire_stale_anywhere(server, worker, effects).await;
        blocked.map_or(Next::Go, Next::Wait)
    }

    /// Waits for what a command has asked for.
    async fn wait_behind(&mut self, server: &Server, worker: &Worker, row: &Row, wait: Wait) {
        let (snapshots, end, purges) = (server.snapshots(), server.ending(), server.purges());
        match wait {
            Wait::TurnOff => self.wait_for(&snapshots.progress, || snapshots.is_turning_off()).await,
            Wait::Cut => self.wait_for(&snapshots.progress, || snapshots.is_cut_missing()).await,
            Wait::Purge(wish) => self.wait_for(&purges.progress, || !purges.is_done(wish)).await,
            Wait::Sync(wait) => self.wait_for_sync(wait).await,
            Wait::Hold(hold) => self.keep(server, hold).await,
            Wait::End(attempt) => {
                self.wait_for(&end.progress, || end.is_pending(attempt)).await;
                self.refuse(server, worker, Some(row), &ending::failure());
            }
        }
    }

    /// Shows a command to those who watch all.
    fn show(&self, server: &Server, row: &Row, args: Args<'_>) {
        let caller = &self.session.caller;
        redact::show(server, &caller.client, caller.db, row, args);
    }

    /// Runs a command under a view of its own; an error is the reply of one that did not run.
    async fn run_held(
        &mut self,
        server: &Arc<Server>,
        worker: &Worker,
        row: &Row,
        args: Args<'_>,
        effects: &mut Effects,
        shards: &mut Vec<u32>,
    ) -> Result<Option<Blocked>, CommandError> {
        let context = PlanContext {
            store: server.engine().store(),
            db: self.session.caller.db,
            random: &worker.random,
            is_durability_awaited: server.durability().durable.is_awaited(),
        };
        let plan = Plan::of(row, args, context, shards);
        let mut held = self.hold(server, plan.shards, plan.access).await?;
        if plan.is_drawn_in_vain(row, context.store, context.db) {
            drop(held);
            held = self.hold(server, Covered::All, plan.access).await?;
        }
        // Time has passed while others held the shards, or the server was paused.
        worker.tick();
        let mut view = held.view(self.session.caller.db, worker.now_ms(), &worker.random, effects);
        view.set_no_touch(self.session.caller.no_touch);
        if needs_everything(&view, args) {
            drop(held);
            held = self.hold(server, Covered::All, plan.access).await?;
            view = held.view(self.session.caller.db, worker.now_ms(), &worker.random, effects);
            view.set_no_touch(self.session.caller.no_touch);
        }
        let before = self.output.len();
        let context = &mut self.session.context(server, worker, Origin::Client);
        run::guarded(context, &mut view, &mut self.output, row, args);
        if view.covered() != Covered::All
            && server.engine().owners() > 1
            && view.effects.block.take_if(|request| request.needs_more_keys).is_some()
        {
            // Nobody begins to wait like that amid commands that several owners run.
            self.output.truncate(before);
            drop(held);
            held = self.hold(server, Covered::All, plan.access).await?;
            view = held.view(self.session.caller.db, worker.now_ms(), &worker.random, effects);
            view.set_no_touch(self.session.caller.no_touch);
            let context = &mut self.session.context(server, worker, Origin::Client);
            run::guarded(context, &mut view, &mut self.output, row, args);
        }
        if server.gate().has(gate::MONITORED) {
            self.show(server, row, args);
        }
        let Some(request) = view.effects.block.take() else { return Ok(None) };
        let until_ms = request.until_ms;
        self.output.truncate(before);
        let client = self.session.caller.client.clone();
        let waiter =
            BlockedClient::new(self.session.caller.clone(), row, args, request, view.store().ticket());
        for key in waiter.keys() {
            view.wait_for(key, waiter.clone());
        }
        // Known to CLIENT UNBLOCK and KILL before anyone can see that it waits.
        *client.waiting.lock() = Some(waiter.clone());
        client.set_flag(flags::BLOCKED, true);
        Ok(Some(Blocked { waiter, until_ms }))
    }

    /// Answers an error, and counts it.
    pub(crate) fn answer_error(&mut self, server: &Server, worker: &Worker, error: &CommandError) {
        Reply::new(&mut self.output, self.session.caller.proto).error(&error.wire());
        count_error(server, worker, error);
    }

    /// Answers an error for a command that does not run.
    pub(crate) fn refuse(
        &mut self,
        server: &Server,
        worker: &Worker,
        row: Option<&Row>,
        error: &CommandError,
    ) {
        let conversation = &mut self.session.conversation;
        let is_exec = row.is_some_and(|row| row.command.rules.has(Rules::RUNS_QUEUE));
        let error = match &mut conversation.transaction {
            // Whether or not there is one: a client that sent MULTI behind an error of its own has none.
            _ if is_exec => {
                conversation.set_transaction(None);
                conversation.after.ends_watches = true;
                let reason = error.wire();
                let reason = reason.strip_prefix(b"ERR ").unwrap_or(&reason);
                &CommandError::Other(
                    [b"EXECABORT Transaction discarded because of: ", reason].concat().into(),
                )
            }
            Some(transaction) => {
                transaction.is_broken = true;
                error
            }
            None => error,
        };
        self.answer_error(server, worker, error);
        if let Some(row) = row {
            worker.metrics.reject(CommandId(row.id));
        }
    }

    /// Deletes keys that readers found expired, wherever their shards are; while the server is paused they stay.
    pub(crate) async fn expire_stale_anywhere(
        &self,
        server: &Server,
        worker: &Worker,
        effects: &mut Effects,
    ) {
        let stale = std::mem::take(&mut *effects.stale.borrow_mut());
        if server.gate().has(gate::PAUSED) {
            return;
        }
        for (db, bytes) in stale {
            let key = Key::new(&bytes);
            let covered = Covered::One(server.engine().store().shard_of(key.hash));
            // What others keep is found again.
            let Some(mut held) = server.engine().borrow_unless_kept(covered, Access::Write).await else {
                continue;
            };
            let mut view = held.view(db as usize, worker.now_ms(), &worker.random, effects);
            view.expire_if_due(key);
            settle_own(server, worker, &mut view);
        }
    }
}

/// Whether these are words of an HTTP request. A browser can be made to send one here, with commands in its body: nothing behind
/// it is executed, as in Redis.
fn is_http(args: Args<'_>) -> bool {
    args.is(0, "POST") || args.is(0, "Host:")
}

/// Says in the log, once a minute, that somebody speaks HTTP.
#[cold]
fn tell_of_http(server: &Server, client: &Client) {
    let now_s = now_ms() / 1000;
    let told_s = server.stats().http_told_s.load(Relaxed);
    if now_s >= told_s + 60
        && server.stats().http_told_s.compare_exchange(told_s, now_s, Relaxed, Relaxed).is_ok()
    {
        tracing::warn!(
            "Possible attack: {} sends an HTTP request, maybe from a browser that was led to do so. The connection is closed.",
            client.addr
        );
    }
}

/// Whether it is a subcommand of CLIENT, of which CLIENT CACHING is one.
fn is_of_client(server: &Server, scratch: &Scratch, index: usize) -> bool {
    let row = scratch.row(index).ok().map(|row| server.registry().row(row));
    row.is_some_and(|row| row.command.rules.has(Rules::KEEPS_CACHING))
}

/// Whether the command is answered by push messages instead of a reply.
fn is_answered_by_push(row: &Row) -> bool {
    row.command.flags.has(Flags::PUBSUB.with(Flags::NOSCRIPT))
}

/// What follows a command.
enum Next {
    /// The next one.
    Go,
    /// A wait.
    Wait(Blocked),
}
