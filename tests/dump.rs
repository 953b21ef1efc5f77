//! DUMP and RESTORE, the RDB file, and DEBUG RELOAD.

use rustredis_testkit::{Binary, Client, Launch, Random, Reply, every_engine};

/// A key of each type and encoding.
fn fill(client: &mut Client) {
    for line in [
        "SET s:short text",
        "SET s:int 12",
        "SET s:expiring 1 PX 100000000",
        "APPEND s:raw text",
        "SET s:empty \"\"",
    ] {
        assert!(!client.line(line).is_error(), "{line}");
    }
    client.call(&["SET", "s:long", &"text".repeat(5000)]);
    for count in [3, 200, 3000] {
        let mut commands =
            [vec!["RPUSH".to_owned()], vec!["SADD".into()], vec!["SADD".into()], vec![], vec![]];
        commands[3].push("ZADD".to_owned());
        commands[4].push("HSET".to_owned());
        for (command, name) in commands.iter_mut().zip(["list", "set", "integers", "zset", "hash"]) {
            command.push(format!("{name}:{count}"));
        }
        for number in 0..count {
            commands[0].push(format!("element {number}"));
            commands[1].push(format!("member {number}"));
            commands[2].push((number * 1_000_003).to_string());
            commands[3].extend([format!("{}.{number}", number % 7), format!("member {number}")]);
            commands[4].extend([format!("field {number}"), number.to_string()]);
        }
        commands
            .iter()
            .for_each(|command| assert_eq!(client.call(command).integer(), count, "{}", command[0]));
    }
    client.check("SELECT 7", "+OK");
    client.check("RPUSH elsewhere a b c", "3");
    client.check("EXPIRE elsewhere 100000", "1");
    client.check("SELECT 0", "+OK");
}

fn digest(client: &mut Client) -> String {
    let digest = client.line("DEBUG DIGEST").text();
    assert!(digest.len() == 40 && digest.chars().any(|digit| digit != '0'), "{digest}");
    digest
}

fn bytes(reply: &Reply) -> Vec<u8> {
    match reply {
        Reply::Bulk(bytes) => bytes.clone(),
        other => panic!("no bulk string: {other:?}"),
    }
}

every_engine! {
    fn what_was_dumped_can_be_restored(server: &Server) with ["--enable-debug-command", "yes"] {
        let mut client = server.client();
        fill(&mut client);
        for key in client.line("KEYS *").elements() {
            let key = bytes(&key);
            let payload = bytes(&client.call(&[b"DUMP".as_slice(), &key]));
            let copy = [b"copy of ".as_slice(), &key].concat();
            let restore = [b"RESTORE".as_slice(), &copy, b"0", &payload];
            assert_eq!(client.call(&restore), Reply::ok());
            // The time to live is not part of the value.
            client.call(&[b"PERSIST".as_slice(), &key]);
            let mut digest_of = |key: &[u8]| client.call(&[b"DEBUG".as_slice(), b"DIGEST-VALUE", key]);
            assert_eq!(digest_of(&copy), digest_of(&key), "{}", String::from_utf8_lossy(&key));
        }
        client.check("DUMP missing", "nil");
    }

    fn restore_has_conditions(server: &Server) {
        let mut client = server.client();
        client.check("SET key hello", "+OK");
        let payload = bytes(&client.line("DUMP key"));
        let mut check = |before: &[&str], after: &[&str], expected: &str| {
            let mut command: Vec<&[u8]> = vec![b"RESTORE"];
            command.extend(before.iter().map(|word| word.as_bytes()));
            command.push(&payload);
            command.extend(after.iter().map(|word| word.as_bytes()));
            let reply = client.call(&command);
            assert!(format!("{reply:?}").contains(expected), "{before:?} {after:?}: {reply:?}");
        };
        check(&["key", "0"], &[], "BUSYKEY Target key name already exists.");
        check(&["key", "0"], &["REPLACE"], "OK");
        check(&["new", "-1"], &[], "ERR Invalid TTL value, must be >= 0");
        check(&["new", "soon"], &[], "ERR value is not an integer or out of range");
        check(&["new", "0"], &["IDLETIME", "-1"], "ERR Invalid IDLETIME value, must be >= 0");
        check(&["new", "0"], &["FREQ", "256"], "ERR Invalid FREQ value, must be >= 0 and <= 255");
        check(&["new", "0"], &["IDLETIME", "1", "FREQ", "1"], "ERR syntax error");
        check(&["new", "0"], &["FREQ"], "ERR syntax error");
        check(&["new", "0"], &["SOON"], "ERR syntax error");
        check(&["new", "50000"], &["IDLETIME", "1000"], "OK");
        check(&["past", "1000"], &["ABSTTL"], "OK");
        check(&["key", "1000"], &["ABSTTL", "REPLACE"], "OK");
        client.check("EXISTS key past", "0");
        client.check("GET new", "\"hello\"");
        let ttl_ms = client.line("PTTL new").integer();
        assert!((40_000..=50_000).contains(&ttl_ms), "{ttl_ms}");
        client.check_prefix("RESTORE bad 0 hello", "-ERR DUMP payload version or checksum are wrong");
    }

    /// Thousands of damaged payloads: each is refused, or makes a key that can be used.
    fn damaged_payloads_do_no_harm(server: &Server) with ["--enable-debug-command", "yes"] {
        let mut client = server.client();
        fill(&mut client);
        client.check("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1", "+OK");
        let payloads: Vec<Vec<u8>> = client
            .line("KEYS *")
            .elements()
            .iter()
            .map(|key| bytes(&client.call(&[b"DUMP".to_vec(), bytes(key)])))
            .filter(|payload| payload.len() < 3000)
            .collect();
        assert!(payloads.len() > 8);
        let mut random = Random::new(4711);
        let mut accepted = 0;
        for _ in 0..4000 {
            let mut payload = random.pick(&payloads).clone();
            for _ in 0..=random.below(3) {
                let at = random.below(payload.len() - 10);
                payload[at] = random.next_u64() as u8;
            }
            let reply = client.call(&[b"RESTORE".as_slice(), b"damaged", b"0", &payload, b"REPLACE"]);
            if reply == Reply::ok() {
                accepted += 1;
                let again = bytes(&client.line("DUMP damaged"));
                let reply = client.call(&[b"RESTORE".as_slice(), b"again", b"0", &again, b"REPLACE"]);
                assert_eq!(reply, Reply::ok());
                assert_eq!(client.line("DEBUG DIGEST-VALUE damaged"), client.line("DEBUG DIGEST-VALUE again"));
            } else {
                assert!(reply.is_error(), "{reply:?}");
            }
        }
        assert!(accepted > 100, "{accepted}");
    }

    fn a_reload_changes_nothing(server: &Server) with ["--enable-debug-command", "yes"] {
        let mut client = server.client();
        fill(&mut client);
        let before = digest(&mut client);
        client.check("DEBUG RELOAD", "+OK");
        assert_eq!(digest(&mut client), before);
        client.check("DEL s:short", "1");
        client.check("DEBUG RELOAD NOSAVE NOFLUSH MERGE", "+OK");
        assert_eq!(digest(&mut client), before);
        client.check("FLUSHALL", "+OK");
        client.check("DEBUG RELOAD NOSAVE", "+OK");
        assert_eq!(digest(&mut client), before);
        client.check_prefix("DEBUG RELOAD SOMETIMES", "-ERR DEBUG RELOAD only supports");
    }

    fn a_save_outlives_the_server(server: &Server) with ["--enable-debug-command", "yes"] {
        let mut client = server.client();
        fill(&mut client);
        let before = digest(&mut client);
        client.check("SAVE", "+OK");
        assert!(client.line("LASTSAVE").integer() > 1_600_000_000);
        let directory = server.directory().to_string_lossy().into_owned();
        // The same engine, and the real Redis.
        for binary in [server.binary().clone(), Binary::Redis] {
            let arguments = ["--dir", &directory, "--enable-debug-command", "yes"];
            let other = Launch::new(binary).arguments(&arguments).start();
            assert_eq!(digest(&mut other.client()), before);
            other.client().check("SAVE", "+OK");
        }
        // What Redis has just saved.
        client.check("DEBUG RELOAD NOSAVE", "+OK");
        assert_eq!(digest(&mut client), before);
    }

    fn a_damaged_file_is_no_start(server: &Server) {
        let mut client = server.client();
        client.check("SET key value", "+OK");
        client.check("SAVE", "+OK");
        let path = server.directory().join("dump.rdb");
        let mut file = std::fs::read(&path).expect("the server saved");
        let at = file.len() - 12;
        file[at] ^= 1;
        std::fs::write(&path, file).expect("the directory is ours");
        let directory = server.directory().to_string_lossy().into_owned();
        let exited = Launch::new(server.binary().clone())
            .arguments(&["--dir", &directory])
            .run_to_exit(std::time::Duration::from_secs(20));
        assert_eq!(exited.code, Some(1), "{}", exited.log);
        assert!(exited.log.contains("checksum") || exited.log.contains("RDB"), "{}", exited.log);
    }

    fn debug_must_be_enabled(server: &Server) {
        server.client().check_prefix("DEBUG SLEEP 0", "-ERR DEBUG command not allowed.");
    }
}
