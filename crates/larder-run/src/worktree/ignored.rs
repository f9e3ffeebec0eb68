//! Ignore files: `.gitignore`, `.ignore`, `.bakeignore`, `.larderignore` of every folder from the root down, git's syntax.
//!
//! In one folder a later file of that list overrules an earlier one; a deeper folder overrules those above. Global
//! excludes and `.git/info/exclude` are not read, so that all machines agree. Only regular files count.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// In order of growing precedence.
pub(super) const NAMES: [&[u8]; 4] = [b".gitignore", b".ignore", b".bakeignore", b".larderignore"];

/// The rules of one folder, on top of those above it.
#[derive(Debug)]
pub(super) struct Level {
    rules: Arc<Gitignore>,
    /// Length of the folder's path, with the slash after it.
    skip: usize,
    above: Rules,
}

/// All rules that hold in a folder.
pub(super) type Rules = Option<Arc<Level>>;

/// Compiles the texts of one folder's ignore files, in order of [`NAMES`]; lines that are no patterns are skipped.
pub(super) fn compile(texts: &[Vec<u8>]) -> Arc<Gitignore> {
    let mut builder = GitignoreBuilder::new("");
    for text in texts {
        for line in String::from_utf8_lossy(text).lines() {
            if let Err(error) = builder.add_line(None, line) {
                tracing::debug!(%error, line, "skipped a line of an ignore file");
            }
        }
    }
    Arc::new(builder.build().unwrap_or_else(|_| Gitignore::empty()))
}

/// `above`, with the rules of the folder whose path is `folder` (empty: the root).
pub(super) fn deeper(above: Rules, rules: Arc<Gitignore>, folder: &[u8]) -> Rules {
    if rules.is_empty() {
        return above;
    }
    let skip = if folder.is_empty() { 0 } else { folder.len() + 1 };
    Some(Arc::new(Level { rules, skip, above }))
}

/// Whether the entry `path` (from the root) of a folder under `rules` is ignored.
pub(super) fn is_ignored(rules: &Rules, path: &[u8], is_folder: bool) -> bool {
    let mut level = rules.as_ref();
    while let Some(one) = level {
        let below = Path::new(OsStr::from_bytes(&path[one.skip..]));
        match one.rules.matched(below, is_folder) {
            Match::Ignore(_) => return true,
            Match::Whitelist(_) => return false,
            Match::None => level = one.above.as_ref(),
        }
    }
    false
}
