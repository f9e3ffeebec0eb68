//! Content digests: `sha256:<64 hex>`, the name of every blob in OCI (image-spec, descriptor.md, "Digests").
//!
//! Only algorithms that this crate can check are digests here: SHA-256, and SHA-512 for reading what others wrote. A
//! digest has one text form: lower-case hexadecimal digits of the right number, nothing else.

use std::fmt;
use std::str::FromStr;

use larder_core::digest::Hash;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// Hash functions of digests that are registered in image-spec, descriptor.md, "Registered algorithms".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, which everybody speaks. All that this crate writes is named by it.
    Sha256,
    /// SHA-512, which few write; only read here.
    Sha512,
}

impl Algorithm {
    /// As in the text form of a digest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The algorithm of this name, if it is known here.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "sha256" => Some(Self::Sha256),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    /// A hasher that takes content piece by piece.
    #[must_use]
    pub fn hasher(self) -> Hasher {
        Hasher(match self {
            Self::Sha256 => Inner::Sha256(sha2::Sha256::new()),
            Self::Sha512 => Inner::Sha512(Box::new(sha2::Sha512::new())),
        })
    }

    /// The digest of `content`.
    #[must_use]
    pub fn digest(self, content: &[u8]) -> OciDigest {
        let mut hasher = self.hasher();
        hasher.update(content);
        hasher.finish()
    }

    fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// The digest of a blob or manifest, without its size (image-spec, descriptor.md, "Digests").
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OciDigest {
    algorithm: Algorithm,
    /// As many as the algorithm gives; the rest are zero.
    hash: [u8; 64],
}

impl OciDigest {
    /// SHA-256 of `content`.
    #[must_use]
    pub fn sha256(content: &[u8]) -> Self {
        Algorithm::Sha256.digest(content)
    }

    /// The digest with this SHA-256 hash.
    #[must_use]
    pub fn from_sha256(hash: Hash) -> Self {
        Self::of(Algorithm::Sha256, &hash.0)
    }

    /// The hash, if it is SHA-256.
    #[must_use]
    pub fn as_sha256(&self) -> Option<Hash> {
        let bytes = self.as_bytes().try_into().ok()?;
        Some(Hash(bytes))
    }

    /// Which function made it.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The bytes of the hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.hash[..self.algorithm.bytes()]
    }

    /// The hash in lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits = self.as_bytes().iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
    }

    /// Whether this is the digest of `content`.
    #[must_use]
    pub fn is_of(&self, content: &[u8]) -> bool {
        self.algorithm.digest(content) == *self
    }

    fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hash = [0; 64];
        hash[..bytes.len()].copy_from_slice(bytes);
        Self { algorithm, hash }
    }
}

impl fmt::Display for OciDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex())
    }
}

impl fmt::Debug for OciDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), &self.hex()[..12])
    }
}

impl FromStr for OciDigest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let wrong = || ParseDigestError(crate::said::short(text, 150));
        let (algorithm, hex) = text.split_once(':').ok_or_else(wrong)?;
        let algorithm = Algorithm::from_name(algorithm).ok_or_else(wrong)?;
        if hex.len() != 2 * algorithm.bytes() {
            return Err(wrong());
        }
        let mut hash = [0; 64];
        for (byte, pair) in hash.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let (high, low) = (digit(pair[0]).ok_or_else(wrong)?, digit(pair[1]).ok_or_else(wrong)?);
            *byte = high << 4 | low;
        }
        Ok(Self { algorithm, hash })
    }
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

impl Serialize for OciDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OciDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest of the form `sha256:<64 hex digits>`")]
pub struct ParseDigestError(String);

/// Makes a digest of content that comes piece by piece.
pub struct Hasher(Inner);

enum Inner {
    Sha256(sha2::Sha256),
    Sha512(Box<sha2::Sha512>),
}

impl Hasher {
    /// The next piece.
    pub fn update(&mut self, piece: &[u8]) {
        match &mut self.0 {
            Inner::Sha256(hasher) => hasher.update(piece),
            Inner::Sha512(hasher) => hasher.update(piece),
        }
    }

    /// The digest of all pieces.
    #[must_use]
    pub fn finish(self) -> OciDigest {
        match self.0 {
            Inner::Sha256(hasher) => OciDigest::of(Algorithm::Sha256, &hasher.finalize()),
            Inner::Sha512(hasher) => OciDigest::of(Algorithm::Sha512, &hasher.finalize()),
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn text_and_digest_are_the_same() {
        let digest: OciDigest = EMPTY.parse().unwrap();
        assert_eq!(digest, OciDigest::sha256(b""));
        assert_eq!(digest.to_string(), EMPTY);
        assert_eq!(digest.as_sha256().unwrap().to_hex(), digest.hex());
        assert_eq!(OciDigest::from_sha256(digest.as_sha256().unwrap()), digest);
        let long = Algorithm::Sha512.digest(b"x");
        assert_eq!(long.to_string().parse::<OciDigest>().unwrap(), long);
        assert_eq!(long.hex().len(), 128);
        assert!(long.is_of(b"x") && !long.is_of(b"y"));
        assert_eq!(long.as_sha256(), None);
    }

    #[test]
    fn only_one_text_form() {
        let upper = EMPTY.to_uppercase().replacen("SHA256", "sha256", 1);
        for wrong in
            ["", "sha256", "sha256:", &EMPTY[..70], &format!("{EMPTY}0"), &upper, "md5:d41d8cd98f00b204"]
        {
            assert!(wrong.parse::<OciDigest>().is_err(), "{wrong}");
        }
        let crossed = EMPTY.replacen("256", "512", 1);
        assert!(crossed.parse::<OciDigest>().is_err());
    }

    #[test]
    fn json_is_the_text() {
        let digest: OciDigest = EMPTY.parse().unwrap();
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json, format!("\"{EMPTY}\""));
        assert_eq!(serde_json::from_str::<OciDigest>(&json).unwrap(), digest);
    }
}
