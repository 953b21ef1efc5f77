//! What a script returned, as a reply.
//!
//! Tables say what they are by a field (`err`, `ok`, `double`, `map`, `set`, `big_number`, `verbatim_string`), and are arrays up to the first nil
//! otherwise. Metatables are not asked, as in Redis. Tables may hold themselves, so nothing here calls itself: what is begun stands in a
//! list, its table on Lua's stack, and where Lua's stack ends the reply has an error in that place, as Redis's has.

use std::ffi::c_int;

use mlua_sys::{
    LUA_TBOOLEAN, LUA_TNUMBER, LUA_TSTRING, LUA_TTABLE, lua_State, lua_checkstack, lua_next, lua_pop,
    lua_pushnil, lua_pushvalue, lua_rawget_, lua_rawgeti_, lua_toboolean, lua_tonumber, lua_type,
};
use rustredis_resp::reply::{Aggregate, Mark};
use rustredis_resp::{Proto, Reply};

use super::companion::Companion;
use super::function::{Raise, push, to_bytes};
use super::ground::REPLY_NAMES;
use super::look;

/// Lua's indices of the fields' names that say what a table is.
const ERR: c_int = REPLY_NAMES;
const OK: c_int = ERR + 1;
const DOUBLE: c_int = ERR + 2;
const MAP: c_int = ERR + 3;
const SET: c_int = ERR + 4;
const BIG_NUMBER: c_int = ERR + 5;
const VERBATIM: c_int = ERR + 6;

/// Steps that a value costs.
const STEPS: u32 = 16;

/// Bytes of a reply from which on it is asked, each time that it has doubled, whether there is room for it.
const LONG_BYTES: usize = 64 << 10;

/// What a reply is as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// A value.
    Value,
    /// An error: one of a command, which is counted already, or the script's own.
    Error { is_counted: bool },
}

/// Writes the value on top of Lua's stack in the protocol of a client, and pops it.
///
/// # Errors
/// The script was killed, or the reply is too long; what is written so far is no reply.
pub(crate) fn write(
    L: *mut lua_State,
    companion: &Companion,
    proto: Proto,
    out: &mut Vec<u8>,
) -> Result<Written, Raise> {
    let mut writer =
        Writer { L, companion, reply: Reply::new(out, proto), begun: Vec::new(), long: LONG_BYTES };
    // SAFETY: a value is on the stack.
    unsafe {
        if lua_type(L, -1) != LUA_TTABLE {
            writer.scalar();
            return Ok(Written::Value);
        }
        lua_checkstack(L, 8);
    }
    let written = writer.top();
    writer.value();
    writer.finish()?;
    Ok(written)
}

/// An aggregate that is begun. Its table is on Lua's stack; above it, for a map or a set, the key that it is at.
enum Begun {
    /// So many elements are written.
    Array { mark: Mark, count: usize },
    /// So many pairs are; the value that belongs to the key is on top of it if the key is written.
    Map { mark: Mark, count: usize, is_key_written: bool },
    /// So many members are.
    Set { mark: Mark, count: usize },
}

struct Writer<'w> {
    L: *mut lua_State,
    companion: &'w Companion,
    reply: Reply<'w>,
    begun: Vec<Begun>,
    long: usize,
}

impl Writer<'_> {
    /// What the table on top is as a whole.
    fn top(&self) -> Written {
        // SAFETY: the table is on top.
        unsafe {
            if !self.field(ERR, LUA_TSTRING) {
                return Written::Value;
            }
            push(self.L, b"ignore_error_stats_update");
            lua_rawget_(self.L, -3);
            let is_counted = lua_toboolean(self.L, -1) != 0;
            lua_pop(self.L, 2);
            Written::Error { is_counted }
        }
    }

    /// Pushes the field of this number of the table on top if it is of this type, and says so.
    fn field(&self, field: c_int, kind: c_int) -> bool {
        // SAFETY: the table is on top, the names are where they were put.
        unsafe {
            lua_pushvalue(self.L, field);
            lua_rawget_(self.L, -2);
            let is_it = lua_type(self.L, -1) == kind;
            if !is_it {
                lua_pop(self.L, 1);
            }
            is_it
        }
    }

    /// Goes on with what is begun until all of it is written.
    fn finish(&mut self) -> Result<(), Raise> {
        let L = self.L;
        while let Some(begun) = self.begun.last_mut() {
            // SAFETY: the stack is as `Begun` says; no table is changed while it is walked.
            unsafe {
                match begun {
                    Begun::Array { mark, count } => {
                        lua_rawgeti_(L, -1, *count as c_int + 1);
                        if lua_type(L, -1) != mlua_sys::LUA_TNIL {
                            *count += 1;
                        } else {
                            self.reply.close(*mark, Aggregate::Array, *count);
                            self.begun.pop();
                            lua_pop(L, 2);
                            continue;
                        }
                    }
                    Begun::Map { is_key_written, .. } if *is_key_written => *is_key_written = false,
                    Begun::Map { mark, count, is_key_written } => {
                        if lua_next(L, -2) != 0 {
                            *count += 1;
                            *is_key_written = true;
                            lua_pushvalue(L, -2);
                        } else {
                            self.reply.close(*mark, Aggregate::Map, *count);
                            self.begun.pop();
                            lua_pop(L, 2);
                            continue;
                        }
                    }
                    Begun::Set { mark, count } => {
                        if lua_next(L, -2) != 0 {
                            *count += 1;
                            lua_pop(L, 1);
                            lua_pushvalue(L, -1);
                        } else {
                            self.reply.close(*mark, Aggregate::Set, *count);
                            self.begun.pop();
                            lua_pop(L, 2);
                            continue;
                        }
                    }
                }
            }
            self.value();
            if !self.companion.spend(STEPS) {
                look::look(L, self.companion)?;
            }
            if self.reply.len() >= self.long {
                self.long = self.reply.len() * 2;
                super::function::room(L, self.reply.len())?;
            }
        }
        Ok(())
    }

    /// Writes the value on top and pops it, or begins it.
    fn value(&mut self) {
        let L = self.L;
        // SAFETY: a value is on top.
        unsafe {
            if lua_type(L, -1) != LUA_TTABLE {
                self.scalar();
                return;
            }
            if lua_checkstack(L, 4) == 0 {
                self.reply.error("ERR reached lua stack limit");
                lua_pop(L, 1);
                return;
            }
            let mark = self.reply.mark();
            if self.field(ERR, LUA_TSTRING) {
                let text = to_bytes(L, -1).unwrap_or_default();
                let end = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |at| at + 1);
                self.reply.error(&text[..end]);
                lua_pop(L, 2);
            } else if self.field(OK, LUA_TSTRING) {
                self.line(b'+', to_bytes(L, -1).unwrap_or_default());
                lua_pop(L, 2);
            } else if self.field(DOUBLE, LUA_TNUMBER) {
                self.double(lua_tonumber(L, -1));
                lua_pop(L, 2);
            } else if self.field(MAP, LUA_TTABLE) {
                lua_pushnil(L);
                self.begun.push(Begun::Map { mark, count: 0, is_key_written: false });
            } else if self.field(SET, LUA_TTABLE) {
                lua_pushnil(L);
                self.begun.push(Begun::Set { mark, count: 0 });
            } else if self.field(BIG_NUMBER, LUA_TSTRING) {
                let digits = to_bytes(L, -1).unwrap_or_default();
                if self.reply.is_resp3() {
                    self.line(b'(', digits);
                } else {
                    let digits: Vec<u8> = digits.iter().map(one_line).collect();
                    self.reply.bulk(&digits);
                }
                lua_pop(L, 2);
            } else if !self.verbatim() {
                self.begun.push(Begun::Array { mark, count: 0 });
            }
        }
    }

    /// Writes the table on top if it is a verbatim text, and says so.
    fn verbatim(&mut self) -> bool {
        let L = self.L;
        if !self.field(VERBATIM, LUA_TTABLE) {
            return false;
        }
        // SAFETY: both tables are on top.
        unsafe {
            push(L, b"string");
            lua_rawget_(L, -2);
            push(L, b"format");
            lua_rawget_(L, -3);
            let is_it = lua_type(L, -1) == LUA_TSTRING && lua_type(L, -2) == LUA_TSTRING;
            if is_it {
                let (text, format) =
                    (to_bytes(L, -2).unwrap_or_default(), to_bytes(L, -1).unwrap_or_default());
                if self.reply.is_resp3() {
                    // Three bytes of format, and spaces where there are fewer.
                    let mut head = *b"   ";
                    let length = format.len().min(head.len());
                    head[..length].copy_from_slice(&format[..length]);
                    self.reply.raw(format!("={}\r\n", text.len() + 4).as_bytes());
                    self.reply.raw(&head);
                    self.reply.raw(b":");
                    self.reply.raw(text);
                    self.reply.raw(b"\r\n");
                } else {
                    self.reply.bulk(text);
                }
            }
            lua_pop(L, if is_it { 4 } else { 3 });
            is_it
        }
    }

    /// Writes what is no table, and pops it.
    fn scalar(&mut self) {
        let L = self.L;
        // SAFETY: a value is on top.
        unsafe {
            match lua_type(L, -1) {
                LUA_TSTRING => self.reply.bulk(to_bytes(L, -1).unwrap_or_default()),
                LUA_TNUMBER => self.reply.int(integer(lua_tonumber(L, -1))),
                LUA_TBOOLEAN => {
                    let value = lua_toboolean(L, -1) != 0;
                    match self.companion.proto() {
                        Proto::Resp3 => self.reply.bool(value),
                        Proto::Resp2 if value => self.reply.int(1),
                        Proto::Resp2 => self.reply.null(),
                    }
                }
                _ => self.reply.null(),
            }
            lua_pop(L, 1);
        }
    }

    fn double(&mut self, number: f64) {
        if !number.is_nan() {
            return self.reply.double(number);
        }
        // As C prints it.
        let text: &[u8] = if number.is_sign_negative() { b"-nan" } else { b"nan" };
        if self.reply.is_resp3() { self.line(b',', text) } else { self.reply.bulk(text) }
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        let line: Vec<u8> = [kind].iter().chain(text).map(one_line).chain(*b"\r\n").collect();
        self.reply.raw(&line);
    }
}

/// A byte, or a space for the end of a line.
fn one_line(byte: &u8) -> u8 {
    if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }
}

/// A number as C casts it: what does not fit is the lowest integer.
fn integer(number: f64) -> i64 {
    const END: f64 = i64::MAX as f64;
    if (-END..END).contains(&number) { number as i64 } else { i64::MIN }
}
