//! The AOF's manifest: any bytes are refused, or are a manifest that is written and read again the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rustredis_persistence::aof::manifest::{BaseFormat, Manifest};

fuzz_target!(|input: &[u8]| {
    let Ok(mut manifest) = Manifest::parse(input).inspect_err(|error| assert!(!error.to_string().is_empty()))
    else {
        return;
    };
    let written = manifest.format();
    // Quoting makes some lines too long.
    if written.split(|byte| *byte == b'\n').all(|line| line.len() < 1024) && !written.is_empty() {
        assert_eq!(Manifest::parse(&written).as_ref(), Ok(&manifest));
    }
    assert!(manifest.loaded().chain(&manifest.history).all(|file| !file.name.contains('/')));
    manifest.push_increment(manifest.next_increment("appendonly.aof"));
    manifest.replace_base(manifest.next_base("appendonly.aof", BaseFormat::Rdb), u64::MAX);
});
