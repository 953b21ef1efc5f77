//! `cargo xtask models`: the models of protocols in their long form.

use crate::arguments::Arguments;
use crate::shell;
use crate::task_result::TaskResult;

const HELP: &str = "\
Usage: cargo xtask models [part of a model's name ...]

What `cargo xtask test` runs of crates/models, in release mode and in full: under loom with one switch of threads more, which takes minutes,
and under shuttle for a minute each.
";

/// Runs the task.
pub(crate) fn run(given: &[String]) -> TaskResult {
    let Some(arguments) = Arguments::parse(given, HELP, &[], &[])? else {
        return Ok(true);
    };
    let mut command = shell::cargo(&["test", "--release", "--package", "rustredis-models", "--"]);
    command.args(&arguments.rest).env("RUSTREDIS_MODELS", "long");
    shell::succeeds(&mut command)
}
