//! What runs of scripts cost beside their commands: `cargo run --release -p rustredis-scripting --example runs`.

use std::sync::Arc;
use std::time::Instant;

use rustredis_resp::Proto;
use rustredis_scripting::machine::{Limits, Machines, Progress, What};
use rustredis_scripting::script::Script;
use rustredis_scripting::{Host, Level, Look};

/// Answers each command at once.
struct Nothing {
    looks: usize,
    reply: &'static [u8],
}

impl Host for Nothing {
    fn call(&mut self, _: &[&[u8]], _: Proto, reply: &mut Vec<u8>) {
        reply.extend_from_slice(self.reply);
    }

    fn look(&mut self) -> Look {
        self.looks += 1;
        Look::GoOn
    }

    fn log(&mut self, _: Level, _: &[u8]) {}

    fn set_replication(&mut self, _: bool, _: bool) {}

    fn may_run(&mut self, _: &[&[u8]]) -> Option<bool> {
        None
    }
}

const LIMITER: &str = "local n = redis.call('INCR', KEYS[1])
    if tonumber(n) == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
    local t = redis.call('PTTL', KEYS[1])
    redis.call('HSET', KEYS[2], 'n', n)
    redis.call('HSET', KEYS[2], 't', t)
    if tonumber(n) > tonumber(ARGV[2]) then return {0, t} end
    return {1, t}";

fn main() {
    // A word that a name has in it, and by what the number of runs is divided, for a tool that counts instructions.
    let mut words = std::env::args().skip(1);
    let wanted = words.next().unwrap_or_default();
    let divisor = words.next().and_then(|word| word.parse().ok()).unwrap_or(1);
    let machines = Machines::new(Arc::new(Limits::default()));
    for (name, text, reply, runs) in [
        ("return 1", "return 1", &b"+OK\r\n"[..], 2_000_000),
        ("return KEYS", "return KEYS", b"+OK\r\n", 1_000_000),
        (
            "GET and SET",
            "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])",
            b"$5\r\nvalue\r\n",
            1_000_000,
        ),
        ("a call's +OK", "return redis.call('SET', KEYS[1], ARGV[1])", b"+OK\r\n", 1_000_000),
        ("a rate limiter, 4 calls", LIMITER, b":2\r\n", 500_000),
        ("100 calls", "for i = 1, 100 do redis.call('GET', KEYS[1]) end", b"$5\r\nvalue\r\n", 20_000),
        ("a loop of 1,000", "local n = 0 for i = 1, 1000 do n = n + i end return n", b"", 50_000),
        (
            "100 texts and tables",
            "local t = {} for i = 1, 100 do t[i] = {('x'):rep(10) .. i} end return #t",
            b"",
            10_000,
        ),
        (
            "pairs of 100",
            "local t, n = {}, 0 for i = 1, 100 do t[i] = i end for k, v in pairs(t) do n = n + v end return n",
            b"",
            50_000,
        ),
    ] {
        if !name.contains(&wanted) {
            continue;
        }
        let runs = runs / divisor;
        let script = Arc::new(Script::new(text.as_bytes(), |_| Ok(())).expect("a script"));
        let mut host = Nothing { looks: 0, reply };
        let mut out = Vec::new();
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            let begin = Instant::now();
            for _ in 0..runs / 5 {
                out.clear();
                let mut run = machines.begin(
                    What::Script(&script),
                    &[b"key:1", b"key:2"],
                    &[b"1000", b"10"],
                    Proto::Resp2,
                );
                assert_eq!(
                    run.resume(&mut host, &mut out),
                    Progress::Done { is_error: false, is_counted: false }
                );
            }
            best = best.min(begin.elapsed().as_nanos() as f64 / f64::from(runs / 5));
        }
        let looks = host.looks as f64 / f64::from(runs);
        println!(
            "{name:24} {best:8.0} ns, {looks:.3} looks, {} bytes in all states",
            machines.memory_bytes()
        );
    }
}
