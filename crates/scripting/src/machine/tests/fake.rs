//! A host for tests, and machines with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustredis_resp::{Proto, Reply};

use crate::host::{Host, Level, Look};
use crate::machine::{Limits, Machines, Progress, What};
use crate::script::Script;

/// Knows GET, SET, INCR, ECHO, and RAW, which answers with its argument as it is; SECRET may not be run, PANIC panics.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) keys: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) calls: Vec<Vec<Vec<u8>>>,
    pub(super) logged: Vec<String>,
    pub(super) replication: Vec<(bool, bool)>,
    pub(super) looks: usize,
    /// Pauses at each look.
    pub(super) pauses: bool,
    /// Kills at the look of this number.
    pub(super) kills_at: Option<usize>,
}

impl Host for Fake {
    fn call(&mut self, words: &[&[u8]], proto: Proto, reply: &mut Vec<u8>) {
        self.calls.push(words.iter().map(|word| word.to_vec()).collect());
        let name = words[0].to_ascii_uppercase();
        let mut writer = Reply::new(reply, proto);
        match (&name[..], &words[1..]) {
            (b"GET", [key]) => writer.bulk_or_null(self.keys.get(*key).map(|value| &value[..])),
            (b"SET", [key, value]) => {
                self.keys.insert(key.to_vec(), value.to_vec());
                writer.ok();
            }
            (b"INCR", [key]) => {
                let value = self.keys.get(*key).map_or("0".into(), |value| String::from_utf8_lossy(value));
                match value.parse::<i64>() {
                    Ok(value) => {
                        self.keys.insert(key.to_vec(), (value + 1).to_string().into_bytes());
                        writer.int(value + 1);
                    }
                    Err(_) => writer.error("ERR value is not an integer or out of range"),
                }
            }
            (b"ECHO", [text]) => writer.bulk(text),
            (b"RAW", [text]) => writer.raw(text),
            (b"COUNT", words) => writer.count(words.len()),
            (b"PANIC", _) => std::panic::panic_any("the host panics"),
            (b"GET" | b"SET" | b"INCR" | b"ECHO" | b"RAW", _) => {
                writer.error("ERR Wrong number of args calling Redis command from script");
            }
            _ => writer.error("ERR Unknown Redis command called from script"),
        }
    }

    fn look(&mut self) -> Look {
        self.looks += 1;
        match self.kills_at {
            Some(at) if self.looks >= at => Look::Kill,
            _ if self.pauses => Look::Pause,
            _ => Look::GoOn,
        }
    }

    fn log(&mut self, level: Level, text: &[u8]) {
        self.logged.push(format!("{level:?}: {}", String::from_utf8_lossy(text)));
    }

    fn set_replication(&mut self, to_file: bool, to_replicas: bool) {
        self.replication.push((to_file, to_replicas));
    }

    fn may_run(&mut self, words: &[&[u8]]) -> Option<bool> {
        match words[0] {
            b"GET" => Some(true),
            b"SECRET" => Some(false),
            _ => None,
        }
    }
}

/// Machines, and what they may use.
pub(super) struct Setup {
    pub(super) limits: Arc<Limits>,
    pub(super) machines: Machines,
}

impl Setup {
    pub(super) fn new() -> Self {
        let limits = Arc::new(Limits { memory_bytes: AtomicUsize::new(0) });
        Self { machines: Machines::new(Arc::clone(&limits)), limits }
    }

    /// With a limit of memory.
    pub(super) fn limited(bytes: usize) -> Self {
        let setup = Self::new();
        setup.limits.memory_bytes.store(bytes, Ordering::Relaxed);
        setup
    }

    /// What a script replies in RESP2, with a host of its own.
    pub(super) fn eval(&self, script: &str) -> String {
        self.eval_with(script, &[], &[], &mut Fake::default())
    }

    /// What a script replies in RESP2.
    pub(super) fn eval_with(
        &self,
        script: &str,
        keys: &[&str],
        arguments: &[&str],
        host: &mut Fake,
    ) -> String {
        self.eval_in(Proto::Resp2, script, keys, arguments, host)
    }

    /// What a script replies in a protocol. While it pauses, others run.
    pub(super) fn eval_in(
        &self,
        proto: Proto,
        script: &str,
        keys: &[&str],
        arguments: &[&str],
        host: &mut Fake,
    ) -> String {
        let script = match Script::new(script.as_bytes(), |_| Ok(())) {
            Ok(script) => Arc::new(script),
            Err(error) => return format!("-{}\r\n", String::from_utf8_lossy(&error)),
        };
        if let Err(error) = self.machines.check(&script) {
            return format!("-{}\r\n", String::from_utf8_lossy(&error));
        }
        self.run(What::Script(&script), proto, keys, arguments, host)
    }

    /// What is run replies.
    pub(super) fn run(
        &self,
        what: What<'_>,
        proto: Proto,
        keys: &[&str],
        arguments: &[&str],
        host: &mut Fake,
    ) -> String {
        let keys: Vec<&[u8]> = keys.iter().map(|word| word.as_bytes()).collect();
        let arguments: Vec<&[u8]> = arguments.iter().map(|word| word.as_bytes()).collect();
        let mut run = self.machines.begin(what, &keys, &arguments, proto);
        let mut reply = b"before ".to_vec();
        let mut pauses = 0;
        loop {
            match run.resume(host, &mut reply) {
                Progress::Paused => {
                    pauses += 1;
                    assert_eq!(reply, b"before ");
                    if pauses % 50 == 1 {
                        assert_eq!(self.eval("return 'meanwhile'"), "$9\r\nmeanwhile\r\n");
                    }
                }
                Progress::Done { is_error, .. } => {
                    let reply = String::from_utf8_lossy(&reply).into_owned();
                    let reply = reply.strip_prefix("before ").expect("what stood there stays").to_owned();
                    assert_eq!(is_error, reply.starts_with('-'), "{reply}");
                    return reply;
                }
            }
        }
    }
}
