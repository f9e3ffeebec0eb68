//! The signed envelope of an action result.
//!
//! ```text
//! offset  length  field
//!      0       4  magic "LRDE"
//!      4       1  version, 1
//!      5       1  algorithm: 0 none, 1 HMAC-SHA256, 2 Ed25519
//!      6       1  length k of the key id, at most 64
//!      7       1  length s of the signature: 0, 32 or 64, as the algorithm says
//!      8       8  time, seconds since 1970, little-endian
//!     16       4  length n of the payload, little-endian, at most 64 MiB
//!     20       k  key id, bytes of `[0-9A-Za-z._-]`
//!   20+k       n  payload
//! 20+k+n       s  signature; nothing follows
//! ```
//!
//! # What is signed
//! `larder-result-v1\0`, then namespace, digest function, action digest, payload, time (8 bytes, little-endian) and
//! key id, each with its length before it (8 bytes, little-endian). Namespace, function and action digest are not in
//! the envelope: whoever looks up knows what was asked for, so an envelope that was moved to another key does not
//! verify. The algorithm is not signed: it belongs to the key, and an envelope that names another one is refused. HMAC
//! and Ed25519 cover the same bytes.
//!
//! # Invariants
//! An envelope is stored, promoted and published as the bytes it was sealed with; nothing serialises it again. Any
//! bytes may be given to [`open`]: it answers with the payload or one typed reason, and allocates nothing but, for a key
//! that is trusted, one copy of what is signed.

use larder_core::{Digest, Error, ErrorKind, Result};
use subtle::ConstantTimeEq;

use crate::trust::{Place, Signer, Trust, TrustedKey, Verifier};

/// The largest payload.
pub const LARGEST_PAYLOAD: usize = 64 << 20;

/// How far the clock of whoever signed may be ahead of ours, in seconds.
pub const CLOCK_TOLERANCE: u64 = 600;

const MAGIC: [u8; 4] = *b"LRDE";
const VERSION: u8 = 1;
const HEADER: usize = 20;
const LONGEST_KEY_ID: usize = 64;
const DOMAIN: &[u8] = b"larder-result-v1\0";

const NONE: u8 = 0;
const HMAC_SHA256: u8 = 1;
const ED25519: u8 = 2;

/// What a result is the result of; part of what is signed, not of the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The digest function's name, as `blake3`.
    pub function: &'a str,
    /// The action digest, as [`digest_bytes`] writes it.
    pub action_digest: &'a [u8],
}

/// The one form of a digest in signatures and in keys of the action cache: the hash, then the size (8 bytes,
/// little-endian).
pub fn digest_bytes(digest: &Digest) -> [u8; 40] {
    let mut bytes = [0; 40];
    bytes[..32].copy_from_slice(&digest.hash.0);
    bytes[32..].copy_from_slice(&digest.size.to_le_bytes());
    bytes
}

/// What an envelope holds, after it was believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened<'a> {
    /// The payload, exactly as it was sealed.
    pub payload: &'a [u8],
    /// When it was sealed. Proven only if `signed_by` is there.
    pub time: u64,
    /// The trusted key that signed it; nothing if it is believed for where it lies.
    pub signed_by: Option<&'a str>,
}

/// Why an envelope is not believed. Each is a miss and, save for the first few that an honest other setup also makes,
/// a reason to warn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// Nobody signed it, and that is not enough here.
    #[error("the result is not signed")]
    Unsigned,
    /// Signed with a key that is not trusted.
    #[error("the result is signed with the unknown key `{key_id}`")]
    UnknownKey {
        /// The key that it names.
        key_id: String,
    },
    /// Signed with a key that is trusted for other namespaces only.
    #[error("the result is signed with the key `{key_id}`, which does not speak for this namespace")]
    OtherNamespace {
        /// The key that it names.
        key_id: String,
    },
    /// The signature does not fit: other bytes, another action, or another secret.
    #[error("the signature of the result by key `{key_id}` is wrong")]
    BadSignature {
        /// The key that it names.
        key_id: String,
    },
    /// Signed before the time from which on results are believed.
    #[error("the result was signed at {time}, before the trusted time {not_before}")]
    BeforeNotBefore {
        /// When it was signed.
        time: u64,
        /// What is believed from.
        not_before: u64,
    },
    /// Signed after the key was retired.
    #[error("the result was signed at {time} with the key `{key_id}`, which is retired since {not_after}")]
    AfterNotAfter {
        /// The key that it names.
        key_id: String,
        /// When it was signed.
        time: u64,
        /// What is believed until.
        not_after: u64,
    },
    /// Signed later than now.
    #[error("the result was signed at {time}, which is in the future")]
    FromTheFuture {
        /// When it says it was signed.
        time: u64,
    },
    /// An envelope of a newer Larder.
    #[error("the envelope has version {version}, and this Larder knows {VERSION}")]
    Version {
        /// The version that it names.
        version: u8,
    },
    /// Not an envelope.
    #[error("the envelope is malformed: {reason}")]
    Malformed {
        /// What is wrong.
        reason: &'static str,
    },
}

impl Rejected {
    /// A short stable name, for counters and events.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::UnknownKey { .. } => "unknown_key",
            Self::OtherNamespace { .. } => "other_namespace",
            Self::BadSignature { .. } => "bad_signature",
            Self::BeforeNotBefore { .. } => "before_not_before",
            Self::AfterNotAfter { .. } => "after_not_after",
            Self::FromTheFuture { .. } => "from_the_future",
            Self::Version { .. } => "version",
            Self::Malformed { .. } => "malformed",
        }
    }
}

/// Seals `payload` as the result of `context`, made at `time` (seconds since 1970).
///
/// # Errors
/// [`ErrorKind::Invalid`] when the payload is larger than [`LARGEST_PAYLOAD`].
pub fn seal(signer: &Signer, context: &Context<'_>, payload: &[u8], time: u64) -> Result<Vec<u8>> {
    let length =
        u32::try_from(payload.len()).ok().filter(|_| payload.len() <= LARGEST_PAYLOAD).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "seal result")
                .with("size", payload.len())
                .with_message(format!("a result has at most {LARGEST_PAYLOAD} bytes"))
        })?;
    let key_id = signer.key_id().unwrap_or_default();
    let signed = Signed { context, payload, time, key_id };
    let (algorithm, signature) = match signer {
        Signer::Unsigned => (NONE, Vec::new()),
        Signer::Hmac(secret) => (HMAC_SHA256, signed.over(|parts| secret.mac(parts)).to_vec()),
        Signer::Ed25519(key) => (ED25519, signed.over(|parts| key.sign(&parts.concat())).to_vec()),
    };
    let mut sealed = Vec::with_capacity(HEADER + key_id.len() + payload.len() + signature.len());
    sealed.extend_from_slice(&MAGIC);
    let key_length = u8::try_from(key_id.len()).expect("a key id has 16 characters");
    let signature_length = u8::try_from(signature.len()).expect("a signature has at most 64 bytes");
    sealed.extend_from_slice(&[VERSION, algorithm, key_length, signature_length]);
    sealed.extend_from_slice(&time.to_le_bytes());
    sealed.extend_from_slice(&length.to_le_bytes());
    sealed.extend_from_slice(key_id.as_bytes());
    sealed.extend_from_slice(payload);
    sealed.extend_from_slice(&signature);
    Ok(sealed)
}

/// Opens an envelope that lies at `place`, as an answer to a look-up of `context` at the time `now`.
///
/// # Errors
/// Why it is not believed; the caller treats that as a miss.
pub fn open<'a>(
    bytes: &'a [u8],
    context: &Context<'_>,
    trust: &Trust,
    place: Place,
    now: u64,
) -> Result<Opened<'a>, Rejected> {
    let parts = parse(bytes)?;
    let anonymous = Opened { payload: parts.payload, time: parts.time, signed_by: None };
    if parts.algorithm == NONE {
        return if trust.believes_unsigned(place) { Ok(anonymous) } else { Err(Rejected::Unsigned) };
    }
    let key_id = || parts.key_id.to_owned();
    let (mut is_known, mut speaks) = (false, false);
    let (mut proven, mut untimely) = (None, None);
    for key in trust.keys().iter().filter(|key| parts.names(&key.verifier)) {
        is_known = true;
        if !key.namespaces.contain(context.namespace) {
            continue;
        }
        speaks = true;
        if proven != Some(&key.verifier) {
            if !parts.fit(&key.verifier, context) {
                continue;
            }
            proven = Some(&key.verifier);
        }
        match in_time(&parts, key, trust, now) {
            Ok(()) => return Ok(Opened { signed_by: Some(parts.key_id), ..anonymous }),
            Err(reason) => untimely = Some(reason),
        }
    }
    match () {
        // A signature that we cannot judge is worth what no signature is worth.
        () if !speaks && trust.believes_unsigned(place) => Ok(anonymous),
        () if !is_known => Err(Rejected::UnknownKey { key_id: key_id() }),
        () if !speaks => Err(Rejected::OtherNamespace { key_id: key_id() }),
        () => Err(untimely.unwrap_or_else(|| Rejected::BadSignature { key_id: key_id() })),
    }
}

/// Whether a good signature by `key` is of a time that is believed.
fn in_time(parts: &Parts<'_>, key: &TrustedKey, trust: &Trust, now: u64) -> Result<(), Rejected> {
    let time = parts.time;
    let not_before = trust.not_before().max(key.not_before);
    if time < not_before {
        return Err(Rejected::BeforeNotBefore { time, not_before });
    }
    if let Some(not_after) = key.not_after.filter(|end| time > *end) {
        return Err(Rejected::AfterNotAfter { key_id: parts.key_id.to_owned(), time, not_after });
    }
    if time > now.saturating_add(CLOCK_TOLERANCE) {
        return Err(Rejected::FromTheFuture { time });
    }
    Ok(())
}

/// The payload of an envelope, believed or not: for those who ask what it reaches, never for an answer to a look-up.
///
/// # Errors
/// `Malformed` or `Version`.
pub fn payload_unjudged(bytes: &[u8]) -> Result<&[u8], Rejected> {
    Ok(parse(bytes)?.payload)
}

/// What a signature covers.
struct Signed<'a> {
    context: &'a Context<'a>,
    payload: &'a [u8],
    time: u64,
    key_id: &'a str,
}

impl Signed<'_> {
    /// Passes it on, in the pieces whose concatenation is signed.
    fn over<T>(&self, then: impl FnOnce(&[&[u8]]) -> T) -> T {
        let time = self.time.to_le_bytes();
        let parts = [
            self.context.namespace.as_bytes(),
            self.context.function.as_bytes(),
            self.context.action_digest,
            self.payload,
            &time,
            self.key_id.as_bytes(),
        ];
        let lengths = parts.map(|part| (part.len() as u64).to_le_bytes());
        let mut signed: Vec<&[u8]> = vec![DOMAIN];
        for (length, part) in lengths.iter().zip(parts) {
            signed.extend([&length[..], part]);
        }
        then(&signed)
    }
}

struct Parts<'a> {
    algorithm: u8,
    time: u64,
    key_id: &'a str,
    payload: &'a [u8],
    signature: &'a [u8],
}

impl Parts<'_> {
    /// Whether this names the key, and the algorithm that belongs to it.
    fn names(&self, verifier: &Verifier) -> bool {
        let algorithm = match verifier {
            Verifier::Hmac(_) => HMAC_SHA256,
            Verifier::Ed25519(_) => ED25519,
        };
        self.algorithm == algorithm && self.key_id == verifier.key_id()
    }

    /// Whether the signature is this key's, of this answer to this question.
    fn fit(&self, verifier: &Verifier, context: &Context<'_>) -> bool {
        let signed = Signed { context, payload: self.payload, time: self.time, key_id: self.key_id };
        match verifier {
            Verifier::Hmac(secret) => signed.over(|parts| secret.mac(parts)).ct_eq(self.signature).into(),
            Verifier::Ed25519(key) => <&[u8; 64]>::try_from(self.signature)
                .is_ok_and(|signature| signed.over(|parts| key.verifies(&parts.concat(), signature))),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Parts<'_>, Rejected> {
    let malformed = |reason| Rejected::Malformed { reason };
    let (header, body) = bytes.split_first_chunk::<HEADER>().ok_or(malformed("it is too short"))?;
    let [m0, m1, m2, m3, version, algorithm, key_length, signature_length, rest @ ..] = *header;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(malformed("the magic bytes are missing"));
    }
    if version != VERSION {
        return Err(Rejected::Version { version });
    }
    let [t0, t1, t2, t3, t4, t5, t6, t7, n0, n1, n2, n3] = rest;
    let time = u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
    let length = usize::try_from(u32::from_le_bytes([n0, n1, n2, n3])).unwrap_or(usize::MAX);
    let (key_length, signature_length) = (usize::from(key_length), usize::from(signature_length));
    let fits = match algorithm {
        NONE => key_length == 0 && signature_length == 0,
        HMAC_SHA256 => key_length > 0 && signature_length == 32,
        ED25519 => key_length > 0 && signature_length == 64,
        _ => return Err(malformed("the algorithm is unknown")),
    };
    if !fits || key_length > LONGEST_KEY_ID {
        return Err(malformed("the lengths do not fit the algorithm"));
    }
    if length > LARGEST_PAYLOAD {
        return Err(malformed("the payload is too large"));
    }
    if body.len() != key_length + length + signature_length {
        return Err(malformed("its length is not what its header says"));
    }
    let (key_id, body) = body.split_at(key_length);
    let (payload, signature) = body.split_at(length);
    let key_id = std::str::from_utf8(key_id)
        .ok()
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)))
        .ok_or(malformed("the key id has forbidden characters"))?;
    Ok(Parts { algorithm, time, key_id, payload, signature })
}
