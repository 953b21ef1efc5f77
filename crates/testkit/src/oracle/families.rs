//! The commands of each family, as templates of [`super::grammar`].

mod bitmaps;
mod expiry;
mod generic;
mod geo;
mod hash_ttl;
mod hashes;
mod hyperloglogs;
mod lists;
mod random_members;
mod sets;
mod sorted_sets;
mod sorting;
mod strings;

/// Families whose commands redis-server 7.0.15 knows. Each template is drawn alone as a step of a history.
pub(super) const COMMON: [&[&str]; 11] = [
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
];

/// Families of a later Redis, which only our own engines can be compared in.
pub(super) const LATER: [&[&str]; 1] = [hash_ttl::TEMPLATES];

/// Steps of several commands that answer at random; see there.
pub(super) const RANDOM: &[&[&str]] = random_members::STEPS;
