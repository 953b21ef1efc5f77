//! Lua as it stands under a script: a state with its memory and its turn, what of Lua's own library is replaced, and `redis.*`.
//!
//! A state is never seen by two threads, and a script never by another: what they share (the functions, the tables that hold
//! them) is read-only ([`sandbox`]), and what a script makes is gone when it has ended.

mod allocator;
mod base;
pub(crate) mod bytecode;
mod calls;
pub(crate) mod companion;
pub(crate) mod compile;
mod convert;
mod coroutine;
pub(crate) mod errors;
pub(crate) mod function;
mod globals;
pub(crate) mod ground;
pub(crate) mod look;
mod raise;
mod random;
mod redis;
mod register;
pub(crate) mod reply;
pub(crate) mod sandbox;
mod spare;
pub(crate) mod state;
