//! Digests: how content is named.
//!
//! A [`Digest`] is a hash, the function that made it, and the size of the content, as in the Remote Execution API. The
//! text form is `b3:<64 hex>/<size>` (`sha256:…` for SHA-256). Two digests are equal only if all three are.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;

/// The hash functions that Larder addresses content by. Both give 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
#[non_exhaustive]
pub enum DigestFunction {
    /// BLAKE3, 256 bits: Larder's own.
    #[default]
    Blake3 = 1,
    /// SHA-256: what OCI, and most REAPI clients, speak.
    Sha256 = 2,
}

impl DigestFunction {
    /// Short name, as in the text form of a digest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blake3 => "b3",
            Self::Sha256 => "sha256",
        }
    }

    /// The function with this number in a file format; `None` if unknown.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Blake3),
            2 => Some(Self::Sha256),
            _ => None,
        }
    }

    /// Digest of `content`.
    #[must_use]
    pub fn digest(self, content: &[u8]) -> Digest {
        let hash = match self {
            Self::Blake3 => *blake3::hash(content).as_bytes(),
            Self::Sha256 => sha2::Sha256::digest(content).into(),
        };
        Digest { function: self, hash: Hash(hash), size: content.len() as u64 }
    }

    /// A hasher that takes content piece by piece.
    #[must_use]
    pub fn hasher(self) -> Hasher {
        let inner = match self {
            Self::Blake3 => Inner::Blake3(Box::new(blake3::Hasher::new())),
            Self::Sha256 => Inner::Sha256(sha2::Sha256::new()),
        };
        Hasher { inner, size: 0 }
    }
}

/// The 32 bytes of a hash, without function and size.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// BLAKE3 of `content`.
    #[must_use]
    pub fn blake3(content: &[u8]) -> Self {
        Self(*blake3::hash(content).as_bytes())
    }

    /// The hash of 64 lower-case hexadecimal digits; `None` if it is anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digit = |c: u8| match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        };
        let text: &[u8; 64] = text.as_bytes().try_into().ok()?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(hash))
    }

    /// 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut out = String::with_capacity(64);
        for byte in self.0 {
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        out
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex()[..12])
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// The name of a blob: function, hash and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    /// Which function made the hash.
    pub function: DigestFunction,
    /// The hash.
    pub hash: Hash,
    /// Size of the content in bytes.
    pub size: u64,
}

impl Digest {
    /// BLAKE3 digest of `content`.
    #[must_use]
    pub fn blake3(content: &[u8]) -> Self {
        DigestFunction::Blake3.digest(content)
    }

    /// Digest of the empty blob, which every store has.
    #[must_use]
    pub fn empty(function: DigestFunction) -> Self {
        function.digest(b"")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.function.name(), self.hash, self.size)
    }
}

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest of the form `b3:<64 hex digits>/<size>`")]
pub struct ParseDigestError(String);

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (function, rest) = text.split_once(':')?;
            let (hash, size) = rest.split_once('/')?;
            let function = match function {
                "b3" => DigestFunction::Blake3,
                "sha256" => DigestFunction::Sha256,
                _ => return None,
            };
            let canonical =
                size == "0" || (size.starts_with(|c: char| c.is_ascii_digit()) && !size.starts_with('0'));
            let size = canonical.then(|| size.parse().ok())??;
            Some(Self { function, hash: Hash::from_hex(hash)?, size })
        };
        parse().ok_or_else(|| ParseDigestError(text.chars().take(120).collect()))
    }
}

/// Hashes content piece by piece.
#[derive(Clone)]
pub struct Hasher {
    inner: Inner,
    size: u64,
}

#[derive(Clone)]
enum Inner {
    Blake3(Box<blake3::Hasher>),
    Sha256(sha2::Sha256),
}

impl Hasher {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.size += piece.len() as u64;
        match &mut self.inner {
            Inner::Blake3(hasher) => {
                hasher.update(piece);
            }
            Inner::Sha256(hasher) => hasher.update(piece),
        }
    }

    /// The digest of everything taken.
    #[must_use]
    pub fn finish(self) -> Digest {
        let (function, hash) = match self.inner {
            Inner::Blake3(hasher) => (DigestFunction::Blake3, *hasher.finalize().as_bytes()),
            Inner::Sha256(hasher) => (DigestFunction::Sha256, hasher.finalize().into()),
        };
        Digest { function, hash: Hash(hash), size: self.size }
    }
}
