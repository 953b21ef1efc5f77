//! What Redis 8.2 and later, and Valkey, added.

pub(super) const TEMPLATES: &[&str] = &[
    "SET {str} {value} (IFEQ|IFNE) {value} GET? (EX {ttl}|PXAT {futurems}|KEEPTTL)?",
    "SET {str} {int} (IFDEQ|IFDNE) (404a763b3f4c8c9a|2D06800538D394C2|{value}) GET? (PX {ttlms}|KEEPTTL)?",
    "DIGEST {str}",
    "DELEX {any}",
    "DELEX {str} (IFEQ|IFNE) {value}",
    "DELEX {str} (IFDEQ|IFDNE) (404a763b3f4c8c9a|2D06800538D394C2|{value})",
    "DELIFEQ {str} {value}",
    "MSETEX 1 {any} {value} (NX|XX)? (EX {ttl}|PX {ttlms}|EXAT {future}|PXAT {futurems}|KEEPTTL)?",
    "MSETEX 2 {str} {value} {str} {value} (NX|XX)? (EX {ttl}|PXAT {futurems}|KEEPTTL)?",
    "INCREX {str} (BYINT {int})? SATURATE? (LBOUND {int})? (UBOUND {int})? (EX {ttl} ENX?|PX {ttlms}|EXAT {at}|PXAT {atms}|PERSIST)?",
    "INCREX {str} BYFLOAT {float} SATURATE? (LBOUND {float})? (UBOUND {float})? (EX {ttl}|PXAT {atms} ENX?|PERSIST)?",
    "XADD {stream} (KEEPREF|DELREF|ACKED)? (MAXLEN|MINID) (~|=)? {count} {newid} {field} {value}",
    "XTRIM {stream} (MAXLEN {count}|MAXLEN = {count}|MAXLEN ~ {count}|MINID {sid}) (KEEPREF|DELREF|ACKED)",
];
