//! The classes of keyspace events that `notify-keyspace-events` switches on, one bit each.

use std::fmt;

/// A set of event classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EventClasses(u16);

impl EventClasses {
    /// `g`: commands that work on keys of any type.
    pub const GENERIC: Self = Self(1);
    /// `$`: strings.
    pub const STRING: Self = Self(1 << 1);
    /// `l`: lists.
    pub const LIST: Self = Self(1 << 2);
    /// `s`: sets.
    pub const SET: Self = Self(1 << 3);
    /// `h`: hashes.
    pub const HASH: Self = Self(1 << 4);
    /// `z`: sorted sets.
    pub const ZSET: Self = Self(1 << 5);
    /// `x`: keys that expired.
    pub const EXPIRED: Self = Self(1 << 6);
    /// `e`: keys evicted for `maxmemory`.
    pub const EVICTED: Self = Self(1 << 7);
    /// `t`: streams.
    pub const STREAM: Self = Self(1 << 8);
    /// `d`: types of modules.
    pub const MODULE: Self = Self(1 << 9);
    /// `A`: all of the above.
    pub const ALL: Self = Self((1 << 10) - 1);
    /// `n`: new keys; not part of `A`.
    pub const NEW: Self = Self(1 << 10);
    /// `K`: publish to `__keyspace@<db>__`.
    pub const KEYSPACE: Self = Self(1 << 11);
    /// `E`: publish to `__keyevent@<db>__`.
    pub const KEYEVENT: Self = Self(1 << 12);
    /// `m`: keys that a read did not find; not part of `A`.
    pub const KEY_MISS: Self = Self(1 << 13);

    /// The classes of a text such as `KEA`; `None` if a character is unknown.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut bits = 0;
        for &letter in text {
            bits |= match letter {
                b'A' => Self::ALL.0,
                _ => 1 << LETTERS.iter().position(|&known| known == letter)?,
            };
        }
        Some(Self(bits))
    }

    /// Whether all of these classes are in the set.
    pub const fn contains(self, classes: Self) -> bool {
        self.0 & classes.0 == classes.0
    }

    /// Whether at least one of these classes is in the set.
    pub const fn intersects(self, classes: Self) -> bool {
        self.0 & classes.0 != 0
    }

    /// The set as a number, for an atomic.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The set with these bits; unknown bits are ignored.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & ((1 << LETTERS.len()) - 1))
    }
}

/// The letter of each bit, from bit 0; also the order in which they are shown.
const LETTERS: [u8; 14] = *b"g$lshzxetdnKEm";

impl fmt::Display for EventClasses {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0;
        if self.contains(Self::ALL) {
            out.write_str("A")?;
            shown &= !Self::ALL.0;
        }
        for (bit, &letter) in LETTERS.iter().enumerate() {
            if shown & (1 << bit) != 0 {
                write!(out, "{}", letter as char)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let shown = EventClasses::parse(text.as_bytes()).map(|classes| classes.to_string());
        assert_eq!(shown.as_deref(), expected, "{text}");
    }

    #[test]
    fn reads_and_shows() {
        check("", Some(""));
        check("AKE", Some("AKE"));
        check("KEg$lshzxetd", Some("AKE"));
        check("KgnE", Some("gnKE"));
        check("mK", Some("Km"));
        check("Ex", Some("xE"));
        // Redis loses the `n` here, and so would CONFIG REWRITE.
        check("KEAmn", Some("AnKEm"));
        check("Zq", None);
    }

    #[test]
    fn tests_membership() {
        let classes = EventClasses::parse(b"Kg").unwrap();
        assert!(classes.contains(EventClasses::GENERIC) && !classes.contains(EventClasses::ALL));
        assert!(classes.intersects(EventClasses::ALL) && !classes.intersects(EventClasses::KEYEVENT));
        assert_eq!(EventClasses::from_bits(classes.bits()), classes);
    }
}
