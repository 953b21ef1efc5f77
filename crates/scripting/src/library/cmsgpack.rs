//! `cmsgpack.pack`: values as MessagePack. [`super::cmsgpack_unpack`] reads them.
//!
//! What MessagePack has no form for, functions for one, becomes nil; so does a table in 16 others, and a table that holds itself ends there.

use std::ffi::c_int;

use mlua_sys::{LUA_TBOOLEAN, LUA_TNUMBER, LUA_TSTRING, LUA_TTABLE, lua_State};

use super::buffer::Buffer;
use super::number::is_i64;
use super::stack::{Stack, Steps};
use crate::lua::function::{Raise, lua_function};

lua_function!(pack, pack_body);

/// A table in so many others is nil.
const DEPTH_MAX: usize = 16;

fn pack_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let count = stack.top();
    if count == 0 {
        return Err(stack.fail_argument(0, "MessagePack pack needs input."));
    }
    if !stack.has_place(count) {
        return Err(stack.fail_argument(0, "Too many arguments for MessagePack pack."));
    }
    let mut packer = Packer { stack, packed: Buffer::new(stack), steps: Steps::new(stack) };
    for index in 1..=count {
        stack.push_copy(index);
        packer.value(0)?;
    }
    packer.packed.finish()?;
    Ok(1)
}

struct Packer {
    stack: Stack,
    packed: Buffer,
    steps: Steps,
}

impl Packer {
    /// Writes the topmost value, which is in so many tables, and pops it.
    fn value(&mut self, depth: usize) -> Result<(), Raise> {
        self.steps.take(10)?;
        let stack = self.stack;
        match stack.kind(-1) {
            LUA_TSTRING => self.text(stack.bytes(-1).unwrap_or_default())?,
            LUA_TBOOLEAN => self.packed.push_byte(if stack.truth(-1) { 0xc3 } else { 0xc2 })?,
            LUA_TNUMBER => self.number(stack.number(-1))?,
            LUA_TTABLE if depth < DEPTH_MAX => self.table(depth)?,
            _ => self.packed.push_byte(0xc0)?,
        }
        stack.pop(1);
        Ok(())
    }

    fn number(&mut self, number: f64) -> Result<(), Raise> {
        if is_i64(number) {
            return self.integer(number as i64);
        }
        let short = number as f32;
        if f64::from(short) == number {
            self.with_head(0xca, &short.to_be_bytes())
        } else {
            self.with_head(0xcb, &number.to_be_bytes())
        }
    }

    fn integer(&mut self, number: i64) -> Result<(), Raise> {
        match number {
            0..=0x7f => self.packed.push_byte(number as u8),
            0x80..=0xff => self.with_head(0xcc, &[number as u8]),
            0x100..=0xffff => self.with_head(0xcd, &(number as u16).to_be_bytes()),
            0x1_0000..=0xffff_ffff => self.with_head(0xce, &(number as u32).to_be_bytes()),
            0x1_0000_0000.. => self.with_head(0xcf, &number.to_be_bytes()),
            -32..0 => self.packed.push_byte(number as u8),
            -0x80..-32 => self.with_head(0xd0, &[number as u8]),
            -0x8000..-0x80 => self.with_head(0xd1, &(number as i16).to_be_bytes()),
            -0x8000_0000..-0x8000 => self.with_head(0xd2, &(number as i32).to_be_bytes()),
            ..-0x8000_0000 => self.with_head(0xd3, &number.to_be_bytes()),
        }
    }

    fn with_head(&mut self, head: u8, bytes: &[u8]) -> Result<(), Raise> {
        self.packed.push_byte(head)?;
        self.packed.push(bytes)
    }

    fn text(&mut self, text: &[u8]) -> Result<(), Raise> {
        match text.len() {
            length @ 0..=31 => self.packed.push_byte(0xa0 | length as u8)?,
            length @ 32..=0xff => self.with_head(0xd9, &[length as u8])?,
            length => self.length(0xda, length)?,
        }
        self.packed.push(text)
    }

    /// A length of 16 bits with this head, or of 32 with the next.
    fn length(&mut self, head: u8, length: usize) -> Result<(), Raise> {
        match u16::try_from(length) {
            Ok(length) => self.with_head(head, &length.to_be_bytes()),
            Err(_) => self.with_head(head + 1, &(length as u32).to_be_bytes()),
        }
    }

    /// Writes the table on top, and leaves it there.
    fn table(&mut self, depth: usize) -> Result<(), Raise> {
        let stack = self.stack;
        stack.need(4, "in function mp_encode_lua_table_as_map")?;
        stack.see_through(-1);
        match self.array_length()? {
            Some(length) => self.array(length, depth),
            None => self.map(depth),
        }
    }

    fn array(&mut self, length: c_int, depth: usize) -> Result<(), Raise> {
        match length {
            0..=15 => self.packed.push_byte(0x90 | length as u8)?,
            _ => self.length(0xdc, length as usize)?,
        }
        for index in 1..=length {
            self.stack.get_at(-1, index);
            self.value(depth + 1)?;
        }
        Ok(())
    }

    fn map(&mut self, depth: usize) -> Result<(), Raise> {
        let stack = self.stack;
        let mut length = 0;
        stack.push_nil();
        while stack.next(-2) {
            self.steps.take(8)?;
            stack.pop(1);
            length += 1;
        }
        match length {
            0..=15 => self.packed.push_byte(0x80 | length as u8)?,
            _ => self.length(0xde, length)?,
        }
        stack.push_nil();
        while stack.next(-2) {
            // A copy, for a key must stay as it is.
            stack.push_copy(-2);
            self.value(depth + 1)?;
            self.value(depth + 1)?;
        }
        Ok(())
    }

    /// How many elements the table on top has, if its keys are 1 to that.
    fn array_length(&mut self) -> Result<Option<c_int>, Raise> {
        let stack = self.stack;
        let (mut greatest, mut count) = (0.0, 0_i32);
        stack.push_nil();
        while stack.next(-2) {
            self.steps.take(8)?;
            stack.pop(1);
            let key = if stack.kind(-1) == LUA_TNUMBER { stack.number(-1) } else { 0.0 };
            if key < 1.0 || !is_i64(key) {
                stack.pop(1);
                return Ok(None);
            }
            greatest = key.max(greatest);
            count = count.saturating_add(1);
        }
        Ok((greatest == f64::from(count)).then_some(count))
    }
}
