//! One connection of the generator: bytes on their way out, replies on their way in, and what each must be.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::load::mix::{Expect, value};
use crate::load::reply::{Malformed, Reply, ReplyKind, Scanner};

/// How long the server may take to accept.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Room for a read.
const READ_BYTES: usize = 32 * 1024;
/// Longest value that a GET's reply is compared with; of a longer one the first part is.
const VALUE_BYTES_COMPARED: usize = 64 * 1024;

/// A reply that is waited for.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    expect: Expect,
    /// When the request was sent, or should have been; nanoseconds from the run's start.
    since: u64,
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
            fault: None,
            is_miss: false,
            in_flight: 0,
            backlog: VecDeque::new(),
            wants_write: false,
        })
    }

    /// Where the next command is written; [`Self::expect`] must follow.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    pub(crate) fn expect(&mut self, expect: Expect, since: u64, is_last: bool) {
        self.awaited.push_back(Awaited { expect, since, is_last });
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
    pub(crate) fn receive(
        &mut self,
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
            match check(awaited.expect, &reply, bytes) {
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

    /// Since when each request under way or in the backlog waits.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = u64> + '_ {
        let sent = self.awaited.iter().filter(|awaited| awaited.is_last).map(|awaited| awaited.since);
        sent.chain(self.backlog.iter().copied())
    }
}

/// Whether the reply is what the command must answer; true for a read of a key that is not there.
fn check(expect: Expect, reply: &Reply, bytes: &[u8]) -> Result<bool, String> {
    let text = |range: &std::ops::Range<usize>| {
        String::from_utf8_lossy(&bytes[range.start..range.end.min(range.start + 100)]).into_owned()
    };
    if reply.kind == ReplyKind::Error {
        return Err(text(&reply.body));
    }
    if let Some(inner) = &reply.inner_error {
        return Err(text(inner));
    }
    let body = &bytes[reply.body.clone()];
    let is_right = match expect {
        Expect::Ok => reply.kind == ReplyKind::Simple && body == b"OK",
        Expect::Queued => reply.kind == ReplyKind::Simple && body == b"QUEUED",
        Expect::Integer => reply.kind == ReplyKind::Scalar,
        Expect::Array => reply.kind == ReplyKind::Aggregate,
        Expect::Any => true,
        Expect::Value => reply.kind == ReplyKind::Nil || (reply.kind == ReplyKind::Bulk && is_pattern(body)),
    };
    let is_miss = expect == Expect::Value && reply.kind == ReplyKind::Nil;
    if is_right {
        Ok(is_miss)
    } else {
        Err(format!(
            "wrong reply: {:?} {} to a command that answers {expect:?}",
            reply.kind,
            text(&reply.body)
        ))
    }
}

/// Whether these bytes are a value as [`value`] makes it.
fn is_pattern(body: &[u8]) -> bool {
    static PATTERN: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| value(VALUE_BYTES_COMPARED));
    let compared = body.len().min(PATTERN.len());
    body[..compared] == PATTERN[..compared]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(expect: Expect, bytes: &[u8]) -> Result<bool, String> {
        let reply = Scanner::default().scan(bytes).unwrap().unwrap();
        check(expect, &reply, bytes)
    }

    #[test]
    fn replies_must_be_what_their_command_answers() {
        assert_eq!(checked(Expect::Ok, b"+OK\r\n"), Ok(false));
        assert_eq!(checked(Expect::Value, b"$-1\r\n"), Ok(true));
        assert_eq!(checked(Expect::Value, b"$3\r\naho\r\n"), Ok(false));
        assert_eq!(checked(Expect::Integer, b"-ERR no\r\n"), Err("ERR no".to_owned()));
        assert!(checked(Expect::Value, b"$3\r\nxxx\r\n").unwrap_err().starts_with("wrong reply: Bulk xxx"));
        assert!(checked(Expect::Queued, b"+OK\r\n").is_err());
        assert_eq!(checked(Expect::Array, b"*1\r\n-ERR in\r\n"), Err("ERR in".to_owned()));
    }
}
