//! What others have published about Redis's and Valkey's I/O threads: beside our own predictions, for comparison of shapes.
//!
//! Other machines, other loads, other generators: no figure here can be divided by one of ours. What can be compared is how much a
//! server gains from its first thread to its last, and from how many threads on it gains nothing.

use serde::Serialize;

/// One server's published points.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// The server.
    pub server: &'static str,
    /// Threads (the main thread counts) and requests a second.
    pub points: &'static [(f64, f64)],
    /// On what, and how.
    pub conditions: &'static str,
    /// Where.
    pub source: &'static str,
}

/// All of them. Points that a source only draws are not read off its pictures: only what it says in words or numbers.
pub const CURVES: &[Curve] = &[
    Curve {
        server: "Valkey 8.0",
        points: &[(1.0, 160e3), (8.0, 900e3)],
        conditions: "devhands.io, 2024; no pipelines; above 8 I/O threads it gains nothing more",
        source: "https://prog.world/million-rps-with-a-thimble-in-the-ointment",
    },
    Curve {
        server: "Redis (beside Valkey 8.0)",
        points: &[(1.0, 160e3), (8.0, 360e3)],
        conditions: "devhands.io, 2024; \"about 2 to 2.5 times\" of one thread (drawn at 2.25); above 8 I/O threads it loses",
        source: "https://prog.world/million-rps-with-a-thimble-in-the-ointment",
    },
    Curve {
        server: "Valkey 8.0 RC2",
        points: &[(9.0, 1.19e6)],
        conditions: "16 cores, 9 I/O threads; 7.2 on the same machine: 360 thousand",
        source: "https://valkey.io/blog/unlock-one-million-rps",
    },
    Curve {
        server: "Valkey 9.1",
        points: &[(9.0, 2.1e6)],
        conditions: "512 bytes, pipelines of 10, 9 I/O threads, as its release announced",
        source: "https://valkey.io/blog",
    },
];

/// What is published only as a ratio.
pub const RATIOS: &[(&str, &str)] = &[
    (
        "Redis 8.0 with 8 I/O threads: 1.37 to 2.12 times of one thread",
        "https://en.paradigmadigital.com/dev/clustering-redis-8-vs-valkey-8-improve-performance/",
    ),
    (
        "Valkey 8.0 with I/O threads: 3 times of 7.2 on the same machine",
        "https://valkey.io/blog/unlock-one-million-rps",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_has_a_source_and_rising_threads() {
        for curve in CURVES {
            assert!(curve.source.starts_with("https://") && !curve.conditions.is_empty());
            assert!(curve.points.is_sorted_by(|a, b| a.0 < b.0));
        }
    }
}
