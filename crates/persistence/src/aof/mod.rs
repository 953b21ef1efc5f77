//! The append-only file.

mod writer;

pub use writer::{Hooks, Policy, Status, Target, Writer};
