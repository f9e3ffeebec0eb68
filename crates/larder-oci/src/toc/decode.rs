//! One span → its bytes of the tar stream, verified.

use std::io::Read;
use std::ops::Range;

use super::{LayerToc, Start, TocError};
use crate::layer::Compression;

/// A span that is not what the table says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The table itself cannot be read.
    #[error(transparent)]
    Toc(#[from] TocError),
    /// The compressed bytes cannot be decoded.
    #[error("span {span} of the layer cannot be decoded: {why}")]
    Stream {
        /// Which.
        span: usize,
        /// What the decoder says.
        why: String,
    },
    /// They were decoded, and are not what the table says.
    #[error("span {span} of the layer is not what its digest says")]
    Corrupt {
        /// Which.
        span: usize,
    },
}

impl LayerToc {
    /// Decodes a span and all before it that it needs ([`LayerToc::run_of`]), and checks each of them.
    ///
    /// `packed` are the bytes of the blob that [`LayerToc::packed_bytes_of`] says. The spans come in order.
    ///
    /// # Errors
    /// [`DecodeError::Corrupt`] when one is not what its digest says; what was checked before it is given to nobody.
    pub fn decode(&self, span: usize, packed: &[u8]) -> Result<Vec<(usize, Vec<u8>)>, DecodeError> {
        let run = self.run_of(span);
        let length = |span: usize| {
            let bytes = self.bytes_of(span);
            usize::try_from(bytes.end - bytes.start).map_err(|_| TocError::TooLarge("a span"))
        };
        let stream = |why: String| DecodeError::Stream { span, why };
        let mut spans = Vec::new();
        match self.info().compression {
            Compression::Gzip => {
                let mut bytes = vec![0; length(span)?];
                let point = self.point(span)?;
                larder_inflate::decode_span(&point, packed, &mut bytes)
                    .map_err(|error| stream(error.to_string()))?;
                spans.push((span, bytes));
            }
            Compression::None => {
                let bytes = packed.get(..length(span)?).ok_or_else(|| stream("it is cut off".to_owned()))?;
                spans.push((span, bytes.to_vec()));
            }
            Compression::Zstd => {
                debug_assert!(self.spans()[run.start].start != Start::Within, "a run begins anew");
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)
                    .map_err(|error| stream(error.to_string()))?;
                decoder.window_log_max(27).map_err(|error| stream(error.to_string()))?;
                for one in run {
                    let mut bytes = vec![0; length(one)?];
                    decoder.read_exact(&mut bytes).map_err(|error| stream(error.to_string()))?;
                    spans.push((one, bytes));
                }
            }
        }
        match spans.iter().find(|(one, bytes)| blake3::hash(bytes).as_bytes() != self.digest_of(*one)) {
            Some((one, _)) => Err(DecodeError::Corrupt { span: *one }),
            None => Ok(spans),
        }
    }

    /// Decodes a zstd frame that spans begin within, from its first span on, and hands on each span when it was checked, until `sink` wants no more.
    ///
    /// `packed` gives the bytes of the blob from where the first of `spans` begins. One span is in memory at a time, and zstd's window.
    ///
    /// # Errors
    /// When the stream is broken, or a span is not what its digest says; those before it were right.
    pub fn decode_run(
        &self,
        spans: Range<usize>,
        packed: impl Read,
        sink: &mut dyn FnMut(usize, Vec<u8>) -> bool,
    ) -> Result<(), DecodeError> {
        let stream =
            |span: usize, error: std::io::Error| DecodeError::Stream { span, why: error.to_string() };
        let first = spans.start;
        let mut decoder = zstd::stream::read::Decoder::new(packed).map_err(|error| stream(first, error))?;
        decoder.window_log_max(27).map_err(|error| stream(first, error))?;
        for span in spans {
            let bytes = self.bytes_of(span);
            let length =
                usize::try_from(bytes.end - bytes.start).map_err(|_| TocError::TooLarge("a span"))?;
            let mut bytes = vec![0; length];
            decoder.read_exact(&mut bytes).map_err(|error| stream(span, error))?;
            if blake3::hash(&bytes).as_bytes() != self.digest_of(span) {
                return Err(DecodeError::Corrupt { span });
            }
            if !sink(span, bytes) {
                break;
            }
        }
        Ok(())
    }
}
