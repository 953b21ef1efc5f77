//! `cargo xtask sanitize`: the concurrency tests under ThreadSanitizer, and those of unsafe code under AddressSanitizer.
//!
//! std is built with the sanitizer too, where its sources are installed; the allocator is the system's, which the sanitizer replaces.
//! ThreadSanitizer knows atomics and locks but no fences, and so could take what a fence orders for a race. There is no suppression:
//! whatever is not atomic here is ordered by acquire and release as well.

use std::path::{Path, PathBuf};

use crate::arguments::Arguments;
use crate::nightly::{self, Part, TARGET};
use crate::shell;
use crate::task_result::TaskResult;

const HELP: &str = "\
Usage: cargo xtask sanitize --thread|--address [--unit] [test ...]

Runs tests as the nightly compiler builds them with ThreadSanitizer or AddressSanitizer: first the unit tests of the crates that
have threads or unsafe code, then black-box tests with a server that is built so; by their names, or concurrency::,
lockfree::, pipelines:: and transactions:: on every engine. A data race, or a use of memory that is not the program's, ends the test or the server
with a report. Takes ten minutes and more.

  --thread    data races: engine, keyspace::published, persistence::journal, metrics; the server
  --address   memory that is freed, out of bounds or leaked: keyspace, persistence, resp, metrics, engine; the server
  --unit      unit tests alone

Needs rustup's nightly toolchain, and its component rust-src for a std that is looked at too. Neither sees what did not happen in a
run; ThreadSanitizer knows no fences, and AddressSanitizer not what Rust's rules of aliasing forbid (cargo xtask miri does).
";

const fn all_of(package: &'static str) -> Part {
    Part { package, tests: &[], without: &[] }
}

/// Not `panics`: what a test leaves of a thread that panics is no leak of the program's.
const THREADS: [Part; 4] = [
    // The models have a scheduler of their own, which the sanitizer does not know.
    Part { package: "rustredis-engine", tests: &[], without: &["models::"] },
    Part { package: "rustredis-keyspace", tests: &["published", "publish"], without: &[] },
    Part { package: "rustredis-persistence", tests: &["journal", "aof"], without: &[] },
    all_of("rustredis-metrics"),
];

const ADDRESSES: [Part; 5] = [
    all_of("rustredis-resp"),
    all_of("rustredis-keyspace"),
    all_of("rustredis-persistence"),
    all_of("rustredis-metrics"),
    Part { package: "rustredis-engine", tests: &[], without: &["models::"] },
];

const BLACK_BOX: [&str; 4] = ["concurrency::", "lockfree::", "pipelines::", "transactions::"];

/// Runs the task.
pub(crate) fn run(given: &[String]) -> TaskResult {
    let Some(arguments) = Arguments::parse(given, HELP, &[], &["thread", "address", "unit"])? else {
        return Ok(true);
    };
    let (name, parts) = match (arguments.has("thread"), arguments.has("address")) {
        (true, false) => ("thread", &THREADS[..]),
        (false, true) => ("address", &ADDRESSES[..]),
        _ => return Err(format!("either --thread or --address\n\n{HELP}")),
    };
    if !nightly::is_installed() {
        return Err("there is no nightly toolchain: rustup toolchain install nightly".into());
    }
    let sanitizer = Sanitizer::new(name);
    let mut is_right = true;
    for part in parts {
        println!("== {} under the {name} sanitizer", part.package);
        let mut command = sanitizer.cargo("test");
        command.arg("--quiet").args(part.arguments());
        is_right &= shell::succeeds(&mut command)?;
    }
    if !arguments.has("unit") {
        is_right &= sanitizer.black_box(&arguments.rest)?;
    }
    Ok(is_right)
}

struct Sanitizer {
    name: &'static str,
    target: PathBuf,
    builds_std: bool,
}

impl Sanitizer {
    fn new(name: &'static str) -> Self {
        let builds_std = nightly::has_std_sources();
        if !builds_std {
            println!("std is not looked at: rustup component add rust-src --toolchain nightly");
        }
        Self { name, target: shell::target().join(format!("sanitize-{name}")), builds_std }
    }

    /// Cargo, building with the sanitizer, away from what is built without.
    fn cargo(&self, task: &str) -> std::process::Command {
        let mut command = nightly::cargo(&[task, "--target", TARGET]);
        let mut flags = format!("-Zsanitizer={}", self.name);
        if self.builds_std {
            command.arg("-Zbuild-std");
        } else {
            flags.push_str(" -Cunsafe-allow-abi-mismatch=sanitizer");
        }
        command.env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", &self.target);
        // The tests' own programs, which write to a terminal or to a log.
        command.env("TSAN_OPTIONS", "halt_on_error=1").env("ASAN_OPTIONS", "detect_leaks=1");
        command
    }

    /// Black-box tests, with a server that has the sanitizer in it.
    fn black_box(&self, tests: &[String]) -> TaskResult {
        let features = ["--package", "rustredis", "--features", "system-allocator", "--profile", "test"];
        shell::run(self.cargo("build").arg("--quiet").args(features))?;
        let binary = self.target.join(TARGET).join("debug/rustredis");
        let reports = self.target.join("reports");
        // What an earlier run has found.
        let _ = std::fs::remove_dir_all(&reports);
        std::fs::create_dir_all(&reports)
            .map_err(|error| format!("cannot make {}: {error}", reports.display()))?;
        let mut command = shell::cargo(&["test", "--quiet", "--package", "rustredis-tests", "--"]);
        command.args(["--test-threads", "2"]);
        if tests.is_empty() {
            command.args(BLACK_BOX);
        } else {
            command.args(tests);
        }
        let log = reports.join("report");
        // A server is stopped in the middle of things, so what it has left is no leak.
        let options = format!("halt_on_error=1:detect_leaks=0:log_path={}", log.display());
        command.env("RUSTREDIS_BIN", &binary).env("TSAN_OPTIONS", &options).env("ASAN_OPTIONS", &options);
        let passed = shell::succeeds(&mut command)?;
        Ok(print_reports(&reports)? && passed)
    }
}

/// Prints what the servers' sanitizer has found; whether it is nothing.
fn print_reports(directory: &Path) -> TaskResult {
    let error = |error| format!("cannot read {}: {error}", directory.display());
    let mut is_clean = true;
    for report in std::fs::read_dir(directory).map_err(error)? {
        let path = report.map_err(error)?.path();
        println!("{}:\n{}", path.display(), std::fs::read_to_string(&path).map_err(error)?);
        is_clean = false;
    }
    Ok(is_clean)
}
