//! One connection of the generator: bytes on their way out, replies on their way in, and what each must be.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::load::check::{self, check};
use crate::load::keys::KeyDraw;
use crate::load::mix::{Expect, Template};
use crate::load::reply::{Malformed, Scanner};

/// How long the server may take to accept.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Room for a read.
const READ_BYTES: usize = 32 * 1024;

/// A reply that is waited for.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    expect: Expect,
    /// When the request was sent, or should have been; nanoseconds from the run's start.
    since: u64,
    /// When it was handed to the socket, the same way.
    sent: u64,
    is_last: bool,
}

/// What has become of a request.
#[derive(Debug)]
pub(crate) enum Fate {
    Right { is_miss: bool },
    Wrong(String),
}

/// Why a connection is of no more use.
#[derive(Debug)]
pub(crate) enum Broken {
    Closed,
    Io(io::Error),
    Malformed(Malformed),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => out.write_str("the server closed a connection"),
            Self::Io(error) => write!(out, "a connection failed: {error}"),
            Self::Malformed(malformed) => write!(out, "the server sent what is not RESP: {}", malformed.0),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    out: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    start: usize,
    end: usize,
    scanner: Scanner,
    awaited: VecDeque<Awaited>,
    /// Keys that the checks of the awaited replies must know, in order.
    keys: VecDeque<u64>,
    /// What commands inside transactions answer with EXEC, in order.
    queued: VecDeque<Expect>,
    /// Those of one reply.
    keys_now: Vec<u64>,
    queued_now: Vec<Expect>,
    /// What went wrong in the request whose replies are arriving.
    fault: Option<String>,
    is_miss: bool,
    /// Requests under way.
    pub(crate) in_flight: usize,
    /// Intended times of requests that wait for room, in an open loop.
    pub(crate) backlog: VecDeque<u64>,
    /// Whether the socket was full, so that epoll must say when it no longer is.
    pub(crate) wants_write: bool,
}

impl Connection {
    /// Connects. With `waits` it comes back only when the server has accepted and answered, and so has accepted all
    /// that connected before.
    pub(crate) fn open(address: SocketAddr, waits: bool) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, CONNECT_DEADLINE)?;
        stream.set_nodelay(true)?;
        if waits {
            stream.set_read_timeout(Some(CONNECT_DEADLINE))?;
            stream.write_all(b"*1\r\n$4\r\nPING\r\n")?;
            let mut byte = [0];
            while byte != *b"\n" {
                stream.read_exact(&mut byte)?;
            }
        }
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            out: Vec::new(),
            written: 0,
            input: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            scanner: Scanner::default(),
            awaited: VecDeque::new(),
            keys: VecDeque::new(),
            queued: VecDeque::new(),
            keys_now: Vec::new(),
            queued_now: Vec::new(),
            fault: None,
            is_miss: false,
            in_flight: 0,
            backlog: VecDeque::new(),
            wants_write: false,
        })
    }

    /// Writes a command, to be flushed: intended at `since`, and with that the last of its request or not.
    pub(crate) fn write(
        &mut self,
        command: &Template,
        draw: &mut KeyDraw,
        last_key: &mut u64,
        (since, now): (u64, u64),
        is_last: bool,
    ) {
        command.write(&mut self.out, draw, last_key, &mut self.keys);
        self.queued.extend(command.queued);
        self.awaited.push_back(Awaited { expect: command.expect, since, sent: now, is_last });
        self.in_flight += usize::from(is_last);
    }

    /// Sends what is to be sent, as far as the socket takes it.
    pub(crate) fn flush(&mut self) -> Result<(), Broken> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(Broken::Closed),
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wants_write = true;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Broken::Io(error)),
            }
        }
        self.out.clear();
        self.written = 0;
        self.wants_write = false;
        Ok(())
    }

    /// Reads once and hands out each request that is answered: since when it ran, and how it ended. `now` is asked once.
    /// Values may have these lengths.
    pub(crate) fn receive(
        &mut self,
        lengths: &[usize],
        now: impl FnOnce() -> u64,
        mut answered: impl FnMut(u64, u64, Fate),
    ) -> Result<(), Broken> {
        self.make_room();
        match self.stream.read(&mut self.input[self.end..]) {
            Ok(0) => return Err(Broken::Closed),
            Ok(bytes) => self.end += bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(error) => return Err(Broken::Io(error)),
        }
        let now = now();
        while self.start < self.end {
            let bytes = &self.input[self.start..self.end];
            let Some(reply) = self.scanner.scan(bytes).map_err(Broken::Malformed)? else { break };
            let Some(awaited) = self.awaited.pop_front() else {
                let text = format!("a reply that nobody waits for: {:?}", reply.kind);
                return Err(Broken::Malformed(Malformed(text)));
            };
            self.keys_now.clear();
            self.queued_now.clear();
            let mut keys = awaited.expect.keys();
            if let Expect::Exec(count) | Expect::Discard(count) = awaited.expect {
                self.queued_now.extend(self.queued.drain(..usize::from(count).min(self.queued.len())));
                keys = self.queued_now.iter().map(|expect| expect.keys()).sum();
            }
            self.keys_now.extend(self.keys.drain(..keys.min(self.keys.len())));
            let (keys, queued) = (self.keys_now.as_slice(), self.queued_now.as_slice());
            match check(check::Awaited { expect: awaited.expect, keys, queued, lengths }, &reply, bytes) {
                Ok(is_miss) => self.is_miss |= is_miss,
                Err(text) => {
                    self.fault.get_or_insert(text);
                }
            }
            self.start += reply.bytes;
            if awaited.is_last {
                self.in_flight -= 1;
                let is_miss = std::mem::take(&mut self.is_miss);
                let outcome = self.fault.take().map_or(Fate::Right { is_miss }, Fate::Wrong);
                answered(now, awaited.since, outcome);
            }
        }
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        Ok(())
    }

    fn make_room(&mut self) {
        if self.input.len() - self.end >= READ_BYTES / 2 {
            return;
        }
        self.input.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.input.len() - self.end < READ_BYTES / 2 {
            // A reply that is longer than the buffer.
            self.input.resize(self.input.len() * 2, 0);
        }
    }

    /// When the oldest command without a reply was sent.
    pub(crate) fn oldest_sent(&self) -> Option<u64> {
        self.awaited.front().map(|awaited| awaited.sent)
    }

    /// Since when each request under way or in the backlog waits.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = u64> + '_ {
        let sent = self.awaited.iter().filter(|awaited| awaited.is_last).map(|awaited| awaited.since);
        sent.chain(self.backlog.iter().copied())
    }
}
