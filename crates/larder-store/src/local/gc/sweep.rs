//! The delete phase: copies first, then, under the exclusive lock, results, rows and packs, in this order.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;

use larder_core::chunk_list::Root;
use larder_core::{Digest, Error, ErrorKind, Result};
use rustix::fs::{FlockOperation, flock};

use super::plan::{Fate, Protected, State, survey};
use super::{Added, Copier, GcPlan, GcReport, PackAction, Reach};
use crate::event::{Content, Event, EventLog, Kind, now_ms};
use crate::local::gc_lock::GcLock;
use crate::local::index::{Index, Listed};
use crate::local::{LocalStore, new_id};

/// Clocks of processes on one machine may look at slightly different seconds.
const SLACK: u64 = 2;
const PAGE: usize = 1000;

pub(super) fn sweep_error(error: io::Error) -> Error {
    let busy = error.kind() == io::ErrorKind::WouldBlock;
    let error = Error::from_io(error, "collect garbage");
    if busy {
        error.with_hint("other processes write to this cache; try again when they are done")
    } else {
        error
    }
}

/// The lock that lets one collection, merge or repair run at a time; `Busy` if another one does.
pub(crate) fn only_one(store: &LocalStore) -> Result<File> {
    let path = store.home.join("locks").join("gc");
    let file = File::options().write(true).create(true).truncate(false).open(path).map_err(sweep_error)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::new(ErrorKind::Busy, "collect garbage")
            .with_message("another process collects garbage in this cache")),
        Err(error) => Err(sweep_error(error.into())),
    }
}

impl LocalStore {
    /// Does what the plan says, save for what is needed by anything that came since it was made.
    ///
    /// # Errors
    /// `Busy` when another collection runs, or when writers leave no moment; and what the file system answers. Whatever
    /// was not deleted then is still whole.
    pub fn run_gc(&self, plan: GcPlan) -> Result<GcReport> {
        let _one = only_one(self)?;
        let GcPlan { bytes_before, packs, results, mut state, .. } = plan;
        let mut report = GcReport { bytes_before, ..GcReport::default() };
        self.flush()?;
        self.packs.refresh().map_err(sweep_error)?;
        report.partial_blobs = self.delete_parts(&state.parts)?;
        let compact: HashSet<&str> = packs
            .iter()
            .filter(|pack| pack.action == PackAction::Compact)
            .map(|pack| pack.id.as_str())
            .collect();
        match self.compact(&state, &compact) {
            Ok(bytes) => report.bytes_copied += bytes,
            Err(error) if ErrorKind::of_io(&error) == ErrorKind::Full => {
                tracing::debug!("no room for compacted copies; only what is wholly dead is removed");
            }
            Err(error) => return Err(sweep_error(error)),
        }
        let path = self.home.join("gc.lock");
        let lock = GcLock::exclusive(&path, state.options.patience).map_err(sweep_error)?;
        lock.count_deletion().map_err(sweep_error)?;
        let outcome = self.delete(&mut state, &compact, &mut report);
        lock.count_deletion().map_err(sweep_error)?;
        drop(lock);
        outcome?;
        self.refresh_all().map_err(sweep_error)?;
        self.tidy(state.options.now).map_err(sweep_error)?;
        let index = self.index()?;
        index.expire_leases(state.options.now)?;
        report.bytes_after = self.sizes().map_err(sweep_error)?.total();
        let event = |result: &super::EvictedResult| {
            let kind = Kind::Evict { tier: "local".to_owned() };
            let mut event =
                Event::new(now_ms(), kind, Content::Result, &result.namespace, result.key.clone());
            event.bytes = Some(result.bytes);
            event
        };
        let events: Vec<Event> = results.iter().map(event).collect();
        let log = EventLog::new(self.home.join("events"), crate::event::DEFAULT_LIMIT);
        if let Err(error) = log.append(&events) {
            tracing::debug!(%error, "could not note evictions");
        }
        Ok(report)
    }

    /// Copies what is live in packs that are to be compacted. No lock: nothing is deleted.
    fn compact(&self, state: &State, compact: &HashSet<&str>) -> io::Result<u64> {
        if compact.is_empty() {
            return Ok(0);
        }
        let mut copier = Copier::new(self)?;
        for pack in self.packs.sealed().iter().filter(|pack| compact.contains(pack.id())) {
            let here = |hash: &larder_core::Hash| {
                state.marker.is_live(hash)
                    && self.packs.find(hash).is_some_and(|found| found.pack.id() == pack.id())
            };
            copier.pack(pack, &here)?;
        }
        copier.finish()
    }

    fn delete(&self, state: &mut State, compact: &HashSet<&str>, report: &mut GcReport) -> Result<()> {
        let index = self.index()?;
        let spaces = self.all_rows().map_err(sweep_error)?;
        self.packs.refresh().map_err(sweep_error)?;
        for (name, set) in &spaces {
            for (digest, root, time) in set.rows() {
                let known = state.rows.find(name, &digest).map(|row| &state.rows.entries[row]);
                // What seemed broken may only have been newer than the plan's view of the packs.
                if known
                    .is_none_or(|entry| entry.time < time || entry.root != root || entry.fate == Fate::Broken)
                {
                    self.revive(state, name, &digest, &root);
                }
            }
        }
        report.results = self.delete_results(&index, state)?;
        for (name, set) in &spaces {
            let keep = |digest: &Digest| {
                state.rows.find(name, digest).is_none_or(|row| state.rows.entries[row].fate == Fate::Kept)
            };
            let doomed = set.rows().iter().filter(|(digest, _, _)| !keep(digest)).count() as u64;
            if doomed > 0 {
                set.rewrite(&new_id(), keep).map_err(sweep_error)?;
                report.blobs += doomed;
            }
        }
        self.delete_whole(state).map_err(sweep_error)?;
        self.delete_packs(state, compact, report).map_err(sweep_error)
    }

    /// Deletes whole files that nothing needs.
    fn delete_whole(&self, state: &State) -> io::Result<()> {
        for (hash, path, _) in self.whole_files()? {
            if !state.marker.is_live(&hash) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Lets a row live that was to go, or that the plan does not know, if it can be read.
    fn revive(&self, state: &mut State, namespace: &str, digest: &Digest, root: &Root) {
        let whole = state.marker.add(&self.packs, [root], u64::MAX) != Added::Broken;
        if whole && let Some(row) = state.rows.find(namespace, digest) {
            state.rows.entries[row].fate = Fate::Kept;
        }
    }

    fn revive_all(&self, state: &mut State, namespace: &str, reach: &Reach) {
        let rows = self.rows(namespace);
        for digest in &reach.blobs {
            if let Some((root, _)) = rows.find(digest) {
                self.revive(state, namespace, digest, &root);
            }
        }
    }

    /// Deletes the planned results that are still as they were, and lets live what new and surviving ones need.
    fn delete_results(&self, index: &Index, state: &mut State) -> Result<u64> {
        let protected = Protected::read(self, index, state.options.now)?;
        let evicted = std::mem::take(&mut state.evicted);
        let (mut spared, mut doomed) = (Vec::new(), Vec::new());
        for (row, was_incomplete) in evicted {
            let judged_again = was_incomplete || protected.has_result(&row);
            if judged_again && self.is_served(state, index, &row)? {
                spared.push(row);
            } else {
                doomed.push(row);
            }
        }
        let deleted = index.delete_listed(&doomed)?;
        let survivors: &[Listed] = if deleted < doomed.len() { &doomed } else { &[] };
        for row in spared.iter().chain(survivors) {
            if let Some(found) = index.get_result(&row.namespace, &row.key)? {
                let reach = Reach::of_result(self, &row.namespace, &found.payload);
                self.revive_all(state, &row.namespace, &reach);
            }
        }
        for (namespace, digest) in protected.blobs() {
            let reach = Reach { blobs: [*digest].into(), incomplete: false };
            self.revive_all(state, namespace, &reach);
        }
        for namespace in protected.namespaces() {
            for (digest, root, _) in self.rows(namespace).rows() {
                self.revive(state, namespace, &digest, &root);
            }
        }
        let since = state.options.now.saturating_sub(SLACK);
        let mut after = None;
        loop {
            let page = index.list_results(None, after, PAGE)?;
            let old = page.rows.last().is_none_or(|row| row.last_used < since);
            for row in page.rows.iter().take_while(|row| row.last_used >= since) {
                if let Some(found) = index.get_result(&row.namespace, &row.key)? {
                    let reach = Reach::of_result(self, &row.namespace, &found.payload);
                    self.revive_all(state, &row.namespace, &reach);
                }
            }
            after = page.next;
            if old || after.is_none() {
                return Ok(deleted as u64);
            }
        }
    }

    /// Whether everything that a result needs is here, as it is now.
    fn is_served(&self, state: &mut State, index: &Index, row: &Listed) -> Result<bool> {
        let Some(found) = index.get_result(&row.namespace, &row.key)? else { return Ok(false) };
        let reach = Reach::of_result(self, &row.namespace, &found.payload);
        let rows = self.rows(&row.namespace);
        let roots: Vec<Root> =
            reach.blobs.iter().filter_map(|digest| rows.find(digest).map(|(root, _)| root)).collect();
        Ok(!reach.incomplete && state.marker.add(&self.packs, &roots, u64::MAX) != Added::Broken)
    }

    fn delete_packs(&self, state: &State, compact: &HashSet<&str>, report: &mut GcReport) -> io::Result<()> {
        let uses = survey(&self.packs, &state.marker);
        // What was revived since the copies were made is copied now; usually nothing.
        let mut copier = Copier::new(self)?;
        let mut gone = Vec::new();
        for used in uses {
            if used.live_chunks == 0 {
                gone.push(used.pack);
            } else if compact.contains(used.pack.id()) {
                let here = |hash: &larder_core::Hash| {
                    state.marker.is_live(hash)
                        && self.packs.find(hash).is_some_and(|found| found.pack.id() == used.pack.id())
                };
                match copier.pack(&used.pack, &here) {
                    Ok(_) => gone.push(used.pack),
                    Err(error) if ErrorKind::of_io(&error) == ErrorKind::Full => break,
                    Err(error) => return Err(error),
                }
            }
        }
        let copied = copier.finish();
        match copied {
            Ok(bytes) => report.bytes_copied += bytes,
            Err(error) if ErrorKind::of_io(&error) == ErrorKind::Full => {
                gone.retain(|pack| !compact.contains(pack.id()));
            }
            Err(error) => return Err(error),
        }
        for pack in gone {
            fs::remove_file(self.home.join("packs").join(format!("{}.pack", pack.id())))?;
            report.packs_removed += 1;
        }
        Ok(())
    }
}
