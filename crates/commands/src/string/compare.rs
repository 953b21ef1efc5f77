//! Strings compared with what a client expects: DIGEST, DELEX, DELIFEQ, and the conditions that SET shares with DELEX.
//!
//! A digest stands for a long value: XXH3 with 64 bits, as sixteen digits. Of a digest that a client gives only the length is
//! checked, as in Redis; what is no hexadecimal number is no value's digest. A key that is not there is equal to nothing.

use rustredis_keyspace::{EventClass, Key, View};
use rustredis_resp::Reply;
use xxhash_rust::xxh3::xxh3_64;

use super::READ;
use crate::args::Args;
use crate::command::{Categories, Command, Flags, Group, KeyFlags, KeySpec};
use crate::error::{CommandError, Outcome};
use crate::rewrite;

/// The rows of the family.
pub const ROWS: &[Command] = &[
    Command::new("digest", 2, Flags::READONLY.with(Flags::FAST), digest)
        .keys(READ)
        .acl(Categories::STRING)
        .docs(
            Group::String,
            "8.4.0",
            "O(N) where N is the length of the string",
            "key",
            "Answers the digest of the string at a key.",
        ),
    Command::new("delex", -2, Flags::WRITE.with(Flags::FAST), delex)
        .find_key_flags(delex_key_flags)
        .keys(&[KeySpec::one(KeyFlags::RW.with(KeyFlags::DELETE).with(KeyFlags::VARIABLE_FLAGS), 1)])
        .acl(Categories::STRING)
        .docs(
            Group::String,
            "8.4.0",
            "O(1), with IFDEQ and IFDNE O(N) where N is the length of the string",
            "key [IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest]",
            "Deletes a key if its string is, or is not, the one that is expected.",
        ),
    Command::new("delifeq", 3, Flags::WRITE, delifeq)
        .keys(&[KeySpec::one(KeyFlags::RM.with(KeyFlags::ACCESS).with(KeyFlags::DELETE), 1)])
        .acl(Categories::STRING)
        .docs(
            Group::String,
            "9.0.0",
            "O(1)",
            "key value",
            "Deletes a key if its string is the one that is expected.",
        ),
];

/// How the string at a key is compared with what a client gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    DigestEqual,
    DigestNotEqual,
}

impl Comparison {
    /// The comparison that an option of SET and DELEX announces.
    pub(super) fn by_option(word: &[u8]) -> Option<Self> {
        Some(match word {
            _ if word.eq_ignore_ascii_case(b"IFEQ") => Self::Equal,
            _ if word.eq_ignore_ascii_case(b"IFNE") => Self::NotEqual,
            _ if word.eq_ignore_ascii_case(b"IFDEQ") => Self::DigestEqual,
            _ if word.eq_ignore_ascii_case(b"IFDNE") => Self::DigestNotEqual,
            _ => return None,
        })
    }

    /// Whether an option announces one.
    pub(super) fn is_option(word: &[u8]) -> bool {
        Self::by_option(word).is_some()
    }

    /// Whether it holds of a key's string, or of its absence.
    ///
    /// # Errors
    /// `Other` for a digest of another length, if there is a string.
    pub(super) fn holds(self, string: Option<&[u8]>, given: &[u8]) -> Result<bool, CommandError> {
        let Some(string) = string else {
            return Ok(matches!(self, Self::NotEqual | Self::DigestNotEqual));
        };
        if matches!(self, Self::DigestEqual | Self::DigestNotEqual) && given.len() != DIGITS {
            return Err(CommandError::text("ERR must be exactly 16 hexadecimal characters"));
        }
        Ok(match self {
            Self::Equal => string == given,
            Self::NotEqual => string != given,
            Self::DigestEqual => digits_of(string).eq_ignore_ascii_case(given),
            Self::DigestNotEqual => !digits_of(string).eq_ignore_ascii_case(given),
        })
    }
}

/// The digits of a digest.
const DIGITS: usize = 16;

/// The digest of a string, in small letters.
fn digits_of(string: &[u8]) -> [u8; DIGITS] {
    let digest = xxh3_64(string);
    std::array::from_fn(|index| b"0123456789abcdef"[(digest >> (60 - 4 * index) & 15) as usize])
}

fn digest(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let digits = view.string(args.key(1))?.map(digits_of);
    reply.bulk_or_null(digits.as_ref().map(<[u8; DIGITS]>::as_slice));
    Ok(())
}

/// Without a comparison, DELEX reads nothing.
fn delex_key_flags(_: KeyFlags, args: Args<'_>) -> KeyFlags {
    if args.len() > 2 {
        KeyFlags::RW | KeyFlags::ACCESS | KeyFlags::DELETE
    } else {
        KeyFlags::RM | KeyFlags::DELETE
    }
}

fn delex(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let is_expected = match args.len() {
        2 => true,
        // A missing key hides a wrong condition.
        4 if view.exists(key) => {
            let string = view.string(key).map_err(|_| {
                CommandError::text("ERR Key should be of string type if conditions are specified")
            })?;
            let comparison = Comparison::by_option(args.get(2))
                .ok_or(CommandError::text("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"))?;
            comparison.holds(string, args.get(3))?
        }
        4 => false,
        _ => return Err(CommandError::Arity("delex".to_owned())),
    };
    reply.int(i64::from(is_expected && delete(view, key)));
    Ok(())
}

fn delifeq(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = args.key(1);
    let is_expected = view.string(key)? == Some(args.get(2));
    reply.int(i64::from(is_expected && delete(view, key)));
    Ok(())
}

/// Deletes a key, which is journalled as older servers know it; whether it was there.
fn delete(view: &mut View<'_>, key: Key<'_>) -> bool {
    let was_there = view.delete(key);
    if was_there {
        view.changed(key, EventClass::GENERIC, "del");
        rewrite::del(view, key);
    }
    was_there
}

#[cfg(test)]
mod tests {
    use crate::testing::{Harness, check};

    /// The digest of `hello`, as a redis-server 8.4 answers it.
    const HELLO: &str = "9555e8555c62dcfd";

    #[test]
    fn digests_are_those_of_redis() {
        let mut harness = Harness::new();
        for (value, digest) in [
            ("hello", HELLO),
            ("''", "2d06800538d394c2"),
            ("123", "404a763b3f4c8c9a"),
            ("v8", "0cc76dbb41381419"),
            ("'Hello world'", "b6acb9d84a38ff74"),
            (
                "v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nnf961u2jkfzkjytls2kwlj7626sd",
                "00006c38adf31777",
            ),
        ] {
            harness.run(&format!("SET k {value}"));
            check(&mut harness, "DIGEST k", &format!("$16 {digest}"));
        }
        check(&mut harness, "DIGEST nothing", "$-1");
        harness.run("RPUSH l a");
        check(&mut harness, "DIGEST l", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    }

    #[test]
    fn set_compares_what_is_there() {
        let mut harness = Harness::new();
        let upper = HELLO.to_uppercase();
        for (options, is_set) in [
            ("IFEQ hello".to_owned(), true),
            ("ifeq other IFEQ hello".to_owned(), true),
            ("IFEQ other".to_owned(), false),
            ("IFNE hello".to_owned(), false),
            ("IFNE other".to_owned(), true),
            (format!("IFDEQ {HELLO}"), true),
            (format!("IFDEQ {upper}"), true),
            (format!("IFDNE {upper}"), false),
            ("IFDEQ zzzzzzzzzzzzzzzz".to_owned(), false),
            ("IFDNE zzzzzzzzzzzzzzzz".to_owned(), true),
        ] {
            harness.run("SET k hello PX 50");
            check(&mut harness, &format!("SET k new {options}"), if is_set { "+OK" } else { "$-1" });
            assert_eq!(harness.journal(), if is_set { "SET k new" } else { "" }, "{options}");
            harness.run("SET k hello PX 50");
            check(&mut harness, &format!("SET k new GET KEEPTTL {options}"), "$5 hello");
            assert_eq!(harness.journal(), if is_set { "SET k new KEEPTTL" } else { "" }, "{options}");
            check(&mut harness, "PTTL k", ":50");
        }
        harness.run("SET k hello");
        check(&mut harness, "SET k new IFEQ hello EX 10", "+OK");
        assert_eq!(harness.journal(), "SET k new PXAT 1700000010000");
        assert_eq!(harness.events(), ["set k", "expire k"]);
    }

    #[test]
    fn a_missing_key_is_equal_to_nothing() {
        let mut harness = Harness::new();
        check(&mut harness, "SET k v IFEQ ''", "$-1");
        check(&mut harness, "SET k v IFDEQ 1", "$-1");
        check(&mut harness, "EXISTS k", ":0");
        check(&mut harness, "SET k v IFNE x", "+OK");
        check(&mut harness, "SET l v IFDNE 1 GET", "$-1");
        check(&mut harness, "EXISTS k l", ":2");
        harness.run("SET short v PX 5");
        harness.now_ms += 5;
        check(&mut harness, "SET short w IFEQ v", "$-1");
        check(&mut harness, "DELIFEQ short v", ":0");
        check(&mut harness, "DELEX short IFDEQ x", ":0");
    }

    #[test]
    fn a_condition_stands_alone() {
        let mut harness = Harness::new();
        for options in ["NX IFEQ a", "IFEQ a XX", "IFEQ a IFNE b", "IFDEQ a IFEQ b", "IFEQ"] {
            check(&mut harness, &format!("SET k v {options}"), "-ERR syntax error");
        }
        for line in ["GETEX k IFEQ a", "MSETEX 1 k v IFEQ a", "MSETEX 1 k v GET"] {
            check(&mut harness, line, "-ERR syntax error");
        }
        harness.run("SET k v");
        harness.run("RPUSH l a");
        for digest in ["''", "9555e8555c62dcf", "09555e8555c62dcfd"] {
            for line in ["SET k w IFDEQ", "SET k w IFDNE", "DELEX k IFDEQ", "DELEX k IFDNE"] {
                let line = format!("{line} {digest}");
                check(&mut harness, &line, "-ERR must be exactly 16 hexadecimal characters");
            }
        }
        for condition in ["IFEQ a", "IFNE a", "IFDEQ 1", "IFDNE 1"] {
            let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
            check(&mut harness, &format!("SET l v {condition}"), wrong);
            let wrong = "-ERR Key should be of string type if conditions are specified";
            check(&mut harness, &format!("DELEX l {condition}"), wrong);
        }
    }

    #[test]
    fn delex_deletes_what_is_expected() {
        let mut harness = Harness::new();
        harness.run("SET k hello");
        check(&mut harness, "DELEX k IFEQ other", ":0");
        check(&mut harness, "DELEX k IF hello", "-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE");
        check(&mut harness, "DELEX k IFEQ", "-ERR wrong number of arguments for 'delex' command");
        check(&mut harness, "DELEX no IFEQ a b", "-ERR wrong number of arguments for 'delex' command");
        check(&mut harness, "DELEX no IF a", ":0");
        check(&mut harness, "DELEX k IFDNE zzzzzzzzzzzzzzzz", ":1");
        assert_eq!((harness.journal().as_str(), harness.events()), ("DEL k", vec!["del k".to_owned()]));
        harness.run("RPUSH l a");
        check(
            &mut harness,
            "DELIFEQ l a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check(&mut harness, "DELEX l", ":1");
        check(&mut harness, "DELEX l", ":0");
        harness.run("SET k 10");
        check(&mut harness, "DELIFEQ k 11", ":0");
        check(&mut harness, "DELIFEQ k 10", ":1");
        assert_eq!((harness.journal().as_str(), harness.events()), ("DEL k", vec!["del k".to_owned()]));
        check(&mut harness, "DELIFEQ k 10", ":0");
    }
}
