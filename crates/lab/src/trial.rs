//! Measuring a cell once: server up, keys written, warm-up, measurement, server down.
//!
//! Each measurement has a server of its own. That costs a quarter of a second and buys independence: no cell sees the memory,
//! the tables or the file system state that another left behind, and any cell can be measured at any time.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustredis_testkit::Reply;

use crate::cell::{Cell, InProcess, Measure, RATE, Reference, Setup, Snapshot, Span, Tail, Tcp, TrialEnd};
use crate::fairness;
pub use crate::load::histogram::{decode, encode};
use crate::load::{self, Figures, Load, Pace, Phase};
use crate::machine;
use crate::target::{Programs, Running, StartError};
use crate::usage::{Usage, Used};
use crate::workloads;

/// How long a request may be under way before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest that a snapshot or rewrite is waited for.
const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(20);
/// How long after a broken connection the server's death is looked for.
const DEATH_DEADLINE: Duration = Duration::from_millis(300);
/// Requests that a connection of an open loop has under way at most; the others wait in the generator, and count from their
/// intended time.
const OPEN_PIPELINE: usize = 16;
const ENDED_EARLY: &str = "the load ended early";
const MEASURED: &str = "measured";
const WARM_UP: &str = "warm-up";

/// How long a measurement takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    /// Before figures count.
    pub warm_up: Duration,
    /// While they count.
    pub measured: Duration,
    /// The same for open loops, whose tails need more requests.
    pub tail: Duration,
    /// The same for the engines alone.
    pub in_process: Duration,
    /// Before, between and after snapshots.
    pub calm: Duration,
    /// From the start of a snapshot on, if it does not take longer: the same for who is done soon and who is not.
    pub saving: Duration,
}

/// Starting and filling a server, and ending it.
const AROUND: Duration = Duration::from_millis(130);

impl Times {
    /// About how long a measurement of this cell takes, with everything around it.
    pub fn expected(&self, cell: &Cell) -> Duration {
        let own = match cell {
            Cell::Tcp(_) | Cell::Reference(_) => self.warm_up + self.measured,
            Cell::Tail(tail) => self.warm_up + tail.measured_ms.map_or(self.tail, Duration::from_millis),
            // It warms up for a third of its time.
            Cell::InProcess(_) => self.in_process.mul_f64(1.3),
            // Calm before, between and after two savings, and half a second until a larger data set is there.
            Cell::Snapshot(_) => 4 * self.calm + 2 * self.saving + Duration::from_millis(500),
            Cell::Fairness(_) => self.warm_up + 2 * self.measured,
        };
        own + AROUND
    }
}

/// The name of the figure that says how many seconds a snapshot by this command took.
pub fn saving(command: &str) -> String {
    format!("{command} seconds")
}

/// Measures `cell`; `rate` is that of an open loop, requests a second. An end by `interrupted` gives `None`.
pub fn measure(
    cell: &Cell,
    rate: f64,
    programs: &Programs,
    times: &Times,
    seed: u64,
    interrupted: &AtomicBool,
) -> Option<TrialEnd> {
    let result = match cell {
        Cell::Tcp(tcp) => measure_tcp(tcp, Pace::Closed, programs, times, seed, interrupted),
        Cell::Tail(tail) => measure_tail(tail, rate, programs, times, seed, interrupted),
        Cell::Fairness(cell) => fairness::trial(cell, programs, times, seed, interrupted),
        Cell::Snapshot(snapshot) => measure_snapshot(snapshot, programs, times, seed, interrupted),
        Cell::InProcess(in_process) => measure_in_process(in_process, programs, times, seed),
        Cell::Reference(reference) => measure_reference(reference, programs, times),
    };
    if interrupted.load(std::sync::atomic::Ordering::Relaxed) {
        return None;
    }
    Some(match result {
        Ok(measure) => TrialEnd::Measured(Box::new(measure)),
        Err(StartError::Absent(reason)) => TrialEnd::Absent(reason),
        Err(StartError::Failed(reason)) => TrialEnd::Failed(reason),
    })
}

pub(crate) fn failed(reason: impl ToString) -> StartError {
    StartError::Failed(reason.to_string())
}

fn measure_tail(
    tail: &Tail,
    rate: f64,
    programs: &Programs,
    times: &Times,
    seed: u64,
    interrupted: &AtomicBool,
) -> Result<Measure, StartError> {
    let Tail { setup, workload, clients, generators, measured_ms, .. } = tail.clone();
    let measured = measured_ms.map_or(times.tail, Duration::from_millis).max(times.tail);
    let tcp = Tcp { setup, workload, clients, generators, pipeline: OPEN_PIPELINE };
    let times = Times { measured, ..*times };
    let mut measure = measure_tcp(&tcp, Pace::Open(rate), programs, &times, seed, interrupted)?;
    measure.more.insert(RATE.to_owned(), rate);
    Ok(measure)
}

fn measure_tcp(
    tcp: &Tcp,
    pace: Pace,
    programs: &Programs,
    times: &Times,
    seed: u64,
    interrupted: &AtomicBool,
) -> Result<Measure, StartError> {
    let mut server = programs.start(&tcp.setup)?;
    let load = load_on(&mut server, &tcp.workload, seed)?;
    let load = Load { clients: tcp.clients, pipeline: tcp.pipeline, threads: tcp.generators, pace, ..load };
    let mut usage = (Usage::default(), Usage::default());
    let mut machine_cpu = (0.0, 0.0);
    let figures = load::run(&load, WARM_UP, interrupted, |conductor| {
        if !conductor.wait(times.warm_up) {
            return;
        }
        (usage.0, machine_cpu.0) = (server.usage(), machine::busy_seconds());
        conductor.phase(MEASURED);
        conductor.wait(times.measured);
        (usage.1, machine_cpu.1) = (server.usage(), machine::busy_seconds());
    });
    let figures = figures.map_err(|error| or_death(&mut server, error))?;
    let phase = checked(&figures, &mut server)?.clone();
    found_all(&figures)?;
    let mut measure = summary(&figures, &phase);
    let Used { cpu, queued, yielded, preempted } = usage.1.since(&usage.0);
    measure.server_cores = round(cpu.as_secs_f64() / phase.seconds);
    measure.server_queued_cores = round(queued.as_secs_f64() / phase.seconds);
    (measure.server_yielded, measure.server_preempted) = (yielded, preempted);
    // A generator on another machine takes none of this one.
    let own = if server.has_far_generator() { 0.0 } else { measure.generator_cores };
    let foreign = (machine_cpu.1 - machine_cpu.0) / phase.seconds - measure.server_cores - own;
    measure.foreign_cores = round(foreign.max(0.0));
    measure.server_bytes = server.bytes();
    measure.more.insert("keys".to_owned(), load.keys as f64);
    Ok(measure)
}

/// What went wrong, or the server's death where that is behind it.
pub(crate) fn or_death(server: &mut Running, error: String) -> StartError {
    // A connection ends a moment before its process can be waited for.
    let end = Instant::now() + DEATH_DEADLINE;
    while Instant::now() < end {
        if let Some(death) = server.death() {
            return failed(death);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    failed(error)
}

/// A load on a freshly filled server, with one client.
fn load_on(server: &mut Running, workload: &str, seed: u64) -> Result<Load, StartError> {
    let workload =
        workloads::named(workload).ok_or_else(|| failed(format!("no workload is called {workload}")))?;
    workload.fill(server.address()).map_err(|error| or_death(server, error))?;
    Ok(Load {
        address: server.reach(),
        clients: 1,
        threads: 1,
        pipeline: 1,
        pace: Pace::Closed,
        mix: workload.mix(),
        keys: workload.keys,
        spread: workload.spread,
        seed,
        patience: PATIENCE,
        generator: server.generator().clone(),
    })
}

/// The measured phase, if nothing went wrong. The reason names the server's death before the connection's.
pub(crate) fn checked<'f>(figures: &'f Figures, server: &mut Running) -> Result<&'f Phase, StartError> {
    if let Some(fault) = &figures.fault {
        return Err(or_death(server, fault.clone()));
    }
    let errors: u64 = figures.phases.iter().map(|phase| phase.errors).sum();
    if errors > 0 {
        let text = figures.error_texts.iter().max_by_key(|(_, count)| **count);
        let text = text.map_or("", |(text, _)| text.as_str());
        return Err(failed(format!("{errors} requests were answered with errors, most of them: {text}")));
    }
    figures
        .phases
        .iter()
        .find(|phase| phase.name != WARM_UP && phase.requests > 0)
        .ok_or_else(|| failed("no request was answered"))
}

/// Named loads read what was written before and nobody deletes: a server that does not find it has lost it, and is cheap.
pub(crate) fn found_all(figures: &Figures) -> Result<(), StartError> {
    match figures.phases.iter().map(|phase| phase.misses).sum::<u64>() {
        0 => Ok(()),
        misses => Err(failed(format!("{misses} reads did not find a key that had been written"))),
    }
}

pub(crate) fn summary(figures: &Figures, phase: &Phase) -> Measure {
    let slices = figures.slices_between(phase.start, phase.start + phase.seconds);
    let late = |quantile: f64| match phase.late.len() {
        0 => 0.0,
        _ => round(phase.late.value_at_quantile(quantile) as f64 / 1e3),
    };
    Measure {
        main: span(phase),
        errors: phase.errors,
        misses: phase.misses,
        slices: slices.iter().map(slice).collect(),
        in_flight: figures.in_flight,
        unfinished: figures.unfinished,
        held: phase.held,
        late_p50_us: late(0.5),
        late_p99_us: late(0.99),
        late_max_us: late(1.0),
        late_share: round(phase.late_share()),
        generator_busiest: round(phase.generator_cpu.iter().copied().fold(0.0, f64::max)),
        generator_cores: round(phase.generator_cpu.iter().sum()),
        ..Measure::default()
    }
}

fn slice(slice: &load::figures::Slice) -> (u64, f64, f64) {
    let us = |nanos: u64| round(nanos as f64 / 1e3);
    (slice.requests, us(slice.latency.value_at_quantile(0.99)), us(slice.latency.max()))
}

/// Four significant digits are more than any measurement here has, and keep the raw data small.
pub(crate) fn round(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let scale = 10_f64.powi(4 - value.abs().log10().ceil() as i32);
    (value * scale).round() / scale
}

/// A phase's figures, all from its histogram.
pub fn span(phase: &Phase) -> Span {
    let us = |quantile: f64| round(phase.latency.value_at_quantile(quantile) as f64 / 1e3);
    Span {
        name: phase.name.clone(),
        start: round(phase.start),
        seconds: phase.seconds,
        requests: phase.requests,
        rate: phase.rate(),
        p50_us: us(0.5),
        p99_us: us(0.99),
        p999_us: us(0.999),
        max_us: us(1.0),
        histogram: encode(&phase.latency),
    }
}

fn measure_snapshot(
    snapshot: &Snapshot,
    programs: &Programs,
    times: &Times,
    seed: u64,
    interrupted: &AtomicBool,
) -> Result<Measure, StartError> {
    let mut server = programs.start(&snapshot.setup)?;
    let load = load_on(&mut server, "snapshot", seed)?;
    let load =
        Load { clients: 50, threads: 1, pipeline: 16, pace: Pace::Open(f64::from(snapshot.rate)), ..load };
    probe(&server)?;
    let mut script_error = None;
    let mut saved = BTreeMap::new();
    let figures = load::run(&load, WARM_UP, interrupted, |conductor| {
        let mut go = || -> Result<(), String> {
            let mut client = server.client()?;
            let stay = |conductor: &load::Conductor<'_>, time| {
                conductor.wait(time).then_some(()).ok_or_else(|| ENDED_EARLY.to_owned())
            };
            let calm = |conductor: &load::Conductor<'_>| stay(conductor, times.calm);
            calm(conductor)?;
            conductor.phase("before");
            calm(conductor)?;
            for (command, field) in
                [("BGSAVE", "rdb_bgsave_in_progress"), ("BGREWRITEAOF", "aof_rewrite_in_progress")]
            {
                conductor.phase(command);
                let started = Instant::now();
                let reply = client.try_call(&[command]).map_err(|error| error.to_string())?;
                if reply.is_error() {
                    return Err(format!("{command}: {reply}"));
                }
                wait_for_end(&mut client, field, conductor)?;
                saved.insert(saving(command), round(started.elapsed().as_secs_f64()));
                stay(conductor, times.saving.saturating_sub(started.elapsed()))?;
                conductor.phase("after");
                calm(conductor)?;
            }
            Ok(())
        };
        script_error = go().err();
    });
    let figures = figures.map_err(|error| or_death(&mut server, error))?;
    let before = checked(&figures, &mut server)?.clone();
    found_all(&figures)?;
    if let Some(error) = script_error {
        return Err(failed(error));
    }
    let mut measure = summary(&figures, &before);
    measure.phases = figures.phases.iter().filter(|phase| phase.name != WARM_UP).map(span).collect();
    measure.slices = figures.slices.iter().map(slice).collect();
    measure.server_bytes = server.bytes();
    measure.more = saved;
    Ok(measure)
}

/// Whether the server has BGSAVE and BGREWRITEAOF at all, so that a missing feature is told from a failure.
fn probe(server: &Running) -> Result<(), StartError> {
    let mut client = server.client().map_err(failed)?;
    for command in ["BGSAVE", "BGREWRITEAOF"] {
        let reply = client.try_call(&["COMMAND", "INFO", command]).map_err(failed)?;
        if !matches!(&reply, Reply::Array(rows) if matches!(rows.first(), Some(Reply::Array(_)))) {
            return Err(StartError::Absent(format!("the server has no {command}")));
        }
    }
    Ok(())
}

fn wait_for_end(
    client: &mut rustredis_testkit::Client,
    field: &str,
    conductor: &load::Conductor<'_>,
) -> Result<(), String> {
    let end = Instant::now() + SNAPSHOT_DEADLINE;
    loop {
        if !conductor.wait(Duration::from_millis(20)) {
            return Err(ENDED_EARLY.to_owned());
        }
        let info = client.try_call(&["INFO", "persistence"]).map_err(|error| error.to_string())?;
        let text = match &info {
            Reply::Bulk(_) | Reply::Verbatim(..) => info.text(),
            other => return Err(format!("INFO persistence answered {other}")),
        };
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        // A rewrite that is scheduled has not begun.
        let is_scheduled = text.contains("aof_rewrite_scheduled:1");
        match value.map(str::trim) {
            Some("0") if !is_scheduled => return Ok(()),
            Some(_) if Instant::now() < end => {}
            Some(_) => return Err(format!("{field} did not end within {SNAPSHOT_DEADLINE:?}")),
            None => return Err(format!("INFO persistence has no {field}")),
        }
    }
}

fn measure_in_process(
    cell: &InProcess,
    programs: &Programs,
    times: &Times,
    seed: u64,
) -> Result<Measure, StartError> {
    let Some(program) = &programs.in_process else {
        return Err(StartError::Absent("rustredis-lab-inprocess is not built".to_owned()));
    };
    let workload = workloads::named(&cell.workload)
        .ok_or_else(|| failed(format!("no workload is called {}", cell.workload)))?;
    let mut command = Command::new(program);
    match &cell.lock {
        Some(lock) => command.args(["--lock", lock]),
        None => command.args(["--engine", &cell.engine]),
    };
    command.args(["--metrics", &cell.metrics]);
    command.args(["--threads", &cell.threads.to_string(), "--batch", &cell.batch.to_string()]);
    command.args(["--spread", &workload.spread.to_string(), "--keys", &workload.keys.to_string()]);
    command.args(["--seconds", &times.in_process.as_secs_f64().to_string(), "--seed", &seed.to_string()]);
    if cell.contention {
        command.arg("--contention");
    }
    let output = match &programs.placement.server_cpus {
        Some(cpus) => cpus.while_pinned(|| command.stdin(Stdio::null()).output()).map_err(failed)?,
        None => command.stdin(Stdio::null()).output(),
    };
    let output = output.map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => {}
        Some(3) => return Err(StartError::Absent(errors.trim().to_owned())),
        _ => return Err(failed(format!("{}: {}", output.status, errors.trim()))),
    }
    let figures: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).map_err(failed)?;
    let mut measure = Measure::default();
    for (name, value) in figures {
        match value {
            serde_json::Value::Number(number) => {
                measure.more.insert(name, round(number.as_f64().unwrap_or(0.0)));
            }
            serde_json::Value::Array(values) if name == "shard_wait_ns" => {
                measure.shard_wait_ns = values.iter().filter_map(serde_json::Value::as_f64).collect();
            }
            _ => return Err(failed(format!("{name} is no figure"))),
        }
    }
    let figure = |name: &str| measure.more.get(name).copied().ok_or_else(|| failed(format!("no {name}")));
    let (commands, seconds) = (figure("commands")?, figure("seconds")?);
    measure.main = Span {
        name: MEASURED.to_owned(),
        seconds,
        requests: commands as u64,
        rate: commands / seconds,
        ..Span::default()
    };
    measure.server_cores = round(figure("cpu_seconds")? / seconds);
    Ok(measure)
}

fn measure_reference(
    reference: &Reference,
    programs: &Programs,
    times: &Times,
) -> Result<Measure, StartError> {
    let setup = Setup::other(crate::cell::Program::Redis, "redis", &[]);
    if !programs.has(&reference.tool) {
        return Err(StartError::Absent(format!("{} is not installed here", reference.tool)));
    }
    let server = programs.start(&setup)?;
    // It writes the same keys, for its GETs to find something.
    let workload =
        workloads::named(&reference.workload).ok_or_else(|| failed("the references run get and set"))?;
    workload.fill(server.address()).map_err(failed)?;
    crate::reference::run(reference, workload, server.address(), times.warm_up + times.measured)
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers nil to every GET makes no errors, and is the cheapest of all.
    #[test]
    fn a_key_that_is_not_found_fails_a_trial() {
        let figures = |misses| {
            let phase = serde_json::json!({
                "name": MEASURED, "start": 0.0, "seconds": 1.0, "requests": 100, "errors": 0, "misses": misses, "held": 0,
                "latency": encode(&load::figures::latency_histogram()),
                "late": encode(&load::figures::latency_histogram()), "generator_cpu": [],
            });
            let phase = serde_json::from_value(phase).expect("it has all of a phase");
            Figures {
                phases: vec![phase],
                slices: Vec::new(),
                error_texts: BTreeMap::new(),
                fault: None,
                in_flight: 0,
                unfinished: 0,
            }
        };
        assert!(found_all(&figures(0)).is_ok());
        assert!(matches!(found_all(&figures(1)), Err(StartError::Failed(why)) if why.starts_with("1 reads")));
    }

    #[test]
    fn four_digits_are_kept() {
        assert_eq!(round(123_456.0), 123_500.0);
        assert_eq!(round(0.001_234_56), 0.001_235);
        assert_eq!(round(0.0), 0.0);
    }
}
