//! RDB: any bytes are refused as a payload and as a file, or make values that are written and read again the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rustredis_keyspace::{Entry, digest};
use rustredis_persistence::rdb::{Checksum, Compression, FileReader, Part, dump, restore, seal_dump};

const STRING_BYTES_MAX: u64 = 1 << 20;

fn check(entry: &Entry) {
    let payload = dump(entry, Compression::Lzf).expect("what was read can be written");
    let again = restore(&payload, Checksum::On, u64::MAX).expect("what was written can be read");
    assert_eq!(digest::of_value(&Entry::new(b"key", again, entry.expire_at_ms())), digest::of_value(entry));
}

fuzz_target!(|input: &[u8]| {
    let mut payload = input.to_vec();
    seal_dump(&mut payload, 12);
    if let Ok(value) = restore(&payload, Checksum::On, STRING_BYTES_MAX) {
        check(&Entry::new(b"key", value, None));
    }
    let Ok(mut file) = FileReader::begin(input, STRING_BYTES_MAX, Checksum::Off) else { return };
    while let Some(Ok(part)) = file.next() {
        if let Part::Key(key) = part {
            check(&key.entry);
        }
    }
});
