//! Results in one file: an OCI image layout as a tar archive, of the artifacts of `docs/formats/oci.md`.
//!
//! What was exported can be imported into another store, or copied into a registry by any tool that copies artifacts, where
//! it is then what a tier `oci` had put there. Nothing in an archive is believed: results are judged by the trust of whoever imports, content proves
//! itself.

use std::collections::HashSet;
use std::fmt;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use larder_core::{Error, ErrorKind, Result};
use larder_oci::layout::{LayoutError, LayoutReader, LayoutWriter};
use larder_oci::manifest::{Document, media_type};
use larder_oci::{Descriptor, Manifest, OciDigest, Tag};
use larder_store::{ActionDigest, Store};
use tokio::runtime::Handle;

use crate::exchange::{Brought, bring, publish};
use crate::oci::artifact;
use crate::oci::shelf::{Artifacts, OciShelf};
use crate::packed::{PackOptions, PackedTier};
use crate::tier::Transfer;

/// Its name in messages and events.
pub const NAME: &str = "archive";

/// More results do not fit the index of a layout.
pub const MOST_RESULTS: usize = 8_000;

/// What was exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Results that were written.
    pub results: u64,
    /// Results that may not leave this machine: nobody signed them whom others could believe.
    pub unsigned: u64,
    /// Results whose content is gone.
    pub incomplete: u64,
}

/// What was imported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Results that are in the store now.
    pub results: u64,
    /// Results that were not believed.
    pub refused: u64,
    /// Why, each reason once.
    pub reasons: Vec<String>,
    /// Results of other namespaces, which were left.
    pub others: u64,
    /// Results that are damaged or not whole.
    pub damaged: u64,
}

/// Writes `results` of `store` with their recipes into `to`. `told` is called after each.
///
/// # Errors
/// `Invalid` for too many results; when `to` or the store cannot be used.
pub fn export<W: Write + Send + 'static>(
    runtime: &Handle,
    store: &Store,
    results: &[(ActionDigest, String)],
    to: W,
    level: i32,
    told: &mut dyn FnMut(usize),
) -> Result<(Exported, W)> {
    if results.len() > MOST_RESULTS {
        return Err(Error::new(ErrorKind::Invalid, "export")
            .with_message(format!(
                "{} results are more than the {MOST_RESULTS} that one file can list",
                results.len()
            ))
            .with_hint("export fewer: by a part of their recipes' names, or by when they were used"));
    }
    let writer = LayoutWriter::new(to).map_err(|error| explain("export", &error))?;
    let file = Arc::new(Writing { state: Mutex::new(Some(State { writer, tags: HashSet::new() })) });
    let shelf = OciShelf::new(NAME, NAME.to_owned(), file.clone());
    let tier = PackedTier::new(Arc::new(shelf), PackOptions { level, seal: None });
    let mut exported = Exported::default();
    for (at, (action, recipe)) in results.iter().enumerate() {
        match runtime.block_on(publish(store, &tier, action, recipe, false)) {
            Ok(Some(_)) => exported.results += 1,
            Ok(None) => exported.unsigned += 1,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                tracing::debug!(%error, %action, "a result cannot be exported");
                exported.incomplete += 1;
            }
            Err(error) => return Err(error),
        }
        told(at + 1);
    }
    let state = file.state.lock().unwrap_or_else(PoisonError::into_inner).take();
    let writer = state.expect("taken only here").writer;
    let to = writer.finish().map_err(|error| explain("export", &error))?;
    Ok((exported, to))
}

/// Brings everything that the archive at `path` has into `store`. `told` is called after each result with how many there
/// are.
///
/// # Errors
/// When the file is no archive; when the store cannot be used.
pub fn import(
    runtime: &Handle,
    store: &Store,
    path: &Path,
    told: &mut dyn FnMut(usize, usize),
) -> Result<Imported> {
    let wrong = |error: LayoutError| explain("import", &error).with("path", path.display());
    let reader = if path.is_dir() {
        LayoutReader::folder(path)
    } else {
        let file = std::fs::File::open(path)
            .map_err(|error| Error::from_io(error, "import").with("path", path.display()))?;
        LayoutReader::archive(file)
    };
    let file = Arc::new(Reading { layout: reader.map_err(wrong)? });
    let shelf = OciShelf::new(NAME, NAME.to_owned(), file.clone());
    let tier = PackedTier::new(Arc::new(shelf), PackOptions::default());
    let (listed, unreadable) = file.results();
    let mut imported = Imported { damaged: unreadable, ..Imported::default() };
    for (at, (namespace, action)) in listed.iter().enumerate() {
        if namespace != store.namespace() {
            imported.others += 1;
            continue;
        }
        match runtime.block_on(bring(store, &tier, action)) {
            Ok(Brought::Whole { .. }) => imported.results += 1,
            Ok(Brought::Absent | Brought::Foreign) => imported.damaged += 1,
            Ok(Brought::Unkept(error)) => return Err(error),
            Ok(Brought::Refused(rejected)) => {
                imported.refused += 1;
                let reason = rejected.to_string();
                if !imported.reasons.contains(&reason) {
                    imported.reasons.push(reason);
                }
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corrupt | ErrorKind::Invalid) =>
            {
                tracing::debug!(%error, %action, "a result cannot be imported");
                imported.damaged += 1;
            }
            Err(error) => return Err(error),
        }
        told(at + 1, listed.len());
    }
    Ok(imported)
}

fn explain(operation: &'static str, error: &LayoutError) -> Error {
    let kind = match error {
        LayoutError::Io(error) => larder_core::ErrorKind::of_io(error),
        LayoutError::NoBlob(_) => ErrorKind::NotFound,
        _ => ErrorKind::Corrupt,
    };
    let explained = Error::new(kind, operation).with_message(error.to_string());
    match error.hint() {
        "" => explained,
        hint => explained.with_hint(hint),
    }
}

/// A layout that is being written.
struct Writing<W: Write> {
    state: Mutex<Option<State<W>>>,
}

struct State<W: Write> {
    writer: LayoutWriter<W>,
    tags: HashSet<Tag>,
}

impl<W: Write> fmt::Debug for Writing<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writing").finish_non_exhaustive()
    }
}

impl<W: Write> Writing<W> {
    fn with<T>(&self, work: impl FnOnce(&mut State<W>) -> T) -> Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = || Error::new(ErrorKind::Invalid, "export").with_message("the archive is finished");
        state.as_mut().map(work).ok_or_else(ended)
    }
}

/// Only results are listed: the notes of recipes serve writers, and what was written cannot be read.
fn is_result(manifest: &Manifest) -> bool {
    manifest.kind() == artifact::RESULT
}

#[async_trait]
impl<W: Write + Send + 'static> Artifacts for Writing<W> {
    async fn has(&self, tag: &Tag) -> Result<bool> {
        self.with(|state| state.tags.contains(tag))
    }

    async fn manifest(&self, _tag: &Tag) -> Result<Option<Manifest>> {
        Ok(None)
    }

    async fn put_manifest(&self, tag: &Tag, manifest: Manifest) -> Result<()> {
        if !is_result(&manifest) {
            return Ok(());
        }
        let media_type = manifest.media_type.clone().unwrap_or_else(|| media_type::MANIFEST.to_owned());
        self.with(|state| {
            let mut listed = state.writer.bytes(&media_type, &manifest.to_bytes())?;
            listed.artifact_type = Some(artifact::RESULT.to_owned());
            state.writer.list(listed, Some(tag.as_str()));
            state.tags.insert(tag.clone());
            Ok(())
        })?
        .map_err(|error| explain("export", &error))
    }

    async fn blob(&self, _descriptor: &Descriptor, _most: usize) -> Result<Option<Bytes>> {
        Ok(None)
    }

    async fn range(&self, digest: &OciDigest, _range: Range<u64>) -> Result<Bytes> {
        Err(Error::new(ErrorKind::NotFound, "export").with("digest", digest))
    }

    async fn put_blob(&self, digest: &OciDigest, bytes: Bytes, _known: bool) -> Result<()> {
        let put = self.with(|state| state.writer.blob(digest, bytes.len() as u64, &bytes[..]))?;
        put.map(drop).map_err(|error| explain("export", &error))
    }

    fn moved(&self) -> Transfer {
        Transfer::default()
    }
}

/// A layout that is read.
struct Reading {
    layout: LayoutReader,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").finish_non_exhaustive()
    }
}

/// Bytes of a manifest at most.
const LARGEST_MANIFEST: u64 = 4 << 20;

impl Reading {
    fn parse(&self, listed: &Descriptor) -> Option<Manifest> {
        let bytes = self.layout.fetch(listed, LARGEST_MANIFEST).ok()?;
        match Document::parse(&bytes, Some(&listed.media_type)).ok()? {
            Document::Manifest(manifest) => Some(manifest),
            _ => None,
        }
    }

    /// Namespace and action of all results that are listed; and how many that are listed cannot be read.
    fn results(&self) -> (Vec<(String, ActionDigest)>, u64) {
        let (mut results, mut unreadable) = (Vec::new(), 0);
        for listed in &self.layout.index().manifests {
            let Some(manifest) = self.parse(listed) else {
                unreadable += u64::from(listed.artifact_type.as_deref() == Some(artifact::RESULT));
                continue;
            };
            if !is_result(&manifest) {
                continue;
            }
            let said = |key: &str| manifest.annotations.get(key);
            let action = said(artifact::ACTION).and_then(|action| action.parse().ok()).map(ActionDigest);
            match (said(artifact::NAMESPACE), action) {
                (Some(namespace), Some(action)) => results.push((namespace.clone(), action)),
                _ => unreadable += 1,
            }
        }
        (results, unreadable)
    }
}

#[async_trait]
impl Artifacts for Reading {
    async fn has(&self, tag: &Tag) -> Result<bool> {
        Ok(self.layout.named(tag.as_str()).is_some())
    }

    async fn manifest(&self, tag: &Tag) -> Result<Option<Manifest>> {
        Ok(self.layout.named(tag.as_str()).and_then(|listed| self.parse(listed)))
    }

    async fn put_manifest(&self, tag: &Tag, _manifest: Manifest) -> Result<()> {
        Err(Error::new(ErrorKind::ReadOnly, "import").with("tag", tag.as_str()))
    }

    async fn blob(&self, descriptor: &Descriptor, most: usize) -> Result<Option<Bytes>> {
        match self.layout.fetch(descriptor, most as u64) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(LayoutError::NoBlob(_)) => Ok(None),
            Err(error) => Err(explain("import", &error)),
        }
    }

    async fn range(&self, digest: &OciDigest, range: Range<u64>) -> Result<Bytes> {
        let wrong = |error: LayoutError| explain("import", &error);
        let blob = self.layout.blob(digest).map_err(wrong)?;
        let blob = blob.ok_or_else(|| Error::new(ErrorKind::NotFound, "import").with("digest", digest))?;
        let short = || {
            Error::new(ErrorKind::Corrupt, "import").with_message("a pack is shorter than its result says")
        };
        if range.end > blob.size() {
            return Err(short());
        }
        let mut bytes = vec![0; usize::try_from(range.end - range.start).map_err(|_| short())?];
        blob.read_exact_at(&mut bytes, range.start).map_err(wrong)?;
        Ok(bytes.into())
    }

    async fn put_blob(&self, digest: &OciDigest, _bytes: Bytes, _known: bool) -> Result<()> {
        Err(Error::new(ErrorKind::ReadOnly, "import").with("digest", digest))
    }

    fn moved(&self) -> Transfer {
        Transfer::default()
    }
}
