//! The libraries that scripts find: `string`, `table`, `cjson`, `cmsgpack`, `struct`, `bit`, and `unpack`.
//!
//! All of them are our own, for a script may be paused and ended inside any function: whatever may run long counts its steps, and what may
//! be large asks for room. They behave as those of redis-server 7.0.15, error texts included; `examples` has what that one answers.
//! [`stack`] is how they reach Lua.

mod bit;
mod buffer;
mod cjson;
mod cjson_decode;
mod cjson_encode;
mod cjson_settings;
mod cjson_token;
mod cmsgpack;
mod cmsgpack_unpack;
mod find;
mod format;
mod gsub;
mod number;
mod pattern;
mod search;
mod sort;
mod stack;
mod strings;
mod struct_format;
mod structs;
mod table;
#[cfg(test)]
mod tests;

use std::ffi::c_int;

use mlua_sys::{LUA_GLOBALSINDEX, lua_CFunction, lua_State};

use stack::Stack;

type Named = (&'static str, lua_CFunction);

const STRING: [Named; 14] = [
    ("byte", strings::byte),
    ("char", strings::char),
    ("dump", strings::dump),
    ("find", find::find),
    ("format", format::format),
    ("gmatch", find::gmatch),
    ("gsub", gsub::gsub),
    ("len", strings::len),
    ("lower", strings::lower),
    ("match", find::match_),
    ("rep", strings::rep),
    ("reverse", strings::reverse),
    ("sub", strings::sub),
    ("upper", strings::upper),
];

const TABLE: [Named; 9] = [
    ("concat", table::concat),
    ("foreach", table::foreach),
    ("foreachi", table::foreachi),
    ("getn", table::getn),
    ("insert", table::insert),
    ("maxn", table::maxn),
    ("remove", table::remove),
    ("setn", table::setn),
    ("sort", sort::sort),
];

const BIT: [Named; 12] = [
    ("arshift", bit::arshift),
    ("band", bit::band),
    ("bnot", bit::bnot),
    ("bor", bit::bor),
    ("bswap", bit::bswap),
    ("bxor", bit::bxor),
    ("lshift", bit::lshift),
    ("rol", bit::rol),
    ("ror", bit::ror),
    ("rshift", bit::rshift),
    ("tobit", bit::tobit),
    ("tohex", bit::tohex),
];

const CMSGPACK: [Named; 4] = [
    ("pack", cmsgpack::pack),
    ("unpack", cmsgpack_unpack::unpack),
    ("unpack_one", cmsgpack_unpack::unpack_one),
    ("unpack_limit", cmsgpack_unpack::unpack_limit),
];

const CMSGPACK_TEXTS: [(&str, &str); 4] = [
    ("_NAME", "cmsgpack"),
    ("_VERSION", "lua-cmsgpack 0.4.0"),
    ("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo"),
    ("_DESCRIPTION", "MessagePack C implementation for Lua"),
];

const STRUCT: [Named; 3] = [("pack", structs::pack), ("size", structs::size), ("unpack", structs::unpack)];

/// Sets the libraries as globals, and `string` as what strings have for methods.
///
/// # Safety
/// `L` is a state that is built, with a companion, and lenient; nothing of a script's ran in it.
pub(crate) unsafe fn open(L: *mut lua_State) {
    let stack = Stack::of(L);
    push_library(stack, &STRING, &[]);
    // By its old name too: the same function.
    stack.push(b"gfind");
    stack.push(b"gmatch");
    stack.get(-3);
    stack.set(-3);
    set_string_methods(stack);
    set_global(stack, "string");
    push_library(stack, &TABLE, &[]);
    set_global(stack, "table");
    push_library(stack, &BIT, &[]);
    set_global(stack, "bit");
    push_library(stack, &CMSGPACK, &CMSGPACK_TEXTS);
    set_global(stack, "cmsgpack");
    push_library(stack, &STRUCT, &[]);
    set_global(stack, "struct");
    cjson::push_shared(stack);
    set_global(stack, "cjson");
    stack.push_function(table::unpack, 0);
    set_global(stack, "unpack");
}

/// Takes back what a script set up in the libraries, before the next runs.
///
/// # Safety
/// `L` is a state that [`open`] was called for, and no script runs in it.
pub(crate) unsafe fn reset(L: *mut lua_State) {
    cjson::reset(Stack::of(L));
}

fn push_library(stack: Stack, functions: &[Named], texts: &[(&str, &str)]) {
    stack.push_table(0, (functions.len() + texts.len()) as c_int);
    for (name, function) in functions {
        stack.push(name.as_bytes());
        stack.push_function(*function, 0);
        stack.set(-3);
    }
    for (name, text) in texts {
        stack.push(name.as_bytes());
        stack.push(text.as_bytes());
        stack.set(-3);
    }
}

/// Makes the table on top the `__index` of all strings.
fn set_string_methods(stack: Stack) {
    stack.push(b"");
    stack.push_table(0, 1);
    stack.push(b"__index");
    stack.push_copy(-4);
    stack.set(-3);
    stack.set_metatable(-2);
    stack.pop(1);
}

/// Pops a value into a global.
fn set_global(stack: Stack, name: &str) {
    stack.push(name.as_bytes());
    stack.insert(-2);
    stack.set(LUA_GLOBALSINDEX);
}
