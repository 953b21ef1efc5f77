//! That replays are compared at all: which tests are left out, and that a difference is found.
//!
//! What most tests do to a server is compared with its append-only file when the server is dropped
//! ([`rustredis_testkit::replay`]); here stands what is about that itself.

use std::fs;
use std::path::Path;

use rustredis_testkit::{Launch, NOT_REPLAYED, Server, every_engine, replay};

use crate::files::{aof_directory, newest_increment, sync};

/// A server that can be compared and is not when it is dropped.
fn start(server: &Server) -> Server {
    Launch::new(server.binary().clone()).arguments(&replay::OPTIONS).start()
}

#[test]
fn what_is_left_out_exists() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, reason) in NOT_REPLAYED {
        let (file, test) = name.split_once("::").unwrap_or((name, ""));
        let text = fs::read_to_string(tests.join(format!("{file}.rs"))).unwrap_or_default();
        assert!(text.contains(&format!("fn {test}")), "{name} ({reason}) is no test any more");
    }
}

every_engine! {
    /// A command that the file lacks, and one that nobody gave.
    fn a_difference_is_found(server: &Server) {
        let mut server = start(server);
        let mut client = server.client();
        client.check("SET a 1", "+OK");
        client.check("SET b 2 PX 100000000", "+OK");
        assert_eq!(replay::check_loading(&server), Ok(()));
        sync(&server);
        let path = newest_increment(&aof_directory(&server));
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"*3\r\n$9\r\nPEXPIREAT\r\n$1\r\nb\r\n$13\r\n9999999999999\r\n");
        fs::write(&path, &bytes).unwrap();
        // A digest does not look at times.
        let difference = replay::check_loading(&server).unwrap_err();
        assert!(difference.contains("database 0, \"b\": \"2\" until "), "{difference}");
        assert!(difference.contains("until 9999999999999"), "{difference}");
        bytes.extend_from_slice(b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n");
        fs::write(&path, &bytes).unwrap();
        let difference = replay::check_restart(&mut server).unwrap_err();
        assert!(difference.contains("after a restart 1 keys differ"), "{difference}");
        assert!(difference.contains("database 0, \"a\": \"1\" and nothing"), "{difference}");
    }

    /// Keys and fields that are due are left out on both sides, wherever they are still held.
    fn what_is_due_is_no_difference(server: &Server) {
        let mut server = start(server);
        let mut client = server.client();
        client.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
        client.check("SET short 1 PX 1", "+OK");
        client.check("SET long 1 PX 100000000", "+OK");
        if !server.is_redis() {
            client.check("HSET hash f 1 g 2", "2");
            client.check("HPEXPIRE hash 1 FIELDS 1 f", "[1]");
        }
        client.check("BLPOP nothing 0.005", "nil-array");
        assert_eq!(replay::check_loading(&server), Ok(()));
        assert_eq!(replay::check_restart(&mut server), Ok(()));
        server.client().check("EXISTS short long", "1");
    }
}
