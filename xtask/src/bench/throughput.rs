//! CPU time of the server per million requests, and throughput, alternating with redis-server.
//!
//! redis-benchmark makes the load, over as many keys as were loaded before, so that every GET finds its value. The CPU
//! time (user and system) is the server process's own, from /proc, and thus free of the load generator's.

use std::process::Command as Program;

use rustredis_testkit::{Command, process};

use super::report::{self, Figure, median};
use super::subject::{self, Subject, fill, start, start_redis};
use crate::arguments::Arguments;
use crate::shell;
use crate::task_result::TaskResult;

/// Size of the values, in bytes.
const VALUE_BYTES: usize = 64;

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Seconds of CPU time per million requests.
    cpu: f64,
    /// Requests per second.
    rate: f64,
    p99_ms: f64,
}

struct Cell {
    test: String,
    clients: u32,
    pipeline: u32,
}

/// Runs the measurement.
pub(super) fn run(arguments: &Arguments) -> TaskResult {
    let rounds: usize = arguments.number("rounds", 5)?;
    let keys: u64 = arguments.number("keys", 1_000_000)?;
    let subjects =
        [start(arguments, &subject::binary(arguments)?, arguments.value("engine"))?, start_redis()?];
    for subject in &subjects {
        println!("loading {keys} keys into {}", subject.name);
        let value = [b'x'; VALUE_BYTES];
        fill(&subject.server, keys, |number| {
            Command::new(&[&b"SET"[..], format!("key:{number:012}").as_bytes(), &value])
        })?;
    }
    let mut rows = vec![head(&subjects)];
    let mut figures = Vec::new();
    for cell in cells(arguments)? {
        let mut samples = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            // Who is first changes, so that neither always finds the caches warm.
            for turn in 0..2 {
                let index = (round + turn) % 2;
                let sample = measure(&subjects[index], &cell, arguments, keys)?;
                figures.push(figure(&subjects[index], &cell, sample));
                samples[index].push(sample);
            }
        }
        let row = row(&cell, &samples);
        println!("{}", row.join("  "));
        rows.push(row);
    }
    println!();
    report::print_table(&rows);
    report::save("throughput", &figures)?;
    Ok(true)
}

fn cells(arguments: &Arguments) -> Result<Vec<Cell>, String> {
    let tests: Vec<&str> = arguments.value("tests").unwrap_or("set,get").split(',').collect();
    let mut cells = Vec::new();
    for clients in arguments.numbers("clients", &[50])? {
        for pipeline in arguments.numbers("pipelines", &[1, 16, 64])? {
            cells.extend(tests.iter().map(|test| Cell { test: (*test).to_owned(), clients, pipeline }));
        }
    }
    Ok(cells)
}

fn measure(subject: &Subject, cell: &Cell, arguments: &Arguments, keys: u64) -> Result<Sample, String> {
    // A pipelined request costs less, and the clock of /proc ticks every 10 ms: more requests keep it exact.
    let least: u64 = arguments.number("requests", 300_000)?;
    let requests = least * u64::from(cell.pipeline).isqrt() * if cell.pipeline > 1 { 2 } else { 1 };
    let mut command = Program::new("redis-benchmark");
    command.args(["-p", &subject.server.port().to_string(), "-t", &cell.test, "--csv"]);
    command.args(["-n", &requests.to_string(), "-r", &keys.to_string(), "-d", &VALUE_BYTES.to_string()]);
    command.args(["-c", &cell.clients.to_string(), "-P", &cell.pipeline.to_string()]);
    let threads: u32 = arguments.number("load-threads", 1)?;
    if threads > 1 {
        command.args(["--threads", &threads.to_string()]);
    }
    let cpu =
        || process::cpu_time(subject.server.pid()).map_err(|error| format!("{}: {error}", subject.name));
    let before = cpu()?;
    let output = shell::capture(&mut command)?;
    let used = cpu()? - before;
    let (rate, p99_ms) = parse(&output).ok_or_else(|| format!("redis-benchmark said:\n{output}"))?;
    Ok(Sample { cpu: used.as_secs_f64() * 1e6 / requests as f64, rate, p99_ms })
}

/// The rate and the p99 of `"SET","95238.10","0.282","0.072","0.271","0.455","0.567","1.223"`.
fn parse(csv: &str) -> Option<(f64, f64)> {
    let line = csv.lines().find(|line| line.starts_with('"') && !line.starts_with("\"test\""))?;
    let fields: Vec<&str> = line.split(',').map(|field| field.trim_matches('"')).collect();
    Some((fields.get(1)?.parse().ok()?, fields.get(6)?.parse().ok()?))
}

fn figure(subject: &Subject, cell: &Cell, sample: Sample) -> Figure {
    Figure {
        labels: vec![("server", subject.name.clone()), ("test", cell.test.clone())],
        values: vec![
            ("clients", f64::from(cell.clients)),
            ("pipeline", f64::from(cell.pipeline)),
            ("cpu_s_per_million", sample.cpu),
            ("requests_per_s", sample.rate),
            ("p99_ms", sample.p99_ms),
        ],
    }
}

fn head(subjects: &[Subject; 2]) -> Vec<String> {
    let [ours, redis] = [&subjects[0].name, &subjects[1].name];
    let mut head: Vec<String> = ["test", "-c", "-P"].map(str::to_owned).to_vec();
    head.extend([format!("{ours}, CPU s/M"), format!("{redis}, CPU s/M"), "ratio".to_owned()]);
    head.extend([
        format!("{ours}, req/s"),
        format!("{redis}, req/s"),
        "ratio".to_owned(),
        "p99 ms".to_owned(),
    ]);
    head
}

fn row(cell: &Cell, samples: &[Vec<Sample>; 2]) -> Vec<String> {
    let median_of = |index: usize, value: fn(&Sample) -> f64| {
        let values: Vec<f64> = samples[index].iter().map(value).collect();
        median(&values)
    };
    let cpu = [0, 1].map(|index| median_of(index, |sample| sample.cpu));
    let rate = [0, 1].map(|index| median_of(index, |sample| sample.rate));
    let p99 = [0, 1].map(|index| median_of(index, |sample| sample.p99_ms));
    vec![
        cell.test.to_uppercase(),
        cell.clients.to_string(),
        cell.pipeline.to_string(),
        format!("{:.3}", cpu[0]),
        format!("{:.3}", cpu[1]),
        format!("{:.2}", cpu[0] / cpu[1]),
        format!("{:.0}", rate[0]),
        format!("{:.0}", rate[1]),
        format!("{:.2}", rate[0] / rate[1]),
        format!("{:.2}/{:.2}", p99[0], p99[1]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_redis_benchmark() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"95238.10\",\"0.282\",\"0.072\",\"0.271\",\"0.455\",\"0.567\",\"1.2\"\n";
        assert_eq!(parse(csv), Some((95_238.10, 0.567)));
        assert_eq!(parse("Could not connect"), None);
    }
}
