//! A connection that has become a replica: it sends a dump, and then everything that changes the data set, as its socket has room.
//!
//! From SYNC on there are no replies. What the other side sends is what a replica says of itself (REPLCONF); anything else ends the
//! connection, as in Redis, for its reply would stand amid the stream.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustredis_config::{ClientClass, Directive};
use rustredis_persistence::journal::{Place, State};
use tokio::time::Instant;

use crate::clients::replicas::{Replica, Stage};
use crate::clock::now_ms;
use crate::files::snapshot::orders::{Dump, Outcome};
use crate::request::connection::{BACKLOG_CHECK, Connection, Event};
use crate::request::dialogue::Dialogue;

/// Output up to which more is added, in bytes.
const ROOM_BYTES: usize = 256 * 1024;
/// How often a replica that waits for its dump hears that it is not forgotten.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// What a replica is sent.
struct Feed {
    replica: Arc<Replica>,
    dump: Option<(Dump, u64)>,
    /// Up to which place the output goes.
    place: Place,
}

/// Why nothing more was added to the output.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filled {
    /// There is no room for more.
    Room,
    /// There is nothing more for now.
    All,
    /// The replica cannot go on.
    Ended,
}

impl Dialogue {
    /// Serves a client that has become a replica until either side ends it.
    pub(super) async fn feed(&mut self, replica: Arc<Replica>) -> io::Result<()> {
        let server = self.connection.server.clone();
        let brake_ms = server.replicas().brake_ms(&replica, now_ms());
        if brake_ms > 0 {
            let waiting = tokio::time::sleep(Duration::from_millis(brake_ms));
            if self.connection.unless_gone(waiting).await.is_none() {
                return Ok(());
            }
        }
        server.snapshots().order(replica.order.clone());
        let mut feed = Feed { replica, dump: None, place: 0 };
        // What it is sent waits for nothing: the sync of this server and the way to the other overlap.
        self.connection.session.progress.depends_on = 0;
        let mut next_sign = Instant::now() + KEEP_ALIVE;
        loop {
            // Taken before the look, so that what comes in between is seen in the next round.
            self.connection.session.caller.client.take_mail(&mut Vec::new(), usize::MAX);
            let filled = feed.fill(&mut self.connection)?;
            if filled == Filled::Ended || !feed.send(&mut self.connection)? {
                return Ok(());
            }
            if filled == Filled::Room && self.connection.unsent() < ROOM_BYTES {
                // There is more, and the socket takes it; the others of the thread come first.
                self.connection.let_others().await;
                if self.connection.session.caller.client.is_killed() {
                    return Ok(());
                }
                continue;
            }
            let is_waiting = feed.replica.stage() == Stage::Waiting;
            let deadline = match () {
                () if is_waiting => Some(next_sign),
                () if self.connection.unsent() > 0 || feed.replica.order.sink.waiting_bytes() > 0 => {
                    Some(Instant::now() + BACKLOG_CHECK)
                }
                () => None,
            };
            match self.connection.next_event(None, deadline, true).await? {
                Event::Killed => return Ok(()),
                Event::Readable => match self.read()? {
                    Some(0) => return Ok(()),
                    Some(_) if !self.execute_input().await? => return Ok(()),
                    Some(_) | None => {}
                },
                Event::TimedOut if is_waiting => {
                    self.connection.output.push(b'\n');
                    next_sign = Instant::now() + KEEP_ALIVE;
                }
                Event::Mail | Event::Writable | Event::TimedOut | Event::Served => {}
            }
        }
    }
}

impl Feed {
    /// Adds to the output what there is room for.
    fn fill(&mut self, connection: &mut Connection) -> io::Result<Filled> {
        while connection.unsent() < ROOM_BYTES {
            match self.replica.stage() {
                Stage::Waiting => match self.replica.order.outcome() {
                    Outcome::Pending => return Ok(Filled::All),
                    Outcome::Failed => return Ok(Filled::Ended),
                    Outcome::Dumped(dump) => {
                        connection.output.extend_from_slice(format!("${}\r\n", dump.bytes).as_bytes());
                        self.dump = Some((dump, 0));
                        self.place = self.replica.order.begin();
                        self.replica.set_stage(Stage::Sending);
                    }
                },
                Stage::Sending => self.read_dump(&mut connection.output)?,
                Stage::Online => {
                    let sink = &self.replica.order.sink;
                    let mut piece = Vec::new();
                    match sink.take(&mut piece) {
                        Some(place) => {
                            if connection.output.is_empty() {
                                connection
                                    .worker
                                    .give_buffer(std::mem::replace(&mut connection.output, piece));
                            } else {
                                connection.output.extend_from_slice(&piece);
                            }
                            self.place = place;
                        }
                        None if sink.state() == State::Open => return Ok(Filled::All),
                        None => return Ok(Filled::Ended),
                    }
                }
            }
        }
        Ok(Filled::Room)
    }

    /// Adds the next part of the dump, which is in the system's cache: it was just written.
    fn read_dump(&mut self, output: &mut Vec<u8>) -> io::Result<()> {
        let Some((dump, at)) = &mut self.dump else { return Ok(()) };
        let part = usize::try_from(dump.bytes - *at).unwrap_or(usize::MAX).min(ROOM_BYTES);
        let begin = output.len();
        output.resize(begin + part, 0);
        dump.file.read_exact_at(&mut output[begin..], *at)?;
        *at += part as u64;
        if *at == dump.bytes {
            self.dump = None;
            self.replica.set_stage(Stage::Online);
            tracing::info!("A replica has got all keys, and gets what changes from now on");
        }
        Ok(())
    }

    /// Sends as far as the socket takes it; false if too much waits.
    fn send(&self, connection: &mut Connection) -> io::Result<bool> {
        connection.send()?;
        if connection.output.is_empty() {
            connection.worker.give_buffer(std::mem::take(&mut connection.output));
        }
        self.replica.note_buffers(connection.output.capacity());
        if connection.unsent() == 0 && self.replica.stage() == Stage::Online {
            self.replica.note_sent(self.place);
        }
        let client = &connection.session.caller.client;
        client.output_bytes.store(connection.pending() + self.replica.order.sink.waiting_bytes(), Relaxed);
        let mut limits = connection.server.settings().output_limits(ClientClass::Replica);
        if limits.hard_bytes > 0 {
            // As in Redis: less than the backlog may hold is never too much.
            let backlog = connection.server.config().lock().bytes(Directive::ReplBacklogSize) as usize;
            limits.hard_bytes = limits.hard_bytes.max(backlog);
        }
        if client.is_over_limit(now_ms(), limits) {
            connection.server.clients().close_for_output(client);
            return Ok(false);
        }
        Ok(true)
    }
}
