//! What is kept of layers, whoever reads them: listed, collected, checked against the tables that are in the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use larder_core::{Digest, Error, Result};
use larder_oci::toc::LayerToc;
use larder_reapi::{ActionResult, Message};
use larder_store::Store;
use larder_store::envelope::{digest_bytes, payload_unjudged};
use larder_store::local::gc::GcOptions;
use larder_store::local::index::{Index, Origin, PinKind};
use larder_store::local::partial::PartialEntry;
use larder_store::message;
use serde::Serialize;

use super::indexer::{LARGEST_TABLE, OUTPUT};
use super::spans::{forget_wrong, tar_digest};

/// Results listed at a time.
const PAGE: usize = 1000;

/// A layer of which something is kept.
#[derive(Clone, Debug)]
pub struct KeptLayer {
    /// Its tar stream.
    pub tar: Digest,
    /// How many bytes of it are here.
    pub present: u64,
    /// What that takes on the disk; of a whole one its size, since what is shared and compressed is nobody's.
    pub bytes: u64,
    /// When it was last used.
    pub used: SystemTime,
    /// All of it is here, as a blob of the store.
    pub whole: bool,
    /// It stays until it is unpinned.
    pub pinned: bool,
    parts: Option<PartialEntry>,
}

/// A table that is in the store, and whose tar stream it is of.
struct KnownTable {
    namespace: String,
    is_built: bool,
    toc: Digest,
}

fn index(store: &Store) -> Result<&Index> {
    store.index().map_err(|error| Error::new(error.kind(), "use the index").caused_by(error))
}

/// Calls `visit` with each table that is in the store, in any namespace. Whether anybody believes it is not asked.
fn each_table(store: &Store, visit: &mut dyn FnMut(&KnownTable, LayerToc)) -> Result<()> {
    let index = index(store)?;
    let mut after = None;
    loop {
        let page = index.list_results(None, after, PAGE)?;
        for row in page.rows {
            let Some(found) = index.get_result(&row.namespace, &row.key)? else { continue };
            let result =
                payload_unjudged(&found.payload).ok().and_then(|bytes| ActionResult::decode(bytes).ok());
            let output =
                result.iter().flat_map(|result| &result.output_files).find(|file| file.path == OUTPUT);
            let Some(named) = output.and_then(|file| file.digest.as_ref()) else { continue };
            let Some(toc) = message::from_message(larder_core::DigestFunction::Blake3, named) else {
                continue;
            };
            let table = KnownTable { is_built: found.origin == Origin::Built, namespace: row.namespace, toc };
            if let Some(opened) = open(store, &table) {
                visit(&table, opened);
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

fn open(store: &Store, table: &KnownTable) -> Option<LayerToc> {
    let bytes = store.local_store().get(&table.namespace, &table.toc, LARGEST_TABLE).ok()?;
    LayerToc::open(Arc::new(Bytes::from(bytes))).ok()
}

/// All layers of which something is kept in the store's namespace, the least recently used first.
///
/// # Errors
/// When the store or its index cannot be read.
pub fn kept_layers(store: &Store) -> Result<Vec<KeptLayer>> {
    let (local, namespace) = (store.local_store(), store.namespace());
    let mut kept = Vec::new();
    for entry in local.partial_blobs(Some(namespace))? {
        let present = entry.open().map_or(0, |parts| parts.present());
        let (tar, bytes, used, pinned) = (entry.digest, entry.allocated, entry.used, entry.pinned);
        kept.push(KeptLayer { tar, present, bytes, used, whole: false, pinned, parts: Some(entry) });
    }
    let mut tars = Vec::new();
    each_table(store, &mut |table, toc| {
        if table.namespace == namespace {
            tars.extend(tar_digest(toc.info()));
        }
    })?;
    tars.sort_unstable();
    tars.dedup();
    let missing = store.find_missing(&tars)?;
    let pins = index(store)?.pins(Some(namespace))?;
    for tar in tars.into_iter().filter(|tar| !missing.contains(tar)) {
        let used = UNIX_EPOCH + Duration::from_secs(local.blob_time(namespace, &tar).unwrap_or_default());
        let is_it = |pin: &larder_store::local::index::Pin| {
            pin.kind == PinKind::Blob && pin.key == digest_bytes(&tar)
        };
        let pinned = pins.iter().any(is_it);
        kept.push(KeptLayer {
            tar,
            present: tar.size,
            bytes: tar.size,
            used,
            whole: true,
            pinned,
            parts: None,
        });
    }
    kept.sort_by_key(|layer| layer.used);
    Ok(kept)
}

/// Removes what is kept of these layers.
///
/// # Errors
/// `Busy` when others write to the store all the time, and what the file system answers.
pub fn remove_layers(store: &Store, layers: &[KeptLayer]) -> Result<()> {
    let local = store.local_store();
    for parts in layers.iter().filter_map(|layer| layer.parts.as_ref()) {
        local.remove_partial_blob(parts)?;
    }
    let whole: Vec<Digest> = layers.iter().filter(|layer| layer.whole).map(|layer| layer.tar).collect();
    if !whole.is_empty() && local.forget_blobs(store.namespace(), &whole)? > 0 {
        // Only what nothing needs any more goes.
        local.gc(&GcOptions::default())?;
    }
    Ok(())
}

/// What a check of the parts of layers found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PartsReport {
    /// Layers of which parts are kept.
    pub layers: u64,
    /// Bytes that were checked.
    pub bytes: u64,
    /// Layers whose parts could not be checked, since no table of them is here. They are checked when they are read.
    pub unchecked: u64,
    /// Layers with parts that are not what their tables say. Those parts are fetched again when they are wanted.
    pub damaged: Vec<String>,
}

/// Checks all parts of layers, in all namespaces, against the tables that are here; `repair` forgets what is wrong.
///
/// # Errors
/// When the store or its index cannot be read.
pub fn verify_parts(store: &Store, repair: bool) -> Result<PartsReport> {
    let local = store.local_store();
    let mut report = PartsReport::default();
    let mut tables: HashMap<(String, Digest), KnownTable> = HashMap::new();
    if local.partial_blobs(None)?.is_empty() {
        return Ok(report);
    }
    each_table(store, &mut |table, toc| {
        let Some(tar) = tar_digest(toc.info()) else { return };
        let known = tables.entry((table.namespace.clone(), tar));
        let fresh = KnownTable { namespace: table.namespace.clone(), ..*table };
        match known {
            std::collections::hash_map::Entry::Vacant(entry) => drop(entry.insert(fresh)),
            // One that was made here knows best.
            std::collections::hash_map::Entry::Occupied(mut entry) if fresh.is_built => {
                drop(entry.insert(fresh))
            }
            std::collections::hash_map::Entry::Occupied(_) => {}
        }
    })?;
    report.layers = local.partial_blobs(None)?.len() as u64;
    let mut checked = 0;
    for ((namespace, tar), table) in &tables {
        let entries = local.partial_blobs(Some(namespace))?;
        let Some(entry) = entries.iter().find(|entry| entry.digest == *tar) else { continue };
        let (Some(toc), Ok(parts)) = (open(store, table), entry.open()) else { continue };
        checked += 1;
        report.bytes += parts.present();
        let wrong = if repair { forget_wrong(&parts, &toc) } else { super::spans::wrong(&parts, &toc).len() };
        if wrong > 0 {
            report.damaged.push(tar.to_string());
        }
    }
    report.unchecked = report.layers.saturating_sub(checked);
    report.damaged.sort();
    Ok(report)
}
