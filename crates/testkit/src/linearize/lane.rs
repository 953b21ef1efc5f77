//! A client's connection, whose socket never waits, and what it has not been answered yet.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use super::wire;
use crate::Reply;

/// An operation without an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    /// Its number in the history.
    pub(super) operation: usize,
    /// Replies that come before its own: to MULTI, and to what is queued.
    pub(super) before: usize,
}

/// A connection.
pub(super) struct Lane {
    /// Its number in the history.
    pub(super) number: usize,
    stream: TcpStream,
    arrived: Vec<u8>,
    pub(super) waiting: VecDeque<Waiting>,
    /// When it hangs up if it has not had all answers by then.
    pub(super) hangs_up_at: Option<u64>,
}

impl Lane {
    pub(super) fn connect(address: SocketAddr, number: usize) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { number, stream, arrived: Vec::new(), waiting: VecDeque::new(), hangs_up_at: None })
    }

    /// Whether it may send: it has had all answers, and does not hang up.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.hangs_up_at.is_none()
    }

    pub(super) fn file(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Sends bytes, which are few: a socket takes them at once, or soon.
    pub(super) fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes what has arrived; false if the connection has ended.
    pub(super) fn receive(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => self.arrived.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
    }

    /// The next operation that has been answered, and how.
    pub(super) fn answered(&mut self) -> Result<Option<(usize, Reply)>, String> {
        while let Some(waiting) = self.waiting.front_mut() {
            let Some((reply, length)) = wire::decode(&self.arrived)? else { return Ok(None) };
            self.arrived.drain(..length);
            if waiting.before == 0 {
                let operation = waiting.operation;
                self.waiting.pop_front();
                return Ok(Some((operation, reply)));
            }
            waiting.before -= 1;
            if !matches!(&reply, Reply::Simple(text) if text == "OK" || text == "QUEUED") {
                return Err(format!("what a transaction queues was answered {reply}"));
            }
        }
        // Who hangs up amid a transaction is answered what it has queued.
        if self.arrived.is_empty() || self.hangs_up_at.is_some() {
            Ok(None)
        } else {
            Err("a reply that nobody asked for".to_owned())
        }
    }
}
