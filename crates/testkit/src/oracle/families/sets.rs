//! Sets. What answers at random is in `random_members`.

pub(super) const TEMPLATES: &[&str] = &[
    "SADD {set} {member}+",
    "SADD {set} {int}+",
    "SREM {set} {member}+",
    "SISMEMBER {set} {member}",
    "SMISMEMBER {set} {member}+",
    "SCARD {set}",
    "SMEMBERS {set}",
    "SMOVE {set} {set} {member}",
    "(SINTER|SUNION|SDIFF) {set}+",
    "(SINTERSTORE|SUNIONSTORE|SDIFFSTORE) {set} {set}+",
    "SINTERCARD (1 {set}|2 {set} {set}|3 {set} {set} {set}) (LIMIT {count})?",
    "SPOP {set} 10000",
    "SSCAN {set} 0 (MATCH {pattern})? COUNT 10000",
];
