//! `string.find`, `match` and `gmatch`.

use std::ffi::c_int;

use mlua_sys::{lua_State, lua_upvalueindex};

use super::pattern::{Matcher, readable};
use super::search;
use super::stack::Stack;
use super::strings::position;
use crate::lua::function::{Raise, lua_function};

lua_function!(find, find_body);
lua_function!(match_, match_body);
lua_function!(gmatch, gmatch_body);
lua_function!(next_match, next_match_body);

/// The bytes that make a pattern more than a text.
const SPECIAL: &[u8] = b"^$*+?.([%-";

fn find_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let (text, pattern) = (stack.string(1)?, stack.string(2)?);
    let from = first_place(stack, text)?;
    if !stack.truth(4) && readable(pattern).iter().any(|byte| SPECIAL.contains(byte)) {
        return find_match(stack, text, pattern, from, true);
    }
    match search::find(stack, &text[from..], pattern)? {
        Some(at) => {
            stack.push_count(from + at + 1);
            stack.push_count(from + at + pattern.len());
            Ok(2)
        }
        None => {
            stack.push_nil();
            Ok(1)
        }
    }
}

fn match_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let (text, pattern) = (stack.string(1)?, stack.string(2)?);
    let from = first_place(stack, text)?;
    find_match(stack, text, pattern, from, false)
}

/// Where a search begins: the third argument says it, from 1.
fn first_place(stack: Stack, text: &[u8]) -> Result<usize, Raise> {
    let first = position(stack.integer_or(3, 1)?, text.len());
    Ok((first.max(1) - 1).min(text.len() as i64) as usize)
}

/// Finds the first match of a pattern, and pushes its ends, if they are wanted, and what it holds.
fn find_match(
    stack: Stack,
    text: &[u8],
    pattern: &[u8],
    from: usize,
    are_ends_wanted: bool,
) -> Result<c_int, Raise> {
    let mut matcher = Matcher::from(stack, text, readable(pattern), from);
    let mut place = matcher.next_place(from)?;
    while let Some(start) = place {
        if let Some(end) = matcher.match_at(start)? {
            if are_ends_wanted {
                stack.push_count(start + 1);
                stack.push_count(end);
                return Ok(matcher.push_captures(None)? + 2);
            }
            return matcher.push_captures(Some((start, end)));
        }
        place = matcher.next_place(start + 1)?;
    }
    stack.push_nil();
    Ok(1)
}

fn gmatch_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    stack.string(1)?;
    stack.string(2)?;
    stack.set_top(2);
    stack.push_number(0.0);
    stack.push_function(next_match, 3);
    Ok(1)
}

/// What `gmatch` gives: finds the next match of the pattern that it keeps, behind the place that it keeps.
fn next_match_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let text = stack.bytes(lua_upvalueindex(1)).unwrap_or_default();
    let pattern = stack.bytes(lua_upvalueindex(2)).unwrap_or_default();
    let from = stack.number(lua_upvalueindex(3)) as usize;
    let mut matcher = Matcher::new(stack, text, readable(pattern));
    let mut place = matcher.next_place(from)?;
    while let Some(start) = place {
        if let Some(end) = matcher.match_at(start)? {
            // Behind an empty match the next one begins a byte further on.
            stack.push_count(if end == start { end + 1 } else { end });
            stack.replace(lua_upvalueindex(3));
            return matcher.push_captures(Some((start, end)));
        }
        place = matcher.next_place(start + 1)?;
    }
    Ok(0)
}
