//! What a script reaches of the server: the commands that it calls, under what is held for it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustredis_commands::{
    Args, Begin, CommandError, Find, Flags, KeyFlags, KeyRef, OwnedArgs, Recent, Registry, Row,
};
use rustredis_keyspace::{Covered, View};
use rustredis_metrics::CommandId;
use rustredis_persistence::journal::Audience;
use rustredis_resp::{Proto, Reply, Span, number};
use rustredis_scripting::proof::{Argument, Call};
use rustredis_scripting::{Host as ScriptHost, Level, Look};

use crate::gate;
use crate::request::caller::{Caller, Progress};
use crate::request::context::Context;
use crate::request::origin::Origin;
use crate::request::permission::{self, Place};
use crate::request::record;
use crate::request::redact;
use crate::request::refusals;
use crate::request::run::{self, count_error};
use crate::request::script::callee::Callee;
use crate::request::worker::Worker;
use crate::scripts::kept::Buffers;
use crate::scripts::{loader, running};
use crate::start::server::Server;

/// What is remembered of a run from one turn to the next.
pub(super) struct Past {
    is_read_only: bool,
    /// Whether what takes memory is refused before the first write.
    is_memory_short: bool,
    /// Who is told of what it has written last.
    pub(super) audience: Audience,
    /// When its turn is over, by the worker's clock.
    pub(super) turn_ends: u64,
    /// Whether a command that writes has run.
    pub(super) has_written: bool,
    /// Whether it has called for what is not held, before it wrote anything: it ends, and begins anew.
    pub(super) has_strayed: bool,
    /// Who may end it, once it has had a turn.
    pub(super) running: Option<Arc<running::Script>>,
    /// Room for a call.
    pub(super) buffers: Buffers,
}

impl Past {
    pub(super) fn new(callee: &Callee, is_memory_short: bool, turn_ends: u64, buffers: Buffers) -> Self {
        Self {
            is_read_only: callee.is_read_only,
            is_memory_short: is_memory_short && !callee.allows_oom,
            audience: Audience::Both,
            turn_ends,
            has_written: false,
            has_strayed: false,
            running: None,
            buffers,
        }
    }

    /// Whether somebody has ended it.
    pub(super) fn is_killed(&self) -> bool {
        self.running.as_ref().is_some_and(|script| script.is_killed())
    }
}

/// See the module's text.
pub(super) struct Host<'h, 'v> {
    pub(super) server: &'h Server,
    pub(super) worker: &'h Worker,
    /// Who runs it, with the database that the script has selected.
    pub(super) caller: &'h mut Caller,
    pub(super) progress: &'h mut Progress,
    pub(super) view: &'h mut View<'v>,
    pub(super) past: &'h mut Past,
}

const UNKNOWN: CommandError = CommandError::text("ERR Unknown Redis command called from script");
const WRONG_ARITY: CommandError =
    CommandError::text("ERR Wrong number of args calling Redis command from script");
const NOT_IN_SCRIPTS: CommandError = CommandError::text("ERR This Redis command is not allowed from script");
const READ_ONLY: CommandError =
    CommandError::text("ERR Write commands are not allowed from read-only scripts.");
const UNDECLARED: CommandError = CommandError::text(
    "ERR Script attempted to access a key that it was not given, after it had written: pass every key in KEYS",
);

/// Nobody sees it: the next look ends the script.
const KILLED: CommandError = CommandError::text("ERR The script was killed");

impl ScriptHost for Host<'_, '_> {
    fn call(&mut self, words: &[&[u8]], proto: Proto, reply: &mut Vec<u8>) {
        let mut buffers = std::mem::take(&mut self.past.buffers);
        let Buffers { text, spans, keys, recent } = &mut buffers;
        text.clear();
        spans.clear();
        keys.clear();
        if words.iter().map(|word| word.len()).sum::<usize>() > CALL_BYTES_MAX {
            Reply::new(reply, proto).error(&TOO_LONG.wire());
            count_error(self.server, self.worker, &TOO_LONG);
            return;
        }
        for word in words {
            spans.push(Span { start: text.len() as u32, len: word.len() as u32 });
            text.extend_from_slice(word);
        }
        let args = Args::new(text, spans, &[]);
        self.worker.read_clock();
        if let Err((error, row)) = self.run(args, (keys, recent), proto, reply) {
            Reply::new(reply, proto).error(&error.wire());
            if !self.past.has_strayed {
                count_error(self.server, self.worker, &error);
                row.into_iter().for_each(|row| self.worker.metrics.reject(CommandId(row)));
            }
        }
        self.past.buffers = buffers;
    }

    #[inline]
    fn look(&mut self) -> Look {
        if self.past.has_strayed || self.past.is_killed() {
            return Look::Kill;
        }
        if self.worker.read_clock() < self.past.turn_ends { Look::GoOn } else { Look::Pause }
    }

    fn log(&mut self, level: Level, text: &[u8]) {
        loader::log(level, text);
    }

    fn set_replication(&mut self, to_file: bool, to_replicas: bool) {
        let audience = match (to_file, to_replicas) {
            (true, true) => Some(Audience::Both),
            (true, false) => Some(Audience::File),
            (false, true) => Some(Audience::Replicas),
            (false, false) => None,
        };
        // Where there are no replicas, who alone is told of them is nobody.
        let has_replicas = self.server.durability().journal.is_heard_by(Audience::Replicas);
        let audience = match audience {
            Some(Audience::File) if !has_replicas => Some(Audience::Both),
            Some(Audience::Replicas) if !has_replicas => None,
            audience => audience,
        };
        let lane = &self.worker.lane;
        if let Some(audience) = audience
            && audience != self.past.audience
        {
            // What was done so far is a unit of its own: others hear of it.
            lane.audience.set(Some(self.past.audience));
            let place = record::commit(self.server, self.worker, self.view, None);
            self.progress.note_write(place);
            self.past.audience = audience;
        }
        lane.audience.set(audience);
    }

    fn may_run(&mut self, words: &[&[u8]]) -> Option<bool> {
        let args = OwnedArgs::from_parts(words);
        let (registry, args) = (self.server.registry(), args.args());
        let row = match registry.resolve(args) {
            Ok(row) => row,
            Err(CommandError::Arity(name)) => registry.find_full(&name)?,
            Err(_) => return None,
        };
        let Some(user) = &self.caller.restricted else { return Some(true) };
        let mut keys = Vec::new();
        row.hash_keys(args, &mut keys);
        keys.retain(|key| (key.argument as usize) < args.len());
        Some(user.check(row, args.with_keys(&keys), self.caller.db).is_ok())
    }
}

/// Most bytes of one call: a span tells its place in 31 bits.
const CALL_BYTES_MAX: usize = i32::MAX as usize;
const TOO_LONG: CommandError = CommandError::text("ERR The arguments of a script's call are too long");

impl Host<'_, '_> {
    /// Runs a command, or says why it does not run, and which row that concerns.
    fn run(
        &mut self,
        args: Args<'_>,
        (keys, recent): (&mut Vec<KeyRef>, &mut Recent),
        proto: Proto,
        reply: &mut Vec<u8>,
    ) -> Result<(), (CommandError, Option<u16>)> {
        let Self { server, worker, .. } = *self;
        let row = match server.registry().resolve_next(args, recent) {
            Ok(row) => row,
            Err(CommandError::Arity(name)) => {
                return Err((WRONG_ARITY, server.registry().find_full(&name).map(|row| row.id)));
            }
            Err(_) => return Err((UNKNOWN, None)),
        };
        let flags = row.command.flags;
        let refused = |error| Err((error, Some(row.id)));
        if flags.has(Flags::NOSCRIPT) && !server.scripts().allows_all.load(Relaxed) {
            return refused(NOT_IN_SCRIPTS);
        }
        row.hash_keys(args, keys);
        let args = args.with_keys(keys);
        if let Err(denied) = permission::ask(server, self.caller, row, args, Place::Script) {
            let reason = permission::reason(self.caller, denied, row);
            return refused(CommandError::Other(
                [b"ERR ACL failure in script: ", &reason[..]].concat().into(),
            ));
        }
        if self.past.is_read_only && flags.has_any(Flags::WRITE.with(Flags::MAY_REPLICATE)) {
            return refused(READ_ONLY);
        }
        permission::ask_patterns(self.caller, row, args).map_err(|error| (error, Some(row.id)))?;
        if !self.is_held(row, args) {
            if self.past.has_written {
                server.scripts().counts.undeclared_late.fetch_add(1, Relaxed);
                debug_assert!(false, "a script was proven to touch its keys alone, and touches another");
                return refused(UNDECLARED);
            }
            self.past.has_strayed = true;
            return refused(UNDECLARED);
        }
        let may_use_memory = !self.past.is_memory_short;
        // What is refused below writes nothing: its script can be killed still.
        if flags.has(Flags::WRITE)
            && (self.past.has_written || refusals::admit_inner(server, row, may_use_memory).is_ok())
        {
            if self.past.running.as_ref().is_some_and(|script| !script.begin_to_write()) {
                return refused(KILLED);
            }
            self.past.has_written = true;
        }
        self.caller.proto = proto;
        self.view.select(self.caller.db);
        let mut context = Context {
            server,
            worker: Some(worker),
            caller: self.caller,
            progress: self.progress,
            conversation: None,
            origin: Origin::Script,
        };
        run::inner(&mut context, self.view, reply, row, args, may_use_memory);
        if server.gate().has(gate::MONITORED) {
            redact::show_inner(server, self.caller.db, row, args);
        }
        Ok(())
    }

    /// Whether what is held is what this command reaches.
    #[inline]
    fn is_held(&self, row: &Row, args: Args<'_>) -> bool {
        let covered = self.view.covered();
        if covered == Covered::All {
            return true;
        }
        let store = self.server.engine().store();
        row.reaches_keys_alone(args)
            && args.key_refs().iter().all(|key| covered.has(store.shard_of(key.hash)))
    }
}

/// Whether a call in a script's text touches elements of KEYS alone; else why not.
///
/// # Errors
/// A sentence's end.
pub(crate) fn reaches_declared_keys(registry: &Registry, call: &Call<'_>) -> Result<(), String> {
    const UNDECLARED_KEY: &str = "it calls a command with a key that is not an element of KEYS";
    let Some(Argument::Text(name)) = call.arguments.first() else {
        return Err("it calls a command whose name is not a literal".to_owned());
    };
    let Some(container) = registry.find(name) else {
        // It is an error before it touches anything.
        return Ok(());
    };
    let sub = match call.arguments.get(1) {
        _ if container.command.subcommands.is_empty() => None,
        Some(Argument::Text(sub)) => registry.subcommand(container, sub),
        _ => return Err("it calls a subcommand whose name is not a literal".to_owned()),
    };
    let row = sub.unwrap_or(container);
    if !row.command.always_reaches_keys_alone() {
        return Err(format!("it calls {}, which may reach any key", row.full_name.to_ascii_uppercase()));
    }
    let is_key = |index: usize| match call.arguments.get(index) {
        Some(argument) => *argument == Argument::Key,
        // One that may be missing: then the command is an error.
        None => call.further.is_none_or(|further| further == Argument::Key),
    };
    if row.command.find_keys.is_some() {
        return Err(format!("the keys of {} depend on its arguments", row.full_name.to_ascii_uppercase()));
    }
    for spec in row.command.keys.iter().filter(|spec| !spec.flags.has(KeyFlags::NOT_KEY)) {
        let Begin::Index(first) = spec.begin else {
            return Err(format!(
                "the keys of {} depend on its arguments",
                row.full_name.to_ascii_uppercase()
            ));
        };
        match spec.find {
            Find::Range { last, step, .. } if last >= 0 => {
                if !(first..=first + last as usize).step_by(step.max(1)).all(is_key) {
                    return Err(UNDECLARED_KEY.to_owned());
                }
            }
            Find::Range { last, step, limit } if limit <= 1 => {
                let behind = (-1 - last) as usize;
                let end = call.arguments.len().saturating_sub(behind);
                let is_rest_keys = match call.further {
                    None => true,
                    Some(further) => last == -1 && step == 1 && further == Argument::Key,
                };
                if !is_rest_keys || !(first..end).step_by(step.max(1)).all(is_key) {
                    return Err(UNDECLARED_KEY.to_owned());
                }
            }
            Find::KeyNum { number: at, first: from, step } => {
                let Some(Argument::Text(count)) = call.arguments.get(first + at) else {
                    return Err("it calls a command whose number of keys is not a literal".to_owned());
                };
                let count = number::parse_u64(count).unwrap_or(0) as usize;
                let keys = (0..count).map(|key| first + from + key * step.max(1));
                if count > call.arguments.len() || !keys.into_iter().all(is_key) {
                    return Err(UNDECLARED_KEY.to_owned());
                }
            }
            Find::Range { .. } | Find::Unknown => {
                return Err(format!(
                    "the keys of {} depend on its arguments",
                    row.full_name.to_ascii_uppercase()
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustredis_scripting::proof::prove;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(), &str>) {
        let families: Vec<_> = rustredis_commands::FAMILIES
            .iter()
            .copied()
            .chain(crate::commands::FAMILIES.iter().map(|family| family.rows))
            .collect();
        let registry = Registry::new(&families, &[]).unwrap();
        let proof = prove(text.as_bytes(), |call| reaches_declared_keys(&registry, call));
        assert_eq!(proof.as_ref().copied().map_err(|unproven| unproven.why.as_str()), expected, "{text}");
    }

    const UNDECLARED_KEY: Result<(), &str> =
        Err("it calls a command with a key that is not an element of KEYS");

    #[test]
    fn calls_with_declared_keys_alone_are_proven() {
        for text in [
            "return redis.call('get', KEYS[1])",
            "return redis.call('set', KEYS[1], ARGV[1], 'EX', ARGV[2])",
            "return redis.call('mset', KEYS[1], ARGV[1], KEYS[2], ARGV[2])",
            "return redis.call('mget', unpack(KEYS))",
            "return redis.call('blpop', KEYS[1], KEYS[2], 0)",
            "return redis.call('zunionstore', KEYS[1], 2, KEYS[2], KEYS[3])",
            "return redis.call('lmove', KEYS[1], KEYS[2], 'LEFT', 'RIGHT')",
            "return redis.call('object', 'encoding', KEYS[1])",
            "return redis.call('publish', ARGV[1], ARGV[2])",
            "return redis.call('zadd', KEYS[1], unpack(ARGV))",
            "return redis.call('no-such-command', ARGV[1])",
            "return redis.call('time')",
        ] {
            check(text, Ok(()));
        }
    }

    #[test]
    fn other_calls_are_not() {
        for text in [
            "return redis.call('get', ARGV[1])",
            "return redis.call('get', 'literal')",
            "return redis.call('mset', KEYS[1], ARGV[1], ARGV[2], ARGV[3])",
            "return redis.call('mset', unpack(ARGV))",
            "return redis.call('mget', KEYS[1], unpack(ARGV))",
            "return redis.call('del', KEYS[1], KEYS[1] .. 'x')",
            "return redis.call('blpop', KEYS[1], ARGV[1], 0)",
            "return redis.call('zunionstore', KEYS[1], 2, KEYS[2], ARGV[1])",
            "return redis.call('lmove', KEYS[1], ARGV[1], 'LEFT', 'RIGHT')",
        ] {
            check(text, UNDECLARED_KEY);
        }
        for (text, why) in [
            ("return redis.call('keys', '*')", "it calls KEYS, which may reach any key"),
            ("return redis.call('dbsize')", "it calls DBSIZE, which may reach any key"),
            ("return redis.call('sort', KEYS[1])", "it calls SORT, which may reach any key"),
            ("return redis.call(ARGV[1], KEYS[1])", "it calls a command whose name is not a literal"),
            (
                "return redis.call('object', ARGV[1], KEYS[1])",
                "it calls a subcommand whose name is not a literal",
            ),
            (
                "return redis.call('zunionstore', KEYS[1], #KEYS, unpack(KEYS))",
                "it calls a command whose number of keys is not a literal",
            ),
            (
                "return redis.call('georadius', KEYS[1], 1, 2, 3, 'km', 'STORE', KEYS[2])",
                "the keys of GEORADIUS depend on its arguments",
            ),
        ] {
            check(text, Err(why));
        }
    }
}
