//! `math.random`: the generator of POSIX's `drand48`, which Redis uses too, so that a script sees the same numbers on every machine.
//!
//! As in Redis 7, a state's sequence goes on from script to script, and `math.randomseed` begins another. Redis has one state; here each
//! begins at another place, so that scripts on two threads do not make up the same names.

use std::ffi::c_int;

use mlua_sys::{lua_State, lua_gettop, lua_pushnumber};

use super::companion::companion;
use super::function::{Raise, fail, fail_argument, integer_argument, lua_function, number_argument};

/// The generator of POSIX: `x = x * 0x5deece66d + 0xb` of 48 bits.
const FACTOR: u64 = 0x5_deec_e66d;
const ADDEND: u64 = 0xb;
const STATE_BITS: u32 = 48;

/// Low bits of a seed.
const SEED_LOW: u64 = 0x330e;

/// Where POSIX's generator begins without a seed.
const BEGINNING: u64 = 0x1234_abcd_330e;

/// What numbers are divided by.
const MAX: f64 = i32::MAX as f64;

lua_function!(random, next_number);
lua_function!(randomseed, set_seed);

/// Where the generator of the state of this number begins.
pub(super) fn beginning(number: u64) -> u64 {
    (BEGINNING ^ (number.wrapping_mul(0x9e37_79b9) << 16)) & ((1 << STATE_BITS) - 1)
}

/// The next 31 bits.
fn step(L: *mut lua_State) -> u32 {
    // SAFETY: a state of this crate's.
    let companion = unsafe { companion(L) };
    let state = companion.random().wrapping_mul(FACTOR).wrapping_add(ADDEND) & ((1 << STATE_BITS) - 1);
    companion.set_random(state);
    (state >> (STATE_BITS - 31)) as u32
}

fn next_number(L: *mut lua_State) -> Result<c_int, Raise> {
    let fraction = f64::from(step(L) % i32::MAX as u32) / MAX;
    // SAFETY: looks at the stack, and pushes.
    let number = match unsafe { lua_gettop(L) } {
        0 => fraction,
        1 => {
            let last = bound(L, 1)?;
            if last < 1 {
                return Err(fail_argument(L, 1, "interval is empty"));
            }
            (fraction * f64::from(last)).floor() + 1.0
        }
        2 => {
            let (first, last) = (bound(L, 1)?, bound(L, 2)?);
            if first > last {
                return Err(fail_argument(L, 2, "interval is empty"));
            }
            (fraction * (f64::from(last) - f64::from(first) + 1.0)).floor() + f64::from(first)
        }
        _ => return Err(fail(L, b"wrong number of arguments")),
    };
    // SAFETY: as above.
    unsafe { lua_pushnumber(L, number) }
    Ok(1)
}

/// An argument as C's `int`: what does not fit is the lowest of them.
fn bound(L: *mut lua_State, index: c_int) -> Result<i32, Raise> {
    Ok(i32::try_from(integer_argument(L, index)?).unwrap_or(i32::MIN))
}

fn set_seed(L: *mut lua_State) -> Result<c_int, Raise> {
    // The number is checked to be one, then cast to C's `int`.
    number_argument(L, 1)?;
    let seed = integer_argument(L, 1)? as u32;
    // SAFETY: a state of this crate's.
    unsafe { companion(L) }.set_random(u64::from(seed) << 16 | SEED_LOW);
    Ok(0)
}
