//! A script that a target runs again and again, with its input as ARGV. It has little memory, and is ended after so many looks.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use rustredis_resp::Proto;
use rustredis_scripting::machine::{Limits, Machines, Progress, What};
use rustredis_scripting::script::Script;
use rustredis_scripting::{Host, Level, Look};

const MEMORY_BYTES: usize = 16 << 20;
const LOOKS_MAX: u32 = 2_000;

/// Reached by no command.
struct Alone {
    looks_left: u32,
}

impl Host for Alone {
    fn call(&mut self, _: &[&[u8]], _: Proto, reply: &mut Vec<u8>) {
        reply.extend_from_slice(b"-ERR there are no commands\r\n");
    }

    fn look(&mut self) -> Look {
        self.looks_left = self.looks_left.saturating_sub(1);
        // Every other turn ends here, so that whatever is interrupted goes on as if it was not.
        match self.looks_left {
            0 => Look::Kill,
            left if left % 2 == 0 => Look::Pause,
            _ => Look::GoOn,
        }
    }

    fn log(&mut self, _: Level, _: &[u8]) {}

    fn set_replication(&mut self, _: bool, _: bool) {}

    fn may_run(&mut self, _: &[&[u8]]) -> Option<bool> {
        None
    }
}

/// Runs a script, which says true if all is as it should be; nor is it wrong if it takes too long, or too much.
pub fn check(text: &str, arguments: &[&[u8]]) {
    thread_local! {
        static MACHINES: Machines = {
            let limits = Limits { memory_bytes: AtomicUsize::new(MEMORY_BYTES) };
            Machines::new(Arc::new(limits))
        };
    }
    let machines = MACHINES.with(Machines::clone);
    let Ok(script) = Script::new(text.as_bytes(), |_| Ok(())) else {
        panic!("the target's script has a shebang")
    };
    let script = Arc::new(script);
    let mut host = Alone { looks_left: LOOKS_MAX };
    let mut reply = Vec::new();
    let mut run = machines.begin(What::Script(&script), &[], arguments, Proto::Resp2);
    while let Progress::Paused = run.resume(&mut host, &mut reply) {}
    let reply = String::from_utf8_lossy(&reply);
    let is_ended = reply.contains("killed") || reply.contains("not enough memory");
    assert!(reply == ":1\r\n" || is_ended, "{reply}");
}
