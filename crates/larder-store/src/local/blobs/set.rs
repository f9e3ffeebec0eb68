//! All blob rows of one namespace: `blobs/NS/`.
//!
//! Tables are merged when there are many of them ([`RowSet::rewrite`]), so that a look-up asks few.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use larder_core::Digest;
use larder_core::chunk_list::Root;

use super::TAIL_MAGIC;
use super::log::{RowLog, seal_abandoned, write_table};
use super::row::BlobRow;
use crate::local::mapped::Mapped;
use crate::local::table::{self, Row, Table};
use crate::local::{listing, new_id, poison};

/// In a folder that is named by a hash: the namespace.
pub(crate) const NAME_FILE: &str = "namespace";

/// A sorted table of rows.
#[derive(Debug)]
pub(crate) struct RowTable {
    id: String,
    path: PathBuf,
    table: Table,
}

impl RowTable {
    fn open(path: &Path, id: &str) -> io::Result<Self> {
        let file = File::open(path)?;
        let map = if file.metadata()?.len() == 0 { None } else { Some(Mapped::new(&file)?) };
        let table = map
            .and_then(|map| Table::new::<BlobRow>(map, TAIL_MAGIC, 0))
            .ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { id: id.to_owned(), path: path.to_owned(), table })
    }
}

#[derive(Debug, Default)]
struct View {
    logs: Vec<Arc<RowLog>>,
    tables: Vec<Arc<RowTable>>,
}

/// All rows of a namespace.
#[derive(Debug)]
pub(crate) struct RowSet {
    namespace: String,
    folder: PathBuf,
    view: RwLock<View>,
    refreshing: Mutex<bool>,
}

impl RowSet {
    /// The rows below `folder`; nothing is read before the first look-up or refresh.
    pub(crate) fn new(namespace: &str, folder: PathBuf) -> Self {
        let (namespace, view, refreshing) = (namespace.to_owned(), RwLock::default(), Mutex::new(false));
        Self { namespace, folder, view, refreshing }
    }

    /// Where the rows are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder. One whose name is a hash gets a file that tells the namespace, for whoever looks at all of them.
    pub(crate) fn create_folder(&self, tmp: &Path) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let hashed = self.folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with('+'));
        let told = self.folder.join(NAME_FILE);
        if hashed && !told.exists() {
            let new = tmp.join(new_id());
            fs::write(&new, &self.namespace)?;
            fs::rename(&new, told)?;
        }
        Ok(())
    }

    /// The rows of logs that are still being written, which nobody but their writers can change.
    pub(crate) fn live_rows(&self) -> Vec<(Digest, Root, u32)> {
        let logs = self.view.read().unwrap_or_else(poison).logs.clone();
        let opened =
            |row: BlobRow| row.open(&self.namespace).map(|(digest, root)| (digest, root, row.time()));
        logs.iter().flat_map(|log| log.rows()).filter_map(opened).collect()
    }

    /// Takes the first view, if that was not done yet.
    pub(crate) fn ensure(&self) -> io::Result<()> {
        let done = *self.refreshing.lock().unwrap_or_else(poison);
        if done { Ok(()) } else { self.refresh() }
    }

    /// Looks again which rows there are.
    pub(crate) fn refresh(&self) -> io::Result<()> {
        let mut done = self.refreshing.lock().unwrap_or_else(poison);
        let (old_logs, old_tables) = {
            let view = self.view.read().unwrap_or_else(poison);
            (view.logs.clone(), view.tables.clone())
        };
        for _ in 0..listing::PASSES {
            let Some(mut fresh) = self.look(&old_logs, &old_tables)? else { continue };
            let mut view = self.view.write().unwrap_or_else(poison);
            // What this process added meanwhile.
            let added = view.logs.iter().filter(|log| {
                let is_same = |other: &&Arc<RowLog>| other.id() == log.id();
                old_logs.iter().find(is_same).is_none() && fresh.logs.iter().find(is_same).is_none()
            });
            let added: Vec<_> = added.cloned().collect();
            fresh.logs.extend(added);
            fresh.tables.sort_by(|a, b| b.id.cmp(&a.id));
            fresh.logs.sort_by(|a, b| b.id().cmp(a.id()));
            *view = fresh;
            *done = true;
            return Ok(());
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// What is there now; nothing if a file went between listing and opening it.
    fn look(&self, old_logs: &[Arc<RowLog>], old_tables: &[Arc<RowTable>]) -> io::Result<Option<View>> {
        let mut view = View::default();
        for path in listing::files(&self.folder)? {
            let Some(id) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            match path.extension().and_then(|ext| ext.to_str()) {
                Some("table") => {
                    if let Some(known) = old_tables.iter().find(|table| table.id == id) {
                        view.tables.push(known.clone());
                        continue;
                    }
                    match listing::unless_gone(RowTable::open(&path, id)) {
                        Ok(Some(table)) => view.tables.push(Arc::new(table)),
                        Ok(None) => return Ok(None),
                        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                            tracing::warn!(table = id, %error, "a table of blobs cannot be read; its blobs are misses");
                        }
                        Err(error) => return Err(error),
                    }
                }
                Some("rows") => {
                    let known = old_logs.iter().find(|log| log.id() == id).cloned();
                    let log = match known {
                        Some(log) => log,
                        None => match listing::unless_gone(RowLog::read(&path, id))? {
                            Some(log) => Arc::new(log),
                            None => return Ok(None),
                        },
                    };
                    log.tail()?;
                    view.logs.push(log);
                }
                _ => {}
            }
        }
        Ok(Some(view))
    }

    /// Adds a log that this process is writing.
    pub(crate) fn add_log(&self, log: Arc<RowLog>) {
        self.view.write().unwrap_or_else(poison).logs.insert(0, log);
    }

    /// What `digest` is rebuilt from, and when its row was written; `None` if this namespace does not have it.
    pub(crate) fn find(&self, digest: &Digest) -> Option<(Root, u32)> {
        let view = self.view.read().unwrap_or_else(poison);
        let opened = |row: &BlobRow| {
            row.open(&self.namespace).filter(|(found, _)| found == digest).map(|(_, root)| (root, row.time()))
        };
        for log in &view.logs {
            if let Some(found) = log.find(&digest.hash).as_ref().and_then(opened) {
                return Some(found);
            }
        }
        view.tables.iter().find_map(|table| {
            let mut found = None;
            table.table.find(&digest.hash, |row: &BlobRow| {
                found = opened(row);
                found.is_some()
            })?;
            found
        })
    }

    /// Every sound row, each digest once (the newest row of it).
    pub(crate) fn rows(&self) -> Vec<(Digest, Root, u32)> {
        let view = self.view.read().unwrap_or_else(poison);
        let logs = view.logs.iter().flat_map(|log| log.rows());
        let tables = view.tables.iter().flat_map(|table| table.table.rows::<BlobRow>());
        let mut rows: Vec<_> = logs
            .chain(tables)
            .filter_map(|row| row.open(&self.namespace).map(|(digest, root)| (digest, root, row.time())))
            .collect();
        rows.sort_unstable_by_key(|(digest, _, time)| (*digest, std::cmp::Reverse(*time)));
        rows.dedup_by_key(|row| row.0);
        rows
    }

    /// Rows that are not sound, for `verify`.
    pub(crate) fn unsound(&self) -> u64 {
        let view = self.view.read().unwrap_or_else(poison);
        let logs = view.logs.iter().flat_map(|log| log.rows());
        let tables = view.tables.iter().flat_map(|table| table.table.rows::<BlobRow>());
        logs.chain(tables).filter(|row| row.open(&self.namespace).is_none()).count() as u64
    }

    /// Files of tables that are no tables, for `verify`.
    pub(crate) fn unreadable(&self) -> io::Result<Vec<PathBuf>> {
        let known: Vec<PathBuf> =
            self.view.read().unwrap_or_else(poison).tables.iter().map(|table| table.path.clone()).collect();
        let mut unreadable = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let is_table = path.extension().is_some_and(|ext| ext == "table");
            let damaged = |path: &Path| {
                RowTable::open(path, "").is_err_and(|error| error.kind() == io::ErrorKind::InvalidData)
            };
            if is_table && !known.contains(&path) && damaged(&path) {
                unreadable.push(path);
            }
        }
        Ok(unreadable)
    }

    /// Makes a new table of the sound rows of one whose tail is damaged, if its length tells how many it has. Answers
    /// how many there were.
    pub(crate) fn salvage(&self, path: &Path, id: &str) -> io::Result<usize> {
        let bytes = fs::read(path)?;
        let body = bytes.len().saturating_sub(table::TAIL);
        let length = |rows: usize| table::length::<BlobRow>(rows);
        let guess = body / (BlobRow::SIZE + 1);
        let Some(count) = (guess.saturating_sub(guess / 8 + 8)..=guess).find(|&rows| length(rows) == body)
        else {
            return Ok(0);
        };
        let rows = bytes[body - count * BlobRow::SIZE..body].chunks_exact(BlobRow::SIZE).map(BlobRow::decode);
        let sound: Vec<BlobRow> = rows.filter(|row| row.open(&self.namespace).is_some()).collect();
        let found = sound.len();
        write_table(sound, &self.folder.join(format!("{id}.rows")), true)?;
        Ok(found)
    }

    /// Number of tables in this view.
    pub(crate) fn tables(&self) -> usize {
        self.view.read().unwrap_or_else(poison).tables.len()
    }

    /// Turns what dead writers left into tables.
    pub(crate) fn seal_abandoned(&self) -> io::Result<()> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|ext| ext == "rows")
                && let Some(id) = path.file_stem().and_then(|stem| stem.to_str())
            {
                seal_abandoned(&path, id)?;
            }
        }
        Ok(())
    }

    /// Replaces all tables of this view by one named `id` that holds the rows `keep` accepts. Only under the exclusive
    /// GC lock: rows that are appended to a table's place meanwhile would be lost.
    pub(crate) fn rewrite(&self, id: &str, keep: impl Fn(&Digest) -> bool) -> io::Result<()> {
        let tables = self.view.read().unwrap_or_else(poison).tables.clone();
        let mut rows: Vec<BlobRow> = Vec::new();
        let mut newest = std::collections::HashMap::new();
        for table in &tables {
            for row in table.table.rows::<BlobRow>() {
                let Some((digest, _)) = row.open(&self.namespace) else { continue };
                if !keep(&digest) {
                    continue;
                }
                match newest.entry(digest) {
                    std::collections::hash_map::Entry::Vacant(entry) => {
                        entry.insert(rows.len());
                        rows.push(row);
                    }
                    std::collections::hash_map::Entry::Occupied(entry) => {
                        let at: usize = *entry.get();
                        if rows[at].time() < row.time() {
                            rows[at] = row;
                        }
                    }
                }
            }
        }
        write_table(rows, &self.folder.join(format!("{id}.rows")), true)?;
        for table in tables {
            fs::remove_file(&table.path)?;
        }
        self.refresh()
    }
}
