//! What reading and writing files costs, without disk and keyspace: `cargo run --release --example file_cost [keys]`.
//!
//! Everything happens in memory, several times, and the fastest round is shown: the rest is the machine's noise.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rustredis_keyspace::types::{hash::Hash, set::Set, zset::ZSet};
use rustredis_keyspace::{Entry, Value, crc64};
use rustredis_persistence::aof::reader::{Reader, Record};
use rustredis_persistence::rdb::{Checksum, Compression, FileReader, FileWriter, Part};
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
    show("CRC64 of it", keys, aof.len(), || _ = black_box(crc64::checksum(&aof)));
    drop(aof);
    measure_rdb("strings", &make_strings(keys));
    measure_rdb("collections", &make_collections(keys));
}

fn make_strings(keys: u32) -> Vec<Entry> {
    (0..keys).map(|key| Entry::string(format!("key:{key:09}").as_bytes(), &[b'x'; 64], None)).collect()
}

/// Hashes, sets and sorted sets of five short members.
fn make_collections(keys: u32) -> Vec<Entry> {
    let name = |key: u32| format!("key:{key:09}");
    let value = |key: u32| {
        let (mut hash, mut set, mut zset) = (Hash::new(), Set::new(), ZSet::new());
        for member in 1..=5 {
            hash.set(format!("f{member}").as_bytes(), format!("v{member}").as_bytes());
            set.insert(format!("m{member}").as_bytes());
            zset.insert(format!("m{member}").as_bytes(), f64::from(member) / 2.0);
        }
        match key % 3 {
            0 => Value::Hash(hash),
            1 => Value::Set(set),
            _ => Value::ZSet(zset),
        }
    };
    (0..keys).map(|key| Entry::new(name(key).as_bytes(), value(key), None)).collect()
}

fn measure_rdb(what: &str, entries: &[Entry]) {
    let keys = entries.len() as u32;
    for compression in [Compression::Off, Compression::Lzf] {
        let mut file = Vec::with_capacity(entries.len() * 200);
        let write = |file: &mut Vec<u8>| {
            file.clear();
            let mut writer = FileWriter::begin(file, 10, compression).expect("memory takes all");
            entries.iter().for_each(|entry| writer.entry(entry, None).expect("memory takes all"));
            writer.finish(Checksum::On).expect("memory takes all");
        };
        write(&mut file);
        let bytes = file.len();
        show(&format!("RDB, {what} written, {compression:?}"), keys, bytes, || write(&mut file));
        show(&format!("RDB, {what} read, {compression:?}"), keys, bytes, || {
            let mut reader =
                FileReader::begin(file.as_slice(), u64::MAX, Checksum::On).expect("it was just written");
            let mut found = 0;
            while let Some(part) = reader.next() {
                if let Part::Key(key) = black_box(part).expect("it was just written") {
                    found += u32::from(!key.entry.key().is_empty());
                }
            }
            assert_eq!(found, keys);
        });
    }
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
        "{what:<36} {:>7.1} ns a key {:>8.0} MB/s",
        nanoseconds / f64::from(keys),
        bytes as f64 / nanoseconds * 1000.0
    );
}
