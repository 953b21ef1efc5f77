//! Trials on servers that die, refuse or answer errors: each is named, none stops the lab. And runs that are interrupted.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustredis_lab::cell::{Cell, Measure, Program, Setup, Span, Tcp, Trial, TrialEnd};
use rustredis_lab::data::Data;
use rustredis_lab::made_up;
use rustredis_lab::plan::schedule;
use rustredis_lab::target::Programs;
use rustredis_lab::trial::{Times, decode, measure};
use rustredis_testkit::{process, wait_until};

const TIMES: Times = Times {
    warm_up: Duration::from_millis(30),
    measured: Duration::from_millis(150),
    tail: Duration::from_millis(150),
    in_process: Duration::from_millis(50),
    calm: Duration::from_millis(150),
    saving: Duration::from_millis(300),
};

/// A directory of this test's own.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rustredis-lab-{name}-{}", std::process::id()));
        // A run that was killed may have left it behind.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory for the test");
        Self(path)
    }

    /// A server made of a shell script.
    fn script(&self, text: &str) -> PathBuf {
        let path = self.0.join("server");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("the directory is there");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("the file is ours");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed stays behind in the temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn programs(rustredis: &Path) -> Programs {
    Programs {
        rustredis: Some(rustredis.to_owned()),
        in_process: None,
        engines: vec!["dashmap".to_owned()],
        versions: vec![("redis-server".to_owned(), "7".to_owned())],
        placement: rustredis_lab::placement::Placement::default(),
    }
}

fn cell(program: Program, options: &[&str]) -> Cell {
    Cell::Tcp(Tcp {
        setup: Setup::other(
            program,
            "under test",
            &options.iter().map(|&option| option.to_owned()).collect::<Vec<_>>(),
        ),
        workload: "uniform".to_owned(),
        clients: 4,
        pipeline: 1,
        generators: 1,
    })
}

fn outcome(programs: &Programs, cell: &Cell) -> TrialEnd {
    measure(cell, 0.0, programs, &TIMES, 1, &AtomicBool::new(false)).expect("nothing interrupts")
}

#[test]
fn a_trial_measures() {
    let outcome = outcome(&programs(Path::new("none")), &cell(Program::Redis, &[]));
    let TrialEnd::Measured(measured) = outcome else { panic!("{outcome:?}") };
    assert!(measured.main.rate > 0.0 && measured.server_us() > 0.0 && measured.server_bytes > 1_000_000);
    assert_eq!((measured.errors, measured.misses), (0, 0));
    assert_eq!(decode(&measured.main.histogram).unwrap().len(), measured.main.requests);
}

#[test]
fn a_server_that_refuses_its_options_is_absent() {
    let outcome = outcome(&programs(Path::new("none")), &cell(Program::Redis, &["--no-such-option", "1"]));
    assert!(matches!(&outcome, TrialEnd::Absent(_)), "{outcome:?}");
    let missing = cell(Program::Valkey, &[]);
    assert!(
        matches!(self::outcome(&programs(Path::new("none")), &missing), TrialEnd::Absent(reason) if reason.contains("valkey"))
    );
}

#[test]
fn a_server_that_dies_is_named() {
    let directory = Directory::new("dies");
    // It is killed while its keys are written.
    let server = directory.script("redis-server \"$@\" & pid=$!; while ! redis-cli -p $2 exists key:000000050000 | grep -q 1; do :; done; kill -9 $pid; exit 7");
    let outcome = outcome(&programs(&server), &cell(Program::Rustredis, &[]));
    assert!(
        matches!(&outcome, TrialEnd::Failed(reason) if reason.starts_with("the server died with code 7")),
        "{outcome:?}"
    );
}

#[test]
fn a_server_that_answers_errors_is_named() {
    let options = ["--maxmemory", "1mb", "--maxmemory-policy", "noeviction"];
    let outcome = outcome(&programs(Path::new("none")), &cell(Program::Redis, &options));
    assert!(matches!(&outcome, TrialEnd::Failed(reason) if reason.contains("OOM")), "{outcome:?}");
}

fn lab(directory: &Path, server: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rustredis-lab"));
    command.args(["run", "--only", "0", "--out"]).arg(directory).arg("--server").arg(server);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Ctrl-C in the middle keeps what is done; the next start measures only the rest. The trials between are made up, for the
/// whole would take a minute.
#[test]
fn an_interrupted_run_is_resumed() {
    let directory = Directory::new("resume");
    let server = directory.script("redis-server \"$@\"");
    let out = directory.0.join("run");
    let mut first = lab(&out, &server).spawn().unwrap();
    let done = || Data::read(&out).ok().flatten().map_or(0, |data| data.trials.len());
    wait_until("a trial to be done", Duration::from_secs(60), || done() > 0);
    process::signal(first.id(), 2);
    assert!(!first.wait().unwrap().success());
    let mut data = Data::read(&out).unwrap().unwrap();
    let kept = data.trials.clone();
    assert!(out.join("report.html").is_file() && !kept.is_empty());

    let claims = &rustredis_lab::rules::Rules::frozen().claims;
    let claim = claims.iter().find(|claim| claim.number == 0).unwrap();
    let matrix = &data.settings.matrix;
    let order = schedule(&matrix.plan(&[claim]), matrix, data.settings.seed);
    let (rest, last) = order.split_at(order.len() - 2);
    for (cell, round) in &rest[kept.len()..] {
        let main = Span { rate: 1_000.0, ..Span::default() };
        let outcome = TrialEnd::Measured(Box::new(Measure { main, ..Measure::default() }));
        data.trials.push(Trial { cell: cell.id(), session: 0, round: *round, unix_ms: 0, outcome });
    }
    data.write().unwrap();
    let output = lab(&out, &server).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(&format!("{} measurements, {} of them done", order.len(), rest.len())), "{text}");
    let trials = Data::read(&out).unwrap().unwrap().trials;
    assert_eq!(trials[..kept.len()], kept);
    let measured: Vec<(String, u32)> =
        trials[rest.len()..].iter().map(|trial| (trial.cell.clone(), trial.round)).collect();
    assert_eq!(measured, last.iter().map(|(cell, round)| (cell.id(), *round)).collect::<Vec<_>>());
}

#[test]
fn a_half_written_trial_is_measured_again() {
    let directory = Directory::new("torn");
    let settings = made_up::run(directory.0.clone(), 1, |_| 1.0).settings;
    let cell = settings.cells.keys().next().expect("a run has cells").clone();
    let trial = Trial { cell, session: 0, round: 0, unix_ms: 0, outcome: TrialEnd::Absent("no".into()) };
    let data = Data { directory: directory.0.clone(), settings, trials: vec![trial.clone()] };
    data.write().unwrap();
    let path = directory.0.join("trials.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}{}", &text[..20])).unwrap();
    assert_eq!(Data::read(&directory.0).unwrap().unwrap().trials, [trial]);
}
