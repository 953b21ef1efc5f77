//! Caches in clients, under concurrency: what a client holds is never older than a message that it has received.
//!
//! Twenty clients each have a cache, track in one way or another, and write keys of their own, whose values are numbers that grow. What is
//! checked of each: a value that comes behind a message is not older than what the message took out of the cache; and once a
//! write was answered, to whomever, and the client has had two answers since, its cache holds nothing that is older than that
//! write. The second finds a value that came with its message ahead of it, or with none at all.
//!
//! `RUSTREDIS_TRACKING_SECONDS` makes it go on for longer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustredis_testkit::{Client, Command, Random, Reply, Server, run_on_engine};

const CLIENTS: usize = 20;
const KEYS_EACH: usize = 3;
const KEYS: usize = CLIENTS * KEYS_EACH;
/// Commands of a batch at most.
const BATCH_MAX: usize = 8;

/// How a client tracks.
const MODES: [&str; 5] = ["", "NOLOOP", "OPTOUT", "OPTIN", "BCAST PREFIX key:"];

/// What a command of a batch answers.
enum Answer {
    /// Nothing of interest.
    Nothing,
    /// The values of these keys.
    Values(Vec<usize>),
    /// That this key has this value now.
    Written(usize, u64),
}

struct Cache<'a> {
    number: usize,
    mode: &'static str,
    client: Client,
    random: Random,
    held: HashMap<usize, u64>,
    /// No value of a key may be older.
    oldest: [u64; KEYS],
    next: u64,
    /// What the writes of all have been answered.
    written: &'a [AtomicU64; KEYS],
    batch: Vec<Command>,
    answers: Vec<Answer>,
}

fn key(number: usize) -> String {
    format!("key:{number}")
}

impl<'a> Cache<'a> {
    fn new(server: &Server, number: usize, written: &'a [AtomicU64; KEYS]) -> Self {
        let mode = MODES[number % MODES.len()];
        let mut client = server.client_resp3();
        client.check(&format!("CLIENT TRACKING ON {mode}"), "+OK");
        Self {
            number,
            mode,
            client,
            random: Random::new(number as u64),
            held: HashMap::new(),
            oldest: [0; KEYS],
            next: 1,
            written,
            batch: Vec::new(),
            answers: Vec::new(),
        }
    }

    fn add(&mut self, words: &[&str], answer: Answer) {
        self.batch.push(Command::new(words));
        self.answers.push(answer);
    }

    fn add_read(&mut self) {
        let keys: Vec<usize> = (0..1 + self.random.below(3)).map(|_| self.random.below(KEYS)).collect();
        if self.mode == "OPTIN" {
            self.add(&["CLIENT", "CACHING", "YES"], Answer::Nothing);
        }
        let names: Vec<String> = keys.iter().map(|number| key(*number)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match self.random.below(5) {
            0 => {
                self.add(&["MULTI"], Answer::Nothing);
                names.iter().for_each(|name| self.add(&["GET", name], Answer::Nothing));
                self.add(&["EXEC"], Answer::Values(keys));
            }
            1 => {
                let text = "local values = {} for i, key in ipairs(KEYS) do values[i] = redis.call('get', key) end return values";
                let count = names.len().to_string();
                self.add(&[&["EVAL", text, &count], &names[..]].concat(), Answer::Values(keys));
            }
            2 => self.add(&[&["MGET"], &names[..]].concat(), Answer::Values(keys)),
            _ => self.add(&["GET", names[0]], Answer::Values(keys[..1].to_vec())),
        }
    }

    fn add_write(&mut self) {
        let number = self.number * KEYS_EACH + self.random.below(KEYS_EACH);
        let (name, value) = (key(number), self.next.to_string());
        let written = Answer::Written(number, self.next);
        self.next += 1;
        match self.random.below(4) {
            0 => {
                self.add(&["MULTI"], Answer::Nothing);
                self.add(&["SET", &name, &value], Answer::Nothing);
                self.add(&["EXEC"], written);
            }
            1 => {
                let text = "redis.call('set', KEYS[1], ARGV[1]) return redis.call('get', KEYS[1])";
                self.add(&["EVAL", text, "1", &name, &value], written);
            }
            2 => {
                let other = format!("made:{}", self.number);
                self.add(&["SET", &other, &value], Answer::Nothing);
                self.add(&["RENAME", &other, &name], written);
            }
            _ => self.add(&["SET", &name, &value], written),
        }
    }

    fn send(&mut self) {
        let mut bytes = Vec::new();
        self.batch.drain(..).for_each(|command| command.encode(&mut bytes));
        self.client.send_raw(&bytes);
        for answer in std::mem::take(&mut self.answers) {
            let reply = self.read();
            assert!(!reply.is_error(), "{reply}");
            match answer {
                Answer::Nothing => {}
                Answer::Values(keys) => self.note_values(&keys, &reply),
                Answer::Written(number, value) => {
                    // It is the server's now, and another client may be told no older one behind its own answers.
                    self.written[number].fetch_max(value, Ordering::SeqCst);
                    self.oldest[number] = self.oldest[number].max(value);
                    // Nothing is said to who wants to hear nothing of its own; an older value is dropped.
                    if self.mode == "NOLOOP" {
                        self.held.remove(&number);
                    }
                }
            }
        }
    }

    fn note_values(&mut self, keys: &[usize], reply: &Reply) {
        let values = match reply {
            Reply::Array(values) => values.clone(),
            value => vec![value.clone()],
        };
        for (number, value) in keys.iter().zip(values) {
            let value = if value.is_null() { 0 } else { value.text().parse().expect("a number") };
            let oldest = self.oldest[*number];
            assert!(
                value >= oldest,
                "client {} ({}) reads {value} of key {number} behind a message that took {oldest}",
                self.number,
                self.mode
            );
            self.held.insert(*number, value);
        }
    }

    /// The next reply; messages before it are heeded.
    fn read(&mut self) -> Reply {
        loop {
            let reply = self.client.read();
            let Reply::Push(parts) = reply else { return reply };
            assert_eq!(parts[0].text(), "invalidate");
            for name in parts[1].elements() {
                let name = name.text();
                let number: usize = name.strip_prefix("key:").and_then(|it| it.parse().ok()).expect("a key");
                if let Some(value) = self.held.remove(&number) {
                    self.oldest[number] = self.oldest[number].max(value);
                }
            }
        }
    }

    /// Two answers behind what was written by now, nothing older is held.
    fn check(&mut self) {
        let written: Vec<u64> = self.written.iter().map(|value| value.load(Ordering::SeqCst)).collect();
        for _ in 0..2 {
            self.add(&["PING"], Answer::Nothing);
            self.send();
        }
        for (number, value) in &self.held {
            assert!(
                *value >= written[*number],
                "client {} ({}) holds {value} of key {number}, which has been {} since before two answers",
                self.number,
                self.mode,
                written[*number]
            );
        }
    }

    fn work(&mut self, end: Instant) -> usize {
        let mut checks = 0;
        while Instant::now() < end {
            for _ in 0..1 + self.random.below(BATCH_MAX) {
                if self.random.chance(25) { self.add_write() } else { self.add_read() }
            }
            self.send();
            if self.random.chance(30) {
                self.check();
                checks += 1;
            }
        }
        checks
    }
}

fn race(server: &Server) {
    let seconds = std::env::var("RUSTREDIS_TRACKING_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(3));
    let written = [const { AtomicU64::new(0) }; KEYS];
    let checks: usize = thread::scope(|scope| {
        let work = |number| {
            let mut cache = Cache::new(server, number, &written);
            cache.work(end)
        };
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || work(number))).collect();
        clients.into_iter().map(|client| client.join().expect("no cache was stale")).sum()
    });
    assert!(checks > CLIENTS, "{checks} checks");
    eprintln!("{checks} checks of caches");
}

macro_rules! races {
    ($($engine:ident)+) => {$(
        #[cfg(test)]
        mod $engine {
            use super::*;

            #[test]
            fn no_cache_is_stale() {
                let threads = ["--threads", "2"];
                run_on_engine(module_path!(), stringify!($engine), &threads, race);
            }

            #[test]
            fn no_cache_is_stale_on_one_thread() {
                run_on_engine(module_path!(), stringify!($engine), &["--threads", "1"], race);
            }

            /// Keys are forgotten all the time.
            #[test]
            fn no_cache_is_stale_where_there_are_too_many_keys() {
                let few = ["--threads", "2", "--tracking-table-max-keys", "40", "--tracking-client-max-keys", "10"];
                run_on_engine(module_path!(), stringify!($engine), &few, race);
            }
        }
    )+};
}

races! { mutex dashmap actor lockfree }
