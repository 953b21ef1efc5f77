//! What a write reads has expired before it runs, for its replay too: in a replay nothing expires but by the file's own
//! deletions, so these stand before the write that found the key gone.

use rustredis_testkit::{Client, DEADLINE_DEFAULT, Launch, Server, every_engine, wait_until};

use crate::files::ALWAYS;

const FILL: [&str; 18] = [
    "SADD set:1 a b",
    "SADD set:2 b c",
    "ZADD zset:1 1 a 2 b",
    "ZADD zset:2 3 b 4 c",
    "RPUSH list:1 3 1 2",
    "RPUSH list:2 9",
    "SET bits:1 abc",
    "SET bits:2 Z",
    "PFADD hll:1 a b c",
    "PFADD hll:2 x",
    "GEOADD geo:1 13.36 38.11 Palermo 15.08 37.50 Catania",
    "SET weight:1 3",
    "SET weight:2 2",
    "SET weight:3 1",
    "RPUSH plain 1 2 3",
    "HSET order:1 w 3",
    "HSET order:2 w 2",
    "HSET order:3 w 1 x 1",
];
const BRIEF: [&str; 7] = ["set:1", "zset:1", "list:1", "bits:1", "hll:1", "geo:1", "weight:1"];

/// Writes that read what has expired, whether or not they change anything; each runs in a database of its own.
const WRITES: [&str; 27] = [
    "SUNIONSTORE d set:1 set:2",
    "SDIFFSTORE d set:2 set:1",
    "SINTERSTORE d set:1 set:2",
    "ZUNIONSTORE d 2 zset:1 zset:2",
    "ZINTERSTORE d 2 zset:1 zset:2",
    "ZDIFFSTORE d 2 zset:2 zset:1",
    "ZUNIONSTORE d 2 set:1 zset:2 WEIGHTS 2 3",
    "ZRANGESTORE d zset:1 0 -1",
    "SORT list:1 STORE d",
    "SORT plain BY weight:* STORE d",
    "SORT plain BY nosort GET weight:* GET # STORE d",
    "BITOP OR d bits:1 bits:2",
    "BITOP NOT d bits:1",
    "PFMERGE d hll:1 hll:2",
    "PFCOUNT hll:1 hll:2",
    "GEOSEARCHSTORE d geo:1 FROMLONLAT 15 37 BYRADIUS 900 km",
    "GEORADIUS geo:1 15 37 900 km STORE d",
    "COPY set:1 d",
    "COPY set:2 set:1",
    "LMOVE list:1 list:2 LEFT RIGHT",
    "LMOVE list:2 list:1 LEFT RIGHT",
    "SMOVE set:1 set:2 a",
    "RENAMENX set:2 zset:1",
    "APPEND bits:1 d",
    // Of hashes the fields expire, which only ours and newer servers know.
    "COPY order:3 d",
    "SORT plain BY order:*->w STORE d",
    "SORT plain BY nosort GET order:*->w STORE d",
];

const ARGUMENTS: [&str; 2] = ["--databases", "64"];

fn time_us(client: &mut Client) -> u64 {
    let parts: Vec<u64> =
        client.line("TIME").elements().iter().map(|part| part.text().parse().unwrap()).collect();
    parts[0] * 1_000_000 + parts[1]
}

/// A database for each write, in which what it reads has expired and nobody has looked.
fn prepare(client: &mut Client, is_redis: bool) {
    client.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
    for db in 0..WRITES.len() {
        client.check(&format!("SELECT {db}"), "+OK");
        FILL.iter().for_each(|line| _ = client.line(line));
        for key in BRIEF {
            client.check(&format!("PEXPIRE {key} 5"), "1");
        }
        if !is_redis {
            client.check("HPEXPIRE order:3 5 FIELDS 1 w", "[1]");
        }
    }
    let begun_us = time_us(client);
    wait_until("the time of what is brief", DEADLINE_DEFAULT, || time_us(client) > begun_us + 10_000);
}

/// What every database holds, in a form that says where two servers differ.
fn held(client: &mut Client) -> Vec<String> {
    (0..WRITES.len())
        .map(|db| {
            client.check(&format!("SELECT {db}"), "+OK");
            let mut keys: Vec<String> =
                client.line("KEYS *").elements().iter().map(|key| key.text()).collect();
            // Nobody has looked at its expired field: it is there until it is due to go.
            keys.retain(|key| key != "order:3");
            keys.sort();
            let digests =
                keys.iter().map(|key| format!("{key}={}", client.call(&["DEBUG", "DIGEST-VALUE", key])));
            format!("{}: {}", WRITES[db], digests.collect::<Vec<_>>().join(" "))
        })
        .collect()
}

fn check(server: &Server, run: impl Fn(&mut Client, &str)) {
    let launch = Launch::new(server.binary().clone()).arguments(&ALWAYS).arguments(&ARGUMENTS);
    let mut server = launch.start();
    let mut client = server.client();
    prepare(&mut client, server.is_redis());
    for (db, line) in WRITES.iter().enumerate() {
        client.check(&format!("SELECT {db}"), "+OK");
        run(&mut client, line);
    }
    let before = held(&mut client);
    server.kill();
    server.restart();
    let after = held(&mut server.client());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after, before, "after and before the restart");
    }
}

every_engine! {
    /// As commands of their own.
    fn a_write_replays_without_what_had_expired(server: &Server) {
        check(server, |client, line| _ = client.line(line));
    }

    /// In a transaction.
    fn a_transaction_replays_without_what_had_expired(server: &Server) {
        check(server, |client, line| {
            for line in ["MULTI", "SET before 1", line, "SET behind 1", "EXEC"] {
                client.line(line);
            }
        });
    }

    /// A swap of databases with keys that have expired: whichever way they were found, their deletions are not those of the keys
    /// that come to have their numbers.
    fn a_swap_replays_without_what_had_expired(server: &Server) {
        for lines in [
            &["SWAPDB 0 1"][..],
            &["MULTI", "GET k", "SWAPDB 0 1", "EXEC", "SADD k m"],
            &["MULTI", "SET other 1", "SWAPDB 1 0", "EXEC"],
            &["GET k", "SWAPDB 0 1", "SET k new"],
        ] {
            for live in [0, 1] {
                let launch = Launch::new(server.binary().clone()).arguments(&ALWAYS).arguments(ARGUMENTS);
                let mut server = launch.start();
                let (mut client, mut waiter) = (server.client(), server.client());
                client.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
                waiter.send(&["BLPOP", "k", "0"]);
                wait_until("the waiter", DEADLINE_DEFAULT, || {
                    server.info("blocked_clients").as_deref() == Some("1")
                });
                for db in [0, 1] {
                    client.check(&format!("SELECT {db}"), "+OK");
                    client.check(&format!("SET k {db}"), "+OK");
                    if db != live {
                        client.check("PEXPIRE k 1", "1");
                    }
                }
                let begun_us = time_us(&mut client);
                wait_until("the time of what is brief", DEADLINE_DEFAULT, || {
                    time_us(&mut client) > begun_us + 3_000
                });
                client.check("SELECT 0", "+OK");
                lines.iter().for_each(|line| _ = client.line(line));
                let look = |client: &mut Client| {
                    ["SELECT 1", "DUMP k", "TYPE k", "SELECT 0", "DUMP k", "TYPE k"].map(|line| client.line(line))
                };
                let before = look(&mut client);
                server.kill();
                server.restart();
                assert_eq!(look(&mut server.client()), before, "{lines:?}, live in {live}");
            }
        }
    }
}
