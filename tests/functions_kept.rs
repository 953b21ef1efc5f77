//! That libraries of functions are kept: in FUNCTION DUMP's payloads, in RDB files and append-only files, of ours and of real
//! Redis's, through restarts. The expectations are what redis-server 7.0.15 answered.

use rustredis_testkit::{Binary, Client, Launch, every_engine};

use crate::files::{bytes, wait_for_background};
use crate::functions::{load, load_version, names};

#[track_caller]
fn dump(client: &mut Client) -> Vec<u8> {
    bytes(&client.line("FUNCTION DUMP"))
}

#[track_caller]
fn restore(client: &mut Client, payload: &[u8], policy: &str) -> String {
    let arguments = [b"FUNCTION".as_slice(), b"RESTORE", payload, policy.as_bytes()];
    client.call(&arguments[..if policy.is_empty() { 3 } else { 4 }]).to_string()
}

every_engine! {
    fn what_is_dumped_is_restored(server: &Server) {
        let mut client = server.client();
        let empty = dump(&mut client);
        assert_eq!(empty.len(), 10);
        load_version(&mut client, "one", "f1", 1);
        load_version(&mut client, "two", "f2", 2);
        let both = dump(&mut client);
        // APPEND, which is the default, takes none where one is there.
        for policy in ["", "APPEND", "append"] {
            let reply = restore(&mut client, &both, policy);
            assert!(reply.starts_with("-ERR Library ") && reply.ends_with(" already exists"), "{reply}");
        }
        load_version(&mut client, "two", "f2", 22);
        client.check("FUNCTION DELETE one", "+OK");
        let reply = restore(&mut client, &both, "APPEND");
        assert_eq!(reply, "-ERR Library two already exists");
        assert_eq!(names(&mut client), ["two"]);
        client.check("FCALL f2 0", "22");
        assert_eq!(restore(&mut client, &both, "REPLACE"), "+OK");
        client.check("FCALL f2 0", "2");
        client.check("FCALL f1 0", "1");
        load_version(&mut client, "three", "f3", 3);
        assert_eq!(restore(&mut client, &both, "FLUSH"), "+OK");
        assert_eq!(names(&mut client), ["one", "two"]);
        client.check("FUNCTION FLUSH", "+OK");
        assert_eq!(restore(&mut client, &both, ""), "+OK");
        assert_eq!(names(&mut client), ["one", "two"]);
        // A function's name that another library has.
        client.check("FUNCTION FLUSH", "+OK");
        load_version(&mut client, "four", "f1", 4);
        for policy in ["APPEND", "REPLACE"] {
            assert_eq!(restore(&mut client, &both, policy), "-ERR Function f1 already exists");
            assert_eq!(names(&mut client), ["four"]);
        }
        client.check("FCALL f1 0", "4");
        assert_eq!(restore(&mut client, &both, "FLUSH"), "+OK");
        assert_eq!(restore(&mut client, &empty, "APPEND"), "+OK");
        assert_eq!(names(&mut client), ["one", "two"]);
        assert_eq!(restore(&mut client, &empty, "FLUSH"), "+OK");
        assert_eq!(names(&mut client), [""; 0]);
    }

    /// Payloads that are broken are refused, and leave everything as it was.
    fn broken_payloads(server: &Server) {
        let mut client = server.client();
        load_version(&mut client, "one", "f1", 1);
        let payload = dump(&mut client);
        let wrong = "-ERR DUMP payload version or checksum are wrong";
        for policy in ["APPEND", "REPLACE", "FLUSH"] {
            for broken in [&b""[..], b"x", &payload[1..], &payload[..payload.len() - 1], &[1; 10], &[0xff; 100]] {
                assert_eq!(restore(&mut client, broken, policy), wrong);
            }
            for index in (0..payload.len()).step_by(7) {
                let mut broken = payload.clone();
                broken[index] ^= 0x10;
                assert_eq!(restore(&mut client, &broken, policy), wrong, "byte {index}");
            }
        }
        client.check("SET k v", "+OK");
        let value = bytes(&client.line("DUMP k"));
        assert_eq!(restore(&mut client, &value, "FLUSH"), "-ERR given type is not a function");
        assert_eq!(
            restore(&mut client, &payload, "NOSUCH"),
            "-ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE."
        );
        client.check("FUNCTION RESTORE", "-ERR wrong number of arguments for 'function|restore' command");
        client.check("FUNCTION RESTORE x FLUSH APPEND", "-ERR unknown subcommand or wrong number of arguments \
            for 'RESTORE'. Try FUNCTION HELP.");
        let reply = client.call(&[b"RESTORE".as_slice(), b"key", b"0", &payload]).to_string();
        assert!(reply.starts_with("-ERR "), "{reply}");
        client.check("FCALL f1 0", "1");
        assert_eq!(names(&mut client), ["one"]);
    }

    /// Payloads and files of ours are real Redis's, and the other way round.
    fn libraries_travel_to_redis_and_back(server: &Server) {
        let mut client = server.client();
        let long = format!("-- {}\nredis.register_function('long', function(keys, args) \
            return #args[1] end)", "a comment ".repeat(200));
        load(&mut client, &[], "short", "redis.register_function('short', function() return 1 end)");
        load(&mut client, &[], "long", &long);
        let redis = Launch::new(Binary::Redis).start();
        let mut other = redis.client();
        let payload = dump(&mut client);
        assert_eq!(restore(&mut other, &payload, ""), "+OK");
        other.check("FCALL short 0", "1");
        other.check("FCALL long 0 abc", "3");
        let back = dump(&mut other);
        client.check("FUNCTION FLUSH", "+OK");
        assert_eq!(restore(&mut client, &back, ""), "+OK");
        client.check("FCALL long 0 abc", "3");
        // By files: each starts from what the other saved.
        client.check("SAVE", "+OK");
        let by_redis = Launch::new(Binary::Redis).data(server.directory()).arguments(&["--appendonly", "no"]).start();
        by_redis.client().check("FCALL long 0 abcd", "4");
        other.check("SAVE", "+OK");
        let by_us = Launch::new(server.binary().clone())
            .data(redis.directory())
            .arguments(&["--appendonly", "no"])
            .start();
        by_us.client().check("FCALL long 0 abcd", "4");
        assert_eq!(names(&mut by_us.client()), ["long", "short"]);
    }

    fn libraries_survive_restarts(server: &Server) {
        for options in [&["--appendonly", "no"][..], &["--appendonly", "yes"]] {
            let launch = Launch::new(server.binary().clone()).arguments(&["--enable-debug-command", "yes"]);
            let mut server = launch.arguments(options).start();
            let mut client = server.client();
            load(
                &mut client,
                &[],
                "lib",
                "redis.register_function('f', function() return redis.call('incr', 'n') end)",
            );
            client.check("FCALL f 0", "1");
            client.check("DEBUG RELOAD", "+OK");
            client.check("FCALL f 0", "2");
            client.check("SAVE", "+OK");
            if options[1] == "yes" {
                client.line("BGREWRITEAOF");
                wait_for_background(&server);
                load_version(&mut client, "late", "late", 7);
                client.check("DEBUG LOADAOF", "+OK");
                client.check("FCALL late 0", "7");
            }
            server.stop();
            server.restart();
            let mut client = server.client();
            client.check("FCALL f 0", "3");
            assert_eq!(names(&mut client).len(), if options[1] == "yes" { 2 } else { 1 });
            client.check("FUNCTION FLUSH", "+OK");
            client.check("SAVE", "+OK");
            server.stop();
            server.restart();
            server.client().check("FUNCTION LIST", "[]");
        }
    }

    /// DEBUG RELOAD with each of its options: what a file holds meets what is there.
    fn libraries_are_reloaded(server: &Server) with ["--enable-debug-command", "yes"] {
        let mut client = server.client();
        load_version(&mut client, "one", "f1", 1);
        client.check_prefix("DEBUG RELOAD NOFLUSH", "-ERR Error trying to load the RDB dump");
        client.check("FCALL f1 0", "1");
        client.check("DEBUG RELOAD NOFLUSH MERGE", "+OK");
        client.check("FCALL f1 0", "1");
        load_version(&mut client, "two", "f2", 2);
        client.check("DEBUG RELOAD NOSAVE NOFLUSH MERGE", "+OK");
        assert_eq!(names(&mut client), ["one", "two"]);
        client.check("FCALL f2 0", "2");
        // The file that is there has but the first.
        client.check("DEBUG RELOAD NOSAVE", "+OK");
        assert_eq!(names(&mut client), ["one"]);
        client.check("FCALL f2 0", "-ERR Function not found");
        client.check("FCALL f1 0", "1");
    }
}
