//! Redis's own test suite as a gauge: each unit in external mode against a fresh server.
//!
//! The suite is Tcl and prints a line per test (`[ok]`, `[err]`, `[exception]`, `[skip]`), which is all that is read
//! of it. An exception ends its unit, so the tests behind it count neither way; the table at the end sets what passed
//! beside what a real redis-server 7.0.15 passes, so that they are missed.

mod source;
mod transcript;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustredis_testkit::{Binary, Launch, Server};

use crate::arguments::Arguments;
use crate::shell;
use crate::tally::Tally;
use crate::task_result::TaskResult;
use transcript::Transcript;

/// The units that the project is measured by, and how many tests redis-server 7.0.15 passes in each.
const UNITS: [(&str, u64); 39] = [
    ("unit/scripting", 270),
    ("unit/functions", 94),
    ("unit/pause", 14),
    ("unit/type/string", 77),
    ("unit/type/incr", 25),
    ("unit/type/list", 240),
    ("unit/type/list-2", 2),
    ("unit/type/list-3", 11),
    ("unit/type/set", 98),
    ("unit/type/zset", 312),
    ("unit/type/hash", 73),
    ("unit/type/stream", 72),
    ("unit/type/stream-cgroups", 51),
    ("unit/keyspace", 53),
    ("unit/scan", 17),
    ("unit/expire", 66),
    ("unit/sort", 52),
    ("unit/multi", 60),
    ("unit/quit", 3),
    ("unit/protocol", 25),
    ("unit/pubsub", 30),
    ("unit/bitops", 45),
    ("unit/bitfield", 16),
    ("unit/geo", 59),
    ("unit/hyperloglog", 20),
    ("unit/slowlog", 16),
    ("unit/latency-monitor", 14),
    ("unit/other", 22),
    ("unit/info-command", 3),
    ("unit/introspection-2", 43),
    ("unit/acl", 72),
    ("unit/acl-v2", 29),
    ("unit/tracking", 53),
    ("unit/dump", 12),
    ("unit/introspection", 28),
    ("unit/lazyfree", 4),
    ("unit/querybuf", 2),
    ("unit/violations", 1),
    ("unit/replybufsize", 1),
];

/// Tests that are left out. The first dies in external mode on Redis itself as well.
const SKIPPED_TESTS: [&str; 3] = [
    "SRANDMEMBER with a dict containing long chain",
    // It needs REPLICAOF, and leaves the connection of all tests behind it in MULTI.
    "exec with read commands and stale replica state change",
    // Since 7.2 a client is told of what its script has read, whatever its KEYS were: the test waits for what does not come.
    "Tracking only occurs for scripts when a command calls a read-only command",
];
/// The suite belongs to 7.0, and encodings are 7.2's: small lists and small sets are listpacks. A test that asserts the
/// older name would end there and leave the rest of it untested, so the newer one is taken for it.
const NEWER_ENCODINGS: &str = r#"
proc assert_encoding {wanted key} {
    set found [r object encoding $key]
    if {$found eq "listpack" && ($wanted eq "quicklist" || ($wanted eq "hashtable" && [r type $key] eq "set"))} return
    assert_match $wanted $found
}
"#;
/// The first server of these units is marked as one that the suite starts itself, but needs nothing of that.
const UNITS_OF_ANY_SERVER: [&str; 2] = ["unit/acl", "unit/acl-v2"];
/// What 7.2 says otherwise, or more of, in those units.
const NEWER_TEXTS: [(&str, &str); 5] = [
    ("NOPERM*keys*", "NOPERM*key*"),
    ("NOPERM*channels*", "NOPERM*channel*"),
    ("assert_equal \"This user has", "assert_match \"User * has"),
    (
        "assert_equal {user hpuser on nopass resetchannels",
        "assert_equal {user hpuser on nopass sanitize-payload resetchannels",
    ),
    ("assert_equal {+@all} $cmdstr", "assert_equal {+@all +client|id} $cmdstr"),
];
/// A test without a sign of life for so long, in seconds, ends its unit.
const TEST_TIMEOUT_S: u64 = 180;
/// A unit that runs longer is ended.
const UNIT_TIMEOUT: Duration = Duration::from_secs(900);
/// Blocks of 64 ports for runs at the same time; 10,000 above each must be ports too.
const SUITE_PORT_FIRST: u32 = 11_000;
const SUITE_PORT_BLOCKS: u32 = 128;

const HELP: &str = "\
Usage: cargo xtask tcl [--engine E | --all-engines] [--server PATH] [--release] [--unmodified] [--show] [--argument A]... [unit ...]

  --engine E      run rustredis with this engine (else its default)
  --all-engines   run it with each engine, one after the other
  --server PATH   run this binary instead of rustredis; /usr/bin/redis-server checks the harness
  --release       build rustredis in release mode (else with debug assertions)
  --argument A    one more argument for the server; repeat it for an option's value
  --unmodified    let the suite insist on the encodings of 7.0 (quicklist, hashtable) where 7.2 has listpacks
  --show          print the suite's output as it comes
  unit            type/list or unit/type/list; without any, the units of the project's goal
";

/// Runs the task.
pub(crate) fn run(given: &[String]) -> TaskResult {
    let values = ["engine", "server", "argument"];
    let Some(arguments) =
        Arguments::parse(given, HELP, &values, &["release", "show", "unmodified", "all-engines"])?
    else {
        return Ok(true);
    };
    shell::install(&["tclsh", "redis-cli", "redis-benchmark"], &["tcl", "redis-tools"])?;
    let tree = source::tree()?;
    let binary = match arguments.value("server") {
        Some(path) => path.into(),
        None => crate::build::server(arguments.has("release"))?,
    };
    let mut units: Vec<String> = arguments.rest.iter().map(|unit| unit_name(unit)).collect();
    if units.is_empty() {
        units = UNITS.iter().map(|(unit, _)| (*unit).to_owned()).collect();
    }
    let engines: Vec<Option<&str>> = if arguments.has("all-engines") {
        rustredis_testkit::ENGINES.iter().copied().map(Some).collect()
    } else {
        vec![arguments.value("engine")]
    };
    let mut is_right = true;
    for engine in engines {
        if let Some(engine) = engine {
            println!("== {engine}");
        }
        let mut transcripts = Vec::new();
        for unit in &units {
            let started = Instant::now();
            let transcript = run_unit(&tree, &binary, unit, engine, &arguments)?;
            println!("{unit}: {} in {:.1} s", transcript.summary(), started.elapsed().as_secs_f64());
            transcripts.push((unit.clone(), transcript));
        }
        is_right &= report(&transcripts);
    }
    Ok(is_right)
}

/// `list`, `type/list` and `unit/type/list` are all the last.
fn unit_name(given: &str) -> String {
    let known = UNITS.iter().map(|(unit, _)| *unit);
    let matches = |unit: &&str| unit.strip_prefix("unit/type/") == Some(given);
    match known.into_iter().find(matches) {
        Some(unit) => unit.to_owned(),
        None if given.starts_with("unit/") || given.starts_with("integration/") => given.to_owned(),
        None => format!("unit/{given}"),
    }
}

fn run_unit(
    tree: &Path,
    binary: &Path,
    unit: &str,
    engine: Option<&str>,
    options: &Arguments,
) -> Result<Transcript, String> {
    let mut server = start_server(binary, engine, options)?;
    let copy = RunTree::create(tree, binary, server.directory())?;
    if !options.has("unmodified") {
        copy.append("tests/support/test.tcl", NEWER_ENCODINGS)?;
    }
    if UNITS_OF_ANY_SERVER.contains(&unit) {
        copy.adapt(&format!("tests/{unit}.tcl"))?;
    }
    let port = server.port().to_string();
    let timeout = TEST_TIMEOUT_S.to_string();
    let mut arguments = vec!["--host", "127.0.0.1", "--port", &port, "--single", unit, "--durable"];
    arguments.extend(["--timeout", &timeout, "--dont-clean"]);
    SKIPPED_TESTS.iter().for_each(|test| arguments.extend(["--skiptest", test]));
    // Encodings are those of Redis 7.2 (a short list is a listpack, a small set of strings too), and the suite is 7.0's; some
    // of its assertions on names end a unit. Our own tests and the oracle check OBJECT ENCODING.
    arguments.push("--ignore-encoding");
    // The suite's own ports, below this one, are probed for in a way that misses other runs of it.
    let base_port = (SUITE_PORT_FIRST + std::process::id() % SUITE_PORT_BLOCKS * 64).to_string();
    arguments.extend(["--baseport", &base_port]);
    let mut command = shell::program("./runtest", &arguments);
    command.current_dir(&copy.path).env("TERM", "dumb").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot run the suite: {error}"))?;
    let is_shown = options.has("show");
    let transcript = std::thread::scope(|scope| {
        let output = child.stdout.take().map(BufReader::new);
        let reader = scope.spawn(move || read_transcript(output, is_shown));
        let end = Instant::now() + UNIT_TIMEOUT;
        while !reader.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        if !reader.is_finished() {
            // A child that has just ended cannot be killed, and need not be.
            let _ = child.kill();
        }
        reader.join().unwrap_or_default()
    });
    // Its exit code says less than its output.
    let _ = child.wait();
    Ok(check_server(&mut server, transcript))
}

/// A server that died or panicked is one more failure of its unit.
fn check_server(server: &mut Server, mut transcript: Transcript) -> Transcript {
    if !server.is_running() {
        transcript.fail("the server died");
    }
    let log = server.stop().log;
    for line in log.lines().filter(|line| line.contains("panicked at")) {
        transcript.fail(line);
    }
    transcript
}

fn start_server(binary: &Path, engine: Option<&str>, options: &Arguments) -> Result<Server, String> {
    let mut launch = Launch::new(Binary::Path(binary.to_path_buf()))
        .arguments(&["--enable-debug-command", "yes", "--enable-protected-configs", "yes"])
        .arguments(options.values("argument"));
    if let Some(engine) = engine {
        launch = launch.arguments(&["--engine", engine]);
    }
    launch.try_start().map_err(|error| format!("cannot start {}: {error}", binary.display()))
}

fn read_transcript(output: Option<impl BufRead>, is_shown: bool) -> Transcript {
    let mut transcript = Transcript::default();
    let Some(mut output) = output else { return transcript };
    let mut line = Vec::new();
    while matches!(output.read_until(b'\n', &mut line), Ok(count) if count > 0) {
        let text = String::from_utf8_lossy(&line);
        if is_shown {
            print!("{text}");
        }
        transcript.line(text.trim_end());
        line.clear();
    }
    transcript
}

/// A tree of its own for each run, so that several can run at once: the suite writes below itself.
struct RunTree {
    path: PathBuf,
}

impl RunTree {
    fn create(tree: &Path, binary: &Path, directory: &Path) -> Result<Self, String> {
        let path = directory.join("suite");
        let error = |error: std::io::Error| format!("cannot copy the suite: {error}");
        fs::create_dir_all(path.join("src")).map_err(error)?;
        let mut copy = shell::program("cp", &["-r"]);
        shell::run(
            copy.arg(tree.join("runtest")).arg(tree.join("tests")).arg(tree.join("utils")).arg(&path),
        )?;
        let _ = fs::create_dir_all(path.join("tests/tmp"));
        for name in ["redis-cli", "redis-benchmark"] {
            let found = shell::find_program(name).ok_or_else(|| format!("{name} is not in PATH"))?;
            std::os::unix::fs::symlink(found, path.join("src").join(name)).map_err(error)?;
        }
        std::os::unix::fs::symlink(binary, path.join("src/redis-server")).map_err(error)?;
        Ok(Self { path })
    }

    /// Lets one of its units run against any server, and takes newer texts for the older ones.
    fn adapt(&self, file: &str) -> Result<(), String> {
        let path = self.path.join(file);
        let changed = fs::read_to_string(&path).and_then(|old| {
            let text = old.replacen(" external:skip", "", 1);
            let texts = NEWER_TEXTS.iter();
            fs::write(&path, texts.fold(text, |text, (old, new)| text.replace(old, new)))
        });
        changed.map_err(|error| format!("cannot change {}: {error}", path.display()))
    }

    /// Adds text to the end of one of its files.
    fn append(&self, file: &str, text: &str) -> Result<(), String> {
        let path = self.path.join(file);
        let changed = fs::read(&path).and_then(|old| fs::write(&path, [&old, text.as_bytes()].concat()));
        changed.map_err(|error| format!("cannot change {}: {error}", path.display()))
    }
}

/// Prints the failures and the totals; true if nothing failed.
fn report(transcripts: &[(String, Transcript)]) -> bool {
    let mut total = Tally::default();
    println!("\n{:<24} {:>7} {:>7} {:>7} {:>9}", "unit", "passed", "failed", "skipped", "redis 7.0");
    for (unit, transcript) in transcripts {
        let tally = transcript.tally();
        let redis =
            UNITS.iter().find(|(name, _)| name == unit).map_or(String::new(), |(_, count)| count.to_string());
        println!("{unit:<24} {:>7} {:>7} {:>7} {redis:>9}", tally.passed, tally.failed, tally.skipped);
        total += tally;
    }
    for (unit, transcript) in transcripts.iter().filter(|(_, transcript)| !transcript.failures().is_empty()) {
        println!("\nfailed in {unit}:");
        for failure in transcript.failures() {
            println!("  {}", failure.replace('\n', "\n      "));
        }
    }
    println!("\n{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    total.failed == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_may_be_named_in_short() {
        for given in ["list", "type/list", "unit/type/list"] {
            assert_eq!(unit_name(given), "unit/type/list");
        }
        assert_eq!(unit_name("expire"), "unit/expire");
        assert_eq!(unit_name("type/stream"), "unit/type/stream");
        assert_eq!(unit_name("integration/aof"), "integration/aof");
    }
}
