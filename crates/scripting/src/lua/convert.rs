//! Replies of commands to values of Lua's, as Redis has them.
//!
//! | reply | value |
//! |---|---|
//! | status, error | `{ok = text}`, `{err = text}` |
//! | integer, bulk string, boolean | number, string, boolean |
//! | null of RESP2, of RESP3 | `false`, `nil` |
//! | array | table from 1 |
//! | map, set | `{map = {key = value}}`, `{set = {member = true}}` |
//! | double, big number | `{double = number}`, `{big_number = text}` |
//! | verbatim text | `{verbatim_string = {format = text, string = text}}` |

use std::ffi::c_int;

use mlua_sys::{
    lua_State, lua_checkstack, lua_createtable, lua_isnil, lua_pop, lua_pushboolean, lua_pushnil,
    lua_pushnumber, lua_pushvalue, lua_rawset, lua_rawseti_, lua_upvalueindex,
};
use rustredis_resp::number::parse_i64;

use super::companion::{Companion, companion};
use super::errors::push_error;
use super::function::{Raise, fail, push};
use super::{look, sandbox};

/// Texts that `redis.call` has as upvalues, for most replies that are no strings are made of them.
pub(super) const UPVALUES: [&[u8]; 2] = [b"ok", b"OK"];

/// Aggregates in aggregates.
const DEPTH_MAX: u32 = 128;

/// Elements that a table gets room for ahead.
const ROOM_MAX: usize = 1 << 16;

/// Steps that a value costs.
const STEPS: u32 = 8;

/// Values between two questions whether there is too much memory in use.
const VALUES: usize = 1_024;

/// What is said when the host breaks its word.
const RESP: &str = "the host answers in RESP";

/// Pushes the value of a reply. The function that runs has [`UPVALUES`].
///
/// # Errors
/// The script was killed, or has too much memory.
pub(super) fn push_reply(L: *mut lua_State, reply: &[u8]) -> Result<(), Raise> {
    // SAFETY: a state of this crate's.
    let companion = unsafe { companion(L) };
    Reader { L, companion, rest: reply }.value(0)
}

struct Reader<'r> {
    L: *mut lua_State,
    companion: &'r Companion,
    rest: &'r [u8],
}

impl<'r> Reader<'r> {
    fn value(&mut self, depth: u32) -> Result<(), Raise> {
        let L = self.L;
        if !self.companion.spend(STEPS) {
            look::look(L, self.companion)?;
        }
        let head = self.line();
        let (kind, head) = head.split_first().expect(RESP);
        // SAFETY: pushes; `aggregate` has asked for the room.
        unsafe {
            match kind {
                b'+' => {
                    lua_createtable(L, 0, 1);
                    lua_pushvalue(L, lua_upvalueindex(1));
                    if head == UPVALUES[1] {
                        lua_pushvalue(L, lua_upvalueindex(2));
                    } else {
                        push(L, head);
                    }
                    lua_rawset(L, -3);
                }
                b'-' => push_error(L, &[b"-", head].concat(), true),
                b':' => lua_pushnumber(L, parse_i64(head).expect(RESP) as f64),
                b'$' => match count(head) {
                    Some(length) => {
                        let text = self.bytes(length);
                        push(L, text);
                    }
                    None => lua_pushboolean(L, 0),
                },
                b'*' | b'>' => match count(head) {
                    Some(count) => self.array(count, depth)?,
                    None => lua_pushboolean(L, 0),
                },
                b'_' => lua_pushnil(L),
                b'#' => lua_pushboolean(L, c_int::from(head == b"t")),
                b',' => {
                    let number = std::str::from_utf8(head).ok().and_then(|head| head.parse().ok());
                    lua_pushnumber(L, number.expect(RESP));
                    self.wrap(b"double");
                }
                b'(' => {
                    push(L, head);
                    self.wrap(b"big_number");
                }
                b'=' => {
                    let text = self.bytes(count(head).expect(RESP));
                    let (format, text) = text.split_at_checked(4).expect(RESP);
                    lua_createtable(L, 0, 2);
                    push(L, text);
                    sandbox::set_top(L, b"string");
                    push(L, &format[..3]);
                    sandbox::set_top(L, b"format");
                    self.wrap(b"verbatim_string");
                }
                b'%' => self.map(count(head).expect(RESP), depth)?,
                b'~' => self.set(count(head).expect(RESP), depth)?,
                b'|' => {
                    // What is said of a reply beside it is nothing to scripts.
                    for _ in 0..2 * count(head).expect(RESP) {
                        self.value(depth + 1)?;
                        lua_pop(L, 1);
                    }
                    self.value(depth)?;
                }
                _ => panic!("{RESP}"),
            }
        }
        Ok(())
    }

    /// Begins an aggregate of a table with so much room.
    fn aggregate(&self, elements: usize, pairs: usize, depth: u32) -> Result<(), Raise> {
        // SAFETY: asks for room and pushes.
        unsafe {
            if depth >= DEPTH_MAX || lua_checkstack(self.L, 8) == 0 {
                return Err(fail(self.L, b"reached lua stack limit"));
            }
            lua_createtable(self.L, elements.min(ROOM_MAX) as c_int, pairs.min(ROOM_MAX) as c_int);
        }
        Ok(())
    }

    /// Asks now and then whether there is too much memory in use.
    fn check_room(&self, index: usize) -> Result<(), Raise> {
        if index.is_multiple_of(VALUES) { super::function::room(self.L, 0) } else { Ok(()) }
    }

    fn array(&mut self, count: usize, depth: u32) -> Result<(), Raise> {
        self.aggregate(count, 0, depth)?;
        for index in 1..=count {
            self.value(depth + 1)?;
            // SAFETY: table and value are on top.
            unsafe { lua_rawseti_(self.L, -2, index as c_int) }
            self.check_room(index)?;
        }
        Ok(())
    }

    fn map(&mut self, count: usize, depth: u32) -> Result<(), Raise> {
        self.aggregate(0, count, depth)?;
        for index in 1..=count {
            self.value(depth + 1)?;
            self.value(depth + 1)?;
            self.set_pair();
            self.check_room(index)?;
        }
        self.wrap(b"map");
        Ok(())
    }

    fn set(&mut self, count: usize, depth: u32) -> Result<(), Raise> {
        self.aggregate(0, count, depth)?;
        for index in 1..=count {
            self.value(depth + 1)?;
            // SAFETY: pushes.
            unsafe { lua_pushboolean(self.L, 1) }
            self.set_pair();
            self.check_room(index)?;
        }
        self.wrap(b"set");
        Ok(())
    }

    /// Sets what key and value on top say in the table below; nil is no key.
    fn set_pair(&self) {
        // SAFETY: table, key and value are on top; the key is not nil, and no value that is pushed here is a NaN.
        unsafe {
            if lua_isnil(self.L, -2) != 0 {
                lua_pop(self.L, 2);
            } else {
                lua_rawset(self.L, -3);
            }
        }
    }

    /// Makes the value on top the only field of a table.
    fn wrap(&self, name: &[u8]) {
        // SAFETY: the value is on top.
        unsafe {
            lua_createtable(self.L, 0, 1);
            mlua_sys::lua_insert(self.L, -2);
        }
        sandbox::set_top(self.L, name);
    }

    /// The next line, without its end.
    fn line(&mut self) -> &'r [u8] {
        let end = self.rest.iter().position(|byte| *byte == b'\r').expect(RESP);
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.get(2..).expect(RESP);
        line
    }

    /// So many bytes, and the end of a line behind them.
    fn bytes(&mut self, count: usize) -> &'r [u8] {
        let (bytes, rest) = self.rest.split_at_checked(count).expect(RESP);
        self.rest = rest.get(2..).expect(RESP);
        bytes
    }
}

/// A length; `None` for -1, which is a null.
fn count(head: &[u8]) -> Option<usize> {
    usize::try_from(parse_i64(head).expect(RESP)).ok()
}
