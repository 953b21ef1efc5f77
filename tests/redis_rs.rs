//! An application's days with the crate `redis`, in RESP2 and in RESP3: the stories of `clients/stories.py`, told in its own
//! way (its scripts, its transactions, its streams).

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::mpsc;

use redis::acl::Rule;
use redis::streams::{StreamAutoClaimOptions, StreamPendingReply, StreamReadOptions, StreamReadReply};
use redis::{
    Commands, Connection, Direction, ErrorKind, PushKind, RedisError, Script, ServerErrorKind, Value,
};
use rustredis_testkit::{DEADLINE_DEFAULT, Server, every_engine, wait_until};

struct App {
    port: u16,
    protocol: &'static str,
}

impl App {
    fn connect(&self) -> Connection {
        self.try_connect("").unwrap()
    }

    /// Connects as `user:password@`.
    fn try_connect(&self, user: &str) -> Result<Connection, RedisError> {
        let Self { port, protocol } = self;
        let connection = redis::Client::open(format!("redis://{user}127.0.0.1:{port}/?protocol={protocol}"))?
            .get_connection()?;
        connection.set_read_timeout(Some(DEADLINE_DEFAULT))?;
        Ok(connection)
    }
}

/// Tells a story in both protocols, each with an empty database.
fn tell(server: &Server, story: fn(&App)) {
    for protocol in ["resp2", "resp3"] {
        let app = App { port: server.port(), protocol };
        let () = app.connect().flushall().unwrap();
        story(&app);
    }
}

/// Runs `body(0)` to `body(count - 1)` at the same time.
fn at_once(count: usize, body: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        for index in 0..count {
            let body = &body;
            scope.spawn(move || body(index));
        }
    });
}

fn wait_for_a_blocked_client(r: &mut Connection) {
    wait_until("a client to block", DEADLINE_DEFAULT, || {
        redis::cmd("INFO").arg("clients").query::<String>(r).unwrap().contains("blocked_clients:1\r\n")
    });
}

#[track_caller]
fn check_error<T: std::fmt::Debug>(result: Result<T, RedisError>, code: &str) {
    assert_eq!(result.unwrap_err().code(), Some(code));
}

fn sessions(app: &App) {
    let mut r = app.connect();
    let rules = [
        Rule::Reset,
        Rule::On,
        Rule::AddPass("secret".into()),
        Rule::Pattern("session:*".into()),
        Rule::AddCategory("hash".into()),
        Rule::AddCategory("connection".into()),
        Rule::AddCategory("transaction".into()),
        Rule::AddCommand("expire".into()),
        Rule::AddCommand("ttl".into()),
    ];
    let () = r.acl_setuser_rules("rustshop", &rules).unwrap();
    let mut shop = app.try_connect("rustshop:secret@").unwrap();
    let mut create = redis::pipe();
    create
        .atomic()
        .hset_multiple("session:1", &[("user", "7"), ("cart", "[]")])
        .ignore()
        .expire("session:1", 100);
    assert_eq!(create.query::<(i64,)>(&mut shop).unwrap(), (1,));
    assert!((50..=100).contains(&shop.ttl::<_, i64>("session:1").unwrap()));
    assert_eq!(shop.hincr::<_, _, _, i64>("session:1", "visits", 1).unwrap(), 1);
    let session: HashMap<String, String> = shop.hgetall("session:1").unwrap();
    assert_eq!((session.len(), session["user"].as_str(), session["visits"].as_str()), (3, "7", "1"));
    let denied = shop.hget::<_, _, Option<String>>("admin:1", "user").unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::Server(ServerErrorKind::NoPerm));
    check_error(shop.set::<_, _, ()>("session:1", "x"), "NOPERM");
    assert!(app.try_connect("rustshop:wrong@").is_err());
    let () = r.pexpire("session:1", 20).unwrap();
    wait_until("the session's end", DEADLINE_DEFAULT, || {
        shop.hgetall::<_, HashMap<String, String>>("session:1").unwrap().is_empty()
    });
    assert_eq!(r.acl_deluser::<_, usize>(&["rustshop"]).unwrap(), 1);
    assert!(shop.ttl::<_, i64>("session:1").is_err());
}

fn a_job_queue(app: &App) {
    const JOBS: usize = 40;
    let take = |r: &mut Connection, own: &str| {
        r.blmove::<_, _, Option<String>>("jobs", own, Direction::Left, Direction::Right, 10.0)
            .unwrap()
            .unwrap()
    };
    let mut r = app.connect();
    // A worker takes a job, and its connection is cut before it is done.
    std::thread::scope(|scope| {
        let victim = scope.spawn(|| take(&mut app.connect(), "jobs:victim"));
        wait_for_a_blocked_client(&mut r);
        let jobs: Vec<usize> = (0..JOBS).collect();
        assert_eq!(r.rpush::<_, _, usize>("jobs", jobs).unwrap(), JOBS);
        assert_eq!(victim.join().unwrap(), "0");
    });
    assert_eq!(r.lrange::<_, Vec<String>>("jobs:victim", 0, -1).unwrap(), ["0"]);
    at_once(4, |index| {
        let mut own = app.connect();
        if index == 3 {
            let retried: Option<String> =
                own.lmove("jobs:victim", "jobs", Direction::Right, Direction::Left).unwrap();
            assert_eq!(retried.as_deref(), Some("0"));
            wait_until("all jobs to be done", DEADLINE_DEFAULT, || {
                own.hlen::<_, usize>("done").unwrap() == JOBS
            });
            return own.rpush("jobs", &["stop"; 3]).unwrap();
        }
        let name = format!("jobs:{index}");
        loop {
            let job = take(&mut own, &name);
            if job == "stop" {
                assert_eq!(own.lpop::<_, Option<String>>(&name, None).unwrap().as_deref(), Some("stop"));
                break;
            }
            let mut done = redis::pipe();
            done.atomic().hincr("done", &job, 1).lrem(&name, 1, &job);
            assert_eq!(done.query::<(i64, i64)>(&mut own).unwrap(), (1, 1));
        }
    });
    let done: HashMap<usize, usize> = r.hgetall("done").unwrap();
    assert_eq!(done, (0..JOBS).map(|job| (job, 1)).collect());
    assert_eq!(r.keys::<_, Vec<String>>("*").unwrap(), ["done"]);
}

fn a_stream_with_a_consumer_that_dies(app: &App) {
    const ENTRIES: usize = 30;
    let read = |r: &mut Connection, name: &str, block_ms: Option<usize>| {
        let mut options = StreamReadOptions::default().group("billing", name).count(4);
        if let Some(block_ms) = block_ms {
            options = options.block(block_ms);
        }
        r.xread_options::<_, _, Option<StreamReadReply>>(&["orders"], &[">"], &options)
            .unwrap()
            .unwrap_or_default()
    };
    let mut r = app.connect();
    let () = r.xgroup_create_mkstream("orders", "billing", "0").unwrap();
    check_error(r.xgroup_create_mkstream::<_, _, _, ()>("orders", "billing", "0"), "BUSYGROUP");
    let mut adding = redis::pipe();
    for number in 0..ENTRIES {
        adding.xadd("orders", "*", &[("order", number)]);
    }
    let (ids, taken) = std::thread::scope(|scope| {
        let victim = scope.spawn(|| read(&mut app.connect(), "victim", Some(10_000)));
        wait_for_a_blocked_client(&mut r);
        let ids: Vec<String> = adding.query(&mut r).unwrap();
        (ids, victim.join().unwrap().keys[0].ids.len())
    });
    let settle = |r: &mut Connection, entry: &redis::streams::StreamId| {
        let mut settling = redis::pipe();
        let order: usize = entry.get("order").unwrap();
        settling.atomic().hset("settled", &entry.id, order).xack("orders", "billing", &[&entry.id]);
        assert_eq!(settling.query::<(i64, i64)>(r).unwrap(), (1, 1));
    };
    at_once(3, |index| {
        let (mut own, name) = (app.connect(), format!("w{index}"));
        while let Some(stream) = read(&mut own, &name, None).keys.first() {
            stream.ids.iter().for_each(|entry| settle(&mut own, entry));
        }
    });
    let StreamPendingReply::Data(pending) = r.xpending("orders", "billing").unwrap() else {
        panic!("nothing is pending")
    };
    assert_eq!((pending.count, &pending.start_id, &pending.end_id), (taken, &ids[0], &ids[taken - 1]));
    assert_eq!((pending.consumers[0].name.as_str(), pending.consumers[0].pending), ("victim", taken));
    let options = StreamAutoClaimOptions::default().count(100);
    let claimed: redis::streams::StreamAutoClaimReply =
        r.xautoclaim_options("orders", "billing", "w0", 0, "0-0", options).unwrap();
    assert_eq!(claimed.next_stream_id, "0-0");
    assert!(claimed.claimed.iter().map(|entry| &entry.id).eq(&ids[..taken]));
    claimed.claimed.iter().for_each(|entry| settle(&mut r, entry));
    let settled: HashMap<String, usize> = r.hgetall("settled").unwrap();
    assert_eq!(settled, ids.into_iter().zip(0..).collect());
    assert_eq!(r.xpending::<_, _, StreamPendingReply>("orders", "billing").unwrap().count(), 0);
}

fn a_cache(app: &App) {
    let (mut r, mut reader) = (app.connect(), app.connect());
    let () = r.mset(&[("price:tea", 3), ("price:rum", 9)]).unwrap();
    // RESP3 has pushes; in RESP2 a second connection is told, as a subscriber.
    let (sender, pushes) = mpsc::channel();
    let mut ear = app.connect();
    let ear_id: i64 = redis::cmd("CLIENT").arg("ID").query(&mut ear).unwrap();
    let mut ear = ear.as_pubsub();
    let mut tracking = redis::cmd("CLIENT");
    tracking.arg("TRACKING").arg("ON");
    let is_pushed = app.protocol == "resp3";
    if is_pushed {
        reader.set_push_sender(sender);
    } else {
        ear.subscribe("__redis__:invalidate").unwrap();
        tracking.arg("REDIRECT").arg(ear_id);
    }
    tracking.exec(&mut reader).unwrap();
    let mut next = |reader: &mut Connection| -> Value {
        if !is_pushed {
            return ear.get_message().unwrap().get_payload().unwrap();
        }
        // The library takes a push when it waits for a reply.
        let mut push = None;
        wait_until("a push", DEADLINE_DEFAULT, || {
            redis::cmd("PING").exec(reader).unwrap();
            push = pushes.try_recv().ok();
            push.is_some()
        });
        let mut push = push.unwrap();
        assert_eq!(push.kind, PushKind::Invalidate);
        push.data.remove(0)
    };
    let names = |name: &str| Value::Array(vec![Value::BulkString(name.as_bytes().to_vec())]);
    assert_eq!(reader.mget::<_, Vec<i64>>(&["price:tea", "price:rum"]).unwrap(), [3, 9]);
    let () = r.incr("price:tea", 1).unwrap();
    assert_eq!(next(&mut reader), names("price:tea"));
    assert_eq!(reader.get::<_, i64>("price:tea").unwrap(), 4);
    // What is told is told once for a read; what nobody read, to nobody.
    let () = r.set("price:gin", 1).unwrap();
    let () = r.del(&["price:rum", "price:tea"]).unwrap();
    let mut told = [next(&mut reader), next(&mut reader)];
    told.sort_by_key(|value| format!("{value:?}"));
    let mut expected = [names("price:rum"), names("price:tea")];
    expected.sort_by_key(|value| format!("{value:?}"));
    assert_eq!(told, expected);
    assert_eq!(reader.get::<_, i64>("price:gin").unwrap(), 1);
    let () = r.flushall().unwrap();
    if is_pushed {
        assert_eq!(next(&mut reader), Value::Nil);
    }
    assert_eq!(reader.get::<_, Option<i64>>("price:gin").unwrap(), None);
}

fn a_rate_limiter(app: &App) {
    let limiter = Script::new(
        "local count = redis.call('INCR', KEYS[1])
         if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
         return {count <= tonumber(ARGV[1]), redis.call('PTTL', KEYS[1])}",
    );
    let mut r = app.connect();
    let () = redis::cmd("SCRIPT").arg("FLUSH").query(&mut r).unwrap();
    let sha =
        redis::cmd("EVALSHA").arg(limiter.get_hash()).arg(1).arg("k").query::<Value>(&mut r).unwrap_err();
    assert_eq!(sha.kind(), ErrorKind::Server(ServerErrorKind::NoScript));
    let allowed = Mutex::new(Vec::new());
    // Whoever asks first loads it; one asks again after the server has forgotten it.
    at_once(3, |index| {
        let mut own = app.connect();
        for turn in 0..10 {
            if (index, turn) == (0, 5) {
                redis::cmd("SCRIPT").arg("FLUSH").exec(&mut own).unwrap();
            }
            let hit = limiter.key("limit").arg(7).arg(60_000).invoke::<(Option<i64>, i64)>(&mut own);
            // Forgotten between the library's SCRIPT LOAD and its EVALSHA: a client's own affair.
            let Ok((is_allowed, left_ms)) = hit else { continue };
            assert!((1..=60_000).contains(&left_ms));
            allowed.lock().unwrap().push(is_allowed.is_some());
        }
    });
    let allowed = allowed.into_inner().unwrap();
    assert!(allowed.len() >= 28, "{}", allowed.len());
    assert_eq!(allowed.iter().filter(|is_allowed| **is_allowed).count(), 7);
    wait_until("the next window", DEADLINE_DEFAULT, || {
        limiter.key("short").arg(1).arg(20).invoke::<(Option<i64>, i64)>(&mut r).unwrap().0.is_some()
    });
}

fn a_chat(app: &App) {
    const WORDS: usize = 20;
    let mut listening = app.connect();
    let mut ear = listening.as_pubsub();
    ear.set_read_timeout(Some(DEADLINE_DEFAULT)).unwrap();
    ear.subscribe("room:tea").unwrap();
    ear.psubscribe("room:*").unwrap();
    at_once(3, |index| {
        let mut own = app.connect();
        for number in 0..WORDS {
            assert_eq!(own.publish::<_, _, usize>("room:tea", format!("{index}:{number}")).unwrap(), 2);
            assert_eq!(own.publish::<_, _, usize>("room:rum", number).unwrap(), 1);
            assert_eq!(own.spublish::<_, _, usize>("room:tea", number).unwrap(), 0);
        }
    });
    let mut heard: HashMap<(String, bool), Vec<String>> = HashMap::new();
    for _ in 0..3 * 3 * WORDS {
        let message = ear.get_message().unwrap();
        let key = (message.get_channel_name().to_owned(), message.from_pattern());
        heard.entry(key).or_default().push(message.get_payload().unwrap());
    }
    let tea = &heard[&("room:tea".to_owned(), false)];
    assert_eq!(tea, &heard[&("room:tea".to_owned(), true)]);
    assert_eq!(heard[&("room:rum".to_owned(), true)].len(), 3 * WORDS);
    for index in 0..3 {
        let own =
            tea.iter().filter_map(|word| word.strip_prefix(&format!("{index}:"))?.parse::<usize>().ok());
        assert!(own.eq(0..WORDS));
    }
    ear.unsubscribe("room:tea").unwrap();
    ear.punsubscribe("room:*").unwrap();
    assert_eq!(app.connect().publish::<_, _, usize>("room:tea", "x").unwrap(), 0);
}

fn locks(app: &App) {
    let release = Script::new(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end",
    );
    let write = Script::new(
        "if tonumber(ARGV[1]) < tonumber(redis.call('HGET', KEYS[1], 'token') or 0) then
             return redis.error_reply('STALE token ' .. ARGV[1])
         end
         return redis.call('HSET', KEYS[1], 'token', ARGV[1], 'value', ARGV[2])",
    );
    let lock = |r: &mut Connection, owner: &str, ttl_ms: u64| {
        let options = redis::SetOptions::default()
            .conditional_set(redis::ExistenceCheck::NX)
            .with_expiration(redis::SetExpiry::PX(ttl_ms));
        r.set_options::<_, _, Option<String>>("lock", owner, options).unwrap().is_some()
    };
    let tokens = Mutex::new(Vec::new());
    at_once(3, |index| {
        let mut own = app.connect();
        for turn in 0..8 {
            let owner = format!("{index}:{turn}");
            wait_until("the lock", DEADLINE_DEFAULT, || lock(&mut own, &owner, 20_000));
            let token: usize = own.incr("fence", 1).unwrap();
            tokens.lock().unwrap().push(token);
            let _: i64 = write.key("file").arg(token).arg(&owner).invoke(&mut own).unwrap();
            assert_eq!(release.key("lock").arg("another's").invoke::<i64>(&mut own).unwrap(), 0);
            assert_eq!(release.key("lock").arg(&owner).invoke::<i64>(&mut own).unwrap(), 1);
        }
    });
    assert!(tokens.into_inner().unwrap().into_iter().eq(1..=24));
    let mut r = app.connect();
    // Who comes with an old token, for his lock had run out, writes nothing.
    check_error(write.key("file").arg(3).arg("old").invoke::<i64>(&mut r), "STALE");
    assert_eq!(r.hget::<_, _, usize>("file", "token").unwrap(), 24);
    assert!(lock(&mut r, "first", 20));
    wait_until("the lock to run out", DEADLINE_DEFAULT, || lock(&mut r, "second", 20_000));
    assert_eq!(release.key("lock").arg("first").invoke::<i64>(&mut r).unwrap(), 0);
    assert_eq!(r.get::<_, String>("lock").unwrap(), "second");
}

fn money(app: &App) {
    const NAMES: [&str; 3] = ["account:0", "account:1", "account:2"];
    let sum = |r: &mut Connection| r.mget::<_, Vec<i64>>(&NAMES).unwrap().into_iter().sum::<i64>();
    let mut r = app.connect();
    let () = r.mset(&NAMES.map(|name| (name, 100))).unwrap();
    at_once(3, |index| {
        let mut own = app.connect();
        for turn in 0..15 {
            let (source, target) = (NAMES[(index + turn) % 3], NAMES[(index + turn + 1) % 3]);
            // The library does it again until nobody has interfered.
            let (left, _): (i64, i64) = redis::transaction(&mut own, &[source, target], |own, pipe| {
                let amount = own.get::<_, i64>(source)?.min(5);
                pipe.decr(source, amount).incr(target, amount).rpush("ledger", amount).ignore().query(own)
            })
            .unwrap();
            assert!(left >= 0);
            assert_eq!(sum(&mut own), 300);
        }
    });
    assert_eq!((sum(&mut r), r.llen::<_, usize>("ledger").unwrap()), (300, 45));
    let mut attempts = 0;
    let _: () = redis::transaction(&mut r, &["account:0"], |r, pipe| {
        attempts += 1;
        if attempts == 1 {
            let () = app.connect().incr("account:0", 1)?;
        }
        pipe.set("attempt", attempts).ignore().query(r)
    })
    .unwrap();
    assert_eq!((attempts, r.get::<_, usize>("attempt").unwrap()), (2, 2));
}

fn a_leaderboard_in_pipelines(app: &App) {
    at_once(3, |_| {
        let mut own = app.connect();
        for _ in 0..5 {
            let mut page = redis::pipe();
            for point in 0..60 {
                let player = format!("player:{}", point % 20);
                page.zincr("board", &player, 1).hincr(&player, "games", 1).ignore();
            }
            assert_eq!(page.query::<Vec<f64>>(&mut own).unwrap().len(), 60);
        }
    });
    let mut r = app.connect();
    let board: Vec<(String, f64)> = r.zrevrange_withscores("board", 0, -1).unwrap();
    assert_eq!((board.len(), board.iter().all(|(_, score)| *score == 45.0)), (20, true));
    let mut keys: Vec<String> = r.scan_match::<_, String>("player:*").unwrap().map(Result::unwrap).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 20);
    // An error amid a pipeline is the pipeline's, and the others' effects stand.
    let mut mixed = redis::pipe();
    mixed.set("before", 1).incr("board", 1).set("after", 1);
    let error = mixed.query::<Value>(&mut r).unwrap_err().to_string();
    assert!(error.contains("WRONGTYPE"), "{error}");
    assert_eq!(r.mget::<_, Vec<i64>>(&["before", "after"]).unwrap(), [1, 1]);
}

every_engine! {
    fn an_application_keeps_sessions(server: &Server) {
        tell(server, sessions);
    }

    fn an_application_queues_jobs(server: &Server) {
        tell(server, a_job_queue);
    }

    fn an_application_reads_a_stream_in_groups(server: &Server) {
        tell(server, a_stream_with_a_consumer_that_dies);
    }

    fn an_application_caches(server: &Server) {
        tell(server, a_cache);
    }

    fn an_application_limits_rates(server: &Server) {
        tell(server, a_rate_limiter);
    }

    fn an_application_chats(server: &Server) {
        tell(server, a_chat);
    }

    fn an_application_locks(server: &Server) {
        tell(server, locks);
    }

    fn an_application_moves_money(server: &Server) {
        tell(server, money);
    }

    fn an_application_counts_in_pipelines(server: &Server) {
        tell(server, a_leaderboard_in_pipelines);
    }
}
