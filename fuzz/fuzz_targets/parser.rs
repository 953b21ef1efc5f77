//! The request parser: any bytes, cut anywhere, give the same commands and the same error as in one piece.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rustredis_resp::{Batch, ParseLimits, Parser, ProtocolError};

type Parsed = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

fn parse(input: &[u8], pieces: impl Iterator<Item = usize>, limits: &ParseLimits) -> Parsed {
    let mut parser = Parser::default();
    let mut buffer = Vec::new();
    let mut commands = Vec::new();
    let mut rest = input;
    for piece in pieces {
        let (now, later) = rest.split_at(piece.clamp(1, rest.len().max(1)).min(rest.len()));
        rest = later;
        buffer.extend_from_slice(now);
        loop {
            let mut batch = Batch::default();
            let (consumed, error) = parser.parse(&buffer, 0, &mut batch, 3, limits);
            for index in 0..batch.len() {
                let (text, spans) = batch.command(index, &buffer);
                commands.push(spans.iter().map(|span| span.of(text).to_vec()).collect());
            }
            buffer.drain(..consumed);
            if error.is_some() {
                return (commands, error);
            }
            if batch.is_empty() {
                break;
            }
        }
        if rest.is_empty() {
            break;
        }
    }
    (commands, None)
}

fuzz_target!(|input: (Vec<u8>, Vec<u8>, bool)| {
    let (bytes, cuts, is_unauthenticated) = input;
    let limits = ParseLimits { bulk_bytes_max: 1 << 20, is_unauthenticated };
    let whole = parse(&bytes, std::iter::once(bytes.len()), &limits);
    let pieces = cuts.iter().map(|cut| usize::from(*cut)).chain(std::iter::repeat(1));
    let cut = parse(&bytes, pieces, &limits);
    assert_eq!(whole, cut);
});
