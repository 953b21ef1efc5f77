//! A library's text, run: on FUNCTION LOAD, and once in each state that runs one of its functions.

use mlua_sys::{LUA_OK, lua_pcall, lua_pop};

use crate::lua::companion::Registered;
use crate::lua::compile::{By, compile};
use crate::lua::errors::{Failure, failure};
use crate::lua::sandbox;
use crate::lua::state::{Slot, State, push_slot};

/// Compiles and runs a text, which sees little more than `redis.register_function`, and says what it registers. The host is lent. Lua's stack is
/// left as it was.
pub(super) fn run_text(state: &State, text: &[u8]) -> Result<Vec<Registered>, Failure> {
    let L = state.lua();
    let companion = state.companion();
    push_slot(L, Slot::Handler);
    if !compile(L, text, b"@user_function", By::Script) {
        let told = state.take_text();
        // SAFETY: the handler was pushed.
        unsafe { lua_pop(L, 1) }
        if companion.is_killed() {
            return Err(killed(state));
        }
        return Err(Failure {
            text: [b"ERR Error compiling function: ", &told[..]].concat(),
            is_counted: false,
        });
    }
    stand_for(state, Slot::LoadReal);
    companion.begin_registering();
    // SAFETY: handler and function are on top; no error passes.
    let status = unsafe {
        companion.end_lenient(true);
        let status = lua_pcall(L, 0, 0, -2);
        companion.begin_lenient();
        status
    };
    let registered = companion.end_registering();
    stand_for(state, Slot::FunctionReal);
    let result = if status == LUA_OK {
        if registered.is_empty() {
            Err(Failure { text: b"ERR No functions registered".to_vec(), is_counted: false })
        } else {
            Ok(registered)
        }
    } else {
        let is_counted = false;
        let told = failure(L, companion, b"").text;
        let text = [b"ERR Error registering functions: ", &told[..]].concat();
        Err(Failure { text, is_counted })
    };
    // SAFETY: the handler is left.
    unsafe { lua_pop(L, 1) }
    result
}

/// Makes the environment of libraries stand for another table.
fn stand_for(state: &State, slot: Slot) {
    let L = state.lua();
    push_slot(L, Slot::FunctionGlobals);
    push_slot(L, slot);
    sandbox::stand_for(L, -2);
    // SAFETY: the proxy is left.
    unsafe { lua_pop(L, 1) }
}

/// The failure of a library that was killed while it was compiled.
fn killed(state: &State) -> Failure {
    push_slot(state.lua(), Slot::Handler);
    failure(state.lua(), state.companion(), b"")
}
