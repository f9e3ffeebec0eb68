//! [`Seen`]: what a command touched so far, and what of that it made itself.
//!
//! What a command made (wrote where nothing was, truncated, renamed to) is its own from then on: reading it says nothing about
//! the world before. What it made and removed again never happened. A link that it made is gone through by its text, so that
//! nothing hides behind it.
//!
//! Calls are noted before they are made, and may fail. So each claim remembers what stood there, and counts from when something
//! else is seen there ([`Claim`]): a folder that `rmdir` did not remove is not the command's.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::fs::{FileType, Stat};

use super::access::{Access, AccessKind, Trace};
use super::located::Locator;

/// More paths are not kept.
const MOST: usize = 1_000_000;
/// Links that a link of the command's own may lead through.
const MOST_LINKS: usize = 40;
/// Entries below a folder that was renamed.
const MOST_MOVED: usize = 200_000;

/// Kinds of access as bits, in the order of [`AccessKind`].
const KINDS: [AccessKind; 5] =
    [AccessKind::Read, AccessKind::Missing, AccessKind::Listed, AccessKind::Executed, AccessKind::Written];

fn bit(kind: AccessKind) -> u8 {
    1 << KINDS.iter().position(|&known| known == kind).unwrap_or(0)
}

/// What was there before the command first changed it: inode, time of change, mode.
type Before = (u64, (i64, u64), u32);

fn before(stat: &Stat) -> Before {
    // The width of these differs between architectures.
    #[expect(clippy::unnecessary_cast, reason = "not on every architecture")]
    let times = (stat.st_ctime as i64, stat.st_ctime_nsec as u64);
    #[expect(clippy::unnecessary_cast, reason = "not on every architecture")]
    (stat.st_ino as u64, times, stat.st_mode)
}

/// What tells that something else stands at a path: device, inode, and for all but folders (whose content is not theirs) time of change and size.
type Stand = Option<(u64, u64, (i64, u64), i64)>;

fn stand(stat: Option<&Stat>) -> Stand {
    stat.map(|stat| {
        let (ino, times, mode) = before(stat);
        #[expect(clippy::unnecessary_cast, reason = "not on every architecture")]
        let (device, size) = (stat.st_dev as u64, stat.st_size as i64);
        if FileType::from_raw_mode(mode).is_dir() {
            (device, ino, (0, 0), 0)
        } else {
            (device, ino, times, size)
        }
    })
}

/// That a path's state is the command's doing.
#[derive(Debug)]
enum Claim {
    /// It is.
    Sure,
    /// It is as soon as something else stands there than this.
    Unless(Stand),
}

/// See the module's header.
#[derive(Default)]
pub(super) struct Seen {
    kinds: HashMap<Vec<u8>, u8>,
    /// Its state is the command's doing, with all below.
    made: HashMap<Vec<u8>, Claim>,
    /// Links that the command made, and where they lead.
    links: HashMap<Vec<u8>, Vec<u8>>,
    /// Changed, and there before.
    changed: HashMap<Vec<u8>, Before>,
    /// Got their name by a renaming.
    moved: Vec<Vec<u8>>,
    incomplete: Option<String>,
}

/// What happened to one path.
#[derive(Debug)]
pub(super) enum Note {
    /// Touched, and not changed.
    Touched(AccessKind),
    /// Made where nothing was, or its content is replaced.
    Made(Option<Box<Stat>>),
    /// Made as a link that leads there.
    Linked(Vec<u8>),
    /// Made by a renaming, in place of what was there; `link`: where it leads.
    Moved { over: Option<Box<Stat>>, link: Option<Vec<u8>> },
    /// What was there is changed.
    Changed(Box<Stat>),
    /// What was there is removed.
    Removed(Box<Stat>),
}

impl Seen {
    /// Not all was seen. The first reason counts.
    pub(super) fn miss(&mut self, reason: impl Into<String>) {
        self.incomplete.get_or_insert_with(|| reason.into());
    }

    /// Whether the path, or a folder above it, is the command's own.
    pub(super) fn is_made(&mut self, path: &[u8], locator: &Locator) -> bool {
        // Of a link of its own only the link is; what lies behind it is another path.
        if self.links.contains_key(path) && locator.is_link(path) {
            return true;
        }
        if self.made.is_empty() {
            return false;
        }
        let ends = path.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        ends.chain([path.len()]).any(|end| self.owns(&path[..end], locator))
    }

    /// Whether this very path is claimed, and rightly so.
    fn owns(&mut self, path: &[u8], locator: &Locator) -> bool {
        let Some(claim) = self.made.get_mut(path) else { return false };
        if let Claim::Unless(stood) = claim
            && *stood != stand(locator.stat(path).ok().as_ref())
        {
            *claim = Claim::Sure;
        }
        matches!(claim, Claim::Sure)
    }

    /// From now on the path is the command's, if something else stands there than `stood`.
    fn claim(&mut self, path: &[u8], stood: Option<&Stat>) {
        if !matches!(self.made.get(path), Some(Claim::Sure)) {
            self.made.insert(path.to_vec(), Claim::Unless(stand(stood)));
        }
    }

    /// Whether this was noted before.
    pub(super) fn has(&self, path: &[u8], kind: AccessKind) -> bool {
        self.kinds.get(path).is_some_and(|kinds| kinds & bit(kind) != 0)
    }

    /// The command made links: what a text leads to may be another path than before.
    pub(super) fn has_links(&self) -> bool {
        !self.links.is_empty()
    }

    /// The path that is reached through links of the command's own; `last`: also one at the end.
    pub(super) fn through_links(&self, path: Vec<u8>, last: bool, locator: &Locator) -> Vec<u8> {
        let mut path = path;
        if self.links.is_empty() {
            return path;
        }
        for _ in 0..MOST_LINKS {
            let ends = path.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
            let found = ends.chain(last.then_some(path.len())).find_map(|end| {
                let target = self.links.get(&path[..end]).filter(|_| locator.is_link(&path[..end]))?;
                Some([target.as_slice(), &path[end..]].concat())
            });
            let Some(next) = found else { break };
            match locator.clean(&next) {
                Ok(next) => path = next,
                Err(_) => break,
            }
        }
        path
    }

    /// Links of the command's own that lie at or below `from` lie at or below `to` now.
    pub(super) fn move_links(&mut self, from: &[u8], to: &[u8]) {
        let moved: Vec<(Vec<u8>, Vec<u8>)> = self
            .links
            .iter()
            .filter_map(|(path, target)| {
                let rest = path.strip_prefix(from)?;
                (rest.is_empty() || rest.first() == Some(&b'/'))
                    .then(|| ([to, rest].concat(), target.clone()))
            })
            .collect();
        self.links.extend(moved);
    }

    /// Notes what happens; `is_own`: before it, the path was the command's ([`Self::is_made`]). Looks at nothing, since the call goes on.
    pub(super) fn note(&mut self, path: Vec<u8>, note: Note, is_own: bool) {
        if self.kinds.len() >= MOST {
            return self.miss("it touched more than a million paths");
        }
        match note {
            Note::Touched(kind) => return self.put(path, kind),
            Note::Linked(target) => {
                self.links.insert(path.clone(), target);
            }
            Note::Moved { over, link } => {
                self.keep(&path, over.as_deref(), is_own);
                self.moved.push(path.clone());
                self.links.remove(&path);
                self.links.extend(link.map(|target| (path.clone(), target)));
                self.claim(&path, over.as_deref());
            }
            Note::Made(stood) => {
                self.keep(&path, stood.as_deref(), is_own);
                self.claim(&path, stood.as_deref());
            }
            Note::Changed(stood) => self.keep(&path, Some(&*stood), is_own),
            Note::Removed(stood) => {
                self.keep(&path, Some(&*stood), is_own);
                self.links.remove(&path);
                self.claim(&path, Some(&*stood));
            }
        }
        self.put(path, AccessKind::Written);
    }

    fn keep(&mut self, path: &[u8], stood: Option<&Stat>, is_own: bool) {
        if let Some(stat) = stood.filter(|_| !is_own) {
            self.changed.entry(path.to_vec()).or_insert_with(|| before(stat));
        }
    }

    fn put(&mut self, path: Vec<u8>, kind: AccessKind) {
        if self.kinds.len() >= MOST {
            return self.miss("it touched more than a million paths");
        }
        *self.kinds.entry(path).or_default() |= bit(kind);
    }

    /// All that was seen, now that the command is over.
    pub(super) fn trace(mut self, locator: &Locator, trouble: Option<String>) -> Trace {
        for folder in std::mem::take(&mut self.moved) {
            if self.owns(&folder, locator) {
                self.below(folder, locator);
            }
        }
        let mut accesses = BTreeSet::new();
        for (path, kinds) in std::mem::take(&mut self.kinds) {
            let own = self.owns(&path, locator) && !self.changed.contains_key(&path);
            let stat = if kinds & bit(AccessKind::Written) == 0 { None } else { locator.stat(&path).ok() };
            for kind in KINDS.into_iter().filter(|&kind| kinds & bit(kind) != 0) {
                let lasts = match kind {
                    AccessKind::Written if self.changed.contains_key(&path) => {
                        self.is_changed(&path, stat.as_ref())
                    }
                    // Made and not there any more, or not made in the end: it was not there before, either.
                    AccessKind::Written => stat.is_some(),
                    // Looked for, made, removed: a scratch file.
                    AccessKind::Missing if own => stat.is_some(),
                    _ => true,
                };
                if lasts {
                    let path = PathBuf::from(OsString::from_vec(path.clone()));
                    accesses.insert(Access { path, kind });
                }
            }
        }
        Trace { accesses, incomplete: self.incomplete.or(trouble) }
    }

    /// Whether what was there before is another now. The time of change cannot be put back; that of a folder says only that
    /// names in it changed.
    fn is_changed(&self, path: &[u8], now: Option<&Stat>) -> bool {
        let (Some(&(ino, times, mode)), Some(now)) = (self.changed.get(path), now) else { return true };
        let (now_ino, now_times, now_mode) = before(now);
        let is_folder = FileType::from_raw_mode(mode).is_dir();
        now_ino != ino || now_mode != mode || (!is_folder && now_times != times)
    }

    /// What lies in a folder that was renamed is written where it is now.
    fn below(&mut self, folder: Vec<u8>, locator: &Locator) {
        let is_folder =
            |path: &[u8]| locator.stat(path).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir());
        let mut folders = vec![folder];
        let mut count = 0_usize;
        while let Some(folder) = folders.pop() {
            if !is_folder(&folder) {
                continue;
            }
            let path = PathBuf::from(OsString::from_vec(folder));
            for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
                count += 1;
                if count > MOST_MOVED {
                    return self.miss("it moved folders with very many files");
                }
                let path = entry.path().into_os_string().into_vec();
                folders.push(path.clone());
                self.put(path, AccessKind::Written);
            }
        }
    }
}
