//! The globals of scripts and of libraries.
//!
//! There are two sets in a state, as Redis has two machines: scripts have KEYS and ARGV and the whole of `redis`, the functions of libraries
//! have neither KEYS nor what only EVAL has. A library's text sees almost nothing while it is loaded: `redis.register_function` and the log.
//! Its environment is one proxy all the same, which is made to stand for the one or the other, for its functions keep it.

use std::ffi::{CStr, c_int};

use mlua_sys::{
    LUA_GLOBALSINDEX, LUA_TTABLE, lua_CFunction, lua_State, lua_call, lua_checkstack, lua_createtable,
    lua_insert, lua_pop, lua_pushcclosure, lua_pushcfunction, lua_pushvalue, lua_rawget_, lua_replace,
    lua_setmetatable, lua_settop, lua_type, luaopen_base, luaopen_math,
};

use super::function::push;
use super::state::{self, Slot};
use super::{base, compile, coroutine, errors, random, redis, sandbox};

/// What of Lua's basic library, and of what else the state has, is there: all that redis-server 7.0 shows, and `os` for its clock.
const NAMES: [&CStr; 34] = [
    c"_VERSION",
    c"assert",
    c"bit",
    c"cjson",
    c"cmsgpack",
    c"collectgarbage",
    c"coroutine",
    c"error",
    c"gcinfo",
    c"getmetatable",
    c"ipairs",
    c"load",
    c"loadstring",
    c"math",
    c"next",
    c"os",
    c"pairs",
    c"pcall",
    c"rawequal",
    c"rawget",
    c"rawset",
    c"select",
    c"setmetatable",
    c"string",
    c"struct",
    c"table",
    c"tonumber",
    c"tostring",
    c"type",
    c"unpack",
    c"xpcall",
    c"redis",
    c"server",
    c"__redis__err__handler",
];

/// Those of them that are tables.
const TABLES: [&CStr; 9] =
    [c"bit", c"cjson", c"cmsgpack", c"coroutine", c"math", c"os", c"string", c"struct", c"table"];

/// What only scripts of EVAL have.
const SCRIPT_ONLY: [&CStr; 1] = [c"__redis__err__handler"];

/// Functions that take the place of Lua's.
const REPLACED: [(&CStr, lua_CFunction); 12] = [
    (c"pcall", base::pcall),
    (c"xpcall", base::xpcall),
    (c"getmetatable", base::getmetatable),
    (c"setmetatable", base::setmetatable),
    (c"rawget", base::rawget),
    (c"rawset", base::rawset),
    (c"next", base::next),
    (c"collectgarbage", base::collectgarbage),
    (c"gcinfo", base::gcinfo),
    (c"tonumber", base::tonumber),
    (c"load", compile::load),
    (c"loadstring", compile::loadstring),
];

/// Makes all globals of a new state.
///
/// # Safety
/// The state is new, and nothing runs in it; its allocator refuses nothing.
pub(super) unsafe fn build(L: *mut lua_State) {
    // SAFETY: as this function's caller says; all that is called works on tables that stand on the stack, without metamethods.
    unsafe {
        lua_checkstack(L, 40);
        open(L, luaopen_base, c"");
        open(L, luaopen_math, c"math");
        crate::library::open(L);
        lua_settop(L, 0);
        lua_pushvalue(L, LUA_GLOBALSINDEX);
        replace(L);
        state::set_slot(L, Slot::Handler, |L| lua_pushcfunction(L, errors::handler));
        state::push_slot(L, Slot::Handler);
        sandbox::set_top(L, b"__redis__err__handler");
        share_tables(L);

        redis::push_script_api(L);
        share_as_redis(L);
        set_globals(L, Slot::ScriptReal, Slot::ScriptGlobals, &[]);

        redis::push_function_api(L);
        share_as_redis(L);
        set_globals(L, Slot::FunctionReal, Slot::FunctionGlobals, &SCRIPT_ONLY);

        // What a library's text sees.
        lua_createtable(L, 0, 2);
        redis::push_load_api(L);
        sandbox::refuse_missing(L);
        share_as_redis(L);
        sandbox::refuse_missing(L);
        state::set_slot(L, Slot::LoadReal, |L| lua_pushvalue(L, -1));

        state::push_slot(L, Slot::ScriptGlobals);
        lua_replace(L, LUA_GLOBALSINDEX);
        lua_settop(L, 0);
    }
}

/// Opens a library of Lua's.
unsafe fn open(L: *mut lua_State, opener: lua_CFunction, name: &CStr) {
    // SAFETY: Lua's own openers, as Lua's manual says to call them.
    unsafe {
        lua_pushcfunction(L, opener);
        push(L, name.to_bytes());
        lua_call(L, 1, 0);
    }
}

/// Puts our functions in the place of Lua's; the globals are on top.
unsafe fn replace(L: *mut lua_State) {
    // SAFETY: tables on the stack.
    unsafe {
        push_field(L, c"tonumber");
        base::keep_tonumber(L);
        lua_pop(L, 1);
        for (name, function) in REPLACED {
            lua_pushcfunction(L, function);
            sandbox::set_top(L, name.to_bytes());
        }
        lua_pushcfunction(L, base::next);
        lua_pushcclosure(L, base::pairs, 1);
        sandbox::set_top(L, b"pairs");

        push_field(L, c"math");
        lua_pushcfunction(L, random::random);
        sandbox::set_top(L, b"random");
        lua_pushcfunction(L, random::randomseed);
        sandbox::set_top(L, b"randomseed");
        lua_pop(L, 1);

        push_field(L, c"coroutine");
        lua_pushcfunction(L, coroutine::resume);
        sandbox::set_top(L, b"resume");
        lua_pushcfunction(L, coroutine::wrap);
        sandbox::set_top(L, b"wrap");
        lua_pop(L, 1);

        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, base::clock);
        sandbox::set_top(L, b"clock");
        sandbox::set_top(L, b"os");
    }
}

/// Makes the tables of the globals on top shared ones, and the strings' metatable.
unsafe fn share_tables(L: *mut lua_State) {
    // SAFETY: tables on the stack.
    unsafe {
        // Lua's own code looks methods of strings up in the real table; a script has a table that says so, of the shared one.
        push(L, b"");
        lua_createtable(L, 0, 1);
        lua_pushvalue(L, -3);
        push_field(L, c"string");
        lua_replace(L, -2);
        sandbox::set_top(L, b"__index");
        lua_setmetatable(L, -2);
        lua_pop(L, 1);
        for name in TABLES {
            push_field(L, name);
            debug_assert_eq!(lua_type(L, -1), LUA_TTABLE, "{name:?}");
            sandbox::share(L);
            sandbox::set_top(L, name.to_bytes());
        }
        lua_createtable(L, 0, 1);
        lua_pushvalue(L, -2);
        push_field(L, c"string");
        lua_replace(L, -2);
        sandbox::set_top(L, b"__index");
        sandbox::share(L);
        state::set_slot(L, Slot::StringMetatable, |L| lua_pushvalue(L, -1));
        lua_pop(L, 1);
    }
}

/// Makes the table on top, the API, shared, and `redis` and `server` of the globals below it, which are left on top.
unsafe fn share_as_redis(L: *mut lua_State) {
    // SAFETY: tables on the stack.
    unsafe {
        sandbox::share(L);
        lua_pushvalue(L, -1);
        lua_insert(L, -3);
        sandbox::set_top(L, b"redis");
        lua_insert(L, -2);
        sandbox::set_top(L, b"server");
    }
}

/// Makes a set of globals of those on top: the real table and its proxy, each kept in its slot.
unsafe fn set_globals(L: *mut lua_State, real: Slot, proxy: Slot, without: &[&CStr]) {
    // SAFETY: tables on the stack.
    unsafe {
        lua_createtable(L, 0, NAMES.len() as c_int + 4);
        for name in NAMES {
            if !without.contains(&name) {
                lua_pushvalue(L, -2);
                push_field(L, name);
                lua_replace(L, -2);
                sandbox::set_top(L, name.to_bytes());
            }
        }
        sandbox::refuse_missing(L);
        state::set_slot(L, real, |L| lua_pushvalue(L, -1));
        lua_pushvalue(L, -1);
        sandbox::share(L);
        // What `getmetatable(_G)` shows.
        lua_createtable(L, 0, 1);
        sandbox::push_refuse_read(L);
        sandbox::set_top(L, b"__index");
        sandbox::share(L);
        sandbox::show_metatable(L, -2);
        state::set_slot(L, proxy, |L| lua_pushvalue(L, -1));
        sandbox::set_top(L, b"_G");
        lua_pop(L, 1);
    }
}

/// Pushes a field of the table on top.
unsafe fn push_field(L: *mut lua_State, name: &CStr) {
    // SAFETY: a table is on top.
    unsafe {
        push(L, name.to_bytes());
        lua_rawget_(L, -2);
    }
}
