//! A shared secret for HMAC-SHA256.
//!
//! Whoever has it can sign and verify. It prints as redacted and is zeroed when it is dropped.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use larder_core::{Error, ErrorKind, Result};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::SigningWarning;

/// Shorter secrets are refused.
pub const SHORTEST_SECRET: usize = 16;

/// Shorter secrets are warned about.
pub const RECOMMENDED_SECRET: usize = 32;

pub(super) const HOW_TO_MAKE_ONE: &str = "make one with `head -c 32 /dev/urandom | base64`";

/// A shared secret for HMAC-SHA256. Prints as redacted, and is zeroed when it is dropped.
#[derive(Clone)]
pub struct Secret {
    bytes: Zeroizing<Vec<u8>>,
    id: String,
}

impl Secret {
    /// A secret of exactly these bytes (the text of a variable is not decoded first).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] below [`SHORTEST_SECRET`] bytes, with a hint on how to make one.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        let bytes = Zeroizing::new(bytes.into());
        if bytes.len() < SHORTEST_SECRET {
            return Err(Error::new(ErrorKind::Invalid, "use cache secret")
                .with_message(format!(
                    "a secret needs at least {SHORTEST_SECRET} bytes and this one has {}",
                    bytes.len()
                ))
                .with_hint(HOW_TO_MAKE_ONE));
        }
        let mut hasher = blake3::Hasher::new_derive_key("larder hmac key id v1");
        hasher.update(&bytes);
        let id = hasher.finalize().to_hex()[..16].to_owned();
        Ok(Self { bytes, id })
    }

    /// The id that envelopes name this secret by: derived from it, and useless for finding it if it is long enough.
    pub fn key_id(&self) -> &str {
        &self.id
    }

    /// What to tell a person about this secret, if anything.
    pub fn warning(&self) -> Option<SigningWarning> {
        let bytes = self.bytes.len();
        (bytes < RECOMMENDED_SECRET).then_some(SigningWarning::ShortSecret { bytes })
    }

    /// The HMAC-SHA256 over `parts`, one after the other.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.bytes).expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("id", &self.id).field("bytes", &"[redacted]").finish()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.bytes.ct_eq(&other.bytes).into()
    }
}

impl Eq for Secret {}
