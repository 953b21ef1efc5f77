//! Bytes from and to sockets: listening, streams, and what waits to be sent.

pub mod listen;
pub mod outlet;
pub mod stream;
