//! SYNC and REPLCONF: a replica gets all keys and then everything that changes them, also one of Redis's own.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustredis_testkit::contents::{Contents, Fields};
use rustredis_testkit::{
    Binary, Client, Command, DEADLINE_DEFAULT, Directory, Launch, Random, Server, every_engine, wait_until,
};

use crate::files::{contents, second};

/// A connection that has become a replica.
struct Replica {
    stream: BufReader<TcpStream>,
}

impl Replica {
    /// Says these lines, then SYNC.
    fn ask(server: &Server, lines: &[&str]) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE_DEFAULT)).unwrap();
        let mut replica = Self { stream: BufReader::new(stream) };
        for line in lines {
            replica.say(line);
            assert_eq!(replica.line(), "+OK", "{line}");
        }
        replica.say("SYNC");
        replica
    }

    /// One that has got all keys: it, and what it got.
    fn begin(server: &Server) -> (Self, Vec<u8>) {
        let mut replica = Self::ask(server, &[]);
        let dump = replica.dump();
        (replica, dump)
    }

    fn say(&mut self, line: &str) {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn dump(&mut self) -> Vec<u8> {
        let head = loop {
            let line = self.line();
            if !line.is_empty() {
                break line;
            }
        };
        let length: usize = head.strip_prefix('$').expect(&head).parse().unwrap();
        let mut dump = vec![0; length];
        self.stream.read_exact(&mut dump).unwrap();
        assert!(dump.starts_with(b"REDIS"), "{:?}", &dump[..9]);
        dump
    }

    /// The next command, its words joined; `None` at the end.
    fn next(&mut self) -> Option<String> {
        let head = self.line();
        let count: usize = head.strip_prefix('*')?.parse().unwrap();
        let words = (0..count).map(|_| {
            let length: usize = self.line()[1..].parse().unwrap();
            let mut word = vec![0; length + 2];
            self.stream.read_exact(&mut word).unwrap();
            String::from_utf8_lossy(&word[..length]).into_owned()
        });
        Some(words.collect::<Vec<_>>().join(" "))
    }

    /// The next commands are these.
    #[track_caller]
    fn gets(&mut self, commands: &[&str]) {
        for command in commands {
            assert_eq!(self.next().as_deref(), Some(*command));
        }
    }

    /// Nothing comes any more.
    #[track_caller]
    fn is_closed(&mut self) {
        let mut rest = Vec::new();
        // An end by a reset is one too: what the other side has not read is thrown away.
        let end = self.stream.read_to_end(&mut rest).map_err(|error| error.kind());
        assert!(!matches!(end, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "it goes on");
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}

#[track_caller]
fn has_replicas(server: &Server, count: usize) {
    wait_until("the replicas to be known", DEADLINE_DEFAULT, || {
        server.info("connected_slaves") == Some(count.to_string())
    });
}

/// A server that has loaded this dump.
fn loaded(server: &Server, dump: &[u8]) -> (Server, Directory) {
    let directory = Directory::new();
    std::fs::write(directory.path().join("dump.rdb"), dump).unwrap();
    (second(server, directory.path(), &[]), directory)
}

#[track_caller]
fn run(client: &mut Client, lines: &[&str]) {
    for line in lines {
        let reply = client.line(line);
        assert!(!reply.is_error(), "{line}: {reply}");
    }
}

/// Commands of all kinds, about a hundred keys.
fn write_something(client: &mut Client, random: &mut Random) {
    let (key, other) = (random.below(40), random.below(40));
    let lines = match random.below(9) {
        0 => vec![format!("INCR s:{key}"), format!("APPEND t:{key} x")],
        1 => vec![format!("RPUSH l:{key} a b"), format!("LMOVE l:{key} l:{other} LEFT RIGHT")],
        2 => vec![format!("HINCRBY h:{key} f{other} 1"), format!("HDEL h:{other} f{key}")],
        3 => vec![format!("SADD e:{key} {other}"), format!("SPOP e:{other}")],
        4 => vec![format!("ZADD z:{key} {other} m{other}"), format!("ZPOPMIN z:{other}")],
        5 => vec![format!("XADD x:{key} * f v"), format!("DEL x:{other}")],
        6 => vec!["MULTI".into(), format!("SET s:{key} 7"), format!("DEL l:{other}"), "EXEC".into()],
        7 => vec![format!(
            "EVAL return(redis.call('incr',KEYS[1])+redis.call('incr',KEYS[2])) 2 n:{key} n:{other}"
        )],
        _ => vec![format!("SELECT {}", random.below(3)), format!("SET d:{key} 1 EX 1000")],
    };
    let commands: Vec<Command> = lines.iter().map(|line| Command::line(line)).collect();
    client.pipeline(&commands);
}

/// Changes since the start: nothing is saved.
fn changes(server: &Server) -> i64 {
    server.info("rdb_changes_since_last_save").and_then(|count| count.parse().ok()).unwrap_or_default()
}

/// What both hold, once the replica has all.
#[track_caller]
fn holds_the_same(server: &Server, replica: &Server) {
    let ours = Contents::read(&mut server.client(), Fields::WithoutTimes);
    assert!(!ours.keys.is_empty());
    wait_until("the replica to have the same", DEADLINE_DEFAULT, || {
        Contents::read(&mut replica.client(), Fields::WithoutTimes) == ours
    });
}

every_engine! {
    fn all_keys_come_first_and_then_what_changes_them(server: &Server) {
        let mut client = server.client();
        run(&mut client, &["SELECT 9", "SET a 1", "RPUSH l 1 2 3"]);
        let (mut replica, dump) = Replica::begin(server);
        let (copy, _directory) = loaded(server, &dump);
        assert_eq!(contents(&copy), contents(server));
        run(&mut client, &["SET a 2", "GET a", "INCRBYFLOAT f 1.5", "SADD s 1", "SPOP s", "MULTI", "SET a 3", "LPOP l", "EXEC"]);
        run(&mut client, &["EVAL redis.call('set','a',4);redis.call('del','l') 0", "SELECT 3", "SETEX e 100 v", "DEL nothing", "FLUSHALL"]);
        replica.gets(&[
            "SELECT 9", "SET a 2", "SET f 1.5 KEEPTTL", "SADD s 1", "SREM s 1", "MULTI", "SET a 3", "LPOP l", "EXEC",
        ]);
        replica.gets(&["MULTI", "set a 4", "del l", "EXEC", "SELECT 3"]);
        let command = replica.next().unwrap();
        assert!(command.to_uppercase().starts_with("SET E V PXAT "), "{command}");
        replica.gets(&["FLUSHALL"]);
    }

    /// More than fits into a socket at once, of keys and of what changes them.
    fn what_is_large_comes_whole(server: &Server) with ["--rdbcompression", "no"] {
        let mut client = server.client();
        let value = "value".repeat(200_000);
        for number in 0..8 {
            client.call(&["SETRANGE", &format!("k{number}"), &number.to_string(), &value]);
        }
        let (mut replica, dump) = Replica::begin(server);
        assert!(dump.len() > 8_000_000, "{}", dump.len());
        let (copy, _directory) = loaded(server, &dump);
        assert_eq!(contents(&copy), contents(server));
        for number in 0..8 {
            client.call(&["SET", &format!("k{number}"), &value]);
        }
        replica.gets(&["SELECT 0"]);
        for number in 0..8 {
            let command = replica.next().unwrap();
            assert!(command == format!("SET k{number} {value}"), "{} bytes", command.len());
        }
    }

    /// What was made by a command that Redis 7.0 does not know is what it is.
    fn what_newer_commands_make_is_for_older_servers_too(server: &Server) {
        let (mut replica, _) = Replica::begin(server);
        let mut client = server.client();
        run(&mut client, &["ZADD a 1 x 2 y", "ZUNIONSTORE u 2 a a AGGREGATE COUNT", "ZINTERSTORE none 2 a b AGGREGATE COUNT"]);
        run(&mut client, &["GEOADD g 1 1 p", "GEOSEARCHSTORE h g BYPOLYGON 3 0 0 3 0 0 3", "SET last 1"]);
        replica.gets(&["SELECT 0", "ZADD a 1 x 2 y", "MULTI", "DEL u", "ZADD u 2 x 2 y", "EXEC", "GEOADD g 1 1 p"]);
        replica.gets(&["MULTI", "DEL h", "ZADD h 3377822707026402 p", "EXEC", "SET last 1"]);
    }

    /// One that keeps up takes no memory, and one that does not drives nothing out of memory but itself.
    fn what_waits_for_a_replica_evicts_nothing(server: &Server) with ["--client-output-buffer-limit", "replica 512mb 0 0"] {
        let (_stalled, _) = Replica::begin(server);
        let mut client = server.client();
        let value = "v".repeat(2_000);
        let write = |client: &mut Client, keys: usize, rounds: usize| {
            for round in 0..rounds {
                let commands: Vec<Command> =
                    (0..keys).map(|key| Command::new(&["SET", &format!("k{key}"), &format!("{round}{value}")])).collect();
                client.pipeline(&commands);
            }
        };
        write(&mut client, 3_000, 1);
        let used: usize = server.info("used_memory").unwrap().parse().unwrap();
        run(&mut client, &["CONFIG SET maxmemory-policy allkeys-lru", &format!("CONFIG SET maxmemory {}", used + (10 << 20))]);
        write(&mut client, 500, 50);
        assert_eq!((server.info("evicted_keys").as_deref(), client.line("DBSIZE").integer()), (Some("0"), 3_000));
        drop(_stalled);
        has_replicas(server, 0);
        wait_until("its memory to be given back", DEADLINE_DEFAULT, || {
            server.info("mem_total_replication_buffers").as_deref() == Some("0")
        });
    }

    /// Two that come at the same time share a dump, one that comes later has another.
    fn several_replicas_get_the_same(server: &Server) {
        run(&mut server.client(), &["SET a 1"]);
        let (mut first, _) = Replica::begin(server);
        let (mut second, _) = Replica::begin(server);
        has_replicas(server, 2);
        run(&mut server.client(), &["SET b 1", "SET c 1"]);
        let (mut third, dump) = Replica::begin(server);
        assert!(dump.windows(1).any(|byte| byte == b"c"));
        run(&mut server.client(), &["SET d 1"]);
        for replica in [&mut first, &mut second] {
            replica.gets(&["SELECT 0", "SET b 1", "SET c 1", "SET d 1"]);
        }
        third.gets(&["SELECT 0", "SET d 1"]);
        drop((first, second));
        has_replicas(server, 1);
        run(&mut server.client(), &["SET e 1"]);
        third.gets(&["SET e 1"]);
    }

    /// One of Redis's own, which is told to replicate amid writes of many clients.
    fn a_redis_replica_has_what_we_have(server: &Server) {
        let replica = Server::redis();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for number in 0..4 {
                let is_over = &is_over;
                scope.spawn(move || {
                    let (mut client, mut random) = (server.client(), Random::new(number));
                    while !is_over.load(Ordering::Acquire) {
                        write_something(&mut client, &mut random);
                    }
                });
            }
            let mut client = replica.client();
            let has_written = |more: i64| {
                let begin = changes(server);
                wait_until("more to be written", DEADLINE_DEFAULT, || changes(server) > begin + more);
            };
            has_written(200);
            client.check(&format!("REPLICAOF 127.0.0.1 {}", server.port()), "+OK");
            wait_until("the replica to be connected", DEADLINE_DEFAULT, || {
                replica.info("master_link_status").as_deref() == Some("up")
            });
            has_written(1000);
            is_over.store(true, Ordering::Release);
        });
        holds_the_same(server, &replica);
        run(&mut server.client(), &["SET last 1 PX 100"]);
        wait_until("it to expire", DEADLINE_DEFAULT, || server.client().line("EXISTS last").integer() == 0);
        holds_the_same(server, &replica);
        replica.client().check("REPLICAOF NO ONE", "+OK");
        has_replicas(server, 0);
    }

    fn what_expires_and_what_is_evicted_is_deleted(server: &Server) {
        let mut client = server.client();
        let (mut replica, _) = Replica::begin(server);
        run(&mut client, &["SET a 1", "PEXPIRE a 1"]);
        replica.gets(&["SELECT 0", "SET a 1"]);
        assert!(replica.next().unwrap().starts_with("PEXPIREAT a "));
        replica.gets(&["DEL a"]);
        run(&mut client, &["SET b 1"]);
        replica.gets(&["SET b 1"]);
        run(&mut client, &["CONFIG SET maxmemory-policy allkeys-random", "CONFIG SET maxmemory 1"]);
        client.line("SET c 1");
        replica.gets(&["DEL b"]);
    }

    /// They change no key, and those of a step come behind it.
    fn messages_and_pings_are_for_replicas(server: &Server) with ["--repl-ping-replica-period", "1"] {
        let (mut replica, _) = Replica::begin(server);
        let mut client = server.client();
        assert_eq!(replica.next().as_deref(), Some("PING"));
        run(&mut client, &["CONFIG SET repl-ping-replica-period 1000"]);
        run(&mut client, &["SELECT 2", "SET a 1", "PUBLISH c 1", "SPUBLISH c 2", "EVAL redis.call('publish','c',4) 0", "SET a 2"]);
        let mut commands = Vec::new();
        while commands.last().is_none_or(|last| last != "SET a 2") {
            commands.extend(replica.next().filter(|command| command != "PING"));
        }
        assert_eq!(commands, ["SELECT 2", "SET a 1", "PUBLISH c 1", "SPUBLISH c 2", "publish c 4", "SET a 2"]);
        run(&mut client, &["MULTI", "SET b 1", "PUBLISH c 3", "SET b 2", "EXEC"]);
        replica.gets(&["MULTI", "SET b 1", "SET b 2", "EXEC", "PUBLISH c 3"]);
    }

    fn a_replica_is_told_of_itself(server: &Server) {
        let mut client = server.client();
        let mut replica = Replica::ask(server, &["REPLCONF listening-port 7777 capa eof capa psync2", "REPLCONF ip-address here"]);
        replica.dump();
        run(&mut client, &["SET a 1"]);
        replica.gets(&["SELECT 0"]);
        wait_until("it to be online", DEADLINE_DEFAULT, || {
            let line = server.info("slave0").unwrap_or_default();
            line.starts_with("ip=here,port=7777,state=online,offset=0,lag=")
        });
        replica.say("REPLCONF ACK 30");
        wait_until("it to be heard", DEADLINE_DEFAULT, || {
            server.info("slave0").unwrap_or_default().contains(",offset=30,lag=0")
        });
        client.check("ROLE", "[\"master\", 0, [[\"here\", \"7777\", \"30\"]]]");
        assert_eq!(server.info("sync_full").as_deref(), Some("1"));
        let list = client.line("CLIENT LIST TYPE replica").text();
        assert!(list.contains(" flags=S ") && list.contains(" cmd=replconf "), "{list}");
        assert!(!client.line("CLIENT LIST TYPE normal").text().contains("flags=S"));
        client.check("CLIENT KILL TYPE slave", "1");
        replica.gets(&["SET a 1"]);
        replica.is_closed();
        has_replicas(server, 0);
        client.check("ROLE", "[\"master\", 0, []]");
    }

    fn a_replica_that_says_anything_else_is_closed(server: &Server) {
        for line in ["PING", "GET a", "SET a 1", "MULTI", "SUBSCRIBE c", "CLIENT REPLY ON"] {
            let (mut replica, _) = Replica::begin(server);
            // It is one already.
            replica.say("SYNC");
            replica.say("REPLCONF GETACK *");
            replica.say(line);
            replica.is_closed();
        }
        has_replicas(server, 0);
        server.client().check("EXISTS a", "0");
    }

    fn where_it_has_no_part_it_is_refused(server: &Server) {
        let mut client = server.client();
        client.check("MULTI", "+OK");
        client.check("SYNC", "-ERR Command not allowed inside a transaction");
        client.check_prefix("EXEC", "-EXECABORT");
        client.check_prefix("EVAL return(redis.call('sync')) 0", "-ERR This Redis command is not allowed from script");
        client.check("REPLCONF capa", "-ERR syntax error");
        client.check("REPLCONF who me", "-ERR Unrecognized REPLCONF option: who");
        client.check("REPLCONF listening-port x", "-ERR value is not an integer or out of range");
        client.check("REPLCONF rdb-only 2", "-ERR value is out of range, value must between 0 and 1");
        client.check("REPLCONF rdb-filter-only keys", "-ERR Unsupported rdb-filter-only option: keys");
        client.send(&["REPLCONF", "ACK", "1"]);
        client.check("PING", "+PONG");
        // A monitor is as good as one, and stays what it is.
        client.check("MONITOR", "+OK");
        client.send(&["SYNC"]);
        has_replicas(server, 0);
    }

    fn what_is_not_wanted_is_left_out(server: &Server) {
        let mut client = server.client();
        run(&mut client, &["SET key-of-mine 1"]);
        client.call(&["FUNCTION", "LOAD", "#!lua name=library\nredis.register_function('f', function() return 1 end)"]);
        let has = |dump: &[u8], text: &str| dump.windows(text.len()).any(|part| part == text.as_bytes());
        for (filter, has_keys, has_functions) in [("functions", false, true), ("\"\"", false, false)] {
            let mut replica = Replica::ask(server, &[&format!("REPLCONF rdb-filter-only {filter}")]);
            let dump = replica.dump();
            assert_eq!((has(&dump, "key-of-mine"), has(&dump, "#!lua")), (has_keys, has_functions), "{filter}");
            run(&mut client, &["SET b 1"]);
            replica.gets(&["SELECT 0", "SET b 1"]);
        }
        let (_, dump) = Replica::begin(server);
        assert!(has(&dump, "key-of-mine") && has(&dump, "#!lua"));
    }

    /// A key takes ten milliseconds to save: there is time to look.
    fn while_its_dump_is_made_it_is_kept_alive(server: &Server) with ["--rdb-key-save-delay", "10000", "--enable-debug-command", "yes"] {
        let mut client = server.client();
        client.check("DEBUG POPULATE 150", "+OK");
        let mut replica = Replica::ask(server, &[]);
        wait_until("the dump to begin", DEADLINE_DEFAULT, || {
            server.info("current_save_keys_processed").is_some_and(|count| count != "0")
        });
        assert_eq!(server.info("rdb_bgsave_in_progress").as_deref(), Some("1"));
        client.check("BGSAVE", "-ERR Background save already in progress");
        client.check("BGREWRITEAOF", "+Background append only file rewriting scheduled");
        assert_eq!(replica.line(), "");
        run(&mut client, &["FLUSHALL", "SET a 1"]);
        let dump = replica.dump();
        replica.gets(&["SELECT 0", "FLUSHALL", "SET a 1"]);
        let (copy, _directory) = loaded(server, &dump);
        copy.client().check("DBSIZE", "150");
    }

    fn who_hangs_up_is_forgotten(server: &Server) with ["--rdb-key-save-delay", "1000", "--enable-debug-command", "yes"] {
        let mut client = server.client();
        client.check("DEBUG POPULATE 300", "+OK");
        drop(Replica::ask(server, &[]));
        let waiting = Replica::ask(server, &[]);
        has_replicas(server, 1);
        drop(waiting);
        has_replicas(server, 0);
        let (mut online, _) = Replica::begin(server);
        run(&mut client, &["SET a 1"]);
        online.gets(&["SELECT 0", "SET a 1"]);
        drop(online);
        has_replicas(server, 0);
        assert_eq!(server.info("mem_total_replication_buffers").as_deref(), Some("0"));
        run(&mut client, &["SET b 1"]);
        wait_until("the last dump to end", DEADLINE_DEFAULT, || {
            server.info("rdb_bgsave_in_progress").as_deref() == Some("0")
        });
    }

    fn one_that_does_not_read_is_closed(server: &Server) with ["--client-output-buffer-limit", "replica 2mb 0 0"] {
        let (mut replica, _) = Replica::begin(server);
        let mut client = server.client();
        run(&mut client, &["SET a 1"]);
        replica.gets(&["SELECT 0", "SET a 1"]);
        let value = "v".repeat(1 << 20);
        for _ in 0..64 {
            client.call(&["SET", "a", &value]);
        }
        has_replicas(server, 0);
        assert_eq!(server.info("mem_total_replication_buffers").as_deref(), Some("0"));
        client.check("PING", "+PONG");
    }

    fn a_dump_that_fails_ends_it(server: &Server) with ["--enable-debug-command", "yes"] {
        let mut client = server.client();
        run(&mut client, &["SET a 1", "DEBUG STORAGE WRITE every fail ENOSPC"]);
        Replica::ask(server, &[]).is_closed();
        run(&mut client, &["DEBUG STORAGE RESET", "SET b 1"]);
        has_replicas(server, 0);
        assert_eq!(server.info("rdb_last_bgsave_status").as_deref(), Some("ok"));
        let (mut replica, _) = Replica::begin(server);
        run(&mut client, &["SET c 1"]);
        replica.gets(&["SELECT 0", "SET c 1"]);
        let left = std::fs::read_dir(server.directory()).unwrap().flatten();
        let names: Vec<_> = left.map(|entry| entry.file_name().into_string().unwrap()).collect();
        assert!(!names.iter().any(|name| name.starts_with("temp-")), "{names:?}");
    }

    /// With a password, as a replica of Redis's has it.
    fn a_replica_authenticates(server: &Server) with ["--requirepass", "secret"] {
        let mut replica = Replica::ask(server, &["AUTH secret"]);
        replica.dump();
        let stream = TcpStream::connect(server.address()).unwrap();
        let mut stranger = Replica { stream: BufReader::new(stream) };
        stranger.say("SYNC");
        assert_eq!(stranger.line(), "-NOAUTH Authentication required.");
    }
}

/// What was acknowledged has been sent before the server ends.
#[test]
fn the_end_waits_for_replicas() {
    for engine in rustredis_testkit::engines() {
        let mut server = Server::rustredis(&engine);
        let (mut replica, _) = Replica::begin(&server);
        let mut client = server.client();
        let commands: Vec<Command> =
            (0..20_000).map(|number| Command::line(&format!("SET k {number}"))).collect();
        client.pipeline(&commands);
        client.send(&["SHUTDOWN", "NOSAVE"]);
        replica.gets(&["SELECT 0"]);
        for number in 0..20_000 {
            replica.gets(&[&format!("SET k {number}")]);
        }
        replica.is_closed();
        assert_eq!(server.wait_for_exit(DEADLINE_DEFAULT).code, Some(0));
    }
}

/// A replica that does not read holds up the end for `shutdown-timeout`, in which everybody is served, and the end may be given up.
#[test]
fn the_end_is_given_up_while_it_waits() {
    for engine in rustredis_testkit::engines() {
        let server = Launch::new(Binary::Rustredis(engine))
            .arguments(&["--client-output-buffer-limit", "replica 0 0 0", "--shutdown-timeout", "60"])
            .start();
        let (_stalled, _) = Replica::begin(&server);
        let (mut client, mut asking) = (server.client(), server.client());
        let value = "v".repeat(1 << 20);
        for _ in 0..40 {
            client.call(&["SET", "k", &value]);
        }
        asking.send(&["SHUTDOWN", "NOSAVE"]);
        wait_until("the end to be asked for", DEADLINE_DEFAULT, || {
            server.log().contains("User requested shutdown")
        });
        client.check("STRLEN k", "1048576");
        client.check("SET after 1", "+OK");
        client.check("SHUTDOWN ABORT", "+OK");
        assert_eq!(asking.read().to_string(), "-ERR Errors trying to SHUTDOWN. Check logs.");
        client.check("GET after", "\"1\"");
    }
}
