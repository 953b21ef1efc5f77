//! DEBUG UNIT: a command that runs commands, by the way that scripts take. What they do is one step: one unit of the journal, and
//! nobody who waits is served before the last.

use rustredis_commands::{Args, CommandError, OwnedArgs, Row, Run};
use rustredis_keyspace::View;
use rustredis_resp::Reply;

use crate::commands::Context;
use crate::gate;
use crate::request::context::NO_CONNECTION;
use crate::request::origin::Origin;
use crate::request::run;
use crate::start::server::Server;

/// Stands between two commands.
const SEPARATOR: &[u8] = b"|";

/// Runs the commands from argument 2 on and answers an array of their replies. All are resolved before the first runs.
pub(super) fn run(
    context: &mut Context<'_>,
    view: &mut View<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), CommandError> {
    let server = context.server;
    let words: Vec<&[u8]> = args.from(2).collect();
    let commands = words
        .split(|word| *word == SEPARATOR)
        .map(|words| resolve(server, words))
        .collect::<Result<Vec<_>, _>>()?;
    let worker = context.worker.ok_or(NO_CONNECTION)?;
    let mut inner = Context {
        server,
        worker: Some(worker),
        caller: context.caller,
        progress: context.progress,
        conversation: None,
        origin: Origin::Script,
    };
    reply.array(commands.len());
    let is_memory_short =
        server.gate().has(gate::MEMORY_LIMITED) && server.eviction().is_exceeded(worker.last_clock());
    let _step = worker.steps.begin();
    for (row, args) in &commands {
        let mut output = Vec::new();
        run::inner(&mut inner, view, &mut output, row, args.args(), !is_memory_short);
        reply.raw(&output);
    }
    Ok(())
}

/// A command over keys with its arguments.
fn resolve<'s>(server: &'s Server, words: &[&[u8]]) -> Result<(&'s Row, OwnedArgs), CommandError> {
    let words = OwnedArgs::from_parts(words);
    let row = server.registry().resolve(words.args())?;
    if !matches!(row.command.run, Run::Keys(_)) {
        return Err(CommandError::text("ERR DEBUG UNIT runs commands over keys alone"));
    }
    let mut keys = Vec::new();
    row.hash_keys(words.args(), &mut keys);
    Ok((row, OwnedArgs::new(words.args().with_keys(&keys))))
}
