//! Many histories on one server, each checked while the next one is recorded.

use std::path::PathBuf;
use std::sync::mpsc::sync_channel;

use super::check::{Verdict, check};
use super::draw;
use super::history::{History, Overlap};
use super::program::Theme;
use super::record::{Plan, record};
use super::shrink::shrink;
use crate::crash::power;
use crate::{Binary, Client, Directory, Launch, Server};

/// One of so many histories is joined, and one of so many reads much: see [`Theme`].
const JOINED_EVERY: u64 = 4;
const READING_EVERY: u64 = 3;
/// How often everybody waits for everybody in a history.
const ROUNDS: usize = 8;
/// A history under `always`, in which the power fails in each round, has so many operations.
const OPERATIONS_ALWAYS: usize = 2_500;
const ROUNDS_ALWAYS: usize = 4;
/// The file of a power cut's notes.
const NOTES: &str = "notes";

/// What is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server.
    pub binary: Binary,
    /// Its threads.
    pub threads: usize,
    /// The seed of the first history; each next one has one more.
    pub seed: u64,
    /// How many histories.
    pub histories: u64,
    /// Clients of each.
    pub clients: usize,
    /// Operations of each.
    pub operations: usize,
    /// Choices that the search of a part may look at.
    pub budget: u64,
    /// The library that notes what is on the disk; if there is one, the histories run under `always`, and the power fails.
    pub power_cut: Option<PathBuf>,
    /// The fault that the server is to have, if it was built to have one.
    pub fault: Option<String>,
    /// Whether to end at the first history that fails.
    pub stops_at_failure: bool,
    /// Where pages of histories that fail are put, and what is said to run one again, without its seed.
    pub pages: Option<(PathBuf, String)>,
}

/// A history that has no order, or of which it could not be decided.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// What is wrong, in a line.
    pub text: String,
    /// Its page, if one was drawn.
    pub page: Option<PathBuf>,
}

/// What a run showed.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Histories that were recorded and checked.
    pub histories: u64,
    /// Their operations.
    pub operations: u64,
    /// How much they overlapped, on average over the histories.
    pub overlap: Overlap,
    /// The least that the operations of a history overlapped, by time.
    pub overlap_min: f64,
    /// Choices that the searches looked at.
    pub steps: u64,
    /// Histories that could not be decided.
    pub undecided: u64,
    /// Histories without an order.
    pub violated: u64,
    /// What failed, for each of both kinds.
    pub failures: Vec<Failure>,
}

/// Runs all histories. An error is a server that does not do what every server must: it does not start, or breaks off.
pub fn run(options: &Options) -> Result<Report, String> {
    let (sender, receiver) = sync_channel::<(u64, History)>(1);
    std::thread::scope(|scope| {
        let checker = scope.spawn(move || {
            let mut report = Report::default();
            while let Ok((seed, history)) = receiver.recv() {
                judge(options, seed, &history, &mut report);
                if options.stops_at_failure && !report.failures.is_empty() {
                    break;
                }
            }
            report
        });
        let recorded = record_all(options, |seed, history| sender.send((seed, history)).is_ok());
        drop(sender);
        let mut report = checker.join().map_err(|_| "the checker panicked".to_owned())?;
        let count = report.histories.max(1) as f64;
        report.overlap.by_time /= count;
        report.overlap.by_operation /= count;
        match recorded {
            // What the checker has found before the server broke off says more.
            Err(_) if options.stops_at_failure && !report.failures.is_empty() => Ok(report),
            Err(error) => Err(error),
            Ok(()) => Ok(report),
        }
    })
}

/// Records one history after the other until `take` wants no more.
fn record_all(options: &Options, mut take: impl FnMut(u64, History) -> bool) -> Result<(), String> {
    let notes = Directory::try_new().map_err(|error| error.to_string())?;
    let mut server = start(options, &notes)?;
    for seed in options.seed..options.seed + options.histories {
        let history = record_one(options, &notes, &mut server, seed);
        let history = history.map_err(|error| format!("seed {seed}: {error}{}", end_of(&server)));
        let history = match history {
            Ok(history) => history,
            Err(error) => {
                server.end();
                return Err(error);
            }
        };
        if !take(seed, history) {
            break;
        }
    }
    server.end();
    Ok(())
}

/// What a server's log says of a panic, in a line.
fn end_of(server: &Server) -> String {
    let log = server.log();
    let line =
        log.lines().skip_while(|line| !line.contains("panicked at")).take(2).collect::<Vec<_>>().join(" ");
    if line.is_empty() { line } else { format!(": {line}") }
}

fn start(options: &Options, notes: &Directory) -> Result<Server, String> {
    let mut launch =
        Launch::new(options.binary.clone()).arguments(&["--threads", &options.threads.to_string()]);
    if let Some(fault) = &options.fault {
        launch = launch.environment("RUSTREDIS_FAULT", fault);
    }
    if let Some(library) = &options.power_cut {
        launch = launch.arguments(&["--appendonly", "yes", "--appendfsync", "always"]);
        launch = power::watched(launch, library, &notes.path().join(NOTES));
    }
    launch.try_start().map_err(|error| format!("the server does not start: {error}"))
}

fn record_one(
    options: &Options,
    notes: &Directory,
    server: &mut Server,
    seed: u64,
) -> Result<History, String> {
    let address = server.address();
    let mut client = Client::try_connect(address).map_err(|error| error.to_string())?;
    client.try_call(&["FLUSHALL"]).map_err(|error| error.to_string())?;
    drop(client);
    let theme = Theme {
        is_joined: seed.is_multiple_of(JOINED_EVERY),
        reads_much: seed.is_multiple_of(READING_EVERY),
    };
    let clients = options.clients;
    if options.power_cut.is_none() {
        let plan = Plan { seed, clients, operations: options.operations, rounds: ROUNDS, theme };
        return record(&plan, address, None);
    }
    let operations = options.operations.min(OPERATIONS_ALWAYS);
    let plan = Plan { seed, clients, operations, rounds: ROUNDS_ALWAYS, theme };
    let mut power_cut = || {
        server.kill();
        let cut = power::cut(server.directory(), &notes.path().join(NOTES));
        cut.map_err(|error| format!("cannot cut the files: {error}"))?;
        server.try_restart().map_err(|error| format!("it does not start again: {error}"))
    };
    record(&plan, address, Some(&mut power_cut))
}

/// Checks a history's parts.
fn judge(options: &Options, seed: u64, history: &History, report: &mut Report) {
    let overlap = history.overlap();
    report.overlap_min =
        if report.histories == 0 { overlap.by_time } else { report.overlap_min.min(overlap.by_time) };
    report.histories += 1;
    report.operations += history.operations.len() as u64;
    report.overlap.by_time += overlap.by_time;
    report.overlap.by_operation += overlap.by_operation;
    let (mut violation, mut is_undecided) = (None, false);
    for part in history.parts() {
        let checked = check(&part, options.budget);
        report.steps += checked.steps;
        match checked.verdict {
            Verdict::Linearizable => {}
            Verdict::Undecided => is_undecided = true,
            Verdict::Violated(stuck) => violation = violation.or(Some((part, stuck))),
        }
    }
    if let Some((part, stuck)) = violation {
        report.violated += 1;
        report.failures.push(explain(options, seed, &part, stuck));
    } else if is_undecided {
        report.undecided += 1;
        let text = format!("undecided after {} choices", options.budget);
        report.failures.push(Failure { seed, text, page: None });
    }
}

/// Says why a part has no order, and draws it.
fn explain(options: &Options, seed: u64, part: &History, stuck: usize) -> Failure {
    let operation = &part.operations[stuck];
    let reply = operation.reply.as_ref().map_or_else(String::new, ToString::to_string);
    let Some((directory, command)) = &options.pages else {
        return Failure { seed, text: format!("{} was answered {reply}", operation.call), page: None };
    };
    let shrunk = shrink(part, stuck, options.budget);
    let name = format!("{}, {} threads", options.binary.name(), options.threads);
    let power = if options.power_cut.is_some() { ", with power cuts" } else { "" };
    let fault =
        options.fault.as_ref().map_or_else(String::new, |fault| format!(", with the seeded fault {fault}"));
    let title = format!("{name}{power}{fault}, seed {seed}");
    let file = format!(
        "{}-{}-{seed}.html",
        options.fault.as_deref().unwrap_or(&options.binary.name()),
        options.threads
    );
    let page = directory.join(file);
    let written = std::fs::create_dir_all(directory).and_then(|()| {
        std::fs::write(page.with_extension("txt"), part.to_string())?;
        std::fs::write(&page, draw::page(&shrunk, &title, &format!("{command} --seed {seed}")))
    });
    let text = shrunk.operations.get(shrunk.stuck).map_or_else(String::new, |stuck| {
        let reply = stuck.reply.as_ref().map_or_else(String::new, ToString::to_string);
        format!(
            "no place for {}, answered {reply}, among {} that matter",
            stuck.call,
            shrunk.operations.len()
        )
    });
    match written {
        Ok(()) => Failure { seed, text, page: Some(page) },
        Err(error) => Failure { seed, text: format!("{text} (no page: {error})"), page: None },
    }
}
