//! What SCAN, HSCAN, SSCAN and ZSCAN have in common: the cursor, the options, the shape of the answer.

use rustredis_resp::glob::{self, Case};
use rustredis_resp::{Reply, number};

use crate::args::Args;
use crate::error::CommandError;

/// How many elements a call looks at if COUNT does not say it.
const COUNT_DEFAULT: usize = 10;

/// Which options a command of the family has besides MATCH and COUNT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// TYPE.
    Keys,
    /// NOVALUES.
    Fields,
    /// None.
    Members,
}

/// Where to go on, and what is wanted.
#[derive(Debug)]
pub struct Scan<'a> {
    /// The cursor.
    pub cursor: u64,
    /// About how many elements to look at; at least 1.
    pub count: usize,
    /// The name of the type that is wanted.
    pub kind: Option<&'a [u8]>,
    /// Whether the values of fields are left away.
    pub is_without_values: bool,
    pattern: Option<&'a [u8]>,
}

impl<'a> Scan<'a> {
    /// Reads the cursor at `index` and the options behind it.
    ///
    /// # Errors
    /// An invalid cursor, `NotInteger` for the count, `Syntax`.
    pub fn parse(args: Args<'a>, index: usize, grammar: Grammar) -> Result<Self, CommandError> {
        let mut scan = Self {
            cursor: cursor(args, index)?,
            count: COUNT_DEFAULT,
            kind: None,
            is_without_values: false,
            pattern: None,
        };
        let mut index = index + 1;
        while index < args.len() {
            let value = args.try_get(index + 1);
            index += match value {
                Some(pattern) if args.is(index, "MATCH") => {
                    // A lone star needs no comparison.
                    scan.pattern = (pattern != b"*").then_some(pattern);
                    2
                }
                Some(_) if args.is(index, "COUNT") => {
                    let count = args.int(index + 1)?;
                    scan.count =
                        usize::try_from(count).ok().filter(|count| *count > 0).ok_or(CommandError::Syntax)?;
                    2
                }
                Some(kind) if grammar == Grammar::Keys && args.is(index, "TYPE") => {
                    scan.kind = Some(kind);
                    2
                }
                _ if grammar == Grammar::Fields && args.is(index, "NOVALUES") => {
                    scan.is_without_values = true;
                    1
                }
                _ => return Err(CommandError::Syntax),
            };
        }
        Ok(scan)
    }

    /// Whether the pattern lets `element` through.
    pub fn matches(&self, element: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, element, Case::Sensitive))
    }

    /// Answers a page: `write` writes its elements, each one bulk string, and tells the next cursor and how many it wrote.
    /// The cursor precedes the elements but is known after them, hence the buffer.
    pub fn answer(reply: &mut Reply<'_>, write: impl FnOnce(&mut Reply<'_>) -> (u64, usize)) {
        let mut elements = Vec::new();
        let (cursor, count) = write(&mut Reply::new(&mut elements, reply.proto()));
        reply.array(2);
        reply.text(itoa::Buffer::new().format(cursor));
        reply.array(count);
        reply.raw(&elements);
    }
}

/// The cursor at `index`.
///
/// # Errors
/// An invalid cursor.
pub fn cursor(args: Args<'_>, index: usize) -> Result<u64, CommandError> {
    parse_cursor(args.get(index)).ok_or(CommandError::text("ERR invalid cursor"))
}

/// A cursor as C's `strtoul` reads it, without space in front.
fn parse_cursor(text: &[u8]) -> Option<u64> {
    number::parse_u64(text).or_else(|| std::str::from_utf8(text).ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::OwnedArgs;

    fn check(line: &str, grammar: Grammar, expected: Result<(u64, usize), &str>) {
        let words: Vec<&str> = line.split(' ').collect();
        let owned = OwnedArgs::from_parts(&words);
        let found = Scan::parse(owned.args(), 0, grammar).map(|scan| (scan.cursor, scan.count));
        assert_eq!(found.map_err(|error| error.to_string()), expected.map_err(str::to_owned), "{line}");
    }

    #[test]
    fn options_follow_the_cursor() {
        check("0", Grammar::Members, Ok((0, 10)));
        check("18446744073709551615 count 5 match a*", Grammar::Members, Ok((u64::MAX, 5)));
        check("007 TYPE hash", Grammar::Keys, Ok((7, 10)));
        check("1 NOVALUES COUNT 3", Grammar::Fields, Ok((1, 3)));
        check("1 NOVALUES", Grammar::Keys, Err("ERR syntax error"));
        check("1 TYPE hash", Grammar::Members, Err("ERR syntax error"));
        check("1 MATCH", Grammar::Members, Err("ERR syntax error"));
        check("1 COUNT 0", Grammar::Members, Err("ERR syntax error"));
        check("1 COUNT x", Grammar::Members, Err("ERR value is not an integer or out of range"));
        check("x", Grammar::Members, Err("ERR invalid cursor"));
    }
}
