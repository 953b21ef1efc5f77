//! `struct`: values as fields of bytes, in a format that tells them.

use std::ffi::c_int;

use mlua_sys::lua_State;

use super::buffer::Buffer;
use super::number::to_u64;
use super::search;
use super::stack::{Stack, Steps};
use super::struct_format::{Format, INTEGER_BYTES_MAX, Item};
use crate::lua::function::{Raise, lua_function};

lua_function!(pack, pack_body);
lua_function!(size, size_body);
lua_function!(unpack, unpack_body);

/// A string of more bytes is made if there is room for it.
const SHORT_BYTES: usize = 1024;

fn pack_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let mut format = Format::new(stack, stack.string(1)?);
    let mut argument = 1;
    // Behind the arguments: what is missing is nil.
    stack.push_nil();
    let mut packed = Buffer::new(stack);
    let mut steps = Steps::new(stack);
    while let Some(item) = format.next()? {
        steps.take(16)?;
        for _ in 0..format.padding(packed.bytes().len(), item) {
            packed.push_byte(0)?;
        }
        if !matches!(item.option, b'x' | b' ' | b'<' | b'>' | b'!') {
            argument += 1;
        }
        match item.option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let number = to_u64(stack.number_argument(argument)?);
                push_integer(number, item.size, format.is_big_endian(), &mut packed)?;
            }
            b'x' => packed.push_byte(0)?,
            b'f' => {
                let number = stack.number_argument(argument)? as f32;
                let big = format.is_big_endian();
                packed.push(&if big { number.to_be_bytes() } else { number.to_le_bytes() })?;
            }
            b'd' => {
                let number = stack.number_argument(argument)?;
                let big = format.is_big_endian();
                packed.push(&if big { number.to_be_bytes() } else { number.to_le_bytes() })?;
            }
            b'c' | b's' => push_text(stack, argument, item, &mut packed)?,
            option => format.control(option)?,
        }
    }
    packed.finish()?;
    Ok(1)
}

fn push_integer(number: u64, size: usize, is_big_endian: bool, packed: &mut Buffer) -> Result<(), Raise> {
    // More than 64 bits are filled up with zeros, negative numbers too.
    let mut bytes = [0; INTEGER_BYTES_MAX];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    let bytes = &mut bytes[..size];
    if is_big_endian {
        bytes.reverse();
    }
    packed.push(bytes)
}

/// Appends so much of a string as the item says, or all of it.
fn push_text(stack: Stack, argument: c_int, item: Item, packed: &mut Buffer) -> Result<(), Raise> {
    let text = stack.string(argument)?;
    let size = if item.size == 0 { text.len() } else { item.size };
    let Some(text) = text.get(..size) else {
        return Err(stack.fail_argument(argument + 1, "string too short"));
    };
    packed.push(text)?;
    if item.option == b's' { packed.push_byte(0) } else { Ok(()) }
}

fn unpack_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let mut format = Format::new(stack, stack.string(1)?);
    let bytes = stack.string(2)?;
    let mut place = stack.integer_or(3, 1)? as usize;
    if place == 0 {
        return Err(stack.fail_argument(3, "offset must be 1 or greater"));
    }
    place -= 1;
    let too_short = || stack.fail_argument(2, "data string too short");
    let mut values = 0;
    let mut steps = Steps::new(stack);
    stack.set_top(2);
    while let Some(Item { option, mut size }) = format.next()? {
        steps.take(16)?;
        place = place.wrapping_add(format.padding(place, Item { option, size }));
        let field = field(bytes, place, size).ok_or_else(too_short)?;
        stack.need(2, "too many results")?;
        let is_value = match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                stack.push_number(integer(field, format.is_big_endian(), option.is_ascii_lowercase()));
                true
            }
            b'f' => {
                stack.push_number(f64::from(f32::from_bits(bits(field, format.is_big_endian()) as u32)));
                true
            }
            b'd' => {
                stack.push_number(f64::from_bits(bits(field, format.is_big_endian())));
                true
            }
            b'c' => {
                if size == 0 {
                    size = previous_size(stack, values)?;
                    values -= 1;
                }
                push_field(stack, self::field(bytes, place, size).ok_or_else(too_short)?)?;
                true
            }
            b's' => {
                let rest = &bytes[place..];
                let Some(end) = search::find(stack, rest, b"\0")? else {
                    return Err(stack.fail(b"unfinished string in data"));
                };
                size = end + 1;
                push_field(stack, &rest[..end])?;
                true
            }
            b'x' => false,
            option => {
                format.control(option)?;
                false
            }
        };
        values += c_int::from(is_value);
        steps.take(size / 8)?;
        place += size;
    }
    stack.push_count(place + 1);
    Ok(values + 1)
}

/// Pops the value that was unpacked last, which says how long the next one is. Nothing else on the stack is asked: what CVE-2018-11219 is about.
fn previous_size(stack: Stack, values: c_int) -> Result<usize, Raise> {
    if values == 0 || !stack.is_numeric(-1) {
        return Err(stack.fail(b"format 'c0' needs a previous size"));
    }
    let size = to_u64(stack.number(-1)) as usize;
    stack.pop(1);
    Ok(size)
}

/// So many bytes at a place, if they are there.
fn field(bytes: &[u8], place: usize, size: usize) -> Option<&[u8]> {
    bytes.get(place..)?.get(..size)
}

fn push_field(stack: Stack, bytes: &[u8]) -> Result<(), Raise> {
    if bytes.len() > SHORT_BYTES {
        stack.room(bytes.len())?;
    }
    stack.push(bytes);
    Ok(())
}

/// The lowest 64 bits of a field.
fn bits(field: &[u8], is_big_endian: bool) -> u64 {
    let join = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
    if is_big_endian { field.iter().fold(0, join) } else { field.iter().rev().fold(0, join) }
}

/// A field as an integer. A sign is looked for at a place that is counted modulo 64, as the machine of Redis's C does it.
fn integer(field: &[u8], is_big_endian: bool, is_signed: bool) -> f64 {
    let bits = bits(field, is_big_endian);
    if !is_signed {
        return bits as f64;
    }
    let sign = u64::MAX.wrapping_shl((field.len() as u32 * 8).wrapping_sub(1));
    (if bits & sign == 0 { bits } else { bits | sign }) as i64 as f64
}

/// How long the fields of a format are, without strings that have no size. Letters that are no option stand for nothing here, as in Redis.
fn size_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let mut format = Format::new(stack, stack.string(1)?);
    let mut steps = Steps::new(stack);
    let mut total = 0;
    while let Some(item) = format.next()? {
        steps.take(4)?;
        total += format.padding(total, item);
        match (item.option, item.size) {
            (b's', _) => return Err(stack.fail_argument(1, "option 's' has no fixed size")),
            (b'c', 0) => return Err(stack.fail_argument(1, "option 'c0' has no fixed size")),
            (option, _) if !option.is_ascii_alphanumeric() => format.control(option)?,
            _ => {}
        }
        total += item.size;
    }
    stack.push_count(total);
    Ok(1)
}
