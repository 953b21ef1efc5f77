//! Lua scripts.

pub mod proof;
