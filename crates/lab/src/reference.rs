//! Other load generators, run on the same server, so that ours can be believed.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustredis_testkit::process;

use crate::cell::{Measure, Reference, Span};
use crate::workloads::Workload;

/// Requests a second that a run is sized for, with one client, without and with pipelining: it should take about as long as
/// ours.
const RATE_ALONE: f64 = 12_000.0;
const RATE_PLAIN: f64 = 90_000.0;
const RATE_PIPELINED: f64 = 450_000.0;

/// Runs the tool for about `time`.
pub fn run(
    reference: &Reference,
    workload: &Workload,
    address: SocketAddr,
    time: Duration,
) -> Result<Measure, String> {
    let mut command = Command::new(&reference.tool);
    let (clients, pipeline) = (reference.clients.to_string(), reference.pipeline.to_string());
    let (keys, bytes) = (workload.keys.to_string(), workload.value_bytes.to_string());
    let port = address.port().to_string();
    let is_redis = reference.tool == "redis-benchmark";
    if is_redis {
        let rate = match (reference.clients, reference.pipeline) {
            (1, 1) => RATE_ALONE,
            (_, 1) => RATE_PLAIN,
            _ => RATE_PIPELINED,
        };
        let requests = ((rate * time.as_secs_f64()) as u64).to_string();
        command.args(["-h", "127.0.0.1", "-p", &port, "-c", &clients, "-P", &pipeline, "-n", &requests]);
        command.args(["-r", &keys, "-d", &bytes, "-t", &reference.workload, "--csv"]);
    } else {
        let ratio = if reference.workload == "get" { "0:1" } else { "1:0" };
        let seconds = time.as_secs().max(1).to_string();
        command.args(["-s", "127.0.0.1", "-p", &port, "-c", &clients, "-t", "1", "--pipeline", &pipeline]);
        command.args(["--ratio", ratio, "--key-maximum", &keys, "-d", &bytes, "--test-time", &seconds]);
        command.args(["--key-prefix", "key:", "--hide-histogram"]);
    }
    let (cpu, started) = (process::children_cpu_time(), Instant::now());
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let cpu =
        process::children_cpu_time().saturating_sub(cpu).as_secs_f64() / started.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&output.stdout);
    let main = if is_redis { csv(&text) } else { totals(&text) };
    let main = main.ok_or_else(|| format!("{} wrote no figures: {text}", reference.tool))?;
    Ok(Measure { main, generator_busiest: cpu, generator_cores: cpu, ..Measure::default() })
}

/// redis-benchmark's line: `"GET","rps","avg","min","p50","p95","p99","max"`, latencies in ms.
fn csv(text: &str) -> Option<Span> {
    let line = text.lines().find(|line| line.starts_with("\"GET\"") || line.starts_with("\"SET\""))?;
    let fields: Vec<f64> =
        line.split(',').skip(1).filter_map(|field| field.trim_matches('"').parse().ok()).collect();
    let [rate, _, _, p50, _, p99, max] = fields.as_slice() else { return None };
    Some(Span { rate: *rate, p50_us: p50 * 1e3, p99_us: p99 * 1e3, max_us: max * 1e3, ..Span::default() })
}

/// memtier's line: `Totals ops/sec hits misses avg p50 p99 p99.9 KB/sec`, latencies in ms; the last four are found from
/// the end, for the columns before differ between versions.
fn totals(text: &str) -> Option<Span> {
    let line = text.lines().find(|line| line.starts_with("Totals"))?;
    let fields: Vec<f64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    let [rate, .., p50, p99, p999, _] = fields.as_slice() else { return None };
    Some(Span { rate: *rate, p50_us: p50 * 1e3, p99_us: p99 * 1e3, p999_us: p999 * 1e3, ..Span::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_both_tools_are_read() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\
                    \"p99_latency_ms\",\"max_latency_ms\"\n\"GET\",\"80000.50\",\"0.3\",\"0.1\",\"0.295\",\"0.4\",\"0.5\",\"2\"\n";
        let span = csv(text).unwrap();
        assert_eq!((span.rate, span.p50_us, span.p99_us, span.max_us), (80_000.5, 295.0, 500.0, 2_000.0));
        let text = "Totals      90000.00     100.00     0.00    0.550    0.500    0.900    1.500    7000.0\n";
        let span = totals(text).unwrap();
        assert_eq!((span.rate, span.p50_us, span.p99_us, span.p999_us), (90_000.0, 500.0, 900.0, 1_500.0));
        assert!(csv("error").is_none() && totals("").is_none());
    }
}
