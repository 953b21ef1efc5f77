//! A few crashes on every engine: the short form of `cargo xtask crash`, which says what is compared and how.
//!
//! The seed is fixed; `RUSTREDIS_CRASH_SEED` sets another one, `RUSTREDIS_CRASH_ROUNDS` the rounds of each test.

use rustredis_testkit::crash::{self, Fsync, Options, power_cut_library};
use rustredis_testkit::{Server, every_engine};

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// What every run has in common.
fn options(server: &Server, promise: Fsync, rounds: u64) -> Options {
    Options {
        binary: server.binary().clone(),
        promise,
        appendfsync: promise.name().to_owned(),
        graceful_percent: 0,
        seed: number("RUSTREDIS_CRASH_SEED", 1),
        rounds: number("RUSTREDIS_CRASH_ROUNDS", rounds),
        damage_bytes: 0,
        power_cut: None,
        keep: None,
    }
}

#[track_caller]
fn check(options: &Options) {
    let report = crash::run(options).expect("the servers start");
    println!("{report:?}");
    assert!(report.violations.is_empty(), "{:#?}", report.violations);
    assert!(report.acknowledged > 100, "hardly any load: {report:?}");
}

every_engine! {
    fn a_killed_server_has_all_that_it_acknowledged(server: &Server) {
        check(&options(server, Fsync::Always, 3));
    }

    /// Whatever it was started with, and though the power fails behind it.
    fn an_end_that_was_asked_for_loses_nothing(server: &Server) {
        let graceful = |promise, rounds| Options { graceful_percent: 100, ..options(server, promise, rounds) };
        check(&graceful(Fsync::Snapshots, 3));
        check(&Options { power_cut: Some(power_cut_library()), ..graceful(Fsync::Everysec, 2) });
    }

    fn a_power_cut_takes_nothing_that_was_acknowledged(server: &Server) {
        check(&Options { power_cut: Some(power_cut_library()), ..options(server, Fsync::Always, 3) });
    }

    fn everysec_loses_two_seconds_at_most(server: &Server) {
        check(&Options { power_cut: Some(power_cut_library()), ..options(server, Fsync::Everysec, 1) });
    }

    /// That the check can fail: without an fsync a power cut takes what was acknowledged.
    fn a_power_cut_without_fsync_is_noticed(server: &Server) {
        let options = Options {
            power_cut: Some(power_cut_library()),
            appendfsync: "no".to_owned(),
            ..options(server, Fsync::Always, 2)
        };
        let report = crash::run(&options).expect("the servers start");
        assert!(!report.violations.is_empty(), "{report:?}");
    }
}
