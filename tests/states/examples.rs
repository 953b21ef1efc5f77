//! An example of each command of the server, and the keys that the examples are about.
//!
//! The table is checked against COMMAND: a command without an example, and an example without a command, fail. A command that
//! only one of the servers has is left out on the other. The examples run in the order in which they stand, those that remove
//! most of the keys last.

use std::collections::BTreeMap;

use rustredis_testkit::{Client, Command};

/// What is known of an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It answers no error.
    Right,
    /// It is refused for reasons of its own, or may be.
    Wrong,
    /// It ends the server, or the state that it would be run in.
    Apart,
}

/// A command to send.
#[derive(Debug, Clone)]
pub(crate) struct Example {
    /// The full name of its row: `client|list`.
    pub(crate) name: String,
    /// The arguments.
    pub(crate) command: Command,
    /// See there.
    pub(crate) kind: Kind,
}

/// A line each; `!` before one that is wrong, `-` before one that stands apart.
const EXAMPLES: &str = r#"
APPEND string 1
BITCOUNT text
BITFIELD bits SET u8 0 7 INCRBY u4 8 1
BITFIELD_RO bits GET u8 0
BITOP OR bits:or bits text
BITPOS bits 1
BLMOVE list list:to LEFT RIGHT 0.01
BLMPOP 0.01 1 list LEFT
BLPOP list 0.01
BRPOP list 0.01
BRPOPLPUSH list list:to 0.01
BZMPOP 0.01 1 zset MIN
BZPOPMAX zset 0.01
BZPOPMIN zset 0.01
COPY hash hash:copy
DBSIZE
DECR number
DECRBY number 2
DELEX string:mine IFEQ token
DELIFEQ string:locked token
DIGEST text
DUMP zset
EXISTS string list
EXPIRE text 100000
EXPIREAT text 4102444800
EXPIRETIME timed
GEOADD geo 13.4 52.5 berlin
GEODIST geo berlin paris
GEOHASH geo berlin
GEOPOS geo berlin
GEORADIUS geo 13 52 500 km
GEORADIUS_RO geo 13 52 500 km
GEORADIUSBYMEMBER geo berlin 1000 km STORE geo:near
GEORADIUSBYMEMBER_RO geo berlin 1000 km
GEOSEARCH geo FROMMEMBER berlin BYRADIUS 1000 km
GEOSEARCHSTORE geo:found geo FROMMEMBER berlin BYBOX 1000 1000 km
GET string
GETBIT bits 1
GETDEL string:gone
GETEX string EX 100000
GETRANGE text 0 2
GETSET text other
HDEL hash f1
HEXISTS hash f2
HEXPIRE hash 100000 FIELDS 1 f2
HEXPIREAT hash 4102444800 FIELDS 1 f3
HEXPIRETIME hash FIELDS 1 f3
HGET hash f2
HGETALL hash
HGETDEL hash FIELDS 2 f4 nosuch
HGETEX hash EX 100000 FIELDS 1 f5
HINCRBY hash n 3
HINCRBYFLOAT hash n 1.5
HKEYS hash
HLEN hash
HMGET hash f2 f3
HMSET hash m1 1 m2 2
HPERSIST hash FIELDS 1 f2
HPEXPIRE hash 100000000 FIELDS 1 f2
HPEXPIREAT hash 4102444800000 FIELDS 1 f3
HPEXPIRETIME hash FIELDS 1 f3
HPTTL hash FIELDS 1 f3
HRANDFIELD hash 2
HSCAN hash 0
HSET hash f6 6
HSETEX hash EX 100000 FIELDS 1 f7 7
HSETNX hash f8 8
HSTRLEN hash f2
HTTL hash FIELDS 1 f3
HVALS hash
INCR number
INCRBY number 5
INCRBYFLOAT float 0.5
INCREX number UBOUND 1000 EX 100000 ENX
KEYS *
LCS text string
LINDEX list 0
LINSERT list BEFORE e5 new
LLEN list
LMOVE list list:to RIGHT LEFT
LMOVEM list list:to RIGHT LEFT COUNT 2 BULK
LMPOP 1 list LEFT COUNT 2
LPOP list
LPOS list e5
LPUSH list head
LPUSHX list head
LRANGE list 0 -1
LREM list 0 head
LSET list 0 changed
LTRIM list 0 20
MGET string text none
MOVE movable 1
MSET m:1 1 m:2 2
MSETEX 2 m:3 1 m:4 2 EX 100000
MSETNX mn:1 1 mn:2 2
OBJECT ENCODING hash
! OBJECT FREQ hash
OBJECT HELP
OBJECT IDLETIME hash
OBJECT REFCOUNT hash
PERSIST text
PEXPIRE text 100000000
PEXPIREAT text 4102444800000
PEXPIRETIME timed
PFADD hll a b c
PFCOUNT hll
PFDEBUG ENCODING hll
PFMERGE hll:merged hll hll2
- PFSELFTEST
PSETEX string:px 100000000 v
PTTL timed
RANDOMKEY
RENAME renamed renamed:to
RENAMENX renamed:nx renamed:new
! RESTORE restored 0 "\x00\x03abc\n\x00\xd9\xac0=Ar\xa2\xe2" REPLACE
RPOP list
RPOPLPUSH list list:to
RPUSH list tail
RPUSHX list tail
SADD set new
SCAN 0
SCARD set
SDIFF set set2
SDIFFCARD 2 set set2
SDIFFSTORE set:diff set set2
SET string 7 EX 100000
SETBIT bits 9 1
SETEX string:ex 100000 v
SETNX string:nx 1
SETRANGE text 1 xyz
SINTER set set2
SINTERCARD 2 set set2
SINTERSTORE set:inter set set2
SISMEMBER set m1
SMEMBERS set
SMISMEMBER set m1 none
SMOVE set set2 m1
SORT list ALPHA STORE list:sorted
SORT_RO list ALPHA
SPOP set 2
SRANDMEMBER set 2
SREM set m2
SSCAN set 0
STRLEN text
SUBSTR text 0 1
SUNION set set2
SUNIONCARD 2 set set2
SUNIONSTORE set:union set set2
TOUCH string text
TTL timed
TYPE zset
ZADD zset 9 new
ZCARD zset
ZCOUNT zset 1 5
ZDIFF 2 zset zset2
ZDIFFSTORE zset:diff 2 zset zset2
ZINCRBY zset 2 z1
ZINTER 2 zset zset2
ZINTERCARD 2 zset zset2
ZINTERSTORE zset:inter 2 zset zset2
ZLEXCOUNT zset - +
ZMPOP 1 zset MAX
ZMSCORE zset z2 z3
ZPOPMAX zset
ZPOPMIN zset
ZRANDMEMBER zset 2
ZRANGE zset 0 -1
ZRANGEBYLEX zset - +
ZRANGEBYSCORE zset 0 5
ZRANGESTORE zset:range zset 0 2
ZRANK zset z4
ZREM zset z4
ZREMRANGEBYLEX zset:lex [b [c
ZREMRANGEBYRANK zset 0 0
ZREMRANGEBYSCORE zset2 0 1
ZREVRANGE zset 0 -1
ZREVRANGEBYLEX zset + -
ZREVRANGEBYSCORE zset 5 0
ZREVRANK zset z5
ZSCAN zset 0
ZSCORE zset z5
ZUNION 2 zset zset2
ZUNIONSTORE zset:union 2 zset zset2
XACK stream g 1-1
XACKDEL stream g IDS 1 2-1
XADD stream 9-9 a 9
XAUTOCLAIM stream g d 0 0
XCLAIM stream g d 0 2-1
XDEL stream 3-1
XDELEX stream ACKED IDS 1 4-1
XGROUP CREATE stream h 0
XGROUP CREATECONSUMER stream g e
XGROUP DELCONSUMER stream g e
XGROUP DESTROY stream h
XGROUP HELP
XGROUP SETID stream g 0
XINFO CONSUMERS stream g
XINFO GROUPS stream
XINFO HELP
XINFO STREAM stream FULL
XLEN stream
XPENDING stream g
XRANGE stream - +
XREAD COUNT 2 STREAMS stream 0
XREADGROUP GROUP g c STREAMS stream >
XREVRANGE stream + -
XSETID stream 99-99
XTRIM stream MAXLEN 2
! ACL CAT
! ACL GETUSER default
! ACL LIST
! ACL WHOAMI
! ACL DELUSER nosuch
! ACL DRYRUN default get a
! ACL GENPASS
! ACL HELP
! ACL LOAD
! ACL LOG
! ACL SAVE
! ACL SETUSER default
! ACL USERS
! ASKING
! CLUSTER ADDSLOTS 1
! CLUSTER ADDSLOTSRANGE 1 2
! CLUSTER BUMPEPOCH
! CLUSTER COUNT-FAILURE-REPORTS 0
! CLUSTER COUNTKEYSINSLOT 0
! CLUSTER DELSLOTS 1
! CLUSTER DELSLOTSRANGE 1 2
! CLUSTER FAILOVER
! CLUSTER FLUSHSLOTS
! CLUSTER FORGET 0
! CLUSTER GETKEYSINSLOT 0 1
! CLUSTER HELP
! CLUSTER KEYSLOT a
! CLUSTER LINKS
! CLUSTER MEET 127.0.0.1 1
! CLUSTER MYID
! CLUSTER REPLICAS 0
! CLUSTER REPLICATE 0
! CLUSTER RESET
! CLUSTER SAVECONFIG
! CLUSTER SET-CONFIG-EPOCH 1
! CLUSTER SETSLOT 1 stable
! CLUSTER SHARDS
! CLUSTER SLAVES 0
- FCALL nosuch 0
! FCALL_RO nosuch 0
- EVAL return{redis.call('incr',KEYS[1])} 1 number
EVAL_RO return{redis.call('get',KEYS[1])} 1 string
- EVALSHA 0000000000000000000000000000000000000000 0
! EVALSHA_RO 0000000000000000000000000000000000000000 0
! FUNCTION DELETE nosuch
! FUNCTION DUMP
! FUNCTION HELP
! FUNCTION KILL
! FUNCTION LOAD nothing
! FUNCTION RESTORE nothing
! MODULE HELP
- MODULE LOAD nothing
- MODULE LOADEX nothing
- MODULE UNLOAD nothing
! SCRIPT DEBUG no
! SCRIPT HELP
! SCRIPT KILL
! SCRIPT LOAD nothing
! SCRIPT SHOW
! AUTH secret
! BGREWRITEAOF
! BGSAVE
! CLIENT CACHING YES
CLIENT GETNAME
! CLIENT GETREDIR
CLIENT HELP
CLIENT ID
CLIENT INFO
CLIENT KILL ID 99999999
CLIENT LIST
CLIENT NO-EVICT off
CLIENT NO-TOUCH off
- CLIENT PAUSE 1
CLIENT REPLY ON
CLIENT SETINFO LIB-NAME states
CLIENT SETNAME states
CLIENT TRACKING OFF
CLIENT TRACKINGINFO
CLIENT UNBLOCK 99999999
- CLIENT UNPAUSE
! CLUSTER INFO
! CLUSTER NODES
! CLUSTER SLOTS
CMDSTAT
COMMAND COUNT
COMMAND DOCS get
COMMAND GETKEYS get a
COMMAND GETKEYSANDFLAGS set a 1
COMMAND HELP
COMMAND INFO get
COMMAND LIST
CONFIG GET maxmemory
CONFIG HELP
CONFIG RESETSTAT
! CONFIG REWRITE
CONFIG SET slowlog-max-len 100
DEBUG SLEEP 0
! DISCARD
ECHO text
! EXEC
FUNCTION FLUSH
! FUNCTION LIST
! FUNCTION STATS
HELLO 3
INFO everything
LASTSAVE
LATENCY DOCTOR
! LATENCY GRAPH command
LATENCY HELP
LATENCY HISTOGRAM
LATENCY HISTORY command
LATENCY LATEST
LATENCY RESET
LOLWUT
MEMORY DOCTOR
MEMORY HELP
MEMORY MALLOC-STATS
MEMORY PURGE
MEMORY STATS
MEMORY USAGE hash
! MODULE LIST
MONITOR
MULTI
PING
PSUBSCRIBE p*
PUBLISH channel message
PUBSUB CHANNELS
PUBSUB HELP
PUBSUB NUMPAT
PUBSUB NUMSUB
PUBSUB SHARDCHANNELS
PUBSUB SHARDNUMSUB
PUNSUBSCRIBE
QUIT
! READONLY
! READWRITE
REPLICAOF NO ONE
RESET
REPLCONF listening-port 7000
ROLE
- SAVE
! SCRIPT EXISTS 0000000000000000000000000000000000000000
! SCRIPT FLUSH
SELECT 1
- SHUTDOWN NOSAVE
SLAVEOF NO ONE
- SYNC
COMMANDLOG GET 1 slow
COMMANDLOG HELP
COMMANDLOG LEN slow
COMMANDLOG RESET slow
SLOWLOG GET
SLOWLOG HELP
SLOWLOG LEN
SLOWLOG RESET
SPUBLISH channel message
SSUBSCRIBE channel
SUBSCRIBE channel
SUNSUBSCRIBE
TIME
UNSUBSCRIBE
UNWATCH
WAIT 0 1
WAITAOF 0 0 1
WATCH string
DEL bits:or
UNLINK list:sorted
SWAPDB 1 2
FLUSHDB ASYNC
FLUSHALL
"#;

/// What the examples find, a line each.
const KEYS: &str = "
SET string 10
SET string:gone 1
SET string:mine token
SET string:locked token
SET text ohmytext
SET number 100
SET float 1.5
SET bits abcdef
SET movable 1
SET renamed 1
SET renamed:nx 1
SET timed 1 EX 100000
RPUSH list e1 e2 e3 e4 e5 e6 e7 e8 e9 e10 e11 e12 e13 e14 e15 e16 e17 e18 e19 e20
RPUSH list:to x
HSET hash f1 1 f2 2 f3 3 f4 4 f5 5 n 1
SADD set m1 m2 m3 m4 m5 m6 m7 m8
SADD set2 m1 m2 x y
ZADD zset 1 z1 2 z2 3 z3 4 z4 5 z5 6 z6 7 z7 8 z8
ZADD zset2 1 z1 2 z5 3 y
ZADD zset:lex 0 a 0 b 0 c
GEOADD geo 2.35 48.85 paris 13.4 52.5 berlin
PFADD hll a b c d
PFADD hll2 e f
DEL stream
XADD stream 1-1 a 1
XADD stream 2-1 a 2
XADD stream 3-1 a 3
XADD stream 4-1 a 4
XGROUP CREATE stream g 0
XREADGROUP GROUP g c COUNT 2 STREAMS stream >
";

/// Sets the keys that the examples are about.
#[track_caller]
pub(crate) fn fill(client: &mut Client) {
    let lines = KEYS.lines().map(str::trim).filter(|line| !line.is_empty());
    let commands: Vec<Command> = lines.map(Command::line).collect();
    for (reply, command) in client.pipeline(&commands).iter().zip(&commands) {
        assert!(!reply.is_error(), "{command}: {reply}");
    }
}

/// The examples of the commands that the server has, with the flags that it tells of each. Panics if a command of ours has none.
#[track_caller]
pub(crate) fn examples(client: &mut Client) -> Vec<(Example, Vec<String>)> {
    let is_redis = client.line("CMDSTAT").is_error();
    let mut rows = BTreeMap::new();
    for row in client.line("COMMAND").elements() {
        let row = row.elements();
        let subcommands = row[9].elements();
        let all = if subcommands.is_empty() {
            vec![row]
        } else {
            subcommands.iter().map(|row| row.elements()).collect()
        };
        for row in all {
            rows.insert(row[0].text(), row[2].elements().iter().map(|flag| flag.text()).collect::<Vec<_>>());
        }
    }
    let mut examples = Vec::new();
    for line in EXAMPLES.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (kind, line) = match line.split_at(1) {
            ("!", line) => (Kind::Wrong, line),
            ("-", line) => (Kind::Apart, line),
            _ => (Kind::Right, line),
        };
        let command = Command::line(line);
        let word = |index: usize| {
            command.arguments.get(index).map(|word| String::from_utf8_lossy(word).to_ascii_lowercase())
        };
        let name = word(0).unwrap_or_default();
        let long = format!("{name}|{}", word(1).unwrap_or_default());
        let Some((name, flags)) = rows.remove_entry(&name).or_else(|| rows.remove_entry(&long)) else {
            continue;
        };
        examples.push((Example { name, command, kind }, flags));
    }
    let left: Vec<&String> = rows.keys().collect();
    assert!(is_redis || left.is_empty(), "commands without an example in tests/states/examples.rs: {left:?}");
    examples
}
