//! Proves frames: which of a frame's chunks are not what their hashes say.

use std::io;
use std::os::unix::fs::FileExt;

use larder_core::Hash;
use larder_core::compress::Decompressor;

use super::pack::ChunkRow;
use super::pack::frame::FrameInfo;
use super::pack::set::Pack;

/// Proves frames; its buffers are used again.
#[derive(Default)]
pub(crate) struct Prover {
    decompressor: Decompressor,
    stored: Vec<u8>,
    raw: Vec<u8>,
}

impl Prover {
    /// The rows of one frame that are not what they should be.
    pub(crate) fn frame(
        &mut self,
        pack: &Pack,
        frame: &FrameInfo,
        rows: &[ChunkRow],
    ) -> io::Result<Vec<Hash>> {
        self.stored.resize(frame.stored as usize, 0);
        let read = pack.file().read_exact_at(&mut self.stored, frame.payload).and_then(|()| {
            self.decompressor.decompress(frame.format, &self.stored, frame.raw as usize, &mut self.raw)
        });
        match read {
            Ok(()) => {}
            Err(error)
                if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                return Ok(rows.iter().map(|row| row.hash).collect());
            }
            Err(error) => return Err(error),
        }
        let proven = |row: &&ChunkRow| {
            let bytes = self.raw.get(row.offset as usize..).and_then(|rest| rest.get(..row.length as usize));
            bytes.is_none_or(|bytes| Hash::blake3(bytes) != row.hash)
        };
        Ok(rows.iter().filter(proven).map(|row| row.hash).collect())
    }
}
