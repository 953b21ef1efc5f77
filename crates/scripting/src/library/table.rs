//! `table`, but for `sort`; and `unpack`.

use std::ffi::c_int;

use mlua_sys::{LUA_TNUMBER, lua_State};

use super::buffer::Buffer;
use super::stack::{Stack, Steps};
use crate::lua::function::{Raise, lua_function, lua_plain_function};

lua_function!(concat, concat_body);
lua_plain_function!(foreach, foreach_body);
lua_plain_function!(foreachi, foreachi_body);
lua_function!(getn, getn_body);
lua_function!(insert, insert_body);
lua_function!(maxn, maxn_body);
lua_function!(remove, remove_body);
lua_function!(setn, setn_body);
lua_function!(unpack, unpack_body);

/// How many elements a table has, in 32 bits as Lua's indexes.
pub(super) fn count(stack: Stack, index: c_int) -> i32 {
    stack.length(index) as i32
}

fn concat_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let separator: &[u8] = if stack.is_absent(2) { b"" } else { stack.string(2)? };
    stack.table(1)?;
    let first = stack.int_or(3, 1)?;
    let last = if stack.is_absent(4) { count(stack, 1) } else { stack.int(4)? };
    let mut result = Buffer::new(stack);
    let mut steps = Steps::new(stack);
    for index in first..=last {
        steps.take(16)?;
        stack.get_at(1, index);
        if stack.kind(-1) == LUA_TNUMBER {
            result.push_number(stack.number(-1))?;
        } else if let Some(bytes) = stack.bytes(-1) {
            result.push(bytes)?;
        } else {
            let found = stack.type_name(-1);
            let text = format!("invalid value ({found}) at index {index} in table for 'concat'");
            return Err(stack.fail(text.as_bytes()));
        }
        stack.pop(1);
        if index < last {
            result.push(separator)?;
        }
    }
    result.finish()?;
    Ok(1)
}

/// Calls a function for each key; it holds nothing that drops, for an error of that function jumps over it.
fn foreach_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    stack.table(1)?;
    stack.function(2)?;
    stack.push_nil();
    while stack.next_through(1) {
        stack.push_copy(2);
        stack.push_copy(-3);
        stack.push_copy(-3);
        stack.call_through(2, 1);
        if !stack.is_nil(-1) {
            return Ok(1);
        }
        stack.pop(2);
        stack.tick(16)?;
    }
    Ok(0)
}

/// As [`foreach_body`], for the elements.
fn foreachi_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    stack.table(1)?;
    let last = count(stack, 1);
    stack.function(2)?;
    for index in 1..=last {
        stack.push_copy(2);
        stack.push_number(f64::from(index));
        stack.get_at(1, index);
        stack.call_through(2, 1);
        if !stack.is_nil(-1) {
            return Ok(1);
        }
        stack.pop(1);
        stack.tick(16)?;
    }
    Ok(0)
}

fn getn_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    stack.table(1)?;
    stack.push_number(f64::from(count(stack, 1)));
    Ok(1)
}

fn setn_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    stack.table(1)?;
    Err(stack.fail(b"'setn' is obsolete"))
}

fn maxn_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    stack.table(1)?;
    let mut steps = Steps::new(stack);
    let mut greatest: f64 = 0.0;
    stack.push_nil();
    while stack.next(1) {
        steps.take(8)?;
        stack.pop(1);
        if stack.kind(-1) == LUA_TNUMBER {
            greatest = greatest.max(stack.number(-1));
        }
    }
    stack.push_number(greatest);
    Ok(1)
}

fn insert_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    stack.own_table(1)?;
    let end = count(stack, 1).wrapping_add(1);
    let place = match stack.top() {
        2 => end,
        3 => {
            let place = stack.int(2)?;
            make_way(stack, place, end)?;
            place
        }
        _ => return Err(stack.fail(b"wrong number of arguments to 'insert'")),
    };
    stack.set_at(1, place);
    Ok(0)
}

/// Moves all elements from a place on one further.
fn make_way(stack: Stack, place: i32, end: i32) -> Result<(), Raise> {
    let mut steps = Steps::new(stack);
    for index in (place..end).rev() {
        steps.take(8)?;
        stack.get_at(1, index);
        stack.set_at(1, index + 1);
    }
    Ok(())
}

/// A shared table has no elements, so there is nothing to take from it.
fn remove_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    stack.table_as_seen(1)?;
    let end = count(stack, 1);
    let place = stack.int_or(2, end)?;
    if !(1..=end).contains(&place) {
        return Ok(0);
    }
    let mut steps = Steps::new(stack);
    stack.get_at(1, place);
    for index in place..end {
        steps.take(8)?;
        stack.get_at(1, index + 1);
        stack.set_at(1, index);
    }
    stack.push_nil();
    stack.set_at(1, end);
    Ok(1)
}

/// The count of values is taken with more bits than they have: what CVE-2025-46817 is about.
fn unpack_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    stack.table(1)?;
    let first = stack.int_or(2, 1)?;
    let last = if stack.is_absent(3) { count(stack, 1) } else { stack.int(3)? };
    if first > last {
        return Ok(0);
    }
    let values = i64::from(last) - i64::from(first) + 1;
    let Some(values) = c_int::try_from(values).ok().filter(|values| stack.has_place(*values)) else {
        return Err(stack.fail(b"too many results to unpack"));
    };
    for index in first..=last {
        stack.get_at(1, index);
    }
    Ok(values)
}
