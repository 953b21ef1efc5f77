//! The rules, frozen before the data: which statements there are, what each compares, and what its verdict needs.
//!
//! They stand in `rules.toml`, which is part of the program; its SHA-256 is in `run.json` and in the report. Whoever doubts
//! a verdict reads the file, not this code: statements are data, judged by one function ([`crate::judge`]), and the audit in
//! Python reads the same file. Rejected: statements as code, which let the rules be bent case by case, and after the fact.
//!
//! A statement compares the same figure of two cells. `each` multiplies a statement over lists of values, which replace
//! `{name}` in its texts and cells; `cell` is what left and right have in common.

mod expand;
mod figure;
mod limits;
mod spec;

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use figure::Figure;
pub use limits::{Limits, Rounds};
pub use spec::CellSpec;

const TEXT: &str = include_str!("../rules.toml");

/// All of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// The numbers that hold for all statements.
    pub limits: Limits,
    /// What open loops take shares of.
    pub peaks: Vec<Peak>,
    /// The claims, in the report's order.
    pub claims: Vec<Claim>,
    /// SHA-256 of the file, in hexadecimal.
    pub hash: String,
}

/// What open loops take shares of: the closed-loop throughput of the slowest of these servers.
#[derive(Debug, Clone, PartialEq)]
pub struct Peak {
    /// Its name.
    pub name: String,
    /// The closed loops.
    pub cells: Vec<CellSpec>,
}

/// A claim: no verdict of its own, but a list of statements.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// 1 to 8 are the article's, 9 is ours; 0 is the instrument itself.
    pub number: u8,
    /// In a few words.
    pub title: String,
    /// What was claimed.
    pub claim: String,
    /// What else a reader must know.
    pub notes: Vec<String>,
    /// Its statements.
    pub statements: Vec<Statement>,
    /// Its pictures.
    pub charts: Vec<ChartRule>,
    /// Its pictures of lock waits.
    pub heats: Vec<HeatRule>,
    /// Its pictures of one run through time.
    pub timelines: Vec<TimelineRule>,
}

/// Which way a figure of the left cell lies from that of the right cell, as it is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The left is greater.
    More,
    /// The left is less.
    Less,
    /// They are the same, within a tenth.
    Same,
}

/// A statement that can be tested.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Its name, for ever.
    pub id: String,
    /// What is stated.
    pub text: String,
    /// What the article says, in its words, or a dash.
    pub article: String,
    /// One side.
    pub left: CellSpec,
    /// The other.
    pub right: CellSpec,
    /// What is compared.
    pub figure: Figure,
    /// Of the right side, where it is another figure: that of another phase.
    pub right_figure: Figure,
    /// Which way.
    pub direction: Direction,
    /// The article's effect, as left/right, where it names one.
    pub effect: Option<f64>,
    /// Whether it decides, and is corrected for the number of those that do; or informs.
    pub decides: bool,
    /// Repetitions.
    pub rounds: u32,
    /// What the machine must have for it to be tested at all.
    pub needs: Option<Needs>,
}

/// What a machine must have.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    /// Cores for server threads beside those of the generator.
    pub room: usize,
    /// Why.
    pub why: String,
}

/// A picture of cells: a row of points for each series.
#[derive(Debug, Clone, PartialEq)]
pub struct ChartRule {
    /// Unique in the report.
    pub id: String,
    /// Above it.
    pub title: String,
    /// Below it.
    pub caption: String,
    /// The x axis' name; bars have none.
    pub x_name: String,
    /// The y axis' name, with its unit.
    pub y_name: String,
    /// What is drawn.
    pub figure: Figure,
    /// The unit, as a factor.
    pub scale: f64,
    /// Lines over numbers, or bars over names.
    pub is_bars: bool,
    /// Whether the y axis has equal factors.
    pub is_log: bool,
    /// The name of the series that the others are a multiple of.
    pub base: Option<String>,
    /// Along the x axis: names, or numbers as text.
    pub places: Vec<String>,
    /// The rows, and the cell at each place.
    pub series: Vec<(String, Vec<CellSpec>)>,
    /// Repetitions.
    pub rounds: u32,
}

/// A picture of where threads wait: a row of shards for each cell.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatRule {
    /// Unique in the report.
    pub id: String,
    /// Above it.
    pub title: String,
    /// Below it.
    pub caption: String,
    /// The rows' names and cells.
    pub rows: Vec<(String, CellSpec)>,
    /// Repetitions.
    pub rounds: u32,
}

/// A picture of one run through time.
#[derive(Debug, Clone, PartialEq)]
pub struct TimelineRule {
    /// Unique in the report.
    pub id: String,
    /// Above it.
    pub title: String,
    /// What is drawn; a statement has it measured.
    pub cell: CellSpec,
}

impl Claim {
    /// What only pictures need, with its repetitions.
    pub fn drawn(&self) -> impl Iterator<Item = (&CellSpec, u32)> {
        let charts = self.charts.iter().flat_map(|chart| {
            chart.series.iter().flat_map(|(_, cells)| cells).map(|spec| (spec, chart.rounds))
        });
        let heats = self.heats.iter().flat_map(|heat| heat.rows.iter().map(|(_, spec)| (spec, heat.rounds)));
        charts.chain(heats)
    }
}

impl Rules {
    /// The rules of this program.
    pub fn frozen() -> &'static Self {
        static RULES: OnceLock<Rules> = OnceLock::new();
        RULES.get_or_init(|| Self::read(TEXT).expect("rules.toml is right, a test reads it"))
    }

    /// Reads rules.
    pub fn read(text: &str) -> Result<Self, String> {
        let hash = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        expand::rules(text, hash)
    }

    /// All statements.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.claims.iter().flat_map(|claim| &claim.statements)
    }
}

impl Statement {
    /// What must be shown for *holds*, as left/right: half of the article's effect, and a tenth at least.
    pub fn needed(&self, difference: f64) -> f64 {
        match self.direction {
            Direction::More => self.effect.map_or(difference, |effect| difference.max((1.0 + effect) / 2.0)),
            Direction::Less => {
                self.effect.map_or(1.0 / difference, |effect| ((1.0 + effect) / 2.0).min(1.0 / difference))
            }
            Direction::Same => difference,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_can_be_read_and_every_statement_has_a_name_of_its_own() {
        let rules = Rules::frozen();
        let mut ids: Vec<&str> = rules.statements().map(|statement| statement.id.as_str()).collect();
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count);
        assert_eq!(rules.hash.len(), 64);
        assert_eq!(rules.limits.generator_bound, crate::cell::GENERATOR_BOUND);
    }

    /// Latency is compared in the open loop alone, and at one rate; a closed loop's is the inverse of its throughput.
    #[test]
    fn latencies_are_compared_at_one_rate() {
        for statement in Rules::frozen().statements().filter(|statement| statement.figure.is_latency()) {
            for side in [&statement.left, &statement.right] {
                assert_eq!(side.kind, spec::Kind::Tail, "{}", statement.id);
            }
            let rate = |spec: &CellSpec| (spec.peak.clone(), spec.percent);
            assert_eq!(rate(&statement.left), rate(&statement.right), "{}", statement.id);
        }
    }

    /// A sign test of so many rounds can still be significant with one round on the wrong side, after Holm's correction for
    /// all statements that decide.
    #[test]
    fn the_rounds_suffice_for_the_number_of_statements() {
        let rules = Rules::frozen();
        let deciding = rules.statements().filter(|statement| statement.decides).count() as f64;
        let rounds = f64::from(rules.limits.rounds.decides);
        let p = 2.0 * (rounds + 1.0) / 2_f64.powf(rounds);
        assert!(p * deciding <= 1.0 - rules.limits.confidence, "{deciding} statements decide");
    }

    #[test]
    fn half_of_the_effect_and_at_least_a_tenth_is_needed() {
        let mut statement = Rules::frozen().claims[0].statements[0].clone();
        let mut needed = |direction, effect| {
            statement.direction = direction;
            statement.effect = effect;
            statement.needed(1.1)
        };
        assert_eq!(needed(Direction::More, Some(1.6)), 1.3);
        assert_eq!(needed(Direction::More, Some(1.05)), 1.1);
        assert_eq!(needed(Direction::Less, Some(0.2)), 0.6);
        assert_eq!(needed(Direction::Less, None), 1.0 / 1.1);
    }
}
