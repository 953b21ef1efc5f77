//! Lua scripts and functions, as Redis has them.
//!
//! A script runs on a stack of its own ([`machine::Run`]): after every few instructions, and in each library function that may take long, it looks
//! whether its turn is over, and then switches back to the thread that runs it, wherever it is: inside `pcall`, a metamethod or a
//! coroutine of Lua's. So it can wait, and be ended, at any point. It reaches the server by one narrow trait, [`Host`], and the crate
//! knows neither sockets nor engines.

// `L` is what Lua's manual calls a state.
#![allow(non_snake_case)]

pub mod function;
mod host;
mod library;
mod lua;
pub mod machine;
pub mod proof;
pub mod script;
mod sha1;

pub use host::{Host, Level, Look};
