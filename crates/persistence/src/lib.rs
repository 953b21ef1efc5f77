//! Files that outlive the process, in Redis's formats.

pub mod aof;
pub mod check;
pub mod journal;
pub mod rdb;
pub mod storage;
mod sync;
