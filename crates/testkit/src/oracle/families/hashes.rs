//! Hashes.

pub(super) const TEMPLATES: &[&str] = &[
    "(HSET|HMSET) {hash} ({field} {value})+",
    "HSET {hash} ({field} {int})+",
    "HSETNX {hash} {field} {value}",
    "HGET {hash} {field}",
    "HMGET {hash} {field}+",
    "HGETALL {hash}",
    "(HKEYS|HVALS|HLEN) {hash}",
    "HDEL {hash} {field}+",
    "HEXISTS {hash} {field}",
    "HSTRLEN {hash} {field}",
    "HINCRBY {hash} {field} {int}",
    "HINCRBYFLOAT {hash} {field} {float}",
    "HSCAN {hash} 0 (MATCH {pattern})? COUNT 10000",
];
