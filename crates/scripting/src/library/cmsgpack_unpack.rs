//! `cmsgpack.unpack` and its like: MessagePack as values.
//!
//! Tables that are not complete stand on Lua's stack with the index or key that is next, so there is no recursion; Lua's stack limits the depth,
//! and how many values come at once, as in Redis. No table is made larger than what came for it: a length that a peer says is only
//! counted down.

use std::ffi::c_int;

use mlua_sys::{LUA_TNUMBER, lua_State};
use smallvec::SmallVec;

use super::stack::{Stack, Steps};
use crate::lua::function::{Raise, lua_function};

lua_function!(unpack, unpack_body);
lua_function!(unpack_one, unpack_one_body);
lua_function!(unpack_limit, unpack_limit_body);

/// A string of more bytes is made if there is room for it.
const SHORT_BYTES: usize = 1024;

fn unpack_body(L: *mut lua_State) -> Result<c_int, Raise> {
    unpack_some(Stack::of(L), 0, 0)
}

fn unpack_one_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let offset = stack.integer_or(2, 0)?;
    drop_options(stack);
    unpack_some(stack, 1, offset)
}

fn unpack_limit_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let limit = stack.integer(2)?;
    let offset = stack.integer_or(3, 0)?;
    drop_options(stack);
    unpack_some(stack, limit, offset)
}

/// Leaves the bytes alone on the stack, if they are there.
fn drop_options(stack: Stack) {
    stack.set_top(stack.top().min(1));
}

/// Reads so many values from an offset on, and says in front of them where it ended, or -1 for the end; all values and nothing in front if
/// both are 0.
fn unpack_some(stack: Stack, limit: i64, offset: i64) -> Result<c_int, Raise> {
    let bytes = stack.string(1)?;
    let are_all_wanted = limit == 0 && offset == 0;
    // As Redis words them, which prints 32 bits, and the length as the limit.
    let (shown, length) = (offset as i32, bytes.len() as i32);
    if offset < 0 || limit < 0 {
        let text = format!("Invalid request to unpack with offset of {shown} and limit of {length}.");
        return Err(stack.fail(text.as_bytes()));
    }
    let Some(rest) = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)) else {
        let text = format!("Start offset {shown} greater than input length {length}.");
        return Err(stack.fail(text.as_bytes()));
    };
    let mut unpacker = Unpacker { stack, rest, steps: Steps::new(stack), frames: SmallVec::new() };
    let mut count = 0;
    while !unpacker.rest.is_empty() && (are_all_wanted || i64::from(count) < limit) {
        unpacker.value()?;
        count += 1;
    }
    if are_all_wanted {
        return Ok(count);
    }
    stack.need(1, "in function mp_unpack_full")?;
    if unpacker.rest.is_empty() {
        stack.push_number(-1.0);
    } else {
        stack.push_count(bytes.len() - unpacker.rest.len());
    }
    stack.insert(2);
    Ok(count + 1)
}

/// A table that is not complete, and how many values are still to come for it.
enum Frame {
    /// On the stack: the table, and the index that is next.
    Array { left: u32, index: f64 },
    /// On the stack: the table, and the key if it has come.
    Map { left: u32, has_key: bool },
}

struct Unpacker<'b> {
    stack: Stack,
    rest: &'b [u8],
    steps: Steps,
    frames: SmallVec<[Frame; 16]>,
}

impl Unpacker<'_> {
    /// Reads a value and pushes it.
    fn value(&mut self) -> Result<(), Raise> {
        loop {
            if self.begin()? && self.store()? {
                return Ok(());
            }
        }
    }

    /// Reads what a value begins with, and pushes it; says whether it is complete.
    fn begin(&mut self) -> Result<bool, Raise> {
        self.steps.take(16)?;
        let stack = self.stack;
        let head = self.take::<1>()?[0];
        stack.need(1, "too many return values at once; use unpack_one or unpack_limit instead.")?;
        match head {
            0..=0x7f => stack.push_number(f64::from(head)),
            0x80..=0x8f => return Ok(self.begin_map(u32::from(head & 15))),
            0x90..=0x9f => return self.begin_array(u32::from(head & 15)),
            0xa0..=0xbf => self.text(u32::from(head & 31))?,
            0xc0 => stack.push_nil(),
            0xc2 | 0xc3 => stack.push_truth(head == 0xc3),
            0xca => stack.push_number(f64::from(f32::from_be_bytes(self.take()?))),
            0xcb => stack.push_number(f64::from_be_bytes(self.take()?)),
            0xcc => stack.push_number(f64::from(u8::from_be_bytes(self.take()?))),
            0xcd => stack.push_number(f64::from(u16::from_be_bytes(self.take()?))),
            0xce => stack.push_number(f64::from(u32::from_be_bytes(self.take()?))),
            // Without a sign as well: so it is in Redis, whose Lua has no other integers.
            0xcf | 0xd3 => stack.push_number(i64::from_be_bytes(self.take()?) as f64),
            0xd0 => stack.push_number(f64::from(i8::from_be_bytes(self.take()?))),
            0xd1 => stack.push_number(f64::from(i16::from_be_bytes(self.take()?))),
            0xd2 => stack.push_number(f64::from(i32::from_be_bytes(self.take()?))),
            0xd9 => {
                let length = u8::from_be_bytes(self.take()?);
                self.text(u32::from(length))?;
            }
            0xda => {
                let length = u16::from_be_bytes(self.take()?);
                self.text(u32::from(length))?;
            }
            0xdb => {
                let length = u32::from_be_bytes(self.take()?);
                self.text(length)?;
            }
            0xdc => {
                let length = u16::from_be_bytes(self.take()?);
                return self.begin_array(u32::from(length));
            }
            0xdd => {
                let length = u32::from_be_bytes(self.take()?);
                return self.begin_array(length);
            }
            0xde => {
                let length = u16::from_be_bytes(self.take()?);
                return Ok(self.begin_map(u32::from(length)));
            }
            0xdf => {
                let length = u32::from_be_bytes(self.take()?);
                return Ok(self.begin_map(length));
            }
            0xe0..=0xff => stack.push_number(f64::from(head as i8)),
            _ => return Err(stack.fail(b"Bad data format in input.")),
        }
        Ok(true)
    }

    fn begin_array(&mut self, left: u32) -> Result<bool, Raise> {
        self.stack.push_table(0, 0);
        self.stack.need(1, "in function mp_decode_to_lua_array")?;
        if left > 0 {
            self.frames.push(Frame::Array { left, index: 1.0 });
            self.stack.push_number(1.0);
        }
        Ok(left == 0)
    }

    fn begin_map(&mut self, left: u32) -> bool {
        self.stack.push_table(0, 0);
        if left > 0 {
            self.frames.push(Frame::Map { left, has_key: false });
        }
        left == 0
    }

    /// Puts the topmost value where it belongs, and the tables that it completes; says whether the topmost value is all.
    fn store(&mut self) -> Result<bool, Raise> {
        let stack = self.stack;
        while let Some(frame) = self.frames.last_mut() {
            let is_complete = match frame {
                Frame::Array { left, index } => {
                    stack.set(-3);
                    *left -= 1;
                    if *left > 0 {
                        *index += 1.0;
                        stack.push_number(*index);
                    }
                    *left == 0
                }
                Frame::Map { has_key, .. } if !*has_key => {
                    *has_key = true;
                    false
                }
                Frame::Map { left, has_key } => {
                    check_key(stack)?;
                    stack.set(-3);
                    *left -= 1;
                    *has_key = false;
                    *left == 0
                }
            };
            if !is_complete {
                return Ok(false);
            }
            self.frames.pop();
        }
        Ok(true)
    }

    fn text(&mut self, length: u32) -> Result<(), Raise> {
        let Some((text, rest)) = self.rest.split_at_checked(length as usize) else {
            return Err(self.missing());
        };
        self.rest = rest;
        if text.len() > SHORT_BYTES {
            self.stack.room(text.len())?;
            self.stack.tick((text.len() / 16) as u32)?;
        }
        self.stack.push(text);
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Raise> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else { return Err(self.missing()) };
        self.rest = rest;
        Ok(*bytes)
    }

    #[cold]
    fn missing(&self) -> Raise {
        self.stack.fail(b"Missing bytes in input.")
    }
}

/// Whether the key below the topmost value is one that tables take, as Lua words it.
fn check_key(stack: Stack) -> Result<(), Raise> {
    if stack.is_nil(-2) {
        return Err(stack.fail_bare(b"table index is nil"));
    }
    if stack.kind(-2) == LUA_TNUMBER && stack.number(-2).is_nan() {
        return Err(stack.fail_bare(b"table index is NaN"));
    }
    Ok(())
}
