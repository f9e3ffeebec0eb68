//! Reads a layout from a tar file or a folder.
//!
//! A tar file is scanned once, headers only; after that every blob can be read at any place, by several threads at once. What is not part
//! of a layout is passed over (docker adds files of its own), but must be a file or folder with a name that stays inside.
//! Whole reads are checked against the digest; ranges cannot be.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use bytes::Bytes;
use serde::Deserialize;

use super::tar::{self, Kind, Pax};
use super::{INDEX_NAME, LayoutError, MARK_NAME, blob_name};
use crate::digest::{Algorithm, Hasher, OciDigest};
use crate::manifest::{Descriptor, Index, LONGEST, REF_NAME};

/// The most members of a tar file.
const MOST_MEMBERS: usize = 1 << 20;
const LONGEST_MARK: u64 = 4 << 10;

/// Bytes that can be read at any place, by several at once.
pub trait ReadAt: Send + Sync {
    /// How many there are.
    fn size(&self) -> io::Result<u64>;
    /// Fills `into` from `at` on.
    fn read_exact_at(&self, into: &mut [u8], at: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, into, at)
    }
}

impl ReadAt for Bytes {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_exact_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        let from = usize::try_from(at).ok().and_then(|at| self.get(at..)?.get(..into.len()));
        from.map(|from| into.copy_from_slice(from)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

#[derive(Clone, Copy, Debug)]
struct Place {
    at: u64,
    size: u64,
}

enum Source {
    Archive { file: Box<dyn ReadAt>, blobs: HashMap<OciDigest, Place> },
    Folder(PathBuf),
}

/// Reads a layout (image-spec, image-layout.md).
pub struct LayoutReader {
    source: Source,
    index: Index,
}

impl std::fmt::Debug for LayoutReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LayoutReader").field("entries", &self.index.manifests.len()).finish_non_exhaustive()
    }
}

impl LayoutReader {
    /// Opens a layout in a tar file: scans it once.
    pub fn archive(file: impl ReadAt + 'static) -> Result<Self, LayoutError> {
        let found = scan(&file)?;
        let read = |name: &'static str, place: Option<Place>, most: u64| {
            let place = place.ok_or(LayoutError::Missing(name))?;
            bounded(name, place.size, most)?;
            let mut bytes = vec![0; usize::try_from(place.size).expect("bounded above")];
            file.read_exact_at(&mut bytes, place.at)?;
            Ok::<_, LayoutError>(bytes)
        };
        check_mark(&read(MARK_NAME, found.mark, LONGEST_MARK)?)?;
        let index = Index::parse(&read(INDEX_NAME, found.index, LONGEST as u64)?)?;
        Ok(Self { source: Source::Archive { file: Box::new(file), blobs: found.blobs }, index })
    }

    /// Opens a layout in a folder.
    pub fn folder(path: impl Into<PathBuf>) -> Result<Self, LayoutError> {
        let path = path.into();
        let read = |name: &'static str, most: u64| {
            let file = open(&path.join(name))?.ok_or(LayoutError::Missing(name))?;
            bounded(name, file.size()?, most)?;
            let mut bytes = Vec::new();
            file.take(most).read_to_end(&mut bytes)?;
            Ok::<_, LayoutError>(bytes)
        };
        check_mark(&read(MARK_NAME, LONGEST_MARK)?)?;
        let index = Index::parse(&read(INDEX_NAME, LONGEST as u64)?)?;
        Ok(Self { source: Source::Folder(path), index })
    }

    /// What the layout lists.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The entry of the index with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Descriptor> {
        let entries = &self.index.manifests;
        entries.iter().find(|entry| entry.annotations.get(REF_NAME).is_some_and(|own| own == name))
    }

    /// The blobs of a tar file with their sizes, in no order; of a folder, nothing: ask for each.
    pub fn blobs(&self) -> impl Iterator<Item = (OciDigest, u64)> + '_ {
        let blobs = match &self.source {
            Source::Archive { blobs, .. } => Some(blobs),
            Source::Folder(_) => None,
        };
        blobs.into_iter().flatten().map(|(digest, place)| (*digest, place.size))
    }

    /// Opens a blob; `None` if it is not there.
    pub fn blob(&self, digest: &OciDigest) -> Result<Option<BlobFile<'_>>, LayoutError> {
        match &self.source {
            Source::Archive { file, blobs } => Ok(blobs.get(digest).map(|place| BlobFile {
                bytes: Of::Archive(&**file),
                digest: *digest,
                at: place.at,
                size: place.size,
            })),
            Source::Folder(path) => {
                let Some(file) = open(&path.join(blob_name(digest)))? else { return Ok(None) };
                let size = file.size()?;
                Ok(Some(BlobFile { bytes: Of::Folder(file), digest: *digest, at: 0, size }))
            }
        }
    }

    /// The content that a descriptor points to, whole and checked.
    ///
    /// # Errors
    /// [`LayoutError::NoBlob`] if it is not there.
    pub fn fetch(&self, descriptor: &Descriptor, most: u64) -> Result<Bytes, LayoutError> {
        let blob = self.blob(&descriptor.digest)?.ok_or(LayoutError::NoBlob(descriptor.digest))?;
        if blob.size() != descriptor.size {
            return Err(LayoutError::Length { digest: descriptor.digest, size: descriptor.size });
        }
        blob.read_all(most)
    }
}

enum Of<'a> {
    Archive(&'a dyn ReadAt),
    Folder(File),
}

/// A blob of a layout.
pub struct BlobFile<'a> {
    bytes: Of<'a>,
    digest: OciDigest,
    at: u64,
    size: u64,
}

impl std::fmt::Debug for BlobFile<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobFile")
            .field("digest", &self.digest)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl BlobFile<'_> {
    /// How long it is.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fills `into` from `at` on. Nothing is checked but the length.
    pub fn read_exact_at(&self, into: &mut [u8], at: u64) -> Result<(), LayoutError> {
        let inside = at.checked_add(into.len() as u64).is_some_and(|end| end <= self.size);
        if !inside {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match &self.bytes {
            Of::Archive(file) => file.read_exact_at(into, self.at + at)?,
            Of::Folder(file) => ReadAt::read_exact_at(file, into, self.at + at)?,
        }
        Ok(())
    }

    /// All of it, checked.
    ///
    /// # Errors
    /// [`LayoutError::TooLarge`] if it is larger than `most`.
    pub fn read_all(&self, most: u64) -> Result<Bytes, LayoutError> {
        bounded(&self.digest.to_string(), self.size, most)?;
        let mut bytes = vec![0; usize::try_from(self.size).expect("a bound that fits in memory")];
        self.read_exact_at(&mut bytes, 0)?;
        if self.digest.is_of(&bytes) { Ok(bytes.into()) } else { Err(LayoutError::Corrupt(self.digest)) }
    }

    /// All of it from front to back; fails at the end if it is not what its digest says.
    #[must_use]
    pub fn reader(&self) -> impl Read + '_ {
        Checked { hasher: Some(self.digest.algorithm().hasher()), blob: self, at: 0 }
    }
}

struct Checked<'a> {
    blob: &'a BlobFile<'a>,
    at: u64,
    hasher: Option<Hasher>,
}

impl Read for Checked<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.blob.size - self.at).unwrap_or(usize::MAX);
        let count = into.len().min(left);
        if count > 0 {
            self.blob.read_exact_at(&mut into[..count], self.at).map_err(|error| match error {
                LayoutError::Io(error) => error,
                other => io::Error::other(other),
            })?;
            self.at += count as u64;
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&into[..count]);
            }
        }
        // With the last bytes, not after them: who knows the size may never ask again.
        let ended = self.at == self.blob.size;
        if ended && self.hasher.take().is_some_and(|hasher| hasher.finish() != self.blob.digest) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, LayoutError::Corrupt(self.blob.digest)));
        }
        Ok(count)
    }
}

/// Opens a plain file; a link or a pipe may be put there by anybody, and is none.
fn open(path: &std::path::Path) -> Result<Option<File>, LayoutError> {
    match std::fs::symlink_metadata(path) {
        Ok(status) if status.is_file() => Ok(Some(File::open(path)?)),
        Ok(_) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "a part of the layout is no plain file").into())
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn bounded(name: &str, size: u64, most: u64) -> Result<(), LayoutError> {
    if size > most || usize::try_from(size).is_err() {
        return Err(LayoutError::TooLarge { name: name.to_owned(), size, most });
    }
    Ok(())
}

fn check_mark(bytes: &[u8]) -> Result<(), LayoutError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Mark {
        image_layout_version: String,
    }
    match serde_json::from_slice::<Mark>(bytes) {
        Ok(mark) if mark.image_layout_version == "1.0.0" => Ok(()),
        _ => Err(LayoutError::Version),
    }
}

#[derive(Default)]
struct Found {
    mark: Option<Place>,
    index: Option<Place>,
    blobs: HashMap<OciDigest, Place>,
}

impl Found {
    fn add(&mut self, name: &str, place: Place) -> Result<(), LayoutError> {
        let before = match name {
            MARK_NAME => self.mark.replace(place),
            INDEX_NAME => self.index.replace(place),
            _ => match digest_of(name) {
                Some(digest) => self.blobs.insert(digest, place),
                None => None,
            },
        };
        if before.is_some() { Err(LayoutError::Twice(name.to_owned())) } else { Ok(()) }
    }
}

/// The digest that a blob's file is named after.
fn digest_of(name: &str) -> Option<OciDigest> {
    let (algorithm, hex) = name.strip_prefix("blobs/")?.split_once('/')?;
    let algorithm = Algorithm::from_name(algorithm)?;
    format!("{}:{hex}", algorithm.name()).parse().ok()
}

fn scan(file: &impl ReadAt) -> Result<Found, LayoutError> {
    let size = file.size()?;
    let mut found = Found::default();
    let mut at = 0;
    let mut members = 0;
    let mut pax = Pax::default();
    loop {
        let wrong = |why| LayoutError::Tar { at, why };
        if size - at < tar::BLOCK {
            return Err(wrong("it is cut off"));
        }
        let mut block = [0; tar::BLOCK as usize];
        file.read_exact_at(&mut block, at)?;
        let Some(header) = tar::parse(&block, at)? else { return Ok(found) };
        members += 1;
        if members > MOST_MEMBERS {
            return Err(wrong("it has too many members"));
        }
        let content = at + tar::BLOCK;
        let plain = matches!(header.kind, Kind::File | Kind::Folder);
        let length = if plain { pax.size.unwrap_or(header.size) } else { header.size };
        let end =
            content.checked_add(length).filter(|end| *end <= size).ok_or_else(|| wrong("it is cut off"))?;
        match header.kind {
            Kind::File | Kind::Folder => {
                let pax = std::mem::take(&mut pax);
                let name = pax.path.unwrap_or(header.name);
                let name = tar::clean(&name).ok_or_else(|| wrong("a name leads out of it"))?;
                if header.kind == Kind::File {
                    found.add(name, Place { at: content, size: length })?;
                }
            }
            Kind::PaxGlobal => {}
            Kind::Pax | Kind::LongName => {
                let mut bytes = vec![0; usize::try_from(length).expect("bounded when it was parsed")];
                file.read_exact_at(&mut bytes, content)?;
                if header.kind == Kind::Pax {
                    pax = Pax::parse(&bytes, at)?;
                } else {
                    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
                    let name = std::str::from_utf8(name).map_err(|_| wrong("a name is no text"))?;
                    pax.path = Some(name.to_owned());
                }
            }
        }
        // The last member's padding may be missing; the mark of the end then is too.
        at = end
            .checked_add(tar::padding(length))
            .filter(|next| *next <= size)
            .ok_or_else(|| wrong("it is cut off"))?;
    }
}
