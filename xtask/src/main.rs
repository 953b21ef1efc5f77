//! The project's own tools: `cargo xtask <task>`. Programs in Rust instead of scripts, so that one language has to be
//! known and clippy reads them too. They use std and the test kit only; whatever else they need is a Debian package that
//! they install themselves.

mod arguments;
mod audit;
mod bench;
mod build;
mod clients;
mod compat_diff;
mod crash;
mod linearize;
mod miri;
mod models;
mod nightly;
mod node;
mod oracle;
mod sanitize;
mod shell;
mod soak;
mod states;
mod tally;
mod task_result;
mod tcl;
mod test;
mod tidy;
mod valkey;
mod venv;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <task>

  test              all that CI runs: formatting, clippy, tidy, unit and black-box tests, real clients
  tidy [--imports]  the house rules that neither rustfmt nor clippy checks, or the circles of imports
  tcl [--engine E | --all-engines] [--server PATH] [unit ...]
                    run Redis's own test suite (7.0.15, from Debian's source package) in external mode;
                    a unit is written type/list or unit/type/list; --server runs it against another binary
  bench [throughput|memory|grow|matrix|durability|snapshot|load]
                    what the server costs, beside redis-server
  compat-diff [--write]
                    commands, INFO and directives beside redis-server's; docs/COMPATIBILITY.md says what differs and why
  crash             kill the server under load, again and again, and see what it recovers
  oracle            random histories on every engine beside redis-server and beside their own replay
  linearize         histories of concurrent clients on every engine: is there an order that explains every answer?
  models            protocols of atomics under checkers that decide the order of threads, in full
  miri              tests of unsafe code and of what threads share, interpreted
  sanitize          tests, and a server under them, that look for data races (--thread) or misused memory (--address)
  states            every state of the server against every command and background task, in full
  soak connections  10,000 connections, and what they leave behind
  soak memory       RSS over what is used while sizes change, on every engine, beside redis-server
  valkey            the newest valkey-server that Debian packages, built into target/peers, for the lab

The options of a task are shown by `cargo xtask <task> --help`.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match arguments.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", &[][..]),
    };
    let outcome = match task {
        "test" => test::run(rest),
        "tidy" => tidy::run(rest),
        "tcl" => tcl::run(rest),
        "bench" => bench::run(rest),
        "compat-diff" => compat_diff::run(rest),
        "crash" => crash::run(rest),
        "oracle" => oracle::run(rest),
        "linearize" => linearize::run(rest),
        "models" => models::run(rest),
        "miri" => miri::run(rest),
        "sanitize" => sanitize::run(rest),
        "states" => states::run(rest),
        "soak" => soak::run(rest),
        "valkey" => valkey::run(rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(true)
        }
        other => Err(format!("no task is called {other:?}\n\n{USAGE}")),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
