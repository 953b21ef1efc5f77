//! What a request costs the server over TCP, for the kernel's share: processor time of the process, divided by requests.
//!
//! The load comes from this program's own `bench` in a process of its own, for two to live beside each other as in a run. Processor time
//! and not throughput, so that it does not matter that the generator uses the same cores.

use std::path::Path;
use std::process::{Command, Stdio};

use rustredis_testkit::{Binary, Launch, process};
use serde_json::Value;

use super::case::Kind;

/// As the other loads of this page.
const WORKLOAD: &str = "uniform";
const CLIENTS: &str = "50";

/// Nanoseconds of the server per request, by engine, threads and pipeline, a figure each round.
#[derive(Debug, Clone, Default)]
pub struct OverTcp {
    cells: Vec<(Kind, usize, usize, Vec<f64>)>,
}

impl OverTcp {
    /// The rounds of a cell, if it was measured.
    pub fn rounds(&self, kind: Kind, threads: usize, pipeline: usize) -> Option<&[f64]> {
        let found = self.cells.iter().find(|cell| (cell.0, cell.1, cell.2) == (kind, threads, pipeline));
        found.map(|cell| cell.3.as_slice())
    }

    /// Adds a round of a cell.
    pub fn add(&mut self, kind: Kind, threads: usize, pipeline: usize, nanos: f64) {
        let found = self.cells.iter_mut().find(|cell| (cell.0, cell.1, cell.2) == (kind, threads, pipeline));
        match found {
            Some(cell) => cell.3.push(nanos),
            None => self.cells.push((kind, threads, pipeline, vec![nanos])),
        }
    }

    /// Starts the server once, and measures each pipeline.
    pub fn measure_round(
        &mut self,
        server: &Path,
        kind: Kind,
        threads: usize,
        pipelines: &[usize],
        seconds: f64,
    ) -> Result<(), String> {
        let threads_text = threads.to_string();
        let launch = Launch::new(Binary::Path(server.to_owned())).arguments(&[
            "--engine",
            kind.name(),
            "--threads",
            &threads_text,
        ]);
        let server = launch.try_start().map_err(|error| error.to_string())?;
        let address = server.address().to_string();
        let cpu = || process::cpu_time(server.pid()).map_err(|error| error.to_string());
        bench(&address, 1, 0.1, true)?;
        for pipeline in pipelines {
            bench(&address, *pipeline, 0.1, false)?;
            let before = cpu()?;
            let requests = bench(&address, *pipeline, seconds, false)?;
            let used = cpu()?.saturating_sub(before);
            self.add(kind, threads, *pipeline, used.as_secs_f64() * 1e9 / requests.max(1.0));
        }
        server.end();
        Ok(())
    }
}

/// Requests that were answered.
fn bench(address: &str, pipeline: usize, seconds: f64, fills: bool) -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["bench", "--target", address, "--workload", WORKLOAD, "--clients", CLIENTS]);
    command.args(["--pipeline", &pipeline.to_string(), "--seconds", &seconds.to_string()]);
    command.args(["--warm-up", "0", "--json"]);
    if !fills {
        command.arg("--no-fill");
    }
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let figures: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("bench: {error}: {}", String::from_utf8_lossy(&output.stderr).trim()))?;
    figures["requests"].as_f64().ok_or_else(|| "bench gave no number of requests".to_owned())
}
