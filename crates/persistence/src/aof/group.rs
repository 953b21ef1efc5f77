//! How large the groups are that share a sync.
//!
//! How large a group is decides what a request costs, for each sync costs processor time as well. In a closed loop the
//! clients of the last group come back a moment after their replies: the thread waits for as many entries as the last group
//! had and had gathered behind it, or a moment at most (1 ms), so that all who are there share one sync. One client alone
//! waits for nobody. Where requests come whenever they come, this would only make them wait: the entries of the last group
//! are then not followed by as many, and after a vain wait the thread syncs, for a while, as
//! soon as a worker has nothing more to do ([`Patience`]). Of hundreds of clients not all come back in a moment. Whether it is
//! worth while to wait longer for them, so that fewer and larger groups are answered, is found out by trying ([`Trial`]).

use std::time::{Duration, Instant};

use crate::journal::Place;

/// The longest that a group waits for those who were in the last one.
const GROUP_WAIT_MAX: Duration = Duration::from_millis(1);
/// The longest that a large group waits, where a trial has shown that this pays.
const LARGE_GROUP_WAIT_MAX: Duration = Duration::from_millis(4);
/// Entries of a group that is large.
const LARGE_GROUP_MIN: u64 = 32;
/// How long each spell of a trial takes, and how many pairs of spells there are.
const SPELL: Duration = Duration::from_millis(30);
const SPELL_PAIRS: u32 = 4;
/// Long waits pay if this many times as many entries come with them, and more in all pairs but this many.
const GAIN_MIN: f64 = 1.04;
const LOST_PAIRS_MAX: u32 = 1;
/// From the end of a trial to the next: longer each time that the outcome is the same.
const TRIAL_PAUSE_MIN: Duration = Duration::from_secs(1);
const TRIAL_PAUSE_MAX: Duration = Duration::from_secs(16);
/// Groups that are not waited for after a vain wait, and at most after several.
const HASTY_GROUPS_MIN: u32 = 16;
const HASTY_GROUPS_MAX: u32 = 1024;
/// So many waits in a row that were not in vain, and the others are forgotten.
const FORGIVING_WAITS: u32 = 16;

/// The group that gathers, and what was learnt from those before.
#[derive(Debug)]
pub(super) struct Group {
    patience: Patience,
    trial: Trial,
    /// The place with which it is complete, if it is waited for.
    end: Option<Place>,
    /// The longest that it is waited for.
    wait_max: Duration,
}

impl Default for Group {
    fn default() -> Self {
        Self { patience: Patience::default(), trial: Trial::default(), end: None, wait_max: GROUP_WAIT_MAX }
    }
}

impl Group {
    /// Begins the next group: the last one, of `count` entries, became durable up to `durable` at this moment, while `last` was
    /// the journal's last place. The place with which it is complete, if it is waited for.
    pub(super) fn begin(&mut self, now: Instant, durable: Place, count: u64, last: Place) -> Option<Place> {
        let end = last + count;
        self.trial.step(now, durable);
        let is_long = self.trial.is_long() && end - durable >= LARGE_GROUP_MIN;
        self.wait_max = if is_long { LARGE_GROUP_WAIT_MAX } else { GROUP_WAIT_MAX };
        self.end = (is_long || self.patience.waits()).then_some(end);
        self.end
    }

    /// Whether others are still waited for, `elapsed` after the last group.
    pub(super) fn is_awaited(&self, elapsed: Duration) -> bool {
        self.end.is_some() && !self.wait_left(elapsed).is_zero()
    }

    /// How long the thread may wait until it is called, `elapsed` after the last group.
    pub(super) fn wait_left(&self, elapsed: Duration) -> Duration {
        self.wait_max.saturating_sub(elapsed)
    }

    /// Whether all have come who are waited for; then it is waited for no longer.
    pub(super) fn is_complete(&mut self, last: Place) -> bool {
        let is_complete = self.end.is_some_and(|end| last >= end);
        if is_complete {
            self.end = None;
            self.patience.came();
        }
        is_complete
    }

    /// It is not complete, and waited for no longer; `durable` is where the last one ended. Whether it was waited for.
    pub(super) fn give_up(&mut self, durable: Place, last: Place) -> bool {
        let Some(end) = self.end.take() else { return false };
        let (come, expected) = (last - durable, end - durable);
        let was_long = self.wait_max > GROUP_WAIT_MAX;
        if come == 0 || was_long && 2 * come >= expected {
            return true;
        }
        self.patience.was_vain();
        if was_long {
            self.trial.end();
        } else if come >= LARGE_GROUP_MIN {
            self.trial.is_wanted();
        }
        true
    }

    /// Nobody has come for a while: the next load may be another.
    pub(super) fn rest(&mut self) {
        self.trial.end();
    }
}

/// Whether it is worth while to wait for the clients of the last group.
#[derive(Debug, Default)]
struct Patience {
    /// Groups that are not waited for.
    hasty_groups: u32,
    /// How many there were after the last vain wait.
    penalty: u32,
    /// Waits since then that were not in vain.
    kept: u32,
}

impl Patience {
    /// Whether the next group is waited for.
    fn waits(&mut self) -> bool {
        let waits = self.hasty_groups == 0;
        self.hasty_groups = self.hasty_groups.saturating_sub(1);
        waits
    }

    /// All came who were waited for.
    fn came(&mut self) {
        self.kept += 1;
        if self.kept >= FORGIVING_WAITS {
            self.penalty = 0;
        }
    }

    /// Not all came in time.
    fn was_vain(&mut self) {
        self.penalty = (self.penalty * 2).clamp(HASTY_GROUPS_MIN, HASTY_GROUPS_MAX);
        self.hasty_groups = self.penalty;
        self.kept = 0;
    }
}

/// Finds out whether long waits for large groups pay: whether more entries come in a second with them than without.
///
/// Only clients in a closed loop can send more because they are answered together, and earlier because less is spent on each.
/// In an open loop as many come either way, and waiting would only be latency. Nothing in the order of the entries tells the two
/// apart, but the rates do. Spells with and without long waits take turns, for the machine's speed changes as well.
#[derive(Debug, Default)]
struct Trial {
    stage: Stage,
    /// Where the spell began.
    since: Option<(Instant, Place)>,
    /// The rate of the last spell without long waits, and the sums of all, without and with them.
    last_rate: f64,
    rates: [f64; 2],
    lost_pairs: u32,
    /// What the last trial showed, and how long it is believed.
    pays: bool,
    pause: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Stage {
    /// No trial is needed: no large group was waited for in vain.
    #[default]
    Off,
    /// One of the spells; those with odd numbers have long waits.
    Spell(u32),
    /// Decided until then.
    Decided(Instant),
}

impl Trial {
    /// A large group did not come back in the short time.
    fn is_wanted(&mut self) {
        if self.stage == Stage::Off {
            self.stage = Stage::Spell(0);
        }
    }

    /// The load has changed.
    fn end(&mut self) {
        *self = Self::default();
    }

    /// Whether large groups are waited for longer now.
    fn is_long(&self) -> bool {
        match self.stage {
            Stage::Off => false,
            Stage::Spell(number) => number % 2 == 1,
            Stage::Decided(_) => self.pays,
        }
    }

    /// A group that ends with `place` is durable.
    fn step(&mut self, now: Instant, place: Place) {
        match self.stage {
            Stage::Off => {}
            Stage::Decided(until) if now < until => {}
            Stage::Decided(_) => self.begin(0, now, place),
            Stage::Spell(number) => match self.since {
                None => self.begin(number, now, place),
                Some((started, first)) if now - started >= SPELL => {
                    let rate = (place - first) as f64 / (now - started).as_secs_f64();
                    self.note(number, rate);
                    if number + 1 < 2 * SPELL_PAIRS {
                        self.begin(number + 1, now, place);
                    } else {
                        self.decide(now);
                    }
                }
                Some(_) => {}
            },
        }
    }

    fn begin(&mut self, number: u32, now: Instant, place: Place) {
        if number == 0 {
            (self.rates, self.lost_pairs) = ([0.0; 2], 0);
        }
        self.stage = Stage::Spell(number);
        self.since = Some((now, place));
    }

    fn note(&mut self, number: u32, rate: f64) {
        let is_long = number % 2 == 1;
        self.rates[usize::from(is_long)] += rate;
        if is_long {
            self.lost_pairs += u32::from(rate <= self.last_rate);
        }
        self.last_rate = rate;
    }

    fn decide(&mut self, now: Instant) {
        let pays = self.rates[1] >= GAIN_MIN * self.rates[0] && self.lost_pairs <= LOST_PAIRS_MAX;
        let is_same = pays == self.pays;
        self.pause = if is_same { self.pause * 2 } else { Duration::ZERO };
        self.pause = self.pause.clamp(TRIAL_PAUSE_MIN, TRIAL_PAUSE_MAX);
        self.pays = pays;
        self.stage = Stage::Decided(now + self.pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_complete_with_as_many_as_the_last_one_had() {
        let mut group = Group::default();
        assert!(!group.is_complete(100), "nobody is waited for");
        assert_eq!(
            group.begin(Instant::now(), 10, 3, 12),
            Some(15),
            "two have come already, and count for another"
        );
        assert!(group.is_awaited(Duration::ZERO) && !group.is_awaited(GROUP_WAIT_MAX));
        assert!(!group.is_complete(14) && group.is_complete(15));
        assert!(!group.is_awaited(Duration::ZERO));
    }

    #[test]
    fn nobody_is_waited_for_after_a_vain_wait() {
        let mut group = Group::default();
        let now = Instant::now();
        assert_eq!(group.begin(now, 10, 3, 10), Some(13));
        assert!(group.give_up(10, 10));
        assert_eq!(group.begin(now, 10, 3, 10), Some(13), "that none came was no vain wait");
        assert!(group.give_up(10, 12));
        assert_eq!(group.begin(now, 12, 2, 12), None);
        assert!(!group.give_up(12, 13));
    }

    /// Groups until the next one that is waited for.
    fn hasty_groups(patience: &mut Patience) -> u32 {
        let mut count = 0;
        while !patience.waits() {
            count += 1;
        }
        count
    }

    #[test]
    fn vain_waits_become_rare() {
        let mut patience = Patience::default();
        assert_eq!(hasty_groups(&mut patience), 0);
        let counts: Vec<u32> = (0..8)
            .map(|_| {
                patience.was_vain();
                hasty_groups(&mut patience)
            })
            .collect();
        assert_eq!(counts, [16, 32, 64, 128, 256, 512, 1024, 1024]);
    }

    /// Runs a trial to its end, with this rate in each spell; when it ended.
    fn try_out(trial: &mut Trial, mut now: Instant, mut rate: impl FnMut(bool) -> u64) -> Instant {
        let mut place = 1;
        trial.step(now, place);
        while !matches!(trial.stage, Stage::Decided(until) if until > now) {
            place += rate(trial.is_long());
            now += SPELL;
            trial.step(now, place);
        }
        now
    }

    #[test]
    fn long_waits_must_raise_the_rate() {
        for (short, long, expected) in [(1000, 1000, false), (1000, 1100, true), (1000, 1030, false)] {
            let mut trial = Trial::default();
            trial.is_wanted();
            try_out(&mut trial, Instant::now(), |is_long| if is_long { long } else { short });
            assert_eq!((trial.pays, trial.is_long()), (expected, expected), "{short} against {long}");
        }
    }

    #[test]
    fn one_good_spell_is_not_enough() {
        let mut trial = Trial::default();
        trial.is_wanted();
        let mut count = 0;
        try_out(&mut trial, Instant::now(), |_| {
            count += 1;
            if count == 2 { 5_000 } else { 1_000 }
        });
        assert!(!trial.pays, "its pair was won, the others were not");
    }

    #[test]
    fn trials_with_the_same_outcome_become_rare() {
        let mut trial = Trial::default();
        trial.is_wanted();
        let mut now = Instant::now();
        let pauses: Vec<u64> = (0..6)
            .map(|_| {
                let end = try_out(&mut trial, now, |_| 1_000);
                now = end + trial.pause;
                trial.pause.as_secs()
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 16]);
        try_out(&mut trial, now, |is_long| if is_long { 1_200 } else { 1_000 });
        assert_eq!((trial.pays, trial.pause), (true, TRIAL_PAUSE_MIN), "a new outcome");
        trial.end();
        assert!(!trial.is_long());
    }

    #[test]
    fn vain_waits_are_forgiven() {
        let mut patience = Patience::default();
        for (kept, expected) in [(FORGIVING_WAITS - 1, 32), (FORGIVING_WAITS, 16)] {
            patience.was_vain();
            hasty_groups(&mut patience);
            (0..kept).for_each(|_| patience.came());
            patience.was_vain();
            assert_eq!(hasty_groups(&mut patience), expected, "after {kept}");
            patience = Patience::default();
        }
    }
}
