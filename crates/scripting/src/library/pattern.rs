//! Lua's patterns.
//!
//! A pattern is read while it is matched, item by item, as Lua reads it: there is nothing to compile for the many that are used once, and
//! an error is told only when its item is reached. Whatever may go another way is remembered in a list, newest last, and when an
//! item does not fit, the matcher goes back to it. So it needs no recursion, which is how a long pattern overflows the stack of Lua's own
//! matcher; each item stands in the list once at most, so its length is bounded by the pattern's.
//!
//! Every step is counted: a pattern that takes exponential time can be paused, and ended.

use std::ffi::c_int;

use smallvec::SmallVec;

use super::search::find_byte;
use super::stack::{Stack, Steps};
use crate::lua::function::Raise;

/// A pattern has no more captures.
const CAPTURES_MAX: usize = 32;

/// And no more places to go back to.
const RETRIES_MAX: usize = 100_000;

/// So many bytes are looked at for one item between two looks.
const RUN_BYTES: usize = 256;

/// So many bytes are searched for the first one of a match between two looks.
const SLICE_BYTES: usize = 1 << 16;

/// What a pattern's parentheses hold.
#[derive(Debug, Clone, Copy)]
enum Extent {
    /// The closing one was not reached yet.
    Open,
    /// `()`: where it is.
    Position,
    Bytes(usize),
}

#[derive(Debug, Clone, Copy)]
struct Capture {
    start: usize,
    extent: Extent,
}

/// What a capture holds.
pub(super) enum Held<'t> {
    Bytes(&'t [u8]),
    /// Where it is, from 1.
    Position(usize),
}

/// Where to go back to, and what to undo on the way.
enum Retry {
    /// A capture was opened.
    Opened,
    /// This one was closed.
    Closed(usize),
    /// An item took a byte that it may leave: at this place, and how the pattern goes on.
    Without { at: usize, item: usize },
    /// An item took all bytes up to here, and may leave some, down to this place.
    Shorter { from: usize, at: usize, item: usize },
    /// An item took as few bytes as it could, and may take one more here.
    Longer { at: usize, item: usize, end: usize },
}

type Retries = SmallVec<[Retry; 16]>;

/// Matches a pattern against places of a text, which stand on Lua's stack as long as it does.
pub(super) struct Matcher<'t> {
    stack: Stack,
    steps: Steps,
    text: &'t [u8],
    pattern: &'t [u8],
    /// What each match begins with, if the pattern's first item is one byte that it takes once.
    first: Option<u8>,
    /// The only place of a match, if the pattern has an anchor.
    anchor: Option<usize>,
    captures: [Capture; CAPTURES_MAX],
    /// How many captures were opened.
    level: usize,
}

/// A pattern as Lua reads it: up to its first NUL.
pub(super) fn readable(pattern: &[u8]) -> &[u8] {
    &pattern[..find_byte(pattern, 0).unwrap_or(pattern.len())]
}

impl<'t> Matcher<'t> {
    /// For a pattern that is [`readable`] and has no anchor.
    pub(super) fn new(stack: Stack, text: &'t [u8], pattern: &'t [u8]) -> Self {
        let none = Capture { start: 0, extent: Extent::Open };
        let first = pattern.first().copied().filter(|first| {
            let is_counted = matches!(pattern.get(1), Some(b'*' | b'?' | b'-'));
            !is_counted && !b"^$*+?.([%-)".contains(first)
        });
        let (steps, captures) = (Steps::new(stack), [none; CAPTURES_MAX]);
        Self { stack, steps, text, pattern, first, anchor: None, captures, level: 0 }
    }

    /// For a pattern that is [`readable`]; its `^`, if it begins so, holds it where the search begins.
    pub(super) fn from(stack: Stack, text: &'t [u8], pattern: &'t [u8], from: usize) -> Self {
        match pattern.strip_prefix(b"^") {
            Some(pattern) => Self { anchor: Some(from), ..Self::new(stack, text, pattern) },
            None => Self::new(stack, text, pattern),
        }
    }

    /// Where a match may begin, from a place of the text on; nothing if there is no such place.
    ///
    /// # Errors
    /// The script was killed.
    pub(super) fn next_place(&mut self, mut from: usize) -> Result<Option<usize>, Raise> {
        if let Some(anchor) = self.anchor {
            return Ok((from == anchor).then_some(from));
        }
        let Some(first) = self.first else { return Ok((from <= self.text.len()).then_some(from)) };
        while from < self.text.len() {
            let slice = &self.text[from..self.text.len().min(from + SLICE_BYTES)];
            let ahead = find_byte(slice, first);
            self.steps.take(ahead.unwrap_or(slice.len()) / 16)?;
            match ahead {
                Some(ahead) => return Ok(Some(from + ahead)),
                None => from += slice.len(),
            }
        }
        Ok(None)
    }

    /// Matches the pattern from a place of the text on, and says where the match ends.
    ///
    /// # Errors
    /// The pattern is malformed; the script was killed.
    pub(super) fn match_at(&mut self, at: usize) -> Result<Option<usize>, Raise> {
        self.level = 0;
        let mut retries = Retries::new();
        let mut place = Some((at, 0));
        while let Some((at, item)) = place {
            if let Some(end) = self.forward(at, item, &mut retries)? {
                return Ok(Some(end));
            }
            place = self.back(&mut retries)?;
        }
        Ok(None)
    }

    /// Goes on from an item of the pattern to its end, as long as it fits.
    fn forward(
        &mut self,
        mut at: usize,
        mut item: usize,
        retries: &mut Retries,
    ) -> Result<Option<usize>, Raise> {
        loop {
            self.steps.take(4)?;
            let Some(&byte) = self.pattern.get(item) else { return Ok(Some(at)) };
            match (byte, self.pattern.get(item + 1)) {
                (b'(', Some(b')')) => {
                    self.open(at, Extent::Position, retries)?;
                    item += 2;
                }
                (b'(', _) => {
                    self.open(at, Extent::Open, retries)?;
                    item += 1;
                }
                (b')', _) => {
                    self.close(at, retries)?;
                    item += 1;
                }
                (b'$', None) => return Ok((at == self.text.len()).then_some(at)),
                (b'%', Some(b'b')) => {
                    let Some(end) = self.balanced(at, item + 2)? else { return Ok(None) };
                    (at, item) = (end, item + 4);
                }
                (b'%', Some(b'f')) => {
                    let Some(end) = self.frontier(at, item + 2)? else { return Ok(None) };
                    item = end;
                }
                (b'%', Some(digit @ b'0'..=b'9')) => {
                    let Some(end) = self.same_as(*digit, at)? else { return Ok(None) };
                    (at, item) = (end, item + 2);
                }
                _ => {
                    let Some(next) = self.single(at, item, retries)? else { return Ok(None) };
                    (at, item) = next;
                }
            }
        }
    }

    /// Goes back to the newest place where the match may go another way.
    fn back(&mut self, retries: &mut Retries) -> Result<Option<(usize, usize)>, Raise> {
        while let Some(retry) = retries.pop() {
            self.steps.take(2)?;
            match retry {
                Retry::Opened => self.level -= 1,
                Retry::Closed(index) => self.captures[index].extent = Extent::Open,
                Retry::Without { at, item } => return Ok(Some((at, item))),
                Retry::Shorter { from, at, item } => {
                    let at = at - 1;
                    if at > from {
                        retries.push(Retry::Shorter { from, at, item });
                    }
                    return Ok(Some((at, item)));
                }
                Retry::Longer { at, item, end } => {
                    if self.fits(at, item, end)? {
                        retries.push(Retry::Longer { at: at + 1, item, end });
                        return Ok(Some((at + 1, end + 1)));
                    }
                }
            }
        }
        Ok(None)
    }

    fn remember(&self, retry: Retry, retries: &mut Retries) -> Result<(), Raise> {
        if retries.len() == RETRIES_MAX {
            return Err(self.stack.fail(b"pattern too complex"));
        }
        retries.push(retry);
        Ok(())
    }

    /// An item that stands for one byte, and what tells how often: where text and pattern go on.
    fn single(
        &mut self,
        at: usize,
        item: usize,
        retries: &mut Retries,
    ) -> Result<Option<(usize, usize)>, Raise> {
        let end = self.item_end(item)?;
        let next = match self.pattern.get(end) {
            Some(b'?') => {
                if !self.fits(at, item, end)? {
                    return Ok(Some((at, end + 1)));
                }
                self.remember(Retry::Without { at, item: end + 1 }, retries)?;
                (at + 1, end + 1)
            }
            Some(b'*') => (self.most(at, at, item, end, retries)?, end + 1),
            Some(b'+') => {
                if !self.fits(at, item, end)? {
                    return Ok(None);
                }
                (self.most(at + 1, at + 1, item, end, retries)?, end + 1)
            }
            Some(b'-') => {
                self.remember(Retry::Longer { at, item, end }, retries)?;
                (at, end + 1)
            }
            _ => {
                if !self.fits(at, item, end)? {
                    return Ok(None);
                }
                (at + 1, end)
            }
        };
        Ok(Some(next))
    }

    /// Takes as many bytes as fit an item, and remembers that fewer will do; says where they end.
    fn most(
        &mut self,
        from: usize,
        mut at: usize,
        item: usize,
        end: usize,
        retries: &mut Retries,
    ) -> Result<usize, Raise> {
        if self.pattern[item] == b'.' {
            at = self.text.len();
        } else {
            while self.fits(at, item, end)? {
                at += 1;
                if at.is_multiple_of(RUN_BYTES) {
                    self.steps.take(RUN_BYTES)?;
                }
            }
        }
        if at > from {
            self.remember(Retry::Shorter { from, at, item: end + 1 }, retries)?;
        }
        Ok(at)
    }

    fn open(&mut self, at: usize, extent: Extent, retries: &mut Retries) -> Result<(), Raise> {
        if self.level == CAPTURES_MAX {
            return Err(self.stack.fail(b"too many captures"));
        }
        self.captures[self.level] = Capture { start: at, extent };
        self.level += 1;
        self.remember(Retry::Opened, retries)
    }

    /// Closes the capture that was opened last and is open.
    fn close(&mut self, at: usize, retries: &mut Retries) -> Result<(), Raise> {
        let open = self.captures[..self.level].iter().rposition(|one| matches!(one.extent, Extent::Open));
        let Some(index) = open else { return Err(self.stack.fail(b"invalid pattern capture")) };
        self.captures[index].extent = Extent::Bytes(at - self.captures[index].start);
        self.remember(Retry::Closed(index), retries)
    }

    /// `%1`: the text goes on with what a capture holds.
    fn same_as(&mut self, digit: u8, at: usize) -> Result<Option<usize>, Raise> {
        let captures = &self.captures[..self.level];
        let capture = usize::from(digit).checked_sub(usize::from(b'1')).and_then(|index| captures.get(index));
        let held = match capture {
            Some(Capture { start, extent: Extent::Bytes(length) }) => &self.text[*start..*start + *length],
            // Lua takes a position for so long a text that it never fits.
            Some(Capture { extent: Extent::Position, .. }) => return Ok(None),
            Some(Capture { extent: Extent::Open, .. }) | None => {
                return Err(self.stack.fail(b"invalid capture index"));
            }
        };
        self.steps.take(held.len() / 8)?;
        Ok(self.text[at..].starts_with(held).then_some(at + held.len()))
    }

    /// `%bxy`: from an x to the y that closes it.
    fn balanced(&mut self, at: usize, item: usize) -> Result<Option<usize>, Raise> {
        let (Some(&open), Some(&close)) = (self.pattern.get(item), self.pattern.get(item + 1)) else {
            return Err(self.stack.fail(b"unbalanced pattern"));
        };
        if self.text.get(at) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1;
        for (index, &byte) in self.text.iter().enumerate().skip(at + 1) {
            self.steps.take(1)?;
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(index + 1));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// `%f[set]`: the byte before is none of the set, the next one is; both ends of the text count as NUL. Says where the item ends.
    fn frontier(&mut self, at: usize, item: usize) -> Result<Option<usize>, Raise> {
        if self.pattern.get(item) != Some(&b'[') {
            return Err(self.stack.fail(b"missing '[' after '%f' in pattern"));
        }
        let end = self.item_end(item)?;
        let before = at.checked_sub(1).map_or(0, |before| self.text[before]);
        let next = self.text.get(at).copied().unwrap_or(0);
        let is_frontier = !self.is_in_set(before, item, end)? && self.is_in_set(next, item, end)?;
        Ok(is_frontier.then_some(end))
    }

    /// Where an item that stands for one byte ends.
    fn item_end(&mut self, item: usize) -> Result<usize, Raise> {
        match self.pattern[item] {
            b'%' if item + 1 == self.pattern.len() => {
                Err(self.stack.fail(b"malformed pattern (ends with '%')"))
            }
            b'%' => Ok(item + 2),
            b'[' => self.set_end(item),
            _ => Ok(item + 1),
        }
    }

    /// Where a set ends: behind its `]`, which is no end as its first byte.
    fn set_end(&mut self, item: usize) -> Result<usize, Raise> {
        let first = if self.pattern.get(item + 1) == Some(&b'^') { item + 2 } else { item + 1 };
        let mut at = first;
        loop {
            self.steps.take(1)?;
            match self.pattern.get(at) {
                Some(b']') if at > first => return Ok(at + 1),
                // What is escaped is no end; an escape at the pattern's end has nothing to skip.
                Some(b'%') if at + 1 < self.pattern.len() => at += 2,
                Some(_) => at += 1,
                None => return Err(self.stack.fail(b"malformed pattern (missing ']')")),
            }
        }
    }

    /// Whether there is a byte here that the item stands for.
    #[inline]
    fn fits(&mut self, at: usize, item: usize, end: usize) -> Result<bool, Raise> {
        let Some(&byte) = self.text.get(at) else { return Ok(false) };
        match self.pattern[item] {
            b'.' => Ok(true),
            b'%' => Ok(is_of_class(byte, self.pattern[item + 1])),
            b'[' => self.is_in_set(byte, item, end),
            literal => Ok(literal == byte),
        }
    }

    /// Whether a byte is one of a set: of those that stand from `[` to behind `]`.
    fn is_in_set(&mut self, byte: u8, item: usize, end: usize) -> Result<bool, Raise> {
        let pattern = self.pattern;
        let last = end - 1;
        let (is_listed, mut at) =
            if pattern[item + 1] == b'^' { (false, item + 2) } else { (true, item + 1) };
        while at < last {
            self.steps.take(1)?;
            let (first, next) = (pattern[at], pattern[at + 1]);
            let (is_found, bytes) = if first == b'%' {
                (is_of_class(byte, next), 2)
            } else if next == b'-' && at + 2 < last {
                ((first..=pattern[at + 2]).contains(&byte), 3)
            } else {
                (first == byte, 1)
            };
            if is_found {
                return Ok(is_listed);
            }
            at += bytes;
        }
        Ok(!is_listed)
    }

    /// A part of the text.
    pub(super) fn part(&self, start: usize, end: usize) -> &'t [u8] {
        &self.text[start..end]
    }

    /// What a capture holds, or the whole match where there is none.
    ///
    /// # Errors
    /// There is no such capture, or its end was not reached.
    pub(super) fn held(&self, index: usize, start: usize, end: usize) -> Result<Held<'t>, Raise> {
        let Some(capture) = self.captures[..self.level].get(index) else {
            if index == 0 {
                return Ok(Held::Bytes(self.part(start, end)));
            }
            return Err(self.stack.fail(b"invalid capture index"));
        };
        match capture.extent {
            Extent::Open => Err(self.stack.fail(b"unfinished capture")),
            Extent::Position => Ok(Held::Position(capture.start + 1)),
            Extent::Bytes(length) => Ok(Held::Bytes(self.part(capture.start, capture.start + length))),
        }
    }

    /// Pushes what [`Matcher::held`] says.
    ///
    /// # Errors
    /// As there.
    pub(super) fn push_capture(&self, index: usize, start: usize, end: usize) -> Result<(), Raise> {
        match self.held(index, start, end)? {
            Held::Bytes(bytes) => {
                if bytes.len() > RUN_BYTES {
                    self.stack.room(bytes.len())?;
                    self.stack.tick((bytes.len() / 16) as u32)?;
                }
                self.stack.push(bytes);
            }
            Held::Position(position) => self.stack.push_count(position),
        }
        Ok(())
    }

    /// Pushes all captures, or this whole match if there are none, and says how many values they are.
    ///
    /// # Errors
    /// A capture's end was not reached.
    pub(super) fn push_captures(&self, whole: Option<(usize, usize)>) -> Result<c_int, Raise> {
        let count = if self.level == 0 && whole.is_some() { 1 } else { self.level };
        self.stack.need(count as c_int, "too many captures")?;
        let (start, end) = whole.unwrap_or_default();
        for index in 0..count {
            self.push_capture(index, start, end)?;
        }
        Ok(count as c_int)
    }
}

/// Whether a byte is of a class; an upper case letter stands for all others, and what names no class for itself.
fn is_of_class(byte: u8, class: u8) -> bool {
    let is_of = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        // With the vertical tab, which Rust leaves out.
        b's' => matches!(byte, b' ' | b'\t'..=b'\r'),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return byte == class,
    };
    is_of == class.is_ascii_lowercase()
}
