//! `string.gsub`.
//!
//! It calls functions of the script with nothing in between, so that an error there is seen with its own place: the frame here holds nothing
//! that drops, and the result so far is Lua's.

use std::ffi::c_int;

use mlua_sys::{LUA_TFUNCTION, LUA_TNUMBER, LUA_TSTRING, LUA_TTABLE, lua_State};

use super::buffer::Buffer;
use super::pattern::{Held, Matcher, readable};
use super::search::find_byte;
use super::stack::{Stack, Steps};
use crate::lua::function::{Raise, lua_plain_function};

lua_plain_function!(gsub, gsub_body);

/// What stands in the place of a match.
#[derive(Clone, Copy)]
enum Replacement<'t> {
    /// A text, with `%0` to `%9`.
    Text(&'t [u8]),
    /// What a function returns, called with the captures.
    Function,
    /// What a table has under the first capture.
    Table,
}

fn gsub_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let text = stack.string(1)?;
    let pattern = readable(stack.string(2)?);
    let kind = stack.kind(3);
    let count_max = stack.int_or(4, i32::MAX)?;
    let replacement = match kind {
        LUA_TFUNCTION => Replacement::Function,
        LUA_TTABLE => Replacement::Table,
        LUA_TNUMBER | LUA_TSTRING => Replacement::Text(stack.string(3)?),
        _ => return Err(stack.fail_argument(3, "string/function/table expected")),
    };
    let mut matcher = Matcher::from(stack, text, pattern, 0);
    let mut result = Buffer::new(stack);
    let mut steps = Steps::new(stack);
    let (mut at, mut count) = (0, 0);
    while count < count_max {
        let Some(place) = matcher.next_place(at)? else { break };
        result.push(&text[at..place])?;
        at = place;
        let end = matcher.match_at(at)?;
        if let Some(end) = end {
            count += 1;
            replace(stack, &matcher, replacement, (at, end), text, &mut result)?;
        }
        match end {
            Some(end) if end > at => at = end,
            _ => {
                let Some(byte) = text.get(at) else { break };
                result.push_byte(*byte)?;
                at += 1;
            }
        }
        steps.take(4)?;
    }
    result.push(&text[at..])?;
    result.finish()?;
    stack.push_number(f64::from(count));
    Ok(2)
}

/// Appends what stands in the place of a match.
fn replace(
    stack: Stack,
    matcher: &Matcher<'_>,
    replacement: Replacement<'_>,
    (start, end): (usize, usize),
    text: &[u8],
    result: &mut Buffer,
) -> Result<(), Raise> {
    match replacement {
        Replacement::Text(template) => return fill_in(matcher, template, (start, end), result),
        Replacement::Function => {
            stack.push_copy(3);
            let captures = matcher.push_captures(Some((start, end)))?;
            stack.call_through(captures, 1);
        }
        Replacement::Table => {
            matcher.push_capture(0, start, end)?;
            stack.get_through(3);
        }
    }
    if !stack.truth(-1) {
        result.push(&text[start..end])?;
    } else if let Some(bytes) = stack.bytes(-1) {
        result.push(bytes)?;
    } else {
        let text = format!("invalid replacement value (a {})", stack.type_name(-1));
        return Err(stack.fail(text.as_bytes()));
    }
    stack.pop(1);
    Ok(())
}

/// Appends a text, with what the match holds for each `%` and digit in it.
fn fill_in(
    matcher: &Matcher<'_>,
    mut template: &[u8],
    (start, end): (usize, usize),
    result: &mut Buffer,
) -> Result<(), Raise> {
    while let Some(escape) = find_byte(template, b'%') {
        result.push(&template[..escape])?;
        // What ends with % goes on with a NUL, as C has it.
        let escaped = template.get(escape + 1).copied().unwrap_or(0);
        template = template.get(escape + 2..).unwrap_or_default();
        let held = match escaped {
            b'0' => Held::Bytes(matcher.part(start, end)),
            b'1'..=b'9' => matcher.held(usize::from(escaped - b'1'), start, end)?,
            _ => {
                result.push_byte(escaped)?;
                continue;
            }
        };
        match held {
            Held::Bytes(bytes) => result.push(bytes)?,
            Held::Position(position) => result.push_number(position as f64)?,
        }
    }
    result.push(template)
}
