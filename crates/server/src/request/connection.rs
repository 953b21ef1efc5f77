//! A client's connection, as far as it sends and waits: the socket, the session, the replies.
//!
//! All replies to what one read brought leave in one write. What the socket does not take stays in the output:
//! `client-output-buffer-limit` says when that is too much; without a limit, reading stops at a backlog that no honest client
//! has. What reads and executes stands above it (`crate::request::dialogue`).
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
use rustredis_engine::faults::{Fault, has};
use rustredis_resp::Reply;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clients::blocked::BlockedClient;
use crate::clients::client::{Client, flags};
use crate::clock::now_ms;
use crate::gate;
use crate::net::outlet::Outlet;
use crate::net::stream::Stream;
use crate::request::conversation::SyncWait;
use crate::request::run::count_error;
use crate::request::session::Session;
use crate::request::turn::{OUTPUT_FLUSH_BYTES, TURN_NANOS};
use crate::request::worker::Worker;
use crate::start::server::Server;

/// Unsent replies with which a client is still read from, in bytes, if no `client-output-buffer-limit` closes it before.
const OUTPUT_BACKLOG_BYTES: usize = 256 * 1024 * 1024;
/// Unsent replies that close a client which has still to authenticate, in bytes: such a client is nobody's yet, and what it is
/// told is short.
const UNAUTHENTICATED_OUTPUT_BYTES_MAX: usize = 1024;
/// Unsent output on top of which mail is taken out of the mailbox, where all subscribers share it, in bytes.
const MAIL_ROOM_BYTES: usize = 64 * 1024;
/// How often a client that does not read its replies is looked at.
pub(crate) const BACKLOG_CHECK: Duration = Duration::from_millis(250);
/// How long a client that sends no more and waits for the server's own work is taken for one that still reads.
const HANG_UP_PATIENCE: Duration = Duration::from_secs(5);

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
    /// When the others of the thread have their turn, by the worker's clock in nanoseconds; 0 after they had it. It goes on from
    /// one batch, and from one read, to the next.
    pub(crate) turn_ends: Cell<u64>,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
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
        server.clients().add(client.clone());
        let is_authenticated = !server.settings().requires_password.load(Relaxed);
        let mut session = Session::new(client, is_authenticated);
        session.caller.become_user(server.users().default_user());
        Self {
            outlet: Rc::new(Outlet::new(stream, session.caller.client.clone())),
            session,
            output: Vec::new(),
            sent: 0,
            server,
            worker,
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
    pub(crate) fn must_authenticate(&self) -> bool {
        self.session.caller.must_authenticate(self.server.settings())
    }

    /// Whether it is subscribed to anything.
    pub(crate) fn is_subscriber(&self) -> bool {
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

    /// Sends mail and replies as far as the socket takes them; false if the client ends.
    pub(crate) fn deliver(&mut self) -> io::Result<bool> {
        self.deliver_for(None)
    }

    /// The same for a connection that waits in a command: while somebody runs that, its reply comes first.
    pub(crate) fn deliver_for(&mut self, waiter: Option<&BlockedClient>) -> io::Result<bool> {
        let client = &self.session.caller.client;
        if client.has_mail() {
            let must_stay = || waiter.is_some_and(BlockedClient::is_being_served);
            client.take_mail_unless(&mut self.output, self.sent + MAIL_ROOM_BYTES, must_stay);
            if self.server.durability().durable.is_awaited() {
                // What others did may be told no earlier than they are told themselves.
                self.session.progress.depends_on = self.server.durability().journal.last();
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
    pub(crate) fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Whether its output waits for what it shows to be durable.
    #[inline]
    fn is_held(&self) -> bool {
        self.server.must_wait(self.session.progress.depends_on) && !has(Fault::EarlyReply)
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
            let timeout_ms = self.server.settings().aof_write_timeout_ms.load(Relaxed);
            if timeout_ms == 0 {
                return waiting.await;
            }
            match tokio::time::timeout(Duration::from_millis(timeout_ms), waiting).await {
                Ok(is_alive) => return is_alive,
                Err(_) if self.server.durability().durable.is_failing() => {
                    self.server.clients().close_for_disk(&self.session.caller.client);
                }
                // It is slow, and goes on.
                Err(_) => {}
            }
        }
    }

    /// Waits while the journal is so full that writing must wait; false if the client ends. Where the disk takes nothing, writes are
    /// refused instead.
    pub(crate) async fn wait_for_room(&self) -> bool {
        let is_full = |this: &Self| {
            this.server.durability().journal.is_full() && !this.server.gate().has(gate::DISK_ERROR)
        };
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
            let is_durable = || this.server.durability().durable.place() >= this.session.progress.last_write;
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
        let is_durable = self.server.durability().durable.place() >= self.session.progress.last_write;
        if !is_alive {
            return;
        }
        let mut reply = Reply::new(&mut self.output, self.session.caller.proto);
        if is_failed {
            let error = CommandError::text("UNBLOCKED client unblocked via CLIENT UNBLOCK");
            reply.error(&error.to_string());
            count_error(&self.server, &self.worker, &error);
        } else {
            wait.reply(&mut reply, is_durable);
        }
    }

    /// Waits for whatever comes first; input only if there is room for it.
    pub(crate) async fn next_event(
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

    /// Sends replies as far as the socket takes them, unless there are too many of them already; false if the client is
    /// closed for that. The limits are looked at before sending, as in Redis: they bound what a batch of commands answers.
    pub(crate) fn relieve(&mut self) -> io::Result<bool> {
        let client = &self.session.caller.client;
        let class = if self.is_subscriber() { ClientClass::PubSub } else { ClientClass::Normal };
        let limits = self.server.settings().output_limits(class);
        if limits.hard_bytes > 0 || limits.soft_bytes > 0 {
            client.output_bytes.store(self.pending(), Relaxed);
            if client.is_over_limit(now_ms(), limits) || self.session.progress.is_flooded {
                self.server.clients().close_for_output(client);
                return Ok(false);
            }
        }
        self.send()?;
        if self.must_authenticate() && self.pending() > UNAUTHENTICATED_OUTPUT_BYTES_MAX {
            self.server.clients().close_for_output(&self.session.caller.client);
            return Ok(false);
        }
        Ok(true)
    }

    /// Sends replies as far as the socket takes them, or hands them over if they must wait.
    pub(crate) fn send(&mut self) -> io::Result<()> {
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
}

impl Drop for Connection {
    /// Signs the client off, also where a handler has panicked and `close` was never reached. Its watches are then left behind:
    /// they cost memory and harm nobody.
    fn drop(&mut self) {
        let Session { caller, conversation, .. } = &mut self.session;
        let client = &caller.client.clone();
        self.worker.waiting.forget(client, &self.outlet);
        self.server.pubsub().leave(client, &mut conversation.subscriptions);
        if let Some(tracker) = caller.tracker.take() {
            self.server.tracking().end(client, tracker);
        }
        if conversation.is_monitor {
            self.server.monitors().leave(client);
        }
        if let Some(replica) = conversation.replica.take() {
            self.server.replicas().leave(&replica);
        }
        self.server.clients().remove(client.id);
        self.worker.closed.set(self.worker.closed.get() + 1);
        self.server.clients().leave();
    }
}
