//! Scripts made of random calls, paused and killed at random, with little memory: whatever they do, the next script finds all as it was.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustredis_resp::Proto;

use super::fake::Setup;
use super::words;
use crate::host::{Host, Level, Look};
use crate::machine::{Progress, What};
use crate::script::Script;

/// What a script can see of what scripts share, in words.
const SEEN: &str = "local seen, out = {[KEYS] = 1, [ARGV] = 1}, {}
    local function walk(name, t)
        if seen[t] then return end
        seen[t] = true
        for k, v in pairs(t) do
            out[#out + 1] = name .. '.' .. tostring(k) .. ' ' .. type(v) .. (type(v) == 'number' and tostring(v) or '')
            if type(v) == 'table' then walk(name .. '.' .. tostring(k), v) end
        end
    end
    walk('_G', _G) walk('strings', getmetatable('')) walk('globals', getmetatable(_G))
    table.sort(out)
    return table.concat(out, ' ') .. cjson.encode({1, {a = 'x'}}) .. ('x'):rep(3) .. collectgarbage('setpause', 200)";

/// A generator of bytes (xorshift), so that a seed says all.
struct Bytes(u64);

impl Bytes {
    fn next(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u8
    }
}

/// Answers anything to any command.
struct Anything {
    bytes: Bytes,
    looks_left: u32,
}

impl Host for Anything {
    fn call(&mut self, words: &[&[u8]], proto: Proto, reply: &mut Vec<u8>) {
        let answers: [&[u8]; 8] = [
            b"+OK\r\n",
            b"-ERR no\r\n",
            b":7\r\n",
            b"$2\r\nab\r\n",
            b"*2\r\n$-1\r\n*2\r\n:1\r\n+x\r\n",
            b"*0\r\n",
            b"$-1\r\n",
            b"*-1\r\n",
        ];
        let more: [&[u8]; 6] =
            [b"_\r\n", b"#t\r\n", b",1.5\r\n", b"%1\r\n+a\r\n~1\r\n:1\r\n", b"=5\r\ntxt:a\r\n", b"(12\r\n"];
        let index = usize::from(self.bytes.next()) + words.len();
        match proto {
            Proto::Resp3 if index.is_multiple_of(2) => reply.extend_from_slice(more[index % more.len()]),
            _ => reply.extend_from_slice(answers[index % answers.len()]),
        }
    }

    fn look(&mut self) -> Look {
        self.looks_left -= 1;
        match self.looks_left {
            0 => Look::Kill,
            _ if self.bytes.next() < 64 => Look::Pause,
            _ => Look::GoOn,
        }
    }

    fn log(&mut self, _: Level, _: &[u8]) {}

    fn set_replication(&mut self, _: bool, _: bool) {}

    fn may_run(&mut self, words: &[&[u8]]) -> Option<bool> {
        words.len().checked_sub(1).map(|more| more > 0)
    }
}

#[test]
fn whatever_scripts_do_the_next_finds_all_as_it_was() {
    let setup = Setup::limited(4 << 20);
    let seen = setup.eval(SEEN);
    assert!(seen.starts_with('$'), "{seen}");
    let mut ended = [0; 4];
    for seed in 1..=3_000u64 {
        let mut bytes = Bytes(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let text = words::script(|| bytes.next());
        let script = Script::new(text.as_bytes(), |_| Ok(())).expect("it has no first line of its own");
        let script = Arc::new(script);
        if let Err(error) = setup.machines.check(&script) {
            panic!("{}\n{text}", String::from_utf8_lossy(&error));
        }
        let looks_left = 1 + u32::from(bytes.next()) % 60;
        let is_dropped = bytes.next() < 40;
        let mut host = Anything { bytes, looks_left };
        let mut run = setup.machines.begin(What::Script(&script), &[b"k"], &[b"1", b"x"], Proto::Resp3);
        let mut reply = Vec::new();
        loop {
            match run.resume(&mut host, &mut reply) {
                Progress::Paused if is_dropped => break ended[3] += 1,
                Progress::Paused => {}
                Progress::Done { is_error, .. } => {
                    assert_eq!(is_error, reply[0] == b'-');
                    let is_killed = reply.starts_with(b"-ERR Script killed");
                    break ended[usize::from(is_error) + usize::from(is_killed)] += 1;
                }
            }
        }
        drop(run);
        if seed % 10 == 0 {
            assert_eq!(setup.eval(SEEN), seen, "seed {seed}\n{text}");
        }
    }
    // Each way to end is one that happened.
    assert!(ended.iter().all(|count| *count > 10), "{ended:?}");
    setup.limits.memory_bytes.store(0, Ordering::Relaxed);
    assert_eq!(setup.eval("return 1"), ":1\r\n");
}
