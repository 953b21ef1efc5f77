//! What the names in templates stand for: few keys, few members, numbers that are mostly small and sometimes at an edge.
//!
//! Times are far away or past: a key that expires between two runs would be a difference without a fault. Near ones are
//! drawn where no two runs are compared.
//! Sizes stay small: no drawn number makes a server allocate more than some kilobytes.

use crate::Random;

/// Keys of one family.
const KEYS_PER_FAMILY: usize = 4;
/// The families' prefixes; a template's `{str}` and so on draws `str:0` to `str:3`, and now and then another family's.
const FAMILIES: [&str; 9] = ["str", "list", "hash", "set", "zset", "bits", "hll", "geo", "stream"];
/// How often, of 100, a key is drawn from another family.
const FOREIGN_KEY_PER_CENT: usize = 4;
/// How often, of 100, a number is drawn from the edges.
const EDGE_PER_CENT: usize = 3;

const VALUES: [&str; 14] = [
    "",
    "a",
    "b",
    "hello",
    "world",
    "0",
    "1",
    "-7",
    "42",
    "3.25",
    "9223372036854775807",
    "ohmytext",
    "mynewtext",
    "1e3",
];
const MEMBERS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "1", "2", "3", "10", "-5", "x y"];
const FLOATS: [&str; 10] = ["0", "1", "-1", "0.5", "1.25", "-3.75", "10", "100.125", "2e2", "3.0e-1"];
const SCORES: [&str; 12] = ["0", "1", "2", "3", "-1", "1.5", "2.5", "-0.25", "1e3", "inf", "-inf", "+inf"];
const PATTERNS: [&str; 12] =
    ["*", "str:*", "*:1", "?et:[0-2]", "[^s]*", "l*t:?", "\\*", "**1**", "str:[1-", "nothing", "", "{a}*"];
const UNITS: [&str; 4] = ["m", "km", "mi", "ft"];
const FIELD_TYPES: [&str; 10] = ["u1", "i1", "u4", "i4", "u8", "i8", "u16", "i32", "u63", "i64"];
/// What DUMP of redis-server 7.0.15 gave for a string, a number, a list, a set, a set of numbers, a hash and a sorted set.
const PAYLOADS: [&[u8]; 7] = [
    b"\x00\x05hello\x0a\x00cr\xdfve4\x20\x0a",
    b"\x00\xc0*\x0a\x00\x81\xfb\x5c\xfa\x86cOP",
    b"\x12\x01\x02\x10\x10\x00\x00\x00\x03\x00\x81a\x02\x81b\x02\x81c\x02\xff\x0a\x00\xc8\x18\xb9\x0c\x953R\x9e",
    b"\x02\x03\xc0\x01\x01b\x01a\x0a\x00Dg\xf0\xc6\xe2\xd1.[",
    b"\x0b\x0e\x02\x00\x00\x00\x03\x00\x00\x00\x01\x00\x02\x00\x03\x00\x0a\x00\xa5\x02\x5c\xe2mnM\x1b",
    b"\x10\x12\x12\x00\x00\x00\x04\x00\x81f\x02\x81v\x02\x81a\x02\x02\x01\xff\x0a\x00FU\xd7]\xc4>K'",
    b"\x11\x14\x14\x00\x00\x00\x04\x00\x81a\x02\x01\x01\x81b\x02\x832.5\x04\xff\x0a\x00\xd4Ln\xa4\xf6D\xd9\xd7",
];
/// Numbers and texts at which parsing and arithmetic break.
const EDGES: [&str; 16] = [
    "-1",
    "0",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551616",
    "4294967296",
    "-2147483649",
    "abc",
    "",
    "1.5",
    "nan",
    "1e400",
    " 1",
    "01",
    "0x10",
];

/// Sorted sets whose members all have one score: what a range by name finds among several scores depends on chance in
/// Redis. No other template touches them.
const EQUAL_SCORES: &str = "lex";

/// True if a command's key is one that only certain commands may change.
pub(super) fn is_reserved(key: &[u8]) -> bool {
    key.starts_with(EQUAL_SCORES.as_bytes())
}

/// All keys that templates draw.
pub(super) fn keys() -> Vec<String> {
    let numbered =
        |family: &&str| (0..KEYS_PER_FAMILY).map(|number| format!("{family}:{number}")).collect::<Vec<_>>();
    FAMILIES.iter().chain(&[EQUAL_SCORES]).flat_map(numbered).collect()
}

/// A number or text at an edge.
pub(super) fn edge(random: &mut Random) -> Vec<u8> {
    random.pick(&EDGES).as_bytes().to_vec()
}

/// Some milliseconds to live.
pub(super) fn near_ms(random: &mut Random) -> Vec<u8> {
    (1 + random.below(6)).to_string().into_bytes()
}

/// The value for a name in a template. Panics if there is none of that name: templates are our own.
pub(super) fn draw(random: &mut Random, name: &str) -> Vec<u8> {
    if FAMILIES.contains(&name) || name == "any" {
        return key(random, name);
    }
    if name == EQUAL_SCORES {
        return format!("{name}:{}", random.below(KEYS_PER_FAMILY)).into_bytes();
    }
    let text = |text: &str| text.as_bytes().to_vec();
    match name {
        "value" => value(random),
        "member" | "field" => match random.below(40) {
            0 => vec![b'm'; 70],
            1 => bytes(random, 4),
            2..6 => random.below(200).to_string().into_bytes(),
            _ => one_of(random, &MEMBERS),
        },
        "float" => one_of(random, &FLOATS),
        "score" => one_of(random, &SCORES),
        "bound" => match random.below(4) {
            0 => format!("({}", random.pick(&SCORES)).into_bytes(),
            _ => one_of(random, &SCORES),
        },
        "limit" => match random.below(6) {
            0 => text("-"),
            1 => text("+"),
            2 | 3 => format!("[{}", random.pick(&MEMBERS)).into_bytes(),
            4 => format!("({}", random.pick(&MEMBERS)).into_bytes(),
            _ => one_of(random, &MEMBERS),
        },
        "int" => number(random, -10, 10),
        "index" => number(random, -6, 6),
        "count" => number(random, 0, 5),
        // Without edges: minus two thousand million random members are as many.
        "few" => (random.below(12) as i64 - 6).to_string().into_bytes(),
        "byte" => number(random, -3, 30),
        "bit" => number(random, 0, 200),
        "onebit" => number(random, 0, 1),
        "db" => number(random, 0, 3),
        // More than a day and less than ten years.
        "ttl" => one_of(random, &["100000", "2000000", "300000000"]),
        "ttlms" => one_of(random, &["100000000", "2000000000", "300000000000"]),
        // The years 2100 and later.
        "future" => one_of(random, &["4102444800", "5000000000", "33177117420"]),
        "futurems" => one_of(random, &["4102444800000", "5000000000123", "33177117420000"]),
        // And long ago.
        "at" => one_of(random, &["4102444800", "5000000000", "33177117420", "1", "1000000000"]),
        "atms" => one_of(random, &["4102444800000", "5000000000123", "33177117420000", "1", "1000000000000"]),
        "payload" => random.pick(&PAYLOADS).to_vec(),
        "pattern" => one_of(random, &PATTERNS),
        // The IDs of entries: few times, so that they meet, and now and then what is none.
        "newid" => match random.below(12) {
            0 => format!("{}-{}", random.below(40), random.below(3)).into_bytes(),
            1..8 => format!("{}-*", random.below(40)).into_bytes(),
            _ => text("40-*"),
        },
        "plus" => text("+"),
        "sid" => stream_id(random),
        "from" => match random.below(5) {
            0 | 1 => text("-"),
            2 => [b"(", &stream_id(random)[..]].concat(),
            _ => stream_id(random),
        },
        "to" => match random.below(5) {
            0 | 1 => text("+"),
            2 => [b"(", &stream_id(random)[..]].concat(),
            _ => stream_id(random),
        },
        "group" => one_of(random, &["g", "h", "group three"]),
        "consumer" => one_of(random, &["alice", "bob", "c"]),
        "unit" => one_of(random, &UNITS),
        "fieldtype" => one_of(random, &FIELD_TYPES),
        "longitude" => coordinate(random, 179),
        "latitude" => coordinate(random, 84),
        "radius" => one_of(random, &["10", "500", "2500.5", "9000", "0", "100000000"]),
        other => panic!("no value is called {other}"),
    }
}

fn stream_id(random: &mut Random) -> Vec<u8> {
    match random.below(30) {
        0 => edge(random),
        1 => b"18446744073709551615-18446744073709551615".to_vec(),
        2..8 => random.below(45).to_string().into_bytes(),
        _ => format!("{}-{}", random.below(45), random.below(4)).into_bytes(),
    }
}

fn key(random: &mut Random, family: &str) -> Vec<u8> {
    let family =
        if family == "any" || random.chance(FOREIGN_KEY_PER_CENT) { *random.pick(&FAMILIES) } else { family };
    format!("{family}:{}", random.below(KEYS_PER_FAMILY)).into_bytes()
}

fn value(random: &mut Random) -> Vec<u8> {
    match random.below(20) {
        // Past the limits of embedded strings and of compact encodings.
        0 => vec![b'v'; 44 + random.below(60)],
        1 => bytes(random, 20),
        2..6 => (random.below(2_000) as i64 - 1_000).to_string().into_bytes(),
        _ => random.pick(&VALUES).as_bytes().to_vec(),
    }
}

/// Bytes without a NUL: SORT ALPHA compares only what is before one.
fn bytes(random: &mut Random, count_max: usize) -> Vec<u8> {
    (0..random.below(count_max)).map(|_| (random.next_u64() as u8).max(1)).collect()
}

fn number(random: &mut Random, least: i64, most: i64) -> Vec<u8> {
    if random.chance(EDGE_PER_CENT) {
        return edge(random);
    }
    (least + random.below((most - least + 1) as usize) as i64).to_string().into_bytes()
}

fn one_of(random: &mut Random, choices: &[&str]) -> Vec<u8> {
    random.pick(choices).as_bytes().to_vec()
}

/// Places all over the world, with enough digits that no two distances are equal.
fn coordinate(random: &mut Random, most: usize) -> Vec<u8> {
    let whole = random.below(2 * most) as i64 - most as i64;
    format!("{whole}.{:05}", random.below(100_000)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_few_and_sometimes_foreign() {
        let mut random = Random::new(3);
        let drawn: Vec<Vec<u8>> = (0..1_000).map(|_| draw(&mut random, "list")).collect();
        let foreign = drawn.iter().filter(|key| !key.starts_with(b"list:")).count();
        assert!((5..100).contains(&foreign), "{foreign}");
        assert!(drawn.iter().all(|key| keys().iter().any(|known| known.as_bytes() == key)));
    }
}
