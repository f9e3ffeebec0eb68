//! Where the bytes of a write come from. A source can be opened again, so that a write can be tried again and sent to
//! several places.

use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use larder_core::{Digest, Error, Result};

type Opener = dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync;

/// Where the bytes of a write come from. Cheap to clone; every opening begins at the first byte.
#[derive(Clone)]
#[non_exhaustive]
pub enum BlobSource {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A file, opened when it is needed. If it changes meanwhile, the write is refused: it is not the blob.
    File(PathBuf),
    /// Whatever a function opens.
    Open(Arc<Opener>),
}

impl BlobSource {
    /// A source that a function opens.
    pub fn opened_by(open: impl Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync + 'static) -> Self {
        Self::Open(Arc::new(open))
    }

    /// A reader from the first byte on.
    ///
    /// # Errors
    /// What the file system or the function answers.
    pub fn open(&self) -> Result<Box<dyn Read + Send>> {
        let opened = match self {
            Self::Bytes(bytes) => return Ok(Box::new(Cursor::new(bytes.clone()))),
            Self::File(path) => File::open(path).map(|file| Box::new(file) as Box<dyn Read + Send>),
            Self::Open(open) => open(),
        };
        opened.map_err(|error| {
            let error = Error::from_io(error, "open the content of a blob");
            if let Self::File(path) = self { error.with("path", path.display()) } else { error }
        })
    }

    /// The digest of what the source gives, of which at most one byte more than `most` is read.
    pub(crate) fn digest(&self, function: larder_core::DigestFunction, most: u64) -> Result<Digest> {
        let mut reader = self.open()?.take(most.saturating_add(1));
        let mut hasher = function.hasher();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(count) => hasher.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::from_io(error, "read the content of a blob")),
            }
        }
    }
}

impl From<Bytes> for BlobSource {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for BlobSource {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<PathBuf> for BlobSource {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl fmt::Debug for BlobSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.debug_tuple("Bytes").field(&bytes.len()).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Open(_) => f.write_str("Open(..)"),
        }
    }
}
