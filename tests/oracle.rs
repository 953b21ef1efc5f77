//! Random histories of all families on every engine, compared with redis-server 7.0.15 and with our own one-shard engine.
//!
//! The seeds are fixed, so that a run repeats. `RUSTREDIS_ORACLE_SEED` runs one seed alone, `RUSTREDIS_ORACLE_SEEDS` so
//! many from 0 on, and `RUSTREDIS_ORACLE_STEPS` sets the steps of each.

use rustredis_testkit::oracle::{self, Coverage};
use rustredis_testkit::{Binary, Launch, Server, every_engine};

const SEEDS: u64 = 24;
const STEPS: u64 = 1_500;

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn check_seeds(server: &Server, reference: &Server, first: u64, coverage: Coverage) {
    let steps = number("RUSTREDIS_ORACLE_STEPS").unwrap_or(STEPS) as usize;
    if let Some(seed) = number("RUSTREDIS_ORACLE_SEED") {
        return oracle::check(server, reference, seed, steps, coverage);
    }
    for seed in first..first + number("RUSTREDIS_ORACLE_SEEDS").unwrap_or(SEEDS) {
        oracle::check(server, reference, seed, steps, coverage);
    }
}

/// Redis looks after the timeouts of blocked clients only `hz` times a second.
fn redis() -> Server {
    Launch::new(Binary::Redis).arguments(&["--hz", "500"]).start()
}

every_engine! {
    fn histories_agree_with_redis(server: &Server) with ["--hz", "500"] {
        check_seeds(server, &redis(), 0, Coverage::Redis70);
    }

    fn histories_agree_with_one_shard(server: &Server) with ["--hz", "500"] {
        let one_shard = Launch::new(Binary::Rustredis("mutex".to_owned())).arguments(&["--hz", "500"]).start();
        check_seeds(server, &one_shard, 1_000_000, Coverage::Own);
    }
}
