//! `redis.call`, `redis.pcall` and `redis.acl_check_cmd`.
//!
//! The words of a command are where Lua has them, for the host takes slices; only numbers become text, in a buffer that is kept from call to
//! call, as the reply's is. A reply is told to Lua by [`super::convert`].

use std::ffi::c_int;

use mlua_sys::{
    LUA_TNUMBER, LUA_TSTRING, lua_CFunction, lua_State, lua_gettop, lua_pushboolean, lua_pushcclosure,
    lua_tonumber, lua_type,
};

use super::companion::{Buffers, companion};
use super::errors::{push_error, raise};
use super::function::{Raise, lua_function, push, room, tick, to_bytes};
use super::{convert, sandbox};

/// Longest text of a number: sign, digit, point, 16 digits, `e-308`.
const NUMBER_BYTES_MAX: usize = 32;

/// Steps that a call costs beside its command.
const STEPS: u32 = 100;

/// Bytes of a reply from which on it is asked whether there is room for it.
const LONG_REPLY_BYTES: usize = 4 << 10;

lua_function!(call, call_or_raise);
lua_function!(pcall, call_or_return);
lua_function!(acl_check_cmd, check_permission);

/// Sets `call` and `pcall` of the table on top: they have at hand what most replies are made of.
pub(super) fn set_calls(L: *mut lua_State) {
    let both: [(&[u8], lua_CFunction); 2] = [(b"call", call), (b"pcall", pcall)];
    for (name, function) in both {
        for text in convert::UPVALUES {
            push(L, text);
        }
        // SAFETY: the values were pushed; the state is being built.
        unsafe { lua_pushcclosure(L, function, convert::UPVALUES.len() as c_int) }
        sandbox::set_top(L, name);
    }
}

/// Leaves the reply on top, or an error's table. Both are one value.
enum Answer {
    Reply,
    Error,
}

fn call_or_raise(L: *mut lua_State) -> Result<c_int, Raise> {
    match run(L)? {
        Answer::Reply => Ok(1),
        Answer::Error => Err(Raise),
    }
}

fn call_or_return(L: *mut lua_State) -> Result<c_int, Raise> {
    run(L).map(|_| 1)
}

fn run(L: *mut lua_State) -> Result<Answer, Raise> {
    // SAFETY: a state of this crate's.
    let companion = unsafe { companion(L) };
    let mut buffers = companion.take_buffers();
    if let Err(text) = read_words(L, &mut buffers) {
        companion.keep_buffers(buffers);
        push_error(L, text.as_bytes(), false);
        return Ok(Answer::Error);
    }
    let Some(mut host) = companion.host() else {
        companion.kill();
        return Err(Raise);
    };
    // SAFETY: the host is lent while the script runs, and nothing else of the script has a reference to it now. A panic of its is
    // caught by the shell.
    unsafe { host.as_mut() }.call(&buffers.words, companion.proto(), &mut buffers.reply);
    let answer = if buffers.reply.first() == Some(&b'-') {
        push_error(L, &buffers.reply, true);
        Ok(Answer::Error)
    } else {
        tell(L, &buffers.reply).map(|()| Answer::Reply)
    };
    companion.keep_buffers(buffers);
    let answer = answer?;
    tick(L, STEPS)?;
    Ok(answer)
}

fn tell(L: *mut lua_State, reply: &[u8]) -> Result<(), Raise> {
    if reply.len() >= LONG_REPLY_BYTES {
        room(L, reply.len())?;
    }
    convert::push_reply(L, reply)
}

/// Reads all arguments as the words of a command.
///
/// # Errors
/// There is none, or one is neither string nor number.
fn read_words(L: *mut lua_State, buffers: &mut Buffers) -> Result<(), &'static str> {
    // SAFETY: looks at the stack.
    let count = unsafe { lua_gettop(L) };
    if count == 0 {
        return Err("Please specify at least one argument for this redis lib call");
    }
    let Buffers { words, numbers, .. } = buffers;
    words.reserve(count as usize);
    for index in 1..=count {
        // SAFETY: looks at the stack.
        let word = match unsafe { lua_type(L, index) } {
            // The string stays on the stack until the words are cleared.
            LUA_TSTRING => to_bytes(L, index).unwrap_or_default(),
            LUA_TNUMBER => {
                // Room for all that may follow, so that the words before stay where they are.
                numbers.reserve((count - index + 1) as usize * NUMBER_BYTES_MAX);
                let begin = numbers.len();
                // SAFETY: looks at the stack.
                write_number(unsafe { lua_tonumber(L, index) }, numbers);
                // SAFETY: the buffer is not moved before the words are cleared: it has room for all numbers after this one, and the
                // first of them made that room.
                unsafe { std::slice::from_raw_parts(numbers.as_ptr().add(begin), numbers.len() - begin) }
            }
            _ => return Err("Lua redis lib command arguments must be strings or integers"),
        };
        words.push(word);
    }
    Ok(())
}

/// Writes a number with 17 significant digits, as C's `%.17g` does.
fn write_number(number: f64, text: &mut Vec<u8>) {
    // C shows the sign of what is no number, and on x86 0/0 has one.
    if number.is_nan() && number.is_sign_negative() {
        text.push(b'-');
    }
    rustredis_resp::number::format_double(number, text);
}

/// `redis.acl_check_cmd`.
fn check_permission(L: *mut lua_State) -> Result<c_int, Raise> {
    // SAFETY: a state of this crate's.
    let companion = unsafe { companion(L) };
    let mut buffers = companion.take_buffers();
    let may = read_words(L, &mut buffers).map(|()| {
        // SAFETY: as in `run`.
        companion.host().and_then(|mut host| unsafe { host.as_mut() }.may_run(&buffers.words))
    });
    companion.keep_buffers(buffers);
    match may {
        Err(text) => Err(raise(L, text)),
        Ok(None) => Err(raise(L, "Invalid command passed to redis.acl_check_cmd()")),
        Ok(Some(may)) => {
            // SAFETY: pushes.
            unsafe { lua_pushboolean(L, c_int::from(may)) }
            Ok(1)
        }
    }
}
