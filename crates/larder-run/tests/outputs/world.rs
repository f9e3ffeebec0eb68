//! A project in a temporary folder, a store in memory, and a description of a tree to compare.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use larder_core::{Digest, DigestFunction};
use larder_run::outputs::capture::{Captured, capture, snapshot};
use larder_run::outputs::clean::{Cleaned, clean};
use larder_run::outputs::restore::{Restored, restore};
use larder_run::outputs::scan::Needles;
use larder_run::outputs::{
    BoxError, FileStat, Folder, Git, Holds, Known, OutputSpec, Owned, Result, Root, Scope, Sink, Snapshot,
    Source, own,
};

#[derive(Default)]
pub(crate) struct MemoryStore(pub(crate) Mutex<HashMap<Digest, Vec<u8>>>);

impl Sink for MemoryStore {
    fn put(&self, mut file: &File, size: u64, scan: &mut dyn FnMut(&[u8])) -> Result<Digest, BoxError> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.take(size).read_to_end(&mut bytes)?;
        bytes.chunks(7).for_each(scan);
        let digest = Digest::blake3(&bytes);
        self.0.lock().unwrap().insert(digest, bytes);
        Ok(digest)
    }
}

impl Source for MemoryStore {
    fn write_to(&self, digest: &Digest, mut out: &File) -> Result<(), BoxError> {
        let bytes = self.0.lock().unwrap().get(digest).cloned().ok_or("missing")?;
        Ok(out.write_all(&bytes)?)
    }
}

impl Holds for MemoryStore {
    fn holds_all(&self, digests: &[Digest]) -> bool {
        let held = self.0.lock().unwrap();
        digests.iter().all(|digest| held.contains_key(digest))
    }
}

pub(crate) struct NothingKnown;

impl Known for NothingKnown {
    fn digest_if_clean(&self, _: &[u8], _: &FileStat) -> Option<Digest> {
        None
    }
}

pub(crate) struct World {
    _tmp: Option<tempfile::TempDir>,
    pub(crate) project: PathBuf,
    pub(crate) outside: PathBuf,
    pub(crate) root: Root,
    pub(crate) state: Root,
    pub(crate) store: MemoryStore,
    pub(crate) git: Git,
    pub(crate) spec: OutputSpec,
    pub(crate) owned: Owned,
    pub(crate) inputs: Vec<Vec<u8>>,
}

impl World {
    pub(crate) fn new(patterns: &[&str]) -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let mut world = Self::at(tmp.path(), patterns);
        world._tmp = Some(tmp);
        world
    }

    /// In a folder that someone else removes.
    pub(crate) fn at(folder: &Path, patterns: &[&str]) -> Self {
        let project = folder.join("project");
        let outside = folder.join("outside");
        fs::create_dir_all(project.join(".larder/state")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        let patterns: Vec<String> = patterns.iter().map(|&text| text.to_owned()).collect();
        Self {
            root: Root::open(&project).unwrap(),
            state: Root::open(&project.join(".larder/state")).unwrap(),
            store: MemoryStore::default(),
            git: Git::new(&project),
            spec: OutputSpec::new(Path::new(""), &patterns).unwrap(),
            owned: Owned::default(),
            inputs: Vec::new(),
            _tmp: None,
            project,
            outside,
        }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.project.join(path)
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    pub(crate) fn git(&self, arguments: &[&str]) {
        let done = Command::new("git").args(arguments).current_dir(&self.project).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    pub(crate) fn with_scope<T>(&self, act: impl FnOnce(&Scope<'_>) -> T) -> T {
        act(&Scope {
            root: &self.root,
            state: &self.state,
            spec: &self.spec,
            owned: &self.owned,
            tracked: &self.git,
            is_input: &|path| self.inputs.iter().any(|input| input == path),
            run: "run-1",
            recipe: "app:build",
        })
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        snapshot(&self.root, &self.spec, &self.owned).unwrap()
    }

    pub(crate) fn capture(&self, before: &Snapshot) -> Result<Captured> {
        let needles = Needles::new([self.project.as_os_str().as_bytes()]);
        capture(&self.root, &self.spec, &self.owned, before, &needles, &self.store)
    }

    /// Captures, records, and gives the tree as another machine would read it.
    pub(crate) fn record(&mut self) -> Folder {
        let captured = self.capture(&Snapshot::default()).unwrap();
        self.owned = own(&self.spec, &captured.tree, &captured.stats);
        let message = captured.tree.to_message(DigestFunction::Blake3);
        let decoded = Folder::from_message(DigestFunction::Blake3, &message).unwrap();
        assert_eq!(decoded.to_message(DigestFunction::Blake3), message);
        decoded
    }

    pub(crate) fn restore(&self, tree: &Folder) -> Result<Restored> {
        self.with_scope(|scope| restore(scope, tree, &self.store, &NothingKnown, &self.store))
    }

    pub(crate) fn clean(&self) -> Result<Option<String>> {
        self.with_scope(|scope| clean(scope).and_then(|cleaned: Cleaned<'_>| cleaned.finish(&self.store)))
    }

    /// Nothing is left in the state folder but what is kept.
    pub(crate) fn assert_tidy(&self) {
        let tmp = self.path(".larder/state/tmp");
        let left: Vec<_> =
            fs::read_dir(&tmp).map(|d| d.map(|e| e.unwrap().file_name()).collect()).unwrap_or_default();
        assert!(left.is_empty(), "left in tmp: {left:?}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // So that the temporary folder can be removed by whoever is not root.
        let _ = Command::new("chmod").args(["-R", "u+rwx"]).arg(&self.project).output();
    }
}

/// Kind, mode and content of everything below `root` except Larder's and git's folders.
pub(crate) fn describe(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    describe_into(root, Path::new(""), &mut all);
    all
}

fn describe_into(root: &Path, below: &Path, all: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let name = entry.unwrap().file_name();
        if name == OsStr::new(".larder") || name == OsStr::new(".git") {
            continue;
        }
        let path = below.join(name);
        let full = root.join(&path);
        let meta = full.symlink_metadata().unwrap();
        let mode = meta.permissions().mode() & 0o7777;
        let text = if meta.is_symlink() {
            format!("link {:?}", fs::read_link(&full).unwrap())
        } else if meta.is_dir() {
            describe_into(root, &path, all);
            format!("dir {mode:o}")
        } else {
            format!("file {mode:o} {} {:?}", meta.size(), fs::read(&full).ok())
        };
        all.insert(path, text);
    }
}
