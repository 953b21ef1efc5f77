//! Bitmaps and bit fields.

pub(super) const TEMPLATES: &[&str] = &[
    "SETBIT {bits} {bit} {onebit}",
    "GETBIT {bits} {bit}",
    "BITCOUNT {bits} ({byte} {byte} (BYTE|BIT)?)?",
    "BITPOS {bits} {onebit} ({byte} ({byte} (BYTE|BIT)?)?)?",
    "BITOP (AND|OR|XOR) {bits} {bits}+",
    "BITOP NOT {bits} {bits}",
    "BITFIELD {bits} (GET {fieldtype} {bit}|SET {fieldtype} {bit} {int}|INCRBY {fieldtype} {bit} {int})+",
    "BITFIELD {bits} OVERFLOW (WRAP|SAT|FAIL) (SET {fieldtype} {bit} {int}|INCRBY {fieldtype} {bit} {int})+",
    "BITFIELD_RO {bits} (GET {fieldtype} {bit})+",
    "SET {bits} {value}",
    "GET {bits}",
];
