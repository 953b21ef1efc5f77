//! Lua's coroutines: `resume` and `wrap`; the rest of the library is Lua's own.
//!
//! They catch the errors of what they run, so they must end when the script is killed. And each is a turn of its own for the hook of
//! instructions, which counts for each coroutine: so a resumption costs steps.

use std::ffi::c_int;

use mlua_sys::{
    LUA_OK, LUA_YIELD, lua_Debug, lua_State, lua_checkstack, lua_concat, lua_getstack, lua_gettop,
    lua_insert, lua_iscfunction, lua_isfunction, lua_isstring, lua_newthread, lua_pushboolean,
    lua_pushcclosure, lua_pushvalue, lua_resume_, lua_status, lua_tothread, lua_upvalueindex, lua_xmove,
    luaL_where,
};

use super::companion::{STEPS, companion};
use super::function::{Raise, check_killed, fail, fail_argument, lua_function, push, tick};

unsafe extern "C-unwind" {
    /// Lua's own, for its coroutine library: the nesting of C calls goes on counting from the one state to the other.
    fn lua_setlevel(from: *mut lua_State, to: *mut lua_State);
}

lua_function!(resume, resume_coroutine);
lua_function!(wrap, wrap_coroutine);
lua_function!(resume_wrapped, resume_wrapped_coroutine);

/// What a coroutine does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Running,
    Suspended,
    Normal,
    Dead,
}

impl Status {
    fn of(L: *mut lua_State, other: *mut lua_State) -> Self {
        if L == other {
            return Self::Running;
        }
        // SAFETY: both are live states of the same machine; a zeroed record is one of numbers and null pointers.
        unsafe {
            match lua_status(other) {
                LUA_YIELD => Self::Suspended,
                LUA_OK => {
                    let mut record: lua_Debug = std::mem::zeroed();
                    if lua_getstack(other, 0, &mut record) > 0 {
                        Self::Normal
                    } else if lua_gettop(other) == 0 {
                        Self::Dead
                    } else {
                        Self::Suspended
                    }
                }
                _ => Self::Dead,
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Normal => "normal",
            Self::Dead => "dead",
        }
    }
}

/// Goes on with a coroutine, which gets the arguments on top. `Ok(Some)` is how many results stand there then; `Ok(None)`: an
/// error's value does.
fn go_on(L: *mut lua_State, other: *mut lua_State, arguments: c_int) -> Result<Option<c_int>, Raise> {
    tick(L, STEPS as u32 / 4)?;
    // SAFETY: both are live states of the same machine, and there is room for what is moved. No error passes `lua_resume`.
    unsafe {
        if lua_checkstack(other, arguments) == 0 {
            return Err(fail(L, b"too many arguments to resume"));
        }
        let status = Status::of(L, other);
        if status != Status::Suspended {
            push(L, format!("cannot resume {} coroutine", status.name()).as_bytes());
            return Ok(None);
        }
        lua_xmove(L, other, arguments);
        lua_setlevel(L, other);
        let companion = companion(L);
        companion.set_running(other);
        companion.end_lenient(true);
        let status = lua_resume_(other, arguments);
        companion.begin_lenient();
        companion.set_running(L);
        check_killed(L)?;
        if !matches!(status, LUA_OK | LUA_YIELD) {
            lua_xmove(other, L, 1);
            return Ok(None);
        }
        let results = lua_gettop(other);
        if lua_checkstack(L, results + 1) == 0 {
            return Err(fail(L, b"too many results to resume"));
        }
        lua_xmove(other, L, results);
        Ok(Some(results))
    }
}

fn resume_coroutine(L: *mut lua_State) -> Result<c_int, Raise> {
    // SAFETY: plain work on the stack.
    unsafe {
        let other = lua_tothread(L, 1);
        if other.is_null() {
            return Err(fail_argument(L, 1, "coroutine expected"));
        }
        let results = go_on(L, other, lua_gettop(L) - 1)?;
        lua_pushboolean(L, c_int::from(results.is_some()));
        let results = results.unwrap_or(1);
        lua_insert(L, -(results + 1));
        Ok(results + 1)
    }
}

fn wrap_coroutine(L: *mut lua_State) -> Result<c_int, Raise> {
    // SAFETY: plain work on the stack; the allocator is lenient.
    unsafe {
        if lua_isfunction(L, 1) == 0 || lua_iscfunction(L, 1) != 0 {
            return Err(fail_argument(L, 1, "Lua function expected"));
        }
        let other = lua_newthread(L);
        lua_pushvalue(L, 1);
        lua_xmove(L, other, 1);
        lua_pushcclosure(L, resume_wrapped, 1);
    }
    Ok(1)
}

fn resume_wrapped_coroutine(L: *mut lua_State) -> Result<c_int, Raise> {
    // SAFETY: the first upvalue is the coroutine; plain work on the stack.
    unsafe {
        let other = lua_tothread(L, lua_upvalueindex(1));
        if let Some(results) = go_on(L, other, lua_gettop(L))? {
            return Ok(results);
        }
        if lua_isstring(L, -1) != 0 {
            luaL_where(L, 1);
            lua_insert(L, -2);
            lua_concat(L, 2);
        }
        Err(Raise)
    }
}
