//! What EVAL or FCALL is to run: found, checked, with what it needs.

use std::sync::Arc;

use rustredis_commands::{Args, CommandError, Flags, Row, Rules};
use rustredis_resp::number;
use rustredis_scripting::function::{FunctionFlags, Libraries};
use rustredis_scripting::machine::What;
use rustredis_scripting::script::Script;

use crate::gate;
use crate::request::refusals::{self, OUT_OF_MEMORY, REPLICAS_MISSING};
use crate::request::script::host::reaches_declared_keys;
use crate::request::worker::Worker;
use crate::scripts::known::{Entry, Sha};
use crate::scripts::running::Kind;
use crate::start::server::Server;

/// Where the keys begin, in the arguments of each of these commands.
pub(crate) const FIRST_KEY: usize = 3;

/// Which of these commands it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Text,
    Sha,
    Name,
}

/// What is to run.
#[derive(Clone)]
pub(crate) struct Callee {
    code: Code,
    /// How many keys it was given.
    pub(crate) keys: usize,
    /// Whether it may not write.
    pub(crate) is_read_only: bool,
    /// Whether it may write though memory is short.
    pub(crate) allows_oom: bool,
}

#[derive(Clone)]
enum Code {
    Script(Arc<Entry>),
    Function { libraries: Arc<Libraries>, name: Vec<u8> },
}

impl Callee {
    pub(crate) fn what(&self) -> What<'_> {
        match &self.code {
            Code::Script(entry) => What::Script(&entry.script),
            Code::Function { libraries, name } => What::Function { libraries, name },
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.code {
            Code::Script(_) => Kind::Script,
            Code::Function { .. } => Kind::Function,
        }
    }

    /// The function's name; empty for a script.
    pub(crate) fn name(&self) -> &[u8] {
        match &self.code {
            Code::Script(_) => &[],
            Code::Function { name, .. } => name,
        }
    }

    /// Whether it runs with the shards of its keys alone: it is proven to touch no others, or may be tried, for it writes nothing.
    pub(crate) fn is_confined(&self) -> bool {
        match &self.code {
            Code::Script(entry) => entry.script.proof().is_ok() || self.is_read_only && !entry.strays(),
            Code::Function { .. } => false,
        }
    }

    /// Notes that it was to be confined, and has called for another key.
    pub(crate) fn note_stray(&self) {
        if let Code::Script(entry) = &self.code {
            entry.note_stray();
        }
    }
}

/// Finds what this command runs.
///
/// # Errors
/// The reply, if there is nothing to run, or it may not run.
pub(crate) fn find(
    server: &Server,
    worker: &Worker,
    row: &Row,
    args: Args<'_>,
) -> Result<Callee, CommandError> {
    let by = match row.command.rules {
        rules if rules.has(Rules::NAMES_SCRIPT) => By::Sha,
        rules if rules.has(Rules::NAMES_FUNCTION) => By::Name,
        _ => By::Text,
    };
    let must_read = row.command.flags.has(Flags::READONLY);
    // A function is looked for before its keys are counted, as in Redis.
    let function = if by == By::Name { Some(find_function(server, args.get(1))?) } else { None };
    if by == By::Sha && args.get(1).len() != size_of::<Sha>() {
        return Err(NO_SCRIPT);
    }
    let keys = count_keys(by, args)?;
    let (code, flags) = match function {
        Some((libraries, flags)) => (Code::Function { libraries, name: args.get(1).to_vec() }, Some(flags)),
        None => {
            let entry = find_script(server, worker, by, args.get(1))?;
            let flags = entry.script.flags();
            (Code::Script(entry), flags)
        }
    };
    let mut callee = Callee { code, keys, is_read_only: must_read, allows_oom: false };
    if let Some(flags) = flags {
        let writes = !flags.contains(FunctionFlags::NO_WRITES);
        callee.is_read_only |= !writes;
        callee.allows_oom = flags.contains(FunctionFlags::ALLOW_OOM);
        admit(server, worker, flags, writes, must_read)?;
    }
    Ok(callee)
}

/// Whether what this command runs may write, as far as that is known before it is found: a script that has told its flags may say that
/// it does not.
pub(crate) fn may_write(server: &Server, worker: &Worker, row: &Row, args: Args<'_>) -> bool {
    let rules = row.command.rules;
    if row.command.flags.has(Flags::READONLY) {
        return false;
    }
    let flags = if rules.has(Rules::NAMES_FUNCTION) {
        server.scripts().libraries.now().find(args.get(1)).map(|(_, function)| function.flags)
    } else if rules.has(Rules::NAMES_SCRIPT) {
        let known = &server.scripts().known;
        let entry = sha_of(args.get(1)).and_then(|sha| worker.scripts.find_sha(known, &sha));
        entry.and_then(|entry| entry.script.flags())
    } else {
        let text = args.get(1);
        let has_flags = text.starts_with(b"#!");
        has_flags.then(|| Script::new(text, |_| Ok(())).ok()).flatten().and_then(|script| script.flags())
    };
    flags.is_none_or(|flags| !flags.contains(FunctionFlags::NO_WRITES))
}

fn count_keys(by: By, args: Args<'_>) -> Result<usize, CommandError> {
    let count = number::parse_i64(args.get(2)).ok_or(match by {
        By::Name => CommandError::text("ERR Bad number of keys provided"),
        By::Text | By::Sha => CommandError::NotInteger,
    })?;
    if count > (args.len() - FIRST_KEY) as i64 {
        return Err(CommandError::text("ERR Number of keys can't be greater than number of args"));
    }
    usize::try_from(count).map_err(|_| CommandError::text("ERR Number of keys can't be negative"))
}

fn find_script(server: &Server, worker: &Worker, by: By, word: &[u8]) -> Result<Arc<Entry>, CommandError> {
    let (scripts, kept) = (server.scripts(), &worker.scripts);
    if by == By::Sha {
        let sha = sha_of(word).ok_or(NO_SCRIPT)?;
        let entry = kept.find_sha(&scripts.known, &sha).ok_or(NO_SCRIPT)?;
        entry.note_use(worker.now_ms());
        return Ok(entry);
    }
    if let Some(entry) = kept.find_text(word) {
        entry.note_use(worker.now_ms());
        return Ok(entry);
    }
    learn(server, worker, word, false)
}

const NO_SCRIPT: CommandError = CommandError::text("NOSCRIPT No matching script. Please use EVAL.");

/// Forty hexadecimal digits, in small case.
pub(crate) fn sha_of(word: &[u8]) -> Option<Sha> {
    let mut sha: Sha = word.try_into().ok()?;
    sha.make_ascii_lowercase();
    Some(sha)
}

/// Keeps a script with this text, if it compiles.
///
/// # Errors
/// The reply, if it does not.
pub(crate) fn learn(
    server: &Server,
    worker: &Worker,
    text: &[u8],
    is_loaded: bool,
) -> Result<Arc<Entry>, CommandError> {
    let script = Script::new(text, |call| reaches_declared_keys(server.registry(), call));
    let script = Arc::new(script.map_err(|error| CommandError::Other(error.into()))?);
    let machines = worker.scripts.machines(&server.scripts().limits);
    machines.check(&script).map_err(|error| CommandError::Other(error.into()))?;
    let entry = server.scripts().known.keep(script, is_loaded, worker.now_ms());
    worker.scripts.remember(&entry);
    Ok(entry)
}

fn find_function(server: &Server, name: &[u8]) -> Result<(Arc<Libraries>, FunctionFlags), CommandError> {
    let libraries = server.scripts().libraries.now();
    let found = libraries.find(name).map(|(_, function)| function.flags);
    let flags = found.ok_or(CommandError::text("ERR Function not found"))?;
    Ok((libraries, flags))
}

/// Checks what has told its flags before it runs.
fn admit(
    server: &Server,
    worker: &Worker,
    flags: FunctionFlags,
    writes: bool,
    must_read: bool,
) -> Result<(), CommandError> {
    let gate = server.gate();
    if writes {
        if must_read {
            return Err(CommandError::text(
                "ERR Can not execute a script with write flag using *_ro command.",
            ));
        }
        if gate.has(gate::DISK_ERROR) {
            return Err(refusals::disk_error(server));
        }
        if gate.has(gate::REPLICAS_MISSING) {
            return Err(REPLICAS_MISSING);
        }
    }
    if writes
        && !flags.contains(FunctionFlags::ALLOW_OOM)
        && gate.has(gate::MEMORY_LIMITED)
        && server.eviction().is_exceeded(worker.last_clock())
    {
        return Err(OUT_OF_MEMORY);
    }
    Ok(())
}
