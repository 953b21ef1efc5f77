//! A claim's answer: its statements as they were judged, and the pictures.
//!
//! A claim has no verdict of its own: one statement of several would sink or save it. It has its statements, each with its
//! verdict, and one sentence that counts them.

use serde::{Deserialize, Serialize};

use crate::report::chart::Chart;
use crate::rules::{Direction, Figure};
use crate::stats::Interval;
use crate::stats::usl::Fit;

/// What became of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// What is needed was shown: half of the article's effect, or a tenth where it names none.
    Holds,
    /// The direction was shown, by a tenth; half of the article's effect was not.
    HoldsLess,
    /// It was shown that there is no difference of a tenth.
    NoDifference,
    /// The opposite was shown, by a tenth; or a difference, where none was claimed.
    OtherWayRound,
    /// The measurements show none of these.
    Undecided,
    /// This machine, or this run, cannot show it, whatever was measured.
    Untestable,
}

impl Verdict {
    /// All, in the order in which they are counted.
    pub const ALL: [Self; 6] = [
        Self::Holds,
        Self::HoldsLess,
        Self::NoDifference,
        Self::OtherWayRound,
        Self::Undecided,
        Self::Untestable,
    ];

    /// For readers.
    pub fn words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::HoldsLess => "holds less",
            Self::NoDifference => "no difference of a tenth",
            Self::OtherWayRound => "the other way round",
            Self::Undecided => "undecided",
            Self::Untestable => "untestable here",
        }
    }
}

/// A statement as it was judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Its name in the rules.
    pub id: String,
    /// What is stated.
    pub text: String,
    /// What the article says, or a dash.
    pub article: String,
    /// The cells' identities.
    pub left: String,
    /// The other side's.
    pub right: String,
    /// What is compared.
    pub figure: Figure,
    /// On the right side.
    pub right_figure: Figure,
    /// Which way it is claimed to lie.
    pub direction: Direction,
    /// The article's effect, as left/right.
    pub effect: Option<f64>,
    /// What left/right must be for *holds*.
    pub needed: f64,
    /// Whether it decides, or informs.
    pub decides: bool,
    /// The left side's figure.
    pub left_value: Option<Interval>,
    /// The right side's figure.
    pub right_value: Option<Interval>,
    /// Left/right, paired by repetition.
    pub ratio: Option<Interval>,
    /// p of what the verdict says, two-sided, before the correction.
    pub p: Option<f64>,
    /// After Holm's correction for all statements of the rules that decide; of one that informs, as before.
    pub p_adjusted: Option<f64>,
    /// Seconds between both measurements of a round, the median.
    pub apart_s: Option<f64>,
    /// What became of it.
    pub verdict: Verdict,
    /// Why it is untestable or undecided, or what else must be known.
    pub note: String,
}

impl Judged {
    /// The ratio with its interval, for readers.
    pub fn ours(&self) -> String {
        times_interval(self.ratio)
    }

    /// What is needed, for readers.
    pub fn rule(&self) -> String {
        let needed = times(self.needed);
        match self.direction {
            Direction::More => format!("at least {needed}"),
            Direction::Less => format!("at most {needed}"),
            Direction::Same => format!("within {} and {needed}", times(1.0 / self.needed)),
        }
    }

    /// The verdict for readers: where sameness is claimed, its opposite is that they differ.
    pub fn verdict_words(&self) -> &'static str {
        match (self.direction, self.verdict) {
            (Direction::Same, Verdict::OtherWayRound) => "they differ",
            (_, verdict) => verdict.words(),
        }
    }
}

/// A ratio for readers.
pub fn times(ratio: f64) -> String {
    match ratio {
        ratio if ratio >= 100.0 => format!("{ratio:.0}×"),
        ratio if ratio >= 10.0 => format!("{ratio:.1}×"),
        _ => format!("{ratio:.2}×"),
    }
}

/// A ratio with its interval for readers.
pub fn times_interval(figure: Option<Interval>) -> String {
    match figure {
        Some(Interval { low, median, high, .. }) => {
            format!("{} ({} to {})", times(median), times(low), times(high))
        }
        None => "not measured".to_owned(),
    }
}

/// A claim's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// 1 to 8 are the article's, 9 is ours; 0 is the instrument itself.
    pub number: u8,
    /// In a few words.
    pub title: String,
    /// What was claimed.
    pub claim: String,
    /// How many of its deciding statements became what, in one sentence.
    pub sentence: String,
    /// Its statements, those that decide first.
    pub statements: Vec<Judged>,
    /// Its pictures.
    pub charts: Vec<Chart>,
    /// Whatever else a reader must know.
    pub notes: Vec<String>,
}

impl Finding {
    /// How many statements that decide became what, in the words that stand beside them.
    pub fn counts(&self) -> Vec<(&'static str, usize)> {
        let mut counts: Vec<(&'static str, usize)> = Vec::new();
        for verdict in Verdict::ALL {
            for judged in self.statements.iter().filter(|judged| judged.decides && judged.verdict == verdict)
            {
                let words = judged.verdict_words();
                match counts.iter_mut().find(|(counted, _)| *counted == words) {
                    Some((_, count)) => *count += 1,
                    None => counts.push((words, 1)),
                }
            }
        }
        counts
    }
}

/// A fit for readers.
pub fn fit_words(fit: &Result<Fit, String>) -> String {
    match fit {
        Ok(Fit { sigma, kappa, peak, r2, .. }) => {
            let peak = peak.map_or_else(|| "none".to_owned(), |peak| format!("{peak:.1} threads"));
            format!("σ {sigma:.3}, κ {kappa:.4}, peak {peak}, R² {r2:.2}")
        }
        Err(reason) => format!("not fitted: {reason}"),
    }
}
