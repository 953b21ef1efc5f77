//! Every default test of redis-benchmark, on every engine, with and without pipelining, with few and many clients: no
//! cell may show an error. The rates are printed for a glance; [`super::throughput`] is what measures.

use std::process::Command as Program;

use rustredis_testkit::process;

use super::report;
use super::subject::{Subject, binary, start};
use crate::arguments::Arguments;
use crate::tally::Tally;
use crate::task_result::TaskResult;

/// Tests that redis-benchmark runs unless told otherwise.
const DEFAULT_TESTS: usize = 20;

/// Runs the matrix.
pub(super) fn run(arguments: &Arguments) -> TaskResult {
    let clients = arguments.numbers("clients", &[1, 50, 1_000, 5_000])?;
    let most = clients.iter().copied().max().unwrap_or(0);
    let limit = process::raise_open_file_limit(u64::from(most) * 2 + 1_000);
    limit.map_err(|error| format!("cannot raise the limit of open files: {error}"))?;
    let binary = binary(arguments)?;
    let engines = match arguments.value("engine") {
        Some(engine) => vec![Some(engine.to_owned())],
        None if arguments.value("server").is_some() => vec![None],
        None => rustredis_testkit::engines().into_iter().map(Some).collect(),
    };
    let mut total = Tally::default();
    let mut rows =
        vec![["server", "-c", "-P", "tests", "least req/s", "most req/s"].map(str::to_owned).to_vec()];
    for engine in engines {
        let subject = start(arguments, &binary, engine.as_deref())?;
        for pipeline in arguments.numbers("pipelines", &[1, 16, 64])? {
            for clients in &clients {
                let rates = cell(arguments, &subject, pipeline, *clients, &mut total)?;
                let least = rates.iter().copied().fold(f64::INFINITY, f64::min);
                let most = rates.iter().copied().fold(0.0, f64::max);
                let counts = [clients.to_string(), pipeline.to_string(), rates.len().to_string()];
                let mut row = vec![subject.name.clone()];
                row.extend(counts);
                row.extend([format!("{least:.0}"), format!("{most:.0}")]);
                println!("{}", row.join("  "));
                rows.push(row);
            }
        }
    }
    println!();
    report::print_table(&rows);
    println!("\n{} passed, {} failed", total.passed, total.failed);
    Ok(total.failed == 0)
}

/// Runs one cell; gives back the rate of each test.
fn cell(
    arguments: &Arguments,
    subject: &Subject,
    pipeline: u32,
    clients: u32,
    total: &mut Tally,
) -> Result<Vec<f64>, String> {
    let requests: u32 = arguments.number("requests", 20_000)?;
    let requests = requests.max(clients * pipeline.max(2));
    let mut command = Program::new("redis-benchmark");
    command.args(["-p", &subject.server.port().to_string(), "-q", "-n", &requests.to_string()]);
    command.args(["-c", &clients.to_string(), "-P", &pipeline.to_string()]);
    if let Some(tests) = arguments.value("tests") {
        command.args(["-t", tests]);
    }
    let output = command.output().map_err(|error| format!("cannot run redis-benchmark: {error}"))?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let rates: Vec<f64> = text.split(['\r', '\n']).filter_map(rate).collect();
    let expected = if arguments.value("tests").is_some() { 1 } else { DEFAULT_TESTS };
    let has_passed = output.status.success() && !text.contains("rror") && rates.len() >= expected;
    if !has_passed {
        println!("{}, -c {clients} -P {pipeline}:\n{text}", subject.name);
    }
    *total += Tally::one(has_passed);
    Ok(rates)
}

/// `SET: 95238.10 requests per second, p50=0.271 msec`
fn rate(line: &str) -> Option<f64> {
    let (before, _) = line.split_once(" requests per second")?;
    before.rsplit_once(": ")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_of_redis_benchmark() {
        assert_eq!(
            rate("LRANGE_100 (first 100 elements): 25.50 requests per second, p50=0.2 msec"),
            Some(25.5)
        );
        assert_eq!(rate("WARNING: Could not fetch server CONFIG"), None);
    }
}
