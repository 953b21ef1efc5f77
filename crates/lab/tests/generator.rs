//! The load generator against a real redis-server, and against servers that misbehave.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustredis_lab::load::{self, Figures, Generator, Load, Mix, Pace, Spread};
use rustredis_lab::workloads::fill;
use rustredis_testkit::{Server, process};

const KEYS: u64 = 1_000;

fn load_on(address: SocketAddr, mix: &str) -> Load {
    Load {
        address,
        clients: 4,
        threads: 2,
        pipeline: 2,
        pace: Pace::Closed,
        mix: Mix::parse(mix, &[64]).expect("a mix"),
        keys: KEYS,
        spread: Spread::Uniform,
        seed: 1,
        patience: Duration::from_secs(10),
        generator: Generator::default(),
    }
}

/// Runs until the measured phase is over.
fn drive(load: &Load) -> Figures {
    load::run(load, "warm-up", &AtomicBool::new(false), |conductor| {
        conductor.wait(Duration::from_millis(50));
        conductor.phase("measured");
        conductor.wait(Duration::from_millis(200));
    })
    .expect("the server accepts")
}

fn redis() -> Server {
    let server = Server::redis();
    fill(server.address(), KEYS, 64).expect("the server takes its keys");
    server
}

#[test]
fn every_reply_is_counted_and_right() {
    let server = redis();
    let figures =
        drive(&load_on(server.address(), "3 GET {key}\n1 SET {key} {value}\n1 MULTI ; INCR {key:n:} ; EXEC"));
    let phase = figures.phase("measured").unwrap();
    assert_eq!(
        (figures.fault.as_deref(), phase.errors, phase.misses),
        (None, 0, 0),
        "{:?}",
        figures.error_texts
    );
    assert!(phase.requests > 0 && phase.latency.len() == phase.requests);
    assert_eq!(phase.generator_cpu.len(), 2);
    // The server has seen what was counted, and no more than what may still have been under way.
    let calls = server.client().call(&["INFO", "commandstats"]).text();
    let calls_of = |name: &str| -> u64 {
        let line =
            calls.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls="))).unwrap();
        line.split(',').next().unwrap().parse().unwrap()
    };
    let counted: u64 = figures.phases.iter().map(|phase| phase.requests).sum();
    let seen = calls_of("get") + calls_of("set") - KEYS + calls_of("exec");
    assert!(seen >= counted && seen <= counted + 8, "{counted} counted, {seen} seen");
}

#[test]
fn errors_are_counted_as_errors_and_named() {
    let server = redis();
    let figures = drive(&load_on(server.address(), "1 LPUSH {key} x"));
    let phase = figures.phase("measured").unwrap();
    assert_eq!(phase.requests, 0);
    assert!(phase.errors > 0);
    assert!(figures.error_texts.keys().next().unwrap().starts_with("WRONGTYPE"), "{:?}", figures.error_texts);
}

#[test]
fn a_key_that_is_not_there_is_a_miss_and_a_foreign_value_is_wrong() {
    let server = redis();
    let figures = drive(&load_on(server.address(), "1 GET {key:none:}"));
    let phase = figures.phase("measured").unwrap();
    assert_eq!((phase.errors, phase.misses), (0, phase.requests));
    let mut load = load_on(server.address(), "1 GET {key}");
    load.spread = Spread::One;
    server.client().call(&["SET", "key:000000000000", "not ours"]);
    let figures = drive(&load);
    assert!(
        figures.error_texts.keys().next().unwrap().starts_with("wrong reply"),
        "{:?}",
        figures.error_texts
    );
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let server = redis();
    let mut load = load_on(server.address(), "1 GET {key}");
    load.pace = Pace::Open(2_000.0);
    let figures = drive(&load);
    let answered: u64 = figures.phases.iter().map(|phase| phase.requests).sum();
    let sent = (answered + figures.in_flight + figures.unfinished) as usize;
    let seconds: f64 = figures.phases.iter().map(|phase| phase.seconds).sum();
    let due_by = |seconds: f64| -> usize {
        let of_thread =
            |thread| load.arrivals(thread, 2).unwrap().take_while(|due| *due as f64 <= seconds * 1e9);
        (0..2).map(|thread| of_thread(thread).count()).sum()
    };
    // What was due until then is sent, by a thread that the machine let run in the last 50 ms.
    assert!(sent >= due_by(seconds - 0.05), "{sent}");
    assert!(sent <= due_by(seconds + 0.05), "{sent} in {seconds}");
}

/// While the server is stopped an open loop goes on intending requests, and all of them must show the stall.
#[test]
fn an_open_loop_does_not_hide_a_stall() {
    let server = redis();
    let mut load = load_on(server.address(), "1 GET {key}");
    load.pace = Pace::Open(1_000.0);
    let figures = load::run(&load, "before", &AtomicBool::new(false), |conductor| {
        conductor.wait(Duration::from_millis(50));
        conductor.phase("stalled");
        process::signal(server.pid(), 19);
        conductor.wait(Duration::from_millis(400));
        process::signal(server.pid(), 18);
        conductor.wait(Duration::from_millis(200));
    })
    .unwrap();
    let stalled = figures.phase("stalled").unwrap();
    let late = stalled.latency.count_between(100_000_000, 100_000_000_000);
    // 1,000 a second for the first 300 of the 400 ms waited 100 ms or longer.
    assert!((250..=1_000).contains(&late), "{late} late requests");
}

#[test]
fn a_server_that_hangs_is_named() {
    let server = redis();
    let mut load = load_on(server.address(), "1 GET {key}");
    load.patience = Duration::from_millis(200);
    let figures = load::run(&load, "measured", &AtomicBool::new(false), |conductor| {
        process::signal(server.pid(), 19);
        while conductor.wait(Duration::from_secs(60)) {}
    })
    .unwrap();
    process::signal(server.pid(), 18);
    assert_eq!(figures.fault.as_deref(), Some("the server hangs: no reply for 0.2 s"));
}

#[test]
fn a_server_that_dies_is_named() {
    let mut server = redis();
    let load = load_on(server.address(), "1 GET {key}");
    let figures = load::run(&load, "measured", &AtomicBool::new(false), |conductor| {
        process::kill(server.pid());
        while conductor.wait(Duration::from_secs(60)) {}
    })
    .unwrap();
    server.wait_for_exit(Duration::from_secs(10));
    let fault = figures.fault.unwrap();
    assert!(fault.starts_with("the server closed") || fault.starts_with("a connection failed"), "{fault}");
    assert!(
        load::run(&load, "x", &AtomicBool::new(false), |_| {}).unwrap_err().contains("connection 0 of 2")
    );
}

#[test]
fn nonsense_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 64];
        // The generator may have gone before it has read the answer.
        let _ = stream.read(&mut request).and_then(|_| stream.write_all(b"hello\r\n"));
        let _ = stream.read(&mut request);
    });
    let load = Load { clients: 1, threads: 1, ..load_on(address, "1 PING") };
    let figures = load::run(&load, "measured", &AtomicBool::new(false), |conductor| {
        while conductor.wait(Duration::from_secs(60)) {}
    })
    .unwrap();
    server.join().unwrap();
    assert!(figures.fault.unwrap().starts_with("the server sent what is not RESP"));
}

#[test]
fn a_trace_is_replayed_in_its_order() {
    let server = redis();
    let trace = "1700000000.1 [0 127.0.0.1:1] \"INCR\" \"a\"\n1700000000.2 [0 127.0.0.1:1] \"DECR\" \"a\"\n";
    let commands = load::trace::parse(trace).unwrap().commands;
    let load = Load {
        clients: 1,
        threads: 1,
        pipeline: 2,
        mix: Mix::sequence(&commands).unwrap(),
        ..load_on(server.address(), "1 PING")
    };
    assert_eq!(drive(&load).phase("measured").unwrap().errors, 0);
    let last = server.client().call(&["GET", "a"]).text();
    assert_eq!(last, "0");
}
