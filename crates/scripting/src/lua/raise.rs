//! Errors on their way to Lua, and texts to and fro: what everything else of this folder is made with.

use std::ffi::c_int;
use std::ptr;

use mlua_sys::{lua_State, lua_concat, lua_pushlstring_, lua_tolstring, luaL_where};

/// The error's value stands on top of Lua's stack: the shell raises it when the body has ended.
#[derive(Debug)]
pub(crate) struct Raise;

/// Pushes bytes as a string of Lua's.
#[inline]
pub(crate) fn push(L: *mut lua_State, text: &[u8]) {
    // SAFETY: the bytes are there to be read; Lua copies them.
    unsafe { lua_pushlstring_(L, text.as_ptr().cast(), text.len()) }
}

/// Pushes an error's text behind the place of the function that called this one.
pub(crate) fn fail(L: *mut lua_State, text: &[u8]) -> Raise {
    // SAFETY: pushes, which raise nothing while the allocator is lenient.
    unsafe {
        luaL_where(L, 1);
        push(L, text);
        lua_concat(L, 2);
    }
    Raise
}

/// The bytes of the string at an index, or of the number, which becomes one there; `None` for other values. They stay valid while the value
/// stays on the stack.
#[inline]
pub(crate) fn to_bytes<'l>(L: *mut lua_State, index: c_int) -> Option<&'l [u8]> {
    let mut length = 0;
    // SAFETY: Lua says where the bytes are and how many; strings do not move, and this one is held by the stack.
    unsafe {
        let start = lua_tolstring(L, index, ptr::from_mut(&mut length));
        if start.is_null() { None } else { Some(std::slice::from_raw_parts(start.cast(), length)) }
    }
}
