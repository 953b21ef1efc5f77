//! The formats of `struct`: one option after the other, each with its size and what it is aligned to.

use super::pattern::readable;
use super::stack::Stack;
use crate::lua::function::Raise;

/// Largest integer, in bytes.
pub(super) const INTEGER_BYTES_MAX: usize = 32;

/// What `!` alone aligns to at most.
const ALIGNMENT_DEFAULT: usize = 8;

/// An option, and how many bytes it stands for; 0 if the string that it stands for says it, and for what stands for none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) option: u8,
    pub(super) size: usize,
}

/// Goes through a format, up to its end or its first NUL.
pub(super) struct Format<'f> {
    stack: Stack,
    rest: &'f [u8],
    is_big_endian: bool,
    alignment: usize,
}

impl<'f> Format<'f> {
    pub(super) fn new(stack: Stack, text: &'f [u8]) -> Self {
        Self { stack, rest: readable(text), is_big_endian: false, alignment: 1 }
    }

    pub(super) fn is_big_endian(&self) -> bool {
        self.is_big_endian
    }

    /// The next option.
    ///
    /// # Errors
    /// Its size is too large.
    pub(super) fn next(&mut self) -> Result<Option<Item>, Raise> {
        let Some((&option, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let size = match option {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => self.number(1)?,
            b'i' | b'I' => {
                let size = self.number(4)?;
                if size > INTEGER_BYTES_MAX {
                    let text = format!("integral size {size} is larger than limit of {INTEGER_BYTES_MAX}");
                    return Err(self.stack.fail(text.as_bytes()));
                }
                size
            }
            _ => 0,
        };
        Ok(Some(Item { option, size }))
    }

    /// The number that comes next, of 31 bits: what CVE-2020-14147 is about.
    fn number(&mut self, default: usize) -> Result<usize, Raise> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Ok(default);
        }
        let mut number = 0_i32;
        for digit in &self.rest[..digits] {
            let next = number.checked_mul(10).and_then(|tens| tens.checked_add(i32::from(digit - b'0')));
            number = next.ok_or_else(|| self.stack.fail(b"integral size overflow"))?;
        }
        self.rest = &self.rest[digits..];
        Ok(number as usize)
    }

    /// How many bytes are left out before an item at this place.
    pub(super) fn padding(&self, place: usize, item: Item) -> usize {
        if item.size == 0 || matches!(item.option, b'c' | b's') {
            return 0;
        }
        let alignment = item.size.min(self.alignment);
        // For an alignment that is no power of two this is what Redis does.
        let mask = alignment - 1;
        (alignment - (place & mask)) & mask
    }

    /// Takes an option that stands for no value.
    ///
    /// # Errors
    /// It is none, or says an alignment that is none.
    pub(super) fn control(&mut self, option: u8) -> Result<(), Raise> {
        match option {
            b' ' => {}
            b'>' => self.is_big_endian = true,
            b'<' => self.is_big_endian = false,
            b'!' => {
                let alignment = self.number(ALIGNMENT_DEFAULT)?;
                if !alignment.is_power_of_two() {
                    let text = format!("alignment {alignment} is not a power of 2");
                    return Err(self.stack.fail(text.as_bytes()));
                }
                self.alignment = alignment;
            }
            option => {
                let text = format!("invalid format option '{}'", char::from(option));
                return Err(self.stack.fail_argument(1, &text));
            }
        }
        Ok(())
    }
}
