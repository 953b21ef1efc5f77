//! The server: sockets, sessions, and the way of a request from bytes to bytes.

pub mod admit;
pub mod blocking;
pub mod client;
pub mod client_list;
pub mod clients_limit;
pub mod commands;
pub mod connection;
pub mod digest;
pub mod eviction;
pub mod execute;
pub mod listen;
pub mod log;
pub mod memory;
pub mod monitor;
pub mod pubsub;
pub mod rdb;
pub mod redact;
pub mod server;
pub mod session;
pub mod settings;
pub mod start;
pub mod stats;
pub mod stream;
pub mod transaction;
pub mod worker;
