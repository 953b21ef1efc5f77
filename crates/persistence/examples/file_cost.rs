//! What reading and writing files costs, without disk and keyspace: `cargo run --release --example file_cost [keys]`.
//!
//! Everything happens in memory, several times, and the fastest round is shown: the rest is the machine's noise.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rustredis_persistence::aof::reader::{Reader, Record};
use rustredis_resp::request::write_request;

const ROUNDS: usize = 5;

fn main() {
    let keys = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(1_000_000u32);
    let aof = make_aof(keys);
    show("AOF, SET commands read", keys, aof.len(), || {
        let mut reader = Reader::new(aof.as_slice(), 0);
        let mut arguments = 0;
        while let Some(Record::Command(command)) = reader.next().expect("it is whole") {
            arguments += black_box(command.arguments()).len();
        }
        assert_eq!(arguments, 3 * keys as usize);
    });
}

fn make_aof(keys: u32) -> Vec<u8> {
    let mut file = Vec::new();
    for key in 0..keys {
        write_request(&mut file, &[b"SET", format!("key:{key:09}").as_bytes(), &[b'x'; 64]]);
    }
    file
}

fn show(what: &str, keys: u32, bytes: usize, mut run: impl FnMut()) {
    let mut fastest = Duration::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        run();
        fastest = fastest.min(started.elapsed());
    }
    let nanoseconds = fastest.as_secs_f64() * 1e9;
    println!(
        "{what:<32} {:>7.1} ns a key {:>8.0} MB/s",
        nanoseconds / f64::from(keys),
        bytes as f64 / nanoseconds * 1000.0
    );
}
