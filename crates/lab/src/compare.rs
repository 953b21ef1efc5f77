//! `compare A B`: two runs cell by cell, or two servers under the same load, in turn.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use clap::Args;

use crate::claims::Verdict;
use crate::data::Data;
use crate::placement::GeneratorArgs;
use crate::rules::Rules;
use crate::{bench, duel, judge};

/// Options of `compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// A run's directory, or a server as HOST:PORT
    pub a: String,
    /// Another
    pub b: String,
    /// Servers: the load, by name
    #[arg(long, default_value = "uniform")]
    pub workload: String,
    /// Servers: connections
    #[arg(long, short, default_value_t = 50)]
    pub clients: usize,
    /// Servers: requests under way per connection
    #[arg(long, short = 'P', default_value_t = 1)]
    pub pipeline: usize,
    /// Servers: threads of the generator
    #[arg(long, short, default_value_t = 1)]
    pub threads: usize,
    /// Servers: repetitions
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Servers: seconds of each repetition
    #[arg(long, default_value_t = 1.0, value_parser = bench::seconds)]
    pub seconds: f64,
    /// Servers: seed of the order and of what is drawn
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Servers: requests a second in the open loop, which tells latencies; without it 60% of the slower one's throughput
    #[arg(long, value_name = "PER_SECOND", value_parser = bench::rate)]
    pub rate: Option<f64>,
    /// Servers: where the generator runs.
    #[command(flatten)]
    pub generator: GeneratorArgs,
}

/// Prints the comparison. Of runs: true if both decide something, and no verdict of one excludes the other's.
pub fn run(args: &CompareArgs, interrupted: &AtomicBool) -> Result<bool, String> {
    let is_run = |text: &str| Path::new(text).is_dir();
    if is_run(&args.a) && is_run(&args.b) {
        let (a, b) = (read(&args.a)?, read(&args.b)?);
        let comparison = runs(&a, &b);
        print!("{}", comparison.text);
        return Ok(comparison.agrees);
    }
    if is_run(&args.a) || is_run(&args.b) {
        return Err("one is a run and the other is not".to_owned());
    }
    duel::run(args, interrupted)
}

fn read(directory: &str) -> Result<Data, String> {
    let path = PathBuf::from(directory);
    Data::read(&path)?.ok_or_else(|| format!("{directory} holds no run"))
}

/// What two runs have to say to each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// For readers.
    pub text: String,
    /// Whether they agree: there are statements that both decide, and none flips from *holds* to *no difference* or the
    /// other way round, or back.
    pub agrees: bool,
    /// How many statements both decide; where none is, nothing can flip.
    pub decided: usize,
    /// Statements that decide and that flip.
    pub flips: Vec<String>,
    /// Statements that decide and that are undecided in A, and in B.
    pub undecided: (usize, usize),
}

/// Compares the verdicts of two runs.
pub fn runs(a: &Data, b: &Data) -> Comparison {
    let mut text = String::new();
    if a.settings.rules != b.settings.rules {
        text += "The two were measured under different rules.\n\n";
    }
    for (name, run) in [("A", a), ("B", b)] {
        if run.settings.rules != Rules::frozen().hash {
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(
                text,
                "{name} is judged by other rules than it was measured under: this is no test.\n"
            );
        }
    }
    text += "| statement | A | B | verdict of A | of B | |\n|---|---|---|---|---|---|\n";
    let (of_a, of_b) = (judge::all(a), judge::all(b));
    let mut flips = Vec::new();
    let (mut undecided, mut decided) = ((0, 0), 0);
    for (left, right) in of_a.iter().zip(&of_b).filter(|(left, _)| left.decides) {
        let sides = side(left.verdict).zip(side(right.verdict));
        decided += usize::from(sides.is_some());
        // More and less of a direction can both be true; and what is undecided or untestable excludes nothing.
        let is_flip = sides.is_some_and(|(a, b)| a != b);
        if is_flip {
            flips.push(left.id.clone());
        }
        undecided.0 += usize::from(left.verdict == Verdict::Undecided);
        undecided.1 += usize::from(right.verdict == Verdict::Undecided);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            left.id,
            left.ours(),
            right.ours(),
            left.verdict_words(),
            right.verdict_words(),
            if is_flip { "**flips**" } else { "" }
        );
    }
    let _ = writeln!(
        text,
        "\n{} of {decided} statements that both decide flip. Undecided: {} in A, {} in B.",
        flips.len(),
        undecided.0,
        undecided.1
    );
    if decided == 0 {
        text += "No statement is decided in both: whether they agree is not shown.\n";
    }
    Comparison { text, agrees: decided > 0 && flips.is_empty(), decided, flips, undecided }
}

/// On which side of 1 a verdict sees a ratio, if it sees it.
fn side(verdict: Verdict) -> Option<i8> {
    match verdict {
        Verdict::Holds | Verdict::HoldsLess => Some(1),
        Verdict::NoDifference => Some(0),
        Verdict::OtherWayRound => Some(-1),
        Verdict::Undecided | Verdict::Untestable => None,
    }
}
