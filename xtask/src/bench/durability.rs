//! What durability costs: SET under every `appendfsync` and without a file, beside redis-server on the same disk.
//!
//! The load is the lab's: redis-benchmark needs so much time for a request that at 1,000 clients its one thread is the limit.
//! Measured with it, a server that only answers `+OK` was 0.7 to 1.1 times as fast as redis-server with `always`.
//!
//! All servers run side by side and take turns, so that a disk or a machine that changes its mind does so for all. In the
//! end a rate that does not wait for replies shows whether a slow disk (`DEBUG STORAGE`) is felt under `everysec`.

use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::time::Duration;

use rustredis_testkit::process;

use super::disk::{self, Subject};
use super::pace;
use super::report::{self, Figure, median, percentile};
use crate::arguments::Arguments;
use crate::task_result::TaskResult;
use crate::{build, shell};

/// Size of the values, in bytes, and the keys that they are spread over.
const VALUE_BYTES: usize = 64;
const KEYS: u64 = 100_000;
/// Writes per second beside the slow disk, for so long at a time.
const RATE: u32 = 10_000;
const RATE_TIME: Duration = Duration::from_secs(6);
/// How much longer each sync takes then, in milliseconds.
const SYNC_DELAY_MS: u32 = 100;

/// How long the lab's generator measures, after how long a warm-up.
const LAB_SECONDS: &str = "1.5";
const LAB_WARM_UP_SECONDS: &str = "0.3";

/// What the append-only file waits for, `off` if there is none.
const POLICIES: [&str; 4] = ["off", "no", "everysec", "always"];

/// Runs the measurement.
pub(super) fn run(arguments: &Arguments) -> TaskResult {
    let rounds: usize = arguments.number("rounds", 3)?;
    let clients = arguments.numbers("clients", &[50, 1_000])?;
    let most = clients.iter().copied().max().unwrap_or(0);
    let limit = process::raise_open_file_limit(u64::from(most) * 8 + 1_000);
    limit.map_err(|error| format!("cannot raise the limit of open files: {error}"))?;
    let kinds = disk::kinds(arguments)?;
    // For each kind the four policies.
    let mut subjects: Vec<Vec<Subject>> = Vec::new();
    for kind in &kinds {
        let start = |policy: &&str| disk::start(kind, arguments, &options(policy));
        subjects.push(POLICIES.iter().map(start).collect::<Result<_, _>>()?);
    }
    let generator = Generator::chosen(arguments)?;
    let mut rows = vec![head(&subjects)];
    let mut figures = Vec::new();
    for &clients in &clients {
        for pipeline in arguments.numbers("pipelines", &[1, 16])? {
            let rates = cell(&generator, &subjects, clients, pipeline, rounds, &mut figures)?;
            let row = row(clients, pipeline, &rates);
            println!("{}", row.join("  "));
            rows.push(row);
        }
    }
    println!();
    report::print_table(&rows);
    slow_disk(&subjects[0][2], rounds.min(3), &mut figures)?;
    report::save("durability", &figures)?;
    Ok(true)
}

fn options(policy: &str) -> Vec<&str> {
    // A rewrite in the middle would be measured with it.
    let mut options = vec!["--auto-aof-rewrite-percentage", "0", "--maxclients", "10000"];
    match policy {
        "off" => options.extend(["--appendonly", "no"]),
        policy => options.extend(["--appendonly", "yes", "--appendfsync", policy]),
    }
    options.extend(["--enable-debug-command", "yes"]);
    options
}

/// The median rate of each subject.
fn cell(
    generator: &Generator,
    subjects: &[Vec<Subject>],
    clients: u32,
    pipeline: u32,
    rounds: usize,
    figures: &mut Vec<Figure>,
) -> Result<Vec<[f64; POLICIES.len()]>, String> {
    let mut samples = vec![vec![Vec::new(); POLICIES.len()]; subjects.len()];
    for round in 0..rounds {
        for policy in 0..POLICIES.len() {
            for turn in 0..subjects.len() {
                let kind = (round + turn) % subjects.len();
                let subject = &subjects[kind][policy];
                let rate = generator.measure(subject, clients, pipeline)?;
                samples[kind][policy].push(rate);
                figures.push(Figure {
                    labels: vec![
                        ("server", subject.name.clone()),
                        ("appendfsync", POLICIES[policy].to_owned()),
                    ],
                    values: vec![
                        ("clients", f64::from(clients)),
                        ("pipeline", f64::from(pipeline)),
                        ("requests_per_s", rate),
                    ],
                });
            }
        }
    }
    let median_of = |samples: &Vec<Vec<f64>>| std::array::from_fn(|policy| median(&samples[policy]));
    Ok(samples.iter().map(median_of).collect())
}

/// What makes the load.
struct Generator {
    /// The lab's program; redis-benchmark if there is none.
    lab: Option<PathBuf>,
    threads: u32,
    /// Of redis-benchmark, without pipelining.
    requests: u64,
}

impl Generator {
    fn chosen(arguments: &Arguments) -> Result<Self, String> {
        let lab = match arguments.value("generator").unwrap_or("lab") {
            "redis-benchmark" => None,
            "lab" => Some(build::lab()?),
            other => return Err(format!("--generator is redis-benchmark or lab, not {other}")),
        };
        let threads = arguments.number("load-threads", if lab.is_some() { 2 } else { 1 })?;
        Ok(Self { lab, threads, requests: arguments.number("requests", 40_000)? })
    }

    /// Requests a second.
    fn measure(&self, subject: &Subject, clients: u32, pipeline: u32) -> Result<f64, String> {
        let mut command = match &self.lab {
            Some(lab) => self.lab(lab, subject),
            None => self.redis_benchmark(subject, pipeline),
        };
        command.args(["-c", &clients.to_string(), "-P", &pipeline.to_string()]);
        let output = shell::capture(&mut command)?;
        let rate = if self.lab.is_some() {
            output.split_once(" requests/s").and_then(|(rate, _)| rate.parse().ok())
        } else {
            let line = output.lines().find(|line| line.starts_with("\"SET\""));
            line.and_then(|line| line.split(',').nth(1)?.trim_matches('"').parse().ok())
        };
        rate.ok_or_else(|| format!("the load generator said:\n{output}"))
    }

    fn redis_benchmark(&self, subject: &Subject, pipeline: u32) -> Program {
        let requests = self.requests * u64::from(pipeline).isqrt();
        let mut command = Program::new("redis-benchmark");
        command.args(["-p", &subject.server.port().to_string(), "-t", "set", "--csv"]);
        command.args(["-n", &requests.to_string(), "-r", &KEYS.to_string(), "-d", &VALUE_BYTES.to_string()]);
        if self.threads > 1 {
            command.args(["--threads", &self.threads.to_string()]);
        }
        command
    }

    /// The workload `set` of the lab has the same keys and values.
    fn lab(&self, program: &Path, subject: &Subject) -> Program {
        let mut command = Program::new(program);
        command.args(["bench", "--target", &format!("127.0.0.1:{}", subject.server.port())]);
        command.args(["--workload", "set", "--no-fill", "--threads", &self.threads.to_string()]);
        command.args(["--warm-up", LAB_WARM_UP_SECONDS, "--seconds", LAB_SECONDS]);
        command
    }
}

fn head(subjects: &[Vec<Subject>]) -> Vec<String> {
    let mut head = vec!["-c".to_owned(), "-P".to_owned()];
    for kind in subjects {
        head.extend(POLICIES.iter().map(|policy| format!("{} {policy}", kind[0].name)));
        head.extend(["always/no", "everysec/no"].map(|ratio| format!("{} {ratio}", kind[0].name)));
    }
    if let [ours, redis] = subjects {
        head.push(format!("always, {}/{}", ours[0].name, redis[0].name));
    }
    head
}

fn row(clients: u32, pipeline: u32, rates: &[[f64; POLICIES.len()]]) -> Vec<String> {
    let mut row = vec![clients.to_string(), pipeline.to_string()];
    for [off, no, everysec, always] in rates {
        row.extend([off, no, everysec, always].map(|rate| format!("{rate:.0}")));
        row.extend([always / no, everysec / no].map(|ratio| format!("{ratio:.2}")));
    }
    if let [ours, redis] = rates {
        row.push(format!("{:.2}", ours[3] / redis[3]));
    }
    row
}

/// Whether a slow sync is felt under `everysec`.
fn slow_disk(subject: &Subject, rounds: usize, figures: &mut Vec<Figure>) -> Result<(), String> {
    let mut client = subject.server.client();
    let mut samples = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (is_slow, samples) in [false, true].into_iter().zip(&mut samples) {
            if is_slow {
                let reply = client.line(&format!("DEBUG STORAGE SYNC every delay {SYNC_DELAY_MS}"));
                if reply.is_error() {
                    println!("{} has no DEBUG STORAGE: {reply}", subject.name);
                    return Ok(());
                }
            }
            let latencies = pace::write_for(&subject.server, RATE, KEYS, RATE_TIME)?;
            client.line("DEBUG STORAGE RESET");
            let [p50, p999, max] = [0.5, 0.999, 1.0].map(|share| percentile(&latencies, share) as f64);
            samples.push(p999);
            figures.push(Figure {
                labels: vec![
                    ("server", subject.name.clone()),
                    ("disk", if is_slow { "slow" } else { "as it is" }.into()),
                ],
                values: vec![("p50_us", p50), ("p999_us", p999), ("max_us", max)],
            });
        }
    }
    let [usual, slow] = samples.map(|samples| median(&samples));
    println!(
        "\n{} with everysec, {RATE} SETs a second: p99.9 {usual:.0} us, with syncs {SYNC_DELAY_MS} ms slower {slow:.0} us",
        subject.name
    );
    Ok(())
}
