//! SORT. BY with ALPHA leaves the order of equal weights open, and BY nosort that of a set, so they are neither stored nor
//! limited here.

pub(super) const TEMPLATES: &[&str] = &[
    "SORT {list} (LIMIT {index} {index})? (ASC|DESC)? ALPHA?",
    "SORT {set} (LIMIT {index} {index})? (ASC|DESC)? ALPHA?",
    "SORT {zset} (LIMIT {index} {index})? (ASC|DESC)? ALPHA?",
    "SORT {list} BY (str:%|hash:%->a) (GET #|GET str:%|GET hash:%->b)* (LIMIT {index} {index})? DESC?",
    "SORT ({list}|{zset}) BY nosort (GET #|GET str:%)* DESC?",
    "SORT {list} BY str:% ALPHA (GET #|GET str:%)? DESC?",
    "SORT {list} (GET #|GET nothing:%|GET str:%)* (ASC|DESC)? ALPHA? STORE {list}",
    "SORT {set} ALPHA STORE {list}",
    "SORT_RO {list} (GET #|GET str:%)* (LIMIT {index} {index})? ALPHA?",
    "RPUSH {list} {int}+",
];
