//! What is done to a project between runs: sources edited, outputs tampered with, store and state damaged. Each says what
//! it did.

use std::ffi::OsString;
use std::fs::{self, File, FileTimes};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::model::{Model, Output, outputs_of};
use super::random::Random;
use super::tree;

const NAMES: [&[u8]; 9] = [
    b"new0.txt",
    b"a b.txt",
    b"q'u\"o.txt",
    b"\xe9\xff.txt",
    b".hidden.txt",
    b"no-ext",
    b"skip.txt",
    b"-dash.txt",
    b"new\nline.txt",
];

/// Everything in `src/` and `shared/`, folders and the rest.
fn sources(root: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let keep = |path: &Path| {
        tree::is_source(path) && (path.starts_with("shared") || !path.to_string_lossy().ends_with(".yml"))
    };
    let is_inside =
        |path: &Path| path.starts_with("shared") || path.iter().nth(1).is_some_and(|part| part == "src");
    let all = tree::read(root, &keep);
    let paths = all.into_iter().filter(|(path, _)| is_inside(path));
    let (folders, rest): (Vec<_>, Vec<_>) =
        paths.partition(|(_, entry)| matches!(entry, tree::Entry::Folder(_)));
    let absolute =
        |list: Vec<(PathBuf, tree::Entry)>| list.into_iter().map(|(path, _)| root.join(path)).collect();
    (absolute(folders), absolute(rest))
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|stat| stat.is_file())
}

/// Changes one byte and puts the times back; the size stays.
pub(crate) fn change_secretly(path: &Path, random: &mut Random) {
    let before = fs::metadata(path).unwrap();
    let mut bytes = fs::read(path).unwrap();
    if bytes.is_empty() {
        return;
    }
    let at = random.below(bytes.len());
    bytes[at] = bytes[at].wrapping_add(1 + (random.next() % 25) as u8);
    overwrite(path, &bytes);
    put_back(path, &before);
}

/// Writes in place, whatever the mode.
fn overwrite(path: &Path, bytes: &[u8]) {
    let mode = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, mode).unwrap();
}

fn put_back(path: &Path, before: &fs::Metadata) {
    let times =
        FileTimes::new().set_modified(before.modified().unwrap()).set_accessed(before.accessed().unwrap());
    if let Ok(file) = File::open(path) {
        let _ = file.set_times(times);
    }
}

/// Edits a source.
pub(crate) fn source(root: &Path, random: &mut Random) -> String {
    let (folders, rest) = sources(root);
    let files: Vec<&PathBuf> = rest.iter().filter(|path| is_file(path)).collect();
    let folder = random.pick(&folders).clone();
    let kind = if files.is_empty() { 9 } else { random.below(14) };
    if kind >= 8 {
        return shape(root, random, &folder, &rest, kind);
    }
    let file = random.pick(&files);
    let what = match kind {
        0..=2 => {
            change_secretly(file, random);
            "same size, times put back"
        }
        3 => {
            let mut bytes = fs::read(file).unwrap();
            bytes.extend_from_slice(b"more\n");
            replace(file, &bytes);
            "longer, by rename"
        }
        4 => {
            overwrite(file, format!("text {}\n", random.below(4)).as_bytes());
            "rewritten"
        }
        5 => {
            put_back(file, &fs::metadata(root).unwrap());
            "touched"
        }
        6 => {
            let mode = *random.pick(&[0o644, 0o600, 0o755, 0o444, 0o640]);
            fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
            "mode"
        }
        _ => {
            tree::remove(file);
            "deleted"
        }
    };
    format!("{what}: {}", file.strip_prefix(root).unwrap().display())
}

/// Changes a source and puts bytes and times back a moment later.
pub(crate) fn there_and_back(root: &Path, random: &mut Random) -> String {
    let (_, rest) = sources(root);
    let files: Vec<&PathBuf> = rest.iter().filter(|path| is_file(path)).collect();
    if files.is_empty() {
        return "nothing to edit".into();
    }
    let file = *random.pick(&files);
    let (before, bytes) = (fs::metadata(file).unwrap(), fs::read(file).unwrap());
    change_secretly(file, random);
    std::thread::sleep(Duration::from_millis(random.below(40) as u64));
    overwrite(file, &bytes);
    put_back(file, &before);
    format!("there and back: {}", file.strip_prefix(root).unwrap().display())
}

/// Writes beside and renames over.
fn replace(path: &Path, bytes: &[u8]) {
    let mode = fs::metadata(path).unwrap().permissions();
    let beside = path.with_file_name("beside");
    fs::write(&beside, bytes).unwrap();
    fs::set_permissions(&beside, mode).unwrap();
    fs::rename(beside, path).unwrap();
}

/// Edits that change what is there, not only bytes.
fn shape(root: &Path, random: &mut Random, folder: &Path, rest: &[PathBuf], kind: usize) -> String {
    let name = OsString::from_vec(random.pick(&NAMES).to_vec());
    let new = folder.join(&name);
    let old = (!rest.is_empty()).then(|| random.pick(rest).clone());
    let what = match (kind, old) {
        (8, Some(old)) => {
            if fs::symlink_metadata(&new).is_err() {
                fs::rename(old, &new).unwrap();
            }
            "renamed to"
        }
        (10, _) => {
            tree::remove(&new);
            let target =
                *random.pick(&["f0.txt", "nowhere", "../f1.txt", "sub/g.txt", "../../shared/s0", "."]);
            symlink(target, &new).unwrap();
            "link"
        }
        (11, Some(old)) => {
            tree::remove(&old);
            fs::create_dir(&old).unwrap();
            fs::write(old.join("inner.txt"), "inner").unwrap();
            return format!("file became a folder: {}", old.strip_prefix(root).unwrap().display());
        }
        (12, _) => {
            let inner = folder.ends_with("src") || folder.ends_with("shared");
            if !inner {
                tree::remove(folder);
                return format!("folder deleted: {}", folder.strip_prefix(root).unwrap().display());
            }
            let _ = fs::create_dir(folder.join("fresh"));
            "folder made in"
        }
        (13, _) => {
            let mode = *random.pick(&[0o755, 0o700, 0o750]);
            fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
            return format!("folder's mode: {}", folder.strip_prefix(root).unwrap().display());
        }
        _ => {
            if fs::symlink_metadata(&new).is_err() {
                fs::write(&new, format!("added {}\n", random.below(3))).unwrap();
            }
            "added"
        }
    };
    format!("{what} {}", new.strip_prefix(root).unwrap().display())
}

/// Tampers with the outputs of a recipe.
pub(crate) fn output(root: &Path, model: &Model, random: &mut Random) -> String {
    let outputs: Vec<(PathBuf, Output)> = model.recipes.iter().flat_map(outputs_of).collect();
    let (output, kind) = random.pick(&outputs).clone();
    let path = root.join(&output);
    let inside: Vec<PathBuf> = if path.is_dir() {
        tree::read(&path, &|_| true).into_keys().map(|inner| path.join(inner)).collect()
    } else if fs::symlink_metadata(&path).is_ok() {
        vec![path.clone()]
    } else {
        return format!("nothing at {}", output.display());
    };
    // What a script excludes from its glob is nobody's, and so is a name in a glob's folder that no result recorded.
    let owned = |path: &&PathBuf| !path.file_name().unwrap().to_string_lossy().starts_with("skip");
    let inside: Vec<&PathBuf> = inside.iter().filter(owned).collect();
    if inside.is_empty() || random.once_in(5) {
        tree::remove(&path);
        return format!("deleted {}", output.display());
    }
    let one = *random.pick(&inside);
    let parent = one.parent().unwrap();
    if fs::metadata(parent).unwrap().permissions().mode() & 0o200 == 0 {
        fs::set_permissions(parent, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let shown = one.strip_prefix(root).unwrap().display();
    match random.below(6) {
        0 | 1 if is_file(one) => {
            change_secretly(one, random);
            format!("tampered with, times put back: {shown}")
        }
        2 => {
            tree::remove(one);
            format!("deleted {shown}")
        }
        3 if !fs::symlink_metadata(one).unwrap().is_symlink() => {
            fs::set_permissions(one, fs::Permissions::from_mode(0o711)).unwrap();
            format!("mode of {shown}")
        }
        4 if kind == Output::Folder => {
            let folder = if one.is_dir() && !one.is_symlink() { one } else { one.parent().unwrap() };
            if folder.starts_with(&path) {
                let _ = fs::write(folder.join("stray.txt"), "stray");
                let _ = fs::create_dir(folder.join("stray folder"));
            }
            format!("strays at {shown}")
        }
        5 if kind != Output::Glob || is_file(one) => {
            tree::remove(one);
            symlink("/etc", one).unwrap();
            format!("link in place of {shown}")
        }
        _ => {
            if is_file(one) {
                replace(one, b"replaced");
            }
            format!("replaced {shown}")
        }
    }
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for path in tree::names(&folder) {
            if path.is_dir() && !path.is_symlink() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// Damages files below `folder`: a flipped bit, a shorter file, none.
pub(crate) fn damage(folder: &Path, random: &mut Random) -> String {
    let mut said = Vec::new();
    let one_in = 1 + random.below(4);
    for path in all_files(folder) {
        if !random.once_in(one_in) || !is_file(&path) {
            continue;
        }
        let Ok(mut bytes) = fs::read(&path) else { continue };
        let what = match random.below(4) {
            0 => {
                let _ = fs::remove_file(&path);
                "gone"
            }
            1 if !bytes.is_empty() => {
                bytes.truncate(random.below(bytes.len()));
                let _ = fs::write(&path, bytes);
                "shorter"
            }
            _ if !bytes.is_empty() => {
                for _ in 0..1 + random.below(3) {
                    let at = random.below(bytes.len());
                    bytes[at] ^= 1 << random.below(8);
                }
                let _ = fs::write(&path, bytes);
                "flipped"
            }
            _ => continue,
        };
        said.push(format!("{} {what}", path.strip_prefix(folder).unwrap().display()));
    }
    said.join(", ")
}
