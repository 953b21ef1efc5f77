//! Real clients against every engine: redis-cli, redis-benchmark, redis-py with the scripts of `tests/clients`, ioredis and
//! node-redis with those of `tests/clients/node`. redis-rs is driven by a black-box test.
//!
//! A script is called with the server's port and ends with the line `N passed, N failed`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustredis_testkit::{Binary, Launch, Server};

use crate::shell;
use crate::tally::Tally;

/// Runs them all.
pub(crate) fn check() -> Result<Tally, String> {
    let python = crate::venv::python("venv", "tests/clients/requirements.txt")?;
    let node = crate::node::libraries()?;
    let python_scripts = scripts("tests/clients", ".py")?;
    let node_scripts = scripts("tests/clients/node", ".mjs")?;
    let binary = crate::build::server(false)?;
    let mut total = Tally::default();
    for engine in rustredis_testkit::engines() {
        let launch =
            Launch::new(Binary::Path(binary.clone())).arguments(&["--engine", &engine, "--threads", "2"]);
        let mut server = launch.try_start().map_err(|error| format!("engine {engine}: {error}"))?;
        let mut report = |client: &str, tally: Tally| {
            println!("{engine}, {client}: {} passed, {} failed", tally.passed, tally.failed);
            total += tally;
        };
        report("redis-cli", cli(&server));
        report("redis-benchmark", benchmark(&server));
        for script in &python_scripts {
            report(&name(script), run_script(&mut Command::new(&python), script, &server)?);
        }
        for script in &node_scripts {
            report(&name(script), run_script(Command::new("node").current_dir(&node), script, &server)?);
        }
        let log = server.stop().log;
        if log.contains("panicked at") {
            println!("{log}");
            report("the server's log", Tally::one(false));
        }
    }
    Ok(total)
}

fn cli(server: &Server) -> Tally {
    let port = server.port().to_string();
    let mut tally = Tally::default();
    let mut ask = |arguments: &[&str], expected: &str| {
        let output = capture(Command::new("redis-cli").args(["-p", &port]).args(arguments));
        if output.trim_end() != expected {
            println!("redis-cli {}: {output:?} instead of {expected:?}", arguments.join(" "));
        }
        tally += Tally::one(output.trim_end() == expected);
    };
    ask(&["PING"], "PONG");
    ask(&["SET", "cli", "a b"], "OK");
    ask(&["GET", "cli"], "a b");
    ask(&["-3", "HSET", "cli:hash", "f", "v"], "1");
    ask(&["-3", "--json", "HGETALL", "cli:hash"], "{\"f\":\"v\"}");
    ask(&["--scan", "--pattern", "cli"], "cli");
    ask(&["DEL", "cli", "cli:hash"], "2");
    ask(&["NOSUCH"], "ERR unknown command 'NOSUCH', with args beginning with:");
    tally
}

/// Every default test of redis-benchmark, in short; it names an error reply when it sees one.
fn benchmark(server: &Server) -> Tally {
    let port = server.port().to_string();
    let mut tally = Tally::default();
    for pipeline in ["1", "16"] {
        let mut command = Command::new("redis-benchmark");
        let output = capture(command.args(["-p", &port, "-q", "-n", "2000", "-c", "20", "-P", pipeline]));
        let tests = output.split(['\n', '\r']).filter(|line| line.contains("requests per second")).count();
        let has_passed = tests >= 19 && !output.contains("rror");
        if !has_passed {
            println!("redis-benchmark -P {pipeline}: {output}");
        }
        tally += Tally::one(has_passed);
    }
    let _ = capture(Command::new("redis-cli").args(["-p", &port, "FLUSHALL"]));
    tally
}

fn run_script(command: &mut Command, script: &Path, server: &Server) -> Result<Tally, String> {
    command.arg(script).arg(server.port().to_string()).env("PYTHONDONTWRITEBYTECODE", "1");
    // redis-py logs each push message to stderr.
    command.stderr(Stdio::null());
    let output = capture(command);
    let last = output.trim_end().lines().last().unwrap_or_default();
    let count = |part: Option<&str>, what: &str| part?.strip_suffix(what)?.trim().parse::<u64>().ok();
    let mut parts = last.split(", ");
    let counts = (count(parts.next(), "passed"), count(parts.next(), "failed"));
    let (Some(passed), Some(failed)) = counts else {
        println!("{output}");
        return Err(format!("{} did not end with its counts", script.display()));
    };
    if failed > 0 {
        println!("{output}");
    }
    Ok(Tally { passed, failed, skipped: 0 })
}

/// What a program wrote to stdout and, behind it, to stderr; its exit code does not matter here.
fn capture(command: &mut Command) -> String {
    match command.stdin(Stdio::null()).output() {
        Ok(output) => String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        Err(error) => format!("cannot run it: {error}"),
    }
}

/// The scripts of a directory, sorted.
fn scripts(directory: &str, extension: &str) -> Result<Vec<PathBuf>, String> {
    let directory = shell::root().join(directory);
    let entries =
        std::fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    // A name that starts with an underscore is a module that the scripts share.
    let mut scripts: Vec<PathBuf> =
        paths.filter(|path| name(path).ends_with(extension) && !name(path).starts_with('_')).collect();
    scripts.sort();
    Ok(scripts)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
