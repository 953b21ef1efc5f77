//! Lua's basic functions, those that are not Lua's own.
//!
//! What reads or writes tables past their metatables knows shared tables ([`super::sandbox`]); what catches errors ends when the script is
//! killed; what may take long looks whether it goes on. The rest (`type`, `tostring`, `select`, `ipairs` ...) is Lua's.

use std::ffi::c_int;
use std::sync::OnceLock;

use mlua_sys::{
    LUA_GCCOUNT, LUA_GCCOUNTB, LUA_GCRESTART, LUA_GCSETPAUSE, LUA_GCSETSTEPMUL, LUA_GCSTEP, LUA_GCSTOP,
    LUA_MULTRET, LUA_TNIL, LUA_TSTRING, LUA_TTABLE, lua_CFunction, lua_State, lua_gc, lua_getmetatable,
    lua_gettop, lua_insert, lua_isnil, lua_isstring, lua_istable, lua_next, lua_pop, lua_pushboolean,
    lua_pushinteger, lua_pushnil, lua_pushnumber, lua_pushvalue, lua_rawget_, lua_rawset, lua_remove,
    lua_replace, lua_setmetatable, lua_settop, lua_tocfunction, lua_type, lua_upvalueindex,
};

use super::companion::{STEPS, companion};
use super::function::{
    Raise, any_argument, call, call_handled, check_killed, fail, fail_argument, lua_function,
    lua_plain_function, optional_integer, optional_string, push, table_argument, to_bytes,
};
use super::state::{Slot, push_slot};
use super::{look, sandbox};

/// Kilobytes of a slice of a collection that a script asks for.
const SLICE_KB: i64 = 16;

/// Calls of `next` between two looks.
const CALLS: u32 = 16;

lua_function!(pcall, protected_call);
lua_function!(xpcall, protected_call_with_handler);
lua_function!(getmetatable, get_metatable);
lua_function!(setmetatable, set_metatable);
lua_function!(rawget, raw_get);
lua_plain_function!(
    /// An index that is nil or no number is Lua's own error, which jumps: nothing drops.
    rawset,
    raw_set
);
lua_plain_function!(
    /// A key that the table does not have is Lua's own error, which jumps: nothing drops.
    next,
    next_pair
);
lua_function!(pairs, all_pairs);
lua_function!(collectgarbage, collect_garbage);
lua_function!(gcinfo, kilobytes);
lua_function!(clock, processor_seconds);

/// Lua's own `tonumber`.
static LUA_TO_NUMBER: OnceLock<lua_CFunction> = OnceLock::new();

/// Digits of which every number is exact, and in eight bytes.
const DIGITS_MAX: usize = 15;

/// Takes note of Lua's own `tonumber`, which is on top.
pub(super) fn keep_tonumber(L: *mut lua_State) {
    // SAFETY: looks at the stack.
    if let Some(function) = unsafe { lua_tocfunction(L, -1) } {
        LUA_TO_NUMBER.get_or_init(|| function);
    }
}

/// Lua's `tonumber`, which asks C's `strtod`: a thousand instructions, where a counter's few digits take some dozen. All else is Lua's own to
/// judge.
///
/// # Safety
/// Lua calls it for a state of this crate's.
pub(super) unsafe extern "C-unwind" fn tonumber(L: *mut lua_State) -> c_int {
    // SAFETY: looks at the stack and pushes; nothing in this frame drops where Lua's own function raises.
    unsafe {
        if lua_gettop(L) == 1
            && lua_type(L, 1) == LUA_TSTRING
            && let Some(number) = to_bytes(L, 1).and_then(short_integer)
        {
            lua_pushnumber(L, number);
            return 1;
        }
        LUA_TO_NUMBER.get().map_or(0, |function| function(L))
    }
}

/// What these digits spell, with or without a sign; `None` if it is anything else, or long.
fn short_integer(text: &[u8]) -> Option<f64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || digits.len() > DIGITS_MAX {
        return None;
    }
    let number = digits
        .iter()
        .try_fold(0_u64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0')))?
        as f64;
    Some(if digits.len() < text.len() { -number } else { number })
}

/// As Redis's: of an error table the script gets the text.
fn protected_call(L: *mut lua_State) -> Result<c_int, Raise> {
    // SAFETY: plain work on the stack, and what may raise is called by `call`.
    unsafe {
        // The place of the verdict is taken before the results are there, for they may fill the stack.
        lua_pushboolean(L, 1);
        lua_insert(L, 1);
        let arguments = lua_gettop(L) - 2;
        let is_ok = if arguments < 0 {
            push(L, b"attempt to call a nil value");
            false
        } else {
            call(L, arguments, LUA_MULTRET)
        };
        if !is_ok {
            check_killed(L)?;
            if lua_istable(L, -1) != 0 && !sandbox::is_shared(L, -1) {
                push(L, b"err");
                lua_rawget_(L, -2);
                // A field that is no text is a third result there, nil too.
                if lua_isstring(L, -1) != 0 {
                    lua_replace(L, -2);
                }
            }
            lua_pushboolean(L, 0);
            lua_replace(L, 1);
        }
        Ok(lua_gettop(L))
    }
}

fn protected_call_with_handler(L: *mut lua_State) -> Result<c_int, Raise> {
    any_argument(L, 2)?;
    // SAFETY: as in `protected_call`.
    unsafe {
        lua_settop(L, 2);
        lua_insert(L, 1);
        lua_pushboolean(L, 1);
        lua_insert(L, 1);
        if !call_handled(L, 0, 2) {
            check_killed(L)?;
            lua_pushboolean(L, 0);
            lua_replace(L, 1);
        }
        lua_remove(L, 2);
        Ok(lua_gettop(L))
    }
}

fn get_metatable(L: *mut lua_State) -> Result<c_int, Raise> {
    any_argument(L, 1)?;
    // SAFETY: raw accesses to what is on the stack.
    unsafe {
        if lua_type(L, 1) == LUA_TSTRING {
            push_slot(L, Slot::StringMetatable);
            return Ok(1);
        }
        if sandbox::push_shown(L, 1) {
            return Ok(1);
        }
        if lua_getmetatable(L, 1) == 0 {
            lua_pushnil(L);
            return Ok(1);
        }
        push(L, b"__metatable");
        lua_rawget_(L, -2);
        if lua_isnil(L, -1) != 0 {
            lua_pop(L, 1);
        }
        Ok(1)
    }
}

fn set_metatable(L: *mut lua_State) -> Result<c_int, Raise> {
    table_argument(L, 1)?;
    // SAFETY: as in `get_metatable`.
    unsafe {
        if !matches!(lua_type(L, 2), LUA_TNIL | LUA_TTABLE) {
            return Err(fail_argument(L, 2, "nil or table expected"));
        }
        sandbox::check_changeable(L, 1)?;
        if lua_getmetatable(L, 1) != 0 {
            push(L, b"__metatable");
            lua_rawget_(L, -2);
            if lua_isnil(L, -1) == 0 {
                return Err(fail(L, b"cannot change a protected metatable"));
            }
        }
        lua_settop(L, 2);
        lua_setmetatable(L, 1);
        Ok(1)
    }
}

fn raw_get(L: *mut lua_State) -> Result<c_int, Raise> {
    table_argument(L, 1)?;
    any_argument(L, 2)?;
    // SAFETY: as in `get_metatable`.
    unsafe {
        lua_settop(L, 2);
        sandbox::see_through(L, 1);
        lua_rawget_(L, 1);
        Ok(1)
    }
}

fn raw_set(L: *mut lua_State) -> Result<c_int, Raise> {
    table_argument(L, 1)?;
    any_argument(L, 2)?;
    any_argument(L, 3)?;
    sandbox::check_changeable(L, 1)?;
    // SAFETY: as in `get_metatable`; the error of an index that cannot be one jumps over plain frames.
    unsafe {
        lua_settop(L, 3);
        lua_rawset(L, 1);
    }
    Ok(1)
}

/// A step over a table that is mostly empty may search for milliseconds, so there are few of them between two looks.
fn next_pair(L: *mut lua_State) -> Result<c_int, Raise> {
    table_argument(L, 1)?;
    // SAFETY: as in `raw_set`.
    unsafe {
        lua_settop(L, 2);
        sandbox::see_through(L, 1);
        let companion = companion(L);
        if !companion.spend(STEPS as u32 / CALLS) {
            look::look(L, companion)?;
        }
        if lua_next(L, 1) != 0 {
            Ok(2)
        } else {
            lua_pushnil(L);
            Ok(1)
        }
    }
}

fn all_pairs(L: *mut lua_State) -> Result<c_int, Raise> {
    table_argument(L, 1)?;
    // SAFETY: the first upvalue is `next`.
    unsafe {
        lua_pushvalue(L, lua_upvalueindex(1));
        lua_pushvalue(L, 1);
        lua_pushnil(L);
    }
    Ok(3)
}

fn collect_garbage(L: *mut lua_State) -> Result<c_int, Raise> {
    let option = optional_string(L, 1)?.unwrap_or(b"collect");
    let number = optional_integer(L, 2, 0)?;
    // SAFETY: as in `look::collect`: no object has a finalizer.
    unsafe {
        let companion = companion(L);
        match option {
            b"collect" => {
                look::collect(L, companion)?;
                look::look(L, companion)?;
                lua_pushinteger(L, 0);
            }
            b"step" => {
                let mut left = number.clamp(0, 1 << 30);
                let is_over = loop {
                    if lua_gc(L, LUA_GCSTEP, left.min(SLICE_KB) as c_int) != 0 {
                        break true;
                    }
                    left -= SLICE_KB;
                    if left <= 0 {
                        break false;
                    }
                    look::look(L, companion)?;
                };
                look::look(L, companion)?;
                lua_pushboolean(L, c_int::from(is_over));
            }
            b"count" => {
                let bytes = f64::from(lua_gc(L, LUA_GCCOUNTB, 0));
                lua_pushnumber(L, f64::from(lua_gc(L, LUA_GCCOUNT, 0)) + bytes / 1024.0);
            }
            b"stop" => lua_pushinteger(L, lua_gc(L, LUA_GCSTOP, 0).into()),
            b"restart" => lua_pushinteger(L, lua_gc(L, LUA_GCRESTART, 0).into()),
            // A collector that does all its work at once, or next to none, would escape the looks.
            b"setpause" => {
                companion.note_set_up();
                let pause = number.clamp(0, 1000) as c_int;
                lua_pushinteger(L, lua_gc(L, LUA_GCSETPAUSE, pause).into());
            }
            b"setstepmul" => {
                companion.note_set_up();
                let factor = number.clamp(50, 1000) as c_int;
                lua_pushinteger(L, lua_gc(L, LUA_GCSETSTEPMUL, factor).into());
            }
            _ => {
                let text = format!("invalid option '{}'", String::from_utf8_lossy(option));
                return Err(fail_argument(L, 1, &text));
            }
        }
    }
    Ok(1)
}

fn kilobytes(L: *mut lua_State) -> Result<c_int, Raise> {
    // SAFETY: asks for a number and pushes it.
    unsafe { lua_pushnumber(L, f64::from(lua_gc(L, LUA_GCCOUNT, 0))) }
    Ok(1)
}

/// Processor time of the process.
fn processor_seconds(L: *mut lua_State) -> Result<c_int, Raise> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the system fills what it is given.
    unsafe {
        libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time);
        lua_pushnumber(L, time.tv_sec as f64 + time.tv_nsec as f64 / 1e9);
    }
    Ok(1)
}
