//! How Lua calls Rust.
//!
//! An error of Lua's is a `longjmp`, and a frame of Rust with something to drop must never be jumped over. So what Lua calls is a thin shell
//! around a body: the body leaves the error's value on top of the stack and says `Err(Raise)`, all that it owns is dropped, and only
//! then the shell raises it. A body may call whatever of Lua's API raises nothing but memory errors (`lua_raw*`, `lua_push*`, `lua_next`
//! with a key of the table, `lua_createtable` ...), for while a body runs the allocator refuses nothing; what is too much is told when
//! it returns, or by [`room`] before it begins. It calls Lua's functions by [`call`] alone, which lets no error pass.
//!
//! Where metamethods are wanted (an order function, `lua_lessthan`) there is [`lua_plain_function`]: its body may be jumped over, holds
//! nothing that drops, and says so.

use std::ffi::{CStr, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use mlua_sys::{
    LUA_MULTRET, LUA_OK, LUA_TFUNCTION, LUA_TTABLE, lua_Debug, lua_State, lua_error, lua_getinfo,
    lua_getstack, lua_isnoneornil, lua_isnumber, lua_pcall, lua_tointeger_, lua_tonumber, lua_type,
    lua_typename,
};

use super::companion::{Companion, companion};
pub(crate) use super::raise::{Raise, fail, push, to_bytes};
use super::{look, sandbox};

/// What a function of Lua's does: its arguments are 1 to `lua_gettop`, its results are as many on top of the stack as it says.
pub(crate) type Body = fn(*mut lua_State) -> Result<c_int, Raise>;

/// Defines the function that Lua calls for a body: `lua_function!(name, body)`.
macro_rules! lua_function {
    ($(#[$attribute:meta])* $name:ident, $body:path) => {
        $(#[$attribute])*
        pub(crate) unsafe extern "C-unwind" fn $name(
            L: *mut ::mlua_sys::lua_State,
        ) -> ::std::ffi::c_int {
            // SAFETY: Lua gives a state, which was built by this crate and so has a companion.
            unsafe { $crate::lua::function::enter(L, $body) }
        }
    };
}
pub(crate) use lua_function;

/// As [`lua_function`], for a body that Lua's errors may jump over: it holds nothing that drops while it calls what may raise.
macro_rules! lua_plain_function {
    ($(#[$attribute:meta])* $name:ident, $body:path) => {
        $(#[$attribute])*
        pub(crate) unsafe extern "C-unwind" fn $name(
            L: *mut ::mlua_sys::lua_State,
        ) -> ::std::ffi::c_int {
            // SAFETY: Lua gives a state, which was built by this crate and so has a companion.
            unsafe { $crate::lua::function::enter_plain(L, $body) }
        }
    };
}
pub(crate) use lua_plain_function;

/// Runs a body for Lua. The frame holds nothing that drops when it raises.
///
/// # Safety
/// `L` is a state with a companion, and Lua is calling a function.
#[inline]
pub(crate) unsafe fn enter(L: *mut lua_State, body: Body) -> c_int {
    // SAFETY: as this function's caller says; the companion lives as long as the state.
    let companion = unsafe { companion(L) };
    let strict = companion.begin_lenient();
    let results = guard(companion, L, body);
    companion.end_lenient(strict);
    // SAFETY: the same state; the body has returned, with its error's value on the stack if it has one.
    unsafe { leave(companion, L, results) }
}

/// What [`enter`] is, for bodies that may be jumped over: they must not panic, for nothing here catches it.
///
/// # Safety
/// As for [`enter`]. Whoever catches the error of a body that is jumped over sets the allocator's mode again ([`call`] does).
#[inline]
pub(crate) unsafe fn enter_plain(L: *mut lua_State, body: Body) -> c_int {
    // SAFETY: as this function's caller says.
    let companion = unsafe { companion(L) };
    let strict = companion.begin_lenient();
    let results = body(L);
    companion.end_lenient(strict);
    // SAFETY: as in `enter`.
    unsafe { leave(companion, L, results) }
}

/// Runs a body; a panic ends the script as if it were killed, and goes on where the script was resumed.
#[inline]
fn guard(companion: &Companion, L: *mut lua_State, body: Body) -> Result<c_int, Raise> {
    match catch_unwind(AssertUnwindSafe(|| body(L))) {
        Ok(results) => results,
        Err(payload) => {
            companion.keep_panic(payload);
            Err(Raise)
        }
    }
}

/// Goes back to Lua with a body's results, or raises.
///
/// # Safety
/// As for [`enter`], and no caller's frame holds anything that drops.
#[inline]
unsafe fn leave(companion: &Companion, L: *mut lua_State, results: Result<c_int, Raise>) -> c_int {
    match results {
        Ok(count) if !companion.is_due() => count,
        // SAFETY: as this function's caller says.
        results => unsafe { leave_slow(companion, L, results) },
    }
}

/// What is rare when a body has ended: an error, the script is killed, or it has more memory than it may.
#[cold]
unsafe fn leave_slow(companion: &Companion, L: *mut lua_State, results: Result<c_int, Raise>) -> c_int {
    if companion.is_killed() {
        // SAFETY: nothing on the stack from here to Lua's frame drops.
        unsafe { look::raise_kill(L) }
    }
    if companion.is_over() && !look::collect_down(L, 0) {
        // SAFETY: as above.
        unsafe { look::raise_memory(L) }
    }
    match results {
        Ok(count) => count,
        // SAFETY: as above; the body left the error's value on top.
        Err(Raise) => unsafe { lua_error(L) },
    }
}

/// Counts steps of about a nanosecond or two each, and looks after some thousand whether the script goes on: it may be paused in
/// here. Nothing may be borrowed across it that others of the thread need.
///
/// # Errors
/// The script was killed.
#[inline]
pub(crate) fn tick(L: *mut lua_State, steps: u32) -> Result<(), Raise> {
    // SAFETY: whoever has a state of this crate's has one with a companion.
    let companion = unsafe { companion(L) };
    if companion.spend(steps) { Ok(()) } else { look::look(L, companion) }
}

/// Says whether so many bytes more may be had; garbage is collected if they are not there, with ticks.
///
/// # Errors
/// "not enough memory", as Lua words it.
#[inline]
pub(crate) fn room(L: *mut lua_State, bytes: usize) -> Result<(), Raise> {
    // SAFETY: as in `tick`.
    let companion = unsafe { companion(L) };
    if companion.has_room(bytes) { Ok(()) } else { no_room(L, bytes) }
}

#[cold]
fn no_room(L: *mut lua_State, bytes: usize) -> Result<(), Raise> {
    if look::collect_down(L, bytes) {
        return Ok(());
    }
    // SAFETY: as in `tick`.
    let companion = unsafe { companion(L) };
    if !companion.is_killed() {
        companion.note_exhausted();
        push(L, b"not enough memory");
    }
    Err(Raise)
}

/// Calls a function of Lua's as `lua_pcall` does, without a handler: function and arguments are on top of the stack, and after it so many
/// results, or the error's value. `true` if it went well. Whoever gets an error passes it on, or asks [`check_killed`].
pub(crate) fn call(L: *mut lua_State, arguments: c_int, results: c_int) -> bool {
    // SAFETY: as in `tick`; function and arguments are on the stack, says the caller, and no error passes.
    unsafe {
        let companion = companion(L);
        companion.end_lenient(true);
        let status = lua_pcall(L, arguments, results, 0);
        companion.begin_lenient();
        status == LUA_OK
    }
}

/// As [`call`], with all results that there are, and the error function at this index.
pub(crate) fn call_handled(L: *mut lua_State, arguments: c_int, handler: c_int) -> bool {
    // SAFETY: as in `call`.
    unsafe {
        let companion = companion(L);
        companion.end_lenient(true);
        let status = lua_pcall(L, arguments, LUA_MULTRET, handler);
        companion.begin_lenient();
        status == LUA_OK
    }
}

/// Says whether the script was killed meanwhile: then no caught error keeps it alive.
///
/// # Errors
/// It was.
#[inline]
pub(crate) fn check_killed(L: *mut lua_State) -> Result<(), Raise> {
    // SAFETY: as in `tick`.
    if unsafe { companion(L) }.is_killed() { Err(Raise) } else { Ok(()) }
}

/// The error of an argument: "bad argument #1 to 'rep' (number expected, got nil)".
#[cold]
pub(crate) fn fail_argument(L: *mut lua_State, index: c_int, text: &str) -> Raise {
    // SAFETY: a zeroed record is one of numbers and null pointers; Lua fills what is asked for, and its names live as long as the
    // function that runs.
    let (name, is_method) = unsafe {
        let mut called: lua_Debug = std::mem::zeroed();
        if lua_getstack(L, 0, &mut called) == 0 {
            return fail(L, format!("bad argument #{index} ({text})").as_bytes());
        }
        lua_getinfo(L, c"n".as_ptr(), &mut called);
        let is_method = !called.namewhat.is_null() && CStr::from_ptr(called.namewhat) == c"method";
        let name = if called.name.is_null() { c"?" } else { CStr::from_ptr(called.name) };
        (name.to_string_lossy(), is_method)
    };
    let index = if is_method { index - 1 } else { index };
    let text = if is_method && index == 0 {
        format!("calling '{name}' on bad self ({text})")
    } else {
        format!("bad argument #{index} to '{name}' ({text})")
    };
    fail(L, text.as_bytes())
}

/// The error of an argument that has another type: "number expected, got nil".
#[cold]
pub(crate) fn fail_type(L: *mut lua_State, index: c_int, expected: &str) -> Raise {
    // SAFETY: Lua's names of types are constants.
    let found = unsafe { CStr::from_ptr(lua_typename(L, lua_type(L, index))) };
    fail_argument(L, index, &format!("{expected} expected, got {}", found.to_string_lossy()))
}

/// A string, or a number as its text; valid while the argument stays on the stack.
///
/// # Errors
/// The argument is neither.
#[inline]
pub(crate) fn string_argument<'l>(L: *mut lua_State, index: c_int) -> Result<&'l [u8], Raise> {
    to_bytes(L, index).ok_or_else(|| fail_type(L, index, "string"))
}

/// As [`string_argument`]; `None` if there is no argument, or nil.
///
/// # Errors
/// As there.
pub(crate) fn optional_string<'l>(L: *mut lua_State, index: c_int) -> Result<Option<&'l [u8]>, Raise> {
    if is_absent(L, index) { Ok(None) } else { string_argument(L, index).map(Some) }
}

/// A number, or a string that spells one.
///
/// # Errors
/// The argument is neither.
#[inline]
pub(crate) fn number_argument(L: *mut lua_State, index: c_int) -> Result<f64, Raise> {
    // SAFETY: both only look at the stack.
    unsafe {
        let number = lua_tonumber(L, index);
        if number == 0.0 && lua_isnumber(L, index) == 0 {
            return Err(fail_type(L, index, "number"));
        }
        Ok(number)
    }
}

/// A number as C casts it to 64 bits: what does not fit is the lowest of them.
///
/// # Errors
/// The argument is no number.
#[inline]
pub(crate) fn integer_argument(L: *mut lua_State, index: c_int) -> Result<i64, Raise> {
    // SAFETY: both only look at the stack.
    unsafe {
        let number = lua_tointeger_(L, index);
        if number == 0 && lua_isnumber(L, index) == 0 {
            return Err(fail_type(L, index, "number"));
        }
        Ok(number as i64)
    }
}

/// As [`integer_argument`]; this default if there is no argument, or nil.
///
/// # Errors
/// As there.
pub(crate) fn optional_integer(L: *mut lua_State, index: c_int, default: i64) -> Result<i64, Raise> {
    if is_absent(L, index) { Ok(default) } else { integer_argument(L, index) }
}

/// A table, to be read. A shared one is seen through afterwards (`sandbox::see_through`) if it is to be walked.
///
/// # Errors
/// The argument is none.
pub(crate) fn table_argument(L: *mut lua_State, index: c_int) -> Result<(), Raise> {
    type_argument(L, index, LUA_TTABLE, "table")
}

/// A table that is to be changed: a shared one may not be.
///
/// # Errors
/// The argument is no table, or a shared one: "Attempt to modify a readonly table".
pub(crate) fn changeable_table_argument(L: *mut lua_State, index: c_int) -> Result<(), Raise> {
    table_argument(L, index)?;
    sandbox::check_changeable(L, index)
}

/// A function.
///
/// # Errors
/// The argument is none.
pub(crate) fn function_argument(L: *mut lua_State, index: c_int) -> Result<(), Raise> {
    type_argument(L, index, LUA_TFUNCTION, "function")
}

/// Any value, nil too.
///
/// # Errors
/// There is no argument.
pub(crate) fn any_argument(L: *mut lua_State, index: c_int) -> Result<(), Raise> {
    // SAFETY: only looks at the stack.
    if unsafe { lua_type(L, index) } == mlua_sys::LUA_TNONE {
        return Err(fail_argument(L, index, "value expected"));
    }
    Ok(())
}

fn type_argument(L: *mut lua_State, index: c_int, expected: c_int, name: &str) -> Result<(), Raise> {
    // SAFETY: only looks at the stack.
    if unsafe { lua_type(L, index) } == expected { Ok(()) } else { Err(fail_type(L, index, name)) }
}

/// Whether there is no argument, or nil.
pub(crate) fn is_absent(L: *mut lua_State, index: c_int) -> bool {
    // SAFETY: only looks at the stack.
    unsafe { lua_isnoneornil(L, index) != 0 }
}
