//! What stands at the bottom of a state's stack, at hand for each run by its index: what runs stands above.
//!
//! To make a string of a name, or to ask the registry, costs Lua a hundred instructions; a run would do it a dozen times.

use std::ffi::c_int;

use mlua_sys::lua_State;

use super::raise::push;

/// Values by their indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// The handler of errors.
    Handler = 1,
    /// The table behind the globals of scripts.
    ScriptReal,
    /// `KEYS`.
    Keys,
    /// `ARGV`.
    Arguments,
}

/// Index of the first of the reply's names.
pub(super) const REPLY_NAMES: c_int = 5;

/// The fields that say what a table is that a script returns, in the order in which they count.
const NAMES: [&[u8]; 7] = [b"err", b"ok", b"double", b"map", b"set", b"big_number", b"verbatim_string"];

/// Index of the topmost value.
pub(crate) const GROUND: c_int = REPLY_NAMES - 1 + NAMES.len() as c_int;

/// Lays all names on handler and table, which are alone on the stack.
pub(super) fn lay_names(L: *mut lua_State) {
    push(L, b"KEYS");
    push(L, b"ARGV");
    for name in NAMES {
        push(L, name);
    }
}
