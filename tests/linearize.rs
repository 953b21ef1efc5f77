//! A few recorded histories of concurrent clients on every engine, and whether an order of their operations explains every answer:
//! the short form of `cargo xtask linearize`, which draws what fails.
//!
//! `RUSTREDIS_LINEARIZE_SEED` sets the first seed, `RUSTREDIS_LINEARIZE_HISTORIES` how many each test records.

use rustredis_testkit::crash::power_cut_library;
use rustredis_testkit::linearize::{self, Options};
use rustredis_testkit::{Server, every_engine};

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// What every run has in common.
fn options(server: &Server, threads: usize, histories: u64) -> Options {
    Options {
        binary: server.binary().clone(),
        threads,
        seed: number("RUSTREDIS_LINEARIZE_SEED", 1),
        histories: number("RUSTREDIS_LINEARIZE_HISTORIES", histories),
        clients: 24,
        operations: 10_000,
        budget: 500_000,
        power_cut: None,
        fault: None,
        stops_at_failure: true,
        pages: None,
    }
}

/// How often a run is made in which a history was too hard to decide: on a machine that does much besides, more overlaps.
const RUNS_MAX: u64 = 3;

#[track_caller]
fn check(options: &Options) {
    for run in 1..=RUNS_MAX {
        let seed = options.seed + run * 1_000;
        let report =
            linearize::run(&Options { seed, ..options.clone() }).expect("the histories are recorded");
        println!("{report:?}");
        assert_eq!(report.violated, 0, "{:#?}", report.failures);
        assert!(report.overlap.by_time >= 8.0, "hardly anything overlaps: {report:?}");
        if report.failures.is_empty() {
            return;
        }
    }
    panic!("in each of {RUNS_MAX} runs a history was too hard to decide");
}

every_engine! {
    fn histories_have_an_order_with_one_thread(server: &Server) {
        check(&options(server, 1, 15));
    }

    fn histories_have_an_order_with_two_threads(server: &Server) {
        check(&options(server, 2, 15));
    }

    /// What was answered before the power failed, or only shown to others, is there behind it.
    fn histories_with_power_cuts_have_an_order(server: &Server) {
        check(&Options { power_cut: Some(power_cut_library()), ..options(server, 2, 4) });
    }
}
