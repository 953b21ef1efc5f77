//! The commands: a row and a function each, a file per family. Knows the keyspace and RESP, not the engines.

pub mod bits;
pub mod hyperloglog;
pub mod lcs;
