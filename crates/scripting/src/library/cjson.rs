//! `cjson`, as Redis has it: the functions that set it up. [`super::cjson_encode`] and [`super::cjson_decode`] do the work.
//!
//! What is set stands in a block of Lua's, which each function keeps: one for the shared library, and one for each that `cjson.new` makes.
//! Redis keeps what a script sets for all scripts after it; here the shared one is as it was when a script begins ([`reset`]), for which
//! state of Lua's runs a script is nobody's choice.

use std::ffi::c_int;
use std::ptr;

use mlua_sys::{LUA_TBOOLEAN, lua_CFunction, lua_State};

use super::cjson_settings::{Invalid, Settings};
use super::stack::{Stack, address_of};
use super::{cjson_decode, cjson_encode};
use crate::lua::function::{Raise, lua_function};

lua_function!(new, new_body);
lua_function!(encode_sparse_array, encode_sparse_array_body);
lua_function!(encode_max_depth, encode_max_depth_body);
lua_function!(decode_max_depth, decode_max_depth_body);
lua_function!(encode_number_precision, encode_number_precision_body);
lua_function!(encode_keep_buffer, encode_keep_buffer_body);
lua_function!(encode_invalid_numbers, encode_invalid_numbers_body);
lua_function!(decode_invalid_numbers, decode_invalid_numbers_body);

/// Where the shared library's settings are in the registry.
static SHARED: u8 = 0;

type Named = (&'static str, lua_CFunction);

/// Those that set things up keep the settings, `encode` and `decode` a place besides.
const FUNCTIONS: [Named; 8] = [
    ("encode_sparse_array", encode_sparse_array),
    ("encode_max_depth", encode_max_depth),
    ("decode_max_depth", decode_max_depth),
    ("encode_number_precision", encode_number_precision),
    ("encode_keep_buffer", encode_keep_buffer),
    ("encode_invalid_numbers", encode_invalid_numbers),
    ("decode_invalid_numbers", decode_invalid_numbers),
    ("new", new),
];

const WORKERS: [Named; 2] = [("encode", cjson_encode::encode), ("decode", cjson_decode::decode)];

/// Pushes the shared library.
pub(super) fn push_shared(stack: Stack) {
    push_library(stack);
    stack.push_copy(-2);
    stack.register(address_of(&SHARED));
    stack.replace(-2);
}

/// Sets the shared library up as it was.
pub(super) fn reset(stack: Stack) {
    stack.get_registered(address_of(&SHARED));
    let block = stack.block(-1).cast::<Settings>();
    stack.pop(1);
    if !block.is_null() {
        // SAFETY: what is registered is the block that `push_library` made.
        unsafe { block.write(Settings::DEFAULT) }
    }
}

/// Pushes settings, and a library that has them.
fn push_library(stack: Stack) {
    let block = stack.push_block(size_of::<Settings>()).cast::<Settings>();
    // SAFETY: the block is long enough, and aligned for anything.
    unsafe { block.write(Settings::DEFAULT) }
    stack.push_table(0, (FUNCTIONS.len() + WORKERS.len()) as c_int + 3);
    for (name, function) in FUNCTIONS {
        stack.push(name.as_bytes());
        stack.push_copy(-3);
        stack.push_function(function, 1);
        stack.set(-3);
    }
    for (name, function) in WORKERS {
        stack.push(name.as_bytes());
        stack.push_copy(-3);
        stack.push_nil();
        stack.push_function(function, 2);
        stack.set(-3);
    }
    stack.push(b"null");
    stack.push_address(ptr::null());
    stack.set(-3);
    for (name, text) in [("_NAME", "cjson"), ("_VERSION", "2.1.0")] {
        stack.push(name.as_bytes());
        stack.push(text.as_bytes());
        stack.set(-3);
    }
}

fn new_body(L: *mut lua_State) -> Result<c_int, Raise> {
    push_library(Stack::of(L));
    Ok(1)
}

/// Fills the arguments up with nil.
fn begin(L: *mut lua_State, arguments_max: c_int) -> Result<(Stack, Settings), Raise> {
    let stack = Stack::of(L);
    if stack.top() > arguments_max {
        return Err(stack.fail_argument(arguments_max + 1, "found too many arguments"));
    }
    stack.set_top(arguments_max);
    Ok((stack, Settings::of(stack)))
}

/// Sets a number, if the argument is not nil, and pushes what is set. Its error names the first argument, whichever it is, as in Redis.
fn set_number(stack: Stack, index: c_int, set: &mut i32, min: i32, max: i32) -> Result<(), Raise> {
    if !stack.is_nil(index) {
        let number = stack.int(index)?;
        if !(min..=max).contains(&number) {
            let text = format!("expected integer between {min} and {max}");
            return Err(stack.fail_argument(1, &text));
        }
        *set = number;
    }
    stack.push_number(f64::from(*set));
    Ok(())
}

/// Sets one of some names, of which the first two are false and true, if the argument is not nil; pushes what is set.
fn set_option<T: Copy + PartialEq>(
    stack: Stack,
    index: c_int,
    set: &mut T,
    options: &[(&str, T)],
) -> Result<(), Raise> {
    if stack.kind(index) == LUA_TBOOLEAN {
        *set = options[usize::from(stack.truth(index))].1;
    } else if !stack.is_nil(index) {
        let name = super::pattern::readable(stack.string(index)?);
        let Some(option) = options.iter().find(|option| option.0.as_bytes() == name) else {
            let text = format!("invalid option '{}'", String::from_utf8_lossy(name));
            return Err(stack.fail_argument(index, &text));
        };
        *set = option.1;
    }
    match options.iter().position(|option| option.1 == *set) {
        Some(place @ 0..=1) => stack.push_truth(place == 1),
        Some(place) => stack.push(options[place].0.as_bytes()),
        None => stack.push_nil(),
    }
    Ok(())
}

const SWITCH: [(&str, bool); 2] = [("off", false), ("on", true)];

/// What is set before an argument is refused stays set, as in Redis.
fn encode_sparse_array_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let (stack, mut settings) = begin(L, 3)?;
    set_option(stack, 1, &mut settings.is_sparse_object, &SWITCH)?;
    settings.keep(stack);
    set_number(stack, 2, &mut settings.sparse_ratio, 0, i32::MAX)?;
    settings.keep(stack);
    set_number(stack, 3, &mut settings.sparse_safe, 0, i32::MAX)?;
    settings.keep(stack);
    Ok(3)
}

fn encode_max_depth_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let (stack, mut settings) = begin(L, 1)?;
    set_number(stack, 1, &mut settings.encode_depth_max, 1, i32::MAX)?;
    settings.keep(stack);
    Ok(1)
}

fn decode_max_depth_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let (stack, mut settings) = begin(L, 1)?;
    set_number(stack, 1, &mut settings.decode_depth_max, 1, i32::MAX)?;
    settings.keep(stack);
    Ok(1)
}

fn encode_number_precision_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let (stack, mut settings) = begin(L, 1)?;
    set_number(stack, 1, &mut settings.digits, 1, 14)?;
    settings.keep(stack);
    Ok(1)
}

fn encode_keep_buffer_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let (stack, mut settings) = begin(L, 1)?;
    set_option(stack, 1, &mut settings.keeps_buffer, &SWITCH)?;
    settings.keep(stack);
    Ok(1)
}

fn encode_invalid_numbers_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let options = [("off", Invalid::Refused), ("on", Invalid::Written), ("null", Invalid::Null)];
    let (stack, mut settings) = begin(L, 1)?;
    set_option(stack, 1, &mut settings.invalid_encoded, &options)?;
    settings.keep(stack);
    Ok(1)
}

fn decode_invalid_numbers_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let (stack, mut settings) = begin(L, 1)?;
    set_option(stack, 1, &mut settings.are_invalid_decoded, &SWITCH)?;
    settings.keep(stack);
    Ok(1)
}
