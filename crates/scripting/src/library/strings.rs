//! `string`, but for its patterns and for `format`.

use std::ffi::{c_int, c_void};

use mlua_sys::{lua_State, lua_dump_};

use super::buffer::Buffer;
use super::stack::Stack;
use crate::lua::function::{Raise, lua_function};

lua_function!(byte, byte_body);
lua_function!(char, char_body);
lua_function!(dump, dump_body);
lua_function!(len, len_body);
lua_function!(lower, lower_body);
lua_function!(rep, rep_body);
lua_function!(reverse, reverse_body);
lua_function!(sub, sub_body);
lua_function!(upper, upper_body);

/// So many bytes are changed between two looks.
const SLICE_BYTES: usize = 1024;

/// Lua counts the values of its stack with 32 bits and a sign.
const VALUES_MAX: i64 = i32::MAX as i64;

/// A position from the start, from 1: negative ones count from the end, and what is before the start is 0.
pub(super) fn position(position: i64, length: usize) -> i64 {
    let position = if position < 0 { position + length as i64 + 1 } else { position };
    position.max(0)
}

fn len_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let text = stack.string(1)?;
    stack.push_count(text.len());
    Ok(1)
}

fn sub_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let text = stack.string(1)?;
    let from = position(stack.integer(2)?, text.len()).max(1);
    let to = position(stack.integer_or(3, -1)?, text.len()).min(text.len() as i64);
    if from > to {
        stack.push(b"");
        return Ok(1);
    }
    let part = &text[from as usize - 1..to as usize];
    if part.len() > SLICE_BYTES {
        stack.room(part.len())?;
        stack.tick((part.len() / 16) as u32)?;
    }
    stack.push(part);
    Ok(1)
}

/// Makes a string of changed slices of another, of this length.
fn change<'t>(
    stack: Stack,
    length: usize,
    slices: impl Iterator<Item = &'t [u8]>,
    mut change: impl FnMut(&mut [u8]),
) -> Result<c_int, Raise> {
    let mut result = Buffer::new(stack);
    result.reserve(length)?;
    for slice in slices {
        let mut changed = [0; SLICE_BYTES];
        let changed = &mut changed[..slice.len()];
        changed.copy_from_slice(slice);
        change(changed);
        result.push(changed)?;
        stack.tick((slice.len() / 4) as u32)?;
    }
    result.finish()?;
    Ok(1)
}

fn reverse_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let text = stack.string(1)?;
    change(stack, text.len(), text.rchunks(SLICE_BYTES), |slice| slice.reverse())
}

fn lower_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let text = stack.string(1)?;
    change(stack, text.len(), text.chunks(SLICE_BYTES), |slice| slice.make_ascii_lowercase())
}

fn upper_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let text = stack.string(1)?;
    change(stack, text.len(), text.chunks(SLICE_BYTES), |slice| slice.make_ascii_uppercase())
}

fn rep_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let text = stack.string(1)?;
    let count = usize::try_from(stack.int(2)?).unwrap_or(0);
    if count == 0 || text.is_empty() {
        stack.push(b"");
        return Ok(1);
    }
    let mut result = Buffer::new(stack);
    let total = text.len().saturating_mul(count);
    result.reserve(total)?;
    result.push(text)?;
    result.repeat_to(total)?;
    result.finish()?;
    Ok(1)
}

fn byte_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let text = stack.string(1)?;
    let from = position(stack.integer_or(2, 1)?, text.len());
    let to = position(stack.integer_or(3, from)?, text.len()).min(text.len() as i64);
    let from = from.max(1);
    if from > to {
        return Ok(0);
    }
    let count = to - from + 1;
    if count >= VALUES_MAX {
        return Err(stack.fail(b"string slice too long"));
    }
    stack.need(count as c_int, "string slice too long")?;
    for byte in &text[from as usize - 1..to as usize] {
        stack.push_count(usize::from(*byte));
    }
    Ok(count as c_int)
}

fn char_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let count = stack.top();
    let mut result = Buffer::new(stack);
    for index in 1..=count {
        let byte =
            u8::try_from(stack.int(index)?).map_err(|_| stack.fail_argument(index, "invalid value"))?;
        result.push_byte(byte)?;
    }
    result.finish()?;
    Ok(1)
}

/// What [`dump_piece`] has of its caller's.
struct Dump {
    pieces: Buffer,
    is_cut: bool,
}

fn dump_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    stack.function(1)?;
    let mut dump = Dump { pieces: Buffer::new(stack), is_cut: false };
    stack.push_copy(1);
    // SAFETY: a function is on top; what is handed over outlives the call.
    let status = unsafe { lua_dump_(L, dump_piece, (&raw mut dump).cast()) };
    if dump.is_cut {
        return Err(Raise);
    }
    if status != 0 {
        return Err(stack.fail(b"unable to dump given function"));
    }
    dump.pieces.finish()?;
    Ok(1)
}

/// Takes a piece of a function's code; its error stands on top of the stack.
unsafe extern "C-unwind" fn dump_piece(
    _: *mut lua_State,
    piece: *const c_void,
    bytes: usize,
    dump: *mut c_void,
) -> c_int {
    // SAFETY: Lua hands back what `dump_body` gave, and a piece of so many bytes.
    let (dump, piece) =
        unsafe { (&mut *dump.cast::<Dump>(), std::slice::from_raw_parts(piece.cast::<u8>(), bytes)) };
    dump.is_cut = dump.is_cut || dump.pieces.push(piece).is_err();
    c_int::from(dump.is_cut)
}
