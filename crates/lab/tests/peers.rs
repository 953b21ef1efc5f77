//! `peers` on real servers, as short as it can be: everything is measured, said, kept, and written again from what was kept.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use rustredis_lab::peers::{self, PeersArgs, Raw};

fn args(name: &str, servers: &[&str]) -> PeersArgs {
    let directory = std::env::temp_dir().join(format!("rustredis-lab-peers-{name}-{}", std::process::id()));
    PeersArgs {
        servers: servers.iter().map(|text| text.parse().expect("NAME=PATH[:OPTIONS]")).collect(),
        server: None,
        out: directory.join("PERFORMANCE.md"),
        raw: directory.join("peers.json"),
        from: None,
        // As short as can be.
        minutes: 0.0,
        rounds: 1,
        clients: 4,
        keys: 2_000,
        seed: 1,
    }
}

fn remove(args: &PeersArgs) {
    // What cannot be removed stays behind in the temporary directory.
    let _ = std::fs::remove_dir_all(args.out.parent().map(PathBuf::from).unwrap_or_default());
}

#[test]
fn two_servers_are_compared_command_by_command() {
    let args = args("two", &["redis=redis-server", "threads=redis-server:--io-threads 2"]);
    assert_eq!(peers::run(&args, &AtomicBool::new(false)), Ok(true));
    let raw = Raw::read(&args.raw).unwrap();
    assert_eq!(raw.failures, Vec::<String>::new());
    // Each of 14 commands at three depths, on both; six loads; ten shapes on the one program.
    assert_eq!((raw.costs.len(), raw.tails.len(), raw.memory.len()), (14 * 3 * 2, 6 * 2, 10));
    assert!(raw.costs.iter().all(|cost| cost.cpu_us > 0.0 && cost.rate > 0.0), "{:?}", raw.costs);
    assert!(raw.memory.iter().all(|memory| memory.bytes.is_some()), "{:?}", raw.memory);
    let written = std::fs::read_to_string(&args.out).unwrap();
    assert_eq!(written, peers::render(&raw));
    let again =
        PeersArgs { from: Some(args.raw.clone()), out: args.out.with_extension("again"), ..args.clone() };
    assert_eq!(peers::run(&again, &AtomicBool::new(false)), Ok(true));
    assert_eq!(std::fs::read_to_string(&again.out).unwrap(), written);
    remove(&args);
}

#[test]
fn an_interrupted_comparison_writes_nothing_and_a_server_that_does_not_start_is_named() {
    let interrupted = args("interrupted", &["redis=redis-server"]);
    assert_eq!(peers::run(&interrupted, &AtomicBool::new(true)), Ok(false));
    assert!(!interrupted.out.exists() && !interrupted.raw.exists());
    let wrong = PeersArgs { keys: 0, ..args("wrong", &["redis=redis-server:--nonsense 1"]) };
    let error = peers::run(&wrong, &AtomicBool::new(false)).unwrap_err();
    assert!(error.starts_with("redis does not start"), "{error}");
}
