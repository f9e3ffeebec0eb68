//! What Larder adds to a result on a server: the sealed envelope, which alone is trusted, and where to find the rest.
//!
//! ```text
//! Any { type_url: TYPE_URL, value: Sealed }
//! Sealed  1 length of Carried   2 Carried, one zstd frame   3 or: the digest of a blob that is this frame
//! Carried 1 the envelope   2 the messages that the result names, in order   3 addresses, 32 bytes each
//! ```
//! Addresses are there when the server names content by another function than the result does: one for each of the
//! result's needs, in the order of [`larder_store::action::needs`]. Hostile: what does not decode, or is larger than it
//! may be, is nothing.

use bazel_remote_apis::build::bazel::remote::execution::v2 as api;
use bazel_remote_apis::google::protobuf::Any;
use bytes::Bytes;
use larder_core::{Digest, DigestFunction, Error, ErrorKind, Hash, Result};
use prost::Message;

use super::errors::{NAME, corrupt};

/// The name of [`Sealed`].
pub(crate) const TYPE_URL: &str = "type.googleapis.com/larder.v1.SealedResult";
/// A frame of more bytes is a blob of its own.
const INLINE: usize = 1 << 20;
/// The most that is carried.
const LARGEST: usize = 64 << 20;
const LEVEL: i32 = 3;

#[derive(Clone, PartialEq, Message)]
struct Sealed {
    #[prost(uint64, tag = "1")]
    length: u64,
    #[prost(bytes = "bytes", tag = "2")]
    frame: Bytes,
    #[prost(message, optional, tag = "3")]
    blob: Option<api::Digest>,
}

/// What is carried.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Carried {
    /// The sealed result.
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) envelope: Bytes,
    /// Its `Tree` messages.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(crate) trees: Vec<Bytes>,
    #[prost(bytes = "bytes", tag = "3")]
    addresses: Bytes,
}

/// [`Carried`], before it is read.
pub(crate) enum Wrapped {
    Inline {
        length: u64,
        frame: Bytes,
    },
    /// The frame is this blob.
    Blob {
        length: u64,
        digest: api::Digest,
    },
}

impl Carried {
    pub(crate) fn new(envelope: &Bytes, trees: &[Bytes], addresses: Option<&[Digest]>) -> Self {
        let addresses = addresses.unwrap_or_default().iter().flat_map(|digest| digest.hash.0);
        Self { envelope: envelope.clone(), trees: trees.to_vec(), addresses: addresses.collect() }
    }

    /// Where each of `needs` is, on a server that names content by `function`.
    ///
    /// # Errors
    /// `Corrupt` if there are not as many addresses.
    pub(crate) fn addresses(&self, needs: &[Digest], function: DigestFunction) -> Result<Vec<Digest>> {
        if self.addresses.is_empty() && needs.iter().all(|need| need.function == function) {
            return Ok(needs.to_vec());
        }
        let (hashes, rest) = self.addresses.as_chunks::<32>();
        if hashes.len() != needs.len() || !rest.is_empty() {
            return Err(corrupt("it does not say where its content is"));
        }
        let address =
            |(need, hash): (&Digest, &[u8; 32])| Digest { function, hash: Hash(*hash), size: need.size };
        Ok(needs.iter().zip(hashes).map(address).collect())
    }

    /// As metadata of a result, and the blob that goes with it.
    ///
    /// # Errors
    /// `Invalid` when it is too large.
    pub(crate) fn wrap(&self, function: DigestFunction) -> Result<(Any, Option<(Digest, Bytes)>)> {
        let bytes = self.encode_to_vec();
        if bytes.len() > LARGEST {
            return Err(Error::new(ErrorKind::Invalid, "publish a result")
                .with("tier", NAME)
                .with_message(format!("its trees have more than {LARGEST} bytes")));
        }
        let frame = zstd::bulk::compress(&bytes, LEVEL).map_err(|error| Error::from_io(error, "compress"))?;
        let (frame, length) = (Bytes::from(frame), bytes.len() as u64);
        let (sealed, blob) = if frame.len() <= INLINE {
            (Sealed { length, frame, blob: None }, None)
        } else {
            let digest = function.digest(&frame);
            let blob = Some(super::blobs::message(&digest));
            (Sealed { length, frame: Bytes::new(), blob }, Some((digest, frame)))
        };
        Ok((Any { type_url: TYPE_URL.to_owned(), value: sealed.encode_to_vec() }, blob))
    }

    /// What a result carries; nothing if it is not one of Larder's.
    pub(crate) fn find(result: &api::ActionResult) -> Option<Wrapped> {
        let metadata = result.execution_metadata.as_ref()?;
        let any = metadata.auxiliary_metadata.iter().rev().find(|any| any.type_url == TYPE_URL)?;
        let Sealed { length, frame, blob } = Sealed::decode(&any.value[..]).ok()?;
        Some(match blob {
            None => Wrapped::Inline { length, frame },
            Some(digest) => Wrapped::Blob { length, digest },
        })
    }

    /// Reads a frame of `length` bytes.
    pub(crate) fn read(length: u64, frame: &[u8]) -> Result<Self> {
        let malformed = || corrupt("what Larder added to it does not decode");
        let length =
            usize::try_from(length).ok().filter(|length| *length <= LARGEST).ok_or_else(malformed)?;
        let bytes = zstd::bulk::decompress(frame, length).map_err(|error| malformed().caused_by(error))?;
        Self::decode(Bytes::from(bytes)).map_err(|error| malformed().caused_by(error))
    }

    /// The most that the blob of a frame can have.
    pub(crate) fn largest_blob() -> u64 {
        zstd::zstd_safe::compress_bound(LARGEST) as u64
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn result(any: Any) -> api::ActionResult {
        let metadata = api::ExecutedActionMetadata { auxiliary_metadata: vec![any], ..Default::default() };
        api::ActionResult { execution_metadata: Some(metadata), ..Default::default() }
    }

    fn unwrap(any: Any) -> (u64, Bytes) {
        match Carried::find(&result(any)).unwrap() {
            Wrapped::Inline { length, frame } => (length, frame),
            Wrapped::Blob { .. } => panic!("small enough to be inline"),
        }
    }

    #[test]
    fn it_comes_back_and_a_large_one_is_a_blob() {
        let needs = [Digest::blake3(b"a"), Digest::blake3(b"bb")];
        let addresses = needs.map(|need| Digest { function: DigestFunction::Sha256, ..need });
        let carried = Carried::new(&Bytes::from_static(b"sealed"), &[], Some(&addresses));
        let (any, blob) = carried.wrap(DigestFunction::Sha256).unwrap();
        assert!(blob.is_none());
        let (length, frame) = unwrap(any);
        let back = Carried::read(length, &frame).unwrap();
        assert_eq!(back, carried);
        assert_eq!(back.addresses(&needs, DigestFunction::Sha256).unwrap(), addresses);
        assert!(back.addresses(&needs[..1], DigestFunction::Sha256).is_err());

        let mut state = blake3::Hasher::new().finalize_xof();
        let mut noise = vec![0; 2 << 20];
        state.fill(&mut noise);
        let (_, blob) = Carried::new(&noise.into(), &[], None).wrap(DigestFunction::Blake3).unwrap();
        let (digest, frame) = blob.unwrap();
        assert_eq!(digest, Digest::blake3(&frame));
    }

    #[test]
    fn without_addresses_content_is_found_only_under_its_own_names() {
        let carried = Carried::new(&Bytes::new(), &[], None);
        let needs = [Digest::blake3(b"a")];
        assert_eq!(carried.addresses(&needs, DigestFunction::Blake3).unwrap(), needs);
        assert_eq!(carried.addresses(&needs, DigestFunction::Sha256).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn hostile_bytes_are_one_error() {
        let zeros = zstd::bulk::compress(&vec![0; 1 << 20], 3).unwrap();
        for (length, frame) in [
            (u64::MAX, &zeros[..]),
            (LARGEST as u64 + 1, &zeros),
            (10, &zeros),
            (10, b"no frame"),
            (1 << 20, &zeros),
        ] {
            assert_eq!(Carried::read(length, frame).unwrap_err().kind(), ErrorKind::Corrupt);
        }
        assert!(Carried::find(&api::ActionResult::default()).is_none());
        let any = Any { type_url: TYPE_URL.into(), value: vec![0xFF; 9] };
        assert!(Carried::find(&result(any)).is_none());
        let other = Any { type_url: "type.googleapis.com/other".into(), value: Vec::new() };
        assert!(Carried::find(&result(other)).is_none());
    }
}
