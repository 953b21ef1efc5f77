//! The model oracle: random histories, run on our server and on a reference, compared reply by reply.
//!
//! The reference is a real redis-server 7.0.15, or our own one-shard engine for what that Redis does not know. A
//! [`History`] follows from its seed alone. Few keys and values are drawn on, so that commands of all families meet on
//! the same keys, with wrong types, wrong arity and edge numbers among them; in the end the whole database is read and
//! compared as well. Where Redis itself leaves a reply open (the order of a set, a random member) or where 7.2 answers
//! otherwise than 7.0, [`normalise`] says so, in one place. On a mismatch the history is shrunk and printed with its seed.
//!
//! Behind each history stands a second question: what does its append-only file give back ([`crate::replay`])? A history
//! whose keys live for milliseconds ([`Coverage::Near`]) has no other.
//!
//! A model written in Rust was rejected as the reference: it would repeat our own reading of the documentation.

mod coverage;
mod draw;
mod families;
mod grammar;
mod history;
mod normalise;
mod shrink;

use std::fmt::Write as _;

use crate::{Client, Command, DecodeError, Replay, Reply, Server, replay};
pub use coverage::{Gaps, gaps};
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

/// A history, and what is done with it.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// What it follows from.
    pub seed: u64,
    /// Its steps.
    pub steps: usize,
    /// The commands it may hold.
    pub coverage: Coverage,
    /// What is compared with the append-only file in the end; anything but `No` needs a server with
    /// [`replay::OPTIONS`].
    pub replay: Replay,
}

/// Runs a history on the server and, if there is one, on the reference, compares the replies, and then what the server holds
/// with its append-only file. Both servers lose all that they held. Gives back the number of commands.
///
/// # Errors
/// A report: what differs, the seed, and a shrunken history that still shows it. The server may be of no more use then.
pub fn run(server: &mut Server, reference: Option<&Server>, trial: Trial) -> Result<usize, String> {
    let history = History::new(trial.seed, trial.steps, trial.coverage);
    let commands = history.commands();
    match reference {
        Some(reference) => {
            if let Some(first) = compare(server, reference, &history) {
                return Err(explain(server, reference, trial, history, first));
            }
        }
        None => {
            let replies = execute(server, &commands, trial.coverage);
            if let Some(lost) = replies.last().filter(|reply| is_lost(reply)) {
                return Err(format!("{}: {lost}\n{}", headline(trial), lines(&history, trial.steps)));
            }
        }
    }
    let replayed = match trial.replay {
        Replay::No => Ok(()),
        Replay::Loading => replay::check_loading(server),
        Replay::LoadingAndRestart => {
            replay::check_loading(server).and_then(|()| replay::check_restart(server))
        }
    };
    replayed
        .map(|()| commands.len())
        .map_err(|difference| explain_replay(server, trial, history, &difference))
}

/// [`run`], which panics with its report.
#[track_caller]
pub fn check(server: &mut Server, reference: Option<&Server>, trial: Trial) {
    if let Err(report) = run(server, reference, trial) {
        panic!("{report}");
    }
}

/// A report of two servers that disagree.
fn explain(server: &Server, reference: &Server, trial: Trial, history: History, first: Mismatch) -> String {
    if is_lost(&first.expected) {
        return format!("the reference failed; {}", report(trial, &history, &first));
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
    format!("{}{doubt}", report(trial, &shrunken, &last))
}

/// A report of a file that gives back something else. Each attempt to shrink the history has a server of its own, for one
/// that could not load its file holds nothing certain.
fn explain_replay(server: &Server, trial: Trial, history: History, difference: &str) -> String {
    /// What depends on milliseconds does not happen each time.
    const ATTEMPTS: usize = 3;
    let attempt = |candidate: &History| {
        let mut fresh = server.launch().clone().try_start().ok()?;
        execute(&fresh, &candidate.commands(), trial.coverage);
        let replayed = replay::check_loading(&fresh);
        let replayed = match trial.replay {
            Replay::LoadingAndRestart => replayed.and_then(|()| replay::check_restart(&mut fresh)),
            Replay::No | Replay::Loading => replayed,
        };
        fresh.end();
        replayed.err()
    };
    let fails = |candidate: &History| (0..ATTEMPTS).any(|_| attempt(candidate).is_some());
    let steps = history.steps().len();
    let shrunken = shrink::shrink(history, steps, fails);
    let again = (0..ATTEMPTS).find_map(|_| attempt(&shrunken));
    let seen = match &again {
        Some(last) => format!("{last}\n\nand with all steps {difference}"),
        None => format!("{difference}\n(and not when it was tried again)"),
    };
    let name = server.binary().name();
    format!("{}: {name}: replay differs\n{}\n  {seen}\n", headline(trial), lines(&shrunken, steps))
}

/// The first reply in which the servers differ.
fn compare(server: &Server, reference: &Server, history: &History) -> Option<Mismatch> {
    let commands = history.commands();
    let expected = execute(reference, &commands, history.coverage());
    let actual = execute(server, &commands, history.coverage());
    let mut queued: Vec<Command> = Vec::new();
    for (index, (step, command)) in commands.iter().enumerate() {
        let lost = || Reply::Error(format!("{LOST} before)"));
        let expected = expected.get(index).cloned().unwrap_or_else(lost);
        let actual = actual.get(index).cloned().unwrap_or_else(lost);
        // EXEC's replies are those of what was queued.
        let exchanges: Vec<(&Command, &Reply, &Reply)> = match (&expected, &actual) {
            (Reply::Array(a), Reply::Array(b)) if command.name() == "EXEC" && a.len() == b.len() => {
                queued.iter().zip(a).zip(b).map(|((command, a), b)| (command, a, b)).collect()
            }
            _ => vec![(command, &expected, &actual)],
        };
        let coverage = history.coverage();
        if !exchanges.iter().all(|(command, a, b)| normalise::agree(command, a, b, coverage)) {
            return Some(Mismatch { step: *step, command: command.clone(), expected, actual });
        }
        if exchanges.iter().any(|(command, a, _)| normalise::ends_comparison(command, a, coverage)) {
            return None;
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
fn execute(server: &Server, commands: &[(usize, Command)], coverage: Coverage) -> Vec<Reply> {
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

fn report(trial: Trial, history: &History, mismatch: &Mismatch) -> String {
    format!(
        "{}: the servers disagree\n\n{}\n  {}\n  expected {}\n  got      {}\n",
        headline(trial),
        lines(history, mismatch.step),
        mismatch.command,
        mismatch.expected,
        mismatch.actual
    )
}

fn headline(trial: Trial) -> String {
    format!("seed {} of {} steps, {:?}", trial.seed, trial.steps, trial.coverage)
}

/// The history up to a step, a command a line.
fn lines(history: &History, last_step: usize) -> String {
    let mut text = String::new();
    let shown = last_step.min(history.steps().len().saturating_sub(1));
    for command in history.prologue().iter().chain(history.steps().iter().take(shown + 1).flatten()) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {command}");
    }
    text
}
