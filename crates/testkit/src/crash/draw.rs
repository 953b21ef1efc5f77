//! What a connection does: steps drawn from its random generator.
//!
//! A key's name tells its type, so that no step is an error but for a key that is not there.

use super::model::GEO_PLACE;
use super::step::{Role, Shared, Step};
use crate::contents::DATABASES;
use crate::{Random, Reply};

/// Keys of each type that a connection has in each of its databases.
const KEYS: usize = 4;
/// Values, members and fields are drawn from so many.
const VALUES: usize = 40;
/// A time that no test lives to see, in Unix milliseconds.
const FAR_MS: i64 = 4_000_000_000_000;
/// Accounts and rings among which something is moved.
pub(super) const ACCOUNTS: usize = 8;
pub(super) const RINGS: usize = 4;

/// The databases that a connection's own keys are in.
pub(super) fn databases(connection: usize) -> [u32; 2] {
    [connection as u32 % DATABASES, (connection as u32 + 5) % DATABASES]
}

/// True for an error reply that no step of ours should get.
pub(super) fn is_surprising(reply: &Reply) -> bool {
    match reply {
        Reply::Error(text) => text != "ERR no such key",
        Reply::Array(elements) => elements.iter().any(is_surprising),
        other => other.is_error(),
    }
}

/// A step of connection `connection`, number `number` in its life.
pub(super) fn step(random: &mut Random, connection: usize, database: u32, number: u64) -> Step {
    match random.below(100) {
        0..=64 => own_step(random, connection, database, number),
        65..=71 => soon_step(random, connection, number),
        _ => shared_step(random, connection, number),
    }
}

/// Something that only this connection's keys see.
pub(super) fn own_step(random: &mut Random, connection: usize, database: u32, number: u64) -> Step {
    if random.chance(10) {
        let lines: Vec<String> =
            (0..2 + random.below(4)).map(|_| own_line(random, connection, database, number)).collect();
        // What blocks does not do so inside MULTI, but a member that is popped at random is only known by its reply.
        if !lines.iter().any(|line| line.starts_with("SPOP")) {
            return Step::transaction(Role::Own, database, &lines);
        }
    }
    Step::new(Role::Own, database, &own_line(random, connection, database, number))
}

fn own_line(random: &mut Random, connection: usize, database: u32, number: u64) -> String {
    let mut key = |kind: &str| format!("own:{connection}:{kind}{}", random.below(KEYS));
    // Keys first, for each draw borrows the generator.
    let kinds = ["s", "n", "f", "b", "l", "h", "u", "z", "g"];
    let own: Vec<[String; 3]> = kinds.iter().map(|kind| [key(kind), key(kind), key(kind)]).collect();
    let [s, n, f, b, l, h, u, z, g] = [0, 1, 2, 3, 4, 5, 6, 7, 8].map(|index| &own[index]);
    let (pf, bag) = (key("pf"), format!("own:{connection}:bag"));
    let any = random.pick(&own)[0].clone();
    let value = |random: &mut Random| format!("v{}", random.below(VALUES));
    let (one, two) = (value(random), value(random));
    let (small, index) = (random.below(200), random.below(64));
    let far = FAR_MS + random.below(1_000_000) as i64;
    let other = databases(connection).into_iter().find(|other| *other != database).unwrap_or(database);
    match random.below(56) {
        0 => format!("SET {} {number}:{}", s[0], "x".repeat(small * 8)),
        1 => format!("SET {} {one} PXAT {far}", s[0]),
        2 => format!("SET {} \"\\x00\\r\\n{one}\" EX {}", s[0], 5_000 + small),
        3 => format!("APPEND {} {one}", s[0]),
        4 => format!("SETRANGE {} {small} {one}", s[0]),
        5 => format!("GETDEL {}", s[0]),
        6 => format!("GETEX {} EX {}", s[0], 9_000 + small),
        7 => format!("GETEX {} PERSIST", s[0]),
        8 => format!("MSET {} {one} {} {two}", s[0], s[1]),
        9..=11 => format!("INCRBY {} {}", n[0], small as i64 - 90),
        12 => format!("INCRBYFLOAT {} {}", f[0], small as f64 / 2.0 - 30.0),
        13 | 14 => format!("SETBIT {} {index} {}", b[0], small % 2),
        15 => format!("BITFIELD {} SET u8 #{index} {small}", b[0]),
        16 => format!("BITFIELD {} INCRBY u8 #{index} {small}", b[0]),
        17..=19 => format!("RPUSH {} {one} {number}", l[0]),
        20 => format!("LPUSH {} {one} {two}", l[0]),
        21 => format!("RPUSHX {} {one}", l[0]),
        22 => format!("LPOP {} 2", l[0]),
        23 => format!("RPOP {}", l[0]),
        24 => format!("BLPOP {} 0.005", l[0]),
        25 => format!("LTRIM {} -40 -1", l[0]),
        26 => format!("LREM {} 1 {one}", l[0]),
        27 => format!("LINSERT {} BEFORE {one} {two}", l[0]),
        28 => format!("LSET {} 0 {one}", l[0]),
        29 => format!("LMOVE {} {} LEFT RIGHT", l[0], l[1]),
        30 => format!("LMOVE {} {} RIGHT LEFT", l[0], l[1]),
        31..=33 => format!("HSET {} {one} {number} {two} x", h[0]),
        34 => format!("HDEL {} {one} {two}", h[0]),
        35 => format!("HINCRBY {} number {small}", h[0]),
        36..=38 => format!("SADD {} {one} {two} {small}", u[0]),
        39 => format!("SREM {} {one} {two}", u[0]),
        40 => format!("SUNIONSTORE {} {} {}", u[0], u[1], u[2]),
        41 => format!("SINTERSTORE {} {} {}", u[0], u[1], u[2]),
        42 => format!("SADD {bag} {number}"),
        43 => format!("SPOP {bag}"),
        44..=46 => format!("ZADD {} {small} {one} {}.5 {two}", z[0], small * 3),
        47 => format!("ZINCRBY {} {}.5 {one}", z[0], small),
        48 => format!("ZREM {} {one}", z[0]),
        49 => format!("ZPOPMIN {}", z[0]),
        50 => format!("ZUNIONSTORE {} 2 {} {}", z[0], z[1], z[2]),
        51 => format!("GEOADD {} {GEO_PLACE} {one}", g[0]),
        52 => format!("PFADD {pf} {number}"),
        53 => match random.below(3) {
            0 => format!("EXPIRE {any} {}", 20_000 + small),
            1 => format!("PEXPIREAT {any} {far}"),
            _ => format!("PERSIST {any}"),
        },
        54 => match random.below(3) {
            0 => format!("RENAME {} {}", l[0], l[1]),
            1 => format!("COPY {} own:{connection}:zcopy REPLACE", z[0]),
            _ => format!("MOVE {} {other}", h[0]),
        },
        _ => format!("DEL {any}"),
    }
}

/// A key that is gone soon, or a little later.
fn soon_step(random: &mut Random, connection: usize, number: u64) -> Step {
    let ttl_ms = *random.pick(&[1, 20, 200, 1_500, 100_000]);
    Step::new(Role::Soon, 0, &format!("SET soon:{connection}:{number} {number} PX {ttl_ms}"))
}

fn shared_step(random: &mut Random, connection: usize, number: u64) -> Step {
    let element = format!("{connection}:{number}");
    let (role, line) = match random.below(11) {
        0 | 1 => (Shared::Log, format!("RPUSH shared:log {element}")),
        2 => (Shared::Counter, "INCR shared:counter".to_owned()),
        3 => (Shared::First, "INCR shared:first".to_owned()),
        4 => {
            let (from, to) = (random.below(RINGS), random.below(RINGS));
            (Shared::Ring, format!("LMOVE shared:ring:{from} shared:ring:{to} LEFT RIGHT"))
        }
        5 | 6 => (Shared::Queue, format!("RPUSH shared:queue {element}")),
        7 => (Shared::Bag, format!("SADD shared:bag {element}")),
        8 => (Shared::Pop, "SPOP shared:bag".to_owned()),
        9 => {
            let (from, to, sum) = (random.below(ACCOUNTS), random.below(ACCOUNTS), random.below(100));
            let lines =
                [format!("DECRBY shared:account:{from} {sum}"), format!("INCRBY shared:account:{to} {sum}")];
            return Step::transaction(Role::Shared(Shared::Transfer), 0, &lines);
        }
        _ => {
            let lines = ["INCR shared:twin".to_owned(), "HINCRBY shared:twins twin 1".to_owned()];
            return Step::transaction(Role::Shared(Shared::Twins), 0, &lines);
        }
    };
    Step::new(Role::Shared(role), 0, &line)
}

/// What follows a step of [`Shared::First`].
pub(super) fn second_step() -> Step {
    Step::new(Role::Shared(Shared::Second), 0, "INCR shared:second")
}

/// A consumer's next step: even ones take, odd ones pass on.
pub(super) fn consumer_step(connection: usize) -> Step {
    if connection.is_multiple_of(2) {
        return Step::new(Role::Shared(Shared::Take), 0, "BLPOP shared:queue 0.5");
    }
    let line = format!("BLMOVE shared:queue shared:done:{connection} LEFT RIGHT 0.5");
    Step::new(Role::Shared(Shared::Pass), 0, &line)
}
