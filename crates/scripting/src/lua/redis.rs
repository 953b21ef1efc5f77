//! The table `redis`: its constants and all its functions but those that run commands ([`super::calls`]).

use std::ffi::{CStr, c_int};

use mlua_sys::{
    LUA_TSTRING, lua_CFunction, lua_State, lua_checkstack, lua_createtable, lua_gettop, lua_isnumber,
    lua_pushboolean, lua_pushcfunction, lua_pushnumber, lua_tonumber, lua_type,
};
use rustredis_resp::Proto;

use super::companion::companion;
use super::errors::{push_error, raise};
use super::function::{Raise, lua_function, push, tick, to_bytes};
use super::{calls, register, sandbox};
use crate::host::Level;
use crate::sha1::Sha1;

/// The version that scripts see: that of the server which this one behaves as.
const VERSION: &[u8] = b"7.2.4";
const VERSION_NUMBER: f64 = 0x0007_0204 as f64;

/// `redis.set_repl`: the append-only file.
const TO_FILE: i64 = 1;
/// `redis.set_repl`: replicas.
const TO_REPLICAS: i64 = 2;

/// Blocks of SHA-1 between two looks at whether the script goes on.
const HASHED_BLOCKS: usize = 32;

/// Steps that a block takes.
const BLOCK_STEPS: u32 = 100;

/// Bytes that are copied in a step.
const COPIED_BYTES: usize = 16;

const LEVELS: [(&CStr, Level); 4] = [
    (c"LOG_DEBUG", Level::Debug),
    (c"LOG_VERBOSE", Level::Verbose),
    (c"LOG_NOTICE", Level::Notice),
    (c"LOG_WARNING", Level::Warning),
];

const REPLICATION: [(&CStr, i64); 5] = [
    (c"REPL_NONE", 0),
    (c"REPL_AOF", TO_FILE),
    (c"REPL_SLAVE", TO_REPLICAS),
    (c"REPL_REPLICA", TO_REPLICAS),
    (c"REPL_ALL", TO_FILE | TO_REPLICAS),
];

/// What scripts and functions of libraries have.
const FUNCTIONS: [(&CStr, lua_CFunction); 6] = [
    (c"error_reply", error_reply),
    (c"status_reply", status_reply),
    (c"sha1hex", sha1hex),
    (c"setresp", setresp),
    (c"set_repl", set_repl),
    (c"acl_check_cmd", calls::acl_check_cmd),
];

/// What only scripts of EVAL have.
const SCRIPT_FUNCTIONS: [(&CStr, lua_CFunction); 3] =
    [(c"replicate_commands", replicate_commands), (c"breakpoint", breakpoint), (c"debug", debug)];

lua_function!(error_reply, make_error);
lua_function!(status_reply, make_status);
lua_function!(sha1hex, hash);
lua_function!(log, write_log);
lua_function!(setresp, set_protocol);
lua_function!(set_repl, set_replication);
lua_function!(replicate_commands, yes);
lua_function!(breakpoint, no);
lua_function!(debug, nothing);

/// Pushes the table of scripts.
pub(super) fn push_script_api(L: *mut lua_State) {
    push_function_api(L);
    set_functions(L, &SCRIPT_FUNCTIONS);
}

/// Pushes the table of libraries' functions.
pub(super) fn push_function_api(L: *mut lua_State) {
    push_common(L);
    set_functions(L, &FUNCTIONS);
    calls::set_calls(L);
    for (name, value) in REPLICATION {
        set_number(L, name, value as f64);
    }
}

/// Pushes the table that a library sees while it is loaded.
pub(super) fn push_load_api(L: *mut lua_State) {
    push_common(L);
    set_functions(L, &[(c"register_function", register::register_function)]);
}

/// Pushes a table of what is everywhere.
fn push_common(L: *mut lua_State) {
    // SAFETY: pushes; the state is being built.
    unsafe {
        lua_checkstack(L, 8);
        lua_createtable(L, 0, 32);
    }
    set_functions(L, &[(c"log", log)]);
    for (name, level) in LEVELS {
        set_number(L, name, f64::from(level as u8));
    }
    push(L, VERSION);
    sandbox::set_top(L, b"REDIS_VERSION");
    set_number(L, c"REDIS_VERSION_NUM", VERSION_NUMBER);
}

fn set_functions(L: *mut lua_State, functions: &[(&CStr, lua_CFunction)]) {
    for (name, function) in functions {
        // SAFETY: pushes; a table is below.
        unsafe { lua_pushcfunction(L, *function) }
        sandbox::set_top(L, name.to_bytes());
    }
}

fn set_number(L: *mut lua_State, name: &CStr, value: f64) {
    // SAFETY: as above.
    unsafe { lua_pushnumber(L, value) }
    sandbox::set_top(L, name.to_bytes());
}

/// Takes the steps of copying these bytes.
///
/// # Errors
/// The script is to end.
fn count_copy(L: *mut lua_State, bytes: &[u8]) -> Result<(), Raise> {
    tick(L, u32::try_from(bytes.len() / COPIED_BYTES).unwrap_or(u32::MAX))
}

/// The only argument, if it is one and a string.
fn only_string<'l>(L: *mut lua_State) -> Option<&'l [u8]> {
    // SAFETY: looks at the stack.
    let is_one = unsafe { lua_gettop(L) == 1 && lua_type(L, 1) == LUA_TSTRING };
    if is_one { to_bytes(L, 1) } else { None }
}

/// The error is returned, and not raised: so a mistake in the call looks to a client like what it asked for.
fn make_error(L: *mut lua_State) -> Result<c_int, Raise> {
    let text = only_string(L);
    count_copy(L, text.unwrap_or_default())?;
    match text {
        None => push_error(L, b"wrong number or type of arguments", false),
        Some(text) if text.starts_with(b"-") => push_error(L, text, false),
        Some(text) => push_error(L, &[b"-", text].concat(), false),
    }
    Ok(1)
}

fn make_status(L: *mut lua_State) -> Result<c_int, Raise> {
    let Some(text) = only_string(L) else {
        push_error(L, b"wrong number or type of arguments", false);
        return Ok(1);
    };
    count_copy(L, text)?;
    // SAFETY: pushes.
    unsafe { lua_createtable(L, 0, 1) }
    push(L, text);
    sandbox::set_top(L, b"ok");
    Ok(1)
}

fn hash(L: *mut lua_State) -> Result<c_int, Raise> {
    // SAFETY: looks at the stack.
    if unsafe { lua_gettop(L) } != 1 {
        return Err(raise(L, "wrong number of arguments"));
    }
    // Lua's conversion has no text of other values, and so Redis hashes none.
    let bytes = to_bytes(L, 1).unwrap_or_default();
    let (blocks, rest) = bytes.as_chunks();
    let mut sha1 = Sha1::new();
    for blocks in blocks.chunks(HASHED_BLOCKS) {
        tick(L, BLOCK_STEPS * blocks.len() as u32)?;
        sha1.add(blocks);
    }
    push(L, &sha1.end(rest, bytes.len()));
    Ok(1)
}

/// The argument as Redis takes a number: anything else is 0.
fn number(L: *mut lua_State, index: c_int) -> i64 {
    // SAFETY: looks at the stack.
    unsafe { lua_tonumber(L, index) as i64 }
}

fn write_log(L: *mut lua_State) -> Result<c_int, Raise> {
    // SAFETY: looks at the stack.
    let (count, is_number) = unsafe { (lua_gettop(L), lua_isnumber(L, 1) != 0) };
    if count < 2 {
        return Err(raise(L, "redis.log() requires two arguments or more."));
    }
    if !is_number {
        return Err(raise(L, "First argument must be a number (log level)."));
    }
    let level = number(L, 1);
    let Some((_, level)) = usize::try_from(level).ok().and_then(|level| LEVELS.get(level)) else {
        return Err(raise(L, "Invalid debug level."));
    };
    let mut text: Vec<u8> = Vec::new();
    for index in 2..=count {
        if let Some(piece) = to_bytes(L, index) {
            count_copy(L, piece)?;
            if index > 2 {
                text.push(b' ');
            }
            text.extend_from_slice(piece);
        }
    }
    // SAFETY: a state of this crate's; the host is lent while the script runs.
    unsafe {
        if let Some(mut host) = companion(L).host() {
            host.as_mut().log(*level, &text);
        }
    }
    Ok(0)
}

fn set_protocol(L: *mut lua_State) -> Result<c_int, Raise> {
    // SAFETY: looks at the stack.
    if unsafe { lua_gettop(L) } != 1 {
        return Err(raise(L, "redis.setresp() requires one argument."));
    }
    let proto = match number(L, 1) {
        2 => Proto::Resp2,
        3 => Proto::Resp3,
        _ => return Err(raise(L, "RESP version must be 2 or 3.")),
    };
    // SAFETY: a state of this crate's.
    unsafe { companion(L) }.set_proto(proto);
    Ok(0)
}

fn set_replication(L: *mut lua_State) -> Result<c_int, Raise> {
    // SAFETY: looks at the stack.
    if unsafe { lua_gettop(L) } != 1 {
        return Err(raise(L, "redis.set_repl() requires two arguments."));
    }
    let flags = number(L, 1);
    if flags & !(TO_FILE | TO_REPLICAS) != 0 {
        let text = "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
        return Err(raise(L, text));
    }
    // SAFETY: a state of this crate's; the host is lent while the script runs.
    unsafe {
        if let Some(mut host) = companion(L).host() {
            host.as_mut().set_replication(flags & TO_FILE != 0, flags & TO_REPLICAS != 0);
        }
    }
    Ok(0)
}

/// `redis.replicate_commands`: it is always so.
fn yes(L: *mut lua_State) -> Result<c_int, Raise> {
    // SAFETY: pushes.
    unsafe { lua_pushboolean(L, 1) }
    Ok(1)
}

/// `redis.breakpoint`: there is no debugger, so none was hit.
fn no(L: *mut lua_State) -> Result<c_int, Raise> {
    // SAFETY: pushes.
    unsafe { lua_pushboolean(L, 0) }
    Ok(1)
}

/// `redis.debug`: there is no debugger, so nobody reads it.
fn nothing(_L: *mut lua_State) -> Result<c_int, Raise> {
    Ok(0)
}
