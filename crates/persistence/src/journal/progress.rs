//! What the journal tells: how far it has come.

use rustredis_metrics::rows::{Row, counter};

use super::Journal;
use super::durable::Durable;
use super::place::Place;

/// How far the journal has come at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    last: Place,
    durable: Place,
}

impl Progress {
    /// Looks.
    pub fn of(journal: &Journal, durable: &Durable) -> Self {
        // In this order, or what is durable could be behind the last.
        let durable = durable.place();
        Self { last: journal.last(), durable }
    }

    /// What is told.
    pub const SAMPLES: &'static [Row<Self>] = &[
        counter("journal_last_place", "The place of the last effect.", |at| at.last.into()),
        counter("journal_durable_place", "The place up to which effects are on the disk.", |at| {
            at.durable.into()
        }),
    ];
}
