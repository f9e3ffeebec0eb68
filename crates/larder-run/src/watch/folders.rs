//! [`Folders`]: the operating system rings the bell when something happens in one of a set of folders.
//!
//! Each folder is watched for itself, not with what is below it: which ones matter is known. A watch belongs to a folder, not to a path, so it is made
//! anew when its path may lead to another folder: when the path or one above it was renamed, removed or made, when events were lost, and when
//! the folder there has another inode. While the root itself is not there nothing is known of any path: the watches stay as they are, and all are made anew
//! when it is back. Whether it is the same root is a question for [`Worktree::is_at`](crate::worktree::Worktree::is_at).
//!
//! When the limit of watches is reached, or there is no way to watch at all, the rest is left unwatched and [`Folders::trouble`] says so: then one polls.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::bell::Bell;

/// More paths than this that may lead elsewhere count as all.
const MOST_DOUBTED: usize = 1_000;

/// Why not every change rings.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Trouble {
    /// The user's limit of watches is reached.
    #[error("the system's limit of watched folders is reached")]
    Limit,
    /// There can be no watches.
    #[error("changes cannot be watched: {0}")]
    Impossible(String),
}

impl Trouble {
    /// What can be done.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Limit => Some(
                "raise it: `sysctl fs.inotify.max_user_watches=524288` (and `fs.inotify.max_user_instances`), for good in /etc/sysctl.d",
            ),
            Self::Impossible(_) => None,
        }
    }
}

/// Paths that may lead to another folder than when they were watched.
#[derive(Debug, Default)]
struct Doubted {
    paths: BTreeSet<PathBuf>,
    all: bool,
}

/// See the module's header.
#[derive(Debug)]
pub struct Folders {
    root: PathBuf,
    bell: Bell,
    watcher: Option<RecommendedWatcher>,
    /// By path from the root; the folder's device and inode.
    watched: BTreeMap<PathBuf, (u64, u64)>,
    doubted: Arc<Mutex<Doubted>>,
    trouble: Option<Trouble>,
}

fn lock(doubted: &Mutex<Doubted>) -> MutexGuard<'_, Doubted> {
    doubted.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an event says that something may be different. Being opened and read is not: looking does that.
fn is_news(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
}

fn hear(event: notify::Result<notify::Event>, bell: &Bell, doubted: &Mutex<Doubted>) {
    match event {
        Ok(event) if !event.need_rescan() && !is_news(event.kind) => return,
        Ok(event) => {
            let moves = matches!(
                event.kind,
                EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
            );
            let mut doubted = lock(doubted);
            if event.need_rescan() || doubted.paths.len() > MOST_DOUBTED {
                doubted.all = true;
                doubted.paths.clear();
            } else if moves && !doubted.all {
                doubted.paths.extend(event.paths);
            }
        }
        Err(error) => {
            tracing::debug!(%error, "events may be lost");
            lock(doubted).all = true;
        }
    }
    bell.ring();
}

impl Folders {
    /// None yet, of the project at `root`. Without `watches` there never are any: the caller polls.
    #[must_use]
    pub fn new(root: &Path, bell: Bell, watches: bool) -> Self {
        let doubted = Arc::new(Mutex::new(Doubted::default()));
        let (its_bell, its_doubted) = (bell.clone(), Arc::clone(&doubted));
        let mut trouble = None;
        let watcher = watches
            .then(|| notify::recommended_watcher(move |event| hear(event, &its_bell, &its_doubted)))
            .and_then(|watcher| {
                watcher.map_err(|error| trouble = Some(Trouble::Impossible(error.to_string()))).ok()
            });
        Self { root: root.to_owned(), bell, watcher, watched: BTreeMap::new(), doubted, trouble }
    }

    /// The bell that rings.
    #[must_use]
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// How many are watched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.watched.len()
    }

    /// None is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    /// Why not every change rings, if so.
    #[must_use]
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// What was watched may be elsewhere by now: the next [`Self::keep`] watches all anew.
    pub fn doubt(&self) {
        lock(&self.doubted).all = true;
    }

    /// From now on these (from the root) ring, and no others; what is no folder is passed over. Whether one was added or made anew: what was
    /// seen of it before does not count.
    pub fn keep(&mut self, wanted: &BTreeSet<PathBuf>) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let doubted = std::mem::take(&mut *lock(&self.doubted));
        let is_doubted =
            |path: &Path| doubted.all || path.ancestors().any(|above| doubted.paths.contains(above));
        let mut add = Vec::new();
        let mut stale: BTreeSet<PathBuf> =
            self.watched.keys().filter(|path| !wanted.contains(*path)).cloned().collect();
        for path in wanted {
            let whole = self.root.join(path);
            let there = std::fs::symlink_metadata(&whole).ok().filter(std::fs::Metadata::is_dir);
            let now = there.map(|there| (there.dev(), there.ino()));
            let known = self.watched.get(path).copied();
            if known.is_some() && (known != now || is_doubted(&whole)) {
                stale.insert(path.clone());
            }
            if let Some(now) = now
                && (known.is_none() || stale.contains(path))
            {
                add.push((path.clone(), whole, now));
            }
        }
        if !std::fs::metadata(&self.root).is_ok_and(|root| root.is_dir()) {
            self.doubt();
            self.bell.ring();
            return false;
        }
        // First these: a watch on a renamed folder and one on its new name would be one.
        for path in stale {
            self.watched.remove(&path);
            if let Err(error) = watcher.unwatch(&self.root.join(&path)) {
                tracing::trace!(path = %path.display(), %error, "it was not watched any more");
            }
        }
        let mut added = false;
        for (path, whole, now) in add {
            match watcher.watch(&whole, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(path, now);
                    added = true;
                }
                Err(error) => match error.kind {
                    // It has gone meanwhile, which rang.
                    ErrorKind::PathNotFound => self.bell.ring(),
                    ErrorKind::MaxFilesWatch => {
                        self.trouble = Some(Trouble::Limit);
                        break;
                    }
                    _ => self.trouble = Some(Trouble::Impossible(error.to_string())),
                },
            }
        }
        added
    }
}

/// Whether `path` is on a file system that others may change without this machine being told.
#[must_use]
pub fn is_remote(path: &Path) -> bool {
    // NFS, SMB, CIFS, SMB 2, 9P, Ceph, AFS, FUSE (it cannot be told what is behind it).
    const REMOTE: [i64; 8] =
        [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997, 0x00c3_6400, 0x5346_414f, 0x6573_5546];
    rustix::fs::statfs(path).is_ok_and(|about| REMOTE.contains(&(about.f_type & 0xffff_ffff)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::fs;
    use std::time::Duration;

    use notify::event::Flag;

    use super::*;
    use crate::process::CancelToken;
    use crate::watch::Woken;

    struct Fixture {
        folder: tempfile::TempDir,
        folders: Folders,
        cancel: CancelToken,
    }

    fn set(paths: &[&str]) -> BTreeSet<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    impl Fixture {
        fn new(made: &[&str]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            made.iter().for_each(|path| fs::create_dir_all(folder.path().join(path)).unwrap());
            let folders = Folders::new(folder.path(), Bell::new().unwrap(), true);
            Self { folder, folders, cancel: CancelToken::new().unwrap() }
        }

        fn rings(&self) -> bool {
            self.folders.bell().wait(&self.cancel, Some(Duration::from_secs(2))) == Woken::Rung
        }

        fn is_quiet(&self) -> bool {
            self.folders.bell().wait(&self.cancel, Some(Duration::from_millis(200))) == Woken::TimedOut
        }

        fn write(&self, path: &str) {
            fs::write(self.folder.path().join(path), path).unwrap();
        }
    }

    #[test]
    fn only_what_is_wanted_rings_and_looking_does_not() {
        let mut f = Fixture::new(&["a/b", "c"]);
        assert!(f.folders.keep(&set(&["", "a", "gone"])));
        assert!(!f.folders.keep(&set(&["", "a", "gone"])));
        assert_eq!(f.folders.len(), 2);
        f.write("a/file");
        assert!(f.rings());
        fs::read_dir(f.folder.path().join("a")).unwrap().for_each(drop);
        fs::read(f.folder.path().join("a/file")).unwrap();
        f.write("c/file");
        f.write("a/b/file");
        assert!(f.is_quiet());
        assert!(!f.folders.keep(&set(&[""])));
        f.write("a/file");
        assert!(f.is_quiet());
    }

    #[test]
    fn a_folder_that_is_another_now_is_watched_anew() {
        let mut f = Fixture::new(&["a/b", "x/b"]);
        let all = set(&["", "a", "a/b"]);
        assert!(f.folders.keep(&all));
        let at = |path: &str| f.folder.path().join(path);
        // Renamed, and another in its place; removed and made again, mostly with the same number.
        fs::rename(at("a"), at("old")).unwrap();
        fs::rename(at("x"), at("a")).unwrap();
        assert!(f.rings());
        assert!(f.folders.keep(&all));
        f.write("a/b/file");
        assert!(f.rings());
        f.write("old/b/file");
        assert!(f.is_quiet());
        let at = |path: &str| f.folder.path().join(path);
        fs::remove_dir_all(at("a/b")).unwrap();
        fs::create_dir(at("a/b")).unwrap();
        assert!(f.rings());
        assert!(f.folders.keep(&all));
        f.write("a/b/file");
        assert!(f.rings());
    }

    /// The queue of events was full: nothing is known any more of what a watch belongs to.
    #[test]
    fn lost_events_ring_and_all_is_watched_anew() {
        let mut f = Fixture::new(&["a"]);
        let all = set(&["", "a"]);
        assert!(f.folders.keep(&all));
        hear(
            Ok(notify::Event::new(EventKind::Other).set_flag(Flag::Rescan)),
            f.folders.bell(),
            &f.folders.doubted,
        );
        assert!(f.rings());
        assert!(f.folders.keep(&all));
        f.write("a/file");
        assert!(f.rings());
    }

    /// A folder above the root can be renamed, which no watch tells: nothing is forgotten while there is no root.
    #[test]
    fn a_root_that_was_away_is_watched_anew() {
        let mut f = Fixture::new(&["above/root/a"]);
        let (above, away) = (f.folder.path().join("above"), f.folder.path().join("away"));
        f.folders = Folders::new(&above.join("root"), Bell::new().unwrap(), true);
        let all = set(&["", "a"]);
        assert!(f.folders.keep(&all));
        fs::rename(&above, &away).unwrap();
        assert!(!f.folders.keep(&all) && f.folders.len() == 2);
        assert!(f.rings(), "it is said that somebody has to look again");
        fs::rename(&away, &above).unwrap();
        assert!(f.folders.keep(&all));
        f.write("above/root/a/file");
        assert!(f.rings());
        // Another folder in its place.
        fs::remove_dir_all(&above).unwrap();
        fs::create_dir_all(above.join("root/a")).unwrap();
        f.folders.bell().hush();
        f.folders.doubt();
        assert!(f.folders.keep(&all));
        f.write("above/root/a/file");
        assert!(f.rings());
    }

    #[test]
    fn without_watches_nothing_rings() {
        let mut f = Fixture::new(&["a"]);
        f.folders = Folders::new(f.folder.path(), Bell::new().unwrap(), false);
        assert!(!f.folders.keep(&set(&["", "a"])) && f.folders.is_empty());
        assert!(f.folders.trouble().is_none());
    }
}
