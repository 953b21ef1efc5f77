//! How long scripts that do their worst go without a look, and how long they take to end when they are killed, with a limit of 64 MB:
//! `cargo run --release -p rustredis-scripting --example stops`.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use rustredis_resp::Proto;
use rustredis_scripting::machine::{Limits, Machines, Progress, What};
use rustredis_scripting::script::Script;
use rustredis_scripting::{Host, Level, Look};

/// Kills a script after a time, and measures the longest time between two looks.
struct Watch {
    begin: Instant,
    looked: Instant,
    longest: Duration,
    killed: Option<Instant>,
    looks: u64,
}

/// When a script is killed.
const TIME: Duration = Duration::from_millis(600);

impl Host for Watch {
    fn call(&mut self, words: &[&[u8]], _: Proto, reply: &mut Vec<u8>) {
        reply.extend_from_slice(format!("${}\r\n", words[1].len()).as_bytes());
        reply.extend_from_slice(words[1]);
        reply.extend_from_slice(b"\r\n");
    }

    fn look(&mut self) -> Look {
        let now = Instant::now();
        self.looks += 1;
        self.longest = self.longest.max(now - self.looked);
        self.looked = now;
        if now - self.begin < TIME {
            return Look::GoOn;
        }
        self.killed = Some(now);
        Look::Kill
    }

    fn log(&mut self, _: Level, _: &[u8]) {}

    fn set_replication(&mut self, _: bool, _: bool) {}

    fn may_run(&mut self, _: &[&[u8]]) -> Option<bool> {
        None
    }
}

const SCRIPTS: [(&str, &str); 28] = [
    ("an empty loop", "while true do end"),
    ("calls", "while true do redis.call('ECHO', 'x') end"),
    ("calls of 1 MB", "local s = ('x'):rep(1e6) while true do redis.call('ECHO', s) end"),
    ("errors", "while true do pcall(error, 'x') end"),
    ("coroutines", "while true do coroutine.wrap(function() for i = 1, 600 do end end)() end"),
    ("long texts", "while true do local s = ('x'):rep(2e7) end"),
    ("joining long texts", "local s = ('x'):rep(1e7) while true do local t = s .. 'y' end"),
    (
        "comparing long texts",
        "local a, b = ('x'):rep(1e7) .. 'a', ('x'):rep(1e7) .. 'b' while true do local c = a < b end",
    ),
    (
        "comparing texts of zeros",
        "local a, b = ('\\0'):rep(1e7) .. 'a', ('\\0'):rep(1e7) .. 'b' while true do local c = a < b end",
    ),
    ("reckoning with long texts", "local s = ('1'):rep(2e7) while true do local n = s + 1 end"),
    ("numbers of long texts", "local s = ('1'):rep(2e7) while true do tonumber(s) end"),
    ("numbers of texts like tables", "local s = ('1'):rep(20000007) while true do tonumber(s) end"),
    (
        "sorting long texts",
        "local t = {} for i = 1, 9 do t[i] = ('\\0'):rep(5e6) .. i end while true do table.sort(t) end",
    ),
    ("hashing a long text", "local s = ('x'):rep(2e7) while true do redis.sha1hex(s) end"),
    ("a pattern without end", "return (('a'):rep(30)):find(('a?'):rep(30) .. ('a'):rep(30))"),
    ("a pattern without end, balanced", "return (('x'):rep(1e6)):find('.-.-.-.-.-y')"),
    ("gsub of a long text", "local s = ('x'):rep(5e6) while true do s:gsub('x', 'y') end"),
    ("find of a long text", "local s = ('x'):rep(2e7) while true do s:find('y', 1, true) end"),
    ("upper of a long text", "local s = ('x'):rep(1e7) while true do s:upper() end"),
    (
        "sorting",
        "local t = {} for i = 1, 1e6 do t[i] = (i * 7919) % 1000003 end while true do table.sort(t) table.sort(t, function(a, b) return a > b end) end",
    ),
    (
        "a sort of bad order",
        "local t = {} for i = 1, 1e5 do t[i] = i end while true do pcall(table.sort, t, function() return true end) end",
    ),
    ("a table that grows", "while true do local t = {} for i = 1, 1e6 do t[i] = i end end"),
    ("many small tables", "local t = {} for i = 1, 5e5 do t[i] = {} end while true do local x = {} end"),
    ("collecting", "local t = {} for i = 1, 5e5 do t[i] = {} end while true do collectgarbage() end"),
    (
        "next over an empty table",
        "local t = {} for i = 1, 1e6 do t[i .. ''] = i end for k in pairs(t) do t[k] = nil end while true do next(t) end",
    ),
    (
        "a table that is filled and emptied",
        "local t = {} for i = 1, 524288 do t[-i] = i end t[-1] = nil while true do for i = 1, 100 do t[i + 0.5] = 1 t[i + 0.5] = nil end end",
    ),
    ("unpacking", "local t = {} for i = 1, 7000 do t[i] = i end while true do select('#', unpack(t)) end"),
    ("compiling", "local s = ('x = 1 '):rep(2e5) while true do loadstring(s) end"),
];

fn main() {
    let machines = Machines::new(Arc::new(Limits { memory_bytes: AtomicUsize::new(64 << 20) }));
    for (name, text) in SCRIPTS {
        let script = Arc::new(Script::new(text.as_bytes(), |_| Ok(())).expect("a script"));
        let now = Instant::now();
        let mut watch = Watch { begin: now, looked: now, longest: Duration::ZERO, killed: None, looks: 0 };
        let mut run = machines.begin(What::Script(&script), &[], &[], Proto::Resp2);
        let mut reply = Vec::new();
        let progress = run.resume(&mut watch, &mut reply);
        assert!(matches!(progress, Progress::Done { .. }));
        let end = watch.killed.map(|killed| killed.elapsed());
        let reply = String::from_utf8_lossy(&reply[..reply.len().min(40)]).trim_end().to_owned();
        println!(
            "{name:36} {:9.3} ms at most, ended after {:7.3} ms, {:8} looks: {reply}",
            watch.longest.as_secs_f64() * 1e3,
            end.unwrap_or_default().as_secs_f64() * 1e3,
            watch.looks
        );
    }
}
