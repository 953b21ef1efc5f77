//! Places: what everything in the journal is ordered by.

/// Where an entry stands in the journal; the first is 1, and 0 stands before all.
pub type Place = u64;
