//! Encryption on this side: whoever owns the bucket or registry reads nothing of content, results or names.
//!
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha). Keys are derived from the configured secret with BLAKE3's key
//! derivation. Format: `docs/formats/bucket.md`.
//!
//! - Nonces are keyed hashes of what is encrypted, and of where it belongs: the same frame sealed twice is the same bytes,
//!   so that two machines that publish one result share packs. An onlooker learns which frames are equal, sizes and
//!   times, and nothing else.
//! - Results and notes are bound to their place: one that is moved to another does not open.
//! - Names of results and notes are keyed hashes: which action was run is not seen.
//!
//! This is privacy, not trust: who has the key and may write can write anything. Trust is the envelope's.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use larder_core::{Error, ErrorKind, Hash, Result};

use super::shelf::{Kind, Place};

/// Shortest secret, in bytes.
pub const SHORTEST: usize = 16;
const NONCE: usize = 24;
const TAG: usize = 16;
const MAGIC: &[u8; 4] = b"LSEA";
const VERSION: u8 = 1;
/// `"LSEA" | version | 0 [3] | key id [8]`
const HEADER: usize = 16;

/// Seals and opens. Cloning is cheap.
#[derive(Clone)]
pub struct Seal {
    cipher: XChaCha20Poly1305,
    nonces: [u8; 32],
    names: [u8; 32],
    id: [u8; 8],
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl Seal {
    /// From a secret that all who share the tier have.
    ///
    /// # Errors
    /// `Invalid` when it has fewer than [`SHORTEST`] bytes.
    pub fn new(secret: &[u8]) -> Result<Self> {
        if secret.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "set up encryption")
                .with_message("there is no key to encrypt with, so nothing is sent")
                .with_hint("set LARDER_TIER_KEY to the key that your team shares; make it once: head -c 32 /dev/urandom | base64"));
        }
        if secret.len() < SHORTEST {
            return Err(Error::new(ErrorKind::Invalid, "set up encryption")
                .with_message(format!(
                    "the key to encrypt with has {} bytes; at least {SHORTEST} are needed",
                    secret.len()
                ))
                .with_hint("make one: head -c 32 /dev/urandom | base64"));
        }
        let derive = |purpose: &str| blake3::derive_key(purpose, secret);
        let key = derive("larder 2026-11 tier content encryption");
        let id = derive("larder 2026-11 tier key id");
        Ok(Self {
            cipher: XChaCha20Poly1305::new(&Key::from(key)),
            nonces: derive("larder 2026-11 tier nonces"),
            names: derive("larder 2026-11 tier names"),
            id: *id.first_chunk().expect("32 bytes have 8"),
        })
    }

    /// Tells this key from others, and says nothing about it: 16 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> String {
        self.id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A name that only who has the key can make.
    pub(crate) fn hide(&self, name: &str) -> Hash {
        Hash(*blake3::keyed_hash(&self.names, name.as_bytes()).as_bytes())
    }

    /// Bytes that sealing a frame adds.
    pub(crate) const FRAME_ADDS: usize = NONCE + TAG;

    /// A frame of a pack: `nonce | ciphertext | tag`, appended to `out`.
    pub(crate) fn seal_frame(&self, frame: &[u8], out: &mut Vec<u8>) {
        self.seal(b"frame", frame, out);
    }

    /// The frame that was sealed; nothing if this is none.
    pub(crate) fn open_frame(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.open(b"frame", sealed)
    }

    /// An object that stands at `place`.
    pub(crate) fn seal_object(&self, place: &Place, object: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + Self::FRAME_ADDS + object.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[VERSION, 0, 0, 0]);
        out.extend_from_slice(&self.id);
        self.seal(&bound(place), object, &mut out);
        out
    }

    /// What was sealed for `place`; nothing if it was not, or with another key.
    pub(crate) fn open_object(&self, place: &Place, object: &[u8]) -> Option<Vec<u8>> {
        let (header, sealed) = object.split_first_chunk::<HEADER>()?;
        let [m0, m1, m2, m3, version, 0, 0, 0, id @ ..] = *header else { return None };
        if [m0, m1, m2, m3] != *MAGIC || version != VERSION || id != self.id {
            return None;
        }
        self.open(&bound(place), sealed)
    }

    /// Whether an object was sealed, with whatever key.
    pub(crate) fn is_sealed(object: &[u8]) -> bool {
        object.len() > HEADER && object.starts_with(MAGIC)
    }

    fn seal(&self, bound: &[u8], plain: &[u8], out: &mut Vec<u8>) {
        let mut hasher = blake3::Hasher::new_keyed(&self.nonces);
        hasher.update(&(bound.len() as u64).to_le_bytes()).update(bound).update(plain);
        let hash = hasher.finalize();
        let nonce: [u8; NONCE] = *hash.as_bytes().first_chunk().expect("32 bytes have 24");
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: bound });
        out.extend_from_slice(&nonce);
        out.extend(sealed.expect("nothing that is sealed has 256 GiB"));
    }

    fn open(&self, bound: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        self.cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: bound }).ok()
    }
}

/// What an object is bound to.
fn bound(place: &Place) -> Vec<u8> {
    let what = match place.kind {
        Kind::Result => "result",
        Kind::Note => "note",
    };
    [what, &place.namespace, &place.name].join("\0").into_bytes()
}
