//! Passwords, of which only the SHA-256 is kept.

use sha2::{Digest, Sha256};

use crate::error::RuleError;

/// A password's SHA-256 in hexadecimal digits, small case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash([u8; 64]);

/// The hash of a password.
pub fn hash_of(password: &[u8]) -> Hash {
    let digest: [u8; 32] = Sha256::digest(password).into();
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    Hash(text)
}

impl Hash {
    /// A hash as it is written.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &[u8]) -> Result<Self, RuleError> {
        let text: [u8; 64] = text.try_into().map_err(|_| RuleError::Hash)?;
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.iter().all(is_digit) { Ok(Self(text)) } else { Err(RuleError::Hash) }
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Whether both are the same, in a time that tells nothing of where they differ.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).fold(0, |different, (one, other)| different | (one ^ other)) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_standard() {
        let hash = hash_of(b"pw");
        assert_eq!(hash.text(), "30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4");
        assert_eq!(Hash::parse(hash.text().as_bytes()), Ok(hash));
        assert!(hash.is(&hash_of(b"pw")) && !hash.is(&hash_of(b"pv")));
        assert_eq!(Hash::parse(b"30c9"), Err(RuleError::Hash));
        assert_eq!(Hash::parse(hash.text().to_uppercase().as_bytes()), Err(RuleError::Hash));
    }
}
