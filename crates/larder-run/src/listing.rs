//! Answers the configuration's questions about files from the worktree's stat table, so that a project is walked once.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::config::{Listing, Mark};
use crate::worktree::{FsTime, InputError, Stat, Worktree};

/// The patterns that find every cookbook.
pub(crate) const COOKBOOKS: [&str; 4] =
    ["**/cookbook.yml", "**/cookbook.yaml", "**/*.cookbook.yml", "**/*.cookbook.yaml"];

/// [`Listing`] over a [`Worktree`].
#[derive(Debug)]
pub struct WorktreeListing<'a> {
    worktree: &'a Worktree,
    root: PathBuf,
}

impl<'a> WorktreeListing<'a> {
    /// Over the worktree at `root`.
    #[must_use]
    pub fn new(worktree: &'a Worktree, root: &Path) -> Self {
        Self { worktree, root: root.to_owned() }
    }

    fn relative<'p>(&self, folder: &'p Path) -> &'p Path {
        folder.strip_prefix(&self.root).unwrap_or(folder)
    }
}

fn to_io(error: InputError) -> io::Error {
    match error {
        InputError::Unreadable { path, source } => {
            io::Error::new(source.kind(), format!("`{}` cannot be read: {source}", path.display()))
        }
        other => io::Error::new(io::ErrorKind::InvalidInput, other),
    }
}

/// `path` as seen from `folder`, both relative to the root.
fn from_folder(path: &Path, folder: &Path) -> PathBuf {
    let mut common = path.components().zip(folder.components()).take_while(|(a, b)| a == b).count();
    common = common.min(folder.components().count());
    let up = folder.components().count() - common;
    let ups = std::iter::repeat_n(Component::ParentDir, up);
    ups.chain(path.components().skip(common)).collect()
}

fn numbers(stat: &Stat) -> [u64; 8] {
    let time = |time: FsTime| [time.seconds.cast_unsigned(), time.nanos.into()];
    let ([mtime, mtime_nanos], [ctime, ctime_nanos]) = (time(stat.mtime), time(stat.ctime));
    [stat.dev, stat.ino, stat.size, stat.mode.into(), mtime, mtime_nanos, ctime, ctime_nanos]
}

impl Listing for WorktreeListing<'_> {
    fn files_named(&self, root: &Path, wanted: &dyn Fn(&OsStr) -> bool) -> io::Result<Vec<PathBuf>> {
        let hidden = |path: &PathBuf| {
            path.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
        };
        let patterns = COOKBOOKS.map(str::to_owned);
        let found = self.worktree.glob(self.relative(root), &patterns).map_err(to_io)?;
        Ok(found.into_iter().filter(|path| !hidden(path) && path.file_name().is_some_and(wanted)).collect())
    }

    fn glob(&self, folder: &Path, patterns: &[String]) -> io::Result<Vec<PathBuf>> {
        let folder = self.relative(folder);
        let found = self.worktree.glob(folder, patterns).map_err(to_io)?;
        Ok(found.iter().map(|path| from_folder(path, folder)).collect())
    }

    fn marks(&self, root: &Path, files: &[PathBuf]) -> Vec<Option<Mark>> {
        let root = self.relative(root);
        let files: Vec<PathBuf> = files.iter().map(|file| root.join(file)).collect();
        let known = self.worktree.contents(&files);
        known
            .into_iter()
            .map(|file| file.map(|(stat, digest)| Mark { stat: numbers(&stat), digest }))
            .collect()
    }
}
