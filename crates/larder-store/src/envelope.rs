//! The signed envelope of an action result.
//!
//! ```text
//! offset  length  field
//!      0       4  magic "LRDE"
//!      4       1  version, 1
//!      5       1  algorithm: 0 none, 1 HMAC-SHA256, 2 Ed25519 (reserved)
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
//! verify. The algorithm is not signed: it belongs to the key, and an envelope that names another one is refused.
//!
//! # Invariants
//! An envelope is stored, promoted and published as the bytes it was sealed with; nothing serialises it again. Any
//! bytes may be given to [`open`]: it allocates nothing, and answers with the payload or one typed reason.

use larder_core::{Digest, Error, ErrorKind, Result};
use subtle::ConstantTimeEq;

use crate::trust::{KeyState, Place, Secret, Signer, Trust};

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
    let (algorithm, key_id, signature) = match signer {
        Signer::Unsigned => (NONE, "", None),
        Signer::Hmac(secret) => {
            let signature = sign(secret, context, payload, time, secret.key_id().as_bytes());
            (HMAC_SHA256, secret.key_id(), Some(signature))
        }
    };
    let signature = signature.as_ref().map_or(&[][..], |bytes| &bytes[..]);
    let mut sealed = Vec::with_capacity(HEADER + key_id.len() + payload.len() + signature.len());
    sealed.extend_from_slice(&MAGIC);
    let key_length = u8::try_from(key_id.len()).expect("a key id has 16 characters");
    let signature_length = u8::try_from(signature.len()).expect("a signature has at most 64 bytes");
    sealed.extend_from_slice(&[VERSION, algorithm, key_length, signature_length]);
    sealed.extend_from_slice(&time.to_le_bytes());
    sealed.extend_from_slice(&length.to_le_bytes());
    sealed.extend_from_slice(key_id.as_bytes());
    sealed.extend_from_slice(payload);
    sealed.extend_from_slice(signature);
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
    let secret = match trust.key(parts.key_id.as_bytes(), context.namespace) {
        KeyState::Trusted(secret) if parts.algorithm == HMAC_SHA256 => secret,
        // A signature that we cannot judge is worth what no signature is worth.
        _ if trust.believes_unsigned(place) => return Ok(anonymous),
        KeyState::OtherNamespace => return Err(Rejected::OtherNamespace { key_id: key_id() }),
        KeyState::Trusted(_) | KeyState::Unknown => return Err(Rejected::UnknownKey { key_id: key_id() }),
    };
    let right = sign(secret, context, parts.payload, parts.time, parts.key_id.as_bytes());
    if !bool::from(right.ct_eq(parts.signature)) {
        return Err(Rejected::BadSignature { key_id: key_id() });
    }
    if parts.time < trust.not_before() {
        return Err(Rejected::BeforeNotBefore { time: parts.time, not_before: trust.not_before() });
    }
    if parts.time > now.saturating_add(CLOCK_TOLERANCE) {
        return Err(Rejected::FromTheFuture { time: parts.time });
    }
    Ok(Opened { signed_by: Some(parts.key_id), ..anonymous })
}

/// The payload of an envelope, believed or not: for those who ask what it reaches, never for an answer to a look-up.
///
/// # Errors
/// `Malformed` or `Version`.
pub fn payload_unjudged(bytes: &[u8]) -> Result<&[u8], Rejected> {
    Ok(parse(bytes)?.payload)
}

fn sign(secret: &Secret, context: &Context<'_>, payload: &[u8], time: u64, key_id: &[u8]) -> [u8; 32] {
    let time = time.to_le_bytes();
    let parts = [
        context.namespace.as_bytes(),
        context.function.as_bytes(),
        context.action_digest,
        payload,
        &time,
        key_id,
    ];
    let lengths = parts.map(|part| (part.len() as u64).to_le_bytes());
    let mut signed: Vec<&[u8]> = vec![DOMAIN];
    for (length, part) in lengths.iter().zip(parts) {
        signed.extend([&length[..], part]);
    }
    secret.mac(&signed)
}

struct Parts<'a> {
    algorithm: u8,
    time: u64,
    key_id: &'a str,
    payload: &'a [u8],
    signature: &'a [u8],
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
