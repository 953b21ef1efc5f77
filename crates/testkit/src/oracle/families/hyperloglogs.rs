//! HyperLogLogs. They are strings, and what they hold is compared byte by byte.

pub(super) const TEMPLATES: &[&str] = &[
    "PFADD {hll} {member}*",
    "PFADD {hll} {value}+",
    "PFCOUNT {hll}+",
    "PFMERGE {hll} {hll}*",
    "GET {hll}",
    "STRLEN {hll}",
];
