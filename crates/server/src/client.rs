//! What other connections may know of a client and do to it: its mailbox, its registry entry.
//!
//! A connection is a task on one thread; its [`Client`] is the part that others reach. Messages (pub/sub, MONITOR) are put
//! into the mailbox, already encoded, and the task is woken; it writes them between replies. A mailbox over its limit
//! closes the client, as Redis does with a subscriber that does not read.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed,
};

use atomic_waker::AtomicWaker;
use parking_lot::{Mutex, RwLock};

use crate::blocking::BlockedClient;

/// What a client is called and who it is.
#[derive(Debug, Default, Clone)]
pub struct Identity {
    /// `CLIENT SETNAME`.
    pub name: String,
    /// `CLIENT SETINFO LIB-NAME`.
    pub lib_name: String,
    /// `CLIENT SETINFO LIB-VER`.
    pub lib_ver: String,
    /// The authenticated user.
    pub user: String,
}

#[derive(Debug, Default)]
struct Mailbox {
    messages: VecDeque<Arc<[u8]>>,
    bytes: usize,
    /// When the soft limit was first passed, in Unix ms; 0 if it is not.
    soft_since_ms: u64,
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
    /// Keys watched.
    pub watched: AtomicUsize,
    /// Bytes of unparsed input.
    pub input_bytes: AtomicUsize,
    /// Capacity of the input buffer.
    pub input_capacity: AtomicUsize,
    /// Bytes of replies not yet sent.
    pub output_bytes: AtomicUsize,
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
    mailbox: Mutex<Mailbox>,
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
}

/// Limits of a mailbox, from `client-output-buffer-limit pubsub`.
#[derive(Clone, Copy, Debug)]
pub struct MailLimits {
    /// Bytes that close the client at once; 0 none.
    pub hard_bytes: usize,
    /// Bytes that close it after `soft_ms`; 0 none.
    pub soft_bytes: usize,
    /// How long the soft limit may be passed.
    pub soft_ms: u64,
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
            watched: AtomicUsize::new(0),
            input_bytes: AtomicUsize::new(0),
            input_capacity: AtomicUsize::new(0),
            output_bytes: AtomicUsize::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            identity: Mutex::new(Identity { user: "default".into(), ..Identity::default() }),
            waiting: Mutex::new(None),
            mailbox: Mutex::default(),
            has_mail: AtomicBool::new(false),
            is_killed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// Puts a message, encoded in the client's protocol, into the mailbox.
    pub fn send(&self, message: Arc<[u8]>, now_ms: u64, limits: MailLimits) {
        let mut mailbox = self.mailbox.lock();
        mailbox.bytes += message.len();
        mailbox.messages.push_back(message);
        let bytes = mailbox.bytes + self.output_bytes.load(Relaxed);
        if limits.soft_bytes > 0 && bytes > limits.soft_bytes {
            if mailbox.soft_since_ms == 0 {
                mailbox.soft_since_ms = now_ms;
            }
        } else {
            mailbox.soft_since_ms = 0;
        }
        let is_too_long =
            mailbox.soft_since_ms > 0 && now_ms.saturating_sub(mailbox.soft_since_ms) > limits.soft_ms;
        let is_too_much = limits.hard_bytes > 0 && bytes > limits.hard_bytes || is_too_long;
        drop(mailbox);
        self.has_mail.store(true, std::sync::atomic::Ordering::Release);
        if is_too_much {
            tracing::warn!(
                "Client id={} addr={} closed for overcoming of output buffer limits ({bytes} bytes).",
                self.id,
                self.addr
            );
            self.kill();
        }
        self.waker.wake();
    }

    /// Moves the mail to the end of `output`.
    pub fn take_mail(&self, output: &mut Vec<u8>) {
        if !self.has_mail.swap(false, std::sync::atomic::Ordering::Acquire) {
            return;
        }
        let mut mailbox = self.mailbox.lock();
        for message in mailbox.messages.drain(..) {
            output.extend_from_slice(&message);
        }
        mailbox.bytes = 0;
    }

    /// Whether there is mail.
    pub fn has_mail(&self) -> bool {
        self.has_mail.load(Relaxed)
    }

    /// Bytes in the mailbox.
    pub fn mail_bytes(&self) -> usize {
        self.mailbox.lock().bytes
    }

    /// Asks the connection to close as soon as it can.
    pub fn kill(&self) {
        self.is_killed.store(true, Relaxed);
        self.waker.wake();
    }

    /// Whether it was asked to close.
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

/// All clients that are connected.
#[derive(Debug, Default)]
pub struct Clients {
    by_id: RwLock<HashMap<u64, Arc<Client>>>,
    next_id: AtomicU64,
}

impl Clients {
    /// An id that was never used.
    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Relaxed) + 1
    }

    /// Adds a client.
    pub fn add(&self, client: Arc<Client>) {
        self.by_id.write().insert(client.id, client);
    }

    /// Removes a client.
    pub fn remove(&self, id: u64) {
        self.by_id.write().remove(&id);
    }

    /// The client with this id.
    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.by_id.read().get(&id).cloned()
    }

    /// All clients, in the order of their ids.
    pub fn all(&self) -> Vec<Arc<Client>> {
        let mut all: Vec<_> = self.by_id.read().values().cloned().collect();
        all.sort_unstable_by_key(|client| client.id);
        all
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.read().len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
