//! Commands that answer at random, each behind one that reads all it may answer with: the reply is checked to be made of
//! those. What they remove is forced equal again afterwards, by removing the key. And encodings, behind their type:
//! which of them are the same depends on it.

pub(super) const STEPS: &[&[&str]] = &[
    &["SMEMBERS {set}", "SRANDMEMBER {same} {few}?"],
    &["SMEMBERS {set}", "SPOP {same} {count}?", "DEL {same}"],
    &["HKEYS {hash}", "HRANDFIELD {same} {few}?"],
    &["ZRANGE {zset} 0 -1", "ZRANDMEMBER {same} {few}?"],
    &["KEYS %", "RANDOMKEY"],
    &["TYPE {any}", "OBJECT ENCODING {same}"],
];
