//! DEBUG DIGEST: forty hexadecimal digits that are equal if two data sets are.
//!
//! The sums are those of Redis, so that a data set that went from a real server to this one, or back, can be compared by
//! its digest alone. What has an order (the elements of a list, a member and its score) is chained, digest upon digest;
//! what has none (keys, members, fields) is a sum by exclusive or.

use sha1::{Digest as _, Sha1};

use crate::types::{
    hash::Hash,
    list::List,
    set::Set,
    stream::{Stream, StreamId},
    zset::ZSet,
};
use crate::{Entry, Kind, View};

/// A digest that grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest([u8; 20]);

impl Digest {
    /// Adds what comes in no order.
    fn add(&mut self, bytes: &[u8]) {
        for (byte, other) in self.0.iter_mut().zip(sha1_of(bytes)) {
            *byte ^= other;
        }
    }

    /// Adds what comes next in an order.
    fn chain(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = sha1_of(&self.0);
    }

    /// As forty hexadecimal digits.
    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn sha1_of(bytes: &[u8]) -> [u8; 20] {
    Sha1::digest(bytes).into()
}

/// The digest of all databases. The view covers everything. O(bytes).
pub fn of_everything(view: &mut View<'_>) -> Digest {
    let selected = view.db();
    let mut all = Digest::default();
    for db in view.store().databases_in_use() {
        view.select(db);
        let mut is_empty = true;
        let mut keys = Digest::default();
        view.for_each(|entry| {
            is_empty = false;
            let mut digest = Digest::default();
            digest.chain(entry.key());
            chain_value(&mut digest, entry);
            keys.add(&digest.0);
        });
        if !is_empty {
            all.chain(&(db as u32).to_be_bytes());
            all.0.iter_mut().zip(keys.0).for_each(|(byte, other)| *byte ^= other);
        }
    }
    view.select(selected);
    all
}

/// The digest of one value and its expiry.
pub fn of_value(entry: &Entry) -> Digest {
    let mut digest = Digest::default();
    chain_value(&mut digest, entry);
    digest
}

fn chain_value(digest: &mut Digest, entry: &Entry) {
    digest.chain(&(type_number(entry.kind())).to_be_bytes());
    let (mut first, mut second) = ([0; 20], [0; 20]);
    match entry.kind() {
        Kind::List => entry
            .collection::<List>()
            .into_iter()
            .flat_map(List::iter)
            .for_each(|element| digest.chain(element.as_bytes(&mut first))),
        Kind::Set => entry
            .collection::<Set>()
            .into_iter()
            .flat_map(Set::iter)
            .for_each(|member| digest.add(member.as_bytes(&mut first))),
        Kind::ZSet => {
            entry.collection::<ZSet>().into_iter().flat_map(ZSet::iter).for_each(|(member, score)| {
                let mut pair = Digest::default();
                pair.chain(member.as_bytes(&mut first));
                pair.chain(seventeen_digits(score).as_bytes());
                digest.add(&pair.0);
            })
        }
        Kind::Hash => entry.collection::<Hash>().into_iter().flat_map(Hash::iter).for_each(
            |(field, value, expiry_ms)| {
                let mut pair = Digest::default();
                pair.chain(field.as_bytes(&mut first));
                pair.chain(value.as_bytes(&mut second));
                if expiry_ms.is_some() {
                    pair.add(b"!!hexpire!!");
                }
                digest.add(&pair.0);
            },
        ),
        Kind::Stream => {
            let all = StreamId::MIN..=StreamId::MAX;
            for entry in entry.collection::<Stream>().into_iter().flat_map(|stream| stream.range(all.clone()))
            {
                digest.chain(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
                for (name, value) in entry.fields {
                    digest.chain(name.as_bytes(&mut first));
                    digest.chain(value.as_bytes(&mut second));
                }
            }
        }
        Kind::String => digest.chain(entry.bytes()),
    }
    if entry.expire_at_ms().is_some() {
        digest.add(b"!!expire!!");
    }
}

/// The number that Redis gives a type in memory.
fn type_number(kind: Kind) -> u32 {
    match kind {
        Kind::String => 0,
        Kind::List => 1,
        Kind::Set => 2,
        Kind::ZSet => 3,
        Kind::Hash => 4,
        Kind::Stream => 6,
    }
}

/// A double with 17 significant digits, in the shorter of plain and scientific notation: C's `%.17g`.
fn seventeen_digits(value: f64) -> String {
    const DIGITS: i32 = 17;
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:.16e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let without_zeros = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..DIGITS).contains(&exponent) {
        without_zeros(&format!("{value:.*}", (DIGITS - 1 - exponent) as usize))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", without_zeros(digits), exponent.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(entry: Entry, expected: &str) {
        assert_eq!(of_value(&entry).to_hex(), expected);
    }

    #[test]
    fn digests_are_those_of_redis() {
        use crate::Value;
        use crate::types::list::End;
        // DEBUG DIGEST-VALUE by redis-server 7.0.15.
        check(Entry::string(b"s", b"12", None), "655ac46b180ad2f61a3cee25f0b1780fa2ec879a");
        let mut list = List::new();
        [b"a", b"b", b"c"].iter().for_each(|element| list.push(End::Back, *element));
        check(Entry::new(b"l", Value::List(list), None), "8bf72d812571eea9b927f3c11beb0c4165a6ff89");
    }

    #[test]
    fn doubles_have_seventeen_digits() {
        let check = |value: f64, expected: &str| assert_eq!(seventeen_digits(value), expected);
        check(0.0, "0");
        check(1.0, "1");
        check(-3.5, "-3.5");
        check(0.1, "0.10000000000000001");
        check(1e16, "10000000000000000");
        check(1e17, "1e+17");
        check(1.5e300, "1.5000000000000001e+300");
        check(0.0001, "0.0001");
        check(0.00001, "1.0000000000000001e-05");
        check(f64::INFINITY, "inf");
        check(f64::NEG_INFINITY, "-inf");
        check(123_456_789_012_345_680.0, "1.2345678901234568e+17");
    }
}
