//! What a [`LocalStore`] knows of its folder, and when it looks again; the index, opened when it is first needed.
//!
//! A view (packs, tables of rows) is taken once and grows stale in two ways. Something was *added*: a look-up that finds
//! nothing looks again. Something was *deleted*: GC counts deletions in `gc.lock` before and after; a reader looks at
//! the count at each look-up, a writer after it took the lock. The two remember their counts apart: a reader may see
//! the folder in the middle of a deletion, and a writer must never rely on such a view.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use larder_core::Result;

use super::blobs::set::{NAME_FILE, RowSet};
use super::index::{Index, IndexOptions, Recovered};
use super::{LocalStore, namespace_folder, poison};

impl LocalStore {
    /// The index, opened at the first call. One that was found broken is put aside then; see
    /// [`LocalStore::index_recovered`].
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn index(&self) -> Result<Arc<Index>> {
        let mut held = self.index.lock().unwrap_or_else(poison);
        if let Some(index) = &*held {
            return Ok(index.clone());
        }
        let opened = Index::open(&IndexOptions::in_home(self.home.path()))?;
        if let Some(recovered) = opened.recovered {
            tracing::debug!(
                reason = recovered.reason,
                quarantined = %recovered.quarantined.display(),
                "the index was damaged and is empty now; results will be made again, content is still here"
            );
            *self.recovered.lock().unwrap_or_else(poison) = Some(recovered);
        }
        Ok(held.insert(Arc::new(opened.index)).clone())
    }

    /// What was wrong with the index when this store opened it, if anything was.
    #[must_use]
    pub fn index_recovered(&self) -> Option<Recovered> {
        self.recovered.lock().unwrap_or_else(poison).clone()
    }

    /// Lets the next use open the index anew.
    pub(crate) fn close_index(&self) {
        *self.index.lock().unwrap_or_else(poison) = None;
    }

    /// After it was told and repaired.
    pub(crate) fn forget_recovered(&self) {
        *self.recovered.lock().unwrap_or_else(poison) = None;
    }

    /// Looks again at everything that this store has looked at.
    pub(crate) fn refresh_all(&self) -> io::Result<()> {
        let namespaces: Vec<Arc<RowSet>> =
            self.namespaces.read().unwrap_or_else(poison).values().cloned().collect();
        self.packs.refresh()?;
        namespaces.iter().try_for_each(|rows| rows.refresh())
    }

    /// For readers: looks again if something was deleted since the last look.
    pub(crate) fn notice_deletions(&self) -> io::Result<()> {
        let count = self.deletions.count(&self.gc_lock_path)?;
        if self.reader_view.load(Ordering::Acquire) != count {
            self.refresh_all()?;
            self.reader_view.store(count, Ordering::Release);
        }
        Ok(())
    }

    /// For writers, who hold the lock: looks again if something was deleted since a writer's last look.
    pub(crate) fn refresh_for_writer(&self, count: u64) -> io::Result<()> {
        let mut seen = self.writer_view.lock().unwrap_or_else(poison);
        if *seen != Some(count) {
            self.refresh_all()?;
            *seen = Some(count);
        }
        Ok(())
    }

    /// Every namespace that has blobs.
    pub(crate) fn namespaces_on_disk(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.home.join("blobs"))? {
            let entry = entry?;
            let folder = entry.file_name().to_string_lossy().into_owned();
            let name = if folder.starts_with('+') {
                fs::read_to_string(entry.path().join(NAME_FILE)).unwrap_or_default()
            } else {
                folder.clone()
            };
            if namespace_folder(&name) == folder {
                names.push(name);
            } else {
                tracing::warn!(folder, "blobs of a namespace whose name is not known; they are misses");
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The rows of every namespace, after what dead processes left was sealed, as they are now.
    pub(crate) fn all_rows(&self) -> io::Result<Vec<(String, Arc<RowSet>)>> {
        let mut all = Vec::new();
        for name in self.namespaces_on_disk()? {
            let rows = self.rows(&name);
            rows.seal_abandoned()?;
            rows.refresh()?;
            all.push((name, rows));
        }
        Ok(all)
    }
}
