//! Random histories of all families on every engine, compared with redis-server 7.0.15, with our own one-shard engine, and
//! with what their append-only files give back: the short form of `cargo xtask oracle`.
//!
//! The seeds are fixed, so that a run repeats. `RUSTREDIS_ORACLE_SEED` runs one seed alone, `RUSTREDIS_ORACLE_SEEDS` so
//! many from 0 on, and `RUSTREDIS_ORACLE_STEPS` sets the steps of each.

use rustredis_testkit::oracle::{self, Coverage, Gaps, Trial};
use rustredis_testkit::{Binary, Launch, Replay, Server, engines, every_engine, replay};

/// Seeds of each test, of which those without a reference need fewer.
const SEEDS: u64 = 24;
const SEEDS_NEAR: u64 = 12;
const STEPS: u64 = 1_500;
/// Every so many histories the server is started again.
const RESTARTS_EVERY: u64 = 4;
/// Redis looks after the timeouts of blocked clients only `hz` times a second.
const OPTIONS: [&str; 4] = ["--hz", "500", "--enable-debug-command", "yes"];

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Checks the seeds from `first` on, on a server of this kind that has an append-only file.
fn check_seeds(server: &Server, reference: Option<&Server>, first: u64, coverage: Coverage) {
    let launch = Launch::new(server.binary().clone()).arguments(&OPTIONS).arguments(&replay::OPTIONS);
    let mut server = launch.start();
    let steps = number("RUSTREDIS_ORACLE_STEPS").unwrap_or(STEPS) as usize;
    let seeds = match number("RUSTREDIS_ORACLE_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let count = if reference.is_some() { SEEDS } else { SEEDS_NEAR };
            first..first + number("RUSTREDIS_ORACLE_SEEDS").unwrap_or(count)
        }
    };
    for seed in seeds {
        let replay = if seed % RESTARTS_EVERY == 0 { Replay::LoadingAndRestart } else { Replay::Loading };
        oracle::check(&mut server, reference, Trial { seed, steps, coverage, replay });
    }
}

every_engine! {
    fn histories_agree_with_redis(server: &Server) {
        let redis = Launch::new(Binary::Redis).arguments(&OPTIONS).start();
        check_seeds(server, Some(&redis), 0, Coverage::Redis70);
    }

    fn histories_agree_with_one_shard(server: &Server) {
        let launch = Launch::new(Binary::Rustredis("mutex".to_owned())).arguments(&OPTIONS);
        let one_shard = launch.arguments(&["--shards", "1"]).start();
        check_seeds(server, Some(&one_shard), 1_000_000, Coverage::Own);
    }

    /// Keys that live for milliseconds: what is left of them is what their file gives back.
    fn short_lives_are_replayed(server: &Server) {
        check_seeds(server, None, 2_000_000, Coverage::Near);
    }
}

/// A new command must be in a family of the grammar, or be left out of it for a reason. The engines have one table.
#[test]
fn every_command_is_in_a_history() {
    let server = Server::rustredis(&engines()[0]);
    let names: Vec<String> =
        server.client().line("COMMAND LIST").elements().iter().map(|name| name.text()).collect();
    assert!(names.len() > 200, "{names:?}");
    if !server.is_redis() {
        assert_eq!(oracle::gaps(&names), Gaps::default());
    }
}
