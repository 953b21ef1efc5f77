//! The way of a request: from the bytes of a read to the replies, and what a session remembers between.

pub mod admit;
pub mod call;
pub mod caller;
pub mod connection;
pub mod context;
pub mod conversation;
pub mod durability;
pub mod errand;
pub mod execute;
pub mod hold;
pub mod origin;
pub mod record;
pub mod redact;
pub mod replay;
pub mod run;
pub mod session;
pub mod settle;
pub mod step;
pub mod tasks;
pub mod transaction;
pub mod waiters;
pub mod worker;
