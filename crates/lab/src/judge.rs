//! One function for all statements: from two cells' trials to a verdict.
//!
//! **The rule.** With a ratio r of left to right, D a difference (1.1), and N what is needed (half of the article's effect,
//! and D at least), the sign test of the rounds' ratios asks in turn whether r lies beyond N (*holds*), beyond D in the claimed
//! direction (*holds less*), beyond D in the other direction, or within a tenth of 1 (both one-sided tests). These
//! conclusions exclude each other, so a statement's p is that of the one which it supports best; Holm corrects it for all
//! statements of the rules that decide, untestable ones counted with p = 1. With one session every limit is moved against
//! the conclusion by what another session may change ([`Limits::session`]); with more, what they differ by is measured.
//!
//! What makes a statement untestable is looked at before its ratio, and takes every verdict from it, whichever it were:
//! a rule that only spared us the bad ones would be a bent one.
//!
//! [`Limits::session`]: crate::rules::Limits::session

use std::collections::BTreeMap;

use crate::cell::{Cell, Measure, RATE};
use crate::claims::finding::{Judged, Verdict};
use crate::data::Data;
use crate::rules::{Direction, Figure, Limits, Rules, Statement};
use crate::stats::sessions::{Estimates, Prior};
use crate::stats::{self, Key, holm, sign_above, sign_below};

/// Fewest repetitions that a statement which decides stands on.
const DECIDES_MIN: usize = 10;
/// Fewest that any stands on.
const INFORMS_MIN: usize = 6;

/// All statements of the rules, judged together, in their order.
pub fn all(data: &Data) -> Vec<Judged> {
    let rules = Rules::frozen();
    let mut cases: Vec<Case<'_>> = rules.statements().map(|statement| Case::of(statement, data)).collect();
    if data.session_count() > 1 {
        measure_sessions(&mut cases);
    }
    let deciding = rules.statements().filter(|statement| statement.decides).count();
    let mut conclusions: Vec<Option<Conclusion>> =
        cases.iter().map(|case| case.conclude(&rules.limits, deciding)).collect();
    let places: Vec<usize> = (0..cases.len()).filter(|index| cases[*index].statement.decides).collect();
    let ps: Vec<f64> =
        places.iter().map(|index| conclusions[*index].as_ref().map_or(1.0, |found| found.p)).collect();
    for (index, adjusted) in places.into_iter().zip(holm(&ps)) {
        if let Some(conclusion) = &mut conclusions[index] {
            conclusion.p_adjusted = adjusted;
        }
    }
    cases
        .into_iter()
        .zip(conclusions)
        .map(|(case, conclusion)| case.judged(conclusion, &rules.limits))
        .collect()
}

/// A statement and what was measured for it.
struct Case<'r> {
    statement: &'r Statement,
    left: Cell,
    right: Cell,
    left_values: Vec<(Key, f64)>,
    right_values: Vec<(Key, f64)>,
    ratios: Vec<(Key, f64)>,
    sessions: Option<(Estimates, Prior)>,
    untestable: Option<String>,
    notes: Vec<String>,
    apart_s: Option<f64>,
}

/// What the ratios say best.
struct Conclusion {
    verdict: Verdict,
    p: f64,
    p_adjusted: f64,
}

impl<'r> Case<'r> {
    fn of(statement: &'r Statement, data: &Data) -> Self {
        let matrix = &data.settings.matrix;
        let (left, right) = (statement.left.cell(matrix), statement.right.cell(matrix));
        let left_values = data.figure(&left, statement.figure);
        let right_values = data.figure(&right, statement.right_figure);
        let ratios = stats::ratios(&left_values, &right_values);
        let mut case = Self {
            apart_s: apart(data, &left, &right),
            statement,
            left,
            right,
            left_values,
            right_values,
            ratios,
            sessions: None,
            untestable: None,
            notes: Vec::new(),
        };
        case.untestable = case.why_untestable(data);
        case.notes.extend(case.disturbance(data));
        if case.untestable.is_none() && case.is_oversubscribed(data) {
            case.notes.push("more threads than cores: what is seen is the scheduler, too".to_owned());
        }
        case
    }

    fn is_oversubscribed(&self, data: &Data) -> bool {
        [&self.left, &self.right].iter().any(|cell| data.settings.matrix.is_oversubscribed(cell))
    }

    /// Why nothing can be said, whatever the ratio is.
    fn why_untestable(&self, data: &Data) -> Option<String> {
        let matrix = &data.settings.matrix;
        let statement = self.statement;
        if let Some(needs) = statement.needs.as_ref().filter(|needs| needs.room > matrix.room()) {
            return Some(needs.why.clone());
        }
        if self.left == self.right && statement.figure == statement.right_figure {
            return Some("on this machine both sides are the same cell".to_owned());
        }
        if statement.decides && self.is_oversubscribed(data) {
            return Some(format!("more threads than the {} cores", matrix.cores));
        }
        for (cell, spec) in [(&self.left, &statement.left), (&self.right, &statement.right)] {
            if !matrix.has_server(&spec.server) {
                return Some(format!("{} is not here", spec.server));
            }
            if let Some(reason) = data.why_missing(cell) {
                return Some(format!("{cell}: {reason}"));
            }
        }
        if let Some(failed) = data.failed_share(&[&self.left, &self.right]) {
            return Some(failed);
        }
        let least = if statement.decides { DECIDES_MIN } else { INFORMS_MIN };
        if self.ratios.len() < least {
            return Some(match self.too_few_slices(data) {
                Some(reason) => reason,
                None => format!("{} rounds with both sides, {least} are needed", self.ratios.len()),
            });
        }
        self.why_limited(data).or_else(|| self.why_unequal(data))
    }

    fn too_few_slices(&self, data: &Data) -> Option<String> {
        let limits = &Rules::frozen().limits;
        let few = |(_, measure): &(Key, &Measure)| measure.slices.len() < limits.slices;
        let is_so = self.statement.figure == Figure::Unsteadiness
            && data.measures(&self.left).iter().chain(&data.measures(&self.right)).any(few);
        is_so.then(|| format!("fewer than {} slices of time", limits.slices))
    }

    /// Throughput over TCP is the server's only where neither the machine nor the generator was the limit.
    fn why_limited(&self, data: &Data) -> Option<String> {
        let limits = &Rules::frozen().limits;
        if !self.statement.figure.is_of_throughput() {
            return None;
        }
        for cell in [&self.left, &self.right] {
            if !matches!(cell, Cell::Tcp(_) | Cell::Tail(_)) {
                continue;
            }
            let measures = data.measures(cell);
            let count = |is_so: &dyn Fn(&Measure) -> bool| {
                measures.iter().filter(|(_, measure)| is_so(measure)).count()
            };
            let cores = data.settings.matrix.cores as f64;
            let elsewhere = data.settings.matrix.is_generator_elsewhere;
            let machine = count(&|measure| measure.machine_cores(elsewhere) >= limits.machine_bound * cores);
            let generator = count(&|measure| measure.generator_busiest >= limits.generator_bound);
            let all = measures.len();
            if machine > 0 {
                return Some(format!(
                    "machine-bound: {machine} of {all} trials of {cell} used all of the machine"
                ));
            }
            if generator > 0 {
                return Some(format!("generator-bound: in {generator} of {all} trials of {cell}"));
            }
        }
        None
    }

    /// Latencies are compared at one rate, asked and sent in time.
    fn why_unequal(&self, data: &Data) -> Option<String> {
        if !self.statement.figure.is_latency() {
            return None;
        }
        let asked = |cell: &Cell| -> BTreeMap<Key, f64> {
            let measures = data.measures(cell).into_iter();
            measures.filter_map(|(key, measure)| Some((key, *measure.more.get(RATE)?))).collect()
        };
        let (left, right) = (asked(&self.left), asked(&self.right));
        let is_equal =
            self.ratios.iter().all(|(key, _)| left.contains_key(key) && left.get(key) == right.get(key));
        if !is_equal {
            return Some("the two sides were not asked for the same rate".to_owned());
        }
        let limits = &Rules::frozen().limits;
        for (cell, figure) in
            [(&self.left, self.statement.figure), (&self.right, self.statement.right_figure)]
        {
            let measures = data.measures(cell);
            let is_late = |(_, measure): &&(Key, &Measure)| {
                let late = measure.late_p99_us;
                figure.of(measure, limits).is_some_and(|value| late > limits.lateness * value)
            };
            let late = measures.iter().filter(is_late).count();
            if late * 2 > measures.len() {
                return Some(format!("sent too late: in {late} of {} trials of {cell}", measures.len()));
            }
        }
        None
    }

    fn disturbance(&self, data: &Data) -> Option<String> {
        let cells = [&self.left, &self.right];
        let measures: Vec<_> = cells.iter().flat_map(|cell| data.measures(cell)).collect();
        let disturbed = measures.iter().filter(|(_, measure)| measure.is_disturbed()).count();
        (disturbed > 0).then(|| format!("{disturbed} of {} trials were disturbed", measures.len()))
    }

    /// p of each question.
    fn above(&self, limit: f64, limits: &Limits) -> f64 {
        match &self.sessions {
            Some((estimates, prior)) => estimates.above(limit, prior),
            None => sign_above(&self.values(), limit * limits.session),
        }
    }

    fn below(&self, limit: f64, limits: &Limits) -> f64 {
        match &self.sessions {
            Some((estimates, prior)) => estimates.below(limit, prior),
            None => sign_below(&self.values(), limit / limits.session),
        }
    }

    fn values(&self) -> Vec<f64> {
        self.ratios.iter().map(|(_, ratio)| *ratio).collect()
    }

    fn conclude(&self, limits: &Limits, deciding: usize) -> Option<Conclusion> {
        if self.untestable.is_some() {
            return None;
        }
        let difference = limits.difference;
        let (up, down) = (self.above(difference, limits), self.below(1.0 / difference, limits));
        let none = self.below(difference, limits).max(self.above(1.0 / difference, limits));
        let needed = self.statement.needed(difference);
        // What surely survives Holm's correction.
        let family = if self.statement.decides { deciding.max(1) } else { 1 };
        let surely = (1.0 - limits.confidence) / family as f64;
        let towards = |direction: f64, enough: f64| {
            if enough <= surely { (Verdict::Holds, enough) } else { (Verdict::HoldsLess, direction) }
        };
        let candidates = match self.statement.direction {
            Direction::More => [
                towards(up, self.above(needed, limits)),
                (Verdict::OtherWayRound, down),
                (Verdict::NoDifference, none),
            ],
            Direction::Less => [
                towards(down, self.below(needed, limits)),
                (Verdict::OtherWayRound, up),
                (Verdict::NoDifference, none),
            ],
            Direction::Same => {
                [(Verdict::Holds, none), (Verdict::OtherWayRound, up), (Verdict::OtherWayRound, down)]
            }
        };
        let (mut verdict, p) = candidates.into_iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
        // Where nothing more than a tenth is needed there is nothing less to hold.
        let needs_more = (needed.ln().abs() - difference.ln()).abs() > 1e-9;
        if verdict == Verdict::HoldsLess && !needs_more {
            verdict = Verdict::Holds;
        }
        Some(Conclusion { verdict, p, p_adjusted: p })
    }

    fn judged(self, conclusion: Option<Conclusion>, limits: &Limits) -> Judged {
        let statement = self.statement;
        let mut notes = self.notes;
        let verdict = match (&self.untestable, &conclusion) {
            (Some(reason), _) => {
                notes.insert(0, reason.clone());
                Verdict::Untestable
            }
            (None, Some(found)) if found.p_adjusted <= 1.0 - limits.confidence => found.verdict,
            (None, found) => {
                let p = found.as_ref().map_or(1.0, |found| found.p_adjusted);
                notes.insert(0, format!("nothing is shown: p {p:.3} after correction"));
                Verdict::Undecided
            }
        };
        let values = |series: &[(Key, f64)]| {
            stats::interval(&series.iter().map(|(_, value)| *value).collect::<Vec<_>>())
        };
        let ratio = match &self.sessions {
            Some((estimates, prior)) => Some(estimates.interval(prior, limits.confidence)),
            None => stats::interval(&self.ratios.iter().map(|(_, ratio)| *ratio).collect::<Vec<_>>()),
        };
        Judged {
            id: statement.id.clone(),
            text: statement.text.clone(),
            article: statement.article.clone(),
            left: self.left.id(),
            right: self.right.id(),
            figure: statement.figure,
            right_figure: statement.right_figure,
            direction: statement.direction,
            effect: statement.effect,
            needed: statement.needed(limits.difference),
            decides: statement.decides,
            left_value: values(&self.left_values),
            right_value: values(&self.right_values),
            ratio,
            p: conclusion.as_ref().map(|found| found.p),
            p_adjusted: conclusion.as_ref().map(|found| found.p_adjusted),
            apart_s: self.apart_s,
            verdict,
            note: notes.join("; "),
        }
    }
}

/// With several sessions: how much they differ, over all statements that can be tested.
fn measure_sessions(cases: &mut [Case<'_>]) {
    let mut by_figure: BTreeMap<Figure, Vec<(usize, Estimates)>> = BTreeMap::new();
    for (index, case) in cases.iter_mut().enumerate().filter(|(_, case)| case.untestable.is_none()) {
        let mut sessions: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for ((session, _), ratio) in &case.ratios {
            sessions.entry(*session).or_default().push(*ratio);
        }
        if sessions.len() < 2 {
            case.untestable = Some("measured in one session only".to_owned());
            continue;
        }
        let estimates = Estimates::of(&sessions.into_values().collect::<Vec<_>>());
        by_figure.entry(case.statement.figure).or_default().push((index, estimates));
    }
    let groups: Vec<Vec<&Estimates>> =
        by_figure.values().map(|group| group.iter().map(|(_, of)| of).collect()).collect();
    let priors = Prior::of(&groups);
    for (group, prior) in by_figure.into_values().zip(priors) {
        for (index, of) in group {
            cases[index].sessions = Some((of, prior));
        }
    }
}

/// Seconds between the starts of both sides in a round: the median.
fn apart(data: &Data, left: &Cell, right: &Cell) -> Option<f64> {
    let starts = |cell: &Cell| -> Vec<(Key, f64)> {
        data.trials_of(cell).map(|trial| (trial.key(), trial.unix_ms as f64 / 1e3)).collect()
    };
    let (left, right) = (starts(left), starts(right));
    let distances: Vec<f64> = left
        .iter()
        .filter_map(|(key, start)| {
            let (_, other) = right.iter().find(|(other, _)| other == key)?;
            Some((start - other).abs())
        })
        .collect();
    (!distances.is_empty()).then(|| stats::median(&distances))
}
