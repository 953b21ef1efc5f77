//! `cargo xtask miri`: the tests of unsafe code and of what threads share, interpreted.

use crate::arguments::Arguments;
use crate::nightly::{self, Part};
use crate::shell;
use crate::task_result::TaskResult;

const HELP: &str = "\
Usage: cargo xtask miri [--seeds N] [part of a test's name ...]

Runs unit tests of resp, keyspace, metrics and the journal in Miri, which interprets them and stops where Rust's rules are broken: memory
that is freed, not initialised or not aligned, a pointer that is used beside a reference that excludes it, a data race, and what weak memory
may show. It takes some thousand times as long as the tests do, so what loops over millions is left out, and some tests loop less.

  --seeds N   once for each of so many orders of threads (1)

Needs rustup's nightly toolchain with the components miri and rust-src; where they cannot be had, cargo xtask sanitize --address looks at
the same tests, and sees less. No system call that Miri does not know is run in it: no server, no membarrier, no time-stamp counter.
";

/// Those that take minutes are left out: the code is the same at any size.
const PARTS: [Part; 4] = [
    Part { package: "rustredis-metrics", tests: &[], without: &["exact", "latency", "slowlog::"] },
    // A thread without an end is an error to Miri.
    Part {
        package: "rustredis-persistence",
        tests: &["journal::"],
        without: &["a_feeder_is_started_once_and_for_ever"],
    },
    Part {
        package: "rustredis-keyspace",
        tests: &[
            "published::",
            "publish::",
            "entry::",
            "slot::",
            "listpack::",
            "tree::",
            "thin_bytes::",
            "segment::",
        ],
        without: &[
            "more_entries_than_the_header",
            "tests::appending_at_either_end",
            "tests::nodes_with_a_single_child",
            "tests::a_queue_keeps_its_shape",
            "tests::a_stack_at_the_end",
            "tests::is_built_from_sorted_entries",
        ],
    },
    Part {
        package: "rustredis-resp",
        tests: &[],
        without: &["each_byte_costs_the_same", "stars_cost_no_more", "literals_out_of_range_are_refused"],
    },
];

/// Runs the task.
pub(crate) fn run(given: &[String]) -> TaskResult {
    let Some(arguments) = Arguments::parse(given, HELP, &["seeds"], &[])? else {
        return Ok(true);
    };
    if !nightly::has_miri() {
        return Err("Miri is not here: rustup component add miri rust-src --toolchain nightly".into());
    }
    let seeds: u32 = arguments.number("seeds", 1)?;
    // Files of tests are read, and the clock.
    let flags = format!("-Zmiri-disable-isolation -Zmiri-many-seeds=0..{seeds}");
    let mut is_right = true;
    for part in &PARTS {
        println!("== {} in Miri", part.package);
        let mut command = nightly::cargo(&["miri", "test"]);
        if arguments.rest.is_empty() {
            command.args(part.arguments());
        } else {
            command.args(["--package", part.package, "--lib", "--"]).args(&arguments.rest);
        }
        is_right &= shell::succeeds(command.env("MIRIFLAGS", &flags))?;
    }
    Ok(is_right)
}
