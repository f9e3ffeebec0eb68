//! Writes a layout as a tar stream: content as it comes, the index last.
//!
//! Nothing is written twice, and nothing is held but the digests of what was written. Headers have no time, owner or name of this
//! machine. After an error the stream is not whole, and every further call says so.

use std::collections::BTreeSet;
use std::io::{Read, Write};

use super::{INDEX_NAME, LayoutError, MARK, MARK_NAME, blob_name, tar};
use crate::digest::{Algorithm, OciDigest};
use crate::manifest::{Annotations, Descriptor, Index, REF_NAME};

const PIECE: usize = 256 << 10;
/// Tar's end: two empty blocks.
const END: [u8; 2 * tar::BLOCK as usize] = [0; 2 * tar::BLOCK as usize];

/// Writes a layout (image-spec, image-layout.md) into `W`.
pub struct LayoutWriter<W: Write> {
    to: W,
    written: BTreeSet<OciDigest>,
    folders: BTreeSet<Algorithm>,
    entries: Vec<Descriptor>,
    annotations: Annotations,
    broken: bool,
}

impl<W: Write> std::fmt::Debug for LayoutWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LayoutWriter").field("blobs", &self.written.len()).finish_non_exhaustive()
    }
}

impl<W: Write> LayoutWriter<W> {
    /// Begins a layout.
    pub fn new(to: W) -> Result<Self, LayoutError> {
        let mut writer = Self {
            to,
            written: BTreeSet::new(),
            folders: BTreeSet::new(),
            entries: Vec::new(),
            annotations: Annotations::new(),
            broken: false,
        };
        writer.file(MARK_NAME, MARK)?;
        writer.guard(|writer| Ok(writer.to.write_all(&tar::header("blobs/", 0, true))?))?;
        Ok(writer)
    }

    /// Whether the blob was written already.
    #[must_use]
    pub fn has(&self, digest: &OciDigest) -> bool {
        self.written.contains(digest)
    }

    /// Writes a blob of `size` bytes from `content`, unless it was written already; then nothing is read. Gives whether it
    /// was written.
    ///
    /// # Errors
    /// When `content` is not `size` bytes, or not of the digest. The layout is not whole then.
    pub fn blob(&mut self, digest: &OciDigest, size: u64, content: impl Read) -> Result<bool, LayoutError> {
        if self.has(digest) {
            return if self.broken { Err(LayoutError::Abandoned) } else { Ok(false) };
        }
        self.guard(|writer| writer.stream(digest, size, content))?;
        self.written.insert(*digest);
        Ok(true)
    }

    /// Writes a blob from memory, named by SHA-256; points to it.
    pub fn bytes(&mut self, media_type: &str, content: &[u8]) -> Result<Descriptor, LayoutError> {
        let descriptor = Descriptor::of(media_type, content);
        self.blob(&descriptor.digest, descriptor.size, content)?;
        Ok(descriptor)
    }

    /// Lists a manifest in the index, under a name if one is given. Its blob is written before or after.
    pub fn list(&mut self, mut manifest: Descriptor, name: Option<&str>) {
        if let Some(name) = name {
            manifest.annotations.insert(REF_NAME.to_owned(), name.to_owned());
        }
        self.entries.push(manifest);
    }

    /// Notes on the index itself.
    pub fn annotate(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.annotations.insert(key.into(), value.into());
    }

    /// Writes the index and the end; gives back what was written into, flushed.
    ///
    /// # Errors
    /// [`LayoutError::NoBlob`] if a listed manifest was never written.
    pub fn finish(mut self) -> Result<W, LayoutError> {
        if let Some(missing) = self.entries.iter().find(|entry| !self.written.contains(&entry.digest)) {
            return Err(LayoutError::NoBlob(missing.digest));
        }
        let mut index = Index::new(std::mem::take(&mut self.entries));
        index.annotations = std::mem::take(&mut self.annotations);
        self.file(INDEX_NAME, &index.to_bytes())?;
        self.to.write_all(&END)?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn stream(&mut self, digest: &OciDigest, size: u64, content: impl Read) -> Result<(), LayoutError> {
        if self.folders.insert(digest.algorithm()) {
            let name = format!("blobs/{}/", digest.algorithm().name());
            self.to.write_all(&tar::header(&name, 0, true))?;
        }
        self.head(&blob_name(digest), size)?;
        let length = || LayoutError::Length { digest: *digest, size };
        let mut hasher = digest.algorithm().hasher();
        let mut piece = vec![0; PIECE];
        let mut left = size;
        // One byte more than it should be is enough to know that it is too long.
        let mut content = content.take(size.saturating_add(1));
        loop {
            let count = match content.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            left = left.checked_sub(count as u64).ok_or_else(length)?;
            hasher.update(&piece[..count]);
            self.to.write_all(&piece[..count])?;
        }
        if left > 0 {
            return Err(length());
        }
        if hasher.finish() != *digest {
            return Err(LayoutError::Corrupt(*digest));
        }
        self.pad(size)
    }

    fn file(&mut self, name: &str, content: &[u8]) -> Result<(), LayoutError> {
        self.guard(|writer| {
            writer.head(name, content.len() as u64)?;
            writer.to.write_all(content)?;
            writer.pad(content.len() as u64)
        })
    }

    /// A header; SHA-512 gives names that are too long for one, and get pax records before it.
    fn head(&mut self, name: &str, size: u64) -> Result<(), LayoutError> {
        if name.len() > 100 {
            let mut record = String::new();
            // The length counts its own digits.
            let rest = format!(" path={name}\n");
            let digits = if rest.len() + 3 > 999 { 4 } else { 3 };
            record.push_str(&(rest.len() + digits).to_string());
            record.push_str(&rest);
            let mut head = tar::header("pax", record.len() as u64, false);
            tar::set_kind(&mut head, b'x');
            self.to.write_all(&head)?;
            self.to.write_all(record.as_bytes())?;
            self.pad(record.len() as u64)?;
        }
        let shown = name.get(..100).unwrap_or(name);
        Ok(self.to.write_all(&tar::header(shown, size, false))?)
    }

    fn pad(&mut self, size: u64) -> Result<(), LayoutError> {
        let padding = usize::try_from(tar::padding(size)).expect("less than a block");
        Ok(self.to.write_all(&END[..padding])?)
    }

    /// Once something failed, nothing more is written.
    fn guard(&mut self, write: impl FnOnce(&mut Self) -> Result<(), LayoutError>) -> Result<(), LayoutError> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(LayoutError::Abandoned);
        }
        write(self)?;
        self.broken = false;
        Ok(())
    }
}
