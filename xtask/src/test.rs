//! `cargo xtask test`: everything that must hold before a commit lands, on a machine that has a Rust toolchain and apt.
//!
//! Each step gives a tally and none stops the others, for a list of all that is wrong is worth more than its first line;
//! only what cannot be built is not run. The last line is the sum.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::tally::Tally;
use crate::task_result::TaskResult;
use crate::{audit, build, clients, compat_diff, shell, tidy};

const HELP: &str = "\
Usage: cargo xtask test

Formatting, clippy, tidy, unit tests, black-box tests on every engine, real clients, the audit of the lab's sample. Installs redis-server, redis-tools,
chromium, python3-venv, nodejs and npm through apt-get, redis-py into target/venv, ioredis and node-redis into target/node, numpy and scipy
into target/venv-audit if they are missing.
";

/// Runs the task.
pub(crate) fn run(arguments: &[String]) -> TaskResult {
    if !arguments.is_empty() {
        print!("{HELP}");
        return Ok(arguments[0] == "--help");
    }
    let mut total = Tally::default();
    let mut step = |name: &str, check: &dyn Fn() -> Result<Tally, String>| {
        println!("== {name}");
        let started = Instant::now();
        let tally = check().unwrap_or_else(|error| {
            println!("{error}");
            Tally::one(false)
        });
        println!(
            "== {name}: {} passed, {} failed in {:.1} s",
            tally.passed,
            tally.failed,
            started.elapsed().as_secs_f64()
        );
        total += tally;
        tally.failed == 0
    };
    step("formatting", &|| passes(&mut shell::cargo(&["fmt", "--all", "--check"])));
    step("clippy", &|| {
        let arguments = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"];
        passes(&mut shell::cargo(&arguments))
    });
    step("tidy", &tidy::check);
    step("tools", &|| {
        shell::install(
            &["redis-server", "redis-cli", "redis-benchmark", "redis-check-aof", "redis-check-rdb"],
            &["redis-server", "redis-tools"],
        )?;
        // The lab's report is opened in a browser.
        shell::install(&["chromium"], &["chromium", "fonts-dejavu-core"])?;
        Ok(Tally::default())
    });
    if step("build", &|| build::server(false).map(|_| Tally::default())) {
        step("unit and black-box tests", &tests);
        step("examples in the documentation", &|| cargo_test(&["test", "--quiet", "--workspace", "--doc"]));
        step("real clients", &clients::check);
        step("beside redis-server", &compat_diff::check);
        step("the sample's audit", &audit::check);
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(total.failed == 0)
}

fn passes(command: &mut Command) -> Result<Tally, String> {
    shell::succeeds(command).map(Tally::one)
}

/// All tests but those in documentation, which nextest does not run.
fn tests() -> Result<Tally, String> {
    if !shell::is_installed("cargo-nextest") {
        return cargo_test(&["test", "--quiet", "--workspace", "--all-targets", "--no-fail-fast"]);
    }
    let quiet = [
        "--cargo-quiet",
        "--status-level",
        "fail",
        "--final-status-level",
        "fail",
        "--show-progress",
        "none",
    ];
    let mut command = shell::cargo(&["nextest", "run", "--workspace", "--no-fail-fast"]);
    command.args(quiet);
    count(command, nextest_tally)
}

fn cargo_test(arguments: &[&str]) -> Result<Tally, String> {
    count(shell::cargo(arguments), cargo_test_tally)
}

/// Runs tests with their output shown, and counts with `tally` what each line of it reports.
fn count(mut command: Command, tally: fn(&str) -> Option<Tally>) -> Result<Tally, String> {
    command.env("RUSTREDIS_BIN", build::server(false)?);
    command.env("RUSTREDIS_POWERCUT", build::power_cut_library()?);
    let (reader, writer) = std::io::pipe().map_err(|error| format!("no pipe: {error}"))?;
    let other_writer = writer.try_clone().map_err(|error| format!("no pipe: {error}"))?;
    command.stdin(Stdio::null()).stdout(writer).stderr(other_writer);
    let mut child = command.spawn().map_err(|error| format!("cannot run the tests: {error}"))?;
    // The command holds the pipe's writing end, and the reader would wait for it.
    drop(command);
    let mut total = Tally::default();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(bytes) if bytes > 0) {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        total += tally(text.trim()).unwrap_or_default();
        line.clear();
    }
    let status = child.wait().map_err(|error| format!("lost the tests: {error}"))?;
    if !status.success() && total.failed == 0 {
        // They were not built, or crashed: no count tells so.
        total += Tally::one(false);
    }
    Ok(total)
}

/// `Summary [ 1.2s] 42/63 tests run: 40 passed (1 slow), 1 failed, 1 timed out, 0 skipped`
fn nextest_tally(line: &str) -> Option<Tally> {
    let counts = line.strip_prefix("Summary ")?.split_once("run: ")?.1;
    let mut tally = Tally::default();
    for part in counts.split(", ") {
        let (number, what) = part.split_once(' ')?;
        let number: u64 = number.parse().ok()?;
        match what.split_ascii_whitespace().next() {
            Some("passed") => tally.passed += number,
            Some("skipped") => tally.skipped += number,
            _ => tally.failed += number,
        }
    }
    Some(tally)
}

/// `test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s`
fn cargo_test_tally(line: &str) -> Option<Tally> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let number_of = |what: &str| {
        let part = counts.split("; ").find(|part| part.ends_with(what))?;
        part.split_once(' ')?.0.parse().ok()
    };
    Some(Tally { passed: number_of("passed")?, failed: number_of("failed")?, skipped: number_of("ignored")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tally: Option<Tally>, passed: u64, failed: u64, skipped: u64) {
        assert_eq!(tally, Some(Tally { passed, failed, skipped }));
    }

    #[test]
    fn the_summaries_of_both_runners() {
        check(nextest_tally("Summary [   1.935s] 63 tests run: 63 passed, 0 skipped"), 63, 0, 0);
        let all = "Summary [   1.9s] 5/9 tests run: 2 passed (1 slow), 1 failed, 1 exec failed, 1 timed out, 4 skipped";
        check(nextest_tally(all), 2, 3, 4);
        let cargo = "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        check(cargo_test_tally(cargo), 3, 1, 2);
        assert_eq!(nextest_tally("PASS [ 0.1s] a test"), None);
        assert_eq!(cargo_test_tally("running 3 tests"), None);
    }
}
