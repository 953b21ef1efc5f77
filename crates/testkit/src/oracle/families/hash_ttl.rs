//! Fields that expire, from Redis 7.4.

pub(super) const TEMPLATES: &[&str] = &[
    "HEXPIRE {hash} {ttl} (NX|XX)? FIELDS (1 {field}|2 {field} {field})",
    "HPEXPIRE {hash} {ttlms} (NX|XX)? FIELDS 1 {field}",
    "HEXPIREAT {hash} {at} (NX|XX|GT|LT)? FIELDS (1 {field}|2 {field} {field})",
    "HPEXPIREAT {hash} {atms} (NX|XX|GT|LT)? FIELDS 1 {field}",
    "(HEXPIRETIME|HPEXPIRETIME|HPERSIST) {hash} FIELDS (1 {field}|2 {field} {field})",
    "(HTTL|HPTTL) {hash} FIELDS 1 {field}",
    "HSET {hash} ({field} {value})+",
    "HGETALL {hash}",
];
