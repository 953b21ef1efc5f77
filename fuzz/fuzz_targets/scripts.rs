//! Scripts made of random calls, interrupted at every other look: none brings the process down, and the next finds all as it was.

#![no_main]

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use libfuzzer_sys::fuzz_target;
use rustredis_resp::Proto;
use rustredis_scripting::machine::{Limits, Machines, Progress, What};
use rustredis_scripting::script::Script;
use rustredis_scripting::{Host, Level, Look};

#[path = "../../crates/scripting/src/machine/tests/words.rs"]
mod words;

const MEMORY_BYTES: usize = 4 << 20;
const LOOKS_MAX: u32 = 200;

/// Answers each command with a nested array.
struct Nested {
    looks_left: u32,
}

impl Host for Nested {
    fn call(&mut self, _: &[&[u8]], _: Proto, reply: &mut Vec<u8>) {
        reply.extend_from_slice(b"*3\r\n+OK\r\n*2\r\n:1\r\n$-1\r\n-ERR no\r\n");
    }

    fn look(&mut self) -> Look {
        self.looks_left = self.looks_left.saturating_sub(1);
        match self.looks_left {
            0 => Look::Kill,
            left if left % 2 == 0 => Look::Pause,
            _ => Look::GoOn,
        }
    }

    fn log(&mut self, _: Level, _: &[u8]) {}

    fn set_replication(&mut self, _: bool, _: bool) {}

    fn may_run(&mut self, _: &[&[u8]]) -> Option<bool> {
        Some(true)
    }
}

const SEEN: &str = "local n = 0
    for _, t in pairs{_G, redis, string, table, math, cjson, cmsgpack, struct, bit, coroutine, os, getmetatable('')} do
        for k in pairs(t) do n = n + 1 end
    end
    return n .. ' ' .. ('x'):rep(3) .. tostring(rawget(_G, 'a')) .. #KEYS";

fn run(machines: &Machines, text: &str) -> Vec<u8> {
    let Ok(script) = Script::new(text.as_bytes(), |_| Ok(())) else { panic!("the script has a shebang") };
    let script = Arc::new(script);
    let mut host = Nested { looks_left: LOOKS_MAX };
    let mut reply = Vec::new();
    let mut run = machines.begin(What::Script(&script), &[b"k"], &[b"1", b"x"], Proto::Resp3);
    while let Progress::Paused = run.resume(&mut host, &mut reply) {}
    reply
}

fuzz_target!(|input: &[u8]| {
    let mut bytes = input.iter().copied();
    let text = words::script(|| bytes.next().unwrap_or_default());
    let machines = Machines::new(Arc::new(Limits { memory_bytes: AtomicUsize::new(MEMORY_BYTES) }));
    let seen = run(&machines, SEEN);
    run(&machines, &text);
    assert_eq!(run(&machines, SEEN), seen);
});
