//! Who signs results, and whose results are believed.
//!
//! [`SigningConfig`] is what a person set up; [`SigningConfig::resolve`] makes of it a [`Signer`] (what results made
//! here carry) and a [`Trust`] (what is believed at every look-up). Both are values: nothing here reads the
//! environment, a file or the clock.
//!
//! # Rules
//! What is believed depends on three things: the policy that follows from the configuration ([`Policy`]), where the
//! envelope lies ([`Place`]), and what its signature proves. `docs/design/0003-trust.md` has the whole truth table,
//! and `tests/trust.rs` tests it row by row. In short:
//! 1. With a secret, only results signed by a trusted key are believed, wherever they lie.
//! 2. Without one, what this user made on this machine is believed because the store is this user's own; nothing that
//!    came from elsewhere is.
//! 3. `signing: off` believes unsigned results from everywhere, but only where the user's own trust file permits it,
//!    and what it let in stays marked as promoted: rule 2 does not believe it afterwards.
//! 4. A signature that is wrong is never believed, under no policy.
//!
//! # Not promised
//! An HMAC secret is shared: whoever can verify can sign. Only Ed25519 keys, for which the envelope has room, tell
//! those apart.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use larder_core::{Error, ErrorKind, Result};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::local::index::Origin;

/// Shorter secrets are refused.
pub const SHORTEST_SECRET: usize = 16;

/// Shorter secrets are warned about.
pub const RECOMMENDED_SECRET: usize = 32;

const HOW_TO_MAKE_ONE: &str = "make one with `head -c 32 /dev/urandom | base64`";

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

/// What a person should know about how signing is set up. Never an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningWarning {
    /// The secret is shorter than recommended.
    #[error("the cache secret has {bytes} bytes, {RECOMMENDED_SECRET} are recommended; {HOW_TO_MAKE_ONE}")]
    ShortSecret {
        /// Its length.
        bytes: usize,
    },
    /// The project asks for `signing: off`, and the user's trust file does not permit it.
    #[error("`signing: off` is ignored: your trust file does not permit it for this project")]
    OffNotPermitted,
}

/// The namespaces that a key speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespaces {
    /// All of them.
    All,
    /// These, by their exact names.
    Only(Vec<String>),
}

impl Namespaces {
    fn contain(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|name| name == namespace),
        }
    }
}

/// A key that is believed, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// The secret that it signs with.
    pub secret: Secret,
    /// The namespaces that it speaks for.
    pub namespaces: Namespaces,
}

/// How signing was set up, from the user's own configuration and the project's wish.
#[derive(Debug, Clone, Default)]
pub struct SigningConfig {
    /// The secret that results are signed with; it is also believed for all namespaces.
    pub secret: Option<Secret>,
    /// More keys that are believed.
    pub trusted: Vec<TrustedKey>,
    /// Results signed before this time (seconds since 1970) are not believed.
    pub not_before: u64,
    /// The project's configuration says `signing: off`.
    pub off: bool,
    /// The user's trust file permits the project to say so.
    pub off_permitted: bool,
}

impl SigningConfig {
    /// What to sign with, what to believe, and what to tell a person once.
    pub fn resolve(self) -> (Signer, Trust, Vec<SigningWarning>) {
        let mut warnings: Vec<_> = self.secret.iter().filter_map(Secret::warning).collect();
        if self.off && !self.off_permitted {
            warnings.push(SigningWarning::OffNotPermitted);
        }
        let mut keys = self.trusted;
        let policy = if self.off && self.off_permitted {
            Policy::Off
        } else if self.secret.is_some() || !keys.is_empty() {
            Policy::Required
        } else {
            Policy::OwnOnly
        };
        let signer = match self.secret {
            Some(secret) => {
                keys.insert(0, TrustedKey { secret: secret.clone(), namespaces: Namespaces::All });
                Signer::Hmac(secret)
            }
            None => Signer::Unsigned,
        };
        (signer, Trust { keys, not_before: self.not_before, policy }, warnings)
    }
}

/// What results made here are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// Nothing: such results stay on this machine, save where `signing: off` holds.
    Unsigned,
    /// A shared secret.
    Hmac(Secret),
}

impl Signer {
    /// Whether what it seals may be published where signatures are required.
    pub fn signs(&self) -> bool {
        matches!(self, Self::Hmac(_))
    }
}

/// What is believed when a signature does not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Keys are set up: nothing is believed that none of them signed.
    Required,
    /// No keys: what was made here is believed, nothing else.
    OwnOnly,
    /// `signing: off`, permitted by the user: unsigned results are believed from everywhere.
    Off,
}

/// Where an envelope lies, which says who could have put it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the local tier, made by this user on this machine.
    Built,
    /// In the local tier, copied from another one: as remote as that.
    Promoted,
    /// In another tier.
    Remote,
}

impl From<Origin> for Place {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Built => Self::Built,
            Origin::Promoted => Self::Promoted,
        }
    }
}

/// What is believed; asked at every look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    keys: Vec<TrustedKey>,
    not_before: u64,
    policy: Policy,
}

/// What is known of the key that an envelope names.
pub(crate) enum KeyState<'a> {
    Trusted(&'a Secret),
    OtherNamespace,
    Unknown,
}

impl Trust {
    /// What is believed when no [`SigningConfig`] says more: what was made here.
    pub fn own_only() -> Self {
        Self { keys: Vec::new(), not_before: 0, policy: Policy::OwnOnly }
    }

    /// What is believed when a signature does not decide.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// The time before which nothing signed is believed.
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// Whether a result that nobody we know has signed is believed at `place`.
    pub fn believes_unsigned(&self, place: Place) -> bool {
        match self.policy {
            Policy::Required => false,
            Policy::OwnOnly => place == Place::Built,
            Policy::Off => true,
        }
    }

    pub(crate) fn key(&self, id: &[u8], namespace: &str) -> KeyState<'_> {
        let mut known = false;
        for key in self.keys.iter().filter(|key| key.secret.id.as_bytes() == id) {
            if key.namespaces.contain(namespace) {
                return KeyState::Trusted(&key.secret);
            }
            known = true;
        }
        if known { KeyState::OtherNamespace } else { KeyState::Unknown }
    }
}
