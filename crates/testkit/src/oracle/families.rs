//! The commands of each family, as templates of [`super::grammar`].

mod bitmaps;
mod due;
mod expiry;
mod generic;
mod geo;
mod hash_ttl;
mod hashes;
mod hyperloglogs;
mod lists;
mod near;
mod newer;
mod random_members;
mod server;
mod sets;
mod sorted_sets;
mod sorting;
mod streams;
mod strings;

/// Families whose commands redis-server 7.0.15 knows. Each template is drawn alone as a step of a history.
pub(super) const COMMON: [&[&str]; 12] = [
    strings::TEMPLATES,
    lists::TEMPLATES,
    hashes::TEMPLATES,
    sets::TEMPLATES,
    sorted_sets::TEMPLATES,
    bitmaps::TEMPLATES,
    hyperloglogs::TEMPLATES,
    geo::TEMPLATES,
    generic::TEMPLATES,
    expiry::TEMPLATES,
    sorting::TEMPLATES,
    streams::TEMPLATES,
];

/// Families of a later Redis, which only our own engines can be compared in.
pub(super) const LATER: [&[&str]; 2] = [hash_ttl::TEMPLATES, newer::TEMPLATES];

/// Families whose keys run out while the history runs: only a replay can be compared.
pub(super) const NEAR: [&[&str]; 1] = [near::TEMPLATES];

/// Steps of several commands that answer at random; see there.
pub(super) const RANDOM: &[&[&str]] = random_members::STEPS;

/// Steps in which a key comes due, and those that a later Redis knows.
pub(super) const DUE: [&[&[&str]]; 2] = [due::STEPS, due::LATER_STEPS];

/// Steps of the server's own commands: for every history, for 7.0's alone, and for those of a later Redis.
pub(super) const SERVER: [&[&[&str]]; 3] = [server::STEPS, server::REDIS_70_STEPS, server::LATER_STEPS];

/// Commands that no history holds, and why.
pub(super) const LEFT_OUT: &[(&str, &str)] = server::LEFT_OUT;
