//! A connection: a task that reads, executes and writes, one client long.
//!
//! It owns its socket and its session. While it waits for input it holds no buffer: those are lent by the worker for as
//! long as there is something in them. All replies to what one read brought leave in one write. What the socket does not
//! take stays in the output and the task goes on: a client may send a long pipeline before it reads the first reply, as it
//! may with Redis. `client-output-buffer-limit` says when that is too much; without a limit, reading stops at a backlog that
//! no honest client has.
//!
//! Waiting is one function, [`Connection::next_event`], for a connection that waits for input and for one that waits in
//! a blocking command: both also hear of mail, of their end, and of room in the socket.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use rustredis_commands::CommandError;
use rustredis_config::ClientClass;
use rustredis_keyspace::{Access, Covered, Effects, Key};
use rustredis_metrics::{CommandId, Outcome};
use rustredis_resp::{ParseLimits, Parser, Reply};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clients::blocked::BlockedClient;
use crate::clients::client::{Client, flags};
use crate::clients::pubsub::Topic;
use crate::clock::now_ms;
use crate::gate;
use crate::net::outlet::Outlet;
use crate::net::stream::Stream;
use crate::request::conversation::{ReplyMode, SyncWait};
use crate::request::execute::{Blocked, Flow, Scratch, TURN_NANOS};
use crate::request::run::count_error;
use crate::request::session::Session;
use crate::request::transaction;
use crate::request::worker::Worker;
use crate::start::server::Server;
use crate::upkeep::stats::bump;

/// Commands of one batch: enough to touch ahead, few enough that replies do not pile up.
const BATCH_COMMANDS_MAX: usize = 128;
/// Replies that are sent before the next command is executed, in bytes.
pub(crate) const OUTPUT_FLUSH_BYTES: usize = 256 * 1024;
/// Unsent replies with which a client is still read from, in bytes, if no `client-output-buffer-limit` closes it before.
const OUTPUT_BACKLOG_BYTES: usize = 256 * 1024 * 1024;
/// Unsent replies that close a client which has still to authenticate, in bytes: such a client is nobody's yet, and what it is
/// told is short.
const UNAUTHENTICATED_OUTPUT_BYTES_MAX: usize = 1024;
/// Unsent output on top of which mail is taken out of the mailbox, where all subscribers share it, in bytes.
const MAIL_ROOM_BYTES: usize = 64 * 1024;
/// Room that a read finds at least, in bytes.
const READ_BYTES_MIN: usize = 16 * 1024;
/// How often a client that does not read its replies is looked at.
const BACKLOG_CHECK: Duration = Duration::from_millis(250);
/// How long a client that is closed may take to read its last replies.
const FAREWELL: Duration = Duration::from_secs(10);
/// How long a client that sends no more and waits for the server's own work is taken for one that still reads.
const HANG_UP_PATIENCE: Duration = Duration::from_secs(5);
/// Keys whose queues are left under one view.
const LEFT_AT_ONCE: usize = 1024;
/// Subscriptions that are ended between two looks at the clock.
const UNSUBSCRIBED_AT_ONCE: usize = 32;

/// A client's connection.
pub struct Connection {
    pub(crate) outlet: Rc<Outlet>,
    /// What it remembers between commands.
    pub session: Session,
    /// Replies; the first `sent` bytes have left.
    pub output: Vec<u8>,
    sent: usize,
    pub(crate) server: Arc<Server>,
    pub(crate) worker: Rc<Worker>,
    parser: Parser,
    /// Input that is not executed yet; without capacity while there is none.
    input: Vec<u8>,
    /// When the others of the thread have their turn, by the worker's clock in nanoseconds; 0 after they had it. It goes on from
    /// one batch, and from one read, to the next.
    pub(crate) turn_ends: Cell<u64>,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Readable,
    Writable,
    Mail,
    Killed,
    /// The wait for a key is over.
    Served,
    TimedOut,
}

impl Connection {
    /// A connection on this worker.
    pub fn new(stream: Stream, id: u64, server: Arc<Server>, worker: Rc<Worker>) -> Self {
        let (addr, laddr, fd) = stream.addresses();
        let client = Arc::new(Client::new(id, addr, laddr, fd, worker.index, now_ms()));
        client.set_flag(flags::UNIX_SOCKET, matches!(stream, Stream::Unix(_)));
        server.clients.add(client.clone());
        let is_authenticated = !server.settings.requires_password.load(Relaxed);
        let session = Session::new(client, is_authenticated);
        Self {
            outlet: Rc::new(Outlet::new(stream, session.caller.client.clone())),
            session,
            output: Vec::new(),
            sent: 0,
            server,
            worker,
            parser: Parser::default(),
            input: Vec::new(),
            turn_ends: Cell::new(0),
        }
    }

    /// Begins a turn, unless it goes on.
    pub(crate) fn begin_turn(&self) {
        if self.turn_ends.get() == 0 {
            self.turn_ends.set(self.worker.last_clock() + TURN_NANOS);
        }
    }

    /// Lets the others of the thread have their turn, and begins another.
    pub(crate) async fn let_others(&self) {
        tokio::task::yield_now().await;
        self.worker.tick();
        self.turn_ends.set(self.worker.last_clock() + TURN_NANOS);
    }

    /// Whether the client still has to authenticate.
    fn must_authenticate(&self) -> bool {
        self.session.caller.must_authenticate(&self.server.settings)
    }

    /// Whether it is subscribed to anything.
    fn is_subscriber(&self) -> bool {
        !self.session.conversation.subscriptions.is_empty()
    }

    /// Bytes of replies that leave before the next command is executed.
    pub(crate) fn flush_bytes(&self) -> usize {
        if self.must_authenticate() { UNAUTHENTICATED_OUTPUT_BYTES_MAX } else { OUTPUT_FLUSH_BYTES }
    }

    /// Waits for work of the server, unless the client has gone meanwhile: then it is closed. A client may send its commands,
    /// then the end, and read on, so the end alone says little for a while.
    pub(crate) async fn unless_gone<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let gone = async {
            self.outlet.stream().hung_up().await;
            tokio::time::sleep(HANG_UP_PATIENCE).await;
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = gone => {
                self.session.caller.client.kill();
                None
            }
        }
    }

    /// Waits until something in the background is no longer pending, or the client ends; `progress` tells when to look.
    pub(crate) async fn wait_for(&self, progress: &Notify, is_pending: impl Fn() -> bool) {
        let client = &self.session.caller.client;
        let waiting = async {
            loop {
                let mut told = std::pin::pin!(progress.notified());
                // Registered before the look, so that an end in between is not missed.
                told.as_mut().enable();
                if !is_pending() || client.is_killed() {
                    return;
                }
                std::future::poll_fn(|context| {
                    client.register(context.waker());
                    if client.is_killed() { Poll::Ready(()) } else { told.as_mut().poll(context) }
                })
                .await;
            }
        };
        self.unless_gone(waiting).await;
    }

    /// Serves the client until either side ends it.
    pub async fn serve(mut self) {
        // An error of the socket ends the connection as a hang-up does: there is nobody to tell.
        let _ = self.converse().await;
        self.close().await;
    }

    async fn converse(&mut self) -> io::Result<()> {
        loop {
            match self.next_event(None, self.deadline(), true).await? {
                Event::Killed => return Ok(()),
                Event::TimedOut if self.pending() == 0 => return Ok(()),
                Event::Readable => {
                    match self.read()? {
                        None => continue,
                        Some(0) => return Ok(()),
                        Some(_) => {}
                    }
                    if !self.execute_input().await? {
                        return self.say_farewell().await;
                    }
                }
                Event::Mail | Event::Writable | Event::TimedOut | Event::Served => {}
            }
            if !self.deliver()? {
                return Ok(());
            }
        }
    }

    /// Sends mail and replies as far as the socket takes them; false if the client ends.
    pub(crate) fn deliver(&mut self) -> io::Result<bool> {
        let client = &self.session.caller.client;
        if client.has_mail() {
            client.take_mail(&mut self.output, self.sent + MAIL_ROOM_BYTES);
            if self.server.durability.durable.is_awaited() {
                // What others did may be told no earlier than they are told themselves.
                self.session.progress.depends_on = self.server.durability.journal.last();
            }
        }
        if !self.relieve()? {
            return Ok(false);
        }
        if self.output.is_empty() {
            self.worker.give_buffer(std::mem::take(&mut self.output));
        }
        Ok(!self.session.caller.client.is_killed())
    }

    /// Bytes of replies that have not left.
    pub(crate) fn pending(&self) -> usize {
        self.unsent() + self.outlet.held_bytes()
    }

    /// Those of them that were not handed over.
    fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// When to stop waiting for an event: with replies pending it is time to look at the limits, else `timeout` is over.
    fn deadline(&self) -> Option<Instant> {
        if self.unsent() > 0 {
            return Some(Instant::now() + BACKLOG_CHECK);
        }
        let timeout_seconds = self.server.settings.timeout_seconds.load(Relaxed);
        let is_patient = timeout_seconds == 0 || self.is_subscriber() || self.session.conversation.is_monitor;
        (!is_patient).then(|| Instant::now() + Duration::from_secs(timeout_seconds))
    }

    /// Whether its output waits for what it shows to be durable.
    #[inline]
    fn is_held(&self) -> bool {
        self.server.must_wait(self.session.progress.depends_on)
    }

    /// Waits until the condition no longer holds, which whoever writes the journal changes; false if the client ends.
    async fn wait_while(&self, holds: impl Fn(&Self) -> bool) -> bool {
        let client = &self.session.caller.client;
        let waiting = std::future::poll_fn(|context| {
            client.register(context.waker());
            self.worker.waiting.watch(client);
            if client.is_killed() {
                return Poll::Ready(false);
            }
            if holds(self) { Poll::Pending } else { Poll::Ready(true) }
        });
        self.unless_gone(waiting).await.unwrap_or(false)
    }

    /// Waits until the output may leave; false if the client ends.
    pub(crate) async fn wait_until_durable(&self) -> bool {
        if !self.is_held() {
            return true;
        }
        loop {
            let waiting = self.wait_while(Self::is_held);
            let timeout_ms = self.server.settings.aof_write_timeout_ms.load(Relaxed);
            if timeout_ms == 0 {
                return waiting.await;
            }
            match tokio::time::timeout(Duration::from_millis(timeout_ms), waiting).await {
                Ok(is_alive) => return is_alive,
                Err(_) if self.server.durability.durable.is_failing() => {
                    self.server.clients.close_for_disk(&self.session.caller.client);
                }
                // It is slow, and goes on.
                Err(_) => {}
            }
        }
    }

    /// Waits while the journal is so full that writing must wait; false if the client ends. Where the disk takes nothing, writes are
    /// refused instead.
    pub(crate) async fn wait_for_room(&self) -> bool {
        let is_full =
            |this: &Self| this.server.durability.journal.is_full() && !this.server.gate.has(gate::DISK_ERROR);
        !is_full(self) || self.wait_while(is_full).await
    }

    /// WAITAOF and WAIT: waits until the client's writes are on the disk, or the time is over, and answers.
    pub(crate) async fn wait_for_sync(&mut self, wait: SyncWait) {
        // What was answered before leaves first; an error shows itself when the wait is over.
        let _ = self.deliver();
        self.session.caller.client.set_flag(flags::BLOCKED, true);
        let client = self.session.caller.client.clone();
        client.sync_wait.begin();
        let is_missing = |this: &Self| {
            let is_durable = || this.server.durability.durable.place() >= this.session.progress.last_write;
            this.session.caller.client.sync_wait.is_under_way() && (wait.has_replicas || !is_durable())
        };
        let waiting = async {
            tokio::select! {
                is_alive = self.wait_while(is_missing) => is_alive,
                () = self.outlet.stream().hung_up() => false,
            }
        };
        let left = Duration::from_millis(wait.until_ms.saturating_sub(now_ms()));
        let is_alive = match wait.until_ms {
            0 => waiting.await,
            _ => tokio::time::timeout(left, waiting).await.unwrap_or(true),
        };
        client.set_flag(flags::BLOCKED, false);
        let is_failed = client.sync_wait.end();
        let is_durable = self.server.durability.durable.place() >= self.session.progress.last_write;
        if !is_alive {
            return;
        }
        let mut reply = Reply::new(&mut self.output, self.session.caller.proto);
        if is_failed {
            let error = CommandError::text("UNBLOCKED client unblocked via CLIENT UNBLOCK");
            reply.error(&error.to_string());
            count_error(&self.server, &self.worker, &error);
        } else if wait.tells_replicas_alone {
            reply.int(0);
        } else {
            SyncWait::reply(&mut reply, is_durable);
        }
    }

    /// Waits for whatever comes first; input only if there is room for it.
    async fn next_event(
        &self,
        waiter: Option<&BlockedClient>,
        deadline: Option<Instant>,
        has_room: bool,
    ) -> io::Result<Event> {
        let client = &self.session.caller.client;
        let outlet = &self.outlet;
        let unsent = self.unsent();
        let event = std::future::poll_fn(|context| {
            client.register(context.waker());
            let is_held = outlet.is_waiting();
            let held_bytes = outlet.held_bytes();
            if waiter.is_some_and(BlockedClient::is_over) {
                return Poll::Ready(Ok(Event::Served));
            }
            if client.is_killed() {
                return Poll::Ready(Ok(Event::Killed));
            }
            if client.has_mail() && unsent + held_bytes < MAIL_ROOM_BYTES {
                return Poll::Ready(Ok(Event::Mail));
            }
            if !is_held
                && unsent + held_bytes > 0
                && let Poll::Ready(result) = outlet.stream().poll_write_ready(context)
            {
                return Poll::Ready(result.map(|()| Event::Writable));
            }
            if !has_room && unsent + held_bytes == 0 {
                return Poll::Ready(Ok(Event::Writable));
            }
            if has_room && unsent + held_bytes < OUTPUT_BACKLOG_BYTES {
                let ready = outlet.stream().poll_read_ready(context);
                if !is_held || ready.is_pending() {
                    if ready.is_pending() {
                        self.turn_ends.set(0);
                    }
                    return ready.map_ok(|()| Event::Readable);
                }
            }
            if is_held {
                outlet.call();
            }
            self.turn_ends.set(0);
            Poll::Pending
        });
        match deadline {
            None => event.await,
            Some(deadline) => tokio::time::timeout_at(deadline, event).await.unwrap_or(Ok(Event::TimedOut)),
        }
    }

    /// Reads what is there; `None` if it was nothing after all, 0 at the end.
    fn read(&mut self) -> io::Result<Option<usize>> {
        if self.input.capacity() == 0 {
            self.input = self.worker.take_buffer();
        }
        if self.input.capacity() - self.input.len() < READ_BYTES_MIN {
            // Doubles: what is reserved is in proportion to what has come, whatever length was announced.
            self.input.reserve(READ_BYTES_MIN.max(self.input.len()));
        }
        let result = self.outlet.stream().try_read_buf(&mut self.input);
        let client = &self.session.caller.client;
        match result {
            Ok(count) => {
                let stats = self.worker.stats();
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
            self.worker.give_buffer(std::mem::take(&mut self.input));
        }
        self.session.caller.client.input_bytes.store(self.input.len(), Relaxed);
        self.session.caller.client.input_capacity.store(self.input.capacity(), Relaxed);
    }

    /// Executes all complete commands of the input; false if the connection ends.
    async fn execute_input(&mut self) -> io::Result<bool> {
        if self.output.capacity() == 0 {
            self.output = self.worker.take_buffer();
            self.session.caller.client.output_capacity.store(self.output.capacity(), Relaxed);
        }
        let mut scratch = self.worker.take_scratch();
        let mut input = std::mem::take(&mut self.input);
        let result = self.execute_all(&mut scratch, &mut input).await;
        self.worker.give_scratch(scratch);
        self.input = input;
        self.release_input();
        result
    }

    async fn execute_all(&mut self, scratch: &mut Scratch, input: &mut Vec<u8>) -> io::Result<bool> {
        let mut start = 0;
        loop {
            scratch.batch.clear();
            let limits = ParseLimits {
                bulk_bytes_max: self.server.settings.proto_max_bulk_len.load(Relaxed),
                is_unauthenticated: self.must_authenticate(),
            };
            // Before authentication one command at a time: AUTH changes what the next may be.
            let commands_max = if limits.is_unauthenticated { 1 } else { BATCH_COMMANDS_MAX };
            let (next, error) = self.parser.parse(input, start, &mut scratch.batch, commands_max, &limits);
            start = next;
            if !scratch.batch.is_empty() {
                match self.execute(scratch, input).await {
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
                Reply::new(&mut self.output, self.session.caller.proto).error(&format!("ERR {error}"));
                return Ok(false);
            }
            if scratch.batch.is_empty() {
                break;
            }
            if self.session.caller.client.is_killed() {
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
        let is_over = bytes as u64 > self.server.settings.client_query_buffer_limit.load(Relaxed);
        if is_over {
            self.server.stats.query_limit_disconnections.fetch_add(1, Relaxed);
            tracing::warn!(
                "Closing client that reached max query buffer length: id={} qbuf={bytes}",
                self.session.caller.client.id
            );
        }
        is_over
    }

    /// Sends replies as far as the socket takes them, unless there are too many of them already; false if the client is
    /// closed for that. The limits are looked at before sending, as in Redis: they bound what a batch of commands answers.
    pub(crate) fn relieve(&mut self) -> io::Result<bool> {
        let client = &self.session.caller.client;
        let class = if self.is_subscriber() { ClientClass::PubSub } else { ClientClass::Normal };
        let limits = self.server.settings.output_limits(class);
        if limits.hard_bytes > 0 || limits.soft_bytes > 0 {
            client.output_bytes.store(self.pending(), Relaxed);
            if client.is_over_limit(now_ms(), limits) || self.session.progress.is_flooded {
                self.server.clients.close_for_output(client);
                return Ok(false);
            }
        }
        self.send()?;
        if self.must_authenticate() && self.pending() > UNAUTHENTICATED_OUTPUT_BYTES_MAX {
            self.server.clients.close_for_output(&self.session.caller.client);
            return Ok(false);
        }
        Ok(true)
    }

    /// Sends replies as far as the socket takes them, or hands them over if they must wait.
    fn send(&mut self) -> io::Result<()> {
        if self.outlet.is_waiting() && self.server.must_wait(self.outlet.place()) {
            // What is here comes behind what is there.
            self.outlet.call();
            return Ok(());
        }
        self.outlet.take_back(&mut self.output);
        let is_held = self.unsent() > 0 && self.is_held();
        while !is_held && self.sent < self.output.len() {
            match self.outlet.write(&self.output[self.sent..], self.worker.stats()) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.sent == self.output.len() {
            self.output.clear();
            self.sent = 0;
        } else if is_held || self.sent > self.output.len() / 2 {
            // Of what stays here at least half has left, so the copying is paid for.
            self.output.drain(..self.sent);
            self.sent = 0;
        }
        if is_held {
            let now_ms = self.worker.now_ms();
            self.worker.waiting.hold(
                &self.outlet,
                &mut self.output,
                self.session.progress.depends_on,
                now_ms,
            );
        }
        self.session.caller.client.output_bytes.store(self.pending(), Relaxed);
        self.session
            .caller
            .client
            .output_capacity
            .store(self.output.capacity() + self.outlet.held_bytes(), Relaxed);
        Ok(())
    }

    /// Sends the last replies to a client that is closed: it gets some time to read them.
    async fn say_farewell(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + FAREWELL;
        loop {
            if self.session.caller.client.is_killed() {
                return Ok(());
            }
            self.send()?;
            if self.pending() == 0 {
                return Ok(());
            }
            match self.next_event(None, Some(deadline), false).await? {
                Event::Killed | Event::TimedOut => return Ok(()),
                // Nobody reads mail in a farewell; it must not keep the loop awake.
                Event::Mail => self.session.caller.client.take_mail(&mut self.output, usize::MAX),
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
        *self.session.caller.client.waiting.lock() = None;
        self.session.caller.client.set_flag(flags::BLOCKED, false);
        self.leave_queues(&waiter).await;
        let (reply, progress) = waiter.take_end().unzip();
        self.session.progress.join(progress.unwrap_or_default());
        if !waiter.was_served() {
            self.count_unserved(&waiter, reply.as_deref().unwrap_or_default());
        }
        let goes_on = result?;
        if let Some(reply) = reply
            && self.session.conversation.reply_mode == ReplyMode::On
        {
            self.output.extend_from_slice(&reply);
        }
        if self.session.conversation.reply_mode == ReplyMode::Skip {
            self.session.conversation.reply_mode = ReplyMode::On;
        }
        Ok(goes_on && !self.session.caller.client.is_killed())
    }

    /// Counts a command whose wait was ended by nobody who ran it. Who serves a command counts it himself.
    fn count_unserved(&self, waiter: &BlockedClient, reply: &[u8]) {
        let error = reply.strip_prefix(b"-").map(|text| {
            let code = text.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
            String::from_utf8_lossy(code).into_owned()
        });
        let outcome = if error.is_some() { Outcome::Failed } else { Outcome::Ok };
        if let Some(code) = error {
            bump(&self.worker.stats().errors, 1);
            self.server.stats.count_error(&code);
        }
        self.worker.metrics.record(CommandId(waiter.row), 0, outcome);
        self.worker.metrics.flush();
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
            if !self.deliver()? {
                return Ok(false);
            }
            let check = (self.pending() > 0).then(|| Instant::now() + BACKLOG_CHECK);
            let deadline = [end, check].into_iter().flatten().min();
            match self.next_event(Some(waiter), deadline, true).await? {
                Event::Served => return Ok(true),
                Event::Killed => return Ok(false),
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
                    match self.outlet.stream().try_read_buf(input) {
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
            let shards = self.server.shards_of(part.iter().copied());
            let mut effects = Effects::default();
            let borrow = self.server.engine.borrow_unless_kept(Covered::Many(&shards), Access::Write);
            let Some(mut held) = borrow.await else { return self.leave_queues_later(waiter.clone()) };
            let mut view = held.view(waiter.caller.db, now_ms(), &self.worker.random, &mut effects);
            part.iter().for_each(|key| view.stop_waiting(*key, &**waiter));
            drop(held);
            if keys.len() == 0 {
                return;
            }
            self.let_others().await;
        }
    }

    /// The same where somebody keeps some of the keys for long: the client does not wait for that.
    fn leave_queues_later(&self, waiter: Arc<BlockedClient>) {
        let (server, worker) = (self.server.clone(), self.worker.clone());
        tokio::task::spawn_local(async move {
            for key in waiter.keys() {
                let covered = Covered::One(server.engine.store().shard_of(key.hash));
                let mut held = server.engine.borrow(covered, Access::Write).await;
                let mut effects = Effects::default();
                held.view(waiter.caller.db, now_ms(), &worker.random, &mut effects)
                    .stop_waiting(key, &*waiter);
            }
        });
    }

    async fn close(mut self) {
        let (server, worker) = (self.server.clone(), self.worker.clone());
        self.unsubscribe_all().await;
        transaction::unwatch_all(&mut self, &server, &worker, &mut Effects::default()).await;
        worker.give_buffer(std::mem::take(&mut self.input));
        worker.give_buffer(std::mem::take(&mut self.output));
    }

    /// Ends all subscriptions, however many there are: others have their turns between.
    async fn unsubscribe_all(&mut self) {
        if !self.is_subscriber() {
            return;
        }
        let client = self.session.caller.client.clone();
        // Nobody sends it anything from now on.
        client.kill();
        self.worker.tick();
        self.begin_turn();
        for topic in Topic::ALL {
            let own = &mut self.session.conversation.subscriptions;
            let mut names = std::mem::take(own.names_mut(topic)).into_iter();
            while names.len() > 0 {
                for name in names.by_ref().take(UNSUBSCRIBED_AT_ONCE) {
                    self.server.pubsub.remove(&client, topic, &name);
                }
                if self.worker.read_clock() >= self.turn_ends.get() {
                    self.let_others().await;
                }
            }
        }
        self.session.conversation.subscriptions.publish(&client);
    }
}

impl Drop for Connection {
    /// Signs the client off, also where a handler has panicked and `close` was never reached. Its watches are then left behind:
    /// they cost memory and harm nobody.
    fn drop(&mut self) {
        let Session { caller, conversation, .. } = &mut self.session;
        let client = &caller.client;
        self.worker.waiting.forget(client, &self.outlet);
        self.server.pubsub.leave(client, &mut conversation.subscriptions);
        if conversation.is_monitor {
            self.server.monitors.leave(client);
        }
        self.server.clients.remove(client.id);
        self.worker.closed.set(self.worker.closed.get() + 1);
        self.server.clients.leave();
    }
}
