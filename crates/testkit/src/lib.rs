//! What every black-box test stands on: a server of its own, a raw client, and a real redis-server to compare with.
//!
//! A test starts a [`Server`] on a free port in a directory of its own, talks to it with a [`Client`] that speaks bare
//! RESP, and drops it; a server whose log shows a panic fails its test even if all replies were right. [`every_engine!`]
//! writes one such test per concurrency engine. The [`oracle`] runs random
//! histories against real Redis.
//!
//! The client shares no code with `rustredis-resp` on purpose: a fault in our own encoder would cancel itself out. A
//! Redis client library was rejected as well, because the tests must be able to send broken bytes and to see the exact
//! type of each reply. Everything here panics with a message that tells what was sent and received, for its callers are
//! tests; functions that start with `try_` return the error instead.
//!
//! The environment decides what is tested: `RUSTREDIS_BIN` (the server's binary; a `redis-server` gets no options that
//! only RustRedis knows), `RUSTREDIS_ENGINES` (a comma-separated choice), `RUSTREDIS_KEEP` (keep the directories).

mod client;
mod command;
pub mod contents;
pub mod crash;
mod directory;
mod launch;
pub mod linearize;
pub mod oracle;
pub mod process;
mod random;
pub mod replay;
mod reply;
mod server;
mod suite;
mod wait;

pub use client::{Client, DEADLINE_DEFAULT};
pub use command::{Argument, Command, words};
pub use directory::{Directory, copy_tree};
pub use launch::{Binary, Exited, Launch, Replay};
pub use random::Random;
pub use reply::{DecodeError, Reply, ReplyReader};
pub use server::Server;
pub use suite::{ENGINES, NOT_REPLAYED, engines, run_on_engine};
pub use wait::wait_until;
