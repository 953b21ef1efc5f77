//! A connection: a task that reads, executes and writes, one client long.
//!
//! It owns its socket and its session. While it waits for input it holds no buffer: those are lent by the worker for as
//! long as there is something in them. All replies to what one read brought leave in one write. A client that does not read its
//! replies is not read from either, so its output stays bounded by what one read can cause.

use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use rustredis_keyspace::{Access, Covered, Effects, Waiter};
use rustredis_resp::{ParseLimits, Parser, Reply};
use tokio::net::{TcpStream, UnixStream};

use crate::client::{Client, flags};
use crate::execute::{Blocked, Flow, Scratch, timeout_reply};
use crate::server::{Server, now_ms};
use crate::session::Session;
use crate::stats::bump;
use crate::transaction;
use crate::worker::{StdStream, Worker};

/// Commands of one batch: enough to touch ahead, few enough that replies do not pile up.
const BATCH_COMMANDS_MAX: usize = 128;
/// Replies that are sent before the batch after them is executed, in bytes.
const OUTPUT_FLUSH_BYTES: usize = 256 * 1024;
/// Room that a read finds at least, in bytes.
const READ_BYTES_MIN: usize = 16 * 1024;

/// A socket.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Stream {
    /// Registers an accepted socket with this thread's runtime.
    pub fn adopt(stream: StdStream) -> io::Result<Self> {
        match stream {
            StdStream::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                TcpStream::from_std(stream).map(Self::Tcp)
            }
            StdStream::Unix(stream) => {
                stream.set_nonblocking(true)?;
                UnixStream::from_std(stream).map(Self::Unix)
            }
        }
    }

    fn poll_read_ready(&self, context: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(context),
            Self::Unix(stream) => stream.poll_read_ready(context),
        }
    }

    fn poll_write_ready(&self, context: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(context),
            Self::Unix(stream) => stream.poll_write_ready(context),
        }
    }

    fn try_read_buf(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read_buf(buffer),
            Self::Unix(stream) => stream.try_read_buf(buffer),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        }
    }

    fn addresses(&self) -> (String, String, i32) {
        match self {
            Self::Tcp(stream) => {
                let text = |address: io::Result<std::net::SocketAddr>| {
                    address.map_or_else(|_| "?:0".to_owned(), |address| address.to_string())
                };
                (text(stream.peer_addr()), text(stream.local_addr()), stream.as_raw_fd())
            }
            Self::Unix(stream) => {
                let path = stream
                    .local_addr()
                    .ok()
                    .and_then(|address| address.as_pathname().map(|path| path.display().to_string()))
                    .unwrap_or_default();
                (format!("{path}:0"), format!("{path}:0"), stream.as_raw_fd())
            }
        }
    }
}

/// A client's connection.
pub struct Connection {
    stream: Stream,
    /// What it remembers between commands.
    pub session: Session,
    /// Replies that have not been sent.
    pub output: Vec<u8>,
    pub(crate) server: Arc<Server>,
    pub(crate) worker: Rc<Worker>,
    parser: Parser,
    /// Input that is not executed yet; without capacity while there is none.
    input: Vec<u8>,
}

/// Why a wait ended.
enum Event {
    Readable,
    Mail,
    Killed,
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
            stream,
            session,
            output: Vec::new(),
            server,
            worker,
            parser: Parser::default(),
            input: Vec::new(),
        }
    }

    /// Serves the client until either side ends it.
    pub async fn serve(mut self) {
        // An error of the socket ends the connection as a hang-up does: there is nobody to tell.
        let _ = self.converse().await;
        self.close().await;
    }

    async fn converse(&mut self) -> io::Result<()> {
        loop {
            match self.wait().await? {
                Event::Killed => return Ok(()),
                Event::Mail => {
                    let client = self.session.client.clone();
                    client.take_mail(&mut self.output);
                    self.flush().await?;
                    continue;
                }
                Event::Readable => {}
            }
            match self.read()? {
                None => continue,
                Some(0) => return Ok(()),
                Some(_) => {}
            }
            if !self.execute_input().await? {
                return self.flush().await;
            }
        }
    }

    /// Waits for input, mail, the end, or too long.
    async fn wait(&mut self) -> io::Result<Event> {
        let timeout_seconds = self.server.settings.timeout_seconds.load(Relaxed);
        let is_patient = timeout_seconds == 0 || self.session.is_subscriber() || self.session.is_monitor;
        if is_patient {
            return self.next_event().await;
        }
        match tokio::time::timeout(Duration::from_secs(timeout_seconds), self.next_event()).await {
            Ok(event) => event,
            Err(_) => Ok(Event::Killed),
        }
    }

    async fn next_event(&self) -> io::Result<Event> {
        let client = &self.session.client;
        std::future::poll_fn(|context| {
            client.register(context.waker());
            if client.is_killed() {
                return Poll::Ready(Ok(Event::Killed));
            }
            if client.has_mail() {
                return Poll::Ready(Ok(Event::Mail));
            }
            self.stream.poll_read_ready(context).map_ok(|()| Event::Readable)
        })
        .await
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
        match self.stream.try_read_buf(&mut self.input) {
            Ok(count) => {
                let stats = self.worker.stats();
                bump(&stats.reads, 1);
                bump(&stats.received, count as u64);
                bump(&self.session.client.received, count as u64);
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
        self.session.client.input_bytes.store(self.input.len(), Relaxed);
        self.session.client.input_capacity.store(self.input.capacity(), Relaxed);
    }

    /// Executes all complete commands of the input and sends the replies; false if the connection ends.
    async fn execute_input(&mut self) -> io::Result<bool> {
        if self.output.capacity() == 0 {
            self.output = self.worker.take_buffer();
        }
        let mut scratch = self.worker.take_scratch();
        let mut input = std::mem::take(&mut self.input);
        let result = self.execute_all(&mut scratch, &mut input).await;
        self.worker.give_scratch(scratch);
        self.input = input;
        self.release_input();
        let goes_on = result?;
        let client = self.session.client.clone();
        client.take_mail(&mut self.output);
        self.flush().await?;
        if self.output.is_empty() {
            self.worker.give_buffer(std::mem::take(&mut self.output));
        }
        Ok(goes_on && !client.is_killed())
    }

    async fn execute_all(&mut self, scratch: &mut Scratch, input: &mut Vec<u8>) -> io::Result<bool> {
        let mut start = 0;
        loop {
            scratch.batch.clear();
            let limits = ParseLimits {
                bulk_bytes_max: self.server.settings.proto_max_bulk_len.load(Relaxed),
                is_unauthenticated: !self.session.is_authenticated,
            };
            // Before authentication one command at a time: AUTH changes what the next may be.
            let commands_max = if limits.is_unauthenticated { 1 } else { BATCH_COMMANDS_MAX };
            let batch_start = start;
            let (next, error) = self.parser.parse(input, start, &mut scratch.batch, commands_max, &limits);
            start = next;
            if !scratch.batch.is_empty() {
                match self.execute(scratch, input).await {
                    Flow::Done => {}
                    Flow::Close => return Ok(false),
                    Flow::Blocked(executed, blocked) => {
                        // What follows is read again when the wait is over, so that no buffer is held meanwhile.
                        let consumed: usize =
                            (0..executed).map(|index| scratch.batch.command_bytes(index)).sum();
                        let rest = self.batch_end(input, batch_start, consumed);
                        input.drain(..rest);
                        start = 0;
                        self.parser = Parser::default();
                        if !self.sleep(blocked, input).await? {
                            return Ok(false);
                        }
                        continue;
                    }
                }
            }
            if let Some(error) = error {
                Reply::new(&mut self.output, self.session.proto).error(&format!("ERR {error}"));
                return Ok(false);
            }
            if scratch.batch.is_empty() {
                break;
            }
            if self.session.client.is_killed() {
                return Ok(false);
            }
            if self.output.len() > OUTPUT_FLUSH_BYTES {
                if self.is_output_over_limit() {
                    return Ok(false);
                }
                self.flush().await?;
            }
        }
        if start == input.len() {
            input.clear();
        } else if start > 0 {
            input.drain(..start);
        }
        if input.len() as u64 > self.server.settings.client_query_buffer_limit.load(Relaxed) {
            self.server.stats.query_limit_disconnections.fetch_add(1, Relaxed);
            tracing::warn!(
                "Closing client that reached max query buffer length: id={}",
                self.session.client.id
            );
            return Ok(false);
        }
        Ok(true)
    }

    /// Where the unexecuted part of the input begins: blank requests between commands belong to none of them, so what was
    /// executed is found again by parsing.
    fn batch_end(&self, input: &[u8], start: usize, consumed: usize) -> usize {
        let mut position = start;
        let mut left = consumed;
        while left > 0 && position < input.len() {
            let mut batch = rustredis_resp::Batch::default();
            let limits = ParseLimits { bulk_bytes_max: i64::MAX, is_unauthenticated: false };
            let (next, _) = Parser::default().parse(input, position, &mut batch, 1, &limits);
            if batch.is_empty() {
                break;
            }
            left -= batch.command_bytes(0).min(left);
            position = next;
        }
        position
    }

    fn is_output_over_limit(&self) -> bool {
        let limit = self.server.settings.normal_hard_bytes();
        let is_over = limit > 0 && self.output.len() > limit;
        if is_over {
            self.server.stats.output_limit_disconnections.fetch_add(1, Relaxed);
            let id = self.session.client.id;
            tracing::warn!("Client id={id} closed for overcoming of output buffer limits.");
        }
        is_over
    }

    /// Sends all replies; waits for the client to read them.
    async fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.output.len() {
            match self.stream.try_write(&self.output[sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    sent += count;
                    let stats = self.worker.stats();
                    bump(&stats.writes, 1);
                    bump(&stats.sent, count as u64);
                    bump(&self.session.client.sent, count as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let client = self.session.client.clone();
                    client.output_bytes.store(self.output.len() - sent, Relaxed);
                    std::future::poll_fn(|context| {
                        client.register(context.waker());
                        if client.is_killed() {
                            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                        }
                        self.stream.poll_write_ready(context)
                    })
                    .await?;
                }
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.session.client.output_bytes.store(0, Relaxed);
        Ok(())
    }

    /// Waits until somebody serves the command, its time is over, or the client hangs up (then false).
    async fn sleep(&mut self, blocked: Blocked, input: &mut Vec<u8>) -> io::Result<bool> {
        self.flush().await?;
        let Blocked { waiter, until_ms } = blocked;
        let client = self.session.client.clone();
        *client.waiting.lock() = Some(waiter.clone());
        client.set_flag(flags::BLOCKED, true);
        let mut is_connected = true;
        let left = until_ms.saturating_sub(now_ms());
        let timer = tokio::time::sleep(Duration::from_millis(if until_ms == 0 { 1 << 40 } else { left }));
        let mut timer = std::pin::pin!(timer);
        let reply = loop {
            let timed_out = std::future::poll_fn(|context| {
                client.register(context.waker());
                if waiter.is_over() || client.is_killed() {
                    return Poll::Ready(Ok(Wake::Look));
                }
                if client.has_mail() {
                    return Poll::Ready(Ok(Wake::Mail));
                }
                if std::future::Future::poll(timer.as_mut(), context).is_ready() {
                    return Poll::Ready(Ok(Wake::TimedOut));
                }
                self.stream.poll_read_ready(context).map_ok(|()| Wake::Readable)
            })
            .await?;
            if let Some(reply) = waiter.take_reply() {
                break Some(reply);
            }
            if client.is_killed() {
                is_connected = false;
            }
            match timed_out {
                Wake::Look => {}
                Wake::Mail => {
                    client.take_mail(&mut self.output);
                    self.flush().await?;
                }
                Wake::TimedOut => {
                    if waiter.cancel(timeout_reply(self.session.proto)) {
                        break waiter.take_reply();
                    }
                    // Somebody is just serving it: the reply comes at once, or the claim comes back.
                    tokio::task::yield_now().await;
                    timer.as_mut().reset(tokio::time::Instant::now() + Duration::from_millis(1));
                }
                Wake::Readable => {
                    // A client may send its next commands while it waits; a hang-up ends the wait.
                    input.reserve(READ_BYTES_MIN);
                    match self.stream.try_read_buf(input) {
                        Ok(0) => is_connected = false,
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(_) => is_connected = false,
                    }
                }
            }
            if !is_connected && waiter.cancel(Vec::new()) {
                break None;
            }
        };
        *client.waiting.lock() = None;
        client.set_flag(flags::BLOCKED, false);
        self.leave_queues(&waiter).await;
        if let Some(reply) = reply {
            self.output.extend_from_slice(&reply);
        }
        Ok(is_connected)
    }

    /// Takes the waiter out of the queues of all its keys.
    async fn leave_queues(&self, waiter: &Arc<crate::blocking::BlockedClient>) {
        let store = self.server.engine.store();
        let args = waiter.args.args();
        let mut shards: Vec<u32> =
            args.key_refs().iter().map(|key| store.shard_of(key.hash) as u32).collect();
        shards.sort_unstable();
        shards.dedup();
        let mut effects = Effects::default();
        let mut held = self.server.engine.borrow(Covered::Many(&shards), Access::Write).await;
        let mut view = held.view(waiter.db, now_ms(), &self.worker.random, &mut effects);
        let waiter: Arc<dyn Waiter> = waiter.clone();
        args.keys().for_each(|key| view.stop_waiting(key, &waiter));
    }

    async fn close(mut self) {
        let (server, worker) = (self.server.clone(), self.worker.clone());
        server.pubsub.leave(&mut self.session);
        server.monitors.leave(&server, &mut self.session);
        transaction::unwatch_all(&mut self, &server, &worker, &mut Effects::default()).await;
        server.clients.remove(self.session.client.id);
        worker.give_buffer(std::mem::take(&mut self.input));
        worker.give_buffer(std::mem::take(&mut self.output));
    }
}

/// Why a waiting client woke.
enum Wake {
    Look,
    Mail,
    TimedOut,
    Readable,
}
