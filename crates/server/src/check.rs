//! `rustredis check-aof` and `rustredis check-rdb`, and the same under the names that Redis's tools have.
//!
//! A link named `redis-check-aof` or `redis-check-rdb` to the binary is such a tool, as it is with Redis's own.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use rustredis_persistence::check::{Console, Repair, check_aof, check_rdb};

const CHECK_AOF_USAGE: &str = "\
Usage: rustredis check-aof [--fix | --truncate-to-timestamp SECONDS] FILE

FILE is a manifest (appendonlydir/appendonly.aof.manifest), whose files are all
checked, or a single AOF. Nothing is changed unless it is asked for:

  --fix                            cut what is not whole at the end, after a
                                   question (`yes | ...` answers it)
  --truncate-to-timestamp SECONDS  cut what was written after this Unix time,
                                   for an AOF with aof-timestamp-enabled

The exit code is 0 if all is valid or was made so, otherwise 1.
";

const CHECK_RDB_USAGE: &str = "\
Usage: rustredis check-rdb FILE

Reads an RDB file as the server would, to its end, and tells what it holds. The
exit code is 0 if it is valid, otherwise 1.
";

/// Which of the tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Aof,
    Rdb,
}

/// Runs the tool that the command line (with the program's name) asks for, if it asks for one.
pub fn run(mut words: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let program = words.next()?;
    let tool = match Path::new(&program).file_name().and_then(|name| name.to_str()) {
        Some("redis-check-aof" | "rustredis-check-aof") => Tool::Aof,
        Some("redis-check-rdb" | "rustredis-check-rdb") => Tool::Rdb,
        _ => match words.next()?.to_str()? {
            "check-aof" => Tool::Aof,
            "check-rdb" => Tool::Rdb,
            _ => return None,
        },
    };
    let words: Vec<OsString> = words.collect();
    let mut console = Console { out: &mut io::stdout().lock(), answers: &mut io::stdin().lock() };
    let result = match (tool, words.iter().map(|word| word.to_str()).collect::<Vec<_>>().as_slice()) {
        (Tool::Aof, [Some("-h" | "--help")]) => {
            console.out.write_all(CHECK_AOF_USAGE.as_bytes()).map(|()| true)
        }
        (Tool::Rdb, [Some("-h" | "--help")]) => {
            console.out.write_all(CHECK_RDB_USAGE.as_bytes()).map(|()| true)
        }
        (_, [Some("-v" | "--version")]) => {
            writeln!(console.out, "{}", rustredis_config::version_line()).map(|()| true)
        }
        (Tool::Aof, [_]) => check_aof(Path::new(&words[0]), Repair::None, &mut console),
        (Tool::Aof, [Some("--fix"), _]) => check_aof(Path::new(&words[1]), Repair::CutTail, &mut console),
        (Tool::Aof, [Some("--truncate-to-timestamp"), seconds, _]) => {
            match seconds.and_then(|seconds| seconds.parse().ok()) {
                Some(seconds) => check_aof(Path::new(&words[2]), Repair::CutAfter(seconds), &mut console),
                None => writeln!(console.out, "The timestamp is not a Unix time in seconds.").map(|()| false),
            }
        }
        (Tool::Rdb, [_]) => check_rdb(Path::new(&words[0]), &mut console),
        (Tool::Aof, _) => console.out.write_all(CHECK_AOF_USAGE.as_bytes()).map(|()| false),
        (Tool::Rdb, _) => console.out.write_all(CHECK_RDB_USAGE.as_bytes()).map(|()| false),
    };
    // Nobody reads what is said any more: no reason to say that.
    Some(if result.unwrap_or(false) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
