//! Keys and fields with some milliseconds to live, which run out at any moment of the history. What such commands answer
//! is compared with nobody's answer; what is left of them is compared with a replay.

pub(super) const TEMPLATES: &[&str] = &[
    "PEXPIRE {any} {ttlms}",
    "PEXPIRE {any} {ttlms} (NX|XX|GT|LT)",
    "SET {str} {value} PX {ttlms}",
    "PSETEX {str} {ttlms} {value}",
    "GETEX {str} PX {ttlms}",
    "MSETEX 2 {any} {value} {str} {value} (NX|XX)? (PX {ttlms}|KEEPTTL)",
    "INCREX {str} PX {ttlms} ENX?",
    "SET {str} {value} IFNE {value} (PX {ttlms}|KEEPTTL)",
    "(DELEX {str} IFNE|DELIFEQ {str}) {value}",
    "RESTORE {any} {ttlms} {payload} REPLACE",
    "HPEXPIRE {hash} {ttlms} FIELDS 2 {field} {field}",
    "HSETEX {hash} PX {ttlms} FIELDS 1 {field} {value}",
    "HGETEX {hash} PX {ttlms} FIELDS 1 {field}",
    "HGETDEL {hash} FIELDS 2 {field} {field}",
    "(SUNIONSTORE|SINTERSTORE|SDIFFSTORE) {set} {set}+",
    "(ZUNIONSTORE|ZINTERSTORE) {zset} 2 {zset} {set}",
    "BITOP (AND|OR|XOR) {bits} {bits}+",
    "PFMERGE {hll} {hll}+",
    "(COPY|RENAME) {any} {any}",
    "SORT {list} BY nosort GET str:% GET hash:%->a STORE {list}",
    "BLPOP nothing 0.001",
    "PERSIST {any}",
];
