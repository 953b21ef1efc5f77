//! `redis.register_function`, which there is while a library is loaded.

use std::ffi::c_int;

use mlua_sys::{
    LUA_REGISTRYINDEX, LUA_TTABLE, lua_State, lua_gettop, lua_isfunction, lua_isnil, lua_isstring,
    lua_istable, lua_next, lua_pop, lua_pushnil, lua_pushvalue, lua_rawgeti_, lua_settop, lua_type, luaL_ref,
};

use super::companion::{Registered, companion};
use super::errors::raise;
use super::function::{Raise, lua_function, tick, to_bytes};
use crate::function::{Function, FunctionFlags, is_name};

/// Most functions of a library.
const FUNCTIONS_MAX: usize = 1 << 16;

lua_function!(register_function, register);

/// What a call says.
#[derive(Default)]
struct Wanted {
    name: Option<Box<[u8]>>,
    description: Option<Box<[u8]>>,
    flags: FunctionFlags,
    /// Where on the stack the function is.
    callback: Option<c_int>,
}

fn register(L: *mut lua_State) -> Result<c_int, Raise> {
    // SAFETY: a state of this crate's.
    let registered = unsafe { companion(L) }.registered();
    if registered.borrow().is_none() {
        return Err(raise(L, "redis.register_function can only be called on FUNCTION LOAD command"));
    }
    // SAFETY: looks at the stack.
    let wanted = match unsafe { lua_gettop(L) } {
        1 => named(L)?,
        2 => positional(L)?,
        _ => return Err(raise(L, "wrong number of arguments to redis.register_function")),
    };
    let Some(name) = wanted.name else {
        return Err(raise(L, "redis.register_function must get a function name argument"));
    };
    let Some(callback) = wanted.callback else {
        return Err(raise(L, "redis.register_function must get a callback argument"));
    };
    if !is_name(&name) {
        // The words are those that Redis has for libraries.
        return Err(raise(L, crate::function::BAD_NAME));
    }
    let mut registered = registered.borrow_mut();
    let functions = registered.get_or_insert_default();
    if functions.iter().any(|registered| registered.function.name == name) {
        drop(registered);
        return Err(raise(L, "Function already exists in the library"));
    }
    if functions.len() >= FUNCTIONS_MAX {
        drop(registered);
        return Err(raise(L, "too many functions"));
    }
    // SAFETY: the function is on the stack.
    let reference = unsafe {
        lua_pushvalue(L, callback);
        luaL_ref(L, LUA_REGISTRYINDEX)
    };
    let function = Function { name, description: wanted.description, flags: wanted.flags };
    functions.push(Registered { function, reference });
    Ok(0)
}

/// `register_function(name, callback)`.
fn positional(L: *mut lua_State) -> Result<Wanted, Raise> {
    let Some(name) = text(L, 1) else {
        return Err(raise(L, "first argument to redis.register_function must be a string"));
    };
    // SAFETY: looks at the stack.
    if unsafe { lua_isfunction(L, 2) } == 0 {
        return Err(raise(L, "second argument to redis.register_function must be a function"));
    }
    Ok(Wanted { name: Some(name), callback: Some(2), ..Wanted::default() })
}

/// `register_function{function_name = ..., callback = ..., flags = ..., description = ...}`.
fn named(L: *mut lua_State) -> Result<Wanted, Raise> {
    // SAFETY: looks at the stack; the table that is walked is not changed meanwhile.
    unsafe {
        if lua_istable(L, 1) == 0 {
            return Err(raise(
                L,
                "calling redis.register_function with a single argument is only applicable to Lua table \
                 (representing named arguments).",
            ));
        }
        let mut wanted = Wanted::default();
        // The place of the callback.
        lua_pushnil(L);
        lua_pushnil(L);
        while lua_next(L, 1) != 0 {
            tick(L, 20)?;
            if lua_isstring(L, 3) == 0 {
                return Err(raise(L, "named argument key given to redis.register_function is not a string"));
            }
            // The key may be a number, which must not become a string while its table is walked.
            lua_pushvalue(L, 3);
            let key = text(L, -1).unwrap_or_default();
            lua_pop(L, 1);
            if key.eq_ignore_ascii_case(b"function_name") {
                wanted.name = Some(text(L, 4).ok_or_else(|| {
                    raise(L, "function_name argument given to redis.register_function must be a string")
                })?);
            } else if key.eq_ignore_ascii_case(b"description") {
                wanted.description = Some(text(L, 4).ok_or_else(|| {
                    raise(L, "description argument given to redis.register_function must be a string")
                })?);
            } else if key.eq_ignore_ascii_case(b"callback") {
                if lua_isfunction(L, 4) == 0 {
                    return Err(raise(
                        L,
                        "callback argument given to redis.register_function must be a function",
                    ));
                }
                lua_pushvalue(L, 4);
                mlua_sys::lua_replace(L, 2);
                wanted.callback = Some(2);
            } else if key.eq_ignore_ascii_case(b"flags") {
                if lua_type(L, 4) != LUA_TTABLE {
                    return Err(raise(
                        L,
                        "flags argument to redis.register_function must be a table representing function flags",
                    ));
                }
                wanted.flags = flags(L, 4)?;
            } else {
                return Err(raise(L, "unknown argument given to redis.register_function"));
            }
            lua_settop(L, 3);
        }
        Ok(wanted)
    }
}

/// The flags in the table at `index`, up to the first nil.
fn flags(L: *mut lua_State, index: c_int) -> Result<FunctionFlags, Raise> {
    let mut flags = FunctionFlags::default();
    for number in 1.. {
        tick(L, 20)?;
        // SAFETY: a table is at the index.
        let is_end = unsafe {
            lua_rawgeti_(L, index, number);
            lua_isnil(L, -1) != 0
        };
        if is_end {
            break;
        }
        let flag = text(L, -1).and_then(|name| FunctionFlags::by_name(&name.to_ascii_lowercase()));
        flags |= flag.ok_or_else(|| raise(L, "unknown flag given"))?;
        // SAFETY: the flag's name is on top.
        unsafe { lua_pop(L, 1) }
    }
    Ok(flags)
}

/// A string, or a number as its text.
fn text(L: *mut lua_State, index: c_int) -> Option<Box<[u8]>> {
    // SAFETY: looks at the stack.
    if unsafe { lua_isstring(L, index) } == 0 { None } else { to_bytes(L, index).map(Box::from) }
}
