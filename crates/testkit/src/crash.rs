//! Crashes: load on many connections, an end at a random moment, restart, and a comparison with what was acknowledged.
//!
//! Each connection has keys that only it writes, of all types and in two databases, and a model of them. After the crash
//! they must be in the state after some prefix of what the connection sent, which holds at least what was acknowledged
//! (`always`) or acknowledged two seconds before the end, or before a WAITAOF that was (`everysec`). So nothing that had to survive is lost, nothing is
//! there that was not sent, and what is kept is kept in order. Keys of all connections have invariants instead: sums
//! that transfers keep, elements in the order of their connection, what was popped stays popped. Keys that expire soon
//! must do so, and not later than before. Meanwhile snapshots are taken and the AOF is rewritten at random moments.
//!
//! The end is `kill -9`, or one that the server is asked for (SIGTERM, SHUTDOWN): then nothing at all that was acknowledged may be
//! missing, with any policy, and with nothing but an RDB file.
//!
//! A process that is killed leaves what it wrote in the kernel's cache, so this alone cannot see a missing fsync.
//! [`Options::power_cut`] does: a preloaded library notes how much of each file was on the disk at each fsync, and all
//! that came later is cut away before the restart. What a power cut does to names (a rename that is not yet on the disk)
//! is left out.
//!
//! A seed gives the same steps and moments; what the threads make of them differs from run to run.

mod connection;
mod draw;
mod model;
mod own;
pub(crate) mod power;
mod shared;
mod soon;
mod step;

use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::contents::{Contents, Fields};
use crate::{Binary, Client, Command, Directory, Launch, Random, Server, copy_tree};
use connection::{Part, now_ms};
use model::Model;
pub use power::library as power_cut_library;
use step::Trace;

/// Connections that write, and those of them that take what others push.
const CONNECTIONS: usize = 20;
const CONSUMERS: usize = 4;
/// Of so many connections one asks for its steps to be on the disk.
const ASKING: usize = 3;
/// The file of a power cut's notes.
const NOTES: &str = "notes";
/// After so many rounds the server starts with nothing again.
const ROUNDS_TOGETHER: u64 = 5;
/// How much of what was acknowledged `everysec` may lose.
const EVERYSEC_LOSS: Duration = Duration::from_secs(2);
/// How long an end may take that was asked for.
const GRACEFUL_END_MAX: Duration = Duration::from_secs(30);
/// How long the load runs, in milliseconds: between these for `always`, and between those for `everysec`.
const LOAD_MS_ALWAYS: (usize, usize) = (30, 900);
const LOAD_MS_EVERYSEC: (usize, usize) = (2_200, 3_200);

/// `appendfsync`, as far as it promises something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Nothing that was acknowledged is lost.
    Always,
    /// At most the last two seconds are lost.
    Everysec,
    /// There is no append-only file, but an RDB file: nothing is lost by an end that was asked for. It is never killed.
    Snapshots,
}

impl Fsync {
    /// Redis's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Everysec => "everysec",
            Self::Snapshots => "snapshots",
        }
    }
}

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    Killed,
    Terminated,
    /// By SHUTDOWN, with these words.
    ShutDown(&'static str),
}

impl Death {
    fn draw(options: &Options, random: &mut Random) -> Self {
        let words: &[&'static str] = match options.promise {
            Fsync::Snapshots => &["SHUTDOWN", "SHUTDOWN SAVE"],
            Fsync::Always | Fsync::Everysec => &["SHUTDOWN NOSAVE", "SHUTDOWN SAVE"],
        };
        if options.promise != Fsync::Snapshots && !random.chance(options.graceful_percent) {
            Self::Killed
        } else if random.chance(50) {
            Self::Terminated
        } else {
            Self::ShutDown(random.pick::<&str>(words))
        }
    }
}

/// What is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server.
    pub binary: Binary,
    /// What it promises.
    pub promise: Fsync,
    /// What `appendfsync` it is given; another one than the promise's shows whether the check can fail.
    pub appendfsync: String,
    /// Of a hundred ends, so many are asked for; the others are crashes.
    pub graceful_percent: usize,
    /// Where randomness begins.
    pub seed: u64,
    /// How often it crashes.
    pub rounds: u64,
    /// So many bytes are cut from the newest increment after each crash. Not 0 only to show that the check can fail.
    pub damage_bytes: u64,
    /// The library that notes what was on the disk; None if the power stays on.
    pub power_cut: Option<PathBuf>,
    /// Where the files of a violation are kept.
    pub keep: Option<PathBuf>,
}

/// What a run showed.
#[derive(Debug, Default)]
pub struct Report {
    /// Ends that were recovered from.
    pub rounds: u64,
    /// How many of them were asked for.
    pub graceful: u64,
    /// Commands that were acknowledged.
    pub acknowledged: u64,
    /// Steps that survived without having been acknowledged in time, and those that were lost allowedly.
    pub kept_beyond: u64,
    /// Steps that had been sent and did not survive, none of which had to.
    pub lost_allowed: u64,
    /// Bytes that a power cut took.
    pub cut_bytes: u64,
    /// All that does not hold, with seed and round.
    pub violations: Vec<String>,
}

/// The load of a round and the moment of its end.
struct Life {
    death: Death,
    /// How the server ended, if not as it should.
    complaint: Option<String>,
    traces: Vec<Trace>,
    end: Instant,
    end_ms: i64,
}

/// A server with what is known of its contents.
struct Subject {
    server: Server,
    /// Where a power cut looks up what it spares.
    notes: Directory,
    models: Vec<Model>,
    numbers: Vec<u64>,
}

/// Runs all rounds. Stops at the first round with a violation, for what follows would only repeat it.
pub fn run(options: &Options) -> io::Result<Report> {
    let mut report = Report::default();
    let mut subject = None;
    for round in 0..options.rounds {
        if round.is_multiple_of(ROUNDS_TOGETHER) {
            subject = None;
        }
        let mut current = match subject.take() {
            Some(subject) => subject,
            None => Subject::start(options)?,
        };
        let mut random = Random::new(options.seed.wrapping_add(round.wrapping_mul(0x9e37_79b9)));
        let violations = current.round(options, &mut random, &mut report)?;
        report.rounds += 1;
        if !violations.is_empty() {
            let kept = options.keep.as_ref().map(|keep| current.keep_files(keep, options.seed, round));
            let kept = kept.map_or_else(String::new, |path| format!(" (files: {})", path.display()));
            let place = format!("seed {}, round {round}, {}", options.seed, options.promise.name());
            report.violations = violations.iter().map(|text| format!("{place}: {text}{kept}")).collect();
            return Ok(report);
        }
        subject = Some(current);
    }
    Ok(report)
}

impl Subject {
    fn start(options: &Options) -> io::Result<Self> {
        let notes = Directory::try_new()?;
        let launch = Launch::new(options.binary.clone());
        let mut launch = match options.promise {
            Fsync::Snapshots => launch.arguments(&["--save", "3600 1"]),
            Fsync::Always | Fsync::Everysec => launch.arguments(&[
                "--appendonly",
                "yes",
                "--appendfsync",
                &options.appendfsync,
                "--auto-aof-rewrite-percentage",
                "100",
                "--auto-aof-rewrite-min-size",
                "300kb",
            ]),
        };
        if let Some(library) = &options.power_cut {
            launch = power::watched(launch, library, &notes.path().join(NOTES));
        }
        let server = launch.try_start()?;
        Ok(Self { server, notes, models: vec![Model::default(); CONNECTIONS], numbers: vec![0; CONNECTIONS] })
    }

    /// One life and death; gives back what does not hold afterwards.
    fn round(
        &mut self,
        options: &Options,
        random: &mut Random,
        report: &mut Report,
    ) -> io::Result<Vec<String>> {
        let failed = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
        let mut client = Client::try_connect(self.server.address())?;
        client.try_pipeline(&shared::set_up(CONNECTIONS)).map_err(|error| failed(&error))?;
        let life = self.live_and_die(options, random);
        for (number, trace) in self.numbers.iter_mut().zip(&life.traces) {
            *number += trace.steps.len() as u64 + 1;
            report.acknowledged += trace.acknowledged;
        }
        if options.damage_bytes > 0 {
            power::cut_newest(self.server.directory(), options.damage_bytes)?;
        }
        report.graceful += u64::from(life.death != Death::Killed);
        if let Some(complaint) = life.complaint {
            return Ok(vec![complaint]);
        }
        if options.power_cut.is_some() && options.promise != Fsync::Snapshots {
            report.cut_bytes += power::cut(self.server.directory(), &self.notes.path().join(NOTES))?;
        }
        if let Err(error) = self.server.try_restart() {
            return Ok(vec![format!("it does not start again: {error}")]);
        }
        let mut client = Client::try_connect(self.server.address())?;
        let started_ms = now_ms();
        let recovered =
            Contents::try_read(&mut client, Fields::WithoutTimes).map_err(|error| failed(&error))?;
        let read_ms = (started_ms, now_ms());
        Ok(self.check(options, &life, &recovered, read_ms, &mut client, report))
    }

    fn live_and_die(&mut self, options: &Options, random: &mut Random) -> Life {
        let address = self.server.address();
        let death = Death::draw(options, random);
        let (least, most) = match options.promise {
            Fsync::Always | Fsync::Snapshots => LOAD_MS_ALWAYS,
            Fsync::Everysec if death != Death::Killed => LOAD_MS_ALWAYS,
            Fsync::Everysec => LOAD_MS_EVERYSEC,
        };
        let life_span = Duration::from_millis((least + random.below(most - least)) as u64);
        let seeds: Vec<u64> = (0..=CONNECTIONS).map(|_| random.next_u64()).collect();
        // Only what may be lost is worth asking for. A real Redis cannot be asked.
        let asks = options.promise == Fsync::Everysec && !options.binary.is_redis();
        let numbers = &self.numbers;
        let server = &mut self.server;
        thread::scope(|scope| {
            let writers: Vec<_> = (0..CONNECTIONS)
                .map(|connection| {
                    let random = Random::new(seeds[connection]);
                    let is_consumer = connection >= CONNECTIONS - CONSUMERS;
                    let part =
                        Part { connection, is_consumer, asks: asks && connection.is_multiple_of(ASKING) };
                    let first = numbers[connection];
                    scope.spawn(move || connection::load(address, random, part, first))
                })
                .collect();
            let maintenance = Random::new(seeds[CONNECTIONS]);
            scope.spawn(move || connection::maintain(address, maintenance));
            thread::sleep(life_span);
            // What is acknowledged after this moment is judged as if the server had died before it.
            let end = Instant::now();
            let complaint = die(server, death);
            let end_ms = now_ms();
            let traces = writers.into_iter().map(|writer| writer.join().unwrap_or_default()).collect();
            Life { death, complaint, traces, end, end_ms }
        })
    }

    fn check(
        &mut self,
        options: &Options,
        life: &Life,
        recovered: &Contents,
        read_ms: (i64, i64),
        client: &mut Client,
        report: &mut Report,
    ) -> Vec<String> {
        let limit = match options.promise {
            Fsync::Everysec if life.death == Death::Killed => {
                life.end.checked_sub(EVERYSEC_LOSS).unwrap_or(life.end)
            }
            // Acknowledged is acknowledged, even while the server was ending.
            _ => life.end + Duration::from_secs(3_600),
        };
        let mut violations = shared::check(recovered, &life.traces, limit);
        let logged = shared::logged(recovered);
        let crash = own::Crash { end_ms: life.end_ms, limit, recovered, logged: &logged };
        for (connection, trace) in life.traces.iter().enumerate() {
            violations.extend(trace.errors.iter().take(3).cloned());
            violations.extend(soon::check(connection, trace, limit, life.end_ms, recovered, read_ms));
            let model = std::mem::take(&mut self.models[connection]);
            match own::check(&crash, connection, model, trace, client) {
                Ok(survivor) => {
                    report.kept_beyond += (survivor.kept - trace.required(limit)) as u64;
                    report.lost_allowed += (trace.steps.len() - survivor.kept) as u64;
                    self.models[connection] = survivor.model;
                }
                Err(violation) => violations.push(violation),
            }
        }
        violations.extend(foreign_keys(recovered));
        violations
    }

    /// Copies the files to a directory of their own, and says which.
    fn keep_files(&self, keep: &std::path::Path, seed: u64, round: u64) -> PathBuf {
        let path = keep.join(format!("seed-{seed}-round-{round}-{}", std::process::id()));
        let copied = std::fs::create_dir_all(&path).and_then(|()| copy_tree(self.server.directory(), &path));
        if let Err(error) = copied {
            eprintln!("cannot keep the files in {}: {error}", path.display());
        }
        path
    }
}

/// Ends the server; what is wrong with how it went.
fn die(server: &mut Server, death: Death) -> Option<String> {
    let exited = match death {
        Death::Killed => {
            server.kill();
            return None;
        }
        Death::Terminated => {
            crate::process::terminate(server.pid());
            server.wait_for_exit(GRACEFUL_END_MAX)
        }
        Death::ShutDown(words) => {
            let mut client = Client::try_connect(server.address()).ok()?;
            // The connection ends without a reply, unless it is refused.
            let reply = client.try_call(&Command::line(words).arguments).ok();
            if let Some(reply) = reply {
                server.kill();
                return Some(format!("{words} was answered {reply}"));
            }
            server.wait_for_exit(GRACEFUL_END_MAX)
        }
    };
    (exited.code != Some(0)).then(|| format!("{death:?}: it ended with {:?}:\n{}", exited.code, exited.log))
}

/// Keys that nobody ever wrote.
fn foreign_keys(recovered: &Contents) -> Vec<String> {
    let known = [&b"own:"[..], b"soon:", b"shared:"];
    let foreign =
        recovered.keys.iter().filter(|((_, key), _)| !known.iter().any(|name| key.starts_with(name)));
    foreign
        .map(|((database, key), held)| {
            let key = crate::contents::quoted(key);
            format!("{key} of database {database} was never sent: {held}")
        })
        .take(3)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(seed: u64) -> Options {
        Options {
            binary: Binary::Redis,
            promise: Fsync::Always,
            appendfsync: "always".to_owned(),
            graceful_percent: 50,
            seed,
            rounds: 2,
            damage_bytes: 0,
            power_cut: None,
            keep: None,
        }
    }

    #[test]
    fn a_real_redis_keeps_what_it_acknowledged() {
        let report = run(&options(1)).unwrap();
        assert!(report.violations.is_empty(), "{:#?}", report.violations);
        assert!(report.rounds == 2 && report.acknowledged > 1_000, "{report:?}");
        for promise in [Fsync::Everysec, Fsync::Snapshots] {
            let report = run(&Options { promise, rounds: 1, ..options(2) }).unwrap();
            assert!(report.violations.is_empty(), "{:#?}", report.violations);
        }
    }

    #[test]
    fn a_loss_is_found() {
        // More than twenty clients can have under way, so something acknowledged is among it.
        let report = run(&Options { damage_bytes: 60_000, graceful_percent: 0, ..options(3) }).unwrap();
        assert!(!report.violations.is_empty(), "{report:?}");
    }
}
