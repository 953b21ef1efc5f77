//! The hash slot of a key: CRC-16/XMODEM (polynomial `1021`, start value 0, nothing reflected) modulo 16,384.
//!
//! If the key has a `{`, a `}` behind it, and something between the two, only that is hashed (the *hash tag*), so clients can
//! keep keys together. The first `{` counts, and the first `}` behind it. One table of 512 bytes, built at compile time: keys
//! are short, so wider tables would only crowd the cache.

/// The number of slots of a cluster.
pub const SLOT_COUNT: u16 = 16_384;

static TABLE: [u16; 256] = build_table();

const fn build_table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 0x8000 != 0 { sum << 1 ^ 0x1021 } else { sum << 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
}

/// CRC-16/XMODEM of all the bytes. O(length).
pub fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, &byte| sum << 8 ^ TABLE[usize::from((sum >> 8) as u8 ^ byte)])
}

/// The part of a key that decides its slot: the hash tag if there is one, else the whole key.
pub fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else { return key };
    let inside = &key[open + 1..];
    match inside.iter().position(|&byte| byte == b'}') {
        None | Some(0) => key,
        Some(close) => &inside[..close],
    }
}

/// The slot of a key, below [`SLOT_COUNT`].
pub fn key_slot(key: &[u8]) -> u16 {
    checksum(hash_tag(key)) % SLOT_COUNT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sums() {
        assert_eq!(checksum(b"123456789"), 0x31c3);
        assert_eq!(checksum(b""), 0);
        assert_eq!(key_slot(b"foo"), 12182);
        assert_eq!(key_slot(b"somekey"), 11058);
    }

    #[test]
    fn only_the_first_tag_with_content_counts() {
        for (key, tag) in [
            ("foo{hash_tag}", "hash_tag"),
            ("{user1000}.following", "user1000"),
            ("foo{}{bar}", "foo{}{bar}"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar}{zap}", "bar"),
            ("foo{bar", "foo{bar"),
            ("foo}bar{zap}", "zap"),
            ("", ""),
            ("{", "{"),
            ("{}", "{}"),
        ] {
            assert_eq!(hash_tag(key.as_bytes()), tag.as_bytes(), "{key}");
            assert_eq!(key_slot(key.as_bytes()), key_slot(tag.as_bytes()), "{key}");
        }
    }
}
