//! Who signs results, and whose results are believed.
//!
//! [`SigningConfig`] is what a person set up; [`SigningConfig::resolve`] makes of it a [`Signer`] (what results made
//! here carry) and a [`Trust`] (what is believed at every look-up). All are values: nothing here reads the
//! environment, a file or the clock. [`secret`] is HMAC, [`ed25519`] is what its name says.
//!
//! # Rules
//! What is believed depends on three things: the policy that follows from the configuration ([`Policy`]), where the
//! envelope lies ([`Place`]), and what its signature proves. `docs/design/0003-trust.md` has the whole truth table,
//! and `tests/trust.rs` tests it row by row. In short:
//! 1. With a key or secret, only results signed by a trusted key are believed, wherever they lie.
//! 2. Without one, what this user made on this machine is believed because the store is this user's own; nothing that
//!    came from elsewhere is.
//! 3. `signing: off` believes unsigned results from everywhere, but only where the user's own trust file permits it,
//!    and what it let in stays marked as promoted: rule 2 does not believe it afterwards.
//! 4. A signature that is wrong is never believed, under no policy.
//! 5. A key is believed for its namespaces and within its time. Several entries for one key are alternatives.
//!
//! # Not promised
//! An HMAC secret is shared: whoever can verify can sign. Only Ed25519 tells those apart. The time in an envelope is
//! what the signer said: a key's end keeps honest signers in order, and no thief (who must be untrusted).

pub mod ed25519;
pub mod secret;

use crate::local::index::Origin;

pub use ed25519::{PublicKey, SecretKey};
use secret::HOW_TO_MAKE_ONE;
pub use secret::{RECOMMENDED_SECRET, SHORTEST_SECRET, Secret};

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
    /// What is signed here will not be believed here.
    #[error("what is built here is signed with the key `{key_id}` and not believed: {why}")]
    OwnKeyRefused {
        /// The key that signs.
        key_id: String,
        /// Why its signatures are refused.
        why: &'static str,
    },
}

impl SigningWarning {
    /// What a person can do about it, if that is not in the warning itself.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::ShortSecret { .. } => None,
            Self::OffNotPermitted => Some("name the project under `permit-signing-off` in your `trust.yml`"),
            Self::OwnKeyRefused { .. } => Some("`larder key list` shows whom you trust, and for what"),
        }
    }
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
    pub(crate) fn contain(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|name| name == namespace),
        }
    }
}

/// What a signature is checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verifier {
    /// A shared secret.
    Hmac(Secret),
    /// A public key.
    Ed25519(PublicKey),
}

impl Verifier {
    /// The id that envelopes name it by.
    #[must_use]
    pub fn key_id(&self) -> &str {
        match self {
            Self::Hmac(secret) => secret.key_id(),
            Self::Ed25519(key) => key.key_id(),
        }
    }
}

/// A key that is believed, for what, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// What its signatures are checked with.
    pub verifier: Verifier,
    /// The namespaces that it speaks for.
    pub namespaces: Namespaces,
    /// What it signed before this time (seconds since 1970) is not believed.
    pub not_before: u64,
    /// What it signed after this time is not believed: it is retired.
    pub not_after: Option<u64>,
}

impl TrustedKey {
    /// A key that is believed for all namespaces and always.
    #[must_use]
    pub fn new(verifier: Verifier) -> Self {
        Self { verifier, namespaces: Namespaces::All, not_before: 0, not_after: None }
    }
}

/// How signing was set up, from the user's own configuration and the project's wish.
#[derive(Debug, Clone, Default)]
pub struct SigningConfig {
    /// The secret that results are signed with unless there is a key; it is also believed for all namespaces.
    pub secret: Option<Secret>,
    /// The key that results are signed with. It is also believed, for all namespaces, unless `trusted` names it: then as
    /// it is named there.
    pub key: Option<SecretKey>,
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
        let own = self.secret.iter().cloned().map(Verifier::Hmac);
        let own = own.chain(self.key.iter().map(|key| Verifier::Ed25519(key.public().clone())));
        let mut keys = self.trusted;
        for verifier in own {
            if !keys.iter().any(|known| known.verifier == verifier) {
                keys.push(TrustedKey::new(verifier));
            }
        }
        let signer = match (self.key, self.secret) {
            (Some(key), _) => Signer::Ed25519(key),
            (None, Some(secret)) => Signer::Hmac(secret),
            (None, None) => Signer::Unsigned,
        };
        let policy = match () {
            () if self.off && self.off_permitted => Policy::Off,
            () if keys.is_empty() => Policy::OwnOnly,
            () if !signer.signs() => Policy::VerifyOnly,
            () => Policy::Required,
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
    /// A key of one's own.
    Ed25519(SecretKey),
}

impl Signer {
    /// Whether what it seals may be published where signatures are required.
    pub fn signs(&self) -> bool {
        self.key_id().is_some()
    }

    /// The key that envelopes will name.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        match self {
            Self::Unsigned => None,
            Self::Hmac(secret) => Some(secret.key_id()),
            Self::Ed25519(key) => Some(key.key_id()),
        }
    }

    fn verifier(&self) -> Option<Verifier> {
        match self {
            Self::Unsigned => None,
            Self::Hmac(secret) => Some(Verifier::Hmac(secret.clone())),
            Self::Ed25519(key) => Some(Verifier::Ed25519(key.public().clone())),
        }
    }
}

/// What is believed when a signature does not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Keys are set up: nothing is believed that none of them signed.
    Required,
    /// Keys are trusted and none signs here: what was made here is believed as if there were no keys, and nothing else that
    /// none of them signed.
    VerifyOnly,
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
            Policy::OwnOnly | Policy::VerifyOnly => place == Place::Built,
            Policy::Off => true,
        }
    }

    /// The keys that are believed.
    #[must_use]
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    /// What to tell the user of `signer` if what it signs now in `namespace` is not believed here.
    #[must_use]
    pub fn warns_of(&self, signer: &Signer, namespace: &str, now: u64) -> Option<SigningWarning> {
        let verifier = signer.verifier()?;
        let mut entries = self.keys.iter().filter(|key| key.verifier == verifier).peekable();
        entries.peek()?;
        if self.policy == Policy::Off && !entries.clone().any(|entry| entry.namespaces.contain(namespace)) {
            return None;
        }
        let mut why = "it does not speak for this namespace";
        for entry in entries.filter(|entry| entry.namespaces.contain(namespace)) {
            why = match () {
                () if now < self.not_before || now < entry.not_before => "its time has not begun",
                () if entry.not_after.is_some_and(|end| now > end) => "it is retired",
                () => return None,
            };
        }
        Some(SigningWarning::OwnKeyRefused { key_id: verifier.key_id().to_owned(), why })
    }
}
