//! What a result object holds: the sealed result, its trees, and where its content lies.
//!
//! ```text
//! "LRES" | version u8 = 1 | 0 u8 [3] | length u32 | zstd of the message below, `length` bytes when decompressed
//! ```
//! The envelope is signed; everything else only says where to look, and what is found there is proven by hashes. So a
//! forged object is at worst a miss.
//!
//! Chunks are told by [`FINGERPRINT`] bytes of their hashes: enough to know in which frame to look, a tenth of the
//! whole. Two chunks with one fingerprint cost a frame that is fetched in vain.

use larder_core::chunk_list::Root;
use larder_core::{Chunk, Digest, DigestFunction, Hash};
use prost::Message;

/// Bytes of a chunk's hash that a result object has.
pub(crate) const FINGERPRINT: usize = 4;
/// No result object is larger, stored or decompressed.
pub(crate) const LARGEST: usize = 64 << 20;

const MAGIC: &[u8; 4] = b"LRES";
const VERSION: u8 = 1;
const HEADER: usize = 12;
/// Bounds for hostile objects.
const MOST_PACKS: usize = 1 << 16;
const MOST_FRAMES: usize = 1 << 20;

/// Bytes of a frame in a pack at most: what the local format allows, with its head and a seal.
const LARGEST_FRAME: u32 = 34 << 20;

/// The message of a result object.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Stored {
    /// The sealed result.
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) envelope: bytes::Bytes,
    /// Encoded `Tree` messages.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(crate) trees: Vec<bytes::Bytes>,
    /// Names of packs, 32 bytes each.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(crate) packs: Vec<Vec<u8>>,
    /// Frames that hold the content, in runs.
    #[prost(message, repeated, tag = "4")]
    pub(crate) runs: Vec<Run>,
    /// Blobs that are not simply the chunk of their own hash.
    #[prost(message, repeated, tag = "5")]
    pub(crate) roots: Vec<RootOf>,
    /// The recipe, for people who look into a bucket.
    #[prost(string, tag = "6")]
    pub(crate) label: String,
}

/// Frames of a pack that follow each other.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Run {
    /// Index of the pack.
    #[prost(uint32, tag = "1")]
    pub(crate) pack: u32,
    /// Offset of the first frame in the pack.
    #[prost(uint64, tag = "2")]
    pub(crate) offset: u64,
    /// Length of each frame.
    #[prost(uint32, repeated, tag = "3")]
    pub(crate) lengths: Vec<u32>,
    /// Number of chunks of each frame.
    #[prost(uint32, repeated, tag = "4")]
    pub(crate) counts: Vec<u32>,
    /// Fingerprints of all chunks, in order.
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) fingerprints: Vec<u8>,
}

/// What a blob is rebuilt from.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RootOf {
    /// Index of the blob among what the result needs.
    #[prost(uint32, tag = "1")]
    pub(crate) blob: u32,
    /// Hash of the chunk, or of the root node of its list.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) hash: Vec<u8>,
    /// Whether it is a list.
    #[prost(bool, tag = "3")]
    pub(crate) list: bool,
}

/// A frame, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FrameRef {
    /// Which pack.
    pub(crate) pack: Hash,
    /// Where in it.
    pub(crate) offset: u64,
    /// How long.
    pub(crate) length: u32,
}

/// The first bytes of a hash.
pub(crate) type Fingerprint = [u8; FINGERPRINT];

/// The fingerprint of a chunk.
pub(crate) fn fingerprint(hash: &Hash) -> Fingerprint {
    *hash.0.first_chunk().expect("a hash has 32 bytes")
}

impl Stored {
    /// The object's bytes.
    pub(crate) fn encode_object(&self) -> std::io::Result<Vec<u8>> {
        let message = self.encode_to_vec();
        let mut out = Vec::with_capacity(message.len() / 2);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[VERSION, 0, 0, 0]);
        let length = u32::try_from(message.len()).ok().filter(|length| *length as usize <= LARGEST);
        let length = length.ok_or_else(|| std::io::Error::other("a result is larger than 64 MiB"))?;
        out.extend_from_slice(&length.to_le_bytes());
        out.extend(zstd::bulk::compress(&message, 3)?);
        Ok(out)
    }

    /// Reads an object; `None` if it is none that this version understands.
    pub(crate) fn decode_object(bytes: &[u8]) -> Option<Self> {
        let (header, body) = bytes.split_first_chunk::<HEADER>()?;
        let [m0, m1, m2, m3, version, 0, 0, 0, length @ ..] = *header else { return None };
        let length = u32::from_le_bytes(length) as usize;
        if [m0, m1, m2, m3] != *MAGIC || version != VERSION || length > LARGEST {
            return None;
        }
        let message = zstd::bulk::decompress(body, length).ok().filter(|message| message.len() == length)?;
        let stored = Self::decode(&message[..]).ok()?;
        stored.is_sound().then_some(stored)
    }

    /// Whether this is a result of a version that is not understood here.
    pub(crate) fn is_foreign(bytes: &[u8]) -> bool {
        bytes.get(..4) == Some(MAGIC) && bytes.get(4).is_some_and(|version| *version != VERSION)
    }

    fn is_sound(&self) -> bool {
        let frames: usize = self.runs.iter().map(|run| run.lengths.len()).sum();
        self.packs.len() <= MOST_PACKS
            && frames <= MOST_FRAMES
            && self.packs.iter().all(|pack| pack.len() == 32)
            && self.roots.iter().all(|root| root.hash.len() == 32)
            && self.runs.iter().all(|run| {
                let chunks: u64 = run.counts.iter().map(|count| u64::from(*count)).sum();
                let bytes: u64 = run.lengths.iter().map(|length| u64::from(*length)).sum();
                (run.pack as usize) < self.packs.len()
                    && run.lengths.iter().all(|length| *length <= LARGEST_FRAME)
                    && run.counts.len() == run.lengths.len()
                    && run.fingerprints.len() as u64 == chunks * FINGERPRINT as u64
                    && run.offset.checked_add(bytes).is_some()
            })
    }

    /// Calls `visit` with every frame and the fingerprints of its chunks, in order.
    pub(crate) fn frames<'a>(&'a self, visit: &mut dyn FnMut(FrameRef, &'a [Fingerprint])) {
        for run in &self.runs {
            let pack = Hash(self.packs[run.pack as usize][..].try_into().expect("judged at decoding"));
            let (mut offset, mut fingerprints) = (run.offset, run.fingerprints.as_chunks::<FINGERPRINT>().0);
            for (length, count) in run.lengths.iter().zip(&run.counts) {
                let (these, rest) = fingerprints.split_at(*count as usize);
                visit(FrameRef { pack, offset, length: *length }, these);
                offset += u64::from(*length);
                fingerprints = rest;
            }
        }
    }

    /// Packs that hold the content.
    pub(crate) fn pack_names(&self) -> Vec<Hash> {
        self.packs.iter().map(|pack| Hash(pack[..].try_into().expect("judged at decoding"))).collect()
    }

    /// What each of `needs` is rebuilt from, in their order.
    pub(crate) fn roots(&self, needs: &[Digest]) -> Vec<Root> {
        let simple = |digest: &Digest| Root::Chunk(Chunk { hash: digest.hash, length: digest.size });
        let mut roots: Vec<Root> = needs.iter().map(simple).collect();
        for root in &self.roots {
            if let Some(at) = roots.get_mut(root.blob as usize)
                && let Ok(hash) = root.hash[..].try_into()
            {
                let chunk = Chunk { hash: Hash(hash), length: at.chunk().length };
                *at = if root.list { Root::List(chunk) } else { Root::Chunk(chunk) };
            }
        }
        roots
    }

    /// Notes what each of `needs` is rebuilt from, where that is not plain.
    pub(crate) fn set_roots(&mut self, needs: &[Digest], roots: &[Option<Root>]) {
        for (at, (digest, root)) in needs.iter().zip(roots).enumerate() {
            let Some(root) = root else { continue };
            let plain = digest.function == DigestFunction::Blake3
                && matches!(root, Root::Chunk(chunk) if chunk.hash == digest.hash);
            if !plain {
                let list = matches!(root, Root::List(_));
                self.roots.push(RootOf { blob: at as u32, hash: root.chunk().hash.0.to_vec(), list });
            }
        }
    }

    /// Adds a frame at the end of the content.
    pub(crate) fn add_frame(
        &mut self,
        frame: &FrameRef,
        fingerprints: impl IntoIterator<Item = Fingerprint>,
    ) {
        let known = self.packs.iter().position(|pack| pack[..] == frame.pack.0);
        let pack = known.unwrap_or_else(|| {
            self.packs.push(frame.pack.0.to_vec());
            self.packs.len() - 1
        }) as u32;
        let follows = self.runs.last().is_some_and(|run| {
            let end = run.offset + run.lengths.iter().map(|length| u64::from(*length)).sum::<u64>();
            run.pack == pack && end == frame.offset
        });
        if !follows {
            self.runs.push(Run { pack, offset: frame.offset, ..Run::default() });
        }
        let run = self.runs.last_mut().expect("pushed just above if there was none");
        let before = run.fingerprints.len();
        fingerprints.into_iter().for_each(|print| run.fingerprints.extend_from_slice(&print));
        run.lengths.push(frame.length);
        run.counts.push(((run.fingerprints.len() - before) / FINGERPRINT) as u32);
    }
}
