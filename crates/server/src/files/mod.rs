//! The files: append-only file, RDB, loading and snapshots.

pub mod aof;
pub mod delay;
pub mod disk;
pub mod leftovers;
pub mod load;
pub mod rdb;
pub mod recorder;
pub mod replace;
pub mod snapshot;
