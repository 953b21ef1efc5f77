//! The AOF of Redis 7: a directory of files, and a manifest that names those that count.
//!
//! ```text
//! appendonlydir/appendonly.aof.manifest      which files there are, in order
//!               appendonly.aof.1.base.rdb    all data as of one moment, as RDB or as commands
//!               appendonly.aof.1.incr.aof    the commands since then
//! ```
//!
//! Here is what reads and writes the formats, and the threads that write; who writes what is not decided here.

pub mod entry_commands;
mod group;
pub mod manifest;
pub mod reader;
mod syncs;
mod writer;

pub use syncs::Syncs;
pub use writer::{Hooks, Policy, Status, Step, Target, Writer};
