//! The arguments of a command, and how they are read.
//!
//! `Args` borrows from the read buffer (or from where a transaction keeps its commands): nothing is copied until a
//! value is stored. Its keys were hashed when the command was planned; [`Args::key`] hands the hash out again.

use rustredis_keyspace::Key;
use rustredis_resp::long_double::LongDouble;
use rustredis_resp::{Span, number};

use crate::error::{CommandError, until_zero};

/// An argument that is a key, and its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRef {
    /// Which argument it is; 0 is the command's name.
    pub argument: u32,
    /// Its hash.
    pub hash: u64,
}

/// The arguments of a command, its name first.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    text: &'a [u8],
    spans: &'a [Span],
    keys: &'a [KeyRef],
}

impl<'a> Args<'a> {
    /// Arguments at `spans` of `text`; `keys` are ascending by argument.
    pub fn new(text: &'a [u8], spans: &'a [Span], keys: &'a [KeyRef]) -> Self {
        Self { text, spans, keys }
    }

    /// The same arguments with their keys.
    pub fn with_keys(self, keys: &'a [KeyRef]) -> Self {
        Self { keys, ..self }
    }

    /// How many, the name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is not even a name, which the parser rules out.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `index`; empty if there is none, which the arity rules out.
    #[inline]
    pub fn get(&self, index: usize) -> &'a [u8] {
        self.spans.get(index).map_or(&[], |span| span.of(self.text))
    }

    /// Argument `index`, if there is one.
    pub fn try_get(&self, index: usize) -> Option<&'a [u8]> {
        self.spans.get(index).map(|span| span.of(self.text))
    }

    /// Bytes from the first to the last of them, as they came: what a client has sent for the command, about. O(1).
    #[inline]
    pub fn bytes(&self) -> u64 {
        match (self.spans.first(), self.spans.last()) {
            (Some(first), Some(last)) => u64::from((last.start + last.len).saturating_sub(first.start)),
            _ => 0,
        }
    }

    /// The arguments from `index` on.
    pub fn from(&self, index: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let text = self.text;
        self.spans.get(index..).unwrap_or(&[]).iter().map(move |span| span.of(text))
    }

    /// The arguments from `count` on as a command of their own, of which no plan has named keys.
    pub fn skip(&self, count: usize) -> Self {
        Self { spans: self.spans.get(count..).unwrap_or(&[]), keys: &[], ..*self }
    }

    /// All arguments, copied.
    pub fn to_vec(&self) -> Vec<Vec<u8>> {
        self.from(0).map(<[u8]>::to_vec).collect()
    }

    /// The keys that the plan named, in the order of the arguments.
    pub fn key_refs(&self) -> &'a [KeyRef] {
        self.keys
    }

    /// The keys that the plan named, in the order of the arguments.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = Key<'a>> + Clone + use<'a> {
        let this = *self;
        self.keys.iter().map(move |key| Key { bytes: this.get(key.argument as usize), hash: key.hash })
    }

    /// Argument `index` as a key. O(log keys) if it is one of the plan's, else it is hashed now.
    #[inline]
    pub fn key(&self, index: usize) -> Key<'a> {
        let bytes = self.get(index);
        let found = match self.keys {
            [only] => (only.argument as usize == index).then_some(0),
            keys => keys.binary_search_by_key(&(index as u32), |key| key.argument).ok(),
        };
        match found {
            Some(at) => Key { bytes, hash: self.keys[at].hash },
            None => Key::new(bytes),
        }
    }

    /// Whether argument `index` is this word, in capitals or not.
    #[inline]
    pub fn is(&self, index: usize, word: &str) -> bool {
        self.get(index).eq_ignore_ascii_case(word.as_bytes())
    }

    /// Argument `index` as an integer.
    ///
    /// # Errors
    /// `NotInteger`.
    pub fn int(&self, index: usize) -> Result<i64, CommandError> {
        number::parse_i64(self.get(index)).ok_or(CommandError::NotInteger)
    }

    /// Argument `index` as an integer of this range.
    ///
    /// # Errors
    /// `NotInteger`, for one outside the range too.
    pub fn int_in(&self, index: usize, range: std::ops::RangeInclusive<i64>) -> Result<i64, CommandError> {
        self.int(index).and_then(|n| if range.contains(&n) { Ok(n) } else { Err(CommandError::NotInteger) })
    }

    /// Argument `index` as a float.
    ///
    /// # Errors
    /// `NotFloat`.
    pub fn float(&self, index: usize) -> Result<f64, CommandError> {
        number::parse_f64(self.get(index)).ok_or(CommandError::NotFloat)
    }

    /// Argument `index`, seconds with a fraction, as the Unix ms at which a blocking command gives up; 0 for never. Rounded up to
    /// whole milliseconds.
    ///
    /// # Errors
    /// `TimeoutNotFloat`, `NegativeTimeout`, `TimeoutOutOfRange`.
    pub fn until_ms(&self, index: usize, now_ms: u64) -> Result<u64, CommandError> {
        let seconds = seconds(self.get(index)).ok_or(CommandError::TimeoutNotFloat)?;
        let timeout_ms = (seconds * 1000.0).ceil();
        if timeout_ms < 0.0 {
            return Err(CommandError::NegativeTimeout);
        }
        // Redis counts milliseconds in 63 bits.
        const MS_MAX: u64 = i64::MAX as u64;
        if timeout_ms >= MS_MAX as f64 || timeout_ms as u64 > MS_MAX - now_ms.min(MS_MAX) {
            return Err(CommandError::TimeoutOutOfRange);
        }
        Ok(if timeout_ms == 0.0 { 0 } else { now_ms + timeout_ms as u64 })
    }

    /// Argument `index` as an error message quotes it: at most 128 bytes of it, none from a zero byte on.
    pub fn quoted(&self, index: usize) -> &'a [u8] {
        let bytes = self.get(index);
        until_zero(&bytes[..bytes.len().min(128)])
    }

    /// Argument `index` as text: at most 128 bytes of it.
    pub fn lossy(&self, index: usize) -> String {
        let bytes = self.get(index);
        String::from_utf8_lossy(&bytes[..bytes.len().min(128)]).into_owned()
    }
}

/// A timeout in seconds. Redis reads one in 80 bits, where more is neither zero nor infinite.
fn seconds(text: &[u8]) -> Option<f64> {
    number::parse_f64(text).or_else(|| {
        LongDouble::parse(text)?;
        number::parse_f64_of_c(text)
            .map(|seconds| if seconds == 0.0 { f64::MIN_POSITIVE.copysign(seconds) } else { seconds })
    })
}

/// A command that owns its arguments: queued by MULTI, or waiting for a key.
#[derive(Clone, Debug)]
pub struct OwnedArgs {
    text: Box<[u8]>,
    spans: Box<[Span]>,
    keys: Box<[KeyRef]>,
}

impl OwnedArgs {
    /// Copies the arguments.
    pub fn new(args: Args<'_>) -> Self {
        let mut text = Vec::with_capacity(args.from(0).map(<[u8]>::len).sum());
        let spans = args
            .from(0)
            .map(|argument| {
                let start = text.len() as u32;
                text.extend_from_slice(argument);
                Span { start, len: argument.len() as u32 }
            })
            .collect();
        Self { text: text.into(), spans, keys: args.keys.into() }
    }

    /// From separate arguments, without keys.
    pub fn from_parts<T: AsRef<[u8]>>(parts: &[T]) -> Self {
        let mut text = Vec::new();
        let spans = parts
            .iter()
            .map(|part| {
                let start = text.len() as u32;
                text.extend_from_slice(part.as_ref());
                Span { start, len: part.as_ref().len() as u32 }
            })
            .collect();
        Self { text: text.into(), spans, keys: Box::default() }
    }

    /// The same with the keys that a plan found.
    pub fn set_keys(&mut self, keys: &[KeyRef]) {
        self.keys = keys.into();
    }

    /// Borrowed again.
    pub fn args(&self) -> Args<'_> {
        Args { text: &self.text, spans: &self.spans, keys: &self.keys }
    }

    /// Bytes that it takes.
    pub fn memory_bytes(&self) -> usize {
        self.text.len() + self.spans.len() * size_of::<Span>() + self.keys.len() * size_of::<KeyRef>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_rounded_up_and_checked() {
        let check = |timeout: &str, expected: Result<u64, CommandError>| {
            let args = OwnedArgs::from_parts(&["BLPOP", "key", timeout]);
            assert_eq!(args.args().until_ms(2, 1000), expected, "{timeout}");
        };
        check("0", Ok(0));
        check("-0", Ok(0));
        check("0.0001", Ok(1001));
        check("1.5", Ok(2500));
        check("0x10", Ok(17_000));
        check("-0.5", Err(CommandError::NegativeTimeout));
        check("-inf", Err(CommandError::NegativeTimeout));
        check("nan", Err(CommandError::TimeoutNotFloat));
        check("", Err(CommandError::TimeoutNotFloat));
        check("1 ", Err(CommandError::TimeoutNotFloat));
        check("inf", Err(CommandError::TimeoutOutOfRange));
        check("0x7FFFFFFFFFFFFF", Err(CommandError::TimeoutOutOfRange));
        check("9223372036854775", Err(CommandError::TimeoutOutOfRange));
        check("9223372036854", Ok(9_223_372_036_855_000));
    }
}
