//! Expiry with times that are far away or past: a near one would expire on one server and not yet on the other. GT and LT
//! stand with absolute times alone: the same relative time twice is later, or in the same millisecond.

pub(super) const TEMPLATES: &[&str] = &[
    "EXPIRE {any} {ttl} (NX|XX|NX GT|NX XX)?",
    "PEXPIRE {any} {ttlms} (NX|XX)?",
    "EXPIREAT {any} {at} (NX|XX|GT|LT|XX GT|XX LT)?",
    "PEXPIREAT {any} {atms} (NX|XX|GT|LT)?",
    "EXPIRE {any} (0|-1|-100000)",
    "(TTL|PTTL|EXPIRETIME|PEXPIRETIME) {any}",
    "PERSIST {any}",
];
