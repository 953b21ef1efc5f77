//! DEBUG: what tests of servers and of clients ask for, Redis's own suite foremost.
//!
//! One row without subcommands of its own, as in Redis 7.0, since whether it may run at all is `enable-debug-command`'s
//! to say. It always holds everything: the keys of DEBUG OBJECT are no declared keys, and DEBUG SLEEP must stop
//! whoever wants data, as it stops all of Redis. Deliberately absent: what corrupts the server, or crashes it otherwise than a bug
//! would (PANIC-AT is such a bug on demand).

mod journal;
mod samples;
mod unit;

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustredis_commands::generic::object;
use rustredis_commands::{Args, Command, CommandError, Flags, Group, Outcome, Reach, Rules};
use rustredis_config::{Directive, parse_memory};
use rustredis_keyspace::access_clock::{ACCESS_POLICY, idle_seconds};
use rustredis_keyspace::digest;
use rustredis_keyspace::limits::LIMITS;
use rustredis_keyspace::types::list::{List, NodeRef};
use rustredis_keyspace::types::listpack::Listpack;
use rustredis_keyspace::types::{hash::Hash, set::Set, zset::ZSet};
use rustredis_keyspace::{Entry, Key, PanicAt, Random, View};
use rustredis_persistence::rdb::{Encoded, Writer};
use rustredis_persistence::storage::{Action, Operation, Rule, When};
use rustredis_resp::glob::{self, Case};
use rustredis_resp::{Reply, number};
use rustredis_scripting::function::Libraries;

use super::{Context, Family};
use crate::clients::client::Client;
use crate::files::load::Reload;
use crate::files::rdb::Conflict;
use crate::request::conversation::{LongHold, Wait};
use crate::request::record;
use crate::request::replay::replays;
use crate::start::run_id::random_hex;
use crate::start::server::Server;

/// The family.
pub const FAMILY: Family = Family { rows: ROWS, handlers: &[("debug", debug)] };

const FLAGS: Flags = Flags::ADMIN.with(Flags::NOSCRIPT).with(Flags::LOADING).with(Flags::STALE);

const ROWS: &[Command] = &[Command::server("debug", -2, FLAGS)
    .rules(Rules::SYSTEM)
    .reach(Reach::AllIf(needs_everything))
    .docs(Group::Server, "1.0.0", "Depends on subcommand.", "", "What tests need to see and do.")];

const HELP: &[&str] = &[
    "CHANGE-REPL-ID",
    "    Give the history of the data set another id.",
    "DIGEST",
    "    Answer a digest of all databases: equal data, equal digest.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Answer a digest of the value of each key.",
    "ERROR <string>",
    "    Answer an error with this text.",
    "HTSTATS <dbid>",
    "    Show how the keys of a database are spread over its tables.",
    "HTSTATS-KEY <key>",
    "    Show the hash table of a value.",
    "HOLD (ALL | KEY <key>) <milliseconds>",
    "    Keep all keys, or the shard of one, for a while, as a long script would; for",
    "    tests. It ends early with the client.",
    "LISTPACK <key>",
    "    Write the entries of a value's listpack to the log.",
    "LOADAOF",
    "    Forget everything and load the append-only file.",
    "LOG <message>",
    "    Write a message to the log.",
    "OBJECT <key>",
    "    Show how a value is stored.",
    "PANIC-AT <BEFORE-CHANGE|AFTER-CHANGE>",
    "    Let the next change of a key panic, once: before it happens, or after it.",
    "PAUSE-CRON <0|1>",
    "    Whether nothing is done by the clock: closing idle and large clients, saving.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Create strings named prefix:0, prefix:1 and so on, where there are none.",
    "PROTOCOL <type>",
    "    Answer a value of a type: string, integer, double, bignum, null, array, set,",
    "    map, attrib, push, verbatim, true, false.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Set the size from which an element of a list gets a node of its own; 0 is",
    "    the default.",
    "RELOAD [option ...]",
    "    Save everything to the RDB file, forget it and load it again. Options:",
    "    * NOSAVE: load the file that is there.",
    "    * NOFLUSH: forget nothing; a key that is in the file too is an error.",
    "    * MERGE: the file's keys replace those that are there.",
    "REPLICATE <word> [<word> ...]",
    "    Send a command to the replicas alone: there are none, but a recording.",
    "SAMPLES",
    "    Answer what all subsystems tell as typed samples: subsystem, name, labels, kind,",
    "    value, meaning.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Whether keys expire without being accessed.",
    "SET-DISABLE-DENY-SCRIPTS <0|1>",
    "    Let scripts call what is not for scripts.",
    "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
    "    Whether checksums of RDB files and of RESTORE's payloads may be wrong.",
    "SLEEP <seconds>",
    "    Stop the server for some seconds, which may have a fraction.",
    "STORAGE <operation> <number|every> <fail errno|short bytes|delay ms>",
    "    Let the disk fail: the operation (open, write, sync, truncate, rename, remove,",
    "    directory) of that number from now on, or each, does so.",
    "STORAGE RESET",
    "    Let it be well again.",
    "STORAGE COUNT <operation>",
    "    Answer how many operations there were since the first of these rules.",
    "STRINGMATCH-TEST",
    "    Match random patterns with random texts, to see whether it can be done.",
    "STRUCTSIZE",
    "    Show how large the structures of a key are.",
    "UNIT <command> [<arg> ...] [| <command> [<arg> ...] ...]",
    "    Run commands over keys as one step, and answer an array of their replies.",
];

fn debug(context: &mut Context<'_>, view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    check_allowed(context.server, &context.caller.client)?;
    let word = args.get(1).to_ascii_lowercase();
    match (word.as_slice(), args.len()) {
        (b"help", 2) => super::help(reply, "DEBUG", &[HELP, journal::HELP].concat()),
        (b"sleep", 3) => sleep(args, reply),
        (b"hold", 4..=5) => hold(context, args, reply)?,
        (b"object", 3) => object(context.server, view, args, reply)?,
        (b"digest", 2) => reply.simple(&digest::of_everything(view).to_hex()),
        (b"digest-value", 3..) => digest_values(view, args, reply),
        (b"pause-cron", 3) => {
            context.server.cron().is_paused.store(is_on(args.get(2)), Relaxed);
            reply.ok();
        }
        (b"set-active-expire", 3) => {
            context.server.expiry().is_active.store(is_on(args.get(2)), Relaxed);
            reply.ok();
        }
        (b"set-disable-deny-scripts", 3) => {
            context.server.scripts().allows_all.store(is_on(args.get(2)), Relaxed);
            reply.ok();
        }
        (b"set-skip-checksum-validation", 3) => {
            context.server.rdb().skips_checksums.store(is_on(args.get(2)), Relaxed);
            reply.ok();
        }
        (b"loadaof", 2) => load_aof(context.server, view, reply)?,
        (b"storage", 3..=6) => storage(context.server, args, reply)?,
        (b"reload", _) => reload(context.server, view, args, reply)?,
        (b"panic-at", 3) => inject_panic(context.server, args, reply)?,
        (b"quicklist-packed-threshold", 3) => set_packed_threshold(args, reply)?,
        (b"populate", 3..=5) => populate(view, args, reply)?,
        (b"protocol", 3) => protocol(args, reply)?,
        (b"log", 3) => {
            tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(args.get(2)));
            reply.ok();
        }
        (b"error", 3) => {
            return Err(CommandError::quoting("", args.get(2), ""));
        }
        (b"change-repl-id", 2) => {
            *context.server.replication_id().lock() = random_hex();
            reply.ok();
        }
        (b"replicate", 3..) => {
            if let Some(worker) = context.worker {
                record::tell_replicas(context.server, worker, view.db(), args.from(2));
            }
            reply.ok();
        }
        (b"journal-record", 3..)
            if journal::record(context.server.recorder(), context.server.durability(), args, reply)? => {}
        (b"stringmatch-test", 2) => match_at_random(view.random(), reply),
        (b"samples", 2) => samples::reply_all(context.server, reply),
        (b"unit", 3..) => unit::run(context, view, args, reply)?,
        (b"structsize", 2) => reply.simple(&structure_sizes()),
        (b"listpack", 3) => log_listpack(view, args, reply)?,
        (b"htstats", 3) => table_stats(view, args, reply)?,
        (b"htstats-key", 3) => value_table_stats(view, args, reply)?,
        _ => {
            return Err(super::wrong_subcommand(args, "DEBUG"));
        }
    }
    Ok(())
}

/// DEBUG HOLD: the connection keeps the shards, behind the command.
fn hold(context: &mut Context<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (shard, argument) = match args.len() {
        4 if args.is(2, "ALL") => (None, 3),
        5 if args.is(2, "KEY") => {
            (Some(context.server.engine().store().shard_of(Key::new(args.get(3)).hash)), 4)
        }
        _ => return Err(CommandError::Syntax),
    };
    let milliseconds = u64::try_from(args.int(argument)?).map_err(|_| CommandError::Syntax)?;
    let hold = LongHold { shard, duration: Duration::from_millis(milliseconds) };
    context.conversation()?.after.wait = Some(Wait::Hold(hold));
    reply.ok();
    Ok(())
}

/// Whether it needs more than the keys that it declares, which are none.
fn needs_everything(args: Args<'_>) -> bool {
    !args.is(1, "HOLD")
}

fn inject_panic(server: &Server, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let at = match () {
        () if args.is(2, "BEFORE-CHANGE") => PanicAt::BeforeChange,
        () if args.is(2, "AFTER-CHANGE") => PanicAt::AfterChange,
        () => return Err(CommandError::Syntax),
    };
    server.engine().store().inject_panic(at);
    reply.ok();
    Ok(())
}

fn check_allowed(server: &Server, client: &Client) -> Outcome {
    let is_allowed = match server.config().lock().choice(Directive::EnableDebugCommand) {
        "yes" => true,
        "local" => is_local(&client.addr),
        _ => false,
    };
    if is_allowed {
        return Ok(());
    }
    Err(CommandError::text(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
    ))
}

/// Whether a client's address is of this machine: the loopback, or the path of a Unix socket.
fn is_local(addr: &str) -> bool {
    addr.parse::<std::net::SocketAddr>().map_or(true, |addr| addr.ip().is_loopback())
}

/// A flag as C's `atoi` reads it: anything but a number is off.
fn is_on(argument: &[u8]) -> bool {
    number::parse_i64(argument).is_some_and(|number| number != 0)
}

fn sleep(args: Args<'_>, reply: &mut Reply<'_>) {
    let seconds = number::parse_f64(args.get(2)).unwrap_or(0.0).max(0.0);
    std::thread::sleep(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    reply.ok();
}

/// The entry of argument 2.
fn entry<'v>(view: &'v View<'_>, args: Args<'_>) -> Result<&'v Entry, CommandError> {
    view.peek(args.key(2)).ok_or(CommandError::NoSuchKey)
}

fn object(server: &Server, view: &View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    // Also one that has expired and is still there, which it leaves alone: tests look so for that.
    let entry = view.lookup(args.key(2)).ok_or(CommandError::NoSuchKey)?;
    let mut line = format!(
        "Value at:{:p} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
        entry.address(),
        object::encoding(entry),
        serialized_bytes(server, entry)?,
        entry.clock(),
        if ACCESS_POLICY.is_lfu.load(Relaxed) { 0 } else { idle_seconds(entry.clock(), view.now_ms()) },
    );
    if let Some(list) = entry.collection::<List>().filter(|list| list.encoding() == "quicklist") {
        let bytes: usize = list
            .nodes()
            .map(|node| match node {
                NodeRef::Packed(listpack) => listpack.bytes_len(),
                NodeRef::Plain(value) => value.len(),
            })
            .sum();
        // Writing to a string cannot fail.
        let _ = write!(
            line,
            " ql_nodes:{} ql_avg_node:{:.2} ql_listpack_max:{} ql_compressed:0 ql_uncompressed_size:{bytes}",
            list.nodes().len(),
            list.len() as f64 / list.nodes().len() as f64,
            LIMITS.list_max_listpack_size(),
        );
    }
    reply.simple(&line);
    Ok(())
}

/// The bytes of the value in an RDB file.
fn serialized_bytes(server: &Server, entry: &Entry) -> Result<u64, CommandError> {
    let mut writer = Writer::new(std::io::sink(), server.rdb().compression());
    Encoded::of(entry).write(&mut writer).map_err(|error| CommandError::owned(format!("ERR {error}")))?;
    Ok(writer.offset())
}

fn digest_values(view: &View<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    reply.array(args.len() - 2);
    for key in args.from(2).map(Key::new) {
        let digest = view.peek(key).map(digest::of_value).unwrap_or_default();
        reply.simple(&digest.to_hex());
    }
}

fn set_packed_threshold(args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let threshold = parse_memory(args.get(2)).filter(|bytes| *bytes < 1 << 32).ok_or(CommandError::text(
        "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
    ))?;
    LIMITS.set("quicklist_packed_threshold", threshold as i64);
    reply.ok();
    Ok(())
}

fn populate(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let positive = |index: usize| match args.try_get(index) {
        None => Ok(0),
        Some(_) => match args.int(index)? {
            0.. => Ok(args.int(index)? as u64),
            _ => Err(CommandError::text("ERR value is out of range, must be positive")),
        },
    };
    let (count, size) = (positive(2)?, positive(4)?);
    if size > LIMITS.proto_max_bulk_len() {
        return Err(CommandError::StringTooLong);
    }
    let prefix = args.try_get(3).unwrap_or(b"key");
    for number in 0..count {
        let name = [prefix, b":", number.to_string().as_bytes()].concat();
        let key = Key::new(&name);
        if view.exists(key) {
            continue;
        }
        let mut value = format!("value:{number}").into_bytes();
        if size != 0 {
            value.resize(size as usize, 0);
        }
        view.set_string(key, &value, None);
    }
    reply.ok();
    Ok(())
}

fn reload(server: &Server, view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut how = Reload { saves: true, flushes: true, conflict: Conflict::Refused };
    for index in 2..args.len() {
        match args.get(index).to_ascii_uppercase().as_slice() {
            b"MERGE" => how.conflict = Conflict::Replaced,
            b"NOFLUSH" => how.flushes = false,
            b"NOSAVE" => how.saves = false,
            _ => {
                return Err(CommandError::text(
                    "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
                ));
            }
        }
    }
    server.loading().reload(&replays(server), view, how).map_err(|error| {
        tracing::warn!("DEBUG RELOAD failed: {error}");
        CommandError::text("ERR Error trying to load the RDB dump, check server logs.")
    })?;
    reply.ok();
    Ok(())
}

fn load_aof(server: &Server, view: &mut View<'_>, reply: &mut Reply<'_>) -> Outcome {
    let failed = |error: String| {
        tracing::warn!("DEBUG LOADAOF failed: {error}");
        CommandError::text("ERR Error trying to load the AOF files, check server logs.")
    };
    server.aof().flush().map_err(|error| failed(error.to_string()))?;
    // A rewrite that ends must not remove what is about to be read.
    let _exchange = server.snapshots().exchange.lock();
    // While it is off a rewrite makes files as well.
    let mut files = match server.aof().files() {
        Some(files) => files,
        None => server.aof().open_files().map_err(failed)?,
    };
    let selected = view.db();
    for db in view.store().databases_in_use() {
        view.select(db);
        view.clear();
    }
    view.select(selected);
    server.scripts().libraries.set(Libraries::default());
    server.loading().load_aof(&replays(server), view, &mut files).map_err(failed)?;
    tracing::warn!("Append Only File loaded by DEBUG LOADAOF");
    reply.ok();
    Ok(())
}

/// Error numbers that tests want by name.
const ERRNOS: [(&str, i32); 5] = [
    ("EIO", libc::EIO),
    ("ENOSPC", libc::ENOSPC),
    ("EROFS", libc::EROFS),
    ("EACCES", libc::EACCES),
    ("EDQUOT", libc::EDQUOT),
];

fn storage(server: &Server, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let faults = server.storage().faults();
    let operation = |index| Operation::by_name(&args.lossy(index)).ok_or(CommandError::Syntax);
    match args.len() {
        3 if args.is(2, "RESET") => faults.clear(),
        4 if args.is(2, "COUNT") => {
            reply.count(faults.count(operation(3)?) as usize);
            return Ok(());
        }
        6 => {
            let when = if args.is(3, "EVERY") {
                When::Every
            } else {
                When::Nth(args.int_in(3, 1..=i64::MAX)? as u64)
            };
            let number = || args.int_in(5, 0..=i64::from(i32::MAX));
            let action = if args.is(4, "FAIL") {
                let named = ERRNOS.iter().find(|(name, _)| args.is(5, name)).map(|(_, errno)| *errno);
                Action::Fail(named.map_or_else(|| number().map(|errno| errno as i32), Ok)?)
            } else if args.is(4, "SHORT") {
                Action::Short(number()? as usize)
            } else if args.is(4, "DELAY") {
                Action::Delay(Duration::from_millis(number()? as u64))
            } else {
                return Err(CommandError::Syntax);
            };
            faults.add(Rule { operation: operation(2)?, when, action });
        }
        _ => return Err(CommandError::Syntax),
    }
    reply.ok();
    Ok(())
}

fn protocol(args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    match args.get(2).to_ascii_lowercase().as_slice() {
        b"string" => reply.text("Hello World"),
        b"integer" => reply.int(12345),
        // Written so that it is not taken for a careless pi.
        b"double" => reply.double(3141.0 / 1000.0),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.int(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.int(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.int(number);
                reply.bool(number == 1);
            }
        }
        b"attrib" => {
            if reply.is_resp3() {
                reply.attribute(1);
                reply.text("key-popularity");
                reply.array(2);
                reply.text("key:123");
                reply.int(90);
            }
            reply.text("Some real reply following the attribute");
        }
        b"push" => {
            if !reply.is_resp3() {
                return Err(CommandError::text("ERR RESP2 is not supported by this command"));
            }
            reply.push(2);
            reply.text("server-cpu-usage");
            reply.int(42);
            reply.text("Some real reply following the push reply");
        }
        b"verbatim" => reply.verbatim("txt", "This is a verbatim\nstring"),
        b"true" => reply.bool(true),
        b"false" => reply.bool(false),
        _ => {
            return Err(CommandError::text(
                "ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}

/// Matches patterns with texts of few different bytes, so that stars and classes meet their like.
fn match_at_random(random: &Random, reply: &mut Reply<'_>) {
    const ROUNDS: usize = 100_000;
    const BYTES_MAX: usize = 32;
    const ALPHABET: &[u8] = b"ab*?[]^-\\\0\xff";
    let mut matched = 0;
    for _ in 0..ROUNDS {
        let word = || -> Vec<u8> {
            (0..random.below(BYTES_MAX)).map(|_| ALPHABET[random.below(ALPHABET.len())]).collect()
        };
        let (pattern, text) = (word(), word());
        matched += usize::from(glob::matches(&pattern, &text, Case::Sensitive));
    }
    reply.simple(&format!("{matched} of {ROUNDS} random texts matched their patterns, and nothing broke"));
}

fn structure_sizes() -> String {
    format!(
        "bits:{} entry:{} embedded:{} list:{} set:{} zset:{} hash:{}",
        usize::BITS,
        size_of::<Entry>(),
        rustredis_keyspace::entry::EMBEDDED_BYTES_MAX,
        size_of::<List>(),
        size_of::<Set>(),
        size_of::<ZSet>(),
        size_of::<Hash>(),
    )
}

fn log_listpack(view: &View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let entry = entry(view, args)?;
    let listpack: Option<&Listpack> = None
        .or_else(|| entry.collection::<Hash>().and_then(|hash| hash.as_listpack().or(hash.as_listpack_ex())))
        .or_else(|| entry.collection::<Set>().and_then(Set::as_listpack))
        .or_else(|| entry.collection::<ZSet>().and_then(ZSet::as_listpack));
    let listpack = listpack.ok_or(CommandError::text("ERR Not a listpack encoded object."))?;
    tracing::info!("listpack of {} bytes, {} entries", listpack.bytes_len(), listpack.len());
    for (index, element) in listpack.iter().enumerate() {
        let text = element.to_vec();
        tracing::info!("{index}: {} bytes, {}", element.encoded_bytes(), String::from_utf8_lossy(&text));
    }
    reply.simple("Listpack structure printed to the log");
    Ok(())
}

/// What is true of our tables: a database has one in each shard, and no chains.
fn table_stats(view: &mut View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let db = args.int(2)?;
    let store = view.store();
    let db = usize::try_from(db)
        .ok()
        .filter(|db| *db < store.databases())
        .ok_or(CommandError::text("ERR Out of range database"))?;
    let mut text = String::new();
    let keys = |shard| store.keys_in_shard(db, shard);
    let expiries = |shard| store.expiring_keys_in_shard(db, shard);
    for (title, counts) in
        [("Dictionary", &keys as &dyn Fn(usize) -> usize), ("Expires", &expiries as &dyn Fn(usize) -> usize)]
    {
        let counts = (0..store.shards()).map(counts);
        let (elements, used, most) = counts.fold((0, 0, 0), |(elements, used, most), count| {
            (elements + count, used + usize::from(count > 0), count.max(most))
        });
        // Writing to a string cannot fail.
        let _ = writeln!(text, "[{title} HT]");
        let _ = if elements == 0 {
            writeln!(text, "No stats available for empty dictionaries")
        } else {
            writeln!(
                text,
                " number of elements: {elements}\n tables: {}\n tables in use: {used}\n elements of the largest table: {most}",
                store.shards()
            )
        };
    }
    reply.verbatim("txt", &text);
    Ok(())
}

fn value_table_stats(view: &View<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let entry = entry(view, args)?;
    let elements = match object::encoding(entry) {
        "hashtable" | "skiplist" => None
            .or_else(|| entry.collection::<Set>().map(Set::len))
            .or_else(|| entry.collection::<Hash>().map(Hash::len))
            .or_else(|| entry.collection::<ZSet>().map(ZSet::len)),
        _ => None,
    };
    let elements = elements.ok_or(CommandError::text(
        "ERR The value stored at the specified key is not represented using an hash table",
    ))?;
    reply.verbatim("txt", &format!("number of elements: {elements}\nbytes: {}\n", entry.memory_bytes()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_and_sockets_are_local() {
        for local in ["127.0.0.1:6379", "[::1]:6379", "/tmp/redis.sock:0"] {
            assert!(is_local(local), "{local}");
        }
        for remote in ["10.0.0.1:6379", "[2001:db8::1]:6379"] {
            assert!(!is_local(remote), "{remote}");
        }
    }
}
