//! The plan: what is kept and what goes.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use larder_core::chunk_list::Root;
use larder_core::{Digest, Error, Result};
use serde::Serialize;

use super::mark::chunk_cost;
use super::{Added, EvictedPart, GcOptions, Marker, Policy, Reach, candidates};
use crate::local::LocalStore;
use crate::local::index::{Index, Listed, PinKind};
use crate::local::pack::sealed::SealedPack;
use crate::local::pack::set::PackSet;
use crate::local::partial::PartialEntry;

/// Bytes that a row of a blob takes in a table.
const ROW_COST: u64 = 88 + 1 + 8;
/// Results listed at a time.
const PAGE: usize = 1000;

/// A result that is to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EvictedResult {
    /// Its namespace.
    pub namespace: String,
    /// Its key, in hex digits.
    pub key: String,
    /// When it was last used, in seconds since 1970.
    pub last_used: u64,
    /// Bytes of its blobs; others may share them.
    pub bytes: u64,
    /// It goes because one of its blobs is gone, not for want of room.
    pub incomplete: bool,
}

/// What happens to a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackAction {
    /// Nothing in it is needed.
    Unlink,
    /// What is needed of it is copied into a new pack.
    Compact,
}

/// A pack that is to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedPack {
    /// Its id.
    pub id: String,
    /// Its bytes.
    pub bytes: u64,
    /// How many of them are needed, about.
    pub live_bytes: u64,
    /// What happens.
    pub action: PackAction,
}

/// What a collection would do; to be looked at, and to be given to [`LocalStore::run_gc`].
#[derive(Debug, Serialize)]
pub struct GcPlan {
    /// The limit that it was made for.
    pub to_size: Option<u64>,
    /// Bytes in the store's folder.
    pub bytes_before: u64,
    /// And afterwards, about.
    pub bytes_after: u64,
    /// The results that go, those first that were not used for the longest time.
    pub results: Vec<EvictedResult>,
    /// How many rows of blobs go.
    pub blobs: u64,
    /// The sizes of those blobs.
    pub blob_bytes: u64,
    /// How many chunks go.
    pub chunks: u64,
    /// The packs that go.
    pub packs: Vec<PlannedPack>,
    /// The partial blobs that go.
    pub partial_blobs: Vec<EvictedPart>,
    #[serde(skip)]
    pub(super) state: State,
}

/// What the sweep needs of the plan.
#[derive(Debug)]
pub(super) struct State {
    pub(super) rows: Rows,
    pub(super) marker: Marker,
    /// The results that go, and whether they go because they are incomplete.
    pub(super) evicted: Vec<(Listed, bool)>,
    pub(super) parts: Vec<PartialEntry>,
    pub(super) options: GcOptions,
}

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    Kept,
    Broken,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) digest: Digest,
    pub(super) root: Root,
    pub(super) time: u32,
    pub(super) fate: Fate,
}

/// The rows of all namespaces as they were when the plan was made, sorted.
#[derive(Debug, Default)]
pub(super) struct Rows {
    spaces: Vec<(String, Range<usize>)>,
    pub(super) entries: Vec<Entry>,
}

impl Rows {
    pub(super) fn find(&self, namespace: &str, digest: &Digest) -> Option<usize> {
        let (_, range) = self.spaces.iter().find(|(name, _)| name == namespace)?;
        let within = &self.entries[range.clone()];
        Some(range.start + within.binary_search_by(|entry| entry.digest.cmp(digest)).ok()?)
    }

    /// Marks what the rows need if it is all here and fits.
    fn keep(&mut self, marker: &mut Marker, packs: &PackSet, rows: &[usize], room: u64) -> Added {
        let fresh: Vec<usize> =
            rows.iter().copied().filter(|&row| self.entries[row].fate != Fate::Kept).collect();
        if fresh.iter().any(|&row| self.entries[row].fate == Fate::Broken) {
            return Added::Broken;
        }
        let overhead = fresh.len() as u64 * ROW_COST;
        if overhead > room {
            return Added::TooLarge;
        }
        let roots = fresh.iter().map(|&row| &self.entries[row].root);
        let added = marker.add(packs, roots, room - overhead);
        match added {
            Added::Whole(bytes) => {
                fresh.iter().for_each(|&row| self.entries[row].fate = Fate::Kept);
                Added::Whole(bytes + overhead)
            }
            Added::Broken if fresh.len() == 1 => {
                self.entries[fresh[0]].fate = Fate::Broken;
                added
            }
            _ => added,
        }
    }
}

/// Something that is kept or goes as a whole.
struct Item {
    time: u64,
    bytes: u64,
    rows: Vec<usize>,
    result: Option<Listed>,
    protected: bool,
    incomplete: bool,
}

/// Everything that is kept whatever the budget says, as far as the index knows it.
#[derive(Debug, Default)]
pub(super) struct Protected {
    keys: HashSet<(String, Vec<u8>)>,
    namespaces: HashSet<String>,
    blobs: Vec<(String, Digest)>,
}

impl Protected {
    pub(super) fn read(store: &LocalStore, index: &Index, now: u64) -> Result<Self> {
        let mut protected = Self::default();
        for pin in index.pins(None)? {
            match pin.kind {
                PinKind::Result => {
                    protected.keys.insert((pin.namespace, pin.key));
                }
                PinKind::Blob => protected.name(store, pin.namespace, pin.key),
            }
        }
        for root in index.roots(None)? {
            protected.name(store, root.namespace, root.digest);
        }
        for lease in index.leases(now)? {
            match lease.digests {
                None => {
                    protected.namespaces.insert(lease.namespace);
                }
                Some(digests) => {
                    for digest in digests {
                        protected.name(store, lease.namespace.clone(), digest);
                    }
                }
            }
        }
        Ok(protected)
    }

    /// What is named may be a blob or the key of a result.
    fn name(&mut self, store: &LocalStore, namespace: String, named: Vec<u8>) {
        let mut reach = Reach::default();
        for digest in candidates(&named) {
            reach.of_named(store, &namespace, &digest);
        }
        self.blobs.extend(reach.blobs.into_iter().map(|digest| (namespace.clone(), digest)));
        self.keys.insert((namespace, named));
    }

    pub(super) fn has_result(&self, row: &Listed) -> bool {
        self.namespaces.contains(&row.namespace)
            || self.keys.contains(&(row.namespace.clone(), row.key.clone()))
    }

    pub(super) fn namespaces(&self) -> &HashSet<String> {
        &self.namespaces
    }

    pub(super) fn blobs(&self) -> &[(String, Digest)] {
        &self.blobs
    }
}

fn plan_error(error: io::Error) -> Error {
    Error::from_io(error, "plan a collection")
}

impl LocalStore {
    /// Looks at everything and says what a collection would do. Deletes nothing.
    ///
    /// # Errors
    /// When the store or its index cannot be read.
    pub fn plan_gc(&self, options: &GcOptions) -> Result<GcPlan> {
        self.flush()?;
        let index = self.index()?;
        let mut rows = Rows::default();
        let mut forced: Vec<usize> = Vec::new();
        let protected = Protected::read(self, &index, options.now)?;
        let young = options.now.saturating_sub(options.grace.as_secs());
        for (name, set) in self.all_rows().map_err(plan_error)? {
            let start = rows.entries.len();
            let all = protected.namespaces.contains(&name);
            for (digest, root, time) in set.rows() {
                if all || (u64::from(time) > young && !options.grace.is_zero()) {
                    forced.push(rows.entries.len());
                }
                rows.entries.push(Entry { digest, root, time, fate: Fate::Open });
            }
            rows.spaces.push((name.clone(), start..rows.entries.len()));
            forced.extend(set.live_rows().iter().filter_map(|(digest, _, _)| rows.find(&name, digest)));
        }
        // After the rows: so every chunk that a row needs can be in the view.
        self.packs.refresh().map_err(plan_error)?;
        forced.extend(protected.blobs.iter().filter_map(|(name, digest)| rows.find(name, digest)));
        let items = self.items(&index, &rows, &protected)?;
        let mut marker = Marker::default();
        for row in forced {
            rows.keep(&mut marker, &self.packs, &[row], u64::MAX);
        }
        let sizes = self.sizes().map_err(plan_error)?;
        let parts = self.choose_parts(options, sizes.total())?;
        let freed: u64 = parts.iter().map(|entry| entry.allocated).sum();
        let fixed = sizes.total().saturating_sub(sizes.packs + sizes.blobs + sizes.whole + freed);
        let evicted = self.choose(&mut rows, &mut marker, items, options, fixed);
        Ok(self.told(rows, marker, evicted, parts, *options, sizes.total()))
    }

    /// All results, and all blobs that no whole result reaches, the most worth keeping first.
    fn items(&self, index: &Index, rows: &Rows, protected: &Protected) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        let mut reached = vec![false; rows.entries.len()];
        let mut after = None;
        loop {
            let page = index.list_results(None, after, PAGE)?;
            for listed in page.rows {
                let Some(row) = index.get_result(&listed.namespace, &listed.key)? else { continue };
                let reach = Reach::of_result(self, &listed.namespace, &row.payload);
                let found: Vec<usize> =
                    reach.blobs.iter().filter_map(|digest| rows.find(&listed.namespace, digest)).collect();
                let incomplete = reach.incomplete || found.len() < reach.blobs.len();
                if !incomplete {
                    found.iter().for_each(|&row| reached[row] = true);
                }
                items.push(Item {
                    time: listed.last_used,
                    bytes: reach.blobs.iter().map(|digest| digest.size).sum(),
                    rows: found,
                    protected: protected.has_result(&listed),
                    result: Some(listed),
                    incomplete,
                });
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let alone = rows.entries.iter().enumerate().filter(|(row, _)| !reached[*row]);
        items.extend(alone.map(|(row, entry)| Item {
            time: u64::from(entry.time),
            bytes: entry.digest.size,
            rows: vec![row],
            result: None,
            protected: false,
            incomplete: false,
        }));
        Ok(items)
    }

    /// Walks the items and answers the results that go.
    fn choose(
        &self,
        rows: &mut Rows,
        marker: &mut Marker,
        mut items: Vec<Item>,
        options: &GcOptions,
        fixed: u64,
    ) -> Vec<(Listed, EvictedResult)> {
        match options.policy {
            Policy::Lru => items.sort_by_key(|item| (!item.protected, std::cmp::Reverse(item.time))),
            Policy::LargestFirst => items.sort_by_key(|item| (!item.protected, item.bytes)),
        }
        let oldest = options.older_than.map_or(0, |age| options.now.saturating_sub(age.as_secs()));
        let kept = rows.entries.iter().filter(|entry| entry.fate == Fate::Kept).count() as u64;
        let mut used = fixed + marker.bytes() + kept * ROW_COST;
        let mut full = false;
        let mut evicted = Vec::new();
        for item in items {
            let room = match options.to_size {
                _ if item.protected => u64::MAX,
                None => u64::MAX,
                Some(_) if full => 0,
                Some(size) => size.saturating_sub(used),
            };
            let expired = item.time < oldest && !item.protected;
            let added = if expired || item.incomplete {
                Added::TooLarge
            } else {
                rows.keep(marker, &self.packs, &item.rows, room)
            };
            match added {
                Added::Whole(bytes) => {
                    used += bytes;
                    continue;
                }
                Added::TooLarge => full |= !expired && !item.incomplete,
                Added::Broken => {}
            }
            if let Some(listed) = item.result {
                let told = EvictedResult {
                    namespace: listed.namespace.clone(),
                    key: hex(&listed.key),
                    last_used: listed.last_used,
                    bytes: item.bytes,
                    incomplete: item.incomplete || added == Added::Broken,
                };
                evicted.push((listed, told));
            }
        }
        evicted.reverse();
        evicted
    }

    fn told(
        &self,
        rows: Rows,
        marker: Marker,
        evicted: Vec<(Listed, EvictedResult)>,
        parts: Vec<PartialEntry>,
        options: GcOptions,
        bytes_before: u64,
    ) -> GcPlan {
        let gone = || rows.entries.iter().filter(|entry| entry.fate != Fate::Kept);
        let (blobs, blob_bytes) = (gone().count() as u64, gone().map(|entry| entry.digest.size).sum());
        let uses = survey(&self.packs, &marker);
        let chunks = uses.iter().map(|used| used.dead_chunks).sum();
        let dead_files = self.whole_files().unwrap_or_default();
        let dead_files: u64 =
            dead_files.iter().filter(|(hash, ..)| !marker.is_live(hash)).map(|(_, _, size)| size).sum();
        let partial_blobs: Vec<EvictedPart> = parts.iter().map(EvictedPart::from).collect();
        let part_bytes: u64 = partial_blobs.iter().map(|part| part.bytes).sum();
        let row_bytes = blobs * ROW_COST + dead_files + part_bytes;
        let (packs, bytes_after) =
            choose_packs(&uses, bytes_before.saturating_sub(row_bytes), options.to_size);
        let (evicted, results) =
            evicted.into_iter().map(|(listed, told)| ((listed, told.incomplete), told)).unzip();
        let to_size = options.to_size;
        let state = State { rows, marker, evicted, parts, options };
        GcPlan {
            to_size,
            bytes_before,
            bytes_after,
            results,
            blobs,
            blob_bytes,
            chunks,
            packs,
            partial_blobs,
            state,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// How much of a pack is needed.
pub(super) struct PackUse {
    pub(super) pack: Arc<SealedPack>,
    pub(super) live_chunks: u64,
    live_bytes: u64,
    dead_chunks: u64,
}

/// What is needed of each sealed pack. Of a chunk that is in several packs, the copy that a look-up finds is needed.
pub(super) fn survey(packs: &PackSet, marker: &Marker) -> Vec<PackUse> {
    let sealed = packs.sealed();
    let one = sealed.len() == 1 && packs.open().is_empty();
    let survey_one = |pack: Arc<SealedPack>| {
        let (mut live_chunks, mut live_bytes, mut dead_chunks) = (0, 0, 0);
        for row in pack.rows() {
            let wanted = marker.is_live(&row.hash)
                && (one && !pack.is_bad(&row.hash)
                    || packs.find(&row.hash).is_some_and(|found| found.pack.id() == pack.id()));
            match pack.frame(row.frame) {
                Some(frame) if wanted => {
                    live_chunks += 1;
                    live_bytes += chunk_cost(&frame, row.length);
                }
                _ => dead_chunks += 1,
            }
        }
        PackUse { pack, live_chunks, live_bytes, dead_chunks }
    };
    sealed.into_iter().map(survey_one).collect()
}

/// Which packs go, and the bytes that then remain of `total`.
fn choose_packs(uses: &[PackUse], mut total: u64, to_size: Option<u64>) -> (Vec<PlannedPack>, u64) {
    let mut planned = Vec::new();
    let mut rest: Vec<&PackUse> = Vec::new();
    let mut take = |used: &PackUse, total: &mut u64| {
        let size = used.pack.size();
        let action = if used.live_chunks == 0 { PackAction::Unlink } else { PackAction::Compact };
        *total = total.saturating_sub(size.saturating_sub(used.live_bytes));
        planned.push(PlannedPack {
            id: used.pack.id().to_owned(),
            bytes: size,
            live_bytes: used.live_bytes,
            action,
        });
    };
    for used in uses {
        let mostly_dead = used.live_bytes < used.pack.size() / 2;
        if used.live_chunks == 0 || mostly_dead || used.pack.has_bad() {
            take(used, &mut total);
        } else {
            rest.push(used);
        }
    }
    let dead = |used: &PackUse| used.pack.size().saturating_sub(used.live_bytes);
    rest.sort_by_key(|used| std::cmp::Reverse(dead(used)));
    for used in rest {
        let worth = used.dead_chunks > 0 && dead(used) > used.pack.size() / 20;
        if to_size.is_some_and(|size| total > size) && worth {
            take(used, &mut total);
        }
    }
    (planned, total)
}
