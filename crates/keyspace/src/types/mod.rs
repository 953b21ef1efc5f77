//! The values of the keyspace, each eight bytes wide whatever its encoding.

pub mod dict;
mod distinct;
pub mod hash;
pub mod intset;
pub mod list;
pub mod listpack;
pub mod set;
pub mod stream;
pub mod tagged;
pub mod thin_bytes;
pub mod zset;
