//! Linearizability: histories of many clients on few keys, and whether an order of their operations explains every answer.
//!
//! ```text
//! program -> record -> history -> parts -> check -> shrink -> draw
//! ```
//!
//! A [`History`] is recorded on a real server: what each client sent, when, when it was answered, and what. It is right if all
//! operations can be put in one order in which each comes after all that were answered before it was sent, a connection's come in
//! the order of their sending, and each is answered as the [`model`] answers it. A server that is restarted after a power cut
//! goes on with the same history: then what was answered has happened, and what was not has happened before the cut or never.
//!
//! What it cannot tell: fairness; durations; faults of what the model has no word for; and, in histories that fall into parts, orders of a
//! pipeline's commands on keys of different parts. What a BLPOP waits for is known only by its answer, so that one which was
//! served later than it might have been passes.

mod call;
mod check;
mod draw;
mod history;
mod lane;
mod model;
mod program;
mod record;
mod shrink;
mod state;
mod trial;
mod wire;

pub use history::Overlap;
pub use trial::{Failure, Options, Report, run};
