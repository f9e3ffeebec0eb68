//! Keys and trust: from what the user set up to a [`SigningConfig`].
//!
//! | module | what |
//! |---|---|
//! | [`folder`] | the configuration folder: where it may lie, who may write to it; key files |
//! | [`trust_file`] | `trust.yml`: read, and changed without losing comments |
//! | [`time`] | times as people write them |
//!
//! ```text
//! ~/.config/larder/          LARDER_CONFIG
//!   trust.yml                keys → namespaces, times; projects that may say `signing: off`
//!   keys/NAME.key            secret, mode 0600          LARDER_SIGNING_KEY: its path, or its text
//!   keys/NAME.pub            public
//! ```
//!
//! # Invariants
//! 1. Nothing that decides trust comes from the project or the store: a configuration folder, a key file or a file of a
//!    secret that lies in either of them is refused, links resolved.
//! 2. What others may write to decides nothing; what others may read is no secret. Both are errors, not warnings.
//! 3. Every error here is [`ErrorKind::Invalid`]: for the user to mend, before anything runs.
//! 4. Nothing here reads the environment or the clock. Values of variables are passed in, and never in messages.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use larder_core::{Error, ErrorKind, Result};
use larder_store::trust::ed25519::{PUBLIC_PREFIX, SECRET_PREFIX};
use larder_store::trust::{Secret, SecretKey, SigningConfig, TrustedKey, Verifier};
use zeroize::Zeroizing;

pub mod folder;
pub mod time;
pub mod trust_file;

use folder::{KeyFolder, Places};
use trust_file::{Entry, Key};

/// What the caller knows of keys. Prints without them.
#[derive(Clone, Default)]
pub struct KeySources {
    /// The shared secret (`LARDER_CACHE_SECRET`).
    pub secret: Option<Zeroizing<Vec<u8>>>,
    /// The key that signs: the path of its file, or its text (`LARDER_SIGNING_KEY`). Empty counts as none: that is what
    /// CI gives to those who may not have it.
    pub signing_key: Option<Zeroizing<Vec<u8>>>,
    /// What tiers are encrypted with that say `encryption: true` (`LARDER_TIER_KEY`).
    pub tier_key: Option<Zeroizing<Vec<u8>>>,
    /// The user's configuration folder.
    pub folder: Option<PathBuf>,
    /// It was named (`LARDER_CONFIG`), so that it must be there.
    pub folder_is_named: bool,
}

impl fmt::Debug for KeySources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |value: &Option<Zeroizing<Vec<u8>>>| value.as_ref().map(|_| "[redacted]");
        f.debug_struct("KeySources")
            .field("secret", &hidden(&self.secret))
            .field("signing_key", &hidden(&self.signing_key))
            .field("tier_key", &hidden(&self.tier_key))
            .field("folder", &self.folder)
            .field("folder_is_named", &self.folder_is_named)
            .finish()
    }
}

/// An error that the user mends.
fn invalid(operation: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Invalid, operation).with_message(message)
}

/// The same error, as the user's to mend, whatever its kind was.
fn mended_by_user(operation: &'static str, path: &Path, error: impl std::error::Error) -> Error {
    invalid(operation, error.to_string()).with("path", path.display())
}

impl KeySources {
    /// The configuration folder; `None` if there is none, which is fine unless it was named.
    ///
    /// # Errors
    /// When it lies where it must not, or others may write to it.
    pub fn folder(&self, places: &Places<'_>) -> Result<Option<KeyFolder>> {
        let Some(path) = &self.folder else { return Ok(None) };
        let found = KeyFolder::open(path, self.folder_is_named, places)?;
        if found.is_none() && self.folder_is_named {
            return Err(invalid("use the configuration folder", "there is no such folder")
                .with("path", path.display())
                .with_hint("LARDER_CONFIG names it; `larder key generate` makes it"));
        }
        Ok(found)
    }

    /// The key that signs, if one is set. `around`: what a path is relative to.
    ///
    /// # Errors
    /// When it is no key, or its file cannot be used.
    pub fn signing_key(&self, around: &Path, places: &Places<'_>) -> Result<Option<SecretKey>> {
        const USE: &str = "use LARDER_SIGNING_KEY";
        let Some(value) = self.signing_key.as_ref().filter(|value| !value.trim_ascii().is_empty()) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(value).unwrap_or_default().trim_start();
        // What begins as a key is one: its text must not be taken for a path, and shown.
        if text.starts_with(SECRET_PREFIX) || text.starts_with(PUBLIC_PREFIX) || text.starts_with('#') {
            return SecretKey::parse(text).map(Some).map_err(|error| error.during(USE));
        }
        let path = around.join(OsStr::from_bytes(value));
        if !path.exists() {
            return Err(invalid(USE, "it is no key, and no file of that name is there")
                .with_hint(format!("it is the path of a key file, or the text of one: `{SECRET_PREFIX}…`")));
        }
        let bytes = folder::read_secret(&path, places).map_err(|error| error.during(USE))?;
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        SecretKey::parse(text).map(Some).map_err(|error| error.during(USE).with("path", path.display()))
    }

    /// What results are signed with and whose are believed. `off`: the project says `signing: off`.
    ///
    /// # Errors
    /// For a secret that is too short, a key or trust file that cannot be used.
    pub fn signing(&self, around: &Path, places: &Places<'_>, off: bool) -> Result<SigningConfig> {
        let secret = self.secret.as_ref().map(|secret| Secret::new(secret.to_vec())).transpose()?;
        let mut config = SigningConfig { secret, off, ..SigningConfig::default() };
        config.key = self.signing_key(around, places)?;
        let Some(folder) = self.folder(places)? else { return Ok(config) };
        let trust = folder.trust()?;
        config.not_before = trust.not_before;
        config.off_permitted = places.project.is_some_and(|project| trust.permits_off(project));
        config.trusted =
            trust.keys.into_iter().map(|entry| trusted(&folder, entry, places)).collect::<Result<_>>()?;
        Ok(config)
    }
}

fn trusted(folder: &KeyFolder, entry: Entry, places: &Places<'_>) -> Result<TrustedKey> {
    let verifier = match entry.key {
        Key::Public(key) => Verifier::Ed25519(key),
        Key::SecretFile(path) => {
            let path = folder.path().join(path);
            let bytes = folder::read_secret(&path, places)?;
            let secret = folder::without_newline(&bytes);
            Verifier::Hmac(Secret::new(secret).map_err(|error| error.with("path", path.display()))?)
        }
    };
    let Entry { namespaces, not_before, not_after, .. } = entry;
    Ok(TrustedKey { verifier, namespaces, not_before, not_after })
}
