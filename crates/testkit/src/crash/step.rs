//! What a connection sends, and what it knows of it afterwards.

use std::time::Instant;

use crate::{Command, Reply};

/// What a step is for, and so who checks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// Keys that only this connection writes: the model tells their exact state.
    Own,
    /// A key that is written once and expires soon.
    Soon,
    /// A key of all connections.
    Shared(Shared),
}

/// Keys of all connections, each with something that must hold of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Shared {
    /// `RPUSH log connection:number`: per connection in order, without a gap, from the first on.
    Log,
    /// `INCR counter`: never less than was acknowledged.
    Counter,
    /// MULTI: one account's loss is another one's gain.
    Transfer,
    /// MULTI: a counter and a hash's field that are always equal.
    Twins,
    /// `INCR first`, then `INCR second`: the second is never ahead.
    First,
    /// See [`Self::First`].
    Second,
    /// `LMOVE` among lists: tokens are neither lost nor doubled.
    Ring,
    /// `RPUSH queue connection:number`, for consumers that block.
    Queue,
    /// `SADD bag connection:number`.
    Bag,
    /// `SPOP bag`: what was answered is gone.
    Pop,
    /// `BLPOP queue`: what was answered is gone.
    Take,
    /// `BLMOVE queue done:connection`: what was answered is there.
    Pass,
}

/// An acknowledgement.
#[derive(Debug, Clone)]
pub(super) struct Ack {
    pub(super) at: Instant,
    /// Unix milliseconds.
    pub(super) at_ms: i64,
    /// A reply for each of the step's commands.
    pub(super) replies: Vec<Reply>,
}

/// One command, or a transaction of several, which happens as a whole or not at all.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) role: Role,
    pub(super) database: u32,
    pub(super) commands: Vec<Command>,
    pub(super) is_transaction: bool,
    /// Unix milliseconds before it was sent.
    pub(super) sent_at_ms: i64,
    /// None if the server died first.
    pub(super) ack: Option<Ack>,
}

impl Step {
    pub(super) fn new(role: Role, database: u32, line: &str) -> Self {
        Self {
            role,
            database,
            commands: vec![Command::line(line)],
            is_transaction: false,
            sent_at_ms: 0,
            ack: None,
        }
    }

    pub(super) fn transaction(role: Role, database: u32, lines: &[String]) -> Self {
        let commands = lines.iter().map(|line| Command::line(line)).collect();
        Self { role, database, commands, is_transaction: true, sent_at_ms: 0, ack: None }
    }

    /// The replies to read for it, without that to SELECT.
    pub(super) fn reply_count(&self) -> usize {
        if self.is_transaction { self.commands.len() + 2 } else { self.commands.len() }
    }

    /// Appends what is sent for it.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        if self.is_transaction {
            Command::line("MULTI").encode(out);
        }
        self.commands.iter().for_each(|command| command.encode(out));
        if self.is_transaction {
            Command::line("EXEC").encode(out);
        }
    }

    /// The bytes after the last space of its first command: what it adds to a shared key.
    pub(super) fn element(&self) -> &[u8] {
        self.commands[0].arguments.last().map_or(b"", Vec::as_slice)
    }
}

/// All that a connection sent in one round, in order.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) steps: Vec<Step>,
    /// Error replies that nothing explains.
    pub(super) errors: Vec<String>,
    /// Commands that were acknowledged.
    pub(super) acknowledged: u64,
    /// So many steps are on the disk, as WAITAOF has said.
    pub(super) durable: usize,
}

impl Trace {
    /// How many steps must have survived: those acknowledged not after `limit`, or before WAITAOF said that they were on the
    /// disk. Replies come in order, so they are the first ones.
    pub(super) fn required(&self, limit: Instant) -> usize {
        let in_time =
            self.steps.iter().take_while(|step| step.ack.as_ref().is_some_and(|ack| ack.at <= limit));
        in_time.count().max(self.durable)
    }
}
