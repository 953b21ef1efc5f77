//! Bytes to RESP and back. No I/O in here.

pub mod glob;
pub mod long_double;
mod natural;
pub mod number;
mod strtod;
