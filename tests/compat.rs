//! `compat`: what is newer than a version of Redis is not there for clients, and is loaded all the same.

use rustredis_testkit::{Launch, every_engine};

use crate::files::{ALWAYS, contents};

every_engine! {
    fn what_is_newer_is_hidden(server: &Server) {
        let mut newest = server.client();
        let server = Launch::new(server.binary().clone()).arguments(&["--compat", "7.2"]).start();
        let mut client = server.client();
        for (line, expected) in [
            ("CONFIG GET compat", "[\"compat\", \"7.2\"]"),
            ("HSET h f v", "1"),
            ("COMMAND INFO hexpire delifeq", "[nil, nil]"),
            ("COMMAND DOCS hexpire", "[]"),
            ("COMMAND GETKEYS hexpire h 1 FIELDS 1 f", "-ERR Invalid command specified"),
            ("WAITAOF 0 0 0", "[0, 0]"),
            ("MULTI", "+OK"),
        ] {
            client.check(line, expected);
        }
        client.check_prefix("HEXPIRE h 100 FIELDS 1 f", "-ERR unknown command 'HEXPIRE'");
        client.check_prefix("EXEC", "-EXECABORT");
        client.check_prefix("EVAL \"return redis.call('delex', 'h')\" 0", "-ERR Unknown Redis command called from script");
        client.check_prefix("COMMANDLOG HELP", "-ERR unknown command");
        let count = client.line("COMMAND COUNT").integer();
        assert!(count > 200 && count + 20 < newest.line("COMMAND COUNT").integer(), "{count}");
        let listed: Vec<String> = client.line("COMMAND LIST").elements().iter().map(|name| name.text()).collect();
        for (name, is_shown) in [("hget", true), ("hexpire", false), ("slowlog|get", true), ("commandlog|get", false)] {
            assert_eq!(listed.iter().any(|found| found == name), is_shown, "{name}");
        }
        assert_eq!(client.line("COMMAND").elements().len() as i64, count);
    }

    fn files_hold_what_is_newer(server: &Server) {
        let binary = server.binary().clone();
        let mut server = Launch::new(binary.clone()).arguments(&ALWAYS).start();
        for line in ["HSET h a 1 b 2", "HEXPIRE h 1000 FIELDS 1 a", "HSETEX h KEEPTTL FIELDS 1 a 3", "DELEX h", "HSET h a 1 b 2", "HEXPIRE h 1000 FIELDS 1 b"] {
            server.client().line(line);
        }
        let before = contents(&server);
        server.kill();
        let directory = server.directory().to_str().unwrap().to_owned();
        let older = Launch::new(binary).arguments(&ALWAYS).arguments(&["--dir", &directory, "--compat", "7.2"]).start();
        let mut client = older.client();
        client.check("HMGET h a b", "[\"1\", \"2\"]");
        client.check_prefix("HTTL h FIELDS 1 b", "-ERR unknown command");
        client.check("SAVE", "+OK");
        drop(older);
        server.restart();
        contents(&server).assert_same(&before, "keys after and before the restart");
    }
}

every_engine! {
    /// A configuration that names newer commands is read, as the files with them are.
    fn a_configuration_may_name_what_is_newer(server: &Server) {
        let text = "compat 7.2\nuser x on nopass ~* -@all +commandlog|get +delex\nrename-command digest \"\"\n";
        let older = Launch::new(server.binary().clone()).config(text).start();
        let mut client = older.client();
        assert!(client.line("ACL LIST").to_string().contains("+commandlog|get +delex"));
        client.check_prefix("DIGEST a", "-ERR unknown command");
    }
}
