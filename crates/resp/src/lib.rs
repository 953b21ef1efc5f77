//! Bytes to RESP and back. No I/O in here.
//!
//! [`parse`] cuts a client's bytes into commands without copying an argument; [`reply`] writes RESP2 or RESP3 into
//! a buffer. [`number`] and [`glob`] are the text forms that the protocol and the commands share.

pub mod glob;
pub mod long_double;
mod natural;
pub mod number;
pub mod parse;
pub mod quote;
pub mod reply;
pub mod request;
mod strtod;

pub use parse::{Batch, ParseLimits, Parser, ProtocolError, Span};
pub use reply::{Proto, Reply};
