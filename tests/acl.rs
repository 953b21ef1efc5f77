//! Users: what they may do, wherever a command comes from; how they change, and what becomes of their connections.

use std::time::Duration;

use rustredis_testkit::{
    Binary, Client, Command, DEADLINE_DEFAULT, Directory, Launch, Server, assert_reply, every_engine,
    wait_until,
};

const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.";

/// A client that has authenticated as `bob`, who is made with these rules.
#[track_caller]
fn bob(server: &Server, rules: &str) -> Client {
    server.client().check(&format!("ACL SETUSER bob on >pw {rules}"), "+OK");
    user(server, "bob")
}

#[track_caller]
fn user(server: &Server, name: &str) -> Client {
    let mut client = server.client();
    client.check(&format!("AUTH {name} pw"), "+OK");
    client
}

/// The error of a command that bob may not run.
fn no_command(server: &Server, command: &str) -> String {
    let who = if server.is_redis() { "this user" } else { "User bob" };
    format!("-NOPERM {who} has no permissions to run the '{command}' command")
}

fn no_key(server: &Server) -> &'static str {
    if server.is_redis() {
        "-NOPERM this user has no permissions to access one of the keys used as arguments"
    } else {
        "-NOPERM No permissions to access a key"
    }
}

fn no_channel(server: &Server) -> &'static str {
    if server.is_redis() {
        "-NOPERM this user has no permissions to access one of the channels used as arguments"
    } else {
        "-NOPERM No permissions to access a channel"
    }
}

/// Waits until the server has closed this connection.
#[track_caller]
fn check_closed(mut client: Client) {
    client.set_deadline(DEADLINE_DEFAULT);
    client.read_to_close();
}

/// Begins to wait in this command.
#[track_caller]
fn block(server: &Server, client: &mut Client, line: &str) {
    let id = client.line("CLIENT ID").integer();
    client.send(&Command::line(line).arguments);
    let mut asker = server.client();
    wait_until(&format!("{line} to block"), DEADLINE_DEFAULT, || {
        asker.line(&format!("CLIENT LIST ID {id}")).text().contains("flags=b")
    });
}

fn lines(lines: &[&str]) -> Vec<Command> {
    lines.iter().map(|line| Command::line(line)).collect()
}

/// The value of a field of an entry of ACL LOG.
fn field(entry: &rustredis_testkit::Reply, name: &str) -> String {
    let elements = entry.elements();
    let at = elements.iter().position(|element| element.to_string() == format!("\"{name}\"")).unwrap();
    elements[at + 1].to_string()
}

every_engine! {
    fn rules_say_what_may_be_done(server: &Server) {
        let mut bob = bob(server, "+get +set +mget +mset +config|get +object ~a* %R~r* %W~w* +@connection");
        server.client().check("SET r1 x", "+OK");
        let (get, key) = (no_command(server, "del"), no_key(server));
        for (line, expected) in [
            ("GET a1", "nil"),
            ("SET a1 x", "+OK"),
            ("GET b1", key),
            ("GET r1", "\"x\""),
            ("SET r1 x", key),
            ("SET w1 x", "+OK"),
            ("SET w1 x GET", key),
            ("GET w1", key),
            ("MGET a1 r1", "[\"x\", \"x\"]"),
            ("MGET a1 b1", key),
            ("MSET a1 1 a2 2 b 3", key),
            ("MGET a1 a2", "[\"x\", nil]"),
            ("DEL a1", &get),
            ("CONFIG GET hz", "[\"hz\", \"10\"]"),
            ("CONFIG SET hz 10", &no_command(server, "config|set")),
            ("OBJECT ENCODING a1", "\"embstr\""),
            ("NOPE", "-ERR unknown command 'NOPE', with args beginning with: "),
            ("GET", "-ERR wrong number of arguments for 'get' command"),
            ("PING", "+PONG"),
        ] {
            bob.check(line, expected);
        }
    }

    fn a_selector_must_allow_all_of_a_command(server: &Server) {
        let mut bob = bob(server, "+get ~a (+set ~b) (+lpush|b ~b) (+@hash -hset ~*)");
        for (line, expected) in [
            ("GET a", "nil"),
            ("SET b x", "+OK"),
            ("GET b", no_key(server)),
            ("SET a x", no_key(server)),
            ("LPUSH a x", &no_command(server, "lpush")),
            ("LPUSH b x", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("HGET z f", "nil"),
            ("HSET z f v", &no_command(server, "hset")),
        ] {
            bob.check(line, expected);
        }
        let mut client = server.client();
        let user = client.line("ACL GETUSER bob").to_string();
        let selectors = "\"selectors\", [[\"commands\", \"-@all +set\", \"keys\", \"~b\", \"channels\", \"\"], \
            [\"commands\", \"-@all +lpush|b\", \"keys\", \"~b\", \"channels\", \"\"], \
            [\"commands\", \"-@all +@hash -hset\", \"keys\", \"~*\", \"channels\", \"\"]]]";
        assert!(user.ends_with(selectors), "{user}");
    }

    fn a_pipeline_stops_at_what_is_refused_and_goes_on(server: &Server) {
        let mut bob = bob(server, "+@all ~a*");
        let words: Vec<String> = (0..200)
            .map(|number| match number % 10 {
                3 => format!("SET b{number} {number}"),
                7 => format!("GET b{number}"),
                _ => format!("INCR a{}", number % 7),
            })
            .collect();
        let commands: Vec<Command> = words.iter().map(|line| Command::line(line)).collect();
        for (line, reply) in words.iter().zip(bob.pipeline(&commands)) {
            let is_refused = !line.starts_with("INCR");
            assert_eq!(reply.to_string() == no_key(server), is_refused, "{line}: {reply}");
            assert!(is_refused || reply.integer() > 0);
        }
        server.client().check("DBSIZE", "7");
    }

    fn a_pipeline_changes_its_user(server: &Server) {
        let mut bob = bob(server, "+get ~*");
        let mut replies = bob.pipeline(&lines(&[
            "GET a", "SET a 1", "AUTH default x", "SET a 1", "GET a",
            "ACL SETUSER default -set", "SET a 2", "ACL SETUSER default +set", "SET a 3", "AUTH bob pw", "SET a 4", "GET a",
            "RESET", "SET a 5",
        ]));
        let expected = [
            "nil", "refused", "+OK", "+OK", "\"1\"", "+OK", "refused", "+OK", "+OK", "+OK", "refused", "\"3\"",
            "+RESET", "+OK",
        ];
        for (reply, expected) in replies.drain(..).zip(expected) {
            let text = reply.to_string();
            let shown = if text.starts_with("-NOPERM") { "refused" } else { &text };
            assert_eq!(shown, expected);
        }
    }

    /// What another connection has changed holds from the answer on, on whichever thread its user's connections are.
    fn a_change_is_seen_by_the_next_command(server: &Server) {
        let mut admin = server.client();
        bob(server, "+@all ~*");
        let mut clients: Vec<Client> = (0..4).map(|_| user(server, "bob")).collect();
        for round in 0..30 {
            let (rule, is_allowed) = if round % 2 == 0 { ("-set", false) } else { ("+set", true) };
            admin.check(&format!("ACL SETUSER bob {rule}"), "+OK");
            for client in &mut clients {
                let commands: Vec<Command> =
                    (0..16).map(|key| Command::line(&format!("SET k{key} {round}"))).collect();
                for reply in client.pipeline(&commands) {
                    assert_eq!(reply.to_string() == "+OK", is_allowed, "{reply}");
                }
            }
        }
    }

    fn transactions_are_asked_twice(server: &Server) {
        let mut bob = bob(server, "+@all -flushall ~a*");
        for (line, expected) in [
            ("MULTI", "+OK"),
            ("SET b 1", no_key(server)),
            ("SET a 1", "+QUEUED"),
            ("EXEC", "-EXECABORT Transaction discarded because of previous errors."),
            ("MULTI", "+OK"),
            ("FLUSHALL", &no_command(server, "flushall")),
            ("DISCARD", "+OK"),
            ("MULTI", "+OK"),
            ("SET a 1", "+QUEUED"),
            ("GET a", "+QUEUED"),
            ("GET ab", "+QUEUED"),
            ("EVAL \"return 1\" 0", "+QUEUED"),
            ("PUBLISH c m", no_channel(server)),
            ("DISCARD", "+OK"),
            ("MULTI", "+OK"),
            ("SET a 1", "+QUEUED"),
            ("GET a", "+QUEUED"),
            ("GET ab", "+QUEUED"),
            ("EVAL \"return 1\" 0", "+QUEUED"),
        ] {
            bob.check(line, expected);
        }
        server.client().check("ACL SETUSER bob resetkeys ~a -get -eval", "+OK");
        let replies = bob.line("EXEC").elements();
        let reason = |reason: &str| {
            format!(
                "-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. \
                 This command is no longer allowed for the following reason: {reason}"
            )
        };
        assert_reply!(replies[0], "+OK");
        for reply in &replies[1..] {
            assert_reply!(reply, reason("no permission to execute the command or subcommand"));
        }
        server.client().check("ACL SETUSER bob resetkeys +get ~b", "+OK");
        bob.check("MULTI", "+OK");
        bob.check("GET b", "+QUEUED");
        server.client().check("ACL SETUSER bob resetkeys", "+OK");
        assert_reply!(bob.line("EXEC").elements()[0], reason("no permission to touch the specified keys"));
        server.client().check("ACL SETUSER bob -exec", "+OK");
        bob.check("MULTI", "+OK");
        bob.check_prefix("EXEC", "-EXECABORT Transaction discarded because of: NOPERM");
        server.client().check("GET a", "\"1\"");
    }

    fn scripts_are_their_callers(server: &Server) {
        let mut bob = bob(server, "+@all -set ~a*");
        bob.check("EVAL \"return redis.call('incr', KEYS[1])\" 1 a", "1");
        bob.check("EVAL \"return redis.call('incr', 'a')\" 0", "2");
        bob.check("EVAL \"return 1\" 1 b", no_key(server));
        let (command, key) = if server.is_redis() {
            (
                "-ERR The user executing the script can't run this command or subcommand",
                "-ERR The user executing the script can't access at least one of the keys mentioned in the command arguments",
            )
        } else {
            (
                "-ERR ACL failure in script: User bob has no permissions to run the 'set' command",
                "-ERR ACL failure in script: No permissions to access a key",
            )
        };
        bob.check_prefix("EVAL \"return redis.call('set', KEYS[1], 'x')\" 1 a", command);
        bob.check_prefix("EVAL \"return redis.call('incr', 'b')\" 0", key);
        bob.check_prefix("EVAL_RO \"return redis.call('get', 'b')\" 0", key);
        for (call, expected) in [
            ("'get', 'a'", "1"),
            ("'get', 'b'", "nil"),
            ("'set', 'a', '1'", "nil"),
            ("'get'", "1"),
            ("'publish', 'c', 'm'", "nil"),
        ] {
            bob.check(&format!("EVAL \"return redis.acl_check_cmd({call})\" 0"), expected);
        }
        bob.check_prefix(
            "EVAL \"return redis.acl_check_cmd('nope', 'a')\" 0",
            "-ERR Invalid command passed to redis.acl_check_cmd()",
        );
        let mut client = server.client();
        let log = client.line("ACL LOG 2").elements();
        assert_eq!((field(&log[0], "context"), field(&log[0], "object")), ("\"lua\"".into(), "\"b\"".into()));
        client.check("EXISTS b", "0");
        client.check("FUNCTION LOAD \"#!lua name=l\\nredis.register_function('f', function(keys) return redis.call('incr', keys[1]) end)\"", "\"l\"");
        bob.check("FCALL f 1 a", "3");
        bob.check("FCALL f 1 b", no_key(server));
    }

    fn channels_are_asked_for(server: &Server) {
        let mut bob = bob(server, "+@all ~* &news.* &exact*");
        for (line, expected) in [
            ("PUBLISH news.a m", "0"),
            ("PUBLISH other m", no_channel(server)),
            ("SPUBLISH exact m", "0"),
            ("SPUBLISH other m", no_channel(server)),
            ("SUBSCRIBE news.a other", no_channel(server)),
            ("PSUBSCRIBE news.a*", no_channel(server)),
            ("PSUBSCRIBE other", no_channel(server)),
            ("PING", "+PONG"),
            ("SSUBSCRIBE other", no_channel(server)),
            ("UNSUBSCRIBE other", "[\"unsubscribe\", \"other\", 0]"),
            ("PSUBSCRIBE news.*", "[\"psubscribe\", \"news.*\", 1]"),
            ("SUBSCRIBE news.b", "[\"subscribe\", \"news.b\", 2]"),
        ] {
            bob.check(line, expected);
        }
    }

    fn who_may_not_hear_any_more_is_closed(server: &Server) {
        let mut admin = server.client();
        bob(server, "+@all &a* &b");
        let subscribed = |line: &str| {
            let mut client = user(server, "bob");
            client.line(line);
            client
        };
        let mut stays = subscribed("SUBSCRIBE a1");
        let (goes, pattern, shard) =
            (subscribed("SUBSCRIBE b"), subscribed("PSUBSCRIBE b"), subscribed("SSUBSCRIBE b"));
        let mut other = server.client();
        other.line("SUBSCRIBE b");
        admin.check("ACL SETUSER bob &c", "+OK");
        admin.check("ACL SETUSER bob resetchannels &a*", "+OK");
        [goes, pattern, shard].into_iter().for_each(check_closed);
        admin.check("PUBLISH a1 m", "1");
        assert_reply!(stays.read(), "[\"message\", \"a1\", \"m\"]");
        admin.check("PUBLISH b m", "1");
        assert_reply!(other.read(), "[\"message\", \"b\", \"m\"]");
    }

    fn connections_of_who_is_deleted_are_closed(server: &Server) {
        let mut admin = server.client();
        let idle = bob(server, "+@all ~*");
        let mut waits = user(server, "bob");
        block(server, &mut waits, "BLPOP a 0");
        let mut own = user(server, "bob");
        own.check("ACL DELUSER bob nobody", "1");
        [idle, waits, own].into_iter().for_each(check_closed);
        admin.check("RPUSH a 1", "1");
        admin.check("LLEN a", "1");
        admin.check("ACL DELUSER bob", "0");
        admin.check("ACL DELUSER a default", "-ERR The 'default' user cannot be removed");
        admin.check("AUTH bob pw", WRONG);
        admin.check("ACL USERS", "[\"default\"]");
    }

    fn who_waits_keeps_no_rights(server: &Server) {
        let mut admin = server.client();
        let mut waits = bob(server, "+@all ~*");
        block(server, &mut waits, "BLPOP a 0");
        admin.check("ACL SETUSER bob -blpop", "+OK");
        admin.check("RPUSH a 1", "1");
        if server.is_redis() {
            // 7.0 does not ask again; 7.2 does.
            return assert_reply!(waits.read(), "[\"a\", \"1\"]");
        }
        assert_reply!(waits.read(), no_command(server, "blpop"));
        admin.check("LRANGE a 0 -1", "[\"1\"]");
        waits.check("PING", "+PONG");
    }

    fn a_connection_is_one_user_at_a_time(server: &Server) {
        let mut client = server.client();
        client.check("ACL WHOAMI", "\"default\"");
        client.check("ACL SETUSER bob >pw +@all ~*", "+OK");
        client.check("AUTH bob pw", WRONG);
        client.check("ACL SETUSER bob on", "+OK");
        client.check("AUTH bob wrong", WRONG);
        client.check("AUTH nobody pw", WRONG);
        client.check("ACL WHOAMI", "\"default\"");
        client.check("AUTH bob pw", "+OK");
        client.check("ACL WHOAMI", "\"bob\"");
        assert!(client.line("CLIENT INFO").text().contains(" user=bob "));
        client.check_prefix("HELLO 3 AUTH bob wrong", WRONG);
        client.check("ACL WHOAMI", "\"bob\"");
        client.check("RESET", "+RESET");
        client.check("ACL WHOAMI", "\"default\"");
        client.line("HELLO 3 AUTH bob pw SETNAME n");
        client.check("ACL WHOAMI", "\"bob\"");
        // Who is in already stays when he is switched off, or has another password.
        let mut admin = server.client();
        admin.check("ACL SETUSER bob off resetpass >other", "+OK");
        client.check("ACL WHOAMI", "\"bob\"");
        admin.check("AUTH bob other", WRONG);
        admin.check("ACL SETUSER bob on nopass", "+OK");
        admin.check("AUTH bob anything", "+OK");
        admin.check("CLIENT KILL USER nobody", "-ERR No such user 'nobody'");
        admin.check("CLIENT KILL USER bob", "1");
        check_closed(client);
    }

    fn refusals_are_logged(server: &Server) {
        let mut admin = server.client();
        admin.check("CONFIG RESETSTAT", "+OK");
        let mut bob = bob(server, "+get +multi +publish ~a");
        for line in ["SET a 1", "GET b", "GET b", "PUBLISH c m", "AUTH bob no", "MULTI", "GET b"] {
            bob.line(line);
        }
        let log: Vec<String> = admin.line("ACL LOG").elements().iter().map(|entry| {
            ["count", "reason", "context", "object", "username"].map(|name| field(entry, name)).join(" ")
        }).collect();
        assert_eq!(log, [
            "1 \"key\" \"multi\" \"b\" \"bob\"",
            "1 \"auth\" \"toplevel\" \"AUTH\" \"bob\"",
            "1 \"channel\" \"toplevel\" \"c\" \"bob\"",
            "2 \"key\" \"toplevel\" \"b\" \"bob\"",
            "1 \"command\" \"toplevel\" \"set\" \"bob\"",
        ]);
        if !server.is_redis() {
            let count = |name: &str| server.info(name).unwrap_or_default();
            let counts = ["cmd", "key", "channel", "auth"].map(|kind| count(&format!("acl_access_denied_{kind}")));
            assert_eq!(counts, ["1", "3", "1", "1"]);
        }
        admin.check("CONFIG SET acllog-max-len 2", "+OK");
        admin.line("AUTH x y");
        assert_eq!(admin.line("ACL LOG 10").elements().len(), 2);
        admin.check("ACL LOG RESET", "+OK");
        admin.check("ACL LOG", "[]");
    }

    fn users_are_told(server: &Server) {
        let mut client = server.client();
        client.check("ACL SETUSER bob reset on >pw %R~r ~a &c +@read +select|0 -get", "+OK");
        let hash = "30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4";
        client.check(
            "ACL GETUSER bob",
            &format!(
                "[\"flags\", [\"on\", \"sanitize-payload\"], \"passwords\", [\"{hash}\"], \
                 \"commands\", \"-@all +@read +select|0 -get\", \"keys\", \"%R~r ~a\", \"channels\", \"&c\", \"selectors\", []]"
            ),
        );
        client.check("ACL GETUSER nobody", "nil");
        let line = client.line("ACL LIST").elements()[0].text();
        assert_eq!(line, format!("user bob on sanitize-payload #{hash} %R~r ~a resetchannels &c -@all +@read +select|0 -get"));
        client.check("ACL USERS", "[\"bob\", \"default\"]");
        for (rules, error) in [
            ("foo", "Error in ACL SETUSER modifier 'foo': Syntax error"),
            ("+nope", "Error in ACL SETUSER modifier '+nope': Unknown command or category name in ACL"),
            ("+config|get|x", "Error in ACL SETUSER modifier '+config|get|x': Allowing first-arg of a subcommand is not supported"),
            ("<nope", "Error in ACL SETUSER modifier '<nope': The password you are trying to remove from the user does not exist"),
            ("+get (+set ~x", "Unmatched parenthesis in acl selector starting at '(+set'."),
        ] {
            client.check(&format!("ACL SETUSER carl on {rules}"), &format!("-ERR {error}"));
        }
        client.check("ACL SETUSER \"a b\"", "-ERR Usernames can't contain spaces or null characters");
        client.check("ACL USERS", "[\"bob\", \"default\"]");
        let who = if server.is_redis() { "This user" } else { "User bob" };
        for (line, expected) in [
            ("nobody GET a", "-ERR User 'nobody' not found".to_owned()),
            ("bob NOPE a", "-ERR Command 'NOPE' not found".to_owned()),
            ("bob GET", "-ERR wrong number of arguments for 'get' command".to_owned()),
            ("bob MGET a r", "+OK".to_owned()),
            ("bob MGET a b", format!("\"{who} has no permissions to access the 'b' key\"")),
            ("bob GET a", format!("\"{who} has no permissions to run the 'get' command\"")),
            ("bob SELECT 0", "+OK".to_owned()),
            ("bob AUTH x", "+OK".to_owned()),
        ] {
            client.check(&format!("ACL DRYRUN {line}"), &expected);
        }
    }

    fn sort_by_patterns_takes_the_right_to_all_keys(server: &Server) {
        let mut bob = bob(server, "+@all ~a*");
        server.client().check("RPUSH a1 2 1", "2");
        let by = "-ERR BY option of SORT denied due to insufficient ACL permissions.";
        let get = "-ERR GET option of SORT denied due to insufficient ACL permissions.";
        for (line, expected) in [
            ("SORT a1", "[\"1\", \"2\"]"),
            ("SORT a1 BY nosort", "[\"2\", \"1\"]"),
            ("SORT a1 BY w_*", by),
            ("SORT a1 GET x_*", get),
            ("SORT_RO a1 BY w_*", by),
            ("SORT a1 STORE b", no_key(server)),
            ("MULTI", "+OK"),
            ("SORT a1 BY w_*", "+QUEUED"),
            ("EXEC", &format!("[{by}]")),
        ] {
            bob.check(line, expected);
        }
        bob.check_prefix("EVAL \"return redis.call('sort', KEYS[1], 'by', 'w_*')\" 1 a1", by);
        server.client().check("ACL SETUSER bob %R~*", "+OK");
        bob.check("SORT a1 BY w_*", "[\"1\", \"2\"]");
    }

    fn databases_are_asked_for(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut bob = bob(server, "+@all ~* db=0,2");
        let refused = "-NOPERM No permissions to access database";
        for (line, expected) in [
            ("SET a 1", "+OK"),
            ("SELECT 1", refused),
            ("SELECT 2", "+OK"),
            ("SET a 2", "+OK"),
            ("MOVE a 1", refused),
            ("COPY a b DB 1", refused),
            ("COPY a b DB 0", "1"),
            ("SWAPDB 0 1", refused),
            ("FLUSHALL", refused),
            ("EVAL \"return redis.call('select', 1)\" 0", "-ERR ACL failure in script: No permissions to access database"),
        ] {
            bob.check_prefix(line, expected);
        }
        server.client().check("ACL SETUSER bob db=0", "+OK");
        for line in ["GET a", "DBSIZE", "KEYS *"] {
            bob.check(line, refused);
        }
        bob.check("SELECT 0", "+OK");
        bob.check("GET a", "\"1\"");
    }

    fn passwords_are_not_shown(server: &Server) {
        let (mut client, mut monitor) = (server.client(), server.client());
        client.check("CONFIG SET slowlog-log-slower-than 0", "+OK");
        monitor.check("MONITOR", "+OK");
        client.check("ACL SETUSER bob on >hunter2 +@all", "+OK");
        client.check("AUTH bob hunter2", "+OK");
        client.line("HELLO 2 AUTH bob hunter2");
        client.line("ACL SETUSER bob +foo >hunter2");
        client.check("AUTH default x", "+OK");
        let log = client.line("SLOWLOG GET").to_string();
        assert!(!log.contains("hunter2") && log.contains("(redacted)"), "{log}");
        client.check("ECHO end", "\"end\"");
        loop {
            let line = monitor.read().text();
            assert!(!line.contains("hunter2"), "{line}");
            if line.contains("end") {
                break;
            }
        }
        assert!(!server.log().contains("hunter2"));
    }

    fn requirepass_is_the_default_users_password(server: &Server) {
        let mut admin = server.client();
        admin.check("CONFIG SET requirepass pw", "+OK");
        let hash = "30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4";
        assert!(admin.line("ACL LIST").elements()[0].text().contains(hash));
        let mut late = server.client();
        late.check("GET a", "-NOAUTH Authentication required.");
        late.check_prefix("HELLO 3", "-NOAUTH HELLO must be called with the client already authenticated");
        late.check("AUTH pw", "+OK");
        admin.check("ACL SETUSER default >second", "+OK");
        server.client().check("AUTH second", "+OK");
        admin.check("CONFIG GET requirepass", "[\"requirepass\", \"pw\"]");
        admin.check("ACL SETUSER default nopass", "+OK");
        server.client().check("PING", "+PONG");
        admin.check("ACL SETUSER default off", "+OK");
        server.client().check("PING", "-NOAUTH Authentication required.");
        server.client().check("AUTH default x", WRONG);
        admin.check("ACL SETUSER default on", "+OK");
        admin.check("CONFIG SET requirepass \"\"", "+OK");
        server.client().check("PING", "+PONG");
    }

    fn new_users_hear_as_the_directive_says(server: &Server) {
        let mut client = server.client();
        let told = |client: &mut Client| client.line("ACL LIST").elements()[0].text();
        client.check("ACL SETUSER a", "+OK");
        assert!(told(&mut client).contains(" resetchannels "));
        client.check("CONFIG SET acl-pubsub-default allchannels", "+OK");
        client.check("ACL SETUSER a reset (+get ~x)", "+OK");
        let line = told(&mut client);
        assert!(line.ends_with("&* -@all (~x &* -@all +get)"), "{line}");
    }

    /// Rights change on one thread while commands run on another: each command has its reply, and in the end the last rules hold.
    fn rights_change_under_load(server: &Server) {
        bob(server, "+@all ~*");
        let address = server.address();
        let writer = std::thread::spawn(move || {
            let mut client = Client::connect(address);
            client.check("AUTH bob pw", "+OK");
            let commands: Vec<Command> = (0..64).map(|key| Command::line(&format!("INCR k{key}"))).collect();
            let mut done = 0;
            for _ in 0..100 {
                for reply in client.pipeline(&commands) {
                    let text = reply.to_string();
                    assert!(!reply.is_error() || text.starts_with("-NOPERM"), "{text}");
                    done += u64::from(!reply.is_error());
                }
            }
            done
        });
        let mut admin = server.client();
        while !writer.is_finished() {
            admin.check("ACL SETUSER bob -incr", "+OK");
            admin.check("ACL SETUSER bob resetkeys ~k1* +incr", "+OK");
            admin.check("ACL SETUSER bob ~*", "+OK");
        }
        let done = writer.join().unwrap();
        let sum: i64 = (0..64).map(|key| admin.line(&format!("INCRBY k{key} 0")).integer()).sum();
        assert_eq!(sum as u64, done);
    }
}

fn launch(config: &str) -> Launch {
    Launch::new(Binary::Rustredis("dashmap".to_owned())).config(config)
}

#[test]
fn users_come_from_the_configuration() {
    let server = launch(
        "user bob on >pw ~a* +@all\nuser carl off\nuser default on nopass ~* &* +@all -flushall\nrequirepass x\n",
    )
    .start();
    let mut client = server.client();
    client.check("ACL USERS", "[\"bob\", \"carl\", \"default\"]");
    client.check_prefix("FLUSHALL", "-NOPERM");
    client.check("AUTH bob pw", "+OK");
    client.check("GET b", no_key(&server));
    let server = launch("requirepass pw\nuser bob on >pw +@all\n").start();
    let mut client = server.client();
    client.check("GET a", "-NOAUTH Authentication required.");
    client.check("AUTH pw", "+OK");
}

#[test]
fn users_that_are_none_stop_the_start() {
    let run = |config: &str| launch(config).run_to_exit(Duration::from_secs(20));
    for (config, expected) in [
        ("user bob on +nope\n", "nknown command or category name in ACL"),
        ("user bob on foo >hunter2\n", "Syntax error"),
        ("user bob on\nuser bob off\n", "uplicate user"),
        ("aclfile /nowhere/users.acl\n", "/nowhere/users.acl"),
        ("aclfile users.acl\nuser bob on\n", "define either an ACL file or declare users directly"),
    ] {
        let exited = run(config);
        assert!(exited.code != Some(0) && exited.log.contains(expected), "{config}: {}", exited.log);
        let is_redis = Binary::Rustredis(String::new()).is_redis();
        assert!(is_redis || !exited.log.contains("hunter2"), "{}", exited.log);
    }
}

#[test]
fn a_file_of_users_is_loaded_and_saved() {
    let directory = Directory::new();
    let path = directory.path().join("users.acl");
    std::fs::write(&path, "user bob on nopass ~* +@all\n\nuser carl on >pw ~c* +@all (+get ~d)\n").unwrap();
    let server = launch(&format!("aclfile {}\n", path.display())).start();
    let mut admin = server.client();
    admin.check("ACL USERS", "[\"bob\", \"carl\", \"default\"]");
    let bob = user(&server, "bob");
    let mut carl = user(&server, "carl");
    admin.check("ACL SETUSER dora on +get", "+OK");
    admin.check("ACL DELUSER bob", "1");
    check_closed(bob);
    admin.check("ACL SAVE", "+OK");
    let saved = std::fs::read_to_string(&path).unwrap();
    let names: Vec<&str> = saved.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(names, ["carl", "default", "dora"]);
    assert!(saved.contains("(~d resetchannels -@all +get)"), "{saved}");

    for (text, error) in [
        ("user carl on\nuser dora on\nuser bob +nope\n", ":3: Error in applying operation '+nope'"),
        ("user dora on\nuser dora on\n", "uplicate user 'dora'"),
        ("user dora on >hunter2 foo\n", ":1: Syntax error"),
        ("dora on\n", " should start with user keyword"),
    ] {
        std::fs::write(&path, text).unwrap();
        let reply = admin.line("ACL LOAD").to_string();
        assert!(reply.starts_with("-ERR ") && reply.contains(error) && !reply.contains("hunter2"), "{reply}");
        assert!(reply.contains("no change to the previously active ACL rules"), "{reply}");
        admin.check("ACL USERS", "[\"carl\", \"default\", \"dora\"]");
    }
    carl.check("GET c", "nil");
    let dora = {
        admin.check("ACL SETUSER dora >pw", "+OK");
        user(&server, "dora")
    };
    std::fs::write(&path, "user carl on >pw ~e* +@all\nuser default on nopass ~* &* +@all\n").unwrap();
    admin.check("ACL LOAD", "+OK");
    check_closed(dora);
    admin.check("ACL USERS", "[\"carl\", \"default\"]");
    if !server.is_redis() {
        // 7.0 closes every connection but those of the default user.
        carl.check("GET c", no_key(&server));
        carl.check("GET e", "nil");
    }
}

#[test]
fn without_a_file_there_is_nothing_to_load() {
    let server = launch("").start();
    let mut client = server.client();
    for line in ["ACL LOAD", "ACL SAVE"] {
        client.check_prefix(line, "-ERR This Redis instance is not configured to use an ACL file.");
    }
}

#[test]
fn rewriting_keeps_the_users() {
    let server = launch("hz 10\nuser bob on >pw ~a* +get\nuser carl on\n").start();
    let mut client = server.client();
    client.check("ACL DELUSER carl", "1");
    client.check("ACL SETUSER bob (+set ~b)", "+OK");
    client.check("ACL SETUSER dora on nopass", "+OK");
    client.check("CONFIG REWRITE", "+OK");
    let text = std::fs::read_to_string(server.directory().join("redis.conf")).unwrap();
    let hash = "30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4";
    let of =
        |name: &str| text.lines().find(|line| line.starts_with(&format!("user {name} "))).unwrap_or_default();
    assert!(of("bob").contains(hash) && of("bob").ends_with("-@all +set)"), "{text}");
    assert!(of("carl").is_empty() && of("dora").contains("nopass"), "{text}");
    let told = client.line("ACL LIST").to_string();
    if server.is_redis() {
        // 7.0 forgets a flag on the way.
        return;
    }
    let again = launch(&text).start();
    assert_reply!(again.client().line("ACL LIST"), told);
}

#[test]
fn renamed_commands_are_ruled_by_their_real_names() {
    let server =
        launch("rename-command GET FETCH\nrename-command FLUSHALL \"\"\nuser bob on nopass ~* +get\n")
            .start();
    let mut bob = user(&server, "bob");
    bob.check("FETCH a", "nil");
    bob.check_prefix("GET a", "-ERR unknown command 'GET'");
    let mut client = server.client();
    client.check_prefix("FLUSHALL", "-ERR unknown command 'FLUSHALL'");
    client.check("ACL SETUSER bob -get +flushall", "+OK");
    bob.check("FETCH a", &no_command(&server, "get"));
    client.check_prefix("ACL SETUSER bob +fetch", "-ERR Error in ACL SETUSER modifier '+fetch'");
}
