//! The names that a server and its data set have among others.

use crate::clock::now_ms;

/// Forty hexadecimal digits from the operating system's randomness.
pub fn random_hex() -> String {
    use std::hash::{BuildHasher, RandomState};
    let word = || RandomState::new().hash_one(now_ms());
    format!("{:016x}{:016x}{:08x}", word(), word(), word() as u32)
}
