//! A folder in memory: paths with kinds, modes, link targets and bytes; copies of folders.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// What stands at a path.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A file: mode and bytes.
    File(u32, Vec<u8>),
    /// A folder: mode.
    Folder(u32),
    /// A link: target.
    Link(PathBuf),
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(mode, bytes) => {
                let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]);
                write!(f, "file {mode:o}, {} bytes, {shown:?}", bytes.len())
            }
            Self::Folder(mode) => write!(f, "folder {mode:o}"),
            Self::Link(target) => write!(f, "link to {}", target.display()),
        }
    }
}

/// Paths below a folder, with what stands there.
pub(crate) type Tree = BTreeMap<PathBuf, Entry>;

/// Whether some component of `path` is an output by name (see `model.rs`).
pub(crate) fn is_output(path: &Path) -> bool {
    path.iter().any(|part| part.as_bytes().starts_with(b"o_"))
}

/// Names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    names.sort();
    names
}

/// Everything below `root` for which `keep` is true of the relative path (folders that are not kept are not entered).
pub(crate) fn read(root: &Path, keep: &dyn Fn(&Path) -> bool) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for path in names(&folder) {
            let relative = path.strip_prefix(root).unwrap();
            if !keep(relative) {
                continue;
            }
            let stat = fs::symlink_metadata(&path).unwrap();
            let mode = stat.permissions().mode() & 0o7777;
            let entry = if stat.is_dir() {
                folders.push(path.clone());
                Entry::Folder(mode)
            } else if stat.is_symlink() {
                Entry::Link(fs::read_link(&path).unwrap())
            } else {
                Entry::File(mode, fs::read(&path).unwrap())
            };
            tree.insert(relative.to_path_buf(), entry);
        }
    }
    tree
}

/// Sources only: neither outputs nor what Larder keeps.
pub(crate) fn is_source(path: &Path) -> bool {
    !is_output(path) && !path.starts_with(".larder")
}

/// Writes a tree into a folder, which is made.
pub(crate) fn write(tree: &Tree, root: &Path) {
    fs::create_dir_all(root).unwrap();
    for (path, entry) in tree {
        let path = root.join(path);
        match entry {
            Entry::Folder(_) => fs::create_dir_all(&path).unwrap(),
            Entry::Link(target) => symlink(target, &path).unwrap(),
            Entry::File(mode, bytes) => {
                fs::write(&path, bytes).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
            }
        }
    }
    // Folders may be read-only, so that their modes come last.
    for (path, entry) in tree.iter().rev() {
        if let Entry::Folder(mode) = entry {
            fs::set_permissions(root.join(path), fs::Permissions::from_mode(*mode)).unwrap();
        }
    }
}

/// Removes whatever stands at `path`.
pub(crate) fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(stat) if stat.is_dir() => {
            open_up(path);
            fs::remove_dir_all(path).unwrap();
        }
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// Makes folders writable, down from here.
fn open_up(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
    let is_folder = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|stat| stat.is_dir());
    names(folder).into_iter().filter(is_folder).for_each(|inner| open_up(&inner));
}

/// Makes the sources below `root` these.
pub(crate) fn replace_sources(root: &Path, sources: &Tree) {
    let old = read(root, &is_source);
    for path in old.keys().rev() {
        let path = root.join(path);
        match fs::symlink_metadata(&path) {
            // A folder with outputs stays.
            Ok(stat) if stat.is_dir() => drop(fs::remove_dir(&path)),
            Ok(_) => fs::remove_file(&path).unwrap(),
            Err(_) => {}
        }
    }
    write(sources, root);
}

/// What differs, one line each; `None`: nothing.
pub(crate) fn difference(found: &Tree, expected: &Tree) -> Option<String> {
    let mut lines = Vec::new();
    for path in found.keys().chain(expected.keys().filter(|path| !found.contains_key(*path))) {
        let (found, expected) = (found.get(path), expected.get(path));
        if found != expected {
            lines.push(format!("{}\n    found    {found:?}\n    expected {expected:?}", path.display()));
        }
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}
