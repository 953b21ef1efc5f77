//! `cjson.decode`.
//!
//! As in [`super::cjson_encode`], what is not complete stands on Lua's stack, and there is no recursion. A table is made with no room for
//! elements: it grows as they come.

use std::ffi::c_int;
use std::ptr;

use mlua_sys::lua_State;
use smallvec::SmallVec;

use super::cjson_settings::{PLACE, Settings};
use super::cjson_token::{Bytes, Word, Words};
use super::stack::Stack;
use crate::lua::function::{Raise, lua_function};

lua_function!(decode, decode_body);

/// A string of more bytes is made if there is room for it.
const SHORT_BYTES: usize = 1024;

fn decode_body(L: *mut lua_State) -> Result<c_int, Raise> {
    let stack = Stack::of(L);
    if stack.top() != 1 {
        return Err(stack.fail_argument(1, "expected 1 argument"));
    }
    let text = stack.string(1)?;
    if text.iter().take(2).any(|byte| *byte == 0) && text.len() >= 2 {
        return Err(stack.fail(b"JSON parser does not support UTF-16 or UTF-32"));
    }
    let settings = Settings::of(stack);
    let mut decoder = Decoder {
        stack,
        depth_max: settings.decode_depth_max as usize,
        words: Words::new(stack, text, settings.are_invalid_decoded),
        frames: SmallVec::new(),
    };
    let result = decoder.run();
    stack.push_nil();
    stack.replace(PLACE);
    result.map(|()| 1)
}

/// A table that is not complete.
enum Frame {
    /// On the stack: the table. The index of the element that is next.
    Array(i32),
    /// On the stack: the table, and the key of the value that is next.
    Object,
}

struct Decoder<'t> {
    stack: Stack,
    depth_max: usize,
    words: Words<'t>,
    frames: SmallVec<[Frame; 16]>,
}

impl Decoder<'_> {
    fn run(&mut self) -> Result<(), Raise> {
        let mut word = self.words.next()?;
        loop {
            // A value begins with this word; only one that ends with it goes on below.
            match self.value(word)? {
                Some(next) => word = next,
                None => match self.store()? {
                    Some(next) => word = next,
                    None => return self.end(),
                },
            }
        }
    }

    /// Pushes the value that a word is, or a table that it begins, and then says with which word its first value begins.
    fn value(&mut self, word: Word) -> Result<Option<Word>, Raise> {
        let stack = self.stack;
        match word {
            Word::Text(bytes) => self.push_text(bytes)?,
            Word::Number(number) => stack.push_number(number),
            Word::Truth(truth) => stack.push_truth(truth),
            Word::Null => stack.push_address(ptr::null()),
            Word::ArrayBegin => {
                self.descend(2)?;
                stack.push_table(0, 0);
                let first = self.words.next()?;
                if first != Word::ArrayEnd {
                    self.frames.push(Frame::Array(1));
                    return Ok(Some(first));
                }
            }
            Word::ObjectBegin => {
                self.descend(3)?;
                stack.push_table(0, 0);
                let first = self.words.next()?;
                if first != Word::ObjectEnd {
                    self.frames.push(Frame::Object);
                    return self.key(first).map(Some);
                }
            }
            other => return Err(self.unexpected("value", other)),
        }
        Ok(None)
    }

    /// Stores the topmost value in the table below it, and those that it completes in theirs, and says with which word the next
    /// value begins; nothing if the topmost value is all.
    fn store(&mut self) -> Result<Option<Word>, Raise> {
        let stack = self.stack;
        while let Some(frame) = self.frames.last_mut() {
            let (is_array, end) = match frame {
                Frame::Array(index) => {
                    stack.set_at(-2, *index);
                    *index = index.saturating_add(1);
                    (true, Word::ArrayEnd)
                }
                Frame::Object => {
                    stack.set(-3);
                    (false, Word::ObjectEnd)
                }
            };
            match self.words.next()? {
                Word::Comma => {
                    let next = self.words.next()?;
                    return if is_array { Ok(Some(next)) } else { self.key(next).map(Some) };
                }
                word if word == end => _ = self.frames.pop(),
                other if is_array => return Err(self.unexpected("comma or array end", other)),
                other => return Err(self.unexpected("comma or object end", other)),
            }
        }
        Ok(None)
    }

    /// Pushes a key, and says with which word its value begins.
    fn key(&mut self, word: Word) -> Result<Word, Raise> {
        let Word::Text(bytes) = word else { return Err(self.unexpected("object key string", word)) };
        self.push_text(bytes)?;
        match self.words.next()? {
            Word::Colon => self.words.next(),
            other => Err(self.unexpected("colon", other)),
        }
    }

    fn end(&mut self) -> Result<(), Raise> {
        match self.words.next()? {
            Word::End => Ok(()),
            other => Err(self.unexpected("the end", other)),
        }
    }

    fn push_text(&self, bytes: Bytes) -> Result<(), Raise> {
        let bytes = self.words.bytes(bytes);
        if bytes.len() > SHORT_BYTES {
            self.stack.room(bytes.len())?;
        }
        self.stack.push(bytes);
        Ok(())
    }

    /// A table needs so many values of the stack.
    fn descend(&self, values: c_int) -> Result<(), Raise> {
        let depth = self.frames.len() + 1;
        if depth <= self.depth_max && self.stack.has_place(values) {
            return Ok(());
        }
        let place = self.words.place();
        let text = format!("Found too many nested data structures ({depth}) at character {place}");
        Err(self.stack.fail(text.as_bytes()))
    }

    #[cold]
    fn unexpected(&self, expected: &str, found: Word) -> Raise {
        let place = self.words.began + 1;
        let text = format!("Expected {expected} but found {} at character {place}", found.name());
        self.stack.fail(text.as_bytes())
    }
}
