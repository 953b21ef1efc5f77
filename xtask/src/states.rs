//! `cargo xtask states`: every state of the server against every command and every background task, in full.

use crate::arguments::Arguments;
use crate::task_result::TaskResult;
use crate::{build, shell};

const HELP: &str = "\
Usage: cargo xtask states [options] [state ...]

What `cargo xtask test` runs of tests/states.rs, with every example on one thread too, again and again: loading, saving, rewriting,
paused, out of memory, a disk that fails, shutting down, against all commands and what happens by itself. A state is the name of a
module there, for instance writes_paused.

  --rounds N      how often (3)
  --engine E      this engine alone
  --server PATH   this binary instead of a build of rustredis
";

/// Runs the task.
pub(crate) fn run(given: &[String]) -> TaskResult {
    let Some(arguments) = Arguments::parse(given, HELP, &["rounds", "engine", "server"], &[])? else {
        return Ok(true);
    };
    let rounds: u64 = arguments.number("rounds", 3)?;
    let binary = arguments.value("server").map_or_else(|| build::server(false), |path| Ok(path.into()))?;
    let mut is_right = true;
    for round in 1..=rounds {
        println!("round {round} of {rounds}");
        let mut command = shell::cargo(&["test", "--quiet", "--package", "rustredis-tests", "--"]);
        // Each test is a server or two that wait for one another most of the time.
        command.args(["--test-threads", "4"]);
        if arguments.rest.is_empty() {
            command.arg("states::");
        }
        command.args(arguments.rest.iter().map(|state| format!("states::{state}::")));
        command.env("RUSTREDIS_STATES", "long").env("RUSTREDIS_BIN", &binary);
        if let Some(engine) = arguments.value("engine") {
            command.env("RUSTREDIS_ENGINES", engine);
        }
        is_right &= shell::succeeds(&mut command)?;
    }
    Ok(is_right)
}
