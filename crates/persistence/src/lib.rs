//! Files that outlive the process, in Redis's formats.

pub mod aof;
pub mod rdb;
