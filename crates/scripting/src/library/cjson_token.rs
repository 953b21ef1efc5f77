//! The words of a JSON text, as `cjson` takes them: a NUL ends the text, and what C's `strtod` takes is a number, unless that is switched off.

use super::buffer::Buffer;
use super::cjson_settings::PLACE;
use super::stack::{Stack, Steps};
use crate::lua::function::Raise;

/// Longest number: no look is taken while it is read. (Redis has no such limit.)
const NUMBER_BYTES_MAX: usize = 1 << 16;

/// So many bytes of a string are read between two looks.
const SLICE_BYTES: usize = 1 << 12;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Word {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// See [`Words::bytes`].
    Text(Bytes),
    Number(f64),
    Truth(bool),
    Null,
    Colon,
    Comma,
    End,
    /// What is none, and why.
    Fault(&'static str),
}

/// Where a string's bytes are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bytes {
    /// In the text, from here to there.
    Plain(usize, usize),
    /// In the buffer, for it had escapes.
    Unescaped,
}

impl Word {
    /// What an error calls it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::Text(_) => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Truth(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Fault(why) => why,
        }
    }
}

/// Goes through a text of Lua's, word by word.
pub(super) struct Words<'t> {
    text: &'t [u8],
    at: usize,
    /// Where the last word begins, or where it is wrong.
    pub(super) began: usize,
    are_invalid_taken: bool,
    unescaped: Buffer,
    steps: Steps,
}

impl<'t> Words<'t> {
    pub(super) fn new(stack: Stack, text: &'t [u8], are_invalid_taken: bool) -> Self {
        Self {
            text,
            at: 0,
            began: 0,
            are_invalid_taken,
            unescaped: Buffer::at(stack, PLACE),
            steps: Steps::new(stack),
        }
    }

    /// Where the next word is looked for.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    /// The bytes of the last word, a string.
    pub(super) fn bytes(&self, bytes: Bytes) -> &[u8] {
        match bytes {
            Bytes::Plain(start, end) => &self.text[start..end],
            Bytes::Unescaped => self.unescaped.bytes(),
        }
    }

    /// The byte so far ahead; NUL at the end.
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// The next word.
    ///
    /// # Errors
    /// The script was killed, or has too much memory.
    pub(super) fn next(&mut self) -> Result<Word, Raise> {
        self.steps.take(16)?;
        while matches!(self.peek(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
            self.steps.take(1)?;
        }
        self.began = self.at;
        let mark = match self.peek(0) {
            b'{' => Word::ObjectBegin,
            b'}' => Word::ObjectEnd,
            b'[' => Word::ArrayBegin,
            b']' => Word::ArrayEnd,
            b':' => Word::Colon,
            b',' => Word::Comma,
            0 => return Ok(Word::End),
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' => {
                if !self.are_invalid_taken && self.is_invalid_number() {
                    return Ok(Word::Fault("invalid number"));
                }
                return Ok(self.number());
            }
            _ => return Ok(self.name()),
        };
        self.at += 1;
        Ok(mark)
    }

    fn name(&mut self) -> Word {
        let names = [("true", Word::Truth(true)), ("false", Word::Truth(false)), ("null", Word::Null)];
        for (name, word) in names {
            if self.text[self.at..].starts_with(name.as_bytes()) {
                self.at += name.len();
                return word;
            }
        }
        if self.are_invalid_taken && self.is_invalid_number() {
            return self.number();
        }
        Word::Fault("invalid token")
    }

    /// Whether a number begins here that is none of JSON's: with a plus, a zero in front, in hexadecimal, NaN or an infinity.
    fn is_invalid_number(&self) -> bool {
        if self.peek(0) == b'+' {
            return true;
        }
        let ahead = usize::from(self.peek(0) == b'-');
        match self.peek(ahead) {
            b'0' => matches!(self.peek(ahead + 1), b'x' | b'X' | b'0'..=b'9'),
            byte if byte <= b'9' => false,
            _ => {
                let name = self.text[self.at..].get(ahead..ahead + 3).unwrap_or_default();
                name.eq_ignore_ascii_case(b"inf") || name.eq_ignore_ascii_case(b"nan")
            }
        }
    }

    fn number(&mut self) -> Word {
        if let Some(number) = self.small_integer() {
            return Word::Number(number);
        }
        let rest = &self.text[self.at..];
        let is_of_number = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._()".contains(byte);
        if rest.iter().take(NUMBER_BYTES_MAX).all(is_of_number) && rest.len() > NUMBER_BYTES_MAX {
            return Word::Fault("invalid number");
        }
        let start = rest.as_ptr().cast();
        let mut end = std::ptr::null_mut();
        // SAFETY: the text is a string of Lua's, which has a NUL behind it, where C stops reading at the latest.
        let (number, length) = unsafe {
            let number = libc::strtod(start, &raw mut end);
            (number, end.cast_const().offset_from(start))
        };
        match usize::try_from(length) {
            Ok(length) if length > 0 => {
                self.at += length;
                Word::Number(number)
            }
            _ => Word::Fault("invalid number"),
        }
    }

    /// A number of up to 15 digits with nothing of a number behind them, which most are.
    fn small_integer(&mut self) -> Option<f64> {
        let negative = usize::from(self.peek(0) == b'-');
        let digits = self.text[self.at + negative..].iter().take(16).take_while(|byte| byte.is_ascii_digit());
        let (count, value) = digits
            .fold((0, 0_u64), |(count, value), digit| (count + 1, value * 10 + u64::from(digit - b'0')));
        let next = self.peek(negative + count);
        if !(1..=15).contains(&count) || next.is_ascii_alphanumeric() || next == b'.' {
            return None;
        }
        self.at += negative + count;
        // A double holds it exactly; -0 keeps its sign.
        let value = value as f64;
        Some(if negative == 1 { -value } else { value })
    }

    fn fault(&mut self, why: &'static str) -> Word {
        self.began = self.at;
        Word::Fault(why)
    }

    /// A string; most have no escapes.
    fn string(&mut self) -> Result<Word, Raise> {
        self.at += 1;
        let start = self.at;
        self.skip_plain()?;
        if self.peek(0) == b'"' {
            self.at += 1;
            return Ok(Word::Text(Bytes::Plain(start, self.at - 1)));
        }
        self.unescaped.clear();
        self.unescaped.push(&self.text[start..self.at])?;
        loop {
            match self.peek(0) {
                b'"' => {
                    self.at += 1;
                    return Ok(Word::Text(Bytes::Unescaped));
                }
                b'\\' => {
                    if let Some(fault) = self.escape()? {
                        return Ok(fault);
                    }
                }
                0 => return Ok(self.fault("unexpected end of string")),
                _ => {
                    let start = self.at;
                    self.skip_plain()?;
                    self.unescaped.push(&self.text[start..self.at])?;
                }
            }
        }
    }

    /// Goes to the next byte that means something in a string.
    fn skip_plain(&mut self) -> Result<(), Raise> {
        loop {
            let slice = &self.text[self.at..self.text.len().min(self.at + SLICE_BYTES)];
            let plain = slice.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0));
            self.at += plain.unwrap_or(slice.len());
            self.steps.take(plain.unwrap_or(slice.len()) / 2 + 1)?;
            if plain.is_some() || slice.is_empty() {
                return Ok(());
            }
        }
    }

    /// Takes an escape; says what is wrong with it.
    fn escape(&mut self) -> Result<Option<Word>, Raise> {
        self.steps.take(8)?;
        let byte = match self.peek(1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => b'\x08',
            b'f' => b'\x0c',
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let Some((character, bytes)) = self.character() else {
                    return Ok(Some(self.fault("invalid unicode escape code")));
                };
                self.at += bytes;
                self.unescaped.push(character.encode_utf8(&mut [0; 4]).as_bytes())?;
                return Ok(None);
            }
            _ => return Ok(Some(self.fault("invalid escape code"))),
        };
        self.unescaped.push_byte(byte)?;
        self.at += 2;
        Ok(None)
    }

    /// The character of an escape that begins here, and how long the escape is. One of the second plane has two, in UTF-16.
    fn character(&self) -> Option<(char, usize)> {
        let first = self.hexadecimal(2)?;
        if !(0xd800..0xe000).contains(&first) {
            return Some((char::from_u32(first)?, 6));
        }
        if first >= 0xdc00 || self.peek(6) != b'\\' || self.peek(7) != b'u' {
            return None;
        }
        let second = self.hexadecimal(8).filter(|second| (0xdc00..0xe000).contains(second))?;
        Some((char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))?, 12))
    }

    /// Four digits, so far ahead.
    fn hexadecimal(&self, ahead: usize) -> Option<u32> {
        (0..4)
            .try_fold(0, |value, digit| Some(value * 16 + char::from(self.peek(ahead + digit)).to_digit(16)?))
    }
}
