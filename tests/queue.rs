//! A queue of jobs as libraries build it on scripts (BullMQ and its like): added, waited for, retried, delayed and completed by scripts
//! that make most of the names of their keys themselves, by twenty workers at once. No job is lost, none is done twice, and the
//! append-only file gives back the same.

use std::collections::HashMap;
use std::sync::Mutex;
use std::thread;

use rustredis_testkit::{Client, DEADLINE_DEFAULT, Launch, Reply, Server, every_engine, wait_until};

use crate::files::{EVERYSEC, check_replay};
use crate::lua::often;

const WORKERS: usize = 20;
const PRODUCERS: usize = 3;
/// Jobs of each producer.
fn jobs() -> usize {
    often(60, 3_000)
}

/// A job fails so often before it is done, by its number modulo their count.
const FAILURES: [usize; 4] = [0, 0, 1, 2];
/// What tells a worker to go home.
const STOP: &str = "stop";

/// A job of its own number: at once, or later if there is a delay in milliseconds.
const ADD: &str = "
    local prefix, data, delay = ARGV[1], ARGV[2], tonumber(ARGV[3])
    local id = redis.call('INCR', KEYS[1])
    local job = prefix .. ':job:' .. id
    redis.call('HSET', job, 'data', data, 'attempts', 0, 'done', 0)
    if delay > 0 then
        local t = redis.call('TIME')
        redis.call('ZADD', prefix .. ':delayed', t[1] * 1000 + math.floor(t[2] / 1000) + delay, id)
        redis.call('HSET', job, 'delayed', 1)
    else
        redis.call('LPUSH', prefix .. ':wait', id)
    end
    redis.call('RPUSH', prefix .. ':events', 'added:' .. id)
    redis.call('LTRIM', prefix .. ':events', -100, -1)
    return id";

/// What is due is waiting from now on; how much it was.
const PROMOTE: &str = "
    local t = redis.call('TIME')
    local now = t[1] * 1000 + math.floor(t[2] / 1000)
    local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 10)
    for _, id in ipairs(due) do
        redis.call('ZREM', KEYS[1], id)
        redis.call('LPUSH', KEYS[2], id)
    end
    return #due";

/// The worker that has taken the job is alone with it: its data and its attempt.
const START: &str = "
    local job = ARGV[1] .. ':job:' .. ARGV[2]
    if redis.call('EXISTS', job) == 0 then return redis.error_reply('NOJOB ' .. job) end
    if not redis.call('SET', job .. ':lock', ARGV[3], 'NX', 'PX', 600000) then return redis.error_reply('LOCKED ' .. job) end
    local attempt = redis.call('HINCRBY', job, 'attempts', 1)
    redis.call('HSET', job, 'worker', ARGV[3])
    return {redis.call('HGET', job, 'data'), attempt}";

/// The job is done, by who holds its lock.
const COMPLETE: &str = "
    local prefix, id, token, result = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
    local job = prefix .. ':job:' .. id
    local lock = job .. ':lock'
    if redis.call('GET', lock) ~= token then return redis.error_reply('LOCK ' .. job) end
    redis.call('DEL', lock)
    if redis.call('LREM', KEYS[1], -1, id) ~= 1 then return redis.error_reply('NOTACTIVE ' .. job) end
    redis.call('HSET', job, 'result', result)
    redis.call('HINCRBY', job, 'done', 1)
    redis.call('ZADD', KEYS[2], redis.call('INCR', prefix .. ':order'), id)
    redis.call('PUBLISH', prefix .. ':done', id)
    redis.call('RPUSH', prefix .. ':events', 'completed:' .. id)
    redis.call('LTRIM', prefix .. ':events', -100, -1)
    return cjson.encode({id = id, result = result})";

/// The attempt has failed: another one, at once or a little later.
const RETRY: &str = "
    local prefix, id, token, delay = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
    local job = prefix .. ':job:' .. id
    if redis.call('GET', job .. ':lock') ~= token then return redis.error_reply('LOCK ' .. job) end
    redis.call('DEL', job .. ':lock')
    if redis.call('LREM', prefix .. ':active', -1, id) ~= 1 then return redis.error_reply('NOTACTIVE ' .. job) end
    redis.call('HINCRBY', job, 'failures', 1)
    if delay > 0 then
        local t = redis.call('TIME')
        redis.call('ZADD', prefix .. ':delayed', t[1] * 1000 + math.floor(t[2] / 1000) + delay, id)
    else
        redis.call('RPUSH', prefix .. ':wait', id)
    end
    return 'again'";

/// A queue's scripts by their digests, as a library keeps them.
struct Queue<'s> {
    server: &'s Server,
    prefix: &'static str,
    digests: HashMap<&'static str, String>,
}

impl<'s> Queue<'s> {
    fn new(server: &'s Server, prefix: &'static str) -> Self {
        let mut client = server.client();
        let load = |text: &'static str| (text, client.call(&["SCRIPT", "LOAD", text]).text());
        let digests = [ADD, PROMOTE, START, COMPLETE, RETRY].into_iter().map(load).collect();
        Self { server, prefix, digests }
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    /// Runs a script by its digest, or by its text if the server has forgotten it. An error is the test's end.
    #[track_caller]
    fn run(&self, client: &mut Client, text: &str, keys: &[&str], arguments: &[&str]) -> Reply {
        let keys: Vec<String> = keys.iter().map(|name| self.key(name)).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let count = keys.len().to_string();
        let mut reply =
            client.call(&[&["EVALSHA", self.digests[text].as_str(), &count][..], &keys, arguments].concat());
        if reply.to_string().starts_with("-NOSCRIPT ") {
            reply = client.call(&[&["EVAL", text, &count][..], &keys, arguments].concat());
        }
        assert!(!reply.is_error(), "{reply} for {arguments:?}");
        reply
    }

    /// Adds jobs, every third of them for later.
    fn produce(&self, producer: usize) {
        let mut client = self.server.client();
        for number in 0..jobs() {
            let data = format!("{producer}:{number}");
            let delay = if number % 3 == 0 { (1 + number % 20).to_string() } else { "0".to_owned() };
            self.run(&mut client, ADD, &["id"], &[self.prefix, &data, &delay]);
            // Libraries live with a cache that is flushed.
            if number % 40 == 39 {
                client.check("SCRIPT FLUSH", "+OK");
            }
        }
    }

    /// Takes jobs until it is told to stop. What it has run, with which attempt, goes to `runs`.
    fn work(&self, worker: usize, runs: &Mutex<Vec<(String, i64)>>) {
        let mut client = self.server.client();
        let (wait, active, token) = (self.key("wait"), self.key("active"), format!("worker-{worker}"));
        loop {
            let taken = client.call(&["BLMOVE", &wait, &active, "RIGHT", "LEFT", "20"]);
            assert!(!taken.is_null(), "nothing came");
            let id = taken.text();
            if id == STOP {
                client.call(&["LREM", &active, "1", STOP]);
                return;
            }
            let started = self.run(&mut client, START, &[], &[self.prefix, &id, &token]).elements();
            let (data, attempt) = (started[0].text(), started[1].integer());
            runs.lock().unwrap().push((data.clone(), attempt));
            let number: usize = data.split_once(':').unwrap().1.parse().unwrap();
            if attempt as usize <= FAILURES[number % FAILURES.len()] {
                let delay = if attempt == 1 { "0" } else { "3" };
                self.run(&mut client, RETRY, &[], &[self.prefix, &id, &token, delay]);
            } else {
                let done = self
                    .run(
                        &mut client,
                        COMPLETE,
                        &["active", "completed"],
                        &[self.prefix, &id, &token, &format!("{data}!")],
                    )
                    .text();
                assert!(done.contains(&format!("\"result\":\"{data}!\"")), "{done}");
            }
        }
    }

    /// Brings what is due to those who wait, until all jobs are done; then sends the workers home.
    fn promote_until_done(&self) {
        let mut client = self.server.client();
        let completed = self.key("completed");
        wait_until("all jobs to be done", 3 * DEADLINE_DEFAULT, || {
            self.run(&mut client, PROMOTE, &["delayed", "wait"], &[]);
            client.call(&["ZCARD", &completed]).integer() as usize == PRODUCERS * jobs()
        });
        for _ in 0..WORKERS {
            client.call(&["LPUSH", &self.key("wait"), STOP]);
        }
    }

    /// Every job was done once, after as many attempts as it took, and nothing is left of them but what should be.
    fn check(&self, mut runs: Vec<(String, i64)>) {
        let mut client = self.server.client();
        let mut expected = Vec::new();
        for producer in 0..PRODUCERS {
            for number in 0..jobs() {
                let attempts = FAILURES[number % FAILURES.len()] as i64 + 1;
                expected.extend((1..=attempts).map(|attempt| (format!("{producer}:{number}"), attempt)));
            }
        }
        expected.sort();
        runs.sort();
        assert_eq!(runs, expected, "jobs that ran, with their attempts");
        for name in ["wait", "active", "delayed"] {
            assert_eq!(client.call(&["EXISTS", &self.key(name)]).integer(), 0, "{name}");
        }
        let ids = client.call(&["ZRANGE", &self.key("completed"), "0", "-1"]).elements();
        assert_eq!(ids.len(), PRODUCERS * jobs());
        for id in ids {
            let job = self.key(&format!("job:{}", id.text()));
            let fields = client.call(&["HMGET", &job, "data", "done", "attempts", "result"]).elements();
            let (data, number) =
                (fields[0].text(), fields[0].text().split_once(':').unwrap().1.parse::<usize>().unwrap());
            assert_eq!(fields[1].text(), "1", "{job} was done");
            assert_eq!(
                fields[2].text(),
                (FAILURES[number % FAILURES.len()] + 1).to_string(),
                "attempts of {job}"
            );
            assert_eq!(fields[3].text(), format!("{data}!"));
            assert_eq!(client.call(&["EXISTS", &format!("{job}:lock")]).integer(), 0);
        }
    }
}

every_engine! {
    fn no_job_is_lost_or_done_twice(server: &Server) {
        for threads in ["1", "2"] {
            let server = Launch::new(server.binary().clone())
                .arguments(&EVERYSEC)
                .arguments(&["--threads", threads])
                .start();
            let queue = Queue::new(&server, "bull:mail");
            let runs = Mutex::new(Vec::new());
            thread::scope(|scope| {
                for worker in 0..WORKERS {
                    let (queue, runs) = (&queue, &runs);
                    scope.spawn(move || queue.work(worker, runs));
                }
                for producer in 0..PRODUCERS {
                    let queue = &queue;
                    scope.spawn(move || queue.produce(producer));
                }
                queue.promote_until_done();
            });
            queue.check(runs.into_inner().unwrap());
            check_replay(&server, &EVERYSEC);
        }
    }

    /// A worker that hangs up with a job in its hands: the job is taken from it, by a script, and done by another.
    fn a_job_of_a_worker_that_is_gone_is_done_by_another(server: &Server) {
        let queue = Queue::new(server, "bull:lost");
        let mut client = server.client();
        queue.run(&mut client, ADD, &["id"], &[queue.prefix, "0:0", "0"]);
        let mut gone = server.client();
        let (wait, active) = (queue.key("wait"), queue.key("active"));
        let id = gone.call(&["BLMOVE", &wait, &active, "RIGHT", "LEFT", "20"]).text();
        queue.run(&mut gone, START, &[], &[queue.prefix, &id, "gone"]);
        drop(gone);
        let mut waiting = server.client();
        waiting.send(&["BLMOVE", &wait, &active, "RIGHT", "LEFT", "20"]);
        wait_until("a worker to wait", DEADLINE_DEFAULT, || server.info("blocked_clients").as_deref() == Some("1"));
        // The lock is another's, so nobody else completes it.
        let complete = client.call(&[
            "EVALSHA",
            &queue.digests[COMPLETE],
            "2",
            &active,
            &queue.key("completed"),
            queue.prefix,
            &id,
            "other",
            "x",
        ]);
        assert_eq!(complete.to_string(), format!("-LOCK {}", queue.key(&format!("job:{id}"))));
        queue.run(&mut client, RETRY, &[], &[queue.prefix, &id, "gone", "0"]);
        assert_eq!(waiting.read().text(), id);
        let started = queue.run(&mut waiting, START, &[], &[queue.prefix, &id, "other"]).elements();
        assert_eq!((started[0].text().as_str(), started[1].integer()), ("0:0", 2));
        queue.run(&mut waiting, COMPLETE, &["active", "completed"], &[queue.prefix, &id, "other", "0:0!"]);
        client.check("HGET bull:lost:job:1 done", "\"1\"");
        client.check("EXISTS bull:lost:wait bull:lost:active bull:lost:job:1:lock", "0");
    }
}
