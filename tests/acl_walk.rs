//! A random walk over rules of users, commands and keys: ACL DRYRUN says of each what redis-server 7.0.15 says.
//!
//! `RUSTREDIS_SEED` chooses the walk.

use rustredis_testkit::{Command, Random, Reply, Server, engines};

/// Questions of the walk.
const CASES: usize = 100_000;
/// Commands that are asked about for each user.
const ASKED: usize = 20;
/// Rules of a user.
const RULES_MAX: usize = 8;

/// Rules; `@` and `.` stand for a category and a command.
const RULES: &[&str] = &[
    "~a*",
    "~b:*",
    "%R~r*",
    "%W~w*",
    "%RW~x*",
    "~*",
    "allkeys",
    "resetkeys",
    "%R~*",
    "%W~a*",
    "~*1",
    "~[ab]*",
    "+@",
    "-@",
    "+@",
    "-@",
    "+.",
    "-.",
    "+.",
    "-.",
    "+.",
    "+@all",
    "-@all",
    "allcommands",
    "nocommands",
    "&c*",
    "&news:?",
    "allchannels",
    "resetchannels",
    "&*",
    "(+@read ~s*)",
    "(+@all %R~r*)",
    "(+. ~a*)",
    "(+@ ~*)",
    "(-@all +get +set %W~w* &d*)",
    "clearselectors",
    "on",
    "off",
    "nopass",
    ">secret",
    "resetpass",
    "+config|get",
    "-config|set",
    "+client|id",
    "-client|kill",
    "+config|nothing",
    "+nothing",
    "~",
    "%~a",
    "%X~a",
    "&",
    "(~a",
    "+@nothing",
    "allkeys~",
];

const CATEGORIES: &[&str] = &[
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// Commands; K stands for a key, C for a channel.
const COMMANDS: &[&str] = &[
    "GET K",
    "SET K v",
    "SET K v GET",
    "GETSET K v",
    "GETEX K",
    "GETDEL K",
    "MGET K K",
    "MSET K v K v",
    "MSETNX K v K v",
    "APPEND K v",
    "STRLEN K",
    "INCR K",
    "SETRANGE K 0 v",
    "GETRANGE K 0 1",
    "LCS K K",
    "BITCOUNT K",
    "BITOP AND K K K",
    "BITFIELD K GET u8 0",
    "BITFIELD K SET u8 0 1",
    "BITFIELD_RO K GET u8 0",
    "DEL K K",
    "UNLINK K",
    "EXISTS K K",
    "EXPIRE K 1",
    "TTL K",
    "TYPE K",
    "DUMP K",
    "RESTORE K 0 v",
    "RENAME K K",
    "RENAMENX K K",
    "COPY K K",
    "MOVE K 1",
    "TOUCH K",
    "OBJECT ENCODING K",
    "OBJECT HELP",
    "SORT K",
    "SORT K STORE K",
    "SORT_RO K",
    "KEYS *",
    "SCAN 0",
    "RANDOMKEY",
    "DBSIZE",
    "LPUSH K v",
    "LRANGE K 0 1",
    "LLEN K",
    "LMOVE K K LEFT LEFT",
    "RPOPLPUSH K K",
    "BLMOVE K K LEFT LEFT 1",
    "BLPOP K K 1",
    "LMPOP 2 K K LEFT",
    "BLMPOP 1 2 K K LEFT",
    "SADD K v",
    "SMEMBERS K",
    "SMOVE K K v",
    "SINTER K K",
    "SINTERCARD 2 K K",
    "SINTERSTORE K K K",
    "SUNIONSTORE K K",
    "SPOP K",
    "HSET K f v",
    "HGETALL K",
    "HINCRBY K f 1",
    "ZADD K 1 m",
    "ZRANGE K 0 1",
    "ZRANGESTORE K K 0 1",
    "ZUNION 2 K K",
    "ZUNIONSTORE K 2 K K",
    "ZDIFF 1 K",
    "ZMPOP 1 K MIN",
    "BZPOPMIN K K 1",
    "GEOADD K 1 1 m",
    "GEORADIUS K 1 1 1 km",
    "GEORADIUS K 1 1 1 km STORE K",
    "GEOSEARCHSTORE K K FROMMEMBER m BYRADIUS 1 km",
    "PFADD K v",
    "PFCOUNT K K",
    "PFMERGE K K",
    "XADD K * f v",
    "XLEN K",
    "XREAD STREAMS K K 0 0",
    "XREADGROUP GROUP g c STREAMS K >",
    "XGROUP CREATE K g $",
    "XINFO STREAM K",
    "XACK K g 0-1",
    "EVAL return 2 K K",
    "EVAL_RO return 1 K",
    "EVALSHA s 1 K",
    "FCALL f 1 K",
    "WATCH K",
    "MULTI",
    "EXEC",
    "PUBLISH C m",
    "SPUBLISH C m",
    "SUBSCRIBE C C",
    "PSUBSCRIBE C",
    "PSUBSCRIBE c*",
    "SSUBSCRIBE C",
    "UNSUBSCRIBE C",
    "PUBSUB CHANNELS",
    "PING",
    "ECHO v",
    "AUTH p",
    "HELLO 3",
    "QUIT",
    "RESET",
    "SELECT 1",
    "SWAPDB 0 1",
    "FLUSHALL",
    "FLUSHDB",
    "CONFIG GET x",
    "CONFIG SET x y",
    "CLIENT ID",
    "CLIENT KILL x",
    "CLIENT LIST",
    "ACL WHOAMI",
    "ACL LIST",
    "COMMAND COUNT",
    "COMMAND DOCS",
    "INFO",
    "DEBUG SLEEP 0",
    "MEMORY USAGE K",
    "MEMORY DOCTOR",
    "SLOWLOG GET",
    "LATENCY LATEST",
    "SCRIPT LOAD x",
    "FUNCTION LIST",
    "CLUSTER KEYSLOT K",
    "WAIT 0 0",
    "SAVE",
    "LASTSAVE",
    "SHUTDOWN",
    "MONITOR",
    "SYNC",
    "REPLICAOF NO ONE",
    "TIME",
    "LOLWUT",
    "ROLE",
];

const KEYS: &[&str] = &["a", "a1", "ab", "b:1", "b", "r1", "w1", "x1", "s1", "z", "1"];
const CHANNELS: &[&str] = &["c1", "c*", "news:1", "news:12", "d", "e"];

fn pick<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
    of[random.below(of.len())]
}

fn rule(random: &mut Random) -> String {
    let rule = pick(random, RULES);
    let (category, command) = (pick(random, CATEGORIES), pick(random, COMMANDS));
    let command = command.split(' ').next().unwrap_or_default().to_lowercase();
    match rule {
        "+@" | "-@" => format!("{rule}{category}"),
        "+." | "-." => rule.replace('.', &command),
        _ => rule.replace("+@ ", &format!("+@{category} ")).replace("+. ", &format!("+{command} ")),
    }
}

fn question(random: &mut Random) -> Command {
    let words = pick(random, COMMANDS).split(' ').map(|word| match word {
        "K" => pick(random, KEYS),
        "C" => pick(random, CHANNELS),
        word => word,
    });
    let words: Vec<&str> = ["ACL", "DRYRUN", "walker"].into_iter().chain(words).collect();
    Command::new(&words)
}

/// What an answer says, without the words that 7.2 has changed.
fn verdict(reply: &Reply) -> &'static str {
    let text = reply.text();
    match () {
        () if text == "OK" => "allowed",
        () if text.contains("to run the") => "command",
        () if text.contains("to access the") && text.contains("key") => "key",
        () if text.contains("to access the") && text.contains("channel") => "channel",
        () if reply.is_error() => "error",
        () => "something else",
    }
}

#[test]
fn dryrun_says_what_redis_says() {
    let seed = std::env::var("RUSTREDIS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_130);
    let Some(engine) = engines().into_iter().next() else { return };
    let (ours, theirs) = (Server::rustredis(&engine), Server::redis());
    let (mut our, mut their) = (ours.client(), theirs.client());
    let mut random = Random::new(seed);
    let mut counts = std::collections::BTreeMap::new();
    for user in 0..CASES / ASKED {
        let rules: Vec<String> = (0..=random.below(RULES_MAX)).map(|_| rule(&mut random)).collect();
        let mut commands = vec![Command::line("ACL SETUSER walker reset")];
        // One at a time: a rule that is none leaves the others.
        commands.extend(rules.iter().map(|rule| Command::new(&["ACL", "SETUSER", "walker", rule])));
        commands.extend((0..ASKED).map(|_| question(&mut random)));
        let (our, their) = (our.pipeline(&commands), their.pipeline(&commands));
        for (index, (our, their)) in our.iter().zip(&their).enumerate() {
            let is_rule = index <= rules.len();
            let is_same =
                if is_rule { our.is_error() == their.is_error() } else { verdict(our) == verdict(their) };
            assert!(
                is_same,
                "seed {seed}, user {user}, rules {rules:?}: {:?}\n ours: {our}\nRedis: {their}",
                commands[index]
            );
            if !is_rule {
                *counts.entry(verdict(our)).or_insert(0) += 1;
            }
        }
    }
    println!("{CASES} cases: {counts:?}");
    assert!(
        ["allowed", "command", "key", "channel"].iter().all(|verdict| counts.contains_key(verdict)),
        "{counts:?}"
    );
}
