//! What a script reaches of the server.

use rustredis_resp::Proto;

/// How a line of the log is marked: `redis.LOG_DEBUG` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// 0.
    Debug,
    /// 1.
    Verbose,
    /// 2.
    Notice,
    /// 3.
    Warning,
}

/// What a script is to do when it has looked whether it may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It may.
    GoOn,
    /// It gives its turn to others: [`crate::machine::Run::resume`] returns, and the next call goes on where it was.
    Pause,
    /// It ends: with an error that no `pcall` keeps.
    Kill,
}

/// What a script reaches of the server, for the time of one [`crate::machine::Run::resume`].
pub trait Host {
    /// Runs a command that the script calls, of one word and more, and appends its one reply in RESP of this version to `reply`; an error is such a reply too
    /// (`-CODE text\r\n`). It checks all that the server knows of commands: whether there is one, its arity, whether scripts may run it, and what
    /// the script's flags forbid.
    fn call(&mut self, words: &[&[u8]], proto: Proto, reply: &mut Vec<u8>);

    /// Whether the script goes on. Asked every few microseconds while it runs.
    fn look(&mut self) -> Look;

    /// Writes to the server's log (`redis.log`).
    fn log(&mut self, level: Level, text: &[u8]);

    /// Who is told of what the script writes from now on (`redis.set_repl`): the append-only file, replicas.
    fn set_replication(&mut self, to_file: bool, to_replicas: bool);

    /// Whether the script's caller may run such a command (`redis.acl_check_cmd`); `None` if there is no such command.
    fn may_run(&mut self, words: &[&[u8]]) -> Option<bool>;
}
