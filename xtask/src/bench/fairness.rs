//! Who could be starved, and how long they wait: the lab's cells, on every engine with a serving thread per core, and on redis-server.

use crate::arguments::Arguments;
use crate::task_result::TaskResult;
use crate::{build, shell};

/// The lab's claim about starvation.
const CLAIM: &str = "9";

pub(super) fn run(arguments: &Arguments) -> TaskResult {
    let mut command = shell::program(&build::lab()?, &["run", "--only", CLAIM, "--out"]);
    command.arg(shell::target().join("fairness"));
    if let Some(server) = arguments.value("server") {
        command.args(["--server", server]);
    }
    shell::succeeds(&mut command)
}
