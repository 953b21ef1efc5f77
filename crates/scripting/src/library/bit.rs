//! `bit`: operations on 32 bits, as the library BitOp has them.

use std::ffi::c_int;

use mlua_sys::lua_State;

use super::stack::Stack;
use crate::lua::function::{Raise, lua_function};

lua_function!(arshift, arshift_body);
lua_function!(band, band_body);
lua_function!(bnot, bnot_body);
lua_function!(bor, bor_body);
lua_function!(bswap, bswap_body);
lua_function!(bxor, bxor_body);
lua_function!(lshift, lshift_body);
lua_function!(rol, rol_body);
lua_function!(ror, ror_body);
lua_function!(rshift, rshift_body);
lua_function!(tobit, tobit_body);
lua_function!(tohex, tohex_body);

/// Added to a number, it leaves the lowest 32 bits of the nearest integer in the lowest 32 of the sum: 2^52 + 2^51.
const TO_BITS: f64 = 6_755_399_441_055_744.0;

/// The bits of an argument. Fractions are rounded, to even; what is beyond 2^51 has no sensible bits.
fn bits(stack: Stack, index: c_int) -> Result<u32, Raise> {
    Ok((stack.number_argument(index)? + TO_BITS).to_bits() as u32)
}

/// Pushes bits as a number with sign.
fn push(stack: Stack, bits: u32) -> Result<c_int, Raise> {
    stack.push_number(f64::from(bits as i32));
    Ok(1)
}

fn tobit_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    push(stack, bits(stack, 1)?)
}

fn bnot_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    push(stack, !bits(stack, 1)?)
}

fn bswap_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    push(stack, bits(stack, 1)?.swap_bytes())
}

/// Joins all arguments. The first is read first, then the others from the last on: their errors come in that order.
fn join(L: *mut lua_State, operation: fn(u32, u32) -> u32) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let mut joined = bits(stack, 1)?;
    for index in (2..=stack.top()).rev() {
        joined = operation(joined, bits(stack, index)?);
    }
    push(stack, joined)
}

fn band_body(L: *mut lua_State) -> Result<c_int, Raise> {
    join(L, |left, right| left & right)
}

fn bor_body(L: *mut lua_State) -> Result<c_int, Raise> {
    join(L, |left, right| left | right)
}

fn bxor_body(L: *mut lua_State) -> Result<c_int, Raise> {
    join(L, |left, right| left ^ right)
}

/// Shifts the first argument by the lowest five bits of the second.
fn shift(L: *mut lua_State, operation: fn(u32, u32) -> u32) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let (shifted, count) = (bits(stack, 1)?, bits(stack, 2)? & 31);
    push(stack, operation(shifted, count))
}

fn lshift_body(L: *mut lua_State) -> Result<c_int, Raise> {
    shift(L, |bits, count| bits << count)
}

fn rshift_body(L: *mut lua_State) -> Result<c_int, Raise> {
    shift(L, |bits, count| bits >> count)
}

fn arshift_body(L: *mut lua_State) -> Result<c_int, Raise> {
    shift(L, |bits, count| ((bits as i32) >> count) as u32)
}

fn rol_body(L: *mut lua_State) -> Result<c_int, Raise> {
    shift(L, u32::rotate_left)
}

fn ror_body(L: *mut lua_State) -> Result<c_int, Raise> {
    shift(L, u32::rotate_right)
}

/// Digits, as many as the second argument says and 8 at most; of capital letters if it is negative.
fn tohex_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let bits = bits(stack, 1)?;
    let wanted = if stack.is_missing(2) { 8 } else { self::bits(stack, 2)? as i32 };
    // The lowest number of all has no positive one: what CVE-2024-31449 is about.
    let count = wanted.unsigned_abs().min(8) as usize;
    let text = if wanted < 0 { format!("{bits:08X}") } else { format!("{bits:08x}") };
    stack.push(&text.as_bytes()[8 - count..]);
    Ok(1)
}
