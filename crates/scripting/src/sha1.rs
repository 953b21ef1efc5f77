//! SHA-1 (FIPS 180-4), by which scripts are named. It protects nothing here.

/// The digest of these bytes, in lower-case hexadecimal. About 3 nanoseconds a byte.
pub fn sha1_hex(bytes: &[u8]) -> [u8; 40] {
    let (blocks, rest) = bytes.as_chunks();
    let mut sha1 = Sha1::new();
    sha1.add(blocks);
    sha1.end(rest, bytes.len())
}

/// A block, which is hashed at once.
pub(crate) type Block = [u8; 64];

const BLOCK_BYTES: usize = size_of::<Block>();

/// A digest that comes about block by block.
pub(crate) struct Sha1 {
    state: [u32; 5],
}

impl Sha1 {
    pub(crate) fn new() -> Self {
        Self { state: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0] }
    }

    /// Adds whole blocks.
    pub(crate) fn add(&mut self, blocks: &[Block]) {
        for block in blocks {
            compress(&mut self.state, block);
        }
    }

    /// Adds what is less than a block; so many bytes were added then. The digest in lower-case hexadecimal.
    pub(crate) fn end(mut self, rest: &[u8], bytes: usize) -> [u8; 40] {
        // The end: a one bit, zeros, and the length in bits.
        let mut last = [0; 2 * BLOCK_BYTES];
        last[..rest.len()].copy_from_slice(rest);
        last[rest.len()] = 0x80;
        let end = if rest.len() < BLOCK_BYTES - 8 { BLOCK_BYTES } else { 2 * BLOCK_BYTES };
        last[end - 8..end].copy_from_slice(&(bytes as u64 * 8).to_be_bytes());
        self.add(last[..end].as_chunks().0);
        let mut text = [0; 40];
        for (index, digit) in text.iter_mut().enumerate() {
            let value = self.state[index / 8] >> (28 - index % 8 * 4) & 0xf;
            *digit = b"0123456789abcdef"[value as usize];
        }
        text
    }
}

fn compress(state: &mut [u32; 5], block: &Block) {
    let mut words = [0u32; 80];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    for index in 16..80 {
        let mixed = words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16];
        words[index] = mixed.rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for (index, word) in words.iter().enumerate() {
        let (mix, constant) = match index / 20 {
            0 => (b & c | !b & d, 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => (b & c | b & d | c & d, 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6),
        };
        let next =
            a.rotate_left(5).wrapping_add(mix).wrapping_add(e).wrapping_add(constant).wrapping_add(*word);
        (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
    }
    for (sum, value) in state.iter_mut().zip([a, b, c, d, e]) {
        *sum = sum.wrapping_add(value);
    }
}

#[cfg(test)]
mod tests {
    use super::sha1_hex;

    #[test]
    fn digests_are_those_of_the_standard() {
        for (text, digest) in [
            (String::new(), "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ("abc".to_owned(), "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".to_owned(),
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
            ),
            ("a".repeat(1_000_000), "34aa973cd4c4daa4f61eeb2bdbad27316534016f"),
            ("return 1".to_owned(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"),
        ] {
            assert_eq!(sha1_hex(text.as_bytes()), digest.as_bytes(), "{} bytes", text.len());
        }
    }
}
