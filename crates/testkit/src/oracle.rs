//! The model oracle: random histories, run on our server and on a reference, compared reply by reply.
//!
//! The reference is a real redis-server 7.0.15, or our own one-shard engine for what that Redis does not know. A
//! [`History`] follows from its seed alone. Few keys and values are drawn on, so that commands of all families meet on
//! the same keys, with wrong types, wrong arity and edge numbers among them; in the end the whole database is read and
//! compared as well. Where Redis itself leaves a reply open (the order of a set, a random member) or where 7.2 answers
//! otherwise than 7.0, [`normalise`] says so, in one place. On a mismatch the history is shrunk and printed with its seed.
//!
//! A model written in Rust was rejected as the reference: it would repeat our own reading of the documentation.

mod draw;
mod families;
mod grammar;
mod history;
mod normalise;
mod shrink;

use std::fmt::Write as _;

use crate::{Client, Command, DecodeError, Reply, Server};
pub use history::{Coverage, History, Step};
use normalise::Normaliser;

/// Commands that are sent before their replies are read.
const PIPELINE: usize = 100;
/// How the reply begins that stands for a connection's failure.
const LOST: &str = "(connection lost";

/// Where two servers first disagreed.
#[derive(Debug)]
struct Mismatch {
    /// Index of the step; the number of steps if it showed only when the database was read in the end.
    step: usize,
    command: Command,
    expected: Reply,
    actual: Reply,
}

/// Runs the history of `seed` with this many steps on both servers and compares. Panics on a mismatch, with the seed and
/// a shrunken history that still shows it. Both servers lose all that they hold.
#[track_caller]
pub fn check(server: &Server, reference: &Server, seed: u64, steps: usize, coverage: Coverage) {
    let history = History::new(seed, steps, coverage);
    let Some(first) = compare(server, reference, &history) else { return };
    if is_lost(&first.expected) {
        panic!("the reference failed; {}", report(seed, steps, &history, &first));
    }
    let fails = |candidate: &History| {
        let mismatch = compare(server, reference, candidate);
        mismatch.is_some_and(|mismatch| !is_lost(&mismatch.expected))
    };
    let shrunken = shrink::shrink(history, first.step, fails);
    let last = compare(server, reference, &shrunken).unwrap_or(first);
    let doubt = match compare(reference, reference, &shrunken) {
        Some(_) => "\nThe reference does not even agree with itself: the history leaves something open.\n",
        None => "",
    };
    panic!("{}{doubt}", report(seed, steps, &shrunken, &last));
}

/// The first reply in which the servers differ.
fn compare(server: &Server, reference: &Server, history: &History) -> Option<Mismatch> {
    let commands = history.commands();
    let expected = run(reference, &commands, history.coverage());
    let actual = run(server, &commands, history.coverage());
    let mut queued = Vec::new();
    for (index, (step, command)) in commands.iter().enumerate() {
        let lost = || Reply::Error(format!("{LOST} before)"));
        let expected = expected.get(index).cloned().unwrap_or_else(lost);
        let actual = actual.get(index).cloned().unwrap_or_else(lost);
        let agree = match (&expected, &actual) {
            (Reply::Array(a), Reply::Array(b)) if command.name() == "EXEC" && a.len() == b.len() => {
                let mut replies = a.iter().zip(b).zip(&queued);
                replies.all(|((a, b), command)| normalise::agree(command, a, b, history.coverage()))
            }
            _ => normalise::agree(command, &expected, &actual, history.coverage()),
        };
        if !agree {
            return Some(Mismatch { step: *step, command: command.clone(), expected, actual });
        }
        match command.name().as_str() {
            "MULTI" | "EXEC" | "DISCARD" => queued.clear(),
            _ if expected == Reply::Simple("QUEUED".into()) => queued.push(command.clone()),
            _ => {}
        }
    }
    None
}

/// Runs the commands on a fresh connection and an empty server. A failing connection becomes the last reply.
fn run(server: &Server, commands: &[(usize, Command)], coverage: Coverage) -> Vec<Reply> {
    let mut replies = Vec::with_capacity(commands.len());
    if let Err(error) = try_run(server, commands, coverage, &mut replies) {
        replies.push(Reply::Error(format!("{LOST}: {error})")));
    }
    replies
}

fn try_run(
    server: &Server,
    commands: &[(usize, Command)],
    coverage: Coverage,
    replies: &mut Vec<Reply>,
) -> Result<(), DecodeError> {
    let sending = |error| DecodeError::Io(error, false);
    let mut client = Client::try_connect(server.address()).map_err(sending)?;
    client.try_call(&["FLUSHALL"])?;
    let mut normaliser = Normaliser::new(coverage);
    for chunk in commands.chunks(PIPELINE) {
        let mut bytes = Vec::new();
        chunk.iter().for_each(|(_, command)| command.encode(&mut bytes));
        client.try_send_raw(&bytes).map_err(sending)?;
        for (_, command) in chunk {
            replies.push(normaliser.reply(command, client.try_read()?));
        }
    }
    Ok(())
}

fn is_lost(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(text) if text.starts_with(LOST))
}

fn report(seed: u64, steps: usize, history: &History, mismatch: &Mismatch) -> String {
    let mut text = format!("seed {seed} of {steps} steps: the servers disagree\n\n");
    let shown = mismatch.step.min(history.steps().len().saturating_sub(1));
    for command in history.prologue().iter().chain(history.steps().iter().take(shown + 1).flatten()) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {command}");
    }
    let _ = write!(
        text,
        "\n  {}\n  expected {}\n  got      {}\n",
        mismatch.command, mismatch.expected, mismatch.actual
    );
    text
}
