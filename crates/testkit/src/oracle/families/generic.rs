//! The keyspace as a whole: names, types, databases.

pub(super) const TEMPLATES: &[&str] = &[
    "(DEL|UNLINK|EXISTS|TOUCH) {any}+",
    "TYPE {any}",
    "OBJECT REFCOUNT nothing",
    "RENAME {any} {any}",
    "RENAMENX {any} {any}",
    "COPY {any} {any} (DB {db})? REPLACE?",
    "MOVE {any} {db}",
    "SELECT {db}",
    "SELECT 0",
    "SWAPDB {db} {db}",
    "KEYS {pattern}",
    "DBSIZE",
    "SCAN 0 (MATCH {pattern})? COUNT 10000 (TYPE (string|list|hash|set|zset|nosuch))?",
    "ECHO {value}",
    "PING {value}?",
    "FLUSHDB",
    "NOSUCHCOMMAND {value}",
    "DEL {any}",
];
