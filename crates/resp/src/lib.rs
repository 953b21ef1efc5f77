//! Bytes to RESP and back. No I/O in here.

pub mod glob;
pub mod number;
mod strtod;
