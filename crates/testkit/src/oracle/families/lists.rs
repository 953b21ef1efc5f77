//! Lists. The blocking commands have so short a timeout that they answer like the others.

pub(super) const TEMPLATES: &[&str] = &[
    "(LPUSH|RPUSH) {list} {value}+",
    "(LPUSH|RPUSH) {list} {member}+",
    "(LPUSHX|RPUSHX) {list} {value}+",
    "(LPOP|RPOP) {list} {count}?",
    "LLEN {list}",
    "LRANGE {list} {index} {index}",
    "LRANGE {list} 0 -1",
    "LINDEX {list} {index}",
    "LSET {list} {index} {value}",
    "LINSERT {list} (BEFORE|AFTER) {member} {value}",
    "LREM {list} {index} {member}",
    "LTRIM {list} {index} {index}",
    "LPOS {list} {member} (RANK {index})? (COUNT {count})? (MAXLEN {count})?",
    "RPOPLPUSH {list} {list}",
    "LMOVE {list} {list} (LEFT|RIGHT) (LEFT|RIGHT)",
    "LMPOP (1 {list}|2 {list} {list}) (LEFT|RIGHT) (COUNT {count})?",
    "(BLPOP|BRPOP) {list} {list}? 0.001",
    "BLMOVE {list} {list} (LEFT|RIGHT) (LEFT|RIGHT) 0.001",
    "BRPOPLPUSH {list} {list} 0.001",
    "BLMPOP 0.001 (1 {list}|2 {list} {list}) (LEFT|RIGHT) (COUNT {count})?",
];
