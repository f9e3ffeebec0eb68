//! All packs of a store.
//!
//! A view (which packs exist) is taken when the store is opened and again by [`PackSet::refresh`]; between two refreshes,
//! packs that others made are not seen, and packs that GC removed can still be read (their files are open). A writer refreshes after
//! it took the GC lock, so that it never relies on a chunk whose pack is gone.
//!
//! A chunk that proved bad is remembered in `quarantine/PACK.bad` (32 bytes each), so that the next store of the same
//! bytes writes a new copy instead of relying on the bad one.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use larder_core::Hash;

use super::ChunkRow;
use super::frame::FrameInfo;
use super::open::{OpenPack, seal_abandoned};
use super::salvage;
use super::sealed::SealedPack;
use crate::local::{listing, new_id, poison};

/// A pack of either kind.
#[derive(Clone, Debug)]
pub(crate) enum Pack {
    /// Still being written.
    Open(Arc<OpenPack>),
    /// Immutable.
    Sealed(Arc<SealedPack>),
}

impl Pack {
    /// The pack's id.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Open(pack) => pack.id(),
            Self::Sealed(pack) => pack.id(),
        }
    }

    /// The file, for reading payloads.
    pub(crate) fn file(&self) -> &File {
        match self {
            Self::Open(pack) => pack.file(),
            Self::Sealed(pack) => pack.file(),
        }
    }
}

/// Where a chunk was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// In which pack.
    pub(crate) pack: Pack,
    /// In which frame.
    pub(crate) frame: FrameInfo,
    /// Where in the frame.
    pub(crate) row: ChunkRow,
}

#[derive(Debug, Default)]
struct View {
    open: Vec<Arc<OpenPack>>,
    sealed: Vec<Arc<SealedPack>>,
}

/// All packs of a store.
#[derive(Debug)]
pub(crate) struct PackSet {
    packs: PathBuf,
    quarantine: PathBuf,
    view: RwLock<View>,
    refreshing: Mutex<bool>,
    rebuilt: Mutex<Vec<String>>,
}

impl PackSet {
    /// The packs below `packs`; nothing is read before the first look-up or refresh.
    pub(crate) fn new(packs: PathBuf, quarantine: PathBuf) -> Self {
        let (view, refreshing, rebuilt) = (RwLock::default(), Mutex::new(false), Mutex::default());
        Self { packs, quarantine, view, refreshing, rebuilt }
    }

    /// Takes the first view, if that was not done yet.
    pub(crate) fn ensure(&self) -> io::Result<()> {
        let done = *self.refreshing.lock().unwrap_or_else(poison);
        if done { Ok(()) } else { self.refresh() }
    }

    /// Looks again which packs there are, and reads on in those that are being written.
    pub(crate) fn refresh(&self) -> io::Result<()> {
        let mut done = self.refreshing.lock().unwrap_or_else(poison);
        let (old_open, old_sealed) = {
            let view = self.view.read().unwrap_or_else(poison);
            (view.open.clone(), view.sealed.clone())
        };
        for _ in 0..listing::PASSES {
            let Some(mut fresh) = self.look(&old_open, &old_sealed)? else { continue };
            let mut view = self.view.write().unwrap_or_else(poison);
            // What this process added meanwhile. Its own pack takes the place of one that was only read from the file: what
            // is appended to it is known at once.
            for added in view.open.iter().filter(|pack| !old_open.iter().any(|old| Arc::ptr_eq(old, pack))) {
                match fresh.open.iter_mut().find(|pack| pack.id() == added.id()) {
                    Some(read) => *read = added.clone(),
                    None => fresh.open.push(added.clone()),
                }
            }
            fresh.sealed.sort_by(|a, b| b.id().cmp(a.id()));
            fresh.sealed.dedup_by(|a, b| a.id() == b.id());
            *view = fresh;
            *done = true;
            return Ok(());
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// What is there now; nothing if a file went between listing and opening it.
    fn look(&self, old_open: &[Arc<OpenPack>], old_sealed: &[Arc<SealedPack>]) -> io::Result<Option<View>> {
        let mut view = View::default();
        for path in listing::files(&self.packs)? {
            let Some(id) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            match path.extension().and_then(|ext| ext.to_str()) {
                Some("pack") => {
                    if let Some(known) = old_sealed.iter().find(|pack| pack.id() == id) {
                        view.sealed.push(known.clone());
                        continue;
                    }
                    match listing::unless_gone(SealedPack::open(&path, id, self.read_bad(id))) {
                        Ok(Some(pack)) => view.sealed.push(Arc::new(pack)),
                        Ok(None) => return Ok(None),
                        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                            tracing::warn!(
                                pack = id,
                                "a pack's table is damaged; rebuilding it from its frames"
                            );
                            view.sealed.extend(self.rebuild(&path, id));
                        }
                        Err(error) => return Err(error),
                    }
                }
                Some("open") => {
                    let known = old_open.iter().find(|pack| pack.id() == id).cloned();
                    let pack = match known {
                        Some(pack) => pack,
                        None => match listing::unless_gone(OpenPack::read(&path, id))? {
                            Some(pack) => Arc::new(pack),
                            None => return Ok(None),
                        },
                    };
                    pack.tail()?;
                    view.open.push(pack);
                }
                _ => {}
            }
        }
        Ok(Some(view))
    }

    /// Makes a new pack of the whole frames of one whose tail or table is damaged, and puts that into quarantine.
    pub(crate) fn rebuild(&self, path: &Path, id: &str) -> Option<Arc<SealedPack>> {
        let new = new_id();
        let tmp = self.packs.with_file_name("tmp");
        let rebuilt = salvage::rebuild(path, &self.packs, &tmp, &new).and_then(|any| {
            fs::rename(path, self.quarantine.join(format!("{id}.pack")))?;
            if !any {
                return Ok(None);
            }
            let path = self.packs.join(format!("{new}.pack"));
            SealedPack::open(&path, &new, HashSet::new()).map(Arc::new).map(Some)
        });
        self.rebuilt.lock().unwrap_or_else(poison).push(id.to_owned());
        rebuilt.unwrap_or_else(|error| {
            tracing::warn!(pack = id, %error, "could not rebuild a damaged pack; its chunks are misses");
            None
        })
    }

    /// The packs that were found damaged and were rebuilt since the last call.
    pub(crate) fn take_rebuilt(&self) -> Vec<String> {
        std::mem::take(&mut *self.rebuilt.lock().unwrap_or_else(poison))
    }

    fn bad_path(&self, id: &str) -> PathBuf {
        self.quarantine.join(format!("{id}.bad"))
    }

    fn read_bad(&self, id: &str) -> HashSet<Hash> {
        let bytes = fs::read(self.bad_path(id)).unwrap_or_default();
        bytes.chunks_exact(32).map(|hash| Hash(hash.try_into().expect("32 bytes"))).collect()
    }

    /// Adds a pack that this process is writing.
    pub(crate) fn add_open(&self, pack: Arc<OpenPack>) {
        let mut view = self.view.write().unwrap_or_else(poison);
        // A refresh may have found the file already.
        view.open.retain(|read| read.id() != pack.id());
        view.open.push(pack);
    }

    /// Seals what dead writers left, if anything.
    pub(crate) fn seal_abandoned(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.packs)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ext| ext == "open")
                && let Some(id) = path.file_stem().and_then(|stem| stem.to_str())
            {
                seal_abandoned(&path, id)?;
            }
        }
        Ok(())
    }

    /// Where the chunk is; `None` if this view has it nowhere.
    pub(crate) fn find(&self, hash: &Hash) -> Option<Found> {
        let view = self.view.read().unwrap_or_else(poison);
        for pack in &view.open {
            if let Some((frame, row)) = pack.find(hash) {
                return Some(Found { pack: Pack::Open(pack.clone()), frame, row });
            }
        }
        for pack in &view.sealed {
            if let Some((frame, row)) = pack.find(hash) {
                return Some(Found { pack: Pack::Sealed(pack.clone()), frame, row });
            }
        }
        None
    }

    /// Whether the chunk is anywhere in this view.
    pub(crate) fn has(&self, hash: &Hash) -> bool {
        let view = self.view.read().unwrap_or_else(poison);
        view.open.iter().any(|pack| pack.find(hash).is_some())
            || view.sealed.iter().any(|pack| pack.find(hash).is_some())
    }

    /// Whether a chunk is known to be bad: then a chunk list that is here does not say that its chunks are.
    pub(crate) fn is_suspect(&self) -> bool {
        self.sealed().iter().any(|pack| pack.has_bad())
    }

    /// The sealed packs of this view, newest first.
    pub(crate) fn sealed(&self) -> Vec<Arc<SealedPack>> {
        self.view.read().unwrap_or_else(poison).sealed.clone()
    }

    /// The open packs of this view.
    pub(crate) fn open(&self) -> Vec<Arc<OpenPack>> {
        self.view.read().unwrap_or_else(poison).open.clone()
    }

    /// Remembers that a copy of a chunk is bad.
    pub(crate) fn mark_bad(&self, pack: &Pack, hash: Hash) {
        if let Pack::Sealed(sealed) = pack {
            sealed.mark_bad(hash);
        }
        let written = File::options()
            .append(true)
            .create(true)
            .open(self.bad_path(pack.id()))
            .and_then(|mut file| file.write_all(&hash.0));
        if let Err(error) = written {
            tracing::warn!(pack = pack.id(), %error, "could not note a bad chunk");
        }
    }
}
