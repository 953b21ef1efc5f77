//! What other connections may know of a client and do to it.
//!
//! A connection is a task on one thread; its [`Client`] is the part that others reach. Messages (pub/sub, MONITOR) are put
//! into the mailbox, already encoded, and the task is woken; it writes them between replies. A client for which too much
//! waits to be sent is over its limit, whoever finds that out, and is closed, as Redis does with a subscriber that does
//! not read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use atomic_waker::AtomicWaker;
use parking_lot::Mutex;
use rustredis_acl::DEFAULT_USER;
use rustredis_keyspace::WatchFlag;
use rustredis_resp::Proto;

use crate::clients::blocked::BlockedClient;
use crate::upkeep::settings::OutputLimits;

/// What a client is called and who it is.
#[derive(Debug, Default, Clone)]
pub struct Identity {
    /// `CLIENT SETNAME`.
    pub name: String,
    /// `CLIENT SETINFO LIB-NAME`.
    pub lib_name: String,
    /// `CLIENT SETINFO LIB-VER`.
    pub lib_ver: String,
    /// Its user's name.
    pub user: Vec<u8>,
}

/// The shared part of a connection.
#[derive(Debug)]
pub struct Client {
    /// Never used again.
    pub id: u64,
    /// Peer address, or the socket's path.
    pub addr: String,
    /// Own address.
    pub laddr: String,
    /// File descriptor.
    pub fd: i32,
    /// The worker thread that serves it.
    pub worker: usize,
    /// Unix ms.
    pub created_ms: u64,
    /// Unix ms of the last command.
    pub active_ms: AtomicU64,
    /// Row of the last command; `u16::MAX` before the first.
    pub last_command: AtomicU16,
    /// Selected database.
    pub db: AtomicU32,
    /// Protocol version.
    pub resp: AtomicU32,
    /// `ClientFlags` bits, see [`flags`].
    pub flags: AtomicU32,
    /// Channels subscribed to.
    pub subscriptions: AtomicUsize,
    /// Patterns subscribed to.
    pub pattern_subscriptions: AtomicUsize,
    /// Shard channels subscribed to.
    pub shard_subscriptions: AtomicUsize,
    /// Commands queued by MULTI; -1 outside.
    pub queued: AtomicI64,
    /// Bytes of the commands queued by MULTI.
    pub queued_bytes: AtomicUsize,
    /// The client that is told of changes in its place (CLIENT TRACKING REDIRECT); 0 for none.
    pub redirect: AtomicU64,
    /// Keys watched.
    pub watched: AtomicUsize,
    /// Set by whoever changes one of them.
    pub watch_flag: Arc<WatchFlag>,
    /// Bytes of unparsed input.
    pub input_bytes: AtomicUsize,
    /// Capacity of the input buffer.
    pub input_capacity: AtomicUsize,
    /// Bytes of replies not yet sent, as of the last attempt to send.
    pub output_bytes: AtomicUsize,
    /// Capacity of the output buffer.
    pub output_capacity: AtomicUsize,
    /// Bytes received.
    pub received: AtomicU64,
    /// Bytes sent.
    pub sent: AtomicU64,
    /// Commands run.
    pub commands: AtomicU64,
    /// Names.
    pub identity: Mutex<Identity>,
    /// What it waits for.
    pub waiting: Mutex<Option<Arc<BlockedClient>>>,
    /// Its wait for the disk or for replicas.
    pub sync_wait: SyncWaiting,
    mailbox: Mutex<VecDeque<Arc<[u8]>>>,
    mail_bytes: AtomicUsize,
    /// When the soft limit was passed, in Unix ms; 0 while it is kept.
    soft_since_ms: AtomicU64,
    has_mail: AtomicBool,
    is_killed: AtomicBool,
    waker: AtomicWaker,
}

/// Bits of `Client::flags`.
pub mod flags {
    /// In MULTI.
    pub const MULTI: u32 = 1;
    /// Subscribed.
    pub const PUBSUB: u32 = 1 << 1;
    /// Waits in a blocking command.
    pub const BLOCKED: u32 = 1 << 2;
    /// MONITOR.
    pub const MONITOR: u32 = 1 << 3;
    /// A watched key has changed.
    pub const DIRTY_CAS: u32 = 1 << 4;
    /// Closes after the reply.
    pub const CLOSE_AFTER_REPLY: u32 = 1 << 5;
    /// Through a unix socket.
    pub const UNIX_SOCKET: u32 = 1 << 6;
    /// CLIENT NO-EVICT.
    pub const NO_EVICT: u32 = 1 << 7;
    /// CLIENT NO-TOUCH.
    pub const NO_TOUCH: u32 = 1 << 8;
    /// READONLY.
    pub const READONLY: u32 = 1 << 9;
    /// CLIENT TRACKING.
    pub const TRACKING: u32 = 1 << 10;
    /// CLIENT TRACKING BCAST.
    pub const BROADCAST: u32 = 1 << 11;
    /// Who is to be told in its place is gone.
    pub const BROKEN_REDIRECT: u32 = 1 << 12;
    /// It has become a replica.
    pub const REPLICA: u32 = 1 << 13;
}

/// A wait in WAITAOF or WAIT, which CLIENT UNBLOCK ends from another connection.
#[derive(Debug, Default)]
pub struct SyncWaiting(AtomicU8);

impl SyncWaiting {
    const NONE: u8 = 0;
    const UNDER_WAY: u8 = 1;
    const LEFT: u8 = 2;
    const FAILED: u8 = 3;

    /// The wait begins.
    pub fn begin(&self) {
        self.0.store(Self::UNDER_WAY, Release);
    }

    /// Whether nobody has ended it.
    pub fn is_under_way(&self) -> bool {
        self.0.load(Acquire) == Self::UNDER_WAY
    }

    /// Ends it from outside; false if there is none.
    fn leave(&self, is_error: bool) -> bool {
        let end = if is_error { Self::FAILED } else { Self::LEFT };
        self.0.compare_exchange(Self::UNDER_WAY, end, AcqRel, Acquire).is_ok()
    }

    /// It is over; whether somebody has ended it with an error.
    pub fn end(&self) -> bool {
        self.0.swap(Self::NONE, AcqRel) == Self::FAILED
    }
}

impl Client {
    /// A client that has just connected.
    pub fn new(id: u64, addr: String, laddr: String, fd: i32, worker: usize, now_ms: u64) -> Self {
        Self {
            id,
            addr,
            laddr,
            fd,
            worker,
            created_ms: now_ms,
            active_ms: AtomicU64::new(now_ms),
            last_command: AtomicU16::new(u16::MAX),
            db: AtomicU32::new(0),
            resp: AtomicU32::new(2),
            flags: AtomicU32::new(0),
            subscriptions: AtomicUsize::new(0),
            pattern_subscriptions: AtomicUsize::new(0),
            shard_subscriptions: AtomicUsize::new(0),
            queued: AtomicI64::new(-1),
            queued_bytes: AtomicUsize::new(0),
            redirect: AtomicU64::new(0),
            watched: AtomicUsize::new(0),
            watch_flag: Arc::default(),
            input_bytes: AtomicUsize::new(0),
            input_capacity: AtomicUsize::new(0),
            output_bytes: AtomicUsize::new(0),
            output_capacity: AtomicUsize::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            identity: Mutex::new(Identity { user: DEFAULT_USER.to_vec(), ..Identity::default() }),
            waiting: Mutex::new(None),
            sync_wait: SyncWaiting::default(),
            mailbox: Mutex::default(),
            mail_bytes: AtomicUsize::new(0),
            soft_since_ms: AtomicU64::new(0),
            has_mail: AtomicBool::new(false),
            is_killed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// The protocol that it speaks.
    pub fn proto(&self) -> Proto {
        if self.resp.load(Relaxed) == 3 { Proto::Resp3 } else { Proto::Resp2 }
    }

    /// Puts a message, encoded in the client's protocol, into the mailbox. [`Client::is_over_limit`] is for the caller to ask.
    pub fn send(&self, message: Arc<[u8]>) {
        self.mail_bytes.fetch_add(message.len(), Relaxed);
        self.mailbox.lock().push_back(message);
        if !self.has_mail.swap(true, AcqRel) {
            self.waker.wake();
        }
    }

    /// Wakes the connection as mail does, for something that its task looks at itself.
    pub fn nudge(&self) {
        if !self.has_mail.swap(true, AcqRel) {
            self.waker.wake();
        }
    }

    /// Moves mail to the end of `output`, as long as that is shorter than `room` bytes.
    pub fn take_mail(&self, output: &mut Vec<u8>, room: usize) {
        self.take_mail_unless(output, room, || false);
    }

    /// The same, unless something holds once the mailbox is locked: then what came before that stays.
    pub fn take_mail_unless(&self, output: &mut Vec<u8>, room: usize, must_stay: impl FnOnce() -> bool) {
        if !self.has_mail.swap(false, AcqRel) {
            return;
        }
        let mut mailbox = self.mailbox.lock();
        if must_stay() {
            self.has_mail.store(true, Release);
            return;
        }
        while output.len() < room {
            let Some(message) = mailbox.pop_front() else { return };
            output.extend_from_slice(&message);
            self.mail_bytes.fetch_sub(message.len(), Relaxed);
        }
        let is_left = !mailbox.is_empty();
        drop(mailbox);
        if is_left {
            self.has_mail.store(true, Release);
        }
    }

    /// Whether there is mail.
    #[inline]
    pub fn has_mail(&self) -> bool {
        self.has_mail.load(Relaxed)
    }

    /// Messages in the mailbox.
    pub fn mail_count(&self) -> usize {
        self.mailbox.lock().len()
    }

    /// Bytes in the mailbox.
    pub fn mail_bytes(&self) -> usize {
        self.mail_bytes.load(Relaxed)
    }

    /// Bytes that wait to be sent.
    pub fn pending_bytes(&self) -> usize {
        self.mail_bytes.load(Relaxed) + self.output_bytes.load(Relaxed)
    }

    /// Bytes that the client takes with its buffers, without the arguments of the command that it runs.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.input_capacity.load(Relaxed)
            + self.output_capacity.load(Relaxed)
            + self.queued_bytes.load(Relaxed)
            + self.mail_bytes.load(Relaxed)
    }

    /// Whether more than these limits allow waits to be sent: too much, or much for too long.
    pub fn is_over_limit(&self, now_ms: u64, limits: OutputLimits) -> bool {
        let bytes = self.pending_bytes();
        if limits.hard_bytes > 0 && bytes >= limits.hard_bytes {
            return true;
        }
        if limits.soft_bytes == 0 || bytes < limits.soft_bytes {
            self.soft_since_ms.store(0, Relaxed);
            return false;
        }
        match self.soft_since_ms.load(Relaxed) {
            0 => {
                self.soft_since_ms.store(now_ms, Relaxed);
                false
            }
            since_ms => now_ms.saturating_sub(since_ms) > limits.soft_ms,
        }
    }

    /// Asks the connection to close as soon as it can, and ends its wait for a key if there is one; false if it was asked
    /// before.
    pub fn kill(&self) -> bool {
        let is_first = !self.is_killed.swap(true, AcqRel);
        if let Some(waiter) = &*self.waiting.lock() {
            waiter.cancel(Vec::new());
        }
        self.waker.wake();
        is_first
    }

    /// Ends its wait for the disk or for replicas, with an error or as if its time were over; false if there is none.
    pub fn unblock_sync_wait(&self, is_error: bool) -> bool {
        let is_unblocked = self.sync_wait.leave(is_error);
        if is_unblocked {
            self.waker.wake();
        }
        is_unblocked
    }

    /// Whether it was asked to close.
    #[inline]
    pub fn is_killed(&self) -> bool {
        self.is_killed.load(Relaxed)
    }

    /// Wakes the task, after something that it polls for has changed.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Called by the connection's task before it sleeps.
    pub fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }

    /// Sets or clears bits of [`flags`].
    pub fn set_flag(&self, flag: u32, on: bool) {
        if on {
            self.flags.fetch_or(flag, Relaxed);
        } else {
            self.flags.fetch_and(!flag, Relaxed);
        }
    }

    /// Whether all these bits are set.
    pub fn has_flag(&self, flag: u32) -> bool {
        self.flags.load(Relaxed) & flag == flag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client::new(1, String::new(), String::new(), -1, 0, 0)
    }

    #[test]
    fn mail_is_taken_as_far_as_there_is_room() {
        let client = client();
        for text in ["one", "two", "three"] {
            client.send(text.as_bytes().into());
        }
        assert_eq!((client.mail_count(), client.pending_bytes()), (3, 11));
        let mut output = Vec::new();
        client.take_mail(&mut output, 4);
        assert_eq!(output, b"onetwo");
        assert!(client.has_mail());
        client.take_mail(&mut output, 4);
        assert_eq!((output.len(), client.pending_bytes()), (6, 5));
        client.take_mail(&mut output, usize::MAX);
        assert_eq!(output, b"onetwothree");
        assert!(!client.has_mail());
    }

    #[test]
    fn the_hard_limit_is_at_once_and_the_soft_one_takes_time() {
        let client = client();
        let limits = OutputLimits { hard_bytes: 100, soft_bytes: 10, soft_ms: 1_000 };
        let check = |bytes: usize, now_ms: u64, expected: bool| {
            client.output_bytes.store(bytes, Relaxed);
            assert_eq!(client.is_over_limit(now_ms, limits), expected, "{bytes} bytes at {now_ms}");
        };
        check(9, 5_000, false);
        check(100, 5_000, true);
        check(99, 6_000, false);
        check(10, 7_000, false);
        check(10, 7_001, true);
        check(9, 8_000, false);
        check(10, 8_001, false);
        check(10, 9_001, false);
        check(10, 9_002, true);
    }
}
