//! Ed25519 keys (RFC 8032), and how they are written as text.
//!
//! ```text
//! larder-secret-ed25519:<64 hexadecimal digits>    the seed; whoever has it signs
//! larder-public-ed25519:<64 hexadecimal digits>    the public key; whoever has it verifies
//! ```
//! One key, one line. What is read may have white space around it and lines that begin with `#`. Digits may be of either
//! case, and are written in lower case.
//!
//! # Invariants
//! Signatures are deterministic. Verifying is strict: points of small order, encodings that are not canonical and
//! malleable signatures are refused, so that a signature fits one key and one message only. A [`SecretKey`] lies in one
//! place in memory, however often it is cloned, prints as redacted, and is zeroed when the last clone is dropped.
//! Any text may be given to the parsers; what they say of text that is no key never repeats it.

use std::fmt;
use std::sync::Arc;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use larder_core::{Error, ErrorKind, Hash, Result};
use zeroize::Zeroizing;

/// What the text of a secret key begins with.
pub const SECRET_PREFIX: &str = "larder-secret-ed25519:";

/// What the text of a public key begins with.
pub const PUBLIC_PREFIX: &str = "larder-public-ed25519:";

/// Longer text is no key, whatever is in it.
const LONGEST_TEXT: usize = 4096;

fn id_of(public: &[u8; 32]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("larder ed25519 key id v1");
    hasher.update(public);
    hasher.finalize().to_hex()[..16].to_owned()
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, "read a key").with_message(message)
}

/// The digits of the one key in `text`, whose prefix is `prefix`.
fn digits<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    line.strip_prefix(prefix).filter(|digits| digits.len() == 64 && text.len() <= LONGEST_TEXT)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// A key that signs.
#[derive(Clone)]
pub struct SecretKey {
    key: Arc<SigningKey>,
    public: PublicKey,
}

impl SecretKey {
    /// A new key, from the system's randomness.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn generate() -> Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        let mut filled = 0;
        while filled < seed.len() {
            let more = rustix::rand::getrandom(&mut seed[filled..], rustix::rand::GetRandomFlags::empty());
            match more {
                Ok(count) => filled += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(Error::from_io(errno.into(), "make a key")),
            }
        }
        Ok(Self::from_seed(&seed))
    }

    /// The key of a seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = Arc::new(SigningKey::from_bytes(seed));
        let public = PublicKey { id: id_of(key.verifying_key().as_bytes()), key: key.verifying_key() };
        Self { key, public }
    }

    /// Reads a key as [`to_text`](Self::to_text) writes it.
    ///
    /// # Errors
    /// `Invalid`, without repeating the text.
    pub fn parse(text: &str) -> Result<Self> {
        if digits(text, PUBLIC_PREFIX).is_some() {
            return Err(invalid("this is a public key, and a secret one is needed")
                .with_hint("`larder key generate` wrote it to `keys/NAME.key`, beside `keys/NAME.pub`"));
        }
        let wrong = || {
            invalid("this is no secret key")
                .with_hint(format!("it is one line: `{SECRET_PREFIX}` and 64 hexadecimal digits"))
        };
        let digits = digits(text, SECRET_PREFIX).ok_or_else(wrong)?;
        let mut seed = Zeroizing::new([0; 32]);
        for (byte, pair) in seed.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let (high, low) = (nibble(pair[0]).ok_or_else(wrong)?, nibble(pair[1]).ok_or_else(wrong)?);
            *byte = high << 4 | low;
        }
        Ok(Self::from_seed(&seed))
    }

    /// The key as text. Not for messages.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        // Room for all of it: a string that grows leaves copies.
        let mut text = Zeroizing::new(String::with_capacity(SECRET_PREFIX.len() + 64));
        text.push_str(SECRET_PREFIX);
        for byte in self.key.as_bytes() {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        text
    }

    /// What others verify with.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The id that envelopes name it by.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.public.id
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("id", &self.public.id).field("seed", &"[redacted]").finish()
    }
}

impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.public == other.public
    }
}

impl Eq for SecretKey {}

/// A key that verifies.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    id: String,
}

impl PublicKey {
    /// The key of these bytes.
    ///
    /// # Errors
    /// `Invalid` when they are no point, not its canonical form, or a point that any signature could fit.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self> {
        let wrong = || invalid("these are not the bytes of an Ed25519 public key");
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| wrong())?;
        if key.is_weak() || key.to_edwards().compress().as_bytes() != bytes {
            return Err(wrong());
        }
        Ok(Self { id: id_of(bytes), key })
    }

    /// Reads a key as its `Display` writes it.
    ///
    /// # Errors
    /// `Invalid`; the text of a secret key is not repeated.
    pub fn parse(text: &str) -> Result<Self> {
        if digits(text, SECRET_PREFIX).is_some() {
            return Err(invalid("this is a secret key, and the public one is needed")
                .with_hint("show nobody a secret key; `larder key show` prints the public one"));
        }
        let hash =
            digits(text, PUBLIC_PREFIX).and_then(|digits| Hash::from_hex(&digits.to_ascii_lowercase()));
        let hash = hash.ok_or_else(|| {
            invalid("this is no public key")
                .with_hint(format!("it is one line: `{PUBLIC_PREFIX}` and 64 hexadecimal digits"))
        })?;
        Self::from_bytes(&hash.0)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The id that envelopes name it by: the first 16 digits of a hash of its bytes.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.id
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC_PREFIX}{}", Hash(*self.as_bytes()).to_hex())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.to_string()).finish()
    }
}
