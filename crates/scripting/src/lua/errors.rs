//! Errors of scripts: what Lua's become, and how they are told to a client.
//!
//! The outermost call of a script has a handler. It sees the stack as it was when the error was raised, and makes a table of the error as Redis
//! does: `err`, the text with its code, and where it was, `source` and `line`. A client is told all three.

use std::ffi::{CStr, c_int};

use mlua_sys::{
    LUA_TBOOLEAN, LUA_TNIL, LUA_TNUMBER, LUA_TSTRING, LUA_TTABLE, lua_State, lua_createtable, lua_isstring,
    lua_pop, lua_pushboolean, lua_pushinteger, lua_rawget_, lua_settop, lua_toboolean, lua_tointeger_,
    lua_topointer, lua_type, lua_typename,
};

use super::companion::{Companion, Kind, Place};
use super::function::{Raise, lua_function, push, to_bytes};
use super::{look, sandbox};

/// The field that says that the error is counted already.
const COUNTED: &[u8] = b"ignore_error_stats_update";

lua_function!(handler, handle);

/// How a script ended that did not return.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What a client is told, without `-` and line end.
    pub(crate) text: Vec<u8>,
    /// Whether it is the error of a command, which was counted when the command ended.
    pub(crate) is_counted: bool,
}

/// Pushes an error's table for the text that a command or the API answers: `-CODE text`, or `-text` without a code, or a plain text.
pub(super) fn push_error(L: *mut lua_State, answer: &[u8], is_counted: bool) {
    // SAFETY: pushes; the table is on the stack.
    unsafe {
        lua_createtable(L, 0, 4);
        match answer.strip_prefix(b"-") {
            Some(coded) if coded.contains(&b' ') => push(L, trim_end(coded)),
            Some(bare) => push(L, &[b"ERR ", trim_end(bare)].concat()),
            None => push(L, &[b"ERR ", answer].concat()),
        }
        sandbox::set_top(L, b"err");
        if is_counted {
            lua_pushboolean(L, 1);
            sandbox::set_top(L, COUNTED);
        }
    }
}

/// Pushes the error's table of a mistake in a call of `redis.*`, to be raised.
pub(super) fn raise(L: *mut lua_State, text: &str) -> Raise {
    push_error(L, text.as_bytes(), false);
    Raise
}

fn trim_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    &text[..end]
}

/// The handler: of any error it makes a table, and says where it was.
fn handle(L: *mut lua_State) -> Result<c_int, Raise> {
    // Level 0 is the handler. What raised the error may be a function of C's or ours, such as `error`: then who called it counts.
    let place = look::place(L, if look::is_native(L, 1) { 2 } else { 1 });
    // SAFETY: plain work on the stack.
    unsafe {
        lua_settop(L, 1);
        if lua_type(L, 1) != LUA_TTABLE || sandbox::is_shared(L, 1) {
            let text = describe(L, 1);
            lua_settop(L, 0);
            lua_createtable(L, 0, 4);
            push(L, &[b"ERR ", &text[..]].concat());
            sandbox::set_top(L, b"err");
        }
        if let Some(Place { source, line }) = place {
            push(L, &source);
            sandbox::set_top(L, b"source");
            lua_pushinteger(L, line as _);
            sandbox::set_top(L, b"line");
        }
    }
    Ok(1)
}

/// A value as `tostring` has it, without metamethods.
fn describe(L: *mut lua_State, index: c_int) -> Vec<u8> {
    // SAFETY: looks at the stack; Lua's names of types are constants.
    unsafe {
        match lua_type(L, index) {
            LUA_TNIL | mlua_sys::LUA_TNONE => b"nil".to_vec(),
            LUA_TBOOLEAN => {
                if lua_toboolean(L, index) != 0 {
                    b"true".to_vec()
                } else {
                    b"false".to_vec()
                }
            }
            LUA_TSTRING | LUA_TNUMBER => to_bytes(L, index).unwrap_or_default().to_vec(),
            other => {
                let name = CStr::from_ptr(lua_typename(L, other)).to_string_lossy();
                let address = lua_topointer(L, index);
                // As C prints a null pointer.
                let address = if address.is_null() { "(nil)".to_owned() } else { format!("{address:p}") };
                format!("{name}: {address}").into_bytes()
            }
        }
    }
}

/// What a client is told of an error whose value is on top of the stack; it is popped. `name` is the script's SHA, or the function's name.
pub(crate) fn failure(L: *mut lua_State, companion: &Companion, name: &[u8]) -> Failure {
    let place = companion.take_place();
    if companion.is_killed() {
        // SAFETY: pops what the error left.
        unsafe { lua_pop(L, 1) }
        let text = match companion.kind() {
            Kind::Script => "ERR Script killed by user with SCRIPT KILL.",
            Kind::Function => "ERR Script killed by user with FUNCTION KILL.",
            Kind::Load => "ERR FUNCTION LOAD timeout",
        };
        return Failure { text: with_place(text.as_bytes(), place.as_ref(), name), is_counted: false };
    }
    // SAFETY: the error's value is on top.
    unsafe {
        let failure = if lua_type(L, -1) == LUA_TTABLE && !sandbox::is_shared(L, -1) {
            let text = field(L, b"err").unwrap_or_else(|| b"ERR unknown error".to_vec());
            let place = field(L, b"source").zip(line(L)).map(|(source, line)| Place { source, line });
            push(L, COUNTED);
            lua_rawget_(L, -2);
            let is_counted = lua_toboolean(L, -1) != 0;
            lua_pop(L, 1);
            Failure { text: with_place(&text, place.as_ref(), name), is_counted }
        } else {
            let text = to_bytes(L, -1).unwrap_or(b"execution failure");
            Failure { text: [b"ERR Error running script ", name, b", ", text].concat(), is_counted: false }
        };
        lua_pop(L, 1);
        failure
    }
}

fn with_place(text: &[u8], place: Option<&Place>, name: &[u8]) -> Vec<u8> {
    let mut told = text.to_vec();
    // A library that is loaded has no name to tell yet.
    if let Some(Place { source, line }) = place.filter(|_| !name.is_empty()) {
        told.extend_from_slice(b" script: ");
        told.extend_from_slice(name);
        told.extend_from_slice(b", on ");
        told.extend_from_slice(source);
        told.extend_from_slice(format!(":{line}.").as_bytes());
    }
    told
}

/// A field of the table on top, if it is a string or a number.
fn field(L: *mut lua_State, name: &[u8]) -> Option<Vec<u8>> {
    // SAFETY: a table is on top.
    unsafe {
        push(L, name);
        lua_rawget_(L, -2);
        let text = if lua_isstring(L, -1) != 0 { to_bytes(L, -1).map(<[u8]>::to_vec) } else { None };
        lua_pop(L, 1);
        text
    }
}

fn line(L: *mut lua_State) -> Option<i64> {
    // SAFETY: as in `field`.
    unsafe {
        push(L, b"line");
        lua_rawget_(L, -2);
        let line = (lua_type(L, -1) == LUA_TNUMBER).then(|| lua_tointeger_(L, -1) as i64);
        lua_pop(L, 1);
        line
    }
}

/// Appends an error to a reply, as Redis writes what a script raises: on one line.
pub(crate) fn write(text: &[u8], reply: &mut Vec<u8>) {
    rustredis_resp::Reply::new(reply, rustredis_resp::Proto::Resp2).error(text);
}
