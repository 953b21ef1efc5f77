//! The hold times of one hold, which may be of many locks.

use rustredis_metrics::Contention;

/// The hold times that are measured; none if that is off.
#[derive(Default)]
#[allow(clippy::box_collection, reason = "two words more in each hold, also while nothing is measured")]
pub(crate) struct Measured(Option<Box<Vec<rustredis_metrics::HoldTimer>>>);

impl Measured {
    #[cold]
    pub(crate) fn of(held: rustredis_metrics::HoldTimer) -> Self {
        Self(Some(Box::new(vec![held])))
    }

    #[cold]
    pub(crate) fn push(&mut self, held: rustredis_metrics::HoldTimer) {
        self.0.get_or_insert_default().push(held);
    }

    /// Records what there is; to be called while it is still held.
    #[inline]
    pub(crate) fn release(&mut self, contention: &Contention) {
        if let Some(held) = self.0.take() {
            held.into_iter().for_each(|held| contention.release(held));
        }
    }

    /// Counts a read that had been tried without these locks.
    #[inline]
    pub(crate) fn count_fallback(&self, contention: &Contention) {
        if let Some(held) = &self.0 {
            held.iter().for_each(|held| contention.fallback(held));
        }
    }
}
