//! Replay equals live: what a server holds is what its append-only file gives back.
//!
//! Two replays are compared with what is live: DEBUG LOADAOF, which keeps the process, and a restart, which does not. A
//! digest says whether anything differs, even in a key that is due and not yet deleted; [`Contents`] says what, and looks
//! at times, which a digest leaves out. Keys and fields that come due between two looks are left out on both sides as of
//! one moment, that of the second look.
//!
//! A server that is launched with [`crate::Launch::replayed`] is looked at when it is dropped, so that whatever a test has
//! done to it is a case for this.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use crate::contents::{Contents, Fields};
use crate::{Client, DecodeError, Server};

/// Options of a server that can be compared with its append-only file. The test waits for no disk: what is compared is the
/// order of effects, not when they are safe.
pub const OPTIONS: [&str; 6] =
    ["--appendonly", "yes", "--appendfsync", "everysec", "--enable-debug-command", "yes"];
/// More keys than these are compared by their digest alone.
const KEYS_READ_MAX: i64 = 20_000;
/// So much of the newest file is shown where something differs, in bytes.
const TAIL_BYTES: usize = 1_500;

/// What is live is compared with what DEBUG LOADAOF makes of the file. The error tells what differs, with the end of the file.
pub fn check_loading(server: &Server) -> Result<(), String> {
    let mut client = connect(server)?;
    // Or what is loaded beside what there was would be evicted.
    expect(client.try_call(&["CONFIG", "SET", "maxmemory", "0"]).map_err(no_answer)?.to_string(), "+OK")?;
    let is_small = keys(&mut client).map_err(no_answer)? <= KEYS_READ_MAX;
    let before = if is_small { Some(read(server, &mut client)?) } else { None };
    let mut ask = |words: &[&str]| client.try_call(words).map_err(no_answer);
    // Between the digests nothing may expire by itself. What came due before is deleted in both, or there in both.
    expect(ask(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"])?.to_string(), "+OK")?;
    expect(ask(&["MULTI"])?.to_string(), "+OK")?;
    for words in [["DEBUG", "DIGEST"], ["DEBUG", "LOADAOF"], ["DEBUG", "DIGEST"]] {
        expect(ask(&words)?.to_string(), "+QUEUED")?;
    }
    let replies = ask(&["EXEC"])?;
    let [live, loaded, replayed] = <[String; 3]>::try_from(texts(&replies))
        .map_err(|_| format!("the reply to EXEC of DEBUG LOADAOF: {replies}"))?;
    if loaded != "+OK" {
        return Err(with_tail(server, format!("DEBUG LOADAOF: {loaded}")));
    }
    let difference = match before {
        Some(before) => differ(before, read(server, &mut client)?),
        None => None,
    };
    // Whoever looks at it next finds it as it was started.
    let _ = client.try_call(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"]);
    match difference {
        Some(difference) => Err(with_tail(server, format!("after DEBUG LOADAOF {difference}"))),
        None if live != replayed => {
            let text = format!("after DEBUG LOADAOF the digest is {replayed}, and it was {live}");
            Err(with_tail(server, text))
        }
        None => Ok(()),
    }
}

/// What is live is compared with what a restart gives back (SIGTERM, and the same start again). The error tells what differs.
pub fn check_restart(server: &mut Server) -> Result<(), String> {
    let before = read(server, &mut connect(server)?)?;
    server.stop();
    server.try_restart().map_err(|error| with_tail(server, format!("no restart: {error}")))?;
    let after = read(server, &mut connect(server)?)?;
    differ(before, after)
        .map_or(Ok(()), |difference| Err(with_tail(server, format!("after a restart {difference}"))))
}

fn connect(server: &Server) -> Result<Client, String> {
    let mut client =
        Client::try_connect(server.address()).map_err(|error| format!("no connection: {error}"))?;
    if let Some(password) = server.launch().value_of("--requirepass") {
        expect(client.try_call(&["AUTH", password]).map_err(no_answer)?.to_string(), "+OK")?;
    }
    Ok(client)
}

fn read(server: &Server, client: &mut Client) -> Result<Contents, String> {
    let fields = if server.is_redis() { Fields::WithoutTimes } else { Fields::WithTimes };
    Contents::try_read(client, fields).map_err(no_answer)
}

/// What differs between two looks, but for what came due in the meantime.
fn differ(before: Contents, after: Contents) -> Option<String> {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    before.without_due(now_ms).difference(&after.without_due(now_ms))
}

/// Keys of all databases, as INFO counts them.
fn keys(client: &mut Client) -> Result<i64, DecodeError> {
    let text = client.try_call(&["INFO", "keyspace"])?.text();
    let counts =
        text.lines().filter_map(|line| line.split_once(":keys=")?.1.split(',').next()?.parse::<i64>().ok());
    Ok(counts.sum())
}

fn texts(reply: &crate::Reply) -> Vec<String> {
    match reply {
        crate::Reply::Array(replies) => replies.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

fn expect(reply: String, expected: &str) -> Result<(), String> {
    if reply == expected { Ok(()) } else { Err(format!("expected {expected}, got {reply}")) }
}

fn no_answer(error: DecodeError) -> String {
    format!("no answer: {error}")
}

/// The text, and the end of the newest append-only file that is not empty.
fn with_tail(server: &Server, text: String) -> String {
    let tail = tail(&server.directory().join("appendonlydir"));
    format!("{text}\nthe end of the append-only file:\n{tail}")
}

fn tail(directory: &Path) -> String {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let increments = entries.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "aof"));
    let filled = increments.filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.len() > 0));
    let newest = filled.max_by_key(|entry| entry.metadata().and_then(|metadata| metadata.modified()).ok());
    let bytes = newest.and_then(|entry| fs::read(entry.path()).ok()).unwrap_or_default();
    let start = bytes.len().saturating_sub(TAIL_BYTES);
    String::from_utf8_lossy(&bytes[start..]).replace("\r\n", " ")
}
