//! A claim's answer: its parts, each with a rule that says what would make it hold, and the pictures.
//!
//! **The rule.** The article names an effect; it *holds* here if the whole 95% interval shows at least half of that effect,
//! *does not hold* if the whole interval shows less than half (by a margin of 5%), and *cannot be told* where the interval has both, or where
//! something else than the server was the limit. Half, because machines differ; the whole interval, because otherwise luck
//! decides. Where only a direction is claimed, a tenth counts as a difference: the claim holds if the whole interval shows that
//! much and does not if the whole interval shows less. A claim holds if all its parts do, and does not if any does not.

use serde::{Deserialize, Serialize};

use crate::report::chart::Chart;
use crate::stats::Interval;
use crate::stats::usl::Fit;

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The measurements show it.
    Holds,
    /// They show that it is not so.
    DoesNotHold,
    /// They show neither, or this machine cannot.
    CannotTell,
}

impl Verdict {
    /// For readers.
    pub fn words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::DoesNotHold => "does not hold",
            Self::CannotTell => "cannot be told here",
        }
    }
}

/// One testable statement of a claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// What is stated.
    pub statement: String,
    /// The article's figure, or a dash.
    pub article: String,
    /// Ours, with its interval.
    pub ours: String,
    /// The rule's limit in words.
    pub rule: String,
    /// The answer.
    pub verdict: Verdict,
    /// Why it cannot be told, or what else must be known.
    pub note: String,
    /// Whether the claim's verdict depends on it.
    pub decides: bool,
    /// The figure behind `ours`.
    pub figure: Option<Interval>,
}

/// A limit that a figure is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// It must be at least this.
    AtLeast(f64),
    /// It must be at most this.
    AtMost(f64),
    /// It must be greater than 1, clearly.
    Greater,
    /// It must be less than 1, clearly.
    Less,
}

/// How far beyond its limit a whole interval must lie for "does not hold": intervals of a handful of repetitions are a little
/// too short, and what is closer than this is no difference.
const MARGIN: f64 = 0.05;
/// A ratio from which on one thing is clearly greater than another, where nothing but the direction is claimed.
const CLEAR: f64 = 1.1;
/// Fewest repetitions that a verdict stands on.
const COUNT_MIN: usize = 3;

impl Limit {
    /// The rule.
    pub fn judge(self, figure: Option<Interval>) -> Verdict {
        let Some(figure) = figure.filter(|figure| figure.count >= COUNT_MIN) else {
            return Verdict::CannotTell;
        };
        let (is_within, is_beyond) = match self {
            Self::AtLeast(limit) => (figure.low >= limit, figure.high < limit * (1.0 - MARGIN)),
            Self::AtMost(limit) => (figure.high <= limit, figure.low > limit * (1.0 + MARGIN)),
            Self::Greater => (figure.low >= CLEAR, figure.high < CLEAR),
            Self::Less => (figure.high <= 1.0 / CLEAR, figure.low > 1.0 / CLEAR),
        };
        if is_within {
            Verdict::Holds
        } else if is_beyond {
            Verdict::DoesNotHold
        } else {
            Verdict::CannotTell
        }
    }

    fn words(self) -> String {
        match self {
            Self::AtLeast(limit) => format!("at least {}", times(limit)),
            Self::AtMost(limit) => format!("at most {}", times(limit)),
            Self::Greater => format!("clearly more: at least {}", times(CLEAR)),
            Self::Less => format!("clearly less: at most {}", times(1.0 / CLEAR)),
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

impl Part {
    /// A part that a ratio decides.
    pub fn ratio(statement: &str, article: &str, figure: Option<Interval>, limit: Limit) -> Self {
        let verdict = limit.judge(figure);
        let note = match (figure, verdict) {
            (None, _) => "there are no measurements of both sides",
            (Some(figure), _) if figure.count < COUNT_MIN => "too few repetitions",
            (_, Verdict::CannotTell) => "the interval contains the limit, or is too close to it",
            (Some(figure), Verdict::DoesNotHold)
                if matches!(limit, Limit::Greater | Limit::Less)
                    && figure.low > 1.0 / CLEAR
                    && figure.high < CLEAR =>
            {
                "no clear difference"
            }
            _ => "",
        };
        Self {
            statement: statement.to_owned(),
            article: article.to_owned(),
            ours: times_interval(figure),
            rule: limit.words(),
            verdict,
            note: note.to_owned(),
            decides: true,
            figure,
        }
    }

    /// A part that informs and decides nothing.
    #[must_use]
    pub fn informs(mut self) -> Self {
        self.decides = false;
        self
    }

    /// Adds why it must be read with care.
    #[must_use]
    pub fn noted(mut self, note: Option<String>) -> Self {
        if let Some(note) = note.filter(|note| !note.is_empty()) {
            if !self.note.is_empty() {
                self.note.push_str("; ");
            }
            self.note.push_str(&note);
        }
        self
    }

    /// Takes a "does not hold" back where the reason says that this machine could not have shown the effect.
    #[must_use]
    pub fn unless_hidden(mut self, reason: Option<String>) -> Self {
        if self.verdict == Verdict::DoesNotHold && reason.is_some() {
            self.verdict = Verdict::CannotTell;
            return self.noted(reason);
        }
        self
    }
}

/// The verdict of a claim from its parts.
pub fn overall(parts: &[Part]) -> Verdict {
    let deciding: Vec<Verdict> = parts.iter().filter(|part| part.decides).map(|part| part.verdict).collect();
    if deciding.contains(&Verdict::DoesNotHold) {
        Verdict::DoesNotHold
    } else if !deciding.is_empty() && deciding.iter().all(|verdict| *verdict == Verdict::Holds) {
        Verdict::Holds
    } else {
        Verdict::CannotTell
    }
}

/// A claim's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// 1 to 8; 0 is the instrument itself.
    pub number: u8,
    /// In a few words.
    pub title: String,
    /// What was claimed.
    pub claim: String,
    /// The answer.
    pub verdict: Verdict,
    /// The answer in a sentence or two.
    pub summary: String,
    /// Its parts.
    pub parts: Vec<Part>,
    /// Its pictures.
    pub charts: Vec<Chart>,
    /// Whatever else a reader must know.
    pub notes: Vec<String>,
}

impl Finding {
    /// Has the answer in short say which of the claim's statements do not hold, or why they cannot be told, where that decides.
    #[must_use]
    pub fn with_reasons(mut self) -> Self {
        let deciding = self.parts.iter().filter(|part| part.decides && part.verdict == self.verdict);
        let (head, mut reasons): (&str, Vec<String>) = match self.verdict {
            Verdict::Holds => return self,
            Verdict::DoesNotHold => {
                let words = |part: &Part| format!("{}: {}, needed {}", part.statement, part.ours, part.rule);
                ("What does not hold", deciding.map(words).collect())
            }
            Verdict::CannotTell => {
                ("Why it cannot be told", deciding.map(|part| part.note.clone()).collect())
            }
        };
        // Several statements often share a reason.
        reasons.sort();
        reasons.dedup();
        reasons.retain(|reason| !reason.is_empty());
        if !reasons.is_empty() {
            self.summary = format!("{} {head}: {}.", self.summary, reasons.join("; "));
        }
        self
    }
}

/// A fit for readers.
pub fn fit_words(fit: &Result<Fit, String>) -> String {
    match fit {
        Ok(Fit { sigma, kappa, peak, r2, .. }) => {
            let peak = peak.map_or_else(|| "none".to_owned(), |peak| format!("{peak:.1} threads"));
            format!("σ {sigma:.3}, κ {kappa:.4}, peak {peak}, R² {r2:.2}")
        }
        Err(reason) => format!("refused: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(low: f64, median: f64, high: f64) -> Option<Interval> {
        Some(Interval { low, median, high, count: 5 })
    }

    #[test]
    fn the_whole_interval_decides() {
        assert_eq!(Limit::AtLeast(1.3).judge(figure(1.4, 1.6, 1.7)), Verdict::Holds);
        assert_eq!(Limit::AtLeast(1.3).judge(figure(0.9, 1.0, 1.1)), Verdict::DoesNotHold);
        assert_eq!(Limit::AtLeast(1.3).judge(figure(1.2, 1.4, 1.5)), Verdict::CannotTell);
        assert_eq!(Limit::AtMost(0.8).judge(figure(0.5, 0.6, 0.8)), Verdict::Holds);
        assert_eq!(Limit::AtMost(1.0).judge(figure(1.01, 1.1, 1.2)), Verdict::CannotTell);
        assert_eq!(Limit::AtMost(0.8).judge(None), Verdict::CannotTell);
        assert_eq!(Limit::Greater.judge(figure(1.1, 1.2, 1.3)), Verdict::Holds);
        assert_eq!(Limit::Greater.judge(figure(0.9, 1.0, 1.09)), Verdict::DoesNotHold);
        assert_eq!(Limit::Greater.judge(figure(0.9, 1.0, 1.11)), Verdict::CannotTell);
        assert_eq!(Limit::Less.judge(figure(0.5, 0.8, 0.9)), Verdict::Holds);
        assert_eq!(Limit::Less.judge(figure(0.92, 1.0, 1.7)), Verdict::DoesNotHold);
        assert_eq!(Limit::Less.judge(figure(0.8, 0.9, 1.0)), Verdict::CannotTell);
        let few = Interval { low: 2.0, median: 2.0, high: 2.0, count: 2 };
        assert_eq!(Limit::AtLeast(1.0).judge(Some(few)), Verdict::CannotTell);
    }

    #[test]
    fn a_claim_holds_with_all_its_parts() {
        let part = |low, high| Part::ratio("", "", figure(low, low, high), Limit::AtLeast(1.0));
        assert_eq!(overall(&[part(1.0, 2.0), part(1.5, 2.0)]), Verdict::Holds);
        assert_eq!(overall(&[part(1.0, 2.0), part(0.5, 2.0)]), Verdict::CannotTell);
        assert_eq!(overall(&[part(0.1, 0.2), part(0.5, 2.0)]), Verdict::DoesNotHold);
        assert_eq!(overall(&[part(0.1, 0.2).informs(), part(1.0, 2.0)]), Verdict::Holds);
        assert_eq!(overall(&[]), Verdict::CannotTell);
    }

    #[test]
    fn what_decides_is_named_in_short() {
        let part =
            |statement, low, high| Part::ratio(statement, "", figure(low, low, high), Limit::AtLeast(1.0));
        let short = |parts: Vec<Part>| finding_of(parts).with_reasons().summary;
        let wrong = || vec![part("one", 1.0, 2.0), part("two", 0.5, 0.6), part("three", 0.1, 0.2).informs()];
        let expected = "Short. What does not hold: two: 0.50× (0.50× to 0.60×), needed at least 1.00×.";
        assert_eq!(short(wrong()), expected);
        let hide = |part: Part| part.unless_hidden(Some("two cores".to_owned()));
        assert_eq!(
            short(wrong().into_iter().map(hide).collect()),
            "Short. Why it cannot be told: two cores."
        );
        assert_eq!(short(vec![part("one", 1.0, 2.0)]), "Short.");
    }

    fn finding_of(parts: Vec<Part>) -> Finding {
        Finding {
            number: 1,
            title: String::new(),
            claim: String::new(),
            verdict: overall(&parts),
            summary: "Short.".to_owned(),
            parts,
            charts: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn what_the_machine_hides_cannot_be_told() {
        let part = Part::ratio("", "", figure(0.1, 0.1, 0.2), Limit::AtLeast(1.0));
        assert_eq!(part.clone().unless_hidden(None).verdict, Verdict::DoesNotHold);
        let hidden = part.unless_hidden(Some("two cores".to_owned()));
        assert_eq!((hidden.verdict, hidden.note.as_str()), (Verdict::CannotTell, "two cores"));
    }
}
