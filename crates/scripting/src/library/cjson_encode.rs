//! `cjson.encode`.
//!
//! Tables that are being written stand on Lua's stack, each with the key that is next, and beside it what is left of each: no recursion, for
//! a script may set the depth as it likes. Lua's stack limits it then, at the same depth as in Redis.

use std::ffi::c_int;

use mlua_sys::{LUA_TBOOLEAN, LUA_TLIGHTUSERDATA, LUA_TNIL, LUA_TNUMBER, LUA_TSTRING, LUA_TTABLE, lua_State};
use smallvec::SmallVec;

use super::buffer::Buffer;
use super::cjson_settings::{Invalid, PLACE, Settings};
use super::number::{Text, to_i32};
use super::stack::{Stack, Steps};
use crate::lua::function::{Raise, lua_function};

lua_function!(encode, encode_body);

/// So many bytes of a string are looked at between two looks.
const SLICE_BYTES: usize = 2048;

fn encode_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    if stack.top() != 1 {
        return Err(stack.fail_argument(1, "expected 1 argument"));
    }
    let mut encoder = Encoder {
        stack,
        settings: Settings::of(stack),
        json: Buffer::at(stack, PLACE),
        steps: Steps::new(stack),
        frames: SmallVec::new(),
    };
    let result = encoder.run().and_then(|()| encoder.json.finish());
    stack.push_nil();
    stack.replace(PLACE);
    result.map(|()| 1)
}

/// A table that is being written.
enum Frame {
    /// On the stack: the table. The element that is next, and the last one.
    Array { next: i64, last: i64 },
    /// On the stack: the table, and the key that was written last, or nil.
    Object { is_empty: bool },
}

struct Encoder {
    stack: Stack,
    settings: Settings,
    json: Buffer,
    steps: Steps,
    frames: SmallVec<[Frame; 16]>,
}

impl Encoder {
    fn run(&mut self) -> Result<(), Raise> {
        loop {
            self.value()?;
            while !self.next()? {
                // A table was closed: it is the value that its own table waits for.
                if self.frames.is_empty() {
                    return Ok(());
                }
            }
        }
    }

    /// Pushes the next value of the table that is written, or closes it; says whether there is a value.
    fn next(&mut self) -> Result<bool, Raise> {
        self.steps.take(16)?;
        let stack = self.stack;
        match self.frames.last_mut() {
            None => return Ok(false),
            Some(Frame::Array { next, last }) if *next <= *last => {
                if *next > 1 {
                    self.json.push_byte(b',')?;
                }
                stack.get_at(-1, *next as c_int);
                *next += 1;
                return Ok(true);
            }
            Some(Frame::Array { .. }) => self.json.push_byte(b']')?,
            Some(Frame::Object { is_empty }) => {
                if stack.next(-2) {
                    if !std::mem::take(is_empty) {
                        self.json.push_byte(b',')?;
                    }
                    self.key()?;
                    return Ok(true);
                }
                self.json.push_byte(b'}')?;
            }
        }
        self.frames.pop();
        stack.pop(1);
        Ok(false)
    }

    /// Writes the key below the topmost value.
    fn key(&mut self) -> Result<(), Raise> {
        match self.stack.kind(-2) {
            LUA_TNUMBER => {
                self.json.push_byte(b'"')?;
                self.number(self.stack.number(-2))?;
                self.json.push(b"\":")
            }
            LUA_TSTRING => {
                self.text(self.stack.bytes(-2).unwrap_or_default())?;
                self.json.push_byte(b':')
            }
            _ => Err(self.refuse(-2, "table key must be a number or string")),
        }
    }

    /// Writes the topmost value and pops it, or begins a table.
    fn value(&mut self) -> Result<(), Raise> {
        let stack = self.stack;
        match stack.kind(-1) {
            LUA_TTABLE => return self.begin_table(),
            LUA_TSTRING => self.text(stack.bytes(-1).unwrap_or_default())?,
            LUA_TNUMBER => self.number(stack.number(-1))?,
            LUA_TBOOLEAN => self.json.push(if stack.truth(-1) { b"true" } else { b"false" })?,
            LUA_TNIL => self.json.push(b"null")?,
            LUA_TLIGHTUSERDATA if stack.block(-1).is_null() => self.json.push(b"null")?,
            _ => return Err(self.refuse(-1, "type not supported")),
        }
        stack.pop(1);
        Ok(())
    }

    fn begin_table(&mut self) -> Result<(), Raise> {
        let stack = self.stack;
        let depth = self.frames.len() + 1;
        if depth > self.settings.encode_depth_max as usize || !stack.has_place(3) {
            return Err(stack.fail(format!("Cannot serialise, excessive nesting ({depth})").as_bytes()));
        }
        stack.see_through(-1);
        let last = self.array_length()?;
        if last > 0 {
            self.json.push_byte(b'[')?;
            self.frames.push(Frame::Array { next: 1, last: i64::from(last) });
        } else {
            self.json.push_byte(b'{')?;
            stack.push_nil();
            self.frames.push(Frame::Object { is_empty: true });
        }
        Ok(())
    }

    /// The greatest index of the table on top, if it has no keys but indexes; what is not positive if it is no array. An index that 32 bits do
    /// not hold counts as C casts it.
    fn array_length(&mut self) -> Result<i32, Raise> {
        let stack = self.stack;
        let (mut greatest, mut elements) = (0, 0_i32);
        stack.push_nil();
        while stack.next(-2) {
            self.steps.take(8)?;
            stack.pop(1);
            let key = if stack.kind(-1) == LUA_TNUMBER { stack.number(-1) } else { 0.0 };
            if key < 1.0 || key.floor() != key {
                stack.pop(1);
                return Ok(-1);
            }
            if key > f64::from(greatest) {
                greatest = to_i32(key);
            }
            elements = elements.saturating_add(1);
        }
        let Settings { is_sparse_object, sparse_ratio, sparse_safe, .. } = self.settings;
        let is_sparse =
            sparse_ratio > 0 && greatest > elements.wrapping_mul(sparse_ratio) && greatest > sparse_safe;
        match is_sparse {
            true if is_sparse_object => Ok(-1),
            true => Err(self.refuse(-1, "excessively sparse array")),
            false => Ok(greatest),
        }
    }

    fn number(&mut self, number: f64) -> Result<(), Raise> {
        if !number.is_finite() {
            match self.settings.invalid_encoded {
                Invalid::Refused => {
                    return Err(self.stack.fail(b"Cannot serialise number: must not be NaN or Inf"));
                }
                Invalid::Null => return self.json.push(b"null"),
                Invalid::Written if number.is_nan() => return self.json.push(b"nan"),
                Invalid::Written => {}
            }
        }
        self.json.push(Text::of(number, self.settings.digits as u8).bytes())
    }

    fn text(&mut self, text: &[u8]) -> Result<(), Raise> {
        self.json.push_byte(b'"')?;
        for slice in text.chunks(SLICE_BYTES) {
            self.steps.take(slice.len() / 2)?;
            let mut plain = 0;
            for (index, &byte) in slice.iter().enumerate() {
                if !is_escaped(byte) {
                    continue;
                }
                self.json.push(&slice[plain..index])?;
                self.escaped(byte)?;
                plain = index + 1;
            }
            self.json.push(&slice[plain..])?;
        }
        self.json.push_byte(b'"')
    }

    fn escaped(&mut self, byte: u8) -> Result<(), Raise> {
        let letter = match byte {
            b'\x08' => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            b'\x0c' => b'f',
            b'\r' => b'r',
            b'"' | b'\\' | b'/' => byte,
            _ => {
                let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 15)];
                return self.json.push(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)]);
            }
        };
        self.json.push(&[b'\\', letter])
    }

    #[cold]
    fn refuse(&self, index: c_int, why: &str) -> Raise {
        let text = format!("Cannot serialise {}: {why}", self.stack.type_name(index));
        self.stack.fail(text.as_bytes())
    }
}

fn is_escaped(byte: u8) -> bool {
    matches!(byte, 0..=31 | b'"' | b'/' | b'\\' | 127)
}
