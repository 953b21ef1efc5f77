//! Whole streams of commands, run against a store: no panic, and every command answers exactly one well-formed reply.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use rustredis_commands::{Args, FAMILIES, Registry, Run};
use rustredis_keyspace::{Bank, Covered, Effects, Random, Store};
use rustredis_resp::{Batch, ParseLimits, Parser, Proto, Reply};

/// Where one reply ends; nothing if it is not well-formed.
fn skip_replies(out: &[u8], mut wanted: usize) -> Option<usize> {
    let mut position = 0;
    while wanted > 0 {
        let line = out[position..].windows(2).position(|pair| pair == b"\r\n")?;
        let (kind, text) = (out[position], &out[position + 1..position + line]);
        position += line + 2;
        wanted -= 1;
        let number = || std::str::from_utf8(text).ok()?.parse::<i64>().ok();
        match kind {
            b'$' | b'=' => {
                if let Ok(length) = usize::try_from(number()?) {
                    position += length + 2;
                }
            }
            b'*' | b'~' | b'>' => wanted += usize::try_from(number()?).unwrap_or(0),
            b'%' => wanted += usize::try_from(number()?).ok()? * 2,
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => {}
            _ => return None,
        }
        if position > out.len() {
            return None;
        }
    }
    Some(position)
}

fuzz_target!(|input: &[u8]| {
    // The first byte chooses the protocol; the rest is the stream, inline or RESP.
    let Some((first, bytes)) = input.split_first() else { return };
    let is_resp3 = first & 1 == 1;
    // Made once: the full names of subcommands live as long as the process.
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    let registry = REGISTRY.get_or_init(|| Registry::new(FAMILIES, &[]).expect("no row is renamed"));
    let store = Store::new(4, (0..3).map(|_| Bank::new(4)).collect());
    let (random, mut effects) = (Random::new(7), Effects { notify_mask: u32::MAX, ..Effects::default() });
    let mut batch = Batch::default();
    let limits = ParseLimits { bulk_bytes_max: 1 << 16, is_unauthenticated: false };
    Parser::default().parse(bytes, 0, &mut batch, 200, &limits);
    let proto = if is_resp3 { Proto::Resp3 } else { Proto::Resp2 };
    for index in 0..batch.len() {
        let (text, spans) = batch.command(index, bytes);
        let args = Args::new(text, spans, &[]);
        let Ok(row) = registry.resolve(args) else { continue };
        let mut keys = Vec::new();
        let Run::Keys(handler) = row.command.run else { continue };
        row.hash_keys(args, &mut keys);
        effects.clear();
        // SAFETY: the store is this function's alone.
        let mut view = unsafe {
            rustredis_keyspace::View::new(
                &store,
                Covered::All,
                row.access,
                0,
                1_000_000 + index as u64,
                &random,
                &mut effects,
            )
        };
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, proto);
        match handler(&mut view, args.with_keys(&keys), &mut reply) {
            Ok(()) if view.effects.block.is_some() => {
                assert!(out.is_empty(), "a command that waits has answered")
            }
            Ok(()) => assert_eq!(skip_replies(&out, 1), Some(out.len()), "{}: {out:?}", row.full_name),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});
