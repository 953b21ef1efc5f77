//! Bytes in quotes, as Redis writes them into lines that people read: MONITOR's, redis.conf's, the AOF manifest's.
//!
//! What [`crate::parse::split_quoted`] reads back, with an escape for everything that is not printable ASCII.

use std::io::Write;

/// Appends bytes in double quotes, with escapes for what cannot be printed. O(length).
pub fn quote(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for &byte in bytes {
        let escaped = match byte {
            b'\\' | b'"' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x07 => b'a',
            0x08 => b'b',
            b' '..=b'~' => {
                out.push(byte);
                continue;
            }
            _ => {
                // Writing to a vector cannot fail.
                let _ = write!(out, "\\x{byte:02x}");
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', escaped]);
    }
    out.push(b'"');
}

/// Appends bytes as they are if they read back as one word, otherwise in quotes. O(length).
pub fn quote_if_needed(out: &mut Vec<u8>, bytes: &[u8]) {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    if !bytes.is_empty() && bytes.iter().all(is_plain) {
        out.extend_from_slice(bytes);
    } else {
        quote(out, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::split_quoted;

    #[test]
    fn quoting_is_undone_by_splitting() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        for word in [b"".as_slice(), b"plain", b"two words", b"it's", b"\\x41", &all] {
            for write in [quote, quote_if_needed] {
                let (mut line, mut text, mut words) = (Vec::new(), Vec::new(), 0);
                write(&mut line, word);
                assert!(split_quoted(&line, &mut text, |_, _| words += 1), "{word:?}");
                assert_eq!((text.as_slice(), words), (word, 1));
            }
        }
        let mut plain = Vec::new();
        quote_if_needed(&mut plain, b"appendonly.aof.1.incr.aof");
        assert_eq!(plain, b"appendonly.aof.1.incr.aof");
    }
}
