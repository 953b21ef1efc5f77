//! Texts to functions: scripts, libraries, and what a script's own `load` and `loadstring` are given.
//!
//! Lua 5.1.5 as it stands has faults here, and none is within reach: a text is always text (what begins as bytecode is read as text, and is a
//! syntax error, as in Redis); no garbage is collected while one is compiled, for the name of a text is not held by anything
//! (CVE-2025-49844); and a long bracket has a thousand `=` at most, so that counting them does not overflow (CVE-2025-46819).

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;

use mlua_sys::{
    LUA_GCRESTART, LUA_GCSTOP, LUA_OK, LUA_TNIL, lua_State, lua_dump_, lua_gc, lua_insert, lua_load, lua_pop,
    lua_pushnil, lua_pushvalue, lua_setfenv, lua_settop, lua_type,
};

use super::bytecode::Globals;
use super::companion::{STEPS, companion};
use super::function::{
    Raise, call, check_killed, function_argument, lua_function, optional_string, push, room, string_argument,
    tick, to_bytes,
};
use super::look;

/// Most `=` of a long bracket.
const EQUALS_MAX: usize = 1_000;

/// Where bytecode begins.
const ESCAPE: u8 = 0x1b;

/// Bytes that Lua gets at a time: between them it is looked whether the script goes on.
const PIECE_BYTES: usize = 16 << 10;

lua_function!(load, load_pieces);
lua_function!(loadstring, load_text);

/// Who has a text compiled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The server: it is not interrupted.
    Server,
    /// A script that runs.
    Script,
}

/// A text that is to be compiled, and what of it Lua does not have yet.
struct Source<'t> {
    begun: bool,
    rest: &'t [u8],
    by: By,
}

/// Lua's reader: the next piece. What begins as bytecode begins with a space here.
///
/// # Safety
/// `data` is a [`Source`].
unsafe extern "C-unwind" fn read(L: *mut lua_State, data: *mut c_void, size: *mut usize) -> *const c_char {
    // SAFETY: as this function's caller says; Lua gives a place for the size. Nothing in this frame drops.
    unsafe {
        let source = &mut *data.cast::<Source<'_>>();
        if !source.begun {
            source.begun = true;
            if source.rest.first() == Some(&ESCAPE) {
                *size = 1;
                return c" ".as_ptr();
            }
        } else if source.by == By::Script && tick(L, STEPS as u32).is_err() {
            look::raise_kill(L);
        }
        let piece = source.rest.split_at(source.rest.len().min(PIECE_BYTES));
        source.rest = piece.1;
        *size = piece.0.len();
        piece.0.as_ptr().cast()
    }
}

/// Compiles a text under the name that errors have (`@user_script`, `=(load)`, or a text itself). `true`: the function is on top of the stack;
/// otherwise the error's text is, or the script was killed. The function's environment is the thread's.
pub(crate) fn compile(L: *mut lua_State, text: &[u8], name: &[u8], by: By) -> bool {
    if let Some(line) = line_of_long_bracket(text) {
        let name = String::from_utf8_lossy(name.strip_prefix(b"@").unwrap_or(b"?")).into_owned();
        push(L, format!("{name}:{line}: invalid long string delimiter near '[=='").as_bytes());
        return false;
    }
    let mut source = Source { begun: false, rest: text, by };
    let name = c_string(name);
    // SAFETY: text and name are there until Lua has read them. No error passes `lua_load`: not the reader's either.
    unsafe {
        let companion = companion(L);
        lua_gc(L, LUA_GCSTOP, 0);
        let strict = companion.begin_lenient();
        companion.end_lenient(true);
        let status = lua_load(L, read, ptr::from_mut(&mut source).cast(), name.as_ptr());
        companion.end_lenient(strict);
        lua_gc(L, LUA_GCRESTART, 0);
        status == LUA_OK
    }
}

/// Gives the function on top the environment that is pushed, if neither it nor a function in it assigns a global. So reading globals takes one
/// step less; what would write is left with the environment that refuses it. What it does with globals.
pub(crate) fn set_direct_environment(L: *mut lua_State, push_environment: impl FnOnce()) -> Globals {
    let mut code: Vec<u8> = Vec::new();
    // SAFETY: a Lua function is on top; the writer gets the vector.
    unsafe {
        if lua_dump_(L, write, ptr::from_mut(&mut code).cast()) != 0 {
            return Globals::ALL;
        }
        let globals = Globals::of(&code);
        if !globals.assigns {
            push_environment();
            lua_setfenv(L, -2);
        }
        globals
    }
}

/// Lua's writer: appends to a vector.
///
/// # Safety
/// `data` is a `Vec<u8>`.
unsafe extern "C-unwind" fn write(
    _L: *mut lua_State,
    piece: *const c_void,
    size: usize,
    data: *mut c_void,
) -> c_int {
    // SAFETY: as this function's caller says; Lua gives a piece and its size.
    unsafe {
        if size > 0 {
            let code = &mut *data.cast::<Vec<u8>>();
            code.extend_from_slice(std::slice::from_raw_parts(piece.cast(), size));
        }
    }
    0
}

/// A name as C has it: up to the first zero byte.
fn c_string(name: &[u8]) -> CString {
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    CString::new(name).unwrap_or_default()
}

/// The line in which a bracket has more `=` than [`EQUALS_MAX`]; `None` if none has. So many cannot be missed by looking at every
/// [`EQUALS_MAX`]th byte.
fn line_of_long_bracket(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if *byte != b'=' {
            at += EQUALS_MAX;
            continue;
        }
        let begin = text[..at].iter().rposition(|byte| *byte != b'=')?;
        let count = text[begin + 1..].iter().take_while(|byte| **byte == b'=').count();
        if count > EQUALS_MAX && matches!(text[begin], b'[' | b']') {
            return Some(1 + text[..begin].iter().filter(|byte| **byte == b'\n').count());
        }
        at = begin + 1 + count;
    }
    None
}

/// What `load` and `loadstring` return: the function, or nil and the error.
fn results(L: *mut lua_State, is_ok: bool) -> c_int {
    if is_ok {
        return 1;
    }
    // SAFETY: the error's text is on top.
    unsafe {
        lua_pushnil(L);
        lua_insert(L, -2);
    }
    2
}

fn load_text(L: *mut lua_State) -> Result<c_int, Raise> {
    let text = string_argument(L, 1)?;
    let name = optional_string(L, 2)?.unwrap_or(text);
    let is_ok = compile(L, text, name, By::Script);
    check_killed(L)?;
    Ok(results(L, is_ok))
}

/// Has all pieces of the reader's before it compiles: so none of Lua's code runs meanwhile.
fn load_pieces(L: *mut lua_State) -> Result<c_int, Raise> {
    let name = optional_string(L, 2)?.unwrap_or(b"=(load)");
    function_argument(L, 1)?;
    let mut text: Vec<u8> = Vec::new();
    // SAFETY: plain work on the stack; the function is called by `call`. The name stays on the stack as an argument.
    unsafe {
        lua_settop(L, 2);
        loop {
            tick(L, 10)?;
            lua_pushvalue(L, 1);
            if !call(L, 0, 1) {
                check_killed(L)?;
                return Ok(results(L, false));
            }
            let Some(piece) = to_bytes(L, -1) else {
                let is_end = lua_type(L, -1) == LUA_TNIL;
                lua_pop(L, 1);
                if is_end {
                    break;
                }
                push(L, b"reader function must return a string");
                return Ok(results(L, false));
            };
            if piece.is_empty() {
                break;
            }
            room(L, text.len() + piece.len())?;
            text.extend_from_slice(piece);
            lua_pop(L, 1);
        }
    }
    let is_ok = compile(L, &text, name, By::Script);
    check_killed(L)?;
    Ok(results(L, is_ok))
}

#[cfg(test)]
mod tests {
    use super::line_of_long_bracket;

    #[test]
    fn brackets_of_more_than_a_thousand_equals_are_found() {
        for (before, count, after, line) in [
            ("", 1_001, "", None),
            ("[", 1_000, "[", None),
            ("[", 1_001, "[", Some(1)),
            ("\n\nreturn [", 5_000, "[", Some(3)),
            ("return ]", 1_001, "]", Some(1)),
            ("return x", 9_000, "[", None),
        ] {
            let text = format!("{before}{}{after}", "=".repeat(count));
            assert_eq!(line_of_long_bracket(text.as_bytes()), line, "{before} {count} {after}");
            let text = format!("{}{text}", " ".repeat(997));
            assert_eq!(line_of_long_bracket(text.as_bytes()), line, "{before} {count} {after}, later");
        }
    }
}
