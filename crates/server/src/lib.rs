//! The server: sockets, sessions, and the way of a request from bytes to bytes.

pub mod check;
pub mod clients;
pub mod clock;
pub mod commands;
pub mod files;
pub mod gate;
pub mod net;
pub mod request;
pub mod scripts;
pub mod start;
pub mod upkeep;
