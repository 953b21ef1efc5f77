//! `string.format`.
//!
//! Each item is printed by C's `snprintf`, as Lua does it, after its form was checked: so it looks as in Redis, whatever the flags.

use std::ffi::c_int;

use mlua_sys::lua_State;

use super::buffer::Buffer;
use super::number::{to_i32, to_i64, to_u64};
use super::search::find_byte;
use super::stack::{Stack, Steps};
use crate::lua::function::{Raise, lua_function};

lua_function!(format, format_body);

/// Longest text of an item: a number of 309 digits with 99 behind the point, or a string of 99 bytes.
const ITEM_BYTES_MAX: usize = 512;

/// Longest form of an item: `%`, flags, width, point, precision, two letters of length, the option, and NUL.
const FORM_BYTES_MAX: usize = 16;

/// What an item costs: a number of many digits takes so long.
const ITEM_STEPS: usize = 250;

const FLAGS: &[u8] = b"-+ #0";

/// A string of so many bytes is not padded, but taken as it is.
const LONG_BYTES: usize = 100;

fn format_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    let mut rest = stack.string(1)?;
    let arguments = stack.top();
    let mut argument = 1;
    let mut result = Buffer::new(stack);
    let mut steps = Steps::new(stack);
    while let Some(escape) = find_byte(rest, b'%') {
        steps.take(8 + escape / 16)?;
        result.push(&rest[..escape])?;
        rest = &rest[escape + 1..];
        if rest.first() == Some(&b'%') {
            result.push_byte(b'%')?;
            rest = &rest[1..];
            continue;
        }
        argument += 1;
        if argument > arguments {
            return Err(stack.fail_argument(argument, "no value"));
        }
        let form = Form::read(stack, rest)?;
        rest = rest.get(form.length + 1..).unwrap_or_default();
        steps.take(ITEM_STEPS)?;
        push_item(stack, argument, &form, &mut result)?;
    }
    result.push(rest)?;
    result.finish()?;
    Ok(1)
}

/// How an item is printed: what stands between `%` and its option.
struct Form<'f> {
    modifiers: &'f [u8],
    length: usize,
    /// The option; NUL at the text's end.
    option: u8,
}

impl<'f> Form<'f> {
    fn read(stack: Stack, text: &'f [u8]) -> Result<Self, Raise> {
        let is_digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
        let two_digits =
            |at: usize| at + usize::from(is_digit(at)) + usize::from(is_digit(at) && is_digit(at + 1));
        let flags = text.iter().take_while(|byte| FLAGS.contains(byte)).count();
        if flags > FLAGS.len() {
            return Err(stack.fail(b"invalid format (repeated flags)"));
        }
        let mut length = two_digits(flags);
        if text.get(length) == Some(&b'.') {
            length = two_digits(length + 1);
        }
        if is_digit(length) {
            return Err(stack.fail(b"invalid format (width or precision too long)"));
        }
        Ok(Self { modifiers: &text[..length], length, option: text.get(length).copied().unwrap_or(0) })
    }

    /// The form as C takes it, with letters that say how long a number is.
    fn for_c(&self, size: &[u8]) -> [u8; FORM_BYTES_MAX] {
        let mut form = [0; FORM_BYTES_MAX];
        let parts: [&[u8]; 4] = [b"%", self.modifiers, size, &[self.option]];
        for (place, byte) in form.iter_mut().zip(parts.into_iter().flatten()) {
            *place = *byte;
        }
        form
    }
}

/// What an item is printed of.
enum Item<'s> {
    Character(c_int),
    Signed(i64),
    Unsigned(u64),
    Number(f64),
    /// With a NUL behind it.
    Text(&'s [u8]),
}

fn push_item(stack: Stack, argument: c_int, form: &Form<'_>, result: &mut Buffer) -> Result<(), Raise> {
    let item = match form.option {
        b'c' => Item::Character(to_i32(stack.number_argument(argument)?)),
        b'd' | b'i' => Item::Signed(to_i64(stack.number_argument(argument)?)),
        b'o' | b'u' | b'x' | b'X' => Item::Unsigned(to_u64(stack.number_argument(argument)?)),
        b'e' | b'E' | b'f' | b'g' | b'G' => Item::Number(stack.number_argument(argument)?),
        b'q' => return push_quoted(stack.string(argument)?, stack, result),
        b's' => {
            let text = stack.string(argument)?;
            if form.length == 0 || text.len() >= LONG_BYTES && !form.modifiers.contains(&b'.') {
                return result.push(up_to_nul(text));
            }
            Item::Text(text)
        }
        option => {
            let option: &[u8] = if option == 0 { b"" } else { &[option] };
            let text: [&[u8]; 3] = [b"invalid option '%", option, b"' to 'format'"];
            return Err(stack.fail(&text.concat()));
        }
    };
    let mut printed = [0; ITEM_BYTES_MAX];
    print(&item, form, &mut printed);
    // What C prints ends with the first NUL, though `%c` may print one.
    let length = printed.iter().position(|byte| *byte == 0).unwrap_or(ITEM_BYTES_MAX);
    result.push(&printed[..length])
}

/// What of a text is printed if it is not padded: a short one ends with its first NUL, as C has it.
fn up_to_nul(text: &[u8]) -> &[u8] {
    let length = if text.len() >= LONG_BYTES { None } else { text.iter().position(|byte| *byte == 0) };
    &text[..length.unwrap_or(text.len())]
}

fn print(item: &Item<'_>, form: &Form<'_>, printed: &mut [u8; ITEM_BYTES_MAX]) {
    let (start, bytes) = (printed.as_mut_ptr().cast(), ITEM_BYTES_MAX);
    let form = form.for_c(if matches!(item, Item::Signed(_) | Item::Unsigned(_)) { b"ll" } else { b"" });
    let form = form.as_ptr().cast();
    // SAFETY: the form was checked and takes one value of the kind that it is given, which it prints in no more than so many bytes; a text has a
    // NUL behind it, as all of Lua's strings have.
    unsafe {
        match *item {
            Item::Character(character) => libc::snprintf(start, bytes, form, character),
            Item::Signed(number) => libc::snprintf(start, bytes, form, number),
            Item::Unsigned(number) => libc::snprintf(start, bytes, form, number),
            Item::Number(number) => libc::snprintf(start, bytes, form, number),
            Item::Text(text) => libc::snprintf(start, bytes, form, text.as_ptr()),
        }
    };
}

/// Appends a text so that Lua reads it again.
fn push_quoted(text: &[u8], stack: Stack, result: &mut Buffer) -> Result<(), Raise> {
    let mut steps = Steps::new(stack);
    result.push_byte(b'"')?;
    for byte in text {
        steps.take(2)?;
        match byte {
            b'"' | b'\\' | b'\n' => result.push(&[b'\\', *byte])?,
            b'\r' => result.push(b"\\r")?,
            0 => result.push(b"\\000")?,
            _ => result.push_byte(*byte)?,
        }
    }
    result.push_byte(b'"')
}
