//! The AOF's reader: any bytes, in pieces of any size, give the same records and the same end; what is called whole is.

#![no_main]

use std::io::{self, Read};

use libfuzzer_sys::fuzz_target;
use rustredis_persistence::aof::reader::{AofError, Reader, Record};

struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(bytes.len());
        self.0.read(&mut bytes[..count])
    }
}

/// The records, and the error if there is one; the bytes that are whole.
fn read(input: &[u8], piece: usize) -> (Vec<String>, Option<String>, u64) {
    let mut reader = Reader::new(Pieces(input, piece), 0);
    let mut records = Vec::new();
    loop {
        let start = reader.offset();
        let error = match reader.next() {
            Ok(None) => return (records, None, input.len() as u64),
            Ok(Some(record)) => {
                if let Record::Command(command) = record {
                    assert!(command.offset >= start && command.arguments().len() > 0);
                }
                records.push(format!("{record:?}"));
                continue;
            }
            Err(error) => error,
        };
        if let AofError::Torn { valid_bytes, file_bytes, .. } = error {
            assert_eq!((valid_bytes, file_bytes), (reader.valid_bytes(), input.len() as u64));
        }
        assert_eq!(reader.next().map(drop).unwrap_err().to_string(), error.to_string());
        return (records, Some(error.to_string()), reader.valid_bytes());
    }
}

fuzz_target!(|input: &[u8]| {
    let (Some((piece, input)), whole) = (input.split_first(), usize::MAX) else { return };
    let (records, error, valid_bytes) = read(input, whole);
    let (other_records, other_error, _) = read(input, usize::from(*piece).max(1));
    assert!(records == other_records && error == other_error);
    let (_, error, _) = read(&input[..valid_bytes as usize], whole);
    assert_eq!(error, None, "what is whole ends between two records");
});
