//! Fields that expire, from Redis 7.4, and what 8.0 added to them.

pub(super) const TEMPLATES: &[&str] = &[
    "HEXPIRE {hash} {ttl} (NX|XX)? FIELDS (1 {field}|2 {field} {field})",
    "HPEXPIRE {hash} {ttlms} (NX|XX)? FIELDS 1 {field}",
    "HEXPIREAT {hash} {at} (NX|XX|GT|LT)? FIELDS (1 {field}|2 {field} {field})",
    "HPEXPIREAT {hash} {atms} (NX|XX|GT|LT)? FIELDS 1 {field}",
    "(HEXPIRETIME|HPEXPIRETIME|HPERSIST) {hash} FIELDS (1 {field}|2 {field} {field})",
    "(HTTL|HPTTL) {hash} FIELDS 1 {field}",
    "HGETDEL {hash} FIELDS (1 {field}|2 {field} {field}|3 {field} {field} {field})",
    "HGETEX {hash} (EX {ttl}|PX {ttlms}|EXAT {at}|PXAT {atms}|PERSIST)? FIELDS (1 {field}|2 {field} {field})",
    "HSETEX {hash} (FNX|FXX)? (EX {ttl}|PX {ttlms}|EXAT {at}|PXAT {atms}|KEEPTTL)? FIELDS (1 {field} {value}|2 {field} {value} {field} {value})",
    "HSET {hash} ({field} {value})+",
    "HGETALL {hash}",
];
