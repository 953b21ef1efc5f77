//! Which keys a script holds: those that it declares if it is proven to touch no others, else everything. Whatever it is, it does the
//! same; what differs is who may run beside it.

use rustredis_testkit::oracle::{Coverage, History};
use rustredis_testkit::{Client, Command, DEADLINE_DEFAULT, Launch, Reply, Server, every_engine, wait_until};

use crate::lua::{another, eval, eval_with};

/// Keys beside the one that is held: some may share its shard by chance.
const OTHERS: usize = 8;

/// Texts that are proven.
const PROVEN: &[&str] = &[
    "return 1",
    "return redis.call('get', KEYS[1])",
    "redis.call('set', KEYS[1], ARGV[1]) return redis.call('mget', KEYS[1], KEYS[2])",
    "local key = KEYS[1] if redis.call('exists', key) == 0 then redis.call('set', key, 1) end return redis.call('incr', key)",
    "for i = 1, #KEYS do redis.call('del', KEYS[i]) end",
    "local call = redis.call\nreturn call('get', KEYS[1])",
    "for _, key in ipairs(KEYS) do redis.pcall('incr', key) end",
    "return redis.call('zunionstore', KEYS[1], 2, KEYS[2], KEYS[3])",
    "return redis.call('mget', unpack(KEYS))",
];

/// Texts that are not, and the line that says why.
const UNPROVEN: &[(&str, i64)] = &[
    ("return redis.call('get', 'literal')", 1),
    ("local a = 1\nreturn redis.call('get', KEYS[1] .. a)", 2),
    ("\n\nreturn redis.call('get', ARGV[1])", 3),
    ("return redis.call(ARGV[1], KEYS[1])", 1),
    ("return redis.call('keys', '*')", 1),
    ("return redis.call('sort', KEYS[1])", 1),
];

fn number(server: &Server, field: &str) -> i64 {
    server.info(field).unwrap_or_else(|| panic!("INFO has no {field}")).parse().unwrap()
}

/// The leaves of a reply, sorted, for sets and hashes come in no order; numbers as Lua has them, and all kinds of null as one.
fn leaves(reply: &Reply) -> Vec<String> {
    fn collect(reply: &Reply, found: &mut Vec<String>) {
        match reply {
            Reply::Array(elements) => elements.iter().for_each(|element| collect(element, found)),
            // Beyond what Lua can say.
            Reply::Integer(number) if number.unsigned_abs() > 1 << 62 => found.push("vast".to_owned()),
            Reply::Integer(number) => found.push((*number as f64).to_string()),
            null if null.is_null() => found.push("nil".to_owned()),
            other => found.push(other.to_string()),
        }
    }
    let mut found = Vec::new();
    collect(reply, &mut found);
    found.sort();
    found
}

/// Whether two servers that hold the same answer the same, and a script may call it.
fn is_comparable(command: &Command) -> bool {
    const LEFT_OUT: [&str; 9] = [
        "SPOP",
        "SRANDMEMBER",
        "HRANDFIELD",
        "ZRANDMEMBER",
        "RANDOMKEY",
        "OBJECT",
        "SORT",
        "SORT_RO",
        "SELECT",
    ];
    let name = command.name();
    let is_blocking = name.starts_with("BL") || name.starts_with("BR") || name.starts_with("BZ");
    let tells_time = name.contains("TTL") || name.contains("EXPIRETIME");
    !(is_blocking || tells_time || name.ends_with("SCAN") || LEFT_OUT.contains(&name.as_str()))
}

/// A script that calls the command: with its keys declared, where the server knows them, or with names that it was given otherwise.
fn through_script(client: &mut Client, command: &Command, is_declared: bool) -> Command {
    let words = &command.arguments;
    let mut question = vec![b"COMMAND".to_vec(), b"GETKEYS".to_vec()];
    question.extend(words.iter().cloned());
    let keys: Vec<Vec<u8>> = match client.call(&question) {
        Reply::Array(keys) if is_declared => keys.iter().map(crate::files::bytes).collect(),
        _ => Vec::new(),
    };
    if keys.is_empty() {
        let mut script = vec![b"EVAL".to_vec(), b"return redis.pcall(unpack(ARGV))".to_vec(), b"0".to_vec()];
        script.extend(words.iter().cloned());
        return Command { arguments: script };
    }
    let (mut used, mut rest) = (0, Vec::new());
    let words: Vec<String> = words
        .iter()
        .enumerate()
        .map(|(index, word)| {
            if index > 0 && keys.get(used) == Some(word) {
                used += 1;
                format!("KEYS[{used}]")
            } else if index == 0 {
                format!("'{}'", String::from_utf8_lossy(word))
            } else {
                rest.push(word.clone());
                format!("ARGV[{}]", rest.len())
            }
        })
        .collect();
    let text = format!("return redis.pcall({})", words.join(", "));
    let mut script = vec![b"EVAL".to_vec(), text.into_bytes(), keys.len().to_string().into_bytes()];
    script.extend(keys.into_iter().chain(rest));
    Command { arguments: script }
}

every_engine! {
    /// Every command does through a script what it does without, whether its keys are declared or not.
    fn commands_do_the_same_through_scripts(server: &Server) {
        const SEEDS: u64 = 4;
        const STEPS: usize = 400;
        let launch = Launch::new(server.binary().clone()).arguments(&["--enable-debug-command", "yes"]);
        let (scripted, direct) = (another(server, "2", &[]), launch.start());
        for seed in 0..SEEDS {
            let (mut client, mut other) = (scripted.client(), direct.client());
            for one in [&mut client, &mut other] {
                one.check("FLUSHALL", "+OK");
                one.check("DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
            }
            let history = History::of_keys(seed, STEPS, Coverage::Redis70);
            let commands = history
                .steps()
                .iter()
                .filter(|step| step.len() == 1)
                .flatten()
                .filter(|command| is_comparable(command));
            for (number, command) in commands.enumerate() {
                let script = through_script(&mut client, command, number % 2 == 0);
                let reply = client.call(&script.arguments);
                // Scripts have words of their own for what is no command, or not theirs.
                if reply.to_string().contains(" from script") {
                    continue;
                }
                let expected = other.call(&command.arguments);
                assert_eq!(leaves(&reply), leaves(&expected), "seed {seed}, {command}, through {script}");
            }
            let digests = [&mut client, &mut other].map(|one| one.line("DEBUG DIGEST").text());
            assert_eq!(digests[0], digests[1], "seed {seed}");
            client.check("DEBUG SET-ACTIVE-EXPIRE 1", "+OK");
        }
        if !server.is_redis() {
            assert_eq!(number(&scripted, "scripts_undeclared_late"), 0);
        }
    }

    fn what_a_script_holds_is_shown(server: &Server) {
        if server.is_redis() {
            return;
        }
        let mut client = server.client_resp3();
        let mut holds = |text: &str| {
            let sha = client.call(&["SCRIPT", "LOAD", text]).text();
            let shown = client.line(&format!("SCRIPT SHOW {sha}"));
            let Reply::Array(scripts) = &shown else { panic!("no array: {shown}") };
            let Reply::Map(pairs) = &scripts[0] else { panic!("no map: {shown}") };
            let value = |name: &str| {
                pairs.iter().find(|(key, _)| key.text() == name).map(|(_, value)| value.clone()).expect(name)
            };
            assert_eq!(value("sha1").text(), sha);
            (value("holds").text(), value("line"), value("why"))
        };
        for text in PROVEN {
            assert_eq!(holds(text), ("keys".to_owned(), Reply::Null, Reply::Null), "{text}");
        }
        for (text, line) in UNPROVEN {
            let (held, found, why) = holds(text);
            assert_eq!((held.as_str(), found), ("everything", Reply::Integer(*line)), "{text}");
            assert!(!why.text().is_empty(), "{text}");
        }
        let all = client.line("SCRIPT SHOW").elements().len();
        assert_eq!(all, PROVEN.len() + UNPROVEN.len());
        client.check("SCRIPT SHOW nosuch", "[]");
        let keys = number(server, "scripts_ran_with_keys");
        let everything = number(server, "scripts_ran_with_everything");
        assert_eq!(eval_with(&mut client, PROVEN[1], &["k"], &[]), Reply::Null);
        assert_eq!(eval(&mut client, UNPROVEN[0].0), Reply::Null);
        assert_eq!(
            (number(server, "scripts_ran_with_keys"), number(server, "scripts_ran_with_everything")),
            (keys + 1, everything + 1)
        );
    }

    /// A script that cannot write is tried with its keys, and begins anew if it touches another: nobody sees that it did.
    fn a_script_that_strays_begins_anew(server: &Server) {
        let mut client = server.client();
        client.check("MSET a 1 b 2 c 3", "+OK");
        let text = "local sum = 0 for _, key in ipairs({KEYS[1], 'b', ARGV[1]}) do sum = sum + redis.call('get', key) end \
            redis.call('select', 1) return {sum, tostring(redis.call('get', KEYS[1]))}";
        let before = if server.is_redis() { 0 } else { number(server, "scripts_restarted") };
        for _ in 0..3 {
            let reply = client.call(&["EVAL_RO", text, "1", "a", "c"]);
            assert_eq!(reply.to_string(), "[6, \"false\"]");
        }
        client.check("GET a", "\"1\"");
        if !server.is_redis() {
            // With one lock whoever holds anything holds everything.
            let has_one_lock = server.info("engine").as_deref() == Some("mutex");
            assert_eq!(number(server, "scripts_restarted") > before, !has_one_lock);
            assert_eq!(number(server, "scripts_undeclared_late"), 0);
        }
        // A pcall does not hide it from the server, and not the right answer from the script.
        let text = "local ok, value = pcall(redis.call, 'get', 'b') return {tostring(ok), value, redis.pcall('get', 'c')}";
        assert_eq!(client.call(&["EVAL_RO", text, "1", "a"]).to_string(), "[\"true\", \"2\", \"3\"]");
        client.check("CONFIG RESETSTAT", "+OK");
        let text = "redis.call('get', KEYS[1]) return redis.call('get', ARGV[1])";
        assert_eq!(client.call(&["EVAL_RO", text, "1", "a", "c"]).text(), "3");
        assert_eq!(server.info("errorstat_ERR"), None);
    }

    /// What a confined script keeps for long keeps nobody from other keys; one that is not keeps everybody.
    fn confined_scripts_run_beside_others(server: &Server) {
        if server.is_redis() {
            return;
        }
        for threads in ["1", "2"] {
            let server = another(server, threads, &["--busy-reply-threshold", "0"]);
            let (mut runner, mut client, mut killer) = (server.client(), server.client(), server.client());
            runner.send(&[
                "EVAL",
                "while true do redis.call('incr', KEYS[1]) redis.call('decr', KEYS[1]) end",
                "1",
                "kept",
            ]);
            wait_until("the script to run", DEADLINE_DEFAULT, || number(&server, "scripts_running") == 1);
            client.check("PING", "+PONG");
            if server.info("engine").as_deref() != Some("mutex") {
                let mut waiting: Vec<Client> = (0..OTHERS).map(|_| server.client()).collect();
                for (number, other) in waiting.iter_mut().enumerate() {
                    other.send(&["EVAL", "return redis.call('incr', KEYS[1])", "1", &format!("other:{number}")]);
                }
                let mut served = 0;
                wait_until("most of the others to be served", DEADLINE_DEFAULT, || {
                    served += waiting
                        .iter_mut()
                        .filter_map(|other| other.read_within(std::time::Duration::from_millis(1)))
                        .count();
                    served > OTHERS / 2
                });
            }
            killer.check_prefix("SCRIPT KILL", "-UNKILLABLE ");
            killer.check("SCRIPT KILL FORCE", "+OK");
            assert!(runner.read().is_error());
            wait_until("the script to be gone", DEADLINE_DEFAULT, || number(&server, "scripts_running") == 0);
            client.check_prefix("GET kept", "\"");
            client.check("FLUSHALL", "+OK");
        }
    }

    /// Scripts over many keys, of all shards, and the same key more than once.
    fn many_keys(server: &Server) {
        let mut client = server.client();
        let keys: Vec<String> = (0..3_000).map(|number| format!("key:{number}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let text = "local sum = 0 for i = 1, #KEYS do sum = sum + redis.call('incrby', KEYS[i], i) end return sum";
        assert_eq!(eval_with(&mut client, text, &keys, &[]).integer(), 3_000 * 3_001 / 2);
        assert_eq!(eval_with(&mut client, "return #redis.call('mget', unpack(KEYS))", &keys, &[]).integer(), 3_000);
        assert_eq!(eval_with(&mut client, "redis.call('set', KEYS[1], 1) \
            return redis.call('incr', KEYS[2])", &["same", "same"], &[]).integer(), 2);
        assert_eq!(eval_with(&mut client, "return redis.call('set', KEYS[1], 1)", &[""], &[]), Reply::ok());
        client.check("GET \"\"", "\"1\"");
        // More keys are declared than there are calls, and fewer.
        assert_eq!(eval_with(&mut client, "return redis.call('get', KEYS[1])", &["", "a", "b"], &[]).text(), "1");
        assert!(eval_with(&mut client, "return redis.call('get', KEYS[2])", &["a"], &[]).is_error());
    }
}
