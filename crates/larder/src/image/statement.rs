//! What is signed of a layer's table: the statement, in an envelope as results have it (`docs/formats/toc.md`, "In the registry").
//!
//! The envelope's payload is the statement in JSON. What is signed beside it is the user's namespace, [`FUNCTION`] in place of a digest function, so that no
//! envelope of a table is ever one of an action's result nor the reverse, and the layer's digest as text in place of the action's, so that one
//! that was moved to another layer does not verify.
//!
//! Whether a table *is* what a statement says is asked of the table ([`Statement::of`] after `LayerToc::verify`), never of annotations.

use std::time::{SystemTime, UNIX_EPOCH};

use larder_core::{Error, ErrorKind};
use larder_oci::OciDigest;
use larder_oci::toc::{self, LayerToc};
use larder_store::envelope::{self, Context, Rejected};
use larder_store::trust::{Place, Signer, Trust};
use serde::{Deserialize, Serialize};

/// The type of the artifact that holds an image's tables.
pub const ARTIFACT: &str = "application/vnd.larder.image.toc.v1";
/// The media type of one table in it.
pub const TABLE: &str = "application/vnd.larder.layer.toc.v1";
/// What stands in the place of a digest function in what is signed.
pub const FUNCTION: &str = "larder-layer-toc-v1";
/// The longest envelope that is read.
pub(super) const LONGEST_ENVELOPE: usize = 4096;

/// What a table is of, and which one it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement {
    /// The layer, as the registry has it.
    pub blob: OciDigest,
    /// Its size.
    pub blob_size: u64,
    /// Its tar stream.
    pub diff_id: OciDigest,
    /// The tar stream's size.
    pub size: u64,
    /// The table's identity, in hexadecimal digits.
    pub identity: String,
    /// The version of the table's format.
    pub format: u16,
    /// The version of the rules by which it was made.
    pub rule: u16,
    /// Bytes of the tar stream after which its spans close.
    pub span: u64,
}

/// What is read of every statement, also of one of a later version.
#[derive(Deserialize)]
struct Versions {
    format: u16,
    rule: u16,
}

/// Why a table that somebody else made is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotUsed {
    /// Nobody who is trusted signed it.
    #[error("{}", untrusted(.0))]
    Untrusted(Rejected),
    /// It was made by a later Larder.
    #[error("a table from the registry has {what} {version}, which is not known")]
    Newer {
        /// What is of that version.
        what: &'static str,
        /// Which.
        version: u16,
    },
    /// It was signed, and it is not what was signed, or not what the layer's table would be.
    #[error("a table from the registry is not used: {why}")]
    Wrong {
        /// What is wrong with it.
        why: String,
    },
}

fn untrusted(why: &Rejected) -> String {
    const NOT: &str = "the registry has a table of this image, which is not used:";
    match why {
        Rejected::Unsigned => format!("{NOT} it is not signed by a key that you trust"),
        Rejected::UnknownKey { key_id } => {
            format!("{NOT} it is signed with the key `{key_id}`, which you do not trust")
        }
        Rejected::OtherNamespace { key_id } => {
            format!("{NOT} it is signed with the key `{key_id}`, which does not speak for this namespace")
        }
        Rejected::BadSignature { key_id } => {
            format!("{NOT} its signature by the key `{key_id}` is wrong")
        }
        other => format!("{NOT} {other}"),
    }
}

impl NotUsed {
    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Untrusted(why) if may_be_overridden(why) => {
                "trust its key with `larder key trust`, or use the table once with `--trust-unsigned-toc`"
            }
            Self::Untrusted(_) | Self::Wrong { .. } => "the layer is indexed instead; push the tables again",
            Self::Newer { .. } => "the layer is indexed instead; a later Larder can use the table",
        }
    }
}

/// Whether `--trust-unsigned-toc` holds for it: what could as well have no signature. A wrong signature of a key that is
/// trusted, or one that is out of its time, says more than none.
pub(super) fn may_be_overridden(why: &Rejected) -> bool {
    matches!(why, Rejected::Unsigned | Rejected::UnknownKey { .. } | Rejected::OtherNamespace { .. })
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Statement {
    /// What is to be said of a table. Its identity is the one that it claims: see `LayerToc::verify`.
    #[must_use]
    pub fn of(table: &LayerToc) -> Self {
        let info = table.info();
        Self {
            blob: info.blob,
            blob_size: info.blob_size,
            diff_id: info.diff_id,
            size: info.size,
            identity: table.identity().to_string(),
            format: toc::FORMAT,
            rule: info.rule,
            span: info.span,
        }
    }

    /// The envelope of this statement.
    pub fn seal(&self, signer: &Signer, namespace: &str) -> Result<Vec<u8>, Error> {
        let blob = self.blob.to_string();
        let payload = serde_json::to_vec(self).map_err(|error| {
            Error::new(ErrorKind::Invalid, "sign a table").with_message(error.to_string())
        })?;
        envelope::seal(signer, &context(namespace, &blob), &payload, now())
    }

    /// Opens an envelope that lies at `place` beside a table of the layer `blob`; the statement, and who signed it.
    ///
    /// # Errors
    /// Why it is not believed, or not understood.
    pub fn open(
        envelope: &[u8],
        blob: &OciDigest,
        namespace: &str,
        trust: &Trust,
        place: Place,
    ) -> Result<(Self, Option<String>), NotUsed> {
        let blob = blob.to_string();
        let opened = envelope::open(envelope, &context(namespace, &blob), trust, place, now())
            .map_err(NotUsed::Untrusted)?;
        Ok((Self::parse(opened.payload)?, opened.signed_by.map(str::to_owned)))
    }

    /// The statement in an envelope, believed or not.
    pub(super) fn unjudged(envelope: &[u8]) -> Result<Self, NotUsed> {
        Self::parse(envelope::payload_unjudged(envelope).map_err(NotUsed::Untrusted)?)
    }

    fn parse(payload: &[u8]) -> Result<Self, NotUsed> {
        let wrong = || NotUsed::Wrong { why: "what was signed of it cannot be read".to_owned() };
        let versions: Versions = serde_json::from_slice(payload).map_err(|_| wrong())?;
        if versions.format != toc::FORMAT {
            return Err(NotUsed::Newer { what: "a format of version", version: versions.format });
        }
        if versions.rule != toc::RULE {
            return Err(NotUsed::Newer { what: "rules of version", version: versions.rule });
        }
        serde_json::from_slice(payload).map_err(|_| wrong())
    }
}

fn context<'a>(namespace: &'a str, blob: &'a str) -> Context<'a> {
    Context { namespace, function: FUNCTION, action_digest: blob.as_bytes() }
}
