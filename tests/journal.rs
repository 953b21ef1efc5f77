//! The journal has many readers: what a recording of it gets beside the append-only file, or alone, is the same in the same order.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rustredis_testkit::{Client, Directory, Server, every_engine, wait_until};

use crate::files::{
    EVERYSEC, aof_directory, check_replay, contents, digest, names, second, sync, wait_for_background,
};

const LIMIT: Duration = Duration::from_secs(60);
const CLIENTS: usize = 20;
/// Steps of all clients together, from one moment of a test to the next.
const STEPS: u64 = 2_000;

/// A command and its database.
type Done = (Vec<u8>, Vec<Vec<u8>>);

/// One number of a head line (`*3`, `$5`), and what comes behind it.
fn head(bytes: &[u8], kind: u8) -> (usize, &[u8]) {
    assert_eq!(bytes[0], kind, "{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(80)]));
    let end = bytes.iter().position(|byte| *byte == b'\r').expect("a line's end");
    (std::str::from_utf8(&bytes[1..end]).unwrap().parse().unwrap(), &bytes[end + 2..])
}

/// The commands of a file, with their databases in the place of SELECT.
fn commands(path: &Path) -> Vec<Done> {
    let content = std::fs::read(path).unwrap();
    let (mut left, mut db, mut done) = (content.as_slice(), Vec::new(), Vec::new());
    while !left.is_empty() {
        let (count, mut rest) = head(left, b'*');
        let mut words = Vec::new();
        for _ in 0..count {
            let (length, word) = head(rest, b'$');
            words.push(word[..length].to_vec());
            rest = &word[length + 2..];
        }
        left = rest;
        if words[0] == b"SELECT" {
            db = words.remove(1);
        } else {
            done.push((db.clone(), words));
        }
    }
    done
}

/// The commands of all increments, also of those that are history.
fn increments(server: &Server) -> Vec<Done> {
    let directory = aof_directory(server);
    let mut files: Vec<(u32, String)> = names(&directory)
        .into_iter()
        .filter(|name| name.ends_with(".incr.aof"))
        .map(|name| (name.split('.').nth(2).unwrap().parse().unwrap(), name))
        .collect();
    files.sort();
    files.iter().flat_map(|(_, name)| commands(&directory.join(name))).collect()
}

/// A client's load, of every form that an entry has, until it is told to stop.
fn write(mut client: Client, number: usize, steps: &AtomicU64, is_over: &AtomicBool) {
    let mut step = number;
    while !is_over.load(Relaxed) {
        step += 7;
        let shared = step % 5;
        let line = match step % 9 {
            0 => format!("SELECT {}", step % 3),
            1 => format!("RPUSH list:{shared} {number} {step}"),
            2 => format!("LPOP list:{shared}"),
            3 => format!("MSET a:{number} {step} b:{shared} {step}"),
            4 => format!("SADD set:{shared} {step} {number}"),
            5 => format!("SPOP set:{shared}"),
            6 => format!("SET short:{number} {step} PX 1"),
            7 => {
                client.line("MULTI");
                client.line(&format!("INCR counter:{shared}"));
                client.line(&format!("APPEND text:{number} x"));
                "EXEC".to_owned()
            }
            _ => format!("INCR counter:{shared}"),
        };
        client.line(&line);
        steps.fetch_add(1, Relaxed);
    }
}

/// Does something while many clients write, and waits with `go_on` until they have written more.
fn under_load(server: &Server, act: impl FnOnce(&dyn Fn())) {
    let (steps, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (client, steps, is_over) = (server.client(), &steps, &is_over);
            scope.spawn(move || write(client, number, steps, is_over));
        }
        let go_on = || {
            let end = steps.load(Relaxed) + STEPS;
            wait_until("clients to write", LIMIT, || steps.load(Relaxed) >= end);
        };
        // Clients that go on when the test has failed would keep it from its end.
        let _stop = Stop(&is_over);
        act(&go_on);
    });
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// State, place and bytes of the recording.
fn status(client: &mut Client) -> (String, i64, i64) {
    let status = client.line("DEBUG JOURNAL-RECORD STATUS").elements();
    (status[0].text(), status[1].integer(), status[2].integer())
}

#[track_caller]
fn wait_for_recording(client: &mut Client) {
    wait_until("the recording to be whole", LIMIT, || status(client).0 == "complete");
}

/// Attached and detached under load, with a rewrite between, a recording has a part of the file, without a gap.
#[track_caller]
fn check_order(server: &Server) {
    let mut client = server.client();
    under_load(server, |go_on| {
        go_on();
        client.check("DEBUG JOURNAL-RECORD START record", "+OK");
        go_on();
        client.line("BGREWRITEAOF");
        wait_for_background(server);
        go_on();
        client.check("DEBUG JOURNAL-RECORD STOP", "+OK");
        go_on();
    });
    wait_for_recording(&mut client);
    let (_, place, bytes) = status(&mut client);
    client.check(&format!("DEBUG JOURNAL-RECORD OFFSET {place}"), &bytes.to_string());
    client.check(&format!("DEBUG JOURNAL-RECORD OFFSET {}", place + 1), "nil");
    sync(server);
    let (recorded, written) = (commands(&server.directory().join("record")), increments(server));
    assert!(recorded.len() as u64 > STEPS && written.len() > recorded.len() + STEPS as usize);
    assert!(
        written.windows(recorded.len()).any(|part| part == recorded),
        "{} recorded commands are no part of {} written ones",
        recorded.len(),
        written.len()
    );
}

every_engine! {
    fn a_recording_has_the_order_of_the_file(server: &Server) with [
        "--appendonly", "yes", "--appendfsync", "everysec", "--enable-debug-command", "yes",
        "--aof-disable-auto-gc", "yes", "--threads", "2",
    ] {
        if !server.is_redis() {
            check_order(server);
        }
    }

    fn a_recording_has_the_order_of_a_file_that_is_waited_for(server: &Server) with [
        "--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes",
        "--aof-disable-auto-gc", "yes",
    ] {
        if !server.is_redis() {
            check_order(server);
        }
    }

    /// Alone, and while the file comes and goes: a recording from the beginning makes the data set.
    fn a_recording_needs_no_file(server: &Server)
        with ["--appendonly", "no", "--appendfsync", "always", "--enable-debug-command", "yes", "--threads", "2"] {
        if server.is_redis() {
            return;
        }
        let mut client = server.client();
        client.check("DEBUG JOURNAL-RECORD START record", "+OK");
        under_load(server, |go_on| {
            go_on();
            for _ in 0..2 {
                client.check("CONFIG SET appendonly yes", "+OK");
                wait_for_background(server);
                go_on();
                client.line("BGREWRITEAOF");
                wait_for_background(server);
                client.check("CONFIG SET appendonly no", "+OK");
                go_on();
            }
        });
        client.check("CONFIG SET appendonly yes", "+OK");
        wait_for_background(server);
        check_replay(server, &EVERYSEC);
        client.check("DEBUG JOURNAL-RECORD STOP", "+OK");
        wait_for_recording(&mut client);
        let directory = Directory::new();
        std::fs::copy(server.directory().join("record"), directory.path().join("appendonly.aof")).unwrap();
        let replayed = second(server, directory.path(), &EVERYSEC);
        contents(&replayed).assert_same(&contents(server), "a replay of the recording and the server");
        assert_eq!(digest(&replayed), digest(server));
    }

    /// Who is too slow is left behind, and says so; the file goes on.
    fn a_slow_recording_is_left_behind(server: &Server)
        with ["--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes"] {
        if server.is_redis() {
            return;
        }
        let mut client = server.client();
        client.check("DEBUG JOURNAL-RECORD START slow LIMIT 100000 DELAY 2000", "+OK");
        client.check("DEBUG JOURNAL-RECORD START other", "-ERR a recording is under way");
        let value = "x".repeat(50_000);
        for number in 0..10 {
            client.check(&format!("SET key:{number} {value}"), "+OK");
        }
        let expected = "failed: it was too slow, and was left behind";
        wait_until("it to be left behind", LIMIT, || status(&mut client).0 == expected);
        server.wait_for_log("The recording of the journal ends");
        client.check("SET key:10 1", "+OK");
        check_replay(server, &EVERYSEC);
        client.check("DEBUG JOURNAL-RECORD START slow", "-ERR File exists (os error 17)");
        client.check("DEBUG JOURNAL-RECORD START ../other", "-ERR syntax error");
        client.check("DEBUG JOURNAL-RECORD START other", "+OK");
        client.check("DEBUG JOURNAL-RECORD STOP", "+OK");
        wait_for_recording(&mut client);
    }

    /// A disk that does not take the file holds nobody else up.
    fn a_recording_goes_on_where_the_file_cannot(server: &Server)
        with ["--appendonly", "yes", "--appendfsync", "everysec", "--enable-debug-command", "yes"] {
        if server.is_redis() {
            return;
        }
        let mut client = server.client();
        client.check("DEBUG JOURNAL-RECORD START record", "+OK");
        client.check("DEBUG STORAGE WRITE every fail ENOSPC", "+OK");
        client.check("SET key 1", "+OK");
        wait_until("the entry to be recorded", LIMIT, || status(&mut client).2 > 0);
        client.check("DEBUG STORAGE RESET", "+OK");
        wait_until("writes to be taken", LIMIT, || client.line("SET key 2").to_string() == "+OK");
        check_replay(server, &EVERYSEC);
    }

    /// Everybody gets what is for him, and nobody waits for what is for others.
    fn what_is_for_replicas_is_not_in_the_file(server: &Server)
        with ["--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes"] {
        if server.is_redis() {
            return;
        }
        let mut client = server.client();
        client.check("DEBUG REPLICATE SET nobody 1", "+OK");
        client.check("DEBUG JOURNAL-RECORD START record", "+OK");
        client.check("SET a 1", "+OK");
        client.check("DEBUG REPLICATE SET b 1", "+OK");
        client.check("SET c 1", "+OK");
        client.check("DEBUG JOURNAL-RECORD STOP", "+OK");
        wait_for_recording(&mut client);
        client.check("DEBUG JOURNAL-RECORD START file AUDIENCE FILE", "+OK");
        client.check("DEBUG REPLICATE SET d 1", "+OK");
        client.check("SET e 1", "+OK");
        client.check("DEBUG JOURNAL-RECORD STOP", "+OK");
        wait_for_recording(&mut client);
        let keys = |done: Vec<Done>| -> Vec<String> {
            done.iter().map(|(_, words)| String::from_utf8_lossy(&words[1]).into_owned()).collect()
        };
        assert_eq!(keys(commands(&server.directory().join("record"))), ["a", "b", "c"]);
        assert_eq!(keys(commands(&server.directory().join("file"))), ["e"]);
        assert_eq!(keys(increments(server)), ["a", "c", "e"]);
    }
}
