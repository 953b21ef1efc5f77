//! CPU time of scripts per call, alternating with redis-server.
//!
//! redis-benchmark sends EVAL with a script's text, or EVALSHA with its name, over keys that it draws. The CPU time (user and system) is the
//! server process's own, from /proc. Before each script the server is emptied, so that both work on the same data.

use std::process::Command as Program;
use std::time::Duration;

use rustredis_testkit::{Reply, process};

use super::report::{self, Figure, median};
use super::subject::{self, Subject, start, start_redis};
use crate::arguments::Arguments;
use crate::shell;
use crate::task_result::TaskResult;

/// A script that is measured.
struct Script {
    /// As tables call it, and `--tests`.
    name: &'static str,
    text: &'static str,
    /// How many of the words that follow are keys, and those words, as redis-benchmark draws them.
    words: &'static [&'static str],
}

/// What a queue's or a web application's scripts are made of.
const SCRIPTS: &[Script] = &[
    Script { name: "one", text: "return 1", words: &["0"] },
    Script { name: "incr", text: "return redis.call('incr',KEYS[1])", words: &["1", "counter:__rand_int__"] },
    Script {
        name: "getset",
        text: "local v = redis.call('GET', KEYS[1]) redis.call('SET', KEYS[1], ARGV[1]) return v",
        words: &["1", "key:__rand_int__", "a value of some twenty bytes"],
    },
    Script {
        name: "limiter",
        text: "local n = redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[1])
local last = redis.call('GET', KEYS[1])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[3])
local seen = redis.call('ZCARD', KEYS[2])
if n > tonumber(ARGV[4]) then return {0, last, seen} end
return {1, last, seen}",
        words: &[
            "2",
            "calls:__rand_int__",
            "seen:__rand_int__",
            "1000",
            "__rand_int__",
            "member:__rand_int__",
            "1000000",
        ],
    },
    Script {
        name: "undeclared",
        text: "return redis.call('INCR', 'counter:' .. ARGV[1])",
        words: &["0", "__rand_int__"],
    },
];

/// How it is called.
const BY: [&str; 2] = ["EVAL", "EVALSHA"];

/// Runs the measurement.
pub(super) fn run(arguments: &Arguments) -> TaskResult {
    let rounds: usize = arguments.number("rounds", 3)?;
    let subjects =
        [start(arguments, &subject::binary(arguments)?, arguments.value("engine"))?, start_redis()?];
    let [ours, redis] = subjects.each_ref().map(|subject| &subject.name);
    let head = [
        "script",
        "by",
        "-P",
        &format!("{ours}, CPU us"),
        &format!("{redis}, CPU us"),
        "ratio",
        "call/s",
        "call/s",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut figures = Vec::new();
    let tests = arguments.value("tests");
    for script in SCRIPTS {
        if tests.is_some_and(|tests| !tests.split(',').any(|test| test == script.name)) {
            continue;
        }
        for pipeline in arguments.numbers("pipelines", &[1, 16])? {
            for by in BY {
                let mut samples = [Vec::new(), Vec::new()];
                for round in 0..rounds {
                    for turn in 0..2 {
                        let index = (round + turn) % 2;
                        let sample = measure(&subjects[index], script, by, pipeline, arguments)?;
                        figures.push(Figure {
                            labels: vec![
                                ("server", subjects[index].name.clone()),
                                ("script", script.name.to_owned()),
                                ("by", by.to_owned()),
                            ],
                            values: vec![
                                ("pipeline", f64::from(pipeline)),
                                ("cpu_us", sample.0),
                                ("calls_per_s", sample.1),
                            ],
                        });
                        samples[index].push(sample);
                    }
                }
                let of = |index: usize, value: fn(&(f64, f64)) -> f64| {
                    median(&samples[index].iter().map(value).collect::<Vec<_>>())
                };
                let cpu = [0, 1].map(|index| of(index, |sample| sample.0));
                let row = vec![
                    script.name.to_owned(),
                    by.to_owned(),
                    pipeline.to_string(),
                    format!("{:.2}", cpu[0]),
                    format!("{:.2}", cpu[1]),
                    format!("{:.2}", cpu[0] / cpu[1]),
                    format!("{:.0}", of(0, |sample| sample.1)),
                    format!("{:.0}", of(1, |sample| sample.1)),
                ];
                println!("{}", row.join("  "));
                rows.push(row);
            }
        }
    }
    println!();
    report::print_table(&rows);
    report::save("scripts", &figures)?;
    Ok(true)
}

/// Microseconds of CPU time for a call, and calls a second.
fn measure(
    subject: &Subject,
    script: &Script,
    by: &str,
    pipeline: u32,
    arguments: &Arguments,
) -> Result<(f64, f64), String> {
    let mut client = subject.server.client();
    let sha = match client.call(&["SCRIPT", "LOAD", script.text]) {
        Reply::Bulk(sha) => String::from_utf8_lossy(&sha).into_owned(),
        other => return Err(format!("{}: SCRIPT LOAD: {other}", subject.name)),
    };
    client.call(&["FLUSHALL"]);
    // A pipelined call costs less, and the clock of /proc ticks every 10 ms: more calls keep it exact.
    let least: u64 = arguments.number("requests", 100_000)?;
    let calls = if pipeline > 1 { least * 3 } else { least };
    let mut command = Program::new("redis-benchmark");
    command.args(["-p", &subject.server.port().to_string(), "--csv", "-n", &calls.to_string()]);
    command.args(["-r", &arguments.number("keys", 10_000_u64)?.to_string(), "-P", &pipeline.to_string()]);
    command.args(["-c", arguments.value("clients").unwrap_or("50"), by]);
    command.arg(if by == "EVAL" { script.text } else { &sha }).args(script.words);
    let cpu = || -> Result<Duration, String> {
        process::cpu_time(subject.server.pid()).map_err(|error| format!("{}: {error}", subject.name))
    };
    let before = cpu()?;
    let output = shell::capture(&mut command)?;
    let used = cpu()? - before;
    let rate = rate(&output).ok_or_else(|| format!("redis-benchmark said:\n{output}"))?;
    Ok((used.as_secs_f64() * 1e6 / calls as f64, rate))
}

/// The rate in redis-benchmark's last line. The test's name is what was sent, so it may have any character.
fn rate(csv: &str) -> Option<f64> {
    let line = csv.lines().rfind(|line| line.ends_with('"'))?;
    line.rsplit(',').nth(6)?.trim_matches('"').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_redis_benchmark() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"EVAL return f(1,2) 0\",\"95238.10\",\"0.282\",\"0.072\",\"0.271\",\"0.455\",\"0.567\",\"1.2\"\n";
        assert_eq!(rate(csv), Some(95_238.10));
        assert_eq!(rate("Could not connect"), None);
    }
}
