//! `run`: from a clean checkout to a report.
//!
//! Each trial is on disk before the next begins. Ctrl-C, a power cut or a kill lose one trial at most; the same command goes
//! on where it stopped. Sessions follow each other, each with an order and peaks of its own.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cell::{Cell, Trial, TrialEnd};
use crate::data::{Data, PLACEMENT, Session, Settings};
use crate::placement::PlacementArgs;
use crate::plan::{Matrix, Scale, expected, schedule};
use crate::rules::{Claim, Rules};
use crate::target::Programs;
use crate::{machine, report, trial};

/// Options of `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Where the report and its data go; a run that is there already is continued
    #[arg(long, default_value = "lab-results")]
    pub out: PathBuf,
    /// Seed of the order and of all that is drawn
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Longer measurements and twice the repetitions
    #[arg(long)]
    pub full: bool,
    /// Only these claims (1 to 9; 0 is the comparison of load generators); may be repeated
    #[arg(long, value_name = "CLAIM")]
    pub only: Vec<u8>,
    /// A server that is built already, with rustredis-lab-inprocess beside it
    #[arg(long, value_name = "PATH")]
    pub server: Option<PathBuf>,
    /// Measure everything so often, one session after the other
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub sessions: u32,
    /// Say what would be measured and how long it would take, and measure nothing
    #[arg(long)]
    pub plan: bool,
    /// Where servers and the generator run.
    #[command(flatten)]
    pub placement: PlacementArgs,
}

/// Measures what is not measured yet and writes the report; false if it was interrupted or a cell failed.
pub fn run(args: &RunArgs, interrupted: &AtomicBool) -> Result<bool, String> {
    let claims = chosen(&args.only)?;
    let placement = args.placement.resolve()?;
    let programs = Programs { placement, ..Programs::find(args.server.as_deref())? };
    if args.plan {
        print!("{}", plan(&matrix(args, &programs), &claims, args));
        return Ok(true);
    }
    let mut data = open(args, &programs)?;
    let planned = data.settings.matrix.plan(&claims);
    data.settings.cells.extend(planned.iter().map(|planned| (planned.cell.id(), planned.cell.clone())));
    while data.session_count() < args.sessions as usize {
        let seed = args.seed.wrapping_add(SESSION_SEEDS * data.session_count() as u64);
        data.settings.sessions.push(Session { seed, machine: machine::describe(), ..Session::default() });
    }
    data.write()?;
    let mut is_complete = true;
    for session in 0..args.sessions {
        let seed = data.settings.sessions[session as usize].seed;
        let order = schedule(&planned, &data.settings.matrix, seed);
        is_complete = is_complete && measure(&order, session, &mut data, &programs, interrupted)?;
    }
    let written = report::write(&data)?;
    print!("{}", report::overview(&data));
    println!("{}", written.display());
    for (trial, reason) in data.failures() {
        println!("failed: {} (round {}): {reason}", trial.cell, trial.round);
    }
    if !is_complete {
        println!("interrupted: the same command goes on where this stopped");
    }
    Ok(is_complete && data.failures().is_empty())
}

/// Sessions draw differently: their seeds lie so far apart, for each round adds one.
const SESSION_SEEDS: u64 = 1_000;

fn chosen(only: &[u8]) -> Result<Vec<&'static Claim>, String> {
    let claims = &Rules::frozen().claims;
    if let Some(wrong) = only.iter().find(|number| claims.iter().all(|claim| claim.number != **number)) {
        return Err(format!("there is no claim {wrong}: 1 to 9, and 0 for the instrument"));
    }
    Ok(claims.iter().filter(|claim| only.is_empty() || only.contains(&claim.number)).collect())
}

fn matrix(args: &RunArgs, programs: &Programs) -> Matrix {
    Matrix {
        scale: if args.full { Scale::Full } else { Scale::Quick },
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        engines: programs.engines.clone(),
        has_valkey: programs.has("valkey-server"),
        is_generator_elsewhere: programs.placement.generator.address.is_some(),
    }
}

/// What would be measured, by kind of cell, and how long it would take.
fn plan(matrix: &Matrix, claims: &[&Claim], args: &RunArgs) -> String {
    let planned = matrix.plan(claims);
    let order = schedule(&planned, matrix, args.seed);
    let mut kinds: std::collections::BTreeMap<&str, Vec<(Cell, u32)>> = std::collections::BTreeMap::new();
    for (cell, round) in &order {
        kinds.entry(cell.kind()).or_default().push((cell.clone(), *round));
    }
    let minutes = |order: &[(Cell, u32)]| expected(order, matrix).as_secs_f64() / 60.0;
    let lines = kinds.iter().map(|(kind, order)| {
        let cells: BTreeSet<String> = order.iter().map(|(cell, _)| cell.id()).collect();
        format!(
            "{kind}: {} measurements of {} cells, {:.1} minutes\n",
            order.len(),
            cells.len(),
            minutes(order)
        )
    });
    let statements: Vec<_> = claims.iter().flat_map(|claim| &claim.statements).collect();
    let deciding = statements.iter().filter(|statement| statement.decides).count();
    format!(
        "{}{} statements, of which {deciding} decide\n{} measurements of {} cells, {} sessions, {:.1} minutes\n",
        lines.collect::<String>(),
        statements.len(),
        order.len() * args.sessions as usize,
        planned.len(),
        args.sessions,
        minutes(&order) * f64::from(args.sessions)
    )
}

/// The run in the directory, if its settings are the same; or a new one.
fn open(args: &RunArgs, programs: &Programs) -> Result<Data, String> {
    let settings = Settings {
        lab: env!("CARGO_PKG_VERSION").to_owned(),
        rules: Rules::frozen().hash.clone(),
        seed: args.seed,
        matrix: matrix(args, programs),
        machine: {
            let mut machine = machine::describe();
            machine.extend(programs.placement.describe().map(|place| (PLACEMENT.to_owned(), place)));
            machine
        },
        versions: programs.versions.clone(),
        sessions: Vec::new(),
        cells: std::collections::BTreeMap::new(),
    };
    let Some(old) = Data::read(&args.out)? else {
        return Ok(Data { directory: args.out.clone(), settings, trials: Vec::new() });
    };
    if old.settings.rules != settings.rules {
        return Err(format!(
            "{} was measured under other rules ({} and not {}); choose another --out",
            args.out.display(),
            old.settings.rules,
            settings.rules
        ));
    }
    let is_same = old.settings.seed == settings.seed
        && old.settings.placement() == settings.placement()
        && old.settings.matrix == settings.matrix
        && old.settings.versions == settings.versions;
    if is_same {
        Ok(old)
    } else {
        Err(format!(
            "{} holds a run with another seed, scale, placement, machine or server; choose another --out",
            args.out.display()
        ))
    }
}

/// Measures what of a session is not measured yet, in its order; false if it was interrupted.
fn measure(
    order: &[(Cell, u32)],
    session: u32,
    data: &mut Data,
    programs: &Programs,
    interrupted: &AtomicBool,
) -> Result<bool, String> {
    let own = data.trials.iter().filter(|trial| trial.session == session);
    let done: BTreeSet<(String, u32)> = own.map(|trial| (trial.cell.clone(), trial.round)).collect();
    let is_left = |(cell, round): &&(Cell, u32)| !done.contains(&(cell.id(), *round));
    let left: Vec<&(Cell, u32)> = order.iter().filter(is_left).collect();
    println!(
        "session {}: {} measurements, {} of them done",
        session + 1,
        order.len(),
        order.len() - left.len()
    );
    let bar = ProgressBar::new(left.len() as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {eta} left  {wide_msg}")
        .map_err(|error| error.to_string())?;
    bar.set_style(style);
    // What is not here in one round is not here in the next; a later start looks again.
    let mut absent: BTreeSet<String> = BTreeSet::new();
    for (cell, round) in left {
        if interrupted.load(Relaxed) {
            bar.abandon();
            return Ok(false);
        }
        bar.set_message(cell.id());
        if absent.contains(&cell.id()) {
            bar.inc(1);
            continue;
        }
        let unix_ms = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_millis() as u64);
        let Some(outcome) = outcome(cell, (session, *round), data, programs, interrupted)? else {
            bar.abandon();
            return Ok(false);
        };
        match &outcome {
            TrialEnd::Failed(reason) => bar.println(format!("{cell}: {reason}")),
            TrialEnd::Absent(_) => drop(absent.insert(cell.id())),
            TrialEnd::Measured(_) => {}
        }
        data.add(Trial { cell: cell.id(), session, round: *round, unix_ms, outcome })?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(true)
}

/// Measures a cell once; an open loop at its share of the session's peak, which is found once, when the first asks for it.
fn outcome(
    cell: &Cell,
    (session, round): (u32, u32),
    data: &mut Data,
    programs: &Programs,
    interrupted: &AtomicBool,
) -> Result<Option<TrialEnd>, String> {
    if cell.peak().is_some() && data.settings.sessions[session as usize].peaks.is_empty() {
        data.find_peaks(session);
        data.write()?;
    }
    let rate = data.rate(cell, session);
    if cell.peak().is_some() && rate.is_none() {
        return Ok(Some(TrialEnd::Failed(
            "no closed loop told the peak that its rate is a share of".to_owned(),
        )));
    }
    let times = data.settings.matrix.times();
    let seed = data.settings.sessions[session as usize].seed.wrapping_add(u64::from(round));
    Ok(trial::measure(cell, rate.unwrap_or_default(), programs, &times, seed, interrupted))
}
