//! `cargo xtask compat-diff`: the commands, INFO fields and directives of the server beside those of redis-server 7.0.15.
//!
//! Both servers are asked over the protocol. What differs must have its reason in `compat_diff/reasons.tsv`, and what has a reason must
//! differ; so the page that is made of both, `docs/COMPATIBILITY.md`, says what is.

mod facts;
mod page;
mod reasons;

use std::path::Path;

use rustredis_testkit::{Binary, Launch};

use crate::arguments::Arguments;
use crate::build;
use crate::shell;
use crate::tally::Tally;
use crate::task_result::TaskResult;
use facts::{Difference, Facts};
use reasons::Reasons;

const HELP: &str = "\
Usage: cargo xtask compat-diff [--write]

Compares commands (arity, flags, keys, categories), INFO fields and CONFIG directives with redis-server 7.0.15 (Debian's package), and
docs/COMPATIBILITY.md with what comes of it. What differs without a reason in xtask/src/compat_diff/reasons.tsv is listed, and so is a
reason for what does not differ.

  --write   write docs/COMPATIBILITY.md anew
";

/// Runs the task.
pub(crate) fn run(given: &[String]) -> TaskResult {
    let Some(arguments) = Arguments::parse(given, HELP, &[], &["write"])? else {
        return Ok(true);
    };
    shell::install(&["redis-server"], &["redis-server"])?;
    build::server(false)?;
    compare(arguments.has("write"))
}

/// The same as a step of the tests, with a server that is built.
pub(crate) fn check() -> Result<Tally, String> {
    compare(false).map(Tally::one)
}

fn compare(writes: bool) -> TaskResult {
    let ours = Facts::of(&Launch::new(Binary::Rustredis("dashmap".to_owned())).start())?;
    let theirs = Facts::of(&Launch::new(Binary::Redis).start())?;
    let differences = Difference::all(&ours, &theirs);
    let reasons = Reasons::read()?;
    let problems = reasons.problems(&differences);
    for problem in &problems {
        println!("{problem}");
    }
    let path = shell::root().join("docs/COMPATIBILITY.md");
    let page = page::make(&ours, &differences, &reasons);
    if writes {
        std::fs::write(&path, &page).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    let is_up_to_date = is_same(&path, &page);
    if !is_up_to_date {
        println!("docs/COMPATIBILITY.md is not up to date: cargo xtask compat-diff --write");
    }
    println!("{} differences, {} without a reason or the other way round", differences.len(), problems.len());
    Ok(problems.is_empty() && is_up_to_date)
}

fn is_same(path: &Path, page: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text == page)
}
