//! Snapshots of the running server: BGSAVE, the rewrite of the append-only file, turning that on and off, and what replicas begin with.
//!
//! One thread takes them, one after the other. It holds everything for the moment in which a snapshot begins (see
//! `keyspace::snapshot`), then each shard for as long as encoding what it holds takes, and writes between these. There is no
//! fork: no pause that grows with the memory, no second copy of the pages that change.
//!
//! Wishes go to [`Snapshots`], which knows nothing of how they are granted; its threads do (`threads`, `jobs`, `take`).

mod due;
mod dumps;
mod failure;
mod jobs;
pub mod orders;
mod output;
pub mod samples;
mod snapshots;
mod state;
mod take;
mod threads;

pub use snapshots::{Parts, Snapshots};
pub use state::{Job, State, Wish};
