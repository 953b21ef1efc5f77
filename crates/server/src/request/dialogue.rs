//! A client's task: it reads, has what it read executed, and sends, one client long.
//!
//! While it waits for input it holds no buffer: those are lent by the worker for as long as there is something in them. What the
//! socket does not take of the replies stays with the [`Connection`] and the task goes on: a client may send a long pipeline
//! before it reads the first reply, as it may with Redis.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustredis_keyspace::{Access, Covered, Effects, Key};
use rustredis_metrics::{CallEnd, CommandId};
use rustredis_resp::{ParseLimits, Parser, Reply};
use tokio::time::Instant;

use crate::clients::blocked::BlockedClient;
use crate::clients::client::flags;
use crate::clients::pubsub::Topic;
use crate::clock::now_ms;
use crate::net::stream::Stream;
use crate::request::connection::{BACKLOG_CHECK, Connection, Event};
use crate::request::conversation::ReplyMode;
use crate::request::execute::{Blocked, Flow};
use crate::request::scratch::Scratch;
use crate::request::transaction;
use crate::request::worker::Worker;
use crate::start::server::Server;
use crate::upkeep::stats::bump;

/// Commands of one batch: enough to touch ahead, few enough that replies do not pile up.
const BATCH_COMMANDS_MAX: usize = 128;
/// Room that a read finds at least, in bytes.
const READ_BYTES_MIN: usize = 16 * 1024;
/// How long a client that is closed may take to read its last replies.
const FAREWELL: Duration = Duration::from_secs(10);
/// Keys whose queues are left under one view.
const LEFT_AT_ONCE: usize = 1024;
/// Subscriptions that are ended between two looks at the clock.
const UNSUBSCRIBED_AT_ONCE: usize = 32;

/// A client's connection with its input.
pub struct Dialogue {
    pub(super) connection: Connection,
    parser: Parser,
    /// Input that is not executed yet; without capacity while there is none.
    input: Vec<u8>,
}

impl Dialogue {
    /// A dialogue on this worker.
    pub fn new(stream: Stream, id: u64, server: Arc<Server>, worker: Rc<Worker>) -> Self {
        let connection = Connection::new(stream, id, server, worker);
        Self { connection, parser: Parser::default(), input: Vec::new() }
    }

    /// Serves the client until either side ends it.
    pub async fn serve(mut self) {
        // An error of the socket ends the connection as a hang-up does: there is nobody to tell.
        let _ = self.converse().await;
        self.close().await;
    }

    async fn converse(&mut self) -> io::Result<()> {
        loop {
            match self.connection.next_event(None, self.deadline(), true).await? {
                Event::Killed => return Ok(()),
                Event::TimedOut if self.connection.pending() == 0 => return Ok(()),
                Event::Readable => {
                    match self.read()? {
                        None => continue,
                        Some(0) => return Ok(()),
                        Some(_) => {}
                    }
                    if !self.execute_input().await? {
                        return self.say_farewell().await;
                    }
                    if let Some(replica) = self.connection.session.conversation.replica.clone() {
                        return self.feed(replica).await;
                    }
                }
                Event::Mail | Event::Writable | Event::TimedOut | Event::Served => {}
            }
            if !self.connection.deliver()? {
                return Ok(());
            }
        }
    }

    /// When to stop waiting for an event: with replies pending it is time to look at the limits, else `timeout` is over.
    fn deadline(&self) -> Option<Instant> {
        if self.connection.unsent() > 0 {
            return Some(Instant::now() + BACKLOG_CHECK);
        }
        let timeout_seconds = self.connection.server.settings().timeout_seconds.load(Relaxed);
        let is_patient = timeout_seconds == 0
            || self.connection.is_subscriber()
            || self.connection.session.conversation.is_monitor;
        (!is_patient).then(|| Instant::now() + Duration::from_secs(timeout_seconds))
    }

    /// Reads what is there; `None` if it was nothing after all, 0 at the end.
    pub(super) fn read(&mut self) -> io::Result<Option<usize>> {
        if self.input.capacity() == 0 {
            self.input = self.connection.worker.take_buffer();
        }
        if self.input.capacity() - self.input.len() < READ_BYTES_MIN {
            // Doubles: what is reserved is in proportion to what has come, whatever length was announced.
            self.input.reserve(READ_BYTES_MIN.max(self.input.len()));
        }
        let result = self.connection.outlet.stream().try_read_buf(&mut self.input);
        let client = &self.connection.session.caller.client;
        match result {
            Ok(count) => {
                let stats = self.connection.worker.stats();
                bump(&stats.reads, 1);
                bump(&stats.received, count as u64);
                bump(&client.received, count as u64);
                client.input_bytes.store(self.input.len(), Relaxed);
                client.input_capacity.store(self.input.capacity(), Relaxed);
                Ok(Some(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.release_input();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn release_input(&mut self) {
        if self.input.is_empty() && self.input.capacity() > 0 {
            self.connection.worker.give_buffer(std::mem::take(&mut self.input));
        }
        self.connection.session.caller.client.input_bytes.store(self.input.len(), Relaxed);
        self.connection.session.caller.client.input_capacity.store(self.input.capacity(), Relaxed);
    }

    /// Executes all complete commands of the input; false if the connection ends.
    pub(super) async fn execute_input(&mut self) -> io::Result<bool> {
        if self.connection.output.capacity() == 0 {
            self.connection.output = self.connection.worker.take_buffer();
            self.connection
                .session
                .caller
                .client
                .output_capacity
                .store(self.connection.output.capacity(), Relaxed);
        }
        let mut scratch = self.connection.worker.take_scratch();
        let mut input = std::mem::take(&mut self.input);
        let result = self.execute_all(&mut scratch, &mut input).await;
        self.connection.worker.give_scratch(scratch);
        self.input = input;
        self.release_input();
        result
    }

    async fn execute_all(&mut self, scratch: &mut Scratch, input: &mut Vec<u8>) -> io::Result<bool> {
        let mut start = 0;
        loop {
            scratch.batch.clear();
            let limits = ParseLimits {
                bulk_bytes_max: self.connection.server.settings().proto_max_bulk_len.load(Relaxed),
                is_unauthenticated: self.connection.must_authenticate(),
            };
            // Before authentication one command at a time: AUTH changes what the next may be.
            let commands_max = if limits.is_unauthenticated { 1 } else { BATCH_COMMANDS_MAX };
            let (next, error) = self.parser.parse(input, start, &mut scratch.batch, commands_max, &limits);
            start = next;
            if !scratch.batch.is_empty() {
                match self.connection.execute(scratch, input).await {
                    Flow::Done => {}
                    Flow::Close => return Ok(false),
                    Flow::Blocked(executed, blocked) => {
                        // What follows is read again when the wait is over, so that no buffer is held meanwhile.
                        let rest = scratch.batch.command_end(executed - 1);
                        // Moved once at least half has gone, so that many waits in a pipeline do not move it each time.
                        start = rest;
                        if rest >= input.len() / 2 {
                            input.drain(..rest);
                            start = 0;
                        }
                        self.parser = Parser::default();
                        if !self.sleep(blocked, input).await? {
                            return Ok(false);
                        }
                        continue;
                    }
                }
            }
            if let Some(error) = error {
                Reply::new(&mut self.connection.output, self.connection.session.caller.proto)
                    .error(&format!("ERR {error}"));
                return Ok(false);
            }
            if scratch.batch.is_empty() {
                break;
            }
            if self.connection.session.caller.client.is_killed() {
                return Ok(false);
            }
        }
        if start == input.len() {
            input.clear();
        } else if start > 0 {
            input.drain(..start);
        }
        Ok(!self.is_input_over_limit(input.len()))
    }

    fn is_input_over_limit(&self, bytes: usize) -> bool {
        let is_over =
            bytes as u64 > self.connection.server.settings().client_query_buffer_limit.load(Relaxed);
        if is_over {
            self.connection.server.stats().query_limit_disconnections.fetch_add(1, Relaxed);
            tracing::warn!(
                "Closing client that reached max query buffer length: id={} qbuf={bytes}",
                self.connection.session.caller.client.id
            );
        }
        is_over
    }

    /// Sends the last replies to a client that is closed: it gets some time to read them.
    async fn say_farewell(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + FAREWELL;
        loop {
            if self.connection.session.caller.client.is_killed() {
                return Ok(());
            }
            self.connection.send()?;
            if self.connection.pending() == 0 {
                return Ok(());
            }
            match self.connection.next_event(None, Some(deadline), false).await? {
                Event::Killed | Event::TimedOut => return Ok(()),
                // Nobody reads mail in a farewell; it must not keep the loop awake.
                Event::Mail => {
                    self.connection.session.caller.client.take_mail(&mut self.connection.output, usize::MAX)
                }
                Event::Readable | Event::Writable | Event::Served => {}
            }
        }
    }

    /// Waits until somebody serves the command, its time is over, or the client ends (then false).
    async fn sleep(&mut self, blocked: Blocked, input: &mut Vec<u8>) -> io::Result<bool> {
        let Blocked { waiter, until_ms } = blocked;
        let result = self.wait_for_reply(&waiter, until_ms, input).await;
        // Somebody who has claimed the waiter is done in no time, one way or the other.
        while !waiter.is_over() && !waiter.cancel(Vec::new()) {
            tokio::task::yield_now().await;
        }
        *self.connection.session.caller.client.waiting.lock() = None;
        self.connection.session.caller.client.set_flag(flags::BLOCKED, false);
        self.leave_queues(&waiter).await;
        let (reply, progress) = waiter.take_end().unzip();
        self.connection.session.progress.join(progress.unwrap_or_default());
        self.connection.session.end_caching();
        if !waiter.was_served() {
            self.count_unserved(&waiter, reply.as_deref().unwrap_or_default());
        }
        let goes_on = result?;
        if let Some(reply) = reply
            && self.connection.session.conversation.reply_mode == ReplyMode::On
        {
            self.connection.output.extend_from_slice(&reply);
        }
        if self.connection.session.conversation.reply_mode == ReplyMode::Skip {
            self.connection.session.conversation.reply_mode = ReplyMode::On;
        }
        Ok(goes_on && !self.connection.session.caller.client.is_killed())
    }

    /// Counts a command whose wait was ended by nobody who ran it. Who serves a command counts it himself.
    fn count_unserved(&self, waiter: &BlockedClient, reply: &[u8]) {
        let error = reply.strip_prefix(b"-").map(|text| {
            let code = text.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
            String::from_utf8_lossy(code).into_owned()
        });
        let outcome = if error.is_some() { CallEnd::Failed } else { CallEnd::Ok };
        if let Some(code) = error {
            bump(&self.connection.worker.stats().errors, 1);
            self.connection.server.stats().count_error(&code);
        }
        self.connection.worker.metrics.record(CommandId(waiter.row), 0, outcome);
        self.connection.worker.metrics.flush();
    }

    /// False if the client ended before the wait did.
    async fn wait_for_reply(
        &mut self,
        waiter: &BlockedClient,
        until_ms: u64,
        input: &mut Vec<u8>,
    ) -> io::Result<bool> {
        let left_ms = until_ms.saturating_sub(now_ms());
        let mut end = (until_ms != 0).then(|| Instant::now() + Duration::from_millis(left_ms));
        loop {
            if !self.connection.deliver_for(Some(waiter))? {
                return Ok(false);
            }
            let check = (self.connection.pending() > 0).then(|| Instant::now() + BACKLOG_CHECK);
            let deadline = [end, check].into_iter().flatten().min();
            match self.connection.next_event(Some(waiter), deadline, true).await? {
                Event::Served => return Ok(true),
                Event::Killed => return Ok(false),
                // Mail that must stay is no reason to keep others of the thread from it.
                Event::Mail if waiter.is_being_served() => tokio::task::yield_now().await,
                Event::Mail | Event::Writable => {}
                Event::TimedOut => {
                    if end.is_some_and(|end| end <= Instant::now()) && !waiter.time_out() {
                        // Somebody is just serving it: the reply comes at once, or the claim comes back.
                        end = Some(Instant::now() + Duration::from_millis(1));
                    }
                }
                Event::Readable => {
                    // A client may send its next commands while it waits; a hang-up ends the wait.
                    input.reserve(READ_BYTES_MIN);
                    match self.connection.outlet.stream().try_read_buf(input) {
                        Ok(0) => return Ok(false),
                        Ok(_) if self.is_input_over_limit(input.len()) => return Ok(false),
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }

    /// Takes the waiter out of the queues of all its keys. Others have their turns between.
    async fn leave_queues(&self, waiter: &Arc<BlockedClient>) {
        let mut keys = waiter.keys();
        loop {
            let part: Vec<Key<'_>> = keys.by_ref().take(LEFT_AT_ONCE).collect();
            let shards = self.connection.server.shards_of(part.iter().copied());
            let mut effects = Effects::default();
            let borrow =
                self.connection.server.engine().borrow_unless_kept(Covered::Many(&shards), Access::Write);
            let Some(mut held) = borrow.await else { return self.leave_queues_later(waiter.clone()) };
            let mut view =
                held.view(waiter.caller.db, now_ms(), &self.connection.worker.random, &mut effects);
            part.iter().for_each(|key| view.stop_waiting(*key, &**waiter));
            drop(held);
            if keys.len() == 0 {
                return;
            }
            self.connection.let_others().await;
        }
    }

    /// The same where somebody keeps some of the keys for long: the client does not wait for that.
    fn leave_queues_later(&self, waiter: Arc<BlockedClient>) {
        let (server, worker) = (self.connection.server.clone(), self.connection.worker.clone());
        tokio::task::spawn_local(async move {
            for key in waiter.keys() {
                let covered = Covered::One(server.engine().store().shard_of(key.hash));
                let mut held = server.engine().borrow(covered, Access::Write).await;
                let mut effects = Effects::default();
                held.view(waiter.caller.db, now_ms(), &worker.random, &mut effects)
                    .stop_waiting(key, &*waiter);
            }
        });
    }

    async fn close(mut self) {
        let (server, worker) = (self.connection.server.clone(), self.connection.worker.clone());
        self.unsubscribe_all().await;
        transaction::unwatch_all(&mut self.connection, &server, &worker, &mut Effects::default()).await;
        worker.give_buffer(std::mem::take(&mut self.input));
        worker.give_buffer(std::mem::take(&mut self.connection.output));
    }

    /// Ends all subscriptions, however many there are: others have their turns between.
    async fn unsubscribe_all(&mut self) {
        if !self.connection.is_subscriber() {
            return;
        }
        let client = self.connection.session.caller.client.clone();
        // Nobody sends it anything from now on.
        client.kill();
        self.connection.worker.tick();
        self.connection.begin_turn();
        for topic in Topic::ALL {
            let own = &mut self.connection.session.conversation.subscriptions;
            let mut names = std::mem::take(own.names_mut(topic)).into_iter();
            while names.len() > 0 {
                for name in names.by_ref().take(UNSUBSCRIBED_AT_ONCE) {
                    self.connection.server.pubsub().remove(&client, topic, &name);
                }
                if self.connection.worker.read_clock() >= self.connection.turn_ends.get() {
                    self.connection.let_others().await;
                }
            }
        }
        self.connection.session.conversation.subscriptions.publish(&client);
    }
}
