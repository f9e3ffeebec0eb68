//! Between Larder's [`Digest`] and the REAPI message of that name.

use larder_core::{Digest, DigestFunction, Hash};
use larder_reapi::Message;

/// The message for `digest`. REAPI's message does not carry the function: it is known from the context.
///
/// # Panics
/// Never for content that exists: sizes are below 2^63.
#[must_use]
pub fn to_message(digest: &Digest) -> larder_reapi::Digest {
    larder_reapi::Digest {
        hash: digest.hash.to_hex(),
        size_bytes: i64::try_from(digest.size).expect("no content has 2^63 bytes"),
    }
}

/// The digest that a message names; `None` if it is malformed.
#[must_use]
pub fn from_message(function: DigestFunction, message: &larder_reapi::Digest) -> Option<Digest> {
    Some(Digest {
        function,
        hash: Hash::from_hex(&message.hash)?,
        size: u64::try_from(message.size_bytes).ok()?,
    })
}

/// Encoded bytes of a message and their digest.
#[must_use]
pub fn encode(function: DigestFunction, message: &impl Message) -> (Digest, Vec<u8>) {
    let bytes = message.encode_to_vec();
    (function.digest(&bytes), bytes)
}
