//! Keys, values, shards and the view of them that a command gets. No locks, no clock, no async in here.

pub mod crc16;
pub mod crc64;
pub mod hashing;
pub mod limits;
pub mod random;
pub mod types;
