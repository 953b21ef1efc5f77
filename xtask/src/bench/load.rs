//! How long a start takes with many keys: an RDB file and an append-only file of commands, the same files for both
//! servers. redis-server wrote them, so that neither reads what only it would write so.

use std::path::Path;
use std::time::{Duration, Instant};

use rustredis_testkit::{Binary, Directory, copy_tree};

use super::disk;
use super::report::{self, Figure, median};
use crate::arguments::Arguments;
use crate::task_result::TaskResult;

/// Size of the values, in bytes.
const VALUE_BYTES: usize = 64;

/// Runs the measurement.
pub(super) fn run(arguments: &Arguments) -> TaskResult {
    let keys: u64 = arguments.number("keys", 5_000_000)?;
    let rounds: usize = arguments.number("rounds", 3)?;
    let files = files(arguments, keys)?;
    let kinds = disk::kinds(arguments)?;
    let mut rows = vec![["file", "server", "seconds", "ratio to the last"].map(str::to_owned).to_vec()];
    let mut figures = Vec::new();
    for (file, is_appended) in [("RDB", "no"), ("AOF", "yes")] {
        let mut samples = vec![Vec::new(); kinds.len()];
        for round in 0..rounds {
            for turn in 0..kinds.len() {
                let index = (round + turn) % kinds.len();
                let seconds = load(arguments, &kinds[index], files.path(), is_appended, keys)?;
                samples[index].push(seconds);
                figures.push(Figure {
                    labels: vec![("server", kinds[index].0.clone()), ("file", file.to_owned())],
                    values: vec![("keys", keys as f64), ("seconds", seconds)],
                });
            }
        }
        let medians: Vec<f64> = samples.iter().map(|samples| median(samples)).collect();
        let last = medians.last().copied().unwrap_or(f64::NAN);
        for ((name, _), seconds) in kinds.iter().zip(medians) {
            let ratio = format!("{:.2}x as fast", last / seconds);
            rows.push(vec![file.to_owned(), name.clone(), format!("{seconds:.2}"), ratio]);
        }
    }
    report::print_table(&rows);
    report::save("load", &figures)?;
    Ok(true)
}

/// A directory with both kinds of files.
fn files(arguments: &Arguments, keys: u64) -> Result<Directory, String> {
    let kind = ("redis".to_owned(), Binary::Redis);
    let options = ["--aof-use-rdb-preamble", "no", "--enable-debug-command", "yes"];
    let subject = disk::start(&kind, arguments, &options)?;
    disk::populate(&subject.server, keys, VALUE_BYTES)?;
    let mut client = disk::patient(&subject.server);
    for line in ["SAVE", "CONFIG SET appendonly yes"] {
        let reply = client.line(line);
        if reply.is_error() {
            return Err(format!("{line}: {reply}"));
        }
    }
    disk::wait_for_background(&subject.server, Duration::from_millis(50))?;
    client.line("CONFIG SET appendonly no");
    let copy = disk::directory()?;
    copy_tree(subject.server.directory(), copy.path()).map_err(|error| format!("cannot copy: {error}"))?;
    Ok(copy)
}

/// Seconds from the start of the process until it answers with all keys.
fn load(
    arguments: &Arguments,
    (name, binary): &(String, Binary),
    files: &Path,
    is_appended: &str,
    keys: u64,
) -> Result<f64, String> {
    let options = ["--appendonly", is_appended, "--auto-aof-rewrite-percentage", "0"];
    let launch = disk::launch(binary, arguments, &options).data(files);
    let started = Instant::now();
    let mut server = launch.try_start().map_err(|error| format!("{name} does not start: {error}"))?;
    let seconds = started.elapsed().as_secs_f64();
    let held = server.client().line("DBSIZE").integer() as u64;
    // Without saving: the files are the next one's as well.
    server.kill();
    if held == keys { Ok(seconds) } else { Err(format!("{name} loaded {held} keys of {keys}")) }
}
