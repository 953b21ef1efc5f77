//! `rustredis-lab`: where does performance break under concurrency?

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use rustredis_lab::data::Data;
use rustredis_lab::load::remote;
use rustredis_lab::{bench, compare, coverage, merge, peers, predict, report, run};

/// Two signals within this time are one.
const SECOND_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Parser)]
#[command(name = "rustredis-lab", version, about = "Where does performance break under concurrency?")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Measure the claims and write the report; goes on where an earlier run stopped
    Run(run::RunArgs),
    /// Put one load on a server that runs already
    Bench(bench::BenchArgs),
    /// Send loads for a lab on another machine
    Generator(remote::GeneratorTask),
    /// Compare two runs cell by cell, or two servers under the same load
    Compare(compare::CompareArgs),
    /// Put runs together as sessions of one
    Merge(merge::MergeArgs),
    /// Show by simulation how often the intervals hold the true median
    Coverage(coverage::CoverageArgs),
    /// Predict what the engines do on more cores than are here, and say how far off such predictions are
    Predict(predict::PredictArgs),
    /// Compare any servers command by command: CPU per request, latency at equal rates, memory; writes docs/PERFORMANCE.md
    Peers(peers::PeersArgs),
    /// Write the report of a run again from its raw data
    Report {
        /// The run's directory
        directory: PathBuf,
    },
    /// Photograph pictures of a run's report with Chromium, as CHART-light.png and CHART-dark.png beside it
    Pictures {
        /// The run's directory
        directory: PathBuf,
        /// Their names in the report, as in the page's addresses (#CHART)
        #[arg(required = true)]
        charts: Vec<String>,
    },
}

fn main() -> ExitCode {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    let mut first: Option<Instant> = None;
    // A second Ctrl-C ends the process at once. Wrappers (timeout, cargo) pass on what the terminal sent to all already.
    let installed = ctrlc::set_handler(move || {
        flag.store(true, Relaxed);
        if first.get_or_insert_with(Instant::now).elapsed() > SECOND_AFTER {
            std::process::exit(130);
        }
    });
    if let Err(error) = installed {
        eprintln!("rustredis-lab: Ctrl-C will end it at once: {error}");
    }
    // A thousand clients and as many files: as far as the system allows.
    let _ = rustredis_testkit::process::raise_open_file_limit(65_536);
    let result = match Cli::parse().task {
        Task::Run(args) => run::run(&args, &interrupted),
        Task::Bench(args) => bench::run(&args, &interrupted),
        Task::Generator(args) => remote::serve(&args, &interrupted),
        Task::Compare(args) => compare::run(&args, &interrupted),
        Task::Merge(args) => merge::run(&args),
        Task::Coverage(args) => Ok(coverage::run(&args)),
        Task::Predict(args) => predict::run(&args, &interrupted),
        Task::Peers(args) => peers::run(&args, &interrupted),
        Task::Report { directory } => write_report(&directory),
        Task::Pictures { directory, charts } => photograph(&directory, &charts),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rustredis-lab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_in(directory: &Path) -> Result<Data, String> {
    Data::read(directory)?.ok_or_else(|| format!("{} holds no run", directory.display()))
}

fn photograph(directory: &Path, charts: &[String]) -> Result<bool, String> {
    let data = run_in(directory)?;
    for chart in charts {
        for path in report::photograph(&data, chart)? {
            println!("{}", path.display());
        }
    }
    Ok(true)
}

fn write_report(directory: &Path) -> Result<bool, String> {
    let data = run_in(directory)?;
    let path = report::write(&data)?;
    print!("{}", report::overview(&data));
    println!("{}", path.display());
    Ok(true)
}
