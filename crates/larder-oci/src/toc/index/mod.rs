//! A blob → its table, in one pass.
//!
//! ```text
//! caller's thread   read ─► unpack ──────────────────────┐ buffers, spans
//! second thread                                          └► SHA-256 of blob and tar stream, BLAKE3 of spans, entries, table
//! ```
//! Nothing is written to disk, save parts of a large table. Memory: eleven buffers of a quarter MiB, as many pieces of the blob, a frame of each section, and a window of zstd. What comes out depends on
//! the blob and the options alone, never on how it was cut into reads or on the timing of threads.

mod digest;
mod unpack;

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use larder_inflate::SpanRule;

use super::{LayerToc, TocError};
use crate::digest::OciDigest;
use crate::image::SourceError;
use crate::layer::tar::Fault;
use crate::layer::{Compression, DroppedXattr, Limits, TarError};
use digest::Digester;
use unpack::{Found, Unpack};

/// How much is read from the blob at once.
const PIECE: usize = 128 << 10;
/// Room before a piece for what was not consumed of the one before.
const CARRY: usize = 64 << 10;
/// Bytes of the tar stream that are handed on at once.
const ROOM: usize = 256 << 10;
/// What a buffer holds of the tar stream before its own part.
const HISTORY: usize = larder_inflate::WINDOW;
/// How many buffers may wait for the second thread.
const WAITING: usize = 8;

/// What is known of a layer before, and how its table is made.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct IndexOptions {
    /// When spans close.
    pub span: SpanRule,
    /// How much it may hold.
    pub limits: Limits,
    /// The blob's digest and size, which are checked.
    pub blob: Option<(OciDigest, u64)>,
    /// The tar stream's digest, which is checked.
    pub diff_id: Option<OciDigest>,
    /// Files are hashed, too.
    pub file_digests: bool,
}

/// Content that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What was said of it.
    pub said: OciDigest,
    /// What it is.
    pub found: OciDigest,
}

/// A layer that cannot be indexed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The blob cannot be read.
    #[error("the layer cannot be read")]
    Read(#[source] io::Error),
    /// Its gzip stream is broken.
    #[error("the layer's gzip stream is broken")]
    Gzip(#[from] larder_inflate::Error),
    /// Its zstd stream is broken.
    #[error("the layer's zstd stream is broken at byte {at}: {why}")]
    Zstd {
        /// Where in the blob.
        at: u64,
        /// What zstd says.
        why: String,
    },
    /// Its tar stream is broken, or over a limit.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The blob is not what its digest says.
    #[error("the layer has digest `{}`, not `{}` as the manifest says", .0.found, .0.said)]
    Blob(Box<Mismatch>),
    /// The blob is not as long as was said.
    #[error("the layer has {} bytes, not {said} as the manifest says", counted(*found, *said))]
    Size {
        /// What the manifest says.
        said: u64,
        /// What it has; one more than it should have stands for any number more.
        found: u64,
    },
    /// The tar stream is not what its digest says.
    #[error("the layer's tar stream has digest `{}`, not `{}` as the configuration says", .0.found, .0.said)]
    DiffId(Box<Mismatch>),
    /// Many bytes of the blob that nothing comes of: whoever reads what is beside them would have to read them too.
    #[error("the layer has more than 64 MiB that hold nothing, at byte {at}")]
    Nothing {
        /// Where in the blob the span begins that they are of.
        at: u64,
    },
    /// The table cannot be written.
    #[error(transparent)]
    Toc(#[from] TocError),
}

fn counted(found: u64, said: u64) -> String {
    if found > said { "more".to_owned() } else { found.to_string() }
}

impl IndexError {
    /// Whether what was read is not what it should be; else it could not be read, is over a limit, or its table cannot be written.
    #[must_use]
    pub fn is_wrong_content(&self) -> bool {
        match self {
            Self::Read(error) => error
                .get_ref()
                .and_then(|error| error.downcast_ref::<SourceError>())
                .is_some_and(SourceError::is_wrong_content),
            Self::Tar(error) => !error.fault.is_limit(),
            Self::Gzip(_) | Self::Zstd { .. } | Self::Blob(_) | Self::Size { .. } | Self::DiffId(_) => true,
            Self::Nothing { .. } | Self::Toc(_) => false,
        }
    }

    /// Whether another place may have it right: not where the blob is what its digest says.
    #[must_use]
    pub fn may_be_right_elsewhere(&self) -> bool {
        self.is_wrong_content() && !matches!(self, Self::DiffId(_))
    }

    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> &str {
        match self {
            Self::Read(error) => {
                // A registry's own hint is better: it knows what went wrong.
                let source = error.get_ref().and_then(|error| error.downcast_ref::<SourceError>());
                match source {
                    Some(SourceError::Registry(error)) => error.hint(),
                    _ => "see that the registry can be reached, or the file be read",
                }
            }
            Self::Tar(error) => error.fault.hint(),
            Self::Nothing { .. } => Fault::TooMuchBeside.hint(),
            Self::Toc(error) => error.hint(),
            _ => "no tool could use this layer: push or pull the image again",
        }
    }
}

/// A table, with what was noticed.
#[derive(Debug)]
pub struct Indexed {
    /// The table.
    pub toc: LayerToc,
    /// Attributes that were dropped, a hundred at most.
    pub dropped: Vec<DroppedXattr>,
    /// Digests of its files, if they were asked for: [`FileDigests`](super::FileDigests).
    pub file_digests: Option<tempfile::SpooledTempFile>,
}

/// What goes from thread to thread.
#[derive(Default)]
struct Part {
    /// Bytes of the blob, behind [`CARRY`] bytes that are not.
    packed: Option<Vec<u8>>,
    /// History, then bytes of the tar stream; where those begin and end.
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    /// Spans that are whole now.
    found: Vec<Found>,
}

/// Makes the table of the layer that `reader` gives.
///
/// `progress` is told after each piece how many bytes of the blob were read.
///
/// # Errors
/// When the blob cannot be read, is broken, is over a limit, or is not what `options` say it is.
pub fn index_layer(
    mut reader: impl Read,
    options: &IndexOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<Indexed, IndexError> {
    std::thread::scope(|scope| {
        let (parts, received) = sync_channel::<Part>(WAITING);
        let (give_back, recycled) = sync_channel(WAITING + 2);
        let (give_back_packed, recycled_packed) = sync_channel(WAITING + 2);
        let second = scope.spawn(move || take_in(&received, &give_back, &give_back_packed, options));
        let recycled = Recycled { buffers: recycled, pieces: recycled_packed };
        let first = hand_out(&mut reader, &parts, &recycled, options, progress);
        drop(parts);
        let second = second.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // The second thread's error comes first: the first one stops when nobody listens.
        let (digester, last) = second?;
        let (compression, size) = first?;
        digester.finish(compression, size, &last, options)
    })
}

fn take_in(
    received: &Receiver<Part>,
    give_back: &SyncSender<Vec<u8>>,
    give_back_packed: &SyncSender<Vec<u8>>,
    options: &IndexOptions,
) -> Result<(Digester, Part), IndexError> {
    let mut digester = Digester::new(options);
    // The end of the stream is hashed when it is known to be the end.
    let mut last = Part::default();
    for mut part in received {
        digester.take(&part)?;
        // Nobody waits for more than there is room for.
        if let Some(packed) = part.packed.take() {
            let _ = give_back_packed.try_send(packed);
        }
        let before = std::mem::replace(&mut last, part);
        let _ = give_back.try_send(before.buffer);
    }
    Ok((digester, last))
}

/// Memory that the second thread is done with.
struct Recycled {
    buffers: Receiver<Vec<u8>>,
    pieces: Receiver<Vec<u8>>,
}

/// Reads and unpacks; the compression, and how many bytes the blob has.
fn hand_out(
    reader: &mut impl Read,
    parts: &SyncSender<Part>,
    recycled: &Recycled,
    options: &IndexOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<(Compression, u64), IndexError> {
    let mut piece = read_piece(reader, Vec::new(), &[])?;
    let mut size = (piece.len() - CARRY) as u64;
    let compression = Compression::of(&piece[CARRY..]);
    let mut unpack = Unpack::new(compression, options.span)?;
    let mut history: Vec<u8> = Vec::new();
    let mut carried: Vec<u8> = Vec::new();
    loop {
        let is_last = piece.len() == CARRY;
        progress(size);
        let mut at = CARRY - carried.len();
        loop {
            let mut buffer = recycled.buffers.try_recv().unwrap_or_default();
            buffer.resize(HISTORY + ROOM, 0);
            let from = history.len();
            buffer[..from].copy_from_slice(&history);
            let step = unpack.step(&piece[at..], is_last, &mut buffer, from)?;
            at += step.consumed;
            let to = from + step.produced;
            history.clear();
            history.extend_from_slice(&buffer[to.saturating_sub(HISTORY)..to]);
            let found = unpack.take_found();
            let packed = step.wants_input.then(|| {
                carried.clear();
                carried.extend_from_slice(&piece[at..]);
                std::mem::take(&mut piece)
            });
            if parts.send(Part { packed, buffer, from, to, found }).is_err() {
                // The second thread has failed, and says why.
                return Ok((compression, size));
            }
            if step.wants_input {
                break;
            }
        }
        if is_last {
            return Ok((compression, size));
        }
        if carried.len() > CARRY {
            return Err(IndexError::Read(io::Error::other("a header is longer than is read")));
        }
        piece = read_piece(reader, recycled.pieces.try_recv().unwrap_or_default(), &carried)?;
        size += (piece.len() - CARRY) as u64;
    }
}

/// The next bytes of the blob behind [`CARRY`] bytes, the last of which are `carried`, in the memory of an old `piece`. None: the end.
fn read_piece(reader: &mut impl Read, mut piece: Vec<u8>, carried: &[u8]) -> Result<Vec<u8>, IndexError> {
    piece.resize(CARRY + PIECE, 0);
    piece[CARRY - carried.len()..CARRY].copy_from_slice(carried);
    let mut length = CARRY;
    while length < piece.len() {
        match reader.read(&mut piece[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(IndexError::Read(error)),
        }
    }
    piece.truncate(length);
    Ok(piece)
}
