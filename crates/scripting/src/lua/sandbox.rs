//! Tables that all scripts share and none can change.
//!
//! Redis gives a table a flag for it, which stock Lua does not have. Here a script has a *proxy*: an empty table, whose metatable sends reads to
//! the real one and refuses writes. Lua's own code can so neither read past it nor write into it, and what reads or writes tables without
//! asking metatables is ours: `next`, `pairs`, `rawget`, `rawset`, `getmetatable`, `setmetatable`, `table.*`. They know a proxy by a key of
//! its metatable that no script can have, and behave as Redis does for the real table. The length of a shared table is 0 either way:
//! none has an element 1.
//!
//! Neither a real table nor a proxy's metatable is ever given to a script.

use std::ffi::{c_int, c_void};
use std::ptr;

use mlua_sys::{
    LUA_TSTRING, LUA_TTABLE, lua_State, lua_checkstack, lua_createtable, lua_getmetatable, lua_gettop,
    lua_insert, lua_newtable, lua_pop, lua_pushcfunction, lua_pushlightuserdata, lua_pushvalue, lua_rawget_,
    lua_rawset, lua_remove, lua_replace, lua_setmetatable, lua_type,
};

use super::function::lua_function;
use super::raise::{Raise, fail, push, to_bytes};

/// The error of a write to a shared table.
const READONLY: &[u8] = b"Attempt to modify a readonly table";

/// Its address is the key under which a proxy's metatable has the real table.
static REAL: u8 = 0;

/// Its address is the key under which a proxy's metatable has what `getmetatable` shows; nil if nothing.
static SHOWN: u8 = 1;

lua_function!(refuse_write, write_refused);
lua_function!(refuse_read, read_refused);

fn write_refused(L: *mut lua_State) -> Result<c_int, Raise> {
    Err(fail(L, READONLY))
}

/// A global that there is not; arguments are the table and the name.
fn read_refused(L: *mut lua_State) -> Result<c_int, Raise> {
    // SAFETY: looks at the stack.
    let is_named = unsafe { matches!(lua_type(L, 2), LUA_TSTRING | mlua_sys::LUA_TNUMBER) };
    let Some(name) = to_bytes(L, 2).filter(|_| is_named) else {
        return Err(fail(L, b"Second argument to luaProtectedTableError must be a string or number"));
    };
    let text = [b"Script attempted to access nonexistent global variable '", name, b"'"].concat();
    Err(fail(L, &text))
}

fn push_key(L: *mut lua_State, key: &'static u8) {
    // SAFETY: pushes an address, which is never read through.
    unsafe { lua_pushlightuserdata(L, ptr::from_ref(key).cast_mut().cast::<c_void>()) }
}

/// Replaces the table on top of the stack by a proxy for it. `getmetatable` shows nil for it.
pub(crate) fn share(L: *mut lua_State) {
    // SAFETY: pushes and raw accesses to tables that are on the stack; the state is being built, so nothing is refused.
    unsafe {
        lua_checkstack(L, 6);
        lua_newtable(L);
        lua_createtable(L, 0, 4);
        lua_pushvalue(L, -3);
        set_top(L, b"__index");
        lua_pushcfunction(L, refuse_write);
        set_top(L, b"__newindex");
        push_key(L, &REAL);
        lua_pushvalue(L, -4);
        lua_rawset(L, -3);
        lua_setmetatable(L, -2);
        lua_replace(L, -2);
    }
}

/// Makes `getmetatable` of the proxy at `index` show the value on top, which is popped.
pub(crate) fn show_metatable(L: *mut lua_State, index: c_int) {
    // SAFETY: as in `share`; the value at the index is a proxy.
    unsafe {
        lua_getmetatable(L, index);
        lua_insert(L, -2);
        push_key(L, &SHOWN);
        lua_insert(L, -2);
        lua_rawset(L, -3);
        lua_pop(L, 1);
    }
}

/// Makes the proxy at `index` stand for the table on top, which is popped.
pub(crate) fn stand_for(L: *mut lua_State, index: c_int) {
    // SAFETY: as in `show_metatable`.
    unsafe {
        lua_getmetatable(L, index);
        lua_insert(L, -2);
        push_key(L, &REAL);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
        set_top(L, b"__index");
        lua_pop(L, 1);
    }
}

/// Makes reads of what the table on top does not have an error, as for globals.
pub(crate) fn refuse_missing(L: *mut lua_State) {
    // SAFETY: as in `share`.
    unsafe {
        lua_createtable(L, 0, 1);
        push_refuse_read(L);
        set_top(L, b"__index");
        lua_setmetatable(L, -2);
    }
}

/// Pushes the function that refuses to read what there is not.
pub(crate) fn push_refuse_read(L: *mut lua_State) {
    // SAFETY: as in `share`.
    unsafe { lua_pushcfunction(L, refuse_read) }
}

/// Sets a field of the table below the top to the value on top, which is popped, without metamethods.
pub(crate) fn set_top(L: *mut lua_State, name: &[u8]) {
    // SAFETY: as in `share`.
    unsafe {
        push(L, name);
        lua_insert(L, -2);
        lua_rawset(L, -3);
    }
}

/// Pushes the real table of the proxy at `index`; pushes nothing and says `false` if there is no proxy.
#[inline]
pub(crate) fn push_real(L: *mut lua_State, index: c_int) -> bool {
    // SAFETY: looks at the stack and pushes.
    unsafe {
        if lua_getmetatable(L, index) == 0 {
            return false;
        }
        push_key(L, &REAL);
        lua_rawget_(L, -2);
        if lua_type(L, -1) != LUA_TTABLE {
            lua_pop(L, 2);
            return false;
        }
        lua_remove(L, -2);
        true
    }
}

/// Whether the value at `index` is a proxy.
#[inline]
pub(crate) fn is_shared(L: *mut lua_State, index: c_int) -> bool {
    let is_shared = push_real(L, index);
    if is_shared {
        // SAFETY: the real table was pushed.
        unsafe { lua_pop(L, 1) }
    }
    is_shared
}

/// Puts the real table in the place of the proxy at `index`, to be walked; leaves any other value. It must not be given to a script.
#[inline]
pub(crate) fn see_through(L: *mut lua_State, index: c_int) {
    // SAFETY: looks at the stack; the index is made one from the bottom before anything is pushed.
    unsafe {
        let index = if index < 0 { lua_gettop(L) + index + 1 } else { index };
        if push_real(L, index) {
            lua_replace(L, index);
        }
    }
}

/// Says whether the table at `index` may be changed.
///
/// # Errors
/// It is shared. The text has no place in front, as Redis's where a function of C writes.
pub(crate) fn check_changeable(L: *mut lua_State, index: c_int) -> Result<(), Raise> {
    if !is_shared(L, index) {
        return Ok(());
    }
    push(L, READONLY);
    Err(Raise)
}

/// Pushes what `getmetatable` shows for the proxy at `index`, nil perhaps; pushes nothing and says `false` if there is no proxy.
pub(crate) fn push_shown(L: *mut lua_State, index: c_int) -> bool {
    // SAFETY: as in `push_real`.
    unsafe {
        if !is_shared(L, index) || lua_getmetatable(L, index) == 0 {
            return false;
        }
        push_key(L, &SHOWN);
        lua_rawget_(L, -2);
        lua_remove(L, -2);
        true
    }
}
